/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The columns of keys, values and records: btf's columns, and what a table
 * makes of each of them.
 *
 * The bytes come from programs and may be shorter than their type: a cell that
 * does not lie whole in them is shown as missing.
 */
#ifndef SKEP_VIEW_VALUE_H
#define SKEP_VIEW_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/vec.h"
#include "btf/btf.h"
#include "btf/value.h"

struct json_object;

enum skep_cell {
	SKEP_CELL_NUMBER,
	SKEP_CELL_TEXT, /* what btf's text of it is */
	SKEP_CELL_BYTES, /* no type known: a number of 1, 2, 4 or 8 bytes, else hexadecimal */
	SKEP_CELL_STACK, /* an int called *stack*: a key of the stack trace map */
	SKEP_CELL_SLOTS, /* an array of counters called `slots`: a histogram */
};

struct skep_column {
	struct skep_btf_column btf; /* type 0 for SKEP_CELL_BYTES */
	enum skep_cell cell;
	uint32_t size; /* bytes; 0: what is left */
	uint32_t width; /* characters that most values fit in */
};

struct skep_columns {
	const struct skep_btf *btf; /* borrowed */
	uint32_t type, size; /* of the whole value */
	struct skep_arena arena;
	SKEP_VEC(struct skep_column) cols;
};

/*
 * The columns of a value of @type (0: unknown) of @size bytes; @name is what a
 * value that is no struct is called.  @stacks: there is a stack trace map.
 * 0 or -ENOMEM.
 */
int skep_columns_init(struct skep_columns *columns, const struct skep_btf *btf, uint32_t type,
		      uint32_t size, const char *name, bool stacks);
void skep_columns_deinit(struct skep_columns *columns);
const struct skep_column *skep_columns_find(const struct skep_columns *columns,
					    enum skep_cell cell);

/* The cell as text, appended to @buf; "-" if it is missing. */
void skep_cell_text(const struct skep_columns *columns, const struct skep_column *col,
		    const void *data, size_t len, struct skep_buf *buf);
/* The cell as a number; false if it is none or missing. */
bool skep_cell_number(const struct skep_columns *columns, const struct skep_column *col,
		      const void *data, size_t len, int64_t *value);
/* True for numbers, stack ids and what is shown as a number for want of a type. */
bool skep_cell_is_number(const struct skep_column *col);

/* A value of @type (0: unknown) as JSON; NULL (JSON's null) for malformed types. */
struct json_object *skep_value_json(const struct skep_btf *btf, uint32_t type, const void *data,
				    size_t len);

/* Bytes of one counter if @col is an array of integers of up to 8 bytes, else 0. */
uint32_t skep_slot_size(const struct skep_columns *columns, const struct skep_column *col);

/*
 * Adds @from to @to, number by number, as @columns sees them; what is not a
 * number is taken from @from where @to has only zeroes.  Both columns->size bytes.
 */
void skep_value_sum(const struct skep_columns *columns, void *to, const void *from);

#endif
