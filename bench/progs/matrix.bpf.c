// SPDX-License-Identifier: BSD-2-Clause
/* Product of two 16 x 16 matrices of 64-bit integers. */
#include "bench.h"

GLOBAL u64 a[256], b[256], c[256];

BENCH(matrix)
{
	u64 x = pkt[0] + 1, sum = 0;
	u32 i, j, k;

	for (i = 0; i < 256; i++) {
		x = x * 6364136223846793005ull + 1;
		a[i & 255] = x >> 40;
		b[i & 255] = x >> 32;
	}
	for (i = 0; i < 16; i++)
		for (j = 0; j < 16; j++) {
			u64 s = 0;

			for (k = 0; k < 16; k++)
				s += a[(i * 16 + k) & 255] * b[(k * 16 + j) & 255];
			c[(i * 16 + j) & 255] = s;
			sum ^= s * (i + 1);
		}
	return (u32)(sum ^ sum >> 32) + (u32)c[pkt[1]];
}
