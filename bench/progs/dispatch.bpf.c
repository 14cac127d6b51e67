// SPDX-License-Identifier: BSD-2-Clause
/* A dense switch of 16 cases, taken 1000 times in an order that cannot be predicted. */
#include "bench.h"

BENCH(dispatch)
{
	u32 x = pkt[1] | 1, acc = pkt[2], i;

	for (i = 0; i < 1000; i++) {
		x = x * 1103515245 + 12345;
		switch ((x >> 16) & 15) {
		case 0: acc += 3; break;
		case 1: acc ^= x; break;
		case 2: acc = acc << 3 | acc >> 29; break;
		case 3: acc -= i; break;
		case 4: acc *= 31; break;
		case 5: acc |= 1; break;
		case 6: acc &= ~2u; break;
		case 7: acc += x >> 7; break;
		case 8: acc ^= acc >> 13; break;
		case 9: acc += i * 5; break;
		case 10: acc = ~acc; break;
		case 11: acc -= x; break;
		case 12: acc = acc >> 1 | acc << 31; break;
		case 13: acc ^= 0x9e3779b9; break;
		case 14: acc += acc << 5; break;
		default: acc ^= i; break;
		}
	}
	return acc;
}
