/* SPDX-License-Identifier: BSD-2-Clause */
/* Makes BTF in memory, also such as no compiler would. */
#ifndef TESTS_UNIT_BTF_BUILD_H
#define TESTS_UNIT_BTF_BUILD_H

#include <linux/btf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct build {
	uint32_t types[4096];
	char strs[4096], image[32768];
	uint32_t ntypes; /* words */
	uint32_t nstrs; /* bytes; set to 1 */
	uint32_t id; /* of the last type */
};

#define BUILD_INIT \
	{ \
		.nstrs = 1 \
	}
#define INFO(kind, kflag, vlen) ((uint32_t)(kflag) << 31 | (uint32_t)(kind) << 24 | (vlen))

static inline uint32_t b_str(struct build *b, const char *s)
{
	uint32_t off = b->nstrs;

	if (!*s)
		return 0;
	strcpy(b->strs + off, s);
	b->nstrs += (uint32_t)strlen(s) + 1;
	return off;
}

static inline void b_word(struct build *b, uint32_t w)
{
	b->types[b->ntypes++] = w;
}

/* A type's header; what follows goes in with b_word().  Its id. */
static inline uint32_t b_type(struct build *b, const char *name, uint32_t info, uint32_t size)
{
	b_word(b, b_str(b, name));
	b_word(b, info);
	b_word(b, size);
	return ++b->id;
}

static inline uint32_t b_int(struct build *b, const char *name, uint32_t size, uint32_t enc)
{
	uint32_t id = b_type(b, name, INFO(BTF_KIND_INT, 0, 0), size);

	b_word(b, enc << 24 | size * 8);
	return id;
}

static inline uint32_t b_array(struct build *b, uint32_t type, uint32_t n)
{
	uint32_t id = b_type(b, "", INFO(BTF_KIND_ARRAY, 0, 0), 0);

	b_word(b, type);
	b_word(b, 1);
	b_word(b, n);
	return id;
}

static inline void b_member(struct build *b, const char *name, uint32_t type, uint32_t off)
{
	b_word(b, b_str(b, name));
	b_word(b, type);
	b_word(b, off);
}

/* The file; lives in @b. */
static inline const void *b_image(struct build *b, size_t *len)
{
	struct btf_header h = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(h),
		.type_len = b->ntypes * 4,
		.str_off = b->ntypes * 4,
		.str_len = b->nstrs,
	};

	memcpy(b->image, &h, sizeof(h));
	memcpy(b->image + sizeof(h), b->types, h.type_len);
	memcpy(b->image + sizeof(h) + h.type_len, b->strs, h.str_len);
	*len = sizeof(h) + h.type_len + h.str_len;
	return b->image;
}

#endif
