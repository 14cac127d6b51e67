// SPDX-License-Identifier: BSD-2-Clause
/* Integer logarithm by binary search over shifts, of 1000 numbers. */
#include "bench.h"

static __attribute__((always_inline)) u32 log2_u64(u64 v)
{
	u32 r = 0, shift;

	for (shift = 32; shift; shift >>= 1) {
		if (v >> shift) {
			v >>= shift;
			r += shift;
		}
	}
	return r;
}

BENCH(ilog2)
{
	u64 x = pkt[0] | 1;
	u32 sum = 0, i;

	for (i = 0; i < 1000; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		sum += log2_u64(x >> (x & 63));
	}
	return sum;
}
