// SPDX-License-Identifier: BSD-2-Clause
/* SipHash-2-4 of 64 bytes of the packet, 8 times. */
#include "bench.h"

#define ROTL(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUND \
	do { \
		v0 += v1; \
		v1 = ROTL(v1, 13); \
		v1 ^= v0; \
		v0 = ROTL(v0, 32); \
		v2 += v3; \
		v3 = ROTL(v3, 16); \
		v3 ^= v2; \
		v0 += v3; \
		v3 = ROTL(v3, 21); \
		v3 ^= v0; \
		v2 += v1; \
		v1 = ROTL(v1, 17); \
		v1 ^= v2; \
		v2 = ROTL(v2, 32); \
	} while (0)

static __attribute__((always_inline)) u64 siphash24(const u8 *p, u64 k0, u64 k1)
{
	u64 v0 = 0x736f6d6570736575ull ^ k0, v1 = 0x646f72616e646f6dull ^ k1;
	u64 v2 = 0x6c7967656e657261ull ^ k0, v3 = 0x7465646279746573ull ^ k1, m;
	u32 i;

	for (i = 0; i < 64; i += 8) {
		m = *(const u64 *)(p + i);
		v3 ^= m;
		ROUND;
		ROUND;
		v0 ^= m;
	}
	m = 64ull << 56;
	v3 ^= m;
	ROUND;
	ROUND;
	v0 ^= m;
	v2 ^= 0xff;
	ROUND;
	ROUND;
	ROUND;
	ROUND;
	return v0 ^ v1 ^ v2 ^ v3;
}

BENCH(siphash)
{
	u64 h = 1;
	u32 i;

	for (i = 0; i < 8; i++)
		h = siphash24(pkt, h, i);
	return (u32)(h ^ h >> 32);
}
