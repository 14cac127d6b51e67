/* SPDX-License-Identifier: BSD-2-Clause */
/* Objects of the user engine: references, ids, links. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf/btf.h"
#include "user/engine.h"

static void types_free(struct skep_types *types)
{
	skep_btf_destroy(types->btf);
	free(types);
}

static void opened_free(struct skep_opened *opened)
{
	if (opened->pointed && opened->point.source && opened->point.source->close)
		opened->point.source->close(&opened->point);
	skep_vec_deinit(&opened->point.progs);
	skep_perf_ring_put(opened->ring);
	free(opened);
}

static void link_free(struct skep_link *link)
{
	struct skep_point *point = &link->opened->point;
	size_t i;

	for (i = 0; i < point->progs.len; i++) {
		if (point->progs.data[i].prog != link->prog ||
		    point->progs.data[i].cookie != link->cookie)
			continue;
		/* The order of the others is the order in which they run. */
		point->progs.len--;
		memmove(&point->progs.data[i], &point->progs.data[i + 1],
			(point->progs.len - i) * sizeof(point->progs.data[0]));
		break;
	}
	skep_obj_put(SKEP_USER_EVENT, link->opened);
	skep_obj_put(SKEP_USER_PROG, link->prog);
	free(link->tp_name);
	free(link);
}

static int *refs_of(enum skep_user_kind kind, void *obj)
{
	switch (kind) {
	case SKEP_USER_PROG: return &((struct skep_prog *)obj)->refs;
	case SKEP_USER_BTF: return &((struct skep_types *)obj)->refs;
	case SKEP_USER_LINK: return &((struct skep_link *)obj)->refs;
	default: return &((struct skep_opened *)obj)->refs;
	}
}

void skep_obj_get(enum skep_user_kind kind, void *obj)
{
	if (kind == SKEP_USER_MAP)
		skep_map_get(obj);
	else
		++*refs_of(kind, obj);
}

void skep_obj_put(enum skep_user_kind kind, void *obj)
{
	if (!obj)
		return;
	if (kind == SKEP_USER_MAP) {
		struct skep_map *map = obj;
		struct skep_types *types = map->refs == 1 ? map->owner : NULL;

		skep_map_put(map);
		skep_obj_put(SKEP_USER_BTF, types);
		return;
	}
	if (--*refs_of(kind, obj))
		return;
	switch (kind) {
	case SKEP_USER_PROG: skep_prog_free(obj); break;
	case SKEP_USER_BTF: types_free(obj); break;
	case SKEP_USER_LINK: link_free(obj); break;
	default: opened_free(obj); break;
	}
}

uint32_t skep_obj_id(enum skep_user_kind kind, const void *obj)
{
	switch (kind) {
	case SKEP_USER_MAP: return ((const struct skep_map *)obj)->id;
	case SKEP_USER_PROG: return ((const struct skep_prog *)obj)->id;
	case SKEP_USER_BTF: return ((const struct skep_types *)obj)->id;
	case SKEP_USER_LINK: return ((const struct skep_link *)obj)->id;
	default: return 0;
	}
}

int skep_user_register(struct skep_user *user, enum skep_user_kind kind, void *obj)
{
	uint32_t id = user->next_id[kind] + 1;

	if (skep_vec_push(&user->ids[kind], obj))
		return -ENOMEM;
	switch (kind) {
	case SKEP_USER_MAP: ((struct skep_map *)obj)->id = id; break;
	case SKEP_USER_PROG: ((struct skep_prog *)obj)->id = id; break;
	case SKEP_USER_BTF: ((struct skep_types *)obj)->id = id; break;
	default: ((struct skep_link *)obj)->id = id; break;
	}
	user->next_id[kind] = id;
	skep_obj_get(kind, obj);
	return 0;
}

void *skep_user_by_id(struct skep_user *user, enum skep_user_kind kind, uint32_t id)
{
	size_t i;

	for (i = 0; i < user->ids[kind].len; i++) {
		if (skep_obj_id(kind, user->ids[kind].data[i]) == id)
			return user->ids[kind].data[i];
	}
	return NULL;
}

static bool only_table(enum skep_user_kind kind, void *obj)
{
	return (kind == SKEP_USER_MAP ? ((struct skep_map *)obj)->refs : *refs_of(kind, obj)) == 1;
}

/* Links before programs before maps and types: each may have held the next. */
void skep_user_sweep(struct skep_user *user)
{
	static const enum skep_user_kind order[] = {SKEP_USER_LINK, SKEP_USER_PROG, SKEP_USER_MAP,
						    SKEP_USER_BTF};
	bool again = true;
	size_t k, i;

	while (again) {
		again = false;
		for (k = 0; k < sizeof(order) / sizeof(order[0]); k++) {
			enum skep_user_kind kind = order[k];

			for (i = user->ids[kind].len; i-- > 0;) {
				void *obj = user->ids[kind].data[i];

				if (!only_table(kind, obj))
					continue;
				user->ids[kind].len--;
				memmove(&user->ids[kind].data[i], &user->ids[kind].data[i + 1],
					(user->ids[kind].len - i) * sizeof(void *));
				skep_obj_put(kind, obj);
				again = true;
			}
		}
	}
}

struct skep_link *skep_link_create(uint32_t type, struct skep_prog *prog,
				   struct skep_opened *opened, uint64_t cookie)
{
	struct skep_attached attached = {.prog = prog, .cookie = cookie};
	struct skep_link *link = calloc(1, sizeof(*link));

	if (!link || skep_vec_push(&opened->point.progs, attached)) {
		free(link);
		return NULL;
	}
	link->refs = 1;
	link->type = type;
	link->prog = prog;
	link->opened = opened;
	link->cookie = cookie;
	skep_obj_get(SKEP_USER_PROG, prog);
	skep_obj_get(SKEP_USER_EVENT, opened);
	return link;
}

static void *prog_get(void *ctx, int fd)
{
	int ret;
	void *prog = skep_user_obj(ctx, fd, SKEP_USER_PROG, &ret);

	if (prog)
		skep_obj_get(SKEP_USER_PROG, prog);
	return prog;
}

static void prog_put(void *prog)
{
	skep_obj_put(SKEP_USER_PROG, prog);
}

static uint32_t prog_id(const void *prog)
{
	return ((const struct skep_prog *)prog)->id;
}

static uint32_t prog_type(const void *prog)
{
	return ((const struct skep_prog *)prog)->type;
}

static const struct skep_vm_prog *prog_vm(const void *prog)
{
	return ((const struct skep_prog *)prog)->vm;
}

static struct skep_map *map_of(void *ctx, int fd, int *ret)
{
	return skep_user_obj(ctx, fd, SKEP_USER_MAP, ret);
}

const struct skep_map_prog_ops skep_user_prog_ops = {
	.get = prog_get,
	.put = prog_put,
	.id = prog_id,
	.type = prog_type,
	.vm_prog = prog_vm,
	.map = map_of,
};

void *skep_user_output_get(void *user, int fd)
{
	int ret;
	struct skep_opened *opened = skep_user_obj(user, fd, SKEP_USER_EVENT, &ret);

	return opened && opened->kind == SKEP_EVENT_OUTPUT ? skep_perf_ring_get(opened->ring)
							   : NULL;
}
