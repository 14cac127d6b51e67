/* SPDX-License-Identifier: BSD-2-Clause */
/* What the renderers share: their table, stacks, histograms. */
#include "view/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const struct skep_view_ops *const renderers[] = {&skep_view_text, &skep_view_json};

int skep_view_init(struct skep_view *view, const char *name, FILE *out)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(renderers); i++) {
		if (strcmp(renderers[i]->name, name))
			continue;
		*view = (struct skep_view){.ops = renderers[i], .out = out};
		return 0;
	}
	return -EINVAL;
}

void skep_view_deinit(struct skep_view *view)
{
	if (view->ops && view->ops->deinit)
		view->ops->deinit(view);
	*view = (struct skep_view){0};
}

static const struct skep_loaded_map *stack_map(const struct skep_view *view)
{
	uint32_t i;

	for (i = 0; view->loaded && i < view->loaded->nr_maps; i++)
		if (view->loaded->maps[i].spec->type == BPF_MAP_TYPE_STACK_TRACE)
			return &view->loaded->maps[i];
	return NULL;
}

bool skep_view_has_stacks(const struct skep_view *view)
{
	return stack_map(view) != NULL;
}

static pid_t pid_of(const struct skep_view *view, const struct skep_columns *columns,
		    const void *data)
{
	const struct skep_column *col;
	int64_t pid;

	skep_vec_each (&columns->cols, col)
		if ((!strcmp(col->btf.name, "pid") || !strcmp(col->btf.name, "tgid")) &&
		    skep_cell_number(columns, col, data, columns->size, &pid) && pid > 0)
			return (pid_t)pid;
	return view->pid;
}

int skep_view_stack(struct skep_view *view, const struct skep_columns *columns, const void *data,
		    int64_t id, skep_frame_fn *fn, void *ctx)
{
	const struct skep_loaded_map *map = stack_map(view);
	SKEP_AUTO_FREE uint64_t *ips = NULL;
	uint32_t key = (uint32_t)id, i, depth;
	union bpf_attr attr;
	char text[512];
	int ret;

	if (!map || id < 0)
		return id < 0 ? (int)id : -ENOENT;
	ips = calloc(1, map->spec->value_size + 8);
	if (!ips)
		return -ENOMEM;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map->fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)ips;
	ret = skep_sys_bpf(view->loaded->sys, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr));
	if (ret < 0)
		return ret;
	depth = map->spec->value_size / 8;
	for (i = 0; i < depth && ips[i]; i++) {
		if (view->symtab)
			skep_symtab_text(view->symtab, pid_of(view, columns, data), ips[i], text,
					 sizeof(text));
		else
			snprintf(text, sizeof(text), "0x%" PRIx64, ips[i]);
		fn(ctx, text);
	}
	return (int)i;
}

unsigned int skep_hist_counts(const struct skep_columns *columns, const struct skep_column *col,
			      const void *value, uint64_t counts[64])
{
	uint32_t each = skep_slot_size(columns, col), off = col->btf.bit_off / 8, n, i;

	if (!each || off > columns->size || columns->size - off < col->size)
		return 0;
	n = col->size / each < 64 ? col->size / each : 64;
	for (i = 0; i < n; i++) {
		counts[i] = 0;
		memcpy(&counts[i], (const char *)value + off + i * each, each);
	}
	return n;
}

void skep_hist_range(unsigned int i, uint64_t *low, uint64_t *high)
{
	*low = i ? 1ull << i : 0;
	*high = i >= 63 ? UINT64_MAX : (2ull << i) - 1;
}

void skep_hist_text(FILE *out, const uint64_t *counts, unsigned int n)
{
	static const char stars[] = "****************************************";
	unsigned int i, first, last, bar, full = sizeof(stars) - 1;
	uint64_t max = 0, low, high;
	int wide = 10;

	for (first = 0; first < n && !counts[first]; first++)
		;
	for (last = n; last > first && !counts[last - 1]; last--)
		;
	for (i = first; i < last; i++)
		max = counts[i] > max ? counts[i] : max;
	if (!max)
		return;
	if (last > 32)
		wide = 20;
	fprintf(out, "  %*s    %-*s : count     distribution\n", wide, "value", wide, "");
	for (i = first; i < last; i++) {
		skep_hist_range(i, &low, &high);
		bar = (unsigned int)((double)counts[i] / (double)max * full);
		fprintf(out, "  %*" PRIu64 " -> %-*" PRIu64 " : %-9" PRIu64 "|%-*.*s|\n", wide, low,
			wide, high, counts[i], (int)full, (int)bar, stars);
	}
}
