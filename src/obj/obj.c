/* SPDX-License-Identifier: BSD-2-Clause */
/* The program object's own questions: what it has, and where it came from. */
#include "obj/obj.h"

#include <stdlib.h>
#include <string.h>

#include "btf/btf.h"

void skep_obj_destroy(struct skep_obj *obj)
{
	if (!obj)
		return;
	skep_btf_destroy(obj->btf);
	free(obj->btf_bytes);
	skep_arena_deinit(&obj->arena);
	free(obj);
}

struct skep_obj_map *skep_obj_find_map(const struct skep_obj *obj, const char *name)
{
	uint32_t i;

	for (i = 0; i < obj->nr_maps; i++)
		if (!strcmp(obj->maps[i].name, name))
			return &obj->maps[i];
	return NULL;
}

struct skep_obj_func *skep_obj_find_prog(const struct skep_obj *obj, const char *name)
{
	uint32_t i;

	for (i = 0; i < obj->nr_funcs; i++)
		if (obj->funcs[i].is_prog && !strcmp(obj->funcs[i].name, name))
			return &obj->funcs[i];
	return NULL;
}

bool skep_obj_source(const struct skep_obj *obj, const struct skep_obj_func *func, uint32_t insn,
		     const char **file, const char **text, uint32_t *line, uint32_t *col)
{
	const struct skep_obj_line *found = NULL;
	uint32_t lo = 0, hi = func->nr_lines, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (func->lines[mid].insn <= insn) {
			found = &func->lines[mid];
			lo = mid + 1;
		} else {
			hi = mid;
		}
	}
	/* Line 0: code of nobody's, put between two lines of the source. */
	while (found && found > func->lines && !BPF_LINE_INFO_LINE_NUM(found->line_col))
		found--;
	if (!found || !obj->btf)
		return false;
	*file = skep_btf_str(obj->btf, found->file_off);
	*text = skep_btf_str(obj->btf, found->line_off);
	*line = BPF_LINE_INFO_LINE_NUM(found->line_col);
	*col = BPF_LINE_INFO_LINE_COL(found->line_col);
	return **file != '\0';
}
