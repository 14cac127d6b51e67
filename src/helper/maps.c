/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers on maps: elements, queues, iteration. */
#include <stdlib.h>
#include <string.h>

#include "base/vec.h"
#include "helper/impl.h"
#include "sys/sys.h"

/* A map in a map: the run holds it, whatever becomes of the place where it was. */
static struct skep_map *lookup_inner(struct skep_vm *vm, struct skep_map *map, const void *key)
{
	struct skep_map *inner = map->ops->inner ? map->ops->inner(map, key) : NULL;

	if (!inner)
		return NULL;
	if (skep_vm_holds_map(vm, (uintptr_t)inner)) {
		skep_map_put(inner);
	} else if (skep_vm_hold(vm, SKEP_VM_HELD_MAP, inner, inner, 0) < 0) {
		skep_map_put(inner);
		inner = NULL;
		skep_vm_stop(vm, SKEP_E_NOMEM, "out of memory");
	}
	return inner;
}

uint64_t skep_help_map_lookup_elem(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_map *map = skep_help_map(a[0]);

	if (!map->ops->lookup)
		return (uintptr_t)lookup_inner(vm, map, skep_help_ptr(a[1]));
	return (uintptr_t)map->ops->lookup(map, skep_help_ptr(a[1]), skep_help_cpu(vm));
}

uint64_t skep_help_map_update_elem(struct skep_vm *vm, const uint64_t a[5])
{
	return (int64_t)skep_map_update(skep_help_map(a[0]), skep_help_ptr(a[1]),
					skep_help_ptr(a[2]), a[3], skep_help_cpu(vm));
}

uint64_t skep_help_map_delete_elem(struct skep_vm *vm, const uint64_t a[5])
{
	return (int64_t)skep_map_delete(skep_help_map(a[0]), skep_help_ptr(a[1]));
}

uint64_t skep_help_map_push_elem(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_map *map = skep_help_map(a[0]);

	if (!map->ops->push)
		return skep_help_err(EOPNOTSUPP);
	return (int64_t)map->ops->push(map, skep_help_ptr(a[1]), a[2]);
}

static uint64_t take(struct skep_map *map, void *value, bool peek)
{
	if (!map->ops->pop)
		return skep_help_err(EOPNOTSUPP);
	return (int64_t)map->ops->pop(map, value, peek);
}

uint64_t skep_help_map_pop_elem(struct skep_vm *vm, const uint64_t a[5])
{
	return take(skep_help_map(a[0]), skep_help_ptr(a[1]), false);
}

uint64_t skep_help_map_peek_elem(struct skep_vm *vm, const uint64_t a[5])
{
	return take(skep_help_map(a[0]), skep_help_ptr(a[1]), true);
}

static bool is_percpu(const struct skep_map *map)
{
	return map->type == BPF_MAP_TYPE_PERCPU_HASH || map->type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       map->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

uint64_t skep_help_map_lookup_percpu_elem(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_map *map = skep_help_map(a[0]);
	uint32_t cpu = (uint32_t)a[2];

	if (!is_percpu(map) || cpu >= (uint32_t)skep_nr_cpus())
		return 0;
	return (uintptr_t)skep_map_lookup(map, skep_help_ptr(a[1]), cpu);
}

static bool can_iterate(const struct skep_map *map)
{
	switch (map->type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_ARRAY: return true;
	default: return is_percpu(map);
	}
}

/*
 * All keys as they are now, so that the callback may delete and add as it
 * likes.  Their number, or -ENOMEM.
 */
static long copy_keys(struct skep_map *map, uint8_t **keys)
{
	SKEP_VEC(uint8_t) all = {0};
	const void *last = NULL;
	long n;

	for (n = 0; n < (long)map->max_entries; n++) {
		if (skep_vec_reserve(&all, map->key_size) < 0) {
			skep_vec_deinit(&all);
			return -ENOMEM;
		}
		last = n ? all.data + all.len - map->key_size : NULL;
		if (skep_map_sys_next_key(map, last, all.data + all.len) < 0)
			break;
		all.len += map->key_size;
	}
	*keys = all.data;
	return n;
}

uint64_t skep_help_for_each_map_elem(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_map *map = skep_help_map(a[0]);
	uint64_t args[5] = {a[0], 0, 0, a[2], 0}, stop = 0;
	unsigned int cpu = skep_help_cpu(vm);
	long n, i, visited = 0;
	uint8_t *keys = NULL;

	if (a[3] || !can_iterate(map))
		return skep_help_err(EINVAL);
	n = copy_keys(map, &keys);
	if (n < 0 || skep_vm_hold(vm, SKEP_VM_HELD_MEM, NULL, keys, n * map->key_size) < 0) {
		free(keys);
		return skep_help_err(ENOMEM);
	}
	for (i = 0; i < n && !stop; i++) {
		void *key = keys + i * map->key_size, *value = skep_map_lookup(map, key, cpu);

		if (!value)
			continue;
		args[1] = (uintptr_t)key;
		args[2] = (uintptr_t)value;
		visited++;
		if (skep_vm_call(vm, a[1], args, &stop) < 0)
			break;
	}
	skep_vm_unhold(vm, SKEP_VM_HELD_MEM, keys, NULL);
	free(keys);
	return visited;
}
