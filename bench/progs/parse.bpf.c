// SPDX-License-Identifier: BSD-2-Clause
/* Ethernet, VLAN, IPv4 or IPv6, TCP or UDP: parses the packet and makes a flow key. */
#include "bench.h"

static __attribute__((always_inline)) u32 be16(const u8 *p)
{
	return (u32)p[0] << 8 | p[1];
}

/* The frame, where a variable index may reach. */
GLOBAL u8 h[BENCH_PKT] __attribute__((aligned(8)));

BENCH(parse)
{
	u32 off = 12, proto, l4, key = 0, i, type;

	for (i = 0; i < BENCH_PKT; i += 8)
		*(u64 *)(h + i) = *(const u64 *)(pkt + i);
	type = be16(h + off);

	for (i = 0; i < 2 && (type == 0x8100 || type == 0x88a8); i++) {
		off += 4;
		type = be16(h + (off & 31));
	}
	off += 2;
	if (type == 0x0800) {
		u32 ihl = (h[off & 31] & 15) * 4;

		if (ihl < 20)
			return 1;
		proto = h[(off + 9) & 63];
		for (i = 0; i < 8; i++)
			key = key * 33 ^ h[(off + 12 + i) & 63];
		l4 = off + ihl;
	} else if (type == 0x86dd) {
		proto = h[(off + 6) & 63];
		for (i = 0; i < 32; i++)
			key = key * 33 ^ h[(off + 8 + i) & 127];
		l4 = off + 40;
	} else {
		return 2;
	}
	if (proto != 6 && proto != 17)
		return 3;
	key = key * 33 ^ (u32)(h[l4 & 127] << 8 | h[(l4 + 1) & 127]);
	key = key * 33 ^ (u32)(h[(l4 + 2) & 127] << 8 | h[(l4 + 3) & 127]);
	if (proto == 6)
		key ^= h[(l4 + 13) & 127];
	return key;
}
