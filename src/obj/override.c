/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What users change in an object that they cannot compile again: where a
 * program attaches, and how many entries a map has.  Tools of others leave
 * both open in their objects and settle them when they start.
 */
#include <errno.h>
#include <string.h>

#include "base/near.h"
#include "obj/obj.h"

int skep_obj_use_section(struct skep_arena *arena, struct skep_obj_func *func, const char *sec,
			 struct skep_err *err)
{
	const struct skep_event_def *def;
	const char *args;

	def = skep_event_find(sec, &args, err);
	if (!def)
		return -EINVAL;
	args = skep_arena_strdup(arena, args);
	if (!args)
		return skep_fail_nomem(err);
	func->event = def;
	func->args = args;
	func->prog_type = def->prog_type;
	func->attach_type = def->attach_type;
	func->prog_flags = (def->flags & SKEP_EV_SLEEPABLE ? BPF_F_SLEEPABLE : 0) |
			   (def->flags & SKEP_EV_FRAGS ? BPF_F_XDP_HAS_FRAGS : 0);
	/* "?tracepoint/...": libbpf's mark for what is loaded only when asked for. */
	func->autoload = sec[0] != '?';
	return 0;
}

int skep_obj_set_section(struct skep_obj *obj, const char *prog, const char *sec,
			 struct skep_err *err)
{
	struct skep_obj_func *func = skep_obj_find_prog(obj, prog);
	struct skep_near near;
	char text[300];
	uint32_t i;
	int ret;

	if (!func) {
		skep_near_init(&near, prog);
		for (i = 0; i < obj->nr_funcs; i++)
			if (obj->funcs[i].is_prog)
				skep_near_add(&near, obj->funcs[i].name);
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "%s: has no program '%s'%s",
				 obj->name, prog, skep_near_text(&near, text, sizeof(text)));
	}
	if (!*sec) {
		func->autoload = false;
		return 0;
	}
	ret = skep_obj_use_section(&obj->arena, func, sec, err);
	return ret < 0 ? skep_wrap(err, ret, "program '%s'", prog) : 0;
}

int skep_obj_set_entries(struct skep_obj *obj, const char *name, uint32_t entries,
			 struct skep_err *err)
{
	struct skep_obj_map *map = skep_obj_find_map(obj, name);
	struct skep_near near;
	char text[300];
	uint32_t i;

	if (map && map->kind == SKEP_OBJ_MAP_PLAIN) {
		map->max_entries = entries;
		return 0;
	}
	if (map)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: map '%s' holds variables: its size is theirs", obj->name,
				 name);
	skep_near_init(&near, name);
	for (i = 0; i < obj->nr_maps; i++)
		if (obj->maps[i].kind == SKEP_OBJ_MAP_PLAIN)
			skep_near_add(&near, obj->maps[i].name);
	return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "%s: has no map '%s'%s", obj->name, name,
			 skep_near_text(&near, text, sizeof(text)));
}
