// SPDX-License-Identifier: BSD-2-Clause
/* Bob Jenkins' lookup3 over 96 bytes of the packet, 16 times with other seeds. */
#include "bench.h"

#define ROL(x, n) ((x) << (n) | (x) >> (32 - (n)))

static __attribute__((always_inline)) u32 lookup3(const u8 *p, u32 seed)
{
	u32 a, b, c, i;

	a = b = c = 0xdeadbeef + 96 + seed;
	for (i = 0; i < 96; i += 12) {
		a += *(const u32 *)(p + i);
		b += *(const u32 *)(p + i + 4);
		c += *(const u32 *)(p + i + 8);
		a -= c;
		a ^= ROL(c, 4);
		c += b;
		b -= a;
		b ^= ROL(a, 6);
		a += c;
		c -= b;
		c ^= ROL(b, 8);
		b += a;
		a -= c;
		a ^= ROL(c, 16);
		c += b;
		b -= a;
		b ^= ROL(a, 19);
		a += c;
		c -= b;
		c ^= ROL(b, 4);
		b += a;
	}
	c ^= b;
	c -= ROL(b, 14);
	a ^= c;
	a -= ROL(c, 11);
	b ^= a;
	b -= ROL(a, 25);
	c ^= b;
	c -= ROL(b, 16);
	a ^= c;
	a -= ROL(c, 4);
	b ^= a;
	b -= ROL(a, 14);
	c ^= b;
	c -= ROL(b, 24);
	return c;
}

BENCH(jhash)
{
	u32 h = 0, i;

	for (i = 0; i < 16; i++)
		h ^= lookup3(pkt, h + i);
	return h;
}
