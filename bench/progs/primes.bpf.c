// SPDX-License-Identifier: BSD-2-Clause
/* Counts primes below 500 by trial division. */
#include "bench.h"

BENCH(primes)
{
	u32 n, d, count = pkt[0] & 1;

	for (n = 2; n < 500; n++) {
		u32 prime = 1;

		for (d = 2; d < 23; d++) {
			u32 dd = d;

			OPAQUE(dd);
			if (dd * dd > n)
				break;
			if (n % dd == 0) {
				prime = 0;
				break;
			}
		}
		count += prime;
	}
	return count;
}
