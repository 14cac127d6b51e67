// SPDX-License-Identifier: BSD-2-Clause
/* Counts a pattern of four characters in a text of 1 KiB. */
#include "bench.h"

GLOBAL u8 text[1024 + 8] = "the quick brown fox jumps over the lazy dog; the cat sat on the mat";

BENCH(strsearch)
{
	u8 pattern[4] = {'t', 'h', 'e', ' '};
	u32 i, j, found = 0;

	text[512 + (pkt[0] & 63)] = 't';
	for (i = 0; i < 1020; i++) {
		for (j = 0; j < 4; j++)
			if (text[(i + j) & 1023] != pattern[j])
				break;
		found += j == 4;
	}
	return found * 1000 + i;
}
