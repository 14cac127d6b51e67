/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bounds-checked reading of untrusted bytes.
 *
 * A reader is a window of bytes and a position.  Reading past the end gives
 * zeroes and sets `bad`, which stays set: parse first, check once.
 * Values are in the byte order of this machine unless `swap` is set.
 */
#ifndef SKEP_BASE_READER_H
#define SKEP_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct skep_reader {
	const unsigned char *data;
	size_t len, pos;
	bool bad, swap;
};

static inline struct skep_reader skep_reader_init(const void *data, size_t len)
{
	return (struct skep_reader){.data = data, .len = len};
}

static inline size_t skep_reader_left(const struct skep_reader *r)
{
	return r->bad ? 0 : r->len - r->pos;
}

/* @n bytes at the position, which moves on; NULL and bad when there are fewer. */
static inline const void *skep_reader_take(struct skep_reader *r, size_t n)
{
	const void *p;

	if (r->bad || r->len - r->pos < n) {
		r->bad = true;
		return NULL;
	}
	p = r->data + r->pos;
	r->pos += n;
	return p;
}

static inline void skep_reader_seek(struct skep_reader *r, size_t pos)
{
	if (pos > r->len)
		r->bad = true;
	else
		r->pos = pos;
}

/* A reader of @len bytes at @off of @r's data; bad when they are not there. */
static inline struct skep_reader skep_reader_sub(const struct skep_reader *r, size_t off,
						 size_t len)
{
	struct skep_reader sub = {.swap = r->swap};

	if (r->bad || off > r->len || r->len - off < len) {
		sub.bad = true;
		return sub;
	}
	sub.data = r->data + off;
	sub.len = len;
	return sub;
}

#define SKEP_READER_GET(name, type, swapper) \
	static inline type skep_reader_##name(struct skep_reader *r) \
	{ \
		const void *p = skep_reader_take(r, sizeof(type)); \
		type v = 0; \
\
		if (p) \
			memcpy(&v, p, sizeof(v)); \
		return r->swap ? swapper(v) : v; \
	}

#define SKEP_SWAP8(v) (v)
SKEP_READER_GET(u8, uint8_t, SKEP_SWAP8)
SKEP_READER_GET(u16, uint16_t, __builtin_bswap16)
SKEP_READER_GET(u32, uint32_t, __builtin_bswap32)
SKEP_READER_GET(u64, uint64_t, __builtin_bswap64)
#undef SKEP_READER_GET

/* The NUL-terminated string at @off of a string table, or NULL if it does not end inside. */
static inline const char *skep_reader_str(const struct skep_reader *r, size_t off)
{
	if (off >= r->len || !memchr(r->data + off, 0, r->len - off))
		return NULL;
	return (const char *)r->data + off;
}

#endif
