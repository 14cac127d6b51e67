/* SPDX-License-Identifier: BSD-2-Clause */
#include "view/value.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* The integer element type of an array, or NULL. */
static const struct btf_type *int_element(const struct skep_btf *btf, const struct btf_type *t,
					  uint32_t *n)
{
	const struct btf_type *e;

	if (!t || skep_btf_kind(t) != BTF_KIND_ARRAY)
		return NULL;
	*n = skep_btf_array(t)->nelems;
	e = skep_btf_resolve(btf, skep_btf_array(t)->type, NULL);
	return e && skep_btf_kind(e) == BTF_KIND_INT && e->size <= 8 ? e : NULL;
}

/* "b" of "a.b". */
static const char *last_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot ? dot + 1 : name;
}

static enum skep_cell cell_of(const struct skep_btf *btf, const struct skep_btf_column *col,
			      bool stacks)
{
	const struct btf_type *t = skep_btf_resolve(btf, col->type, NULL), *e;
	const char *name = last_name(col->name);
	uint32_t n = 0;

	if (!t)
		return SKEP_CELL_TEXT;
	if (stacks && skep_btf_kind(t) == BTF_KIND_INT && t->size == 4 && !col->bit_size &&
	    strstr(name, "stack"))
		return SKEP_CELL_STACK;
	e = int_element(btf, t, &n);
	if (e && !strcmp(name, "slots") && e->size >= 4 && n && n <= 64)
		return SKEP_CELL_SLOTS;
	return col->number && !skep_btf_is_enum(t) ? SKEP_CELL_NUMBER : SKEP_CELL_TEXT;
}

static uint32_t first_width(const struct skep_btf *btf, const struct skep_column *col)
{
	const struct btf_type *t = skep_btf_resolve(btf, col->btf.type, NULL);
	uint32_t n = 0, name = (uint32_t)strlen(col->btf.name), width = 8;

	if (skep_cell_is_number(col))
		width = col->size == 8 ? 10 : col->size == 4 ? 7 : col->size == 2 ? 5 : 3;
	else if (int_element(btf, t, &n) && n)
		width = n > 32 ? 32 : n - 1;
	return width > name ? width : name;
}

static int add_column(struct skep_columns *columns, const struct skep_btf_column *from,
		      uint32_t size, enum skep_cell cell)
{
	struct skep_column *col = skep_vec_add(&columns->cols);

	if (!col)
		return -ENOMEM;
	col->btf = *from;
	col->cell = cell;
	col->size = size;
	col->width = first_width(columns->btf, col);
	return 0;
}

static int add_typed(struct skep_columns *columns, uint32_t type, const char *name, bool stacks)
{
	const struct btf_type *t = skep_btf_resolve(columns->btf, type, NULL);
	const struct skep_btf_column *cols;
	struct skep_btf_column col;
	int64_t size;
	size_t n, i;
	int ret;

	ret = skep_btf_columns(&columns->arena, columns->btf, type, &cols, &n, NULL);
	for (i = 0; ret == 0 && i < n; i++) {
		col = cols[i];
		size = skep_btf_sizeof(columns->btf, col.type);
		if (!t || !skep_btf_is_composite(t))
			col.name = name;
		if (size >= 0 && size <= UINT32_MAX)
			ret = add_column(columns, &col, (uint32_t)size,
					 cell_of(columns->btf, &col, stacks));
	}
	return ret;
}

int skep_columns_init(struct skep_columns *columns, const struct skep_btf *btf, uint32_t type,
		      uint32_t size, const char *name, bool stacks)
{
	int ret = -EINVAL;

	*columns = (struct skep_columns){.btf = btf, .size = size};
	if (btf && type) {
		ret = add_typed(columns, type, name, stacks);
		columns->type = ret == 0 ? type : 0;
	}
	if (ret == -EINVAL) {
		columns->cols.len = 0;
		ret = add_column(columns, &(struct skep_btf_column){.name = name}, size,
				 SKEP_CELL_BYTES);
	}
	if (ret < 0)
		skep_columns_deinit(columns);
	return ret;
}

void skep_columns_deinit(struct skep_columns *columns)
{
	skep_vec_deinit(&columns->cols);
	skep_arena_deinit(&columns->arena);
}

const struct skep_column *skep_columns_find(const struct skep_columns *columns, enum skep_cell cell)
{
	const struct skep_column *col;

	skep_vec_each (&columns->cols, col)
		if (col->cell == cell)
			return col;
	return NULL;
}

static bool is_word(uint32_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

bool skep_cell_is_number(const struct skep_column *col)
{
	return col->cell == SKEP_CELL_NUMBER || col->cell == SKEP_CELL_STACK ||
	       (col->cell == SKEP_CELL_BYTES && is_word(col->size));
}

bool skep_cell_number(const struct skep_columns *columns, const struct skep_column *col,
		      const void *data, size_t len, int64_t *value)
{
	if (!skep_cell_is_number(col))
		return false;
	if (col->cell != SKEP_CELL_BYTES)
		return skep_btf_number(columns->btf, col->btf.type, col->btf.bit_off,
				       col->btf.bit_size, data, len, value) == 0;
	*value = 0;
	if (len < col->size)
		return false;
	memcpy(value, data, col->size);
	return true;
}

static void bytes_text(const struct skep_column *col, const unsigned char *p, size_t len,
		       struct skep_buf *buf)
{
	uint64_t v = 0;
	size_t i;

	if (skep_cell_is_number(col) && len >= col->size) {
		memcpy(&v, p, col->size);
		skep_buf_printf(buf, "%" PRIu64, v);
		return;
	}
	for (i = 0; i < len && i < col->size; i++)
		skep_buf_printf(buf, "%02x", p[i]);
}

void skep_cell_text(const struct skep_columns *columns, const struct skep_column *col,
		    const void *data, size_t len, struct skep_buf *buf)
{
	if (col->btf.bit_off / 8 >= len && !col->btf.rest)
		skep_buf_putc(buf, '-');
	else if (col->cell == SKEP_CELL_BYTES)
		bytes_text(col, data, len, buf);
	else
		skep_btf_column_text(buf, columns->btf, &col->btf, data, len);
}

struct json_object *skep_value_json(const struct skep_btf *btf, uint32_t type, const void *data,
				    size_t len)
{
	struct skep_column col = {.cell = SKEP_CELL_BYTES, .size = (uint32_t)len};
	struct skep_buf buf = SKEP_BUF_INIT;
	json_object *json;
	uint64_t v = 0;

	if (btf && type)
		return skep_btf_value_json(btf, type, data, len, NULL);
	if (is_word(col.size)) {
		memcpy(&v, data, len);
		return json_object_new_uint64(v);
	}
	bytes_text(&col, data, len, &buf);
	json = json_object_new_string(skep_buf_str(&buf));
	skep_buf_deinit(&buf);
	return json;
}

uint32_t skep_slot_size(const struct skep_columns *columns, const struct skep_column *col)
{
	const struct btf_type *e = NULL;
	uint32_t n;

	if (col->btf.type)
		e = int_element(columns->btf, skep_btf_resolve(columns->btf, col->btf.type, NULL),
				&n);
	return e && e->size && col->size % e->size == 0 ? e->size : 0;
}

/* Sums one integer of @size bytes at @off, which lies inside of both values. */
static void sum_number(unsigned char *to, const unsigned char *from, uint32_t off, uint32_t size)
{
	uint64_t a = 0, b = 0;

	memcpy(&a, to + off, size);
	memcpy(&b, from + off, size);
	a += b;
	memcpy(to + off, &a, size);
}

static void sum_other(unsigned char *to, const unsigned char *from, uint32_t off, uint32_t size)
{
	uint32_t i;

	for (i = 0; i < size; i++)
		if (to[off + i])
			return;
	memcpy(to + off, from + off, size);
}

void skep_value_sum(const struct skep_columns *columns, void *to, const void *from)
{
	const struct skep_column *col;

	skep_vec_each (&columns->cols, col) {
		uint32_t off = col->btf.bit_off / 8, each = skep_slot_size(columns, col), i;

		if (off > columns->size || columns->size - off < col->size)
			continue;
		/* Char arrays are text, not counters. */
		if (each == 1)
			each = 0;
		if (skep_cell_is_number(col) && !col->btf.bit_size && col->size <= 8)
			sum_number(to, from, off, col->size);
		else if (!each)
			sum_other(to, from, off, col->size);
		for (i = 0; each && i + each <= col->size; i += each)
			sum_number(to, from, off + i, each);
	}
}
