// SPDX-License-Identifier: BSD-2-Clause
/* Checks 512 bytes of UTF-8 with a state machine of comparisons; counts characters. */
#include "bench.h"

GLOBAL u8 text[512] = "Gr\xc3\xbc\xc3\x9f"
		      "e aus K\xc3\xb6ln \xe2\x82\xac \xf0\x9f\x90\x9d bees";

BENCH(utf8)
{
	u32 i, need = 0, chars = 0, bad = 0, low = 0x80, high = 0xbf;

	text[400] = pkt[0] & 0x7f;
	for (i = 0; i < 512; i++) {
		u32 c = text[i & 511];

		if (need) {
			if (c < low || c > high) {
				bad++;
				need = 0;
			} else {
				need--;
			}
			low = 0x80;
			high = 0xbf;
		} else if (c < 0x80) {
			chars++;
		} else if (c >= 0xc2 && c <= 0xdf) {
			chars++;
			need = 1;
		} else if (c >= 0xe0 && c <= 0xef) {
			chars++;
			need = 2;
			if (c == 0xe0)
				low = 0xa0;
			if (c == 0xed)
				high = 0x9f;
		} else if (c >= 0xf0 && c <= 0xf4) {
			chars++;
			need = 3;
			if (c == 0xf0)
				low = 0x90;
			if (c == 0xf4)
				high = 0x8f;
		} else {
			bad++;
		}
	}
	return chars | bad << 16 | need << 24;
}
