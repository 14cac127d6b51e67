/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arrays: values in a row, indexed by a 32-bit key.  The per-CPU form has one
 * row for each CPU, cache lines apart.  BPF_F_MMAPABLE rows live in an unnamed
 * file, so that a reader's mapping shows the same pages.
 *
 * Documentation/bpf/map_array.rst.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "map/kind.h"

struct array {
	struct skep_values v;
	size_t len; /* bytes reserved */
	int fd; /* BPF_F_MMAPABLE: the file; else -1 */
};

#define ARRAY_FLAGS \
	(BPF_F_NUMA_NODE | BPF_F_MMAPABLE | SKEP_MAP_ACCESS_FLAGS | BPF_F_PRESERVE_ELEMS | \
	 BPF_F_INNER_MAP)
#define PCPU_MAX (32u << 10) /* PCPU_MIN_UNIT_SIZE of the kernel */

int skep_array_check(const union bpf_attr *attr, struct skep_err *err)
{
	bool percpu = attr->map_type == BPF_MAP_TYPE_PERCPU_ARRAY;

	if (!attr->max_entries)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "max_entries is 0");
	if (attr->key_size != 4)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "key_size is %u, arrays have 4-byte keys", attr->key_size);
	if (!attr->value_size)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "value_size is 0");
	if (attr->map_flags & ~ARRAY_FLAGS || !skep_map_flags_access_ok(attr->map_flags) ||
	    (percpu && attr->map_flags & BPF_F_NUMA_NODE) ||
	    (attr->map_type != BPF_MAP_TYPE_ARRAY &&
	     attr->map_flags & (BPF_F_MMAPABLE | BPF_F_INNER_MAP)) ||
	    (attr->map_type != BPF_MAP_TYPE_PERF_EVENT_ARRAY &&
	     attr->map_flags & BPF_F_PRESERVE_ELEMS))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "flags 0x%x do not fit this kind",
				 attr->map_flags);
	if (attr->value_size > INT32_MAX ||
	    (percpu && skep_round_up(attr->value_size, 8) > PCPU_MAX))
		return skep_fail(err, SKEP_E_MAP_CREATE, E2BIG, "value_size %u is too large",
				 attr->value_size);
	return 0;
}

static int array_init(struct skep_map *map, struct skep_err *err)
{
	bool percpu = map->type == BPF_MAP_TYPE_PERCPU_ARRAY;
	struct array *a = calloc(1, sizeof(*a));

	if (!a)
		return skep_fail_nomem(err);
	a->fd = -1;
	if (!skep_values_init(&a->v, map->value_size, skep_round_up(map->value_size, 8),
			      map->max_entries, percpu ? map->cpus : 0))
		goto nomem;
	a->len = skep_round_up(a->v.total, SKEP_PAGE);
	if (map->flags & BPF_F_MMAPABLE) {
		a->fd = skep_mem_file(a->len);
		a->v.base = a->fd < 0 ? MAP_FAILED : skep_mem_map(a->len, MAP_SHARED, a->fd);
		if (a->v.base == MAP_FAILED)
			goto nomem;
	} else {
		a->v.base = skep_mem_reserve(a->len);
		if (!a->v.base)
			goto nomem;
	}
	map->priv = a;
	return 0;
nomem:
	if (a->fd >= 0)
		close(a->fd);
	free(a);
	return skep_fail_nomem(err);
}

static void array_deinit(struct skep_map *map)
{
	struct array *a = map->priv;

	skep_mem_release(a->v.base, a->len);
	if (a->fd >= 0)
		close(a->fd);
	free(a);
}

static uint32_t index_of(const void *key)
{
	uint32_t i;

	memcpy(&i, key, sizeof(i));
	return i;
}

static void *array_lookup(struct skep_map *map, const void *key, unsigned int cpu)
{
	const struct array *a = map->priv;
	uint32_t i = index_of(key);

	return i < map->max_entries ? skep_values_at(&a->v, i, cpu) : NULL;
}

static int check_update(const struct skep_map *map, uint32_t i, uint64_t flags)
{
	if (flags > BPF_EXIST)
		return -EINVAL;
	if (i >= map->max_entries)
		return -E2BIG;
	return flags == BPF_NOEXIST ? -EEXIST : 0;
}

static int array_update(struct skep_map *map, const void *key, const void *value, uint64_t flags,
			unsigned int cpu)
{
	const struct array *a = map->priv;
	uint32_t i = index_of(key);
	int ret = check_update(map, i, flags);

	if (!ret)
		skep_copy(skep_values_at(&a->v, i, cpu), value, map->value_size);
	return ret;
}

static int array_delete(struct skep_map *map, const void *key)
{
	return -EINVAL;
}

int skep_array_next_key(struct skep_map *map, const void *key, void *next)
{
	uint32_t i = key ? index_of(key) : UINT32_MAX;

	if (i == map->max_entries - 1)
		return -ENOENT;
	i = i >= map->max_entries ? 0 : i + 1;
	memcpy(next, &i, sizeof(i));
	return 0;
}

static int percpu_sys_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	const struct array *a = map->priv;
	unsigned int cpu;
	uint32_t i = index_of(key);

	if (i >= map->max_entries)
		return -ENOENT;
	for (cpu = 0; cpu < map->cpus; cpu++)
		memcpy((char *)value + cpu * a->v.stride, skep_values_at(&a->v, i, cpu),
		       a->v.stride);
	return 0;
}

static int percpu_sys_update(struct skep_map *map, const void *key, const void *value,
			     uint64_t flags)
{
	const struct array *a = map->priv;
	unsigned int cpu;
	uint32_t i = index_of(key);
	int ret = check_update(map, i, flags);

	/* The kernel copies the padding too. */
	for (cpu = 0; !ret && cpu < map->cpus; cpu++)
		memcpy(skep_values_at(&a->v, i, cpu), (const char *)value + cpu * a->v.stride,
		       a->v.stride);
	return ret;
}

static uint64_t array_bound(const struct skep_map *map, uint64_t addr)
{
	return skep_values_bound(&((const struct array *)map->priv)->v, addr);
}

static void array_row(const struct skep_map *map, struct skep_map_row *row)
{
	const struct skep_values *v = &((const struct array *)map->priv)->v;

	*row = (struct skep_map_row){
		.base = (uintptr_t)v->base,
		.stride = v->stride,
		.cpu_area = v->cpu_area,
		.n = map->max_entries,
	};
}

static void *array_mmap(struct skep_map *map, off_t off, size_t len, int prot)
{
	const struct array *a = map->priv;
	void *p;

	if (a->fd < 0 || (uint64_t)off + len > a->len)
		return (void *)(intptr_t)-EINVAL;
	p = mmap(NULL, len, prot, MAP_SHARED, a->fd, off);
	return p == MAP_FAILED ? (void *)(intptr_t)-errno : p;
}

const struct skep_map_ops skep_map_array = {
	.name = "array",
	.check = skep_array_check,
	.init = array_init,
	.deinit = array_deinit,
	.lookup = array_lookup,
	.update = array_update,
	.del = array_delete,
	.next_key = skep_array_next_key,
	.bound = array_bound,
	.row = array_row,
	.mmap = array_mmap,
};

const struct skep_map_ops skep_map_percpu_array = {
	.name = "percpu_array",
	.check = skep_array_check,
	.init = array_init,
	.deinit = array_deinit,
	.lookup = array_lookup,
	.update = array_update,
	.del = array_delete,
	.sys_lookup = percpu_sys_lookup,
	.sys_update = percpu_sys_update,
	.next_key = skep_array_next_key,
	.bound = array_bound,
	.row = array_row,
};
