/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arrays of descriptors: programs for tail calls, perf buffers for output.
 *
 * A slot holds a counted reference.  Slots are written under a lock and read
 * without one; what was in a slot is put only when the map goes or the slot is
 * overwritten, so a reader borrows it until then.
 */
#include <errno.h>
#include <stdlib.h>

#include "map/kind.h"

struct slots {
	struct skep_spin lock;
	uint32_t prog_type; /* of the first program; all others are like it */
	bool any; /* prog_type is set */
	_Atomic(void *) at[];
};

static int check(const union bpf_attr *attr, struct skep_err *err)
{
	if (attr->value_size != 4)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "value_size is %u, values are 4-byte descriptors",
				 attr->value_size);
	if (attr->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "flags 0x%x do not fit this kind",
				 attr->map_flags);
	return skep_array_check(attr, err);
}

static int init(struct skep_map *map, struct skep_err *err)
{
	struct slots *s;

	s = calloc(1, sizeof(*s) + (size_t)map->max_entries * sizeof(s->at[0]));
	if (!s)
		return skep_fail_nomem(err);
	map->priv = s;
	return 0;
}

static void put(struct skep_map *map, void *p)
{
	if (!p)
		return;
	if (map->type == BPF_MAP_TYPE_PROG_ARRAY)
		map->prog_ops->put(p);
	else
		skep_perf_ring_put(p);
}

static void release(struct skep_map *map)
{
	struct slots *s = map->priv;
	uint32_t i;

	if (map->flags & BPF_F_PRESERVE_ELEMS)
		return;
	for (i = 0; i < map->max_entries; i++)
		put(map, atomic_exchange(&s->at[i], NULL));
}

static void deinit(struct skep_map *map)
{
	map->flags &= ~(uint32_t)BPF_F_PRESERVE_ELEMS;
	release(map);
	free(map->priv);
}

static uint32_t number(const void *p)
{
	uint32_t i;

	memcpy(&i, p, sizeof(i));
	return i;
}

/* All programs of one array are of one type, as a tail call keeps the context. */
static int check_prog(struct skep_map *map, void *prog)
{
	struct slots *s = map->priv;
	uint32_t type = map->prog_ops->type ? map->prog_ops->type(prog) : 0;
	int ret = 0;

	skep_spin_lock(&s->lock);
	if (!s->any) {
		s->any = true;
		s->prog_type = type;
	} else if (s->prog_type != type) {
		ret = -EINVAL;
	}
	skep_spin_unlock(&s->lock);
	return ret;
}

static int update(struct skep_map *map, const void *key, const void *value, uint64_t flags)
{
	bool progs = map->type == BPF_MAP_TYPE_PROG_ARRAY;
	struct slots *s = map->priv;
	uint32_t i = number(key);
	int fd = (int)number(value);
	void *p = NULL;

	if (flags != BPF_ANY)
		return -EINVAL;
	if (i >= map->max_entries)
		return -E2BIG;
	if (progs && map->prog_ops)
		p = map->prog_ops->get(map->prog_ctx, fd);
	else if (!progs && map->output_get)
		p = map->output_get(map->prog_ctx, fd);
	if (!p)
		return -EBADF;
	if (progs && check_prog(map, p)) {
		put(map, p);
		return -EINVAL;
	}
	put(map, atomic_exchange(&s->at[i], p));
	return 0;
}

static int del(struct skep_map *map, const void *key)
{
	struct slots *s = map->priv;
	uint32_t i = number(key);
	void *old;

	if (i >= map->max_entries)
		return -E2BIG;
	old = atomic_exchange(&s->at[i], NULL);
	if (!old)
		return -ENOENT;
	put(map, old);
	return 0;
}

static int prog_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	const void *prog = skep_prog_array_get(map, number(key));
	uint32_t id;

	if (!prog)
		return -ENOENT;
	id = map->prog_ops->id(prog);
	memcpy(value, &id, sizeof(id));
	return 0;
}

static int perf_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	return -SKEP_ENOTSUPP;
}

void *skep_prog_array_get(struct skep_map *map, uint32_t index)
{
	struct slots *s = map->priv;

	if (index >= map->max_entries)
		return NULL;
	return atomic_load_explicit(&s->at[index], memory_order_acquire);
}

struct skep_perf_ring *skep_perf_array_get(struct skep_map *map, uint32_t index)
{
	struct skep_perf_ring *ring = skep_prog_array_get(map, index);

	return ring ? skep_perf_ring_get(ring) : NULL;
}

const struct skep_map_ops skep_map_prog_array = {
	.name = "prog_array",
	.check = check,
	.init = init,
	.deinit = deinit,
	.release = release,
	.sys_lookup = prog_lookup,
	.sys_update = update,
	.sys_delete = del,
	.next_key = skep_array_next_key,
};

const struct skep_map_ops skep_map_perf_event_array = {
	.name = "perf_event_array",
	.check = check,
	.init = init,
	.deinit = deinit,
	.release = release,
	.sys_lookup = perf_lookup,
	.sys_update = update,
	.sys_delete = del,
	.next_key = skep_array_next_key,
};
