/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The observed process of usdt_ip.t: two static probes in it, and, when made
 * with -DLIBRARY, two in a library.  Each line of its input fires all once.
 */
#include <stdio.h>

#include "note.h"

#ifdef LIBRARY
void fire_library(long i)
{
	__asm__ volatile(NOTE("three", "0", "8@%%rdi")::"D"(i) : "memory");
	__asm__ volatile(NOTE("four", "0", "8@%%rsi -4@$4")::"S"(i) : "memory");
}
#else
void fire_library(long i);

int main(void)
{
	long i = 10;

	while (getchar() != EOF) {
		__asm__ volatile(NOTE("one", "0", "8@%%rdi")::"D"(i) : "memory");
		__asm__ volatile(NOTE("two", "0", "8@%%rsi -4@$2")::"S"(i) : "memory");
		fire_library(i++);
		puts("fired");
		fflush(stdout);
	}
	return 0;
}
#endif
