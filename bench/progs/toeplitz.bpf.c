// SPDX-License-Identifier: BSD-2-Clause
/* Receive side scaling's Toeplitz hash over 12 bytes of addresses and ports, 16 flows. */
#include "bench.h"

GLOBAL u8 key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
		     0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
		     0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
		     0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

BENCH(toeplitz)
{
	u32 flow, sum = 0;

	for (flow = 0; flow < 16; flow++) {
		u32 window = (u32)key[0] << 24 | key[1] << 16 | key[2] << 8 | key[3];
		u32 hash = 0, i, bit;

		for (i = 0; i < 12; i++) {
			u32 byte = pkt[26 + i] ^ flow, next = key[(i + 4) % 40];

			for (bit = 0; bit < 8; bit++) {
				if (byte & 0x80)
					hash ^= window;
				window = window << 1 | (next >> 7 & 1);
				byte <<= 1;
				next <<= 1;
			}
		}
		sum = sum * 7 + hash;
	}
	return sum;
}
