/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void skep_buf_deinit(struct skep_buf *buf)
{
	free(buf->data);
	*buf = (struct skep_buf)SKEP_BUF_INIT;
}

void skep_buf_reset(struct skep_buf *buf)
{
	skep_buf_cut(buf, 0);
	buf->oom = false;
}

static bool reserve(struct skep_buf *buf, size_t more)
{
	size_t need, cap = buf->cap ? buf->cap : 64;
	char *p;

	if (buf->oom || __builtin_add_overflow(buf->len, more + 1, &need)) {
		buf->oom = true;
		return false;
	}
	if (need <= buf->cap)
		return true;
	while (cap < need)
		cap *= 2;
	p = realloc(buf->data, cap);
	if (!p) {
		buf->oom = true;
		return false;
	}
	buf->data = p;
	buf->cap = cap;
	return true;
}

void skep_buf_add(struct skep_buf *buf, const void *data, size_t len)
{
	if (!reserve(buf, len))
		return;
	if (len)
		memcpy(buf->data + buf->len, data, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void skep_buf_puts(struct skep_buf *buf, const char *s)
{
	skep_buf_add(buf, s, strlen(s));
}

void skep_buf_putc(struct skep_buf *buf, char c)
{
	skep_buf_add(buf, &c, 1);
}

void skep_buf_vprintf(struct skep_buf *buf, const char *fmt, va_list ap)
{
	va_list copy;
	int n;

	va_copy(copy, ap);
	n = vsnprintf(NULL, 0, fmt, copy);
	va_end(copy);
	if (n < 0 || !reserve(buf, (size_t)n))
		return;
	vsnprintf(buf->data + buf->len, (size_t)n + 1, fmt, ap);
	buf->len += (size_t)n;
}

void skep_buf_printf(struct skep_buf *buf, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	skep_buf_vprintf(buf, fmt, ap);
	va_end(ap);
}

void skep_buf_cut(struct skep_buf *buf, size_t len)
{
	if (len >= buf->len)
		return;
	buf->len = len;
	buf->data[len] = '\0';
}

const char *skep_buf_str(const struct skep_buf *buf)
{
	return buf->data ? buf->data : "";
}

char *skep_buf_take(struct skep_buf *buf)
{
	char *p;

	if (!buf->data && !buf->oom)
		skep_buf_puts(buf, "");
	p = buf->oom ? NULL : buf->data;
	if (buf->oom)
		free(buf->data);
	*buf = (struct skep_buf)SKEP_BUF_INIT;
	return p;
}
