/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps: creation and the rules that all kinds share.
 *
 * The order of the checks is the kernel's (kernel/bpf/syscall.c), since the
 * order decides which errno a caller sees.
 */
#include "map/map.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "map/kind.h"
#include "sys/sys.h"

struct kind {
	const char *name;
	const struct skep_map_ops *ops;
	const char *why;
};

static const struct kind kinds[] = {
#define SKEP_MAP(number, name, ops, why) [number] = {name, ops, why},
#include "map/map.def"
#undef SKEP_MAP
};

_Static_assert(SKEP_ARRAY_SIZE(kinds) == 34, "a row for every map type of Linux 6.12");
_Static_assert(BPF_MAP_TYPE_RINGBUF == 27, "rows are in the kernel's order");

const char *skep_map_type_name(uint32_t type)
{
	return type < SKEP_ARRAY_SIZE(kinds) ? kinds[type].name : NULL;
}

bool skep_map_type_percpu(uint32_t type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

bool skep_map_type_fds(uint32_t type)
{
	return type == BPF_MAP_TYPE_PROG_ARRAY || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY ||
	       type == BPF_MAP_TYPE_CGROUP_ARRAY || type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	       type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

void *skep_mem_map(size_t len, int flags, int fd)
{
	void *p = MAP_FAILED;

	if (len <= SKEP_MEM_LOW)
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags | MAP_32BIT, fd, 0);
	if (p == MAP_FAILED)
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, fd, 0);
	return p;
}

void *skep_mem_reserve(size_t len)
{
	void *p = skep_mem_map(len ? len : 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	return p == MAP_FAILED ? NULL : p;
}

void skep_mem_release(void *p, size_t len)
{
	if (p)
		munmap(p, len ? len : 1);
}

int skep_mem_file(size_t len)
{
	int fd = memfd_create("skep-map", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)len) < 0) {
		int e = errno;

		close(fd);
		return -e;
	}
	return fd;
}

bool skep_values_init(struct skep_values *v, uint32_t value_size, uint64_t stride, uint64_t n,
		      unsigned int cpus)
{
	unsigned __int128 one = (unsigned __int128)stride * n, all = one;

	v->value_size = value_size;
	v->n = (uint32_t)n;
	v->stride = stride;
	v->cpu_area = 0;
	if (cpus) {
		one = (one + 63) / 64 * 64;
		all = one * cpus;
		v->cpu_area = (uint64_t)one;
	}
	v->total = (uint64_t)all;
	/* The reciprocal is exact for offsets below 2^64 / stride. */
	v->magic = stride > 1 && one * stride < UINT64_MAX ? UINT64_MAX / stride + 1 : 0;
	return all < (uint64_t)1 << 46;
}

static int check_name(const union bpf_attr *attr)
{
	const char *s = attr->map_name;
	size_t i;

	for (i = 0; i < sizeof(attr->map_name) && s[i]; i++) {
		if (!isalnum((unsigned char)s[i]) && s[i] != '_' && s[i] != '.')
			return -EINVAL;
	}
	return i == sizeof(attr->map_name) ? -EINVAL : 0;
}

static int check_common(const union bpf_attr *attr, const struct kind **kind, struct skep_err *err)
{
	uint32_t both = BPF_F_RDONLY | BPF_F_WRONLY;

	if (attr->btf_vmlinux_value_type_id && attr->map_type != BPF_MAP_TYPE_STRUCT_OPS)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "btf_vmlinux_value_type_id is for struct_ops maps");
	if (attr->btf_key_type_id && !attr->btf_value_type_id)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "a key type without a value type (btf_value_type_id is 0)");
	if (attr->map_type != BPF_MAP_TYPE_BLOOM_FILTER && attr->map_type != 33 && attr->map_extra)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "map_extra is for bloom filters and arenas");
	if ((attr->map_flags & both) == both)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "BPF_F_RDONLY and BPF_F_WRONLY exclude each other");
	if (attr->map_flags & BPF_F_NUMA_NODE && attr->numa_node != 0)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "numa_node %u is not online",
				 attr->numa_node);
	if (attr->map_type == 0 || attr->map_type >= SKEP_ARRAY_SIZE(kinds))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "unknown map type %u",
				 attr->map_type);
	*kind = &kinds[attr->map_type];
	if (!(*kind)->ops)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "map type %s %s; the kernel engine has it: run as root",
				 (*kind)->name, (*kind)->why);
	return 0;
}

int skep_map_create(struct skep_map **out, const union bpf_attr *attr,
		    const struct skep_map_prog_ops *prog_ops, void *prog_ctx,
		    void *(*output_get)(void *ctx, int fd), struct skep_err *err)
{
	const struct kind *kind = NULL;
	struct skep_map *map;
	struct timespec now;
	int ret;

	ret = check_common(attr, &kind, err);
	if (!ret && kind->ops->check)
		ret = kind->ops->check(attr, err);
	if (!ret && attr->map_ifindex)
		ret = skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "no device to offload the map to");
	if (ret)
		return skep_wrap(err, ret, "map '%.15s'", attr->map_name);
	map = calloc(1, sizeof(*map));
	if (!map)
		return skep_fail_nomem(err);
	clock_gettime(CLOCK_BOOTTIME, &now);
	*map = (struct skep_map){
		.ops = kind->ops,
		.type = attr->map_type,
		.key_size = attr->key_size,
		.value_size = attr->value_size,
		.max_entries = attr->max_entries,
		.flags = attr->map_flags,
		.map_extra = attr->map_extra,
		.btf_key = attr->btf_key_type_id,
		.btf_value = attr->btf_value_type_id,
		.btf_fd = (int)attr->btf_fd,
		.inner_fd = (int)attr->inner_map_fd,
		.cpus = (uint32_t)skep_nr_cpus(),
		.created_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
		.refs = 1,
		.prog_ops = prog_ops,
		.prog_ctx = prog_ctx,
		.output_get = output_get,
	};
	memcpy(map->name, attr->map_name, sizeof(map->name));
	ret = map->ops->init(map, err);
	if (!ret && check_name(attr)) {
		map->ops->deinit(map);
		ret = skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				"a map name has up to 15 of letters, digits, '_' and '.'");
	}
	if (ret) {
		skep_wrap(err, ret, "map '%.15s'", map->name);
		free(map);
		return ret;
	}
	*out = map;
	return 0;
}

struct skep_map *skep_map_get(struct skep_map *map)
{
	atomic_fetch_add(&map->refs, 1);
	return map;
}

void skep_map_put(struct skep_map *map)
{
	if (!map || atomic_fetch_sub(&map->refs, 1) != 1)
		return;
	map->ops->deinit(map);
	free(map);
}

size_t skep_map_sys_value_size(const struct skep_map *map)
{
	if (skep_map_type_percpu(map->type))
		return skep_round_up(map->value_size, 8) * map->cpus;
	return map->value_size;
}

static bool may_read(const struct skep_map *map)
{
	return !(map->flags & BPF_F_WRONLY);
}

static bool may_write(const struct skep_map *map)
{
	return !(map->flags & BPF_F_RDONLY) && !map->frozen;
}

int skep_map_sys_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	const void *p;

	if (flags & ~(uint64_t)BPF_F_LOCK)
		return -EINVAL;
	if (!may_read(map))
		return -EPERM;
	/* No value here has a struct bpf_spin_lock that the engine knows of. */
	if (flags & BPF_F_LOCK)
		return -EINVAL;
	if (map->ops->sys_lookup)
		return map->ops->sys_lookup(map, key, value, flags);
	if (!map->ops->lookup)
		return -SKEP_ENOTSUPP;
	p = map->ops->lookup(map, key, 0);
	if (!p)
		return -ENOENT;
	memcpy(value, p, map->value_size);
	return 0;
}

int skep_map_sys_update(struct skep_map *map, const void *key, const void *value, uint64_t flags)
{
	if (!may_write(map))
		return -EPERM;
	if (flags & BPF_F_LOCK)
		return -EINVAL;
	if (map->ops->sys_update)
		return map->ops->sys_update(map, key, value, flags);
	if (!map->ops->update)
		return -SKEP_ENOTSUPP;
	return map->ops->update(map, key, value, flags, 0);
}

int skep_map_sys_delete(struct skep_map *map, const void *key)
{
	if (!may_write(map))
		return -EPERM;
	if (map->ops->sys_delete)
		return map->ops->sys_delete(map, key);
	return map->ops->del ? map->ops->del(map, key) : -SKEP_ENOTSUPP;
}

int skep_map_sys_take(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	if (flags & ~(uint64_t)BPF_F_LOCK)
		return -EINVAL;
	if (!may_read(map) || !may_write(map))
		return -EPERM;
	if (!map->ops->sys_take)
		return -SKEP_ENOTSUPP;
	if (flags & BPF_F_LOCK)
		return -EINVAL;
	return map->ops->sys_take(map, key, value, flags);
}

int skep_map_sys_next_key(struct skep_map *map, const void *key, void *next)
{
	if (!may_read(map))
		return -EPERM;
	return map->ops->next_key ? map->ops->next_key(map, key, next) : -SKEP_ENOTSUPP;
}

int skep_map_sys_freeze(struct skep_map *map)
{
	if (!may_write(map))
		return -EPERM;
	map->frozen = true;
	return 0;
}

void *skep_map_sys_mmap(struct skep_map *map, off_t off, size_t len, int prot)
{
	if (!map->ops->mmap)
		return (void *)(intptr_t)-SKEP_ENOTSUPP;
	if (!len || off < 0 || off % SKEP_PAGE)
		return (void *)(intptr_t)-EINVAL;
	if (!may_read(map) || (prot & PROT_WRITE && map->flags & BPF_F_RDONLY))
		return (void *)(intptr_t)-EACCES;
	if (prot & PROT_WRITE && map->frozen)
		return (void *)(intptr_t)-EPERM;
	if (prot & PROT_WRITE && map->flags & BPF_F_RDONLY_PROG)
		return (void *)(intptr_t)-EACCES;
	return map->ops->mmap(map, off, skep_round_up(len, SKEP_PAGE), prot);
}

void *skep_map_lookup(struct skep_map *map, const void *key, unsigned int cpu)
{
	return map->ops->lookup ? map->ops->lookup(map, key, cpu) : NULL;
}

int skep_map_update(struct skep_map *map, const void *key, const void *value, uint64_t flags,
		    unsigned int cpu)
{
	if (!map->ops->update)
		return -EOPNOTSUPP;
	return map->ops->update(map, key, value, flags, cpu);
}

int skep_map_delete(struct skep_map *map, const void *key)
{
	return map->ops->del ? map->ops->del(map, key) : -EOPNOTSUPP;
}
