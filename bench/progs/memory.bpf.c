// SPDX-License-Identifier: BSD-2-Clause
/* Copies 1 KiB in words and compares it bytewise, four times. */
#include "bench.h"

GLOBAL u8 from[1024] __attribute__((aligned(8))) = {1, 2, 3};
GLOBAL u8 to[1024] __attribute__((aligned(8)));

BENCH(memory)
{
	u32 round, i, same = 0;

	for (round = 0; round < 4; round++) {
		from[(pkt[0] + round * 17) & 1023] = (u8)(round + 1);
		for (i = 0; i < 1024; i += 8)
			*(u64 *)(to + (i & 1016)) = *(const u64 *)(from + (i & 1016));
		for (i = 0; i < 1024; i++) {
			u32 k = i;

			OPAQUE(k);
			k &= 1023;
			same += from[k] == to[k];
		}
	}
	return same;
}
