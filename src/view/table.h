/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a map holds at one moment, read through the waist: rows of key and
 * value in the order in which they are shown.
 *
 * Per-CPU values are summed, or kept a row each.  Rows of zeroes are left out
 * of arrays: nobody has written to them.
 */
#ifndef SKEP_VIEW_TABLE_H
#define SKEP_VIEW_TABLE_H

#include "obj/load.h"
#include "view/value.h"

struct skep_table {
	const struct skep_obj_map *spec; /* borrowed */
	const struct skep_btf *btf; /* the object's, borrowed */
	struct skep_columns key, value;
	bool per_cpu; /* rows are of one CPU each */
	bool slots; /* an array called *hist: the keys are powers of two, the values counts */
	unsigned char *rows;
	size_t nr, cap, stride;
	size_t value_off; /* from the start of a row; the key is at its start */
	size_t cpu_off;
};

static inline const void *skep_table_key(const struct skep_table *t, size_t row)
{
	return t->rows + row * t->stride;
}

static inline const void *skep_table_value(const struct skep_table *t, size_t row)
{
	return t->rows + row * t->stride + t->value_off;
}

/* The CPU of a row, -1 if the row is not of one. */
int skep_table_cpu(const struct skep_table *t, size_t row);

/* True for maps with elements that can be shown: hashes, arrays, and data sections. */
bool skep_table_can_show(const struct skep_obj_map *spec);
/* Variables are shown by name, not as a table. */
static inline bool skep_table_is_data(const struct skep_obj_map *spec)
{
	return spec->kind == SKEP_OBJ_MAP_DATA || spec->kind == SKEP_OBJ_MAP_BSS;
}

/*
 * Reads @map of an object with types @btf.  @stacks: the object has a stack
 * trace map.  0 or -errno.  Release with skep_table_deinit().
 */
int skep_table_read(struct skep_table *t, struct skep_sys *sys, const struct skep_loaded_map *map,
		    const struct skep_btf *btf, bool stacks, bool per_cpu, struct skep_err *err);
void skep_table_deinit(struct skep_table *t);

#endif
