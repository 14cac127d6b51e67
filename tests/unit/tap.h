/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TAP from C: ok() a line, done() at the end of main().  A test that calls
 * ok() for something that cannot fail is not a test.
 */
#ifndef TESTS_UNIT_TAP_H
#define TESTS_UNIT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int tap_count, tap_failed;

__attribute__((format(printf, 2, 3))) static inline bool ok(bool good, const char *fmt, ...)
{
	va_list ap;

	printf("%s %d - ", good ? "ok" : "not ok", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	tap_failed += !good;
	return good;
}

static inline bool is_str(const char *got, const char *want, const char *what)
{
	bool good = got && !strcmp(got, want);

	ok(good, "%s", what);
	if (!good)
		printf("#  got: %s\n# want: %s\n", got ? got : "(null)", want);
	return good;
}

static inline bool is_int(long long got, long long want, const char *what)
{
	ok(got == want, "%s", what);
	if (got != want)
		printf("#  got: %lld\n# want: %lld\n", got, want);
	return got == want;
}

/* The plan and the exit status of main(). */
static inline int done(void)
{
	printf("1..%d\n", tap_count);
	return tap_failed ? 1 : 0;
}

#endif
