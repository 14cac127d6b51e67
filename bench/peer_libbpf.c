/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The peer: what people write with libbpf and a generated skeleton.  Says
 * "attached" on standard error, then waits for its standard input to end.
 * SKEL is the skeleton's header, NAME its prefix (see bench/run).
 */
#include <stdio.h>
#include <unistd.h>

#include SKEL

#define PASTE(a, b) a##b
#define CALL(n, fn) PASTE(n, fn)
#define STRUCT(n)   struct n

int main(void)
{
	STRUCT(NAME) *skel = CALL(NAME, __open_and_load)();
	char c;

	if (!skel || CALL(NAME, __attach)(skel)) {
		fprintf(stderr, "failed\n");
		return 1;
	}
	fprintf(stderr, "attached\n");
	while (read(0, &c, 1) > 0)
		;
	CALL(NAME, __destroy)(skel);
	return 0;
}
