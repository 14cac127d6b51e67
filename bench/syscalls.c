/* SPDX-License-Identifier: BSD-2-Clause */
/* argv[1] times openat(2) of a file that is not there, timed by itself: ns a call. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	long i, n = argc > 1 ? atol(argv[1]) : 1000;
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (i = 0; i < n; i++)
		openat(AT_FDCWD, "/nonexistent/file", O_RDONLY);
	clock_gettime(CLOCK_MONOTONIC, &b);
	dprintf(2, "ns_per_call %.1f\n",
		((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / (double)n);
	return 0;
}
