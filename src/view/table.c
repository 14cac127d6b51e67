/* SPDX-License-Identifier: BSD-2-Clause */
#include "view/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static bool is_array(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static bool is_percpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

bool skep_table_can_show(const struct skep_obj_map *spec)
{
	if (spec->kind == SKEP_OBJ_MAP_INTERNAL || spec->kind == SKEP_OBJ_MAP_RODATA)
		return false;
	switch (spec->type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
	case BPF_MAP_TYPE_LPM_TRIE:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY: return true;
	default: return false;
	}
}

int skep_table_cpu(const struct skep_table *t, size_t row)
{
	int cpu;

	memcpy(&cpu, t->rows + row * t->stride + t->cpu_off, sizeof(cpu));
	return cpu;
}

/* What reading one map needs besides the table. */
struct reading {
	struct skep_table *t;
	struct skep_sys *sys;
	int fd;
	int copies; /* values the system call gives for one key */
	size_t each; /* bytes of one of them */
	unsigned char *values, *key, *next;
};

static int element(struct reading *r, int cmd, const void *key, void *value)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)r->fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	return skep_sys_bpf(r->sys, cmd, &attr, sizeof(attr));
}

static bool all_zero(const unsigned char *p, size_t len)
{
	return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

static int add_row(struct reading *r, const void *key, const unsigned char *value, int cpu)
{
	struct skep_table *t = r->t;
	unsigned char *row;
	int ret;

	if (t->nr == t->cap) {
		ret = skep_vec_grow(&t->rows, t->nr, &t->cap, 1, t->stride);
		if (ret < 0)
			return ret;
	}
	row = t->rows + t->nr * t->stride;
	memset(row, 0, t->stride);
	memcpy(row, key, t->spec->key_size);
	memcpy(row + t->value_off, value, t->spec->value_size);
	memcpy(row + t->cpu_off, &cpu, sizeof(cpu));
	t->nr++;
	return 0;
}

static int add_element(struct reading *r, const void *key)
{
	struct skep_table *t = r->t;
	int ret, i;

	ret = element(r, BPF_MAP_LOOKUP_ELEM, key, r->values);
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret; /* deleted meanwhile */
	for (i = 0; t->per_cpu && i < r->copies; i++) {
		const unsigned char *value = r->values + (size_t)i * r->each;

		ret = all_zero(value, t->spec->value_size) ? 0 : add_row(r, key, value, i);
		if (ret < 0)
			return ret;
	}
	if (t->per_cpu)
		return 0;
	for (i = 1; i < r->copies; i++)
		skep_value_sum(&t->value, r->values, r->values + (size_t)i * r->each);
	if (is_array(t->spec->type) && all_zero(r->values, t->spec->value_size))
		return 0;
	return add_row(r, key, r->values, -1);
}

static int read_array(struct reading *r)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; ret == 0 && i < r->t->spec->max_entries; i++)
		ret = add_element(r, &i);
	return ret;
}

static int read_hash(struct reading *r)
{
	uint64_t left = (uint64_t)r->t->spec->max_entries * 2 + 16;
	unsigned char *swap;
	int ret;

	/* A walk starts anew when its key is deleted; a busy map must not hold us for ever. */
	for (ret = element(r, BPF_MAP_GET_NEXT_KEY, NULL, r->next); ret == 0 && left; left--) {
		swap = r->key;
		r->key = r->next;
		r->next = swap;
		ret = add_element(r, r->key);
		if (ret == 0)
			ret = element(r, BPF_MAP_GET_NEXT_KEY, r->key, r->next);
	}
	return ret == -ENOENT ? 0 : ret;
}

static int compare_cell(const struct skep_columns *columns, const struct skep_column *col,
			const void *a, const void *b)
{
	uint32_t off = col->btf.bit_off / 8;
	bool sign = col->btf.type && skep_btf_is_signed(columns->btf, col->btf.type);
	int64_t x, y;

	if (skep_cell_number(columns, col, a, columns->size, &x) &&
	    skep_cell_number(columns, col, b, columns->size, &y)) {
		if (sign)
			return x < y ? -1 : x > y;
		return (uint64_t)x < (uint64_t)y ? -1 : (uint64_t)x > (uint64_t)y;
	}
	if (off > columns->size || columns->size - off < col->size)
		return 0;
	return memcmp((const char *)a + off, (const char *)b + off, col->size);
}

/* What a value counts: its first number, or the sum of its histogram. */
static uint64_t weight(const struct skep_table *t, const void *value)
{
	const struct skep_column *col;
	uint64_t sum = 0, slot;
	uint32_t each, i;
	int64_t v;

	skep_vec_each (&t->value.cols, col) {
		if (skep_cell_is_number(col) &&
		    skep_cell_number(&t->value, col, value, t->value.size, &v))
			return (uint64_t)v;
		if (col->cell != SKEP_CELL_SLOTS)
			continue;
		each = skep_slot_size(&t->value, col);
		for (i = 0; each && i + each <= col->size; i += each) {
			slot = 0;
			memcpy(&slot, (const char *)value + col->btf.bit_off / 8 + i, each);
			sum += slot;
		}
		return sum;
	}
	return 0;
}

static int compare_rows(const void *a, const void *b, void *table)
{
	const struct skep_table *t = table;
	const struct skep_column *col;
	const char *x = a, *y = b;
	uint64_t wx, wy;
	int d = 0, cx, cy;

	wx = is_array(t->spec->type) ? 0 : weight(t, x + t->value_off);
	wy = is_array(t->spec->type) ? 0 : weight(t, y + t->value_off);
	if (wx != wy)
		return wx < wy ? 1 : -1;
	skep_vec_each (&t->key.cols, col) {
		d = compare_cell(&t->key, col, x, y);
		if (d)
			return d;
	}
	memcpy(&cx, x + t->cpu_off, sizeof(cx));
	memcpy(&cy, y + t->cpu_off, sizeof(cy));
	return cx < cy ? -1 : cx > cy;
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

static int init(struct skep_table *t, const struct skep_obj_map *spec, const struct skep_btf *btf,
		bool stacks, bool per_cpu)
{
	const struct skep_column *only;
	int ret;

	*t = (struct skep_table){.spec = spec, .btf = btf};
	t->value_off = (spec->key_size + 7) & ~(size_t)7;
	t->cpu_off = t->value_off + ((spec->value_size + 7) & ~(size_t)7);
	t->stride = t->cpu_off + 8;
	t->per_cpu = per_cpu && is_percpu(spec->type);
	ret = skep_columns_init(&t->key, btf, spec->key_type, spec->key_size, "key", stacks);
	if (ret == 0)
		ret = skep_columns_init(&t->value, btf, spec->value_type, spec->value_size, "value",
					stacks);
	if (ret < 0)
		return ret;
	only = t->value.cols.len == 1 ? t->value.cols.data : NULL;
	t->slots = is_array(spec->type) && ends_in(spec->name, "hist") && only && !t->per_cpu &&
		   skep_cell_is_number(only) && spec->max_entries <= 64;
	return 0;
}

int skep_table_read(struct skep_table *t, struct skep_sys *sys, const struct skep_loaded_map *map,
		    const struct skep_btf *btf, bool stacks, bool per_cpu, struct skep_err *err)
{
	const struct skep_obj_map *spec = map->spec;
	SKEP_AUTO_FREE unsigned char *memory = NULL;
	struct reading r = {.t = t, .sys = sys, .fd = map->fd, .copies = 1};
	int ret;

	ret = init(t, spec, btf, stacks, per_cpu);
	if (ret < 0) {
		skep_table_deinit(t);
		return skep_fail_nomem(err);
	}
	r.each = (spec->value_size + 7) & ~(size_t)7;
	if (is_percpu(spec->type))
		r.copies = skep_nr_cpus();
	memory = calloc(1, (size_t)r.copies * r.each + 2 * t->value_off + 8);
	if (!memory) {
		skep_table_deinit(t);
		return skep_fail_nomem(err);
	}
	r.values = memory;
	r.key = memory + (size_t)r.copies * r.each;
	r.next = r.key + t->value_off;
	ret = is_array(spec->type) ? read_array(&r) : read_hash(&r);
	if (ret < 0) {
		skep_table_deinit(t);
		return skep_wrap(err, ret, "map '%s': reading its elements", spec->name);
	}
	if (t->nr)
		qsort_r(t->rows, t->nr, t->stride, compare_rows, t);
	return 0;
}

void skep_table_deinit(struct skep_table *t)
{
	skep_columns_deinit(&t->key);
	skep_columns_deinit(&t->value);
	free(t->rows);
	*t = (struct skep_table){0};
}
