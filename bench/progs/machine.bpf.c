// SPDX-License-Identifier: BSD-2-Clause
/* A table-driven state machine that finds HTTP-like request lines in 512 bytes. */
#include "bench.h"

GLOBAL u8 input[512] = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPUT /b HTTP/1.0\r\nA: b\r\n\r\n";
/* [state][class]; classes: letter, space, slash, digit or dot, colon, CR, LF, other */
GLOBAL u8 next_state[8][8] = {{1, 0, 0, 0, 0, 0, 0, 0}, {1, 2, 0, 0, 5, 0, 0, 0},
			      {0, 2, 3, 0, 0, 0, 0, 0}, {3, 4, 3, 3, 0, 0, 0, 0},
			      {4, 0, 4, 4, 0, 6, 0, 0}, {5, 5, 5, 5, 5, 6, 0, 5},
			      {0, 0, 0, 0, 0, 0, 7, 0}, {1, 0, 0, 0, 0, 6, 0, 0}};

BENCH(machine)
{
	u32 i, s = 0, seen = 0;

	input[300] = pkt[0];
	for (i = 0; i < 512; i++) {
		u32 c = input[i & 511], k;

		if ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')
			k = 0;
		else if (c == ' ')
			k = 1;
		else if (c == '/')
			k = 2;
		else if ((c >= '0' && c <= '9') || c == '.')
			k = 3;
		else if (c == ':')
			k = 4;
		else if (c == '\r')
			k = 5;
		else if (c == '\n')
			k = 6;
		else
			k = 7;
		s = next_state[s & 7][k & 7];
		seen += s == 7;
	}
	return seen << 8 | s;
}
