// SPDX-License-Identifier: BSD-2-Clause
/* CRC-32 (IEEE 802.3) of the packet, bit by bit, then by a table made from it. */
#include "bench.h"

GLOBAL u32 table[256];

BENCH(crc32)
{
	u32 crc = ~0u, i, k, c;

	for (i = 0; i < 256; i++) {
		c = i;
		for (k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320 : 0);
		table[i & 255] = c;
	}
	for (i = 0; i < BENCH_PKT; i++)
		crc = crc >> 8 ^ table[(crc ^ pkt[i]) & 255];
	return ~crc;
}
