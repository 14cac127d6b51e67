/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program whose one function is a local symbol, and a library (-DLIBRARY)
 * with two versions of another and a static probe.
 *   prog N           calls N times
 *   prog wait FILE   calls every 10 ms until FILE is gone
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef LIBRARY
static int counter = 41;

#define NOTE(name, args) \
	"990: nop\n.pushsection .note.stapsdt,\"?\",\"note\"\n" \
	".balign 4\n.4byte 992f-991f, 994f-993f, 3\n" \
	"991: .asciz \"stapsdt\"\n992: .balign 4\n" \
	"993: .8byte 990b, 0, 0\n.asciz \"lib\"\n.asciz \"" name "\"\n.asciz \"" args "\"\n" \
	"994: .balign 4\n.popsection\n"

int old_twice(int n)
{
	__asm__ volatile("" ::: "memory");
	return n + n;
}
int new_twice(int n)
{
	static const long table[4] = {10, 20, 30, 40};

	counter++;
	/* What a program reads must be in memory. */
	(void)*(const volatile long *)table;
#ifdef __x86_64__
	/* Two places of one probe with different operands. */
	__asm__ volatile(NOTE("twice", "8@8(%%rdi,%%rsi,8) 4@counter(%%rip) 8@%%xmm0")::"D"(table),
			 "S"((long)n & 1)
			 : "memory");
	__asm__ volatile(NOTE("twice", "8@16(%%rdi,%%rsi,8) -4@counter(%%rip) 8@$-3")::"D"(table),
			 "S"((long)n & 1)
			 : "memory");
#endif
	return n * 2;
}
__asm__(".symver old_twice, twice@LIB_1\n.symver new_twice, twice@@LIB_2");
#else
static __attribute__((noinline, used)) int secret(int n)
{
	__asm__ volatile("" ::: "memory");
	return n + 1;
}

#ifdef USE
int twice(int n);
int twice_old(int n);
__asm__(".symver twice_old, twice@LIB_1");
#endif

int main(int argc, char **argv)
{
	int i, n = argc > 1 ? atoi(argv[1]) : 0;

	for (i = 0; i < n; i++) {
		secret(i);
#ifdef USE
		twice(i);
		if (i < 2)
			twice_old(i);
#endif
	}
	while (argc > 2 && !strcmp(argv[1], "wait") && access(argv[2], F_OK) == 0) {
		secret(1);
		usleep(10000);
	}
	return 0;
}
#endif
