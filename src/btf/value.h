/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes as values of a BTF type: as a line of text, as JSON, as table columns.
 *
 * Text is C's designated initializers, on one line:
 *	{ .pid = 12, .comm = "ls", .pos = { .x = 1, .y = -2 }, .ptr = 0xffff8000, .tag = [1, 2] }
 * Arrays of `char` are strings up to their first zero byte, other arrays lists;
 * enums go by name where one fits; `char` is 'a' where it can be printed;
 * fields of nameless structs and unions stand with their parent's; all members
 * of a union are shown.  An array without length that ends the outermost
 * struct takes the bytes that are left.  What does not fit the bytes given is
 * left out, and "(truncated)" stands in its place ("truncated": true in JSON).
 *
 * Nothing here reads outside of the bytes, whatever the type says.
 */
#ifndef SKEP_BTF_VALUE_H
#define SKEP_BTF_VALUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "btf/btf.h"

struct json_object;

/* Appends @data as type @id.  0, or -EINVAL: the type is malformed (@out has what was printed). */
int skep_btf_value_text(struct skep_buf *out, const struct skep_btf *btf, uint32_t id,
			const void *data, size_t len);

/*
 * @data as JSON, owned by the caller; NULL out of memory or for malformed
 * types.  Integers are exact up to 64 bits; pointers and 128-bit integers are
 * strings "0x..."; floats that are no numbers are null; bytes of strings that
 * are not UTF-8 become U+FFFD.
 */
struct json_object *skep_btf_value_json(const struct skep_btf *btf, uint32_t id, const void *data,
					size_t len, struct skep_err *err);

/* A column: a field of a struct that is not itself a struct. */
struct skep_btf_column {
	const char *name; /* "pid", "pos.x" */
	uint32_t type;
	uint32_t bit_off, bit_size; /* bit_size 0: not a bit field */
	bool number; /* a table aligns it to the right */
	bool rest; /* an array without length: takes what is left of the record */
};

/*
 * The columns of type @id, once for all of its records: the fields of nested
 * structs one by one; arrays and named unions are a column each; a type that is
 * no struct is one column named "value".  In @arena.  0, -ENOMEM, or -EINVAL.
 */
int skep_btf_columns(struct skep_arena *arena, const struct skep_btf *btf, uint32_t id,
		     const struct skep_btf_column **columns, size_t *n, struct skep_err *err);

/* One column of a record, as skep_btf_value_text(), but strings without their quotes. */
int skep_btf_column_text(struct skep_buf *out, const struct skep_btf *btf,
			 const struct skep_btf_column *column, const void *data, size_t len);

/*
 * The number in a column or field: integers, enums, bools, pointers, bit
 * fields up to 64 bits, sign-extended if signed.  -EINVAL: it is none, or lies
 * outside of the bytes.
 */
int skep_btf_number(const struct skep_btf *btf, uint32_t type, uint32_t bit_off, uint32_t bit_size,
		    const void *data, size_t len, int64_t *value);

#endif
