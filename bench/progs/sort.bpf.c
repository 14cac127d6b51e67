// SPDX-License-Identifier: BSD-2-Clause
/* Shell sort of 64 numbers, with a checksum that depends on the order. */
#include "bench.h"

GLOBAL u32 a[64];

BENCH(sort)
{
	u32 x = pkt[0] + 1, i, j, k, gap, sum = 0;

	for (i = 0; i < 64; i++) {
		x = x * 1664525 + 1013904223;
		a[i & 63] = x >> 8;
	}
	for (gap = 16; gap; gap /= 4) {
		for (i = gap; i < 64; i++) {
			u32 v = a[i & 63];

			j = i;
			for (k = 0; k < 64; k++) {
				OPAQUE(j);
				if (j < gap || a[(j - gap) & 63] <= v)
					break;
				a[j & 63] = a[(j - gap) & 63];
				j -= gap;
			}
			a[j & 63] = v;
		}
	}
	for (i = 0; i < 64; i++)
		sum = sum * 31 + a[i & 63];
	return sum;
}
