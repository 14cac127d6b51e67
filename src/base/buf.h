/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing text buffer.  Running out of memory is sticky: `oom` is set, what
 * follows is dropped, and the one check stands where the text is used.
 */
#ifndef SKEP_BASE_BUF_H
#define SKEP_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct skep_buf {
	char *data; /* NUL-terminated unless NULL */
	size_t len, cap;
	bool oom;
};

#define SKEP_BUF_INIT \
	{ \
		0 \
	}

void skep_buf_deinit(struct skep_buf *buf);
void skep_buf_reset(struct skep_buf *buf); /* len = 0; keeps the memory */
void skep_buf_add(struct skep_buf *buf, const void *data, size_t len);
void skep_buf_puts(struct skep_buf *buf, const char *s);
void skep_buf_putc(struct skep_buf *buf, char c);
void skep_buf_printf(struct skep_buf *buf, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void skep_buf_vprintf(struct skep_buf *buf, const char *fmt, va_list ap);
/* Removes everything from @len on. */
void skep_buf_cut(struct skep_buf *buf, size_t len);
/* The text, never NULL. */
const char *skep_buf_str(const struct skep_buf *buf);
/* Hands the malloc'ed text to the caller (NULL when out of memory) and empties @buf. */
char *skep_buf_take(struct skep_buf *buf);

#endif
