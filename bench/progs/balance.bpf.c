// SPDX-License-Identifier: BSD-2-Clause
/* L4 load balancer: flow hash, consistent-hash ring of 256 slots, counters per backend. */
#include "bench.h"

GLOBAL u32 ring[256];
GLOBAL u64 packets[16], bytes[16];

BENCH(balance)
{
	u32 i, n, h, pick = 0;

	for (i = 0; i < 256; i++)
		ring[i & 255] = (i * 2654435761u) >> 28;
	for (n = 0; n < 32; n++) {
		h = 2166136261u;
		for (i = 26; i < 38; i++)
			h = (h ^ pkt[i]) * 16777619u;
		h ^= n * 0x85ebca6b;
		h ^= h >> 15;
		pick = ring[h & 255] & 15;
		packets[pick]++;
		bytes[pick] += 64 + (h & 1023);
	}
	return pick + (u32)(packets[pick] & 0);
}
