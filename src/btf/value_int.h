/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk over a value, shared by its sinks: text and JSON get the same
 * scalars in the same order.
 */
#ifndef SKEP_BTF_VALUE_INT_H
#define SKEP_BTF_VALUE_INT_H

#include "btf/value.h"

enum skep_scalar_kind {
	SKEP_SCALAR_SIGNED, /* i */
	SKEP_SCALAR_UNSIGNED, /* u */
	SKEP_SCALAR_BOOL, /* u */
	SKEP_SCALAR_CHAR, /* i, one byte */
	SKEP_SCALAR_POINTER, /* u */
	SKEP_SCALAR_ENUM, /* s, len */
	SKEP_SCALAR_WIDE, /* hi, u: 128 bits */
	SKEP_SCALAR_FLOAT, /* f; digits */
	SKEP_SCALAR_STRING, /* s, len: bytes as they are */
	SKEP_SCALAR_NONE, /* a type without values: s says which */
};

struct skep_scalar {
	enum skep_scalar_kind kind;
	uint64_t u, hi;
	int64_t i;
	double f;
	int digits; /* that tell @f from its neighbours */
	const char *s;
	size_t len;
};

/* @name: of the member, or NULL within arrays and for the whole. */
struct skep_sink_ops {
	void (*open)(void *sink, const char *name, bool array);
	void (*close)(void *sink, bool array);
	void (*scalar)(void *sink, const char *name, const struct skep_scalar *v);
	/* The bytes ended; nothing but close() follows. */
	void (*truncated)(void *sink);
};

int skep_value_walk(const struct skep_btf *btf, uint32_t id, const void *data, size_t len,
		    const struct skep_sink_ops *ops, void *sink);
/* A field in the middle of a record; @rest as in struct skep_btf_column. */
int skep_value_walk_field(const struct skep_btf *btf, const struct skep_btf_column *column,
			  const void *data, size_t len, const struct skep_sink_ops *ops,
			  void *sink);

#endif
