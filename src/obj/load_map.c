/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Creates the maps of an object, fills its data sections and freezes what is
 * constant.  The full form is tried first; after a refusal types are left
 * away, and then what this kernel turns out not to know (adapt.c).
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "obj/load_int.h"
#include "sys/feature.h"
#include "sys/names.h"
#include "sys/uapi.h"

void skep_load_name(char out[BPF_OBJ_NAME_LEN], const char *name)
{
	size_t i;

	memset(out, 0, BPF_OBJ_NAME_LEN);
	for (i = 0; name[i] && i < BPF_OBJ_NAME_LEN - 1; i++)
		out[i] = isalnum((unsigned char)name[i]) || name[i] == '.' ? name[i] : '_';
}

bool skep_load_raise_rlimit(struct skep_load *load)
{
	struct rlimit lim = {RLIM_INFINITY, RLIM_INFINITY};

	if (load->rlimit_raised)
		return false;
	load->rlimit_raised = true;
	if (setrlimit(RLIMIT_MEMLOCK, &lim) == 0)
		return true;
	/* Without CAP_SYS_RESOURCE the hard limit is as far as it goes. */
	if (getrlimit(RLIMIT_MEMLOCK, &lim) || lim.rlim_cur == lim.rlim_max)
		return false;
	lim.rlim_cur = lim.rlim_max;
	return setrlimit(RLIMIT_MEMLOCK, &lim) == 0;
}

/* Kinds whose values are the kernel's own: it refuses types for them. */
static bool takes_types(uint32_t type)
{
	switch (type) {
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_CGROUP_ARRAY:
	case BPF_MAP_TYPE_STACK_TRACE:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
	case BPF_MAP_TYPE_CPUMAP:
	case BPF_MAP_TYPE_XSKMAP:
	case BPF_MAP_TYPE_SOCKMAP:
	case BPF_MAP_TYPE_SOCKHASH:
	case BPF_MAP_TYPE_QUEUE:
	case BPF_MAP_TYPE_STACK:
	case BPF_MAP_TYPE_ARENA:
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_USER_RINGBUF: return false;
	default: return true;
	}
}

static uint32_t max_entries(const struct skep_obj_map *map)
{
	uint32_t page = (uint32_t)sysconf(_SC_PAGESIZE), n = page;

	if (map->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY && !map->max_entries)
		return (uint32_t)skep_nr_cpus();
	if (map->type != BPF_MAP_TYPE_RINGBUF && map->type != BPF_MAP_TYPE_USER_RINGBUF)
		return map->max_entries;
	/* A ring's size is a power of two and whole pages. */
	while (n < map->max_entries && n < 1u << 31)
		n <<= 1;
	return map->max_entries ? n : 0;
}

static int try_create(struct skep_load *load, const struct skep_obj_map *map, int inner_fd)
{
	bool types = load->btf_fd >= 0 && !(load->drop & SKEP_DROP_MAP_BTF) &&
		     takes_types(map->type) && map->kind != SKEP_OBJ_MAP_INTERNAL;
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = map->type;
	attr.key_size = map->key_size;
	attr.value_size = map->value_size;
	attr.max_entries = max_entries(map);
	attr.map_flags = map->flags;
	attr.numa_node = map->numa_node;
	attr.map_extra = map->extra;
	attr.map_ifindex = (uint32_t)load->opts.offload;
	if (inner_fd >= 0)
		attr.inner_map_fd = (uint32_t)inner_fd;
	if (map->kind != SKEP_OBJ_MAP_PLAIN && load->drop & SKEP_DROP_MMAP)
		attr.map_flags &= ~(uint32_t)BPF_F_MMAPABLE;
	if (!(load->drop & SKEP_DROP_NAMES))
		skep_load_name(attr.map_name, map->name);
	/* An array's key without a type is right for data sections only. */
	if (types && map->value_type && (map->key_type || map->kind != SKEP_OBJ_MAP_PLAIN)) {
		attr.btf_fd = (uint32_t)load->btf_fd;
		attr.btf_key_type_id = map->key_type;
		attr.btf_value_type_id = map->value_type;
	}
	return skep_sys_bpf(load->sys, BPF_MAP_CREATE, &attr,
			    offsetof(union bpf_attr, map_extra) + sizeof(attr.map_extra));
}

/* What is wrong with a map that the engine calls invalid, as far as its numbers tell. */
static const char *why_invalid(const struct skep_obj_map *map)
{
	bool keyless = map->type == BPF_MAP_TYPE_RINGBUF ||
		       map->type == BPF_MAP_TYPE_USER_RINGBUF || map->type == BPF_MAP_TYPE_QUEUE ||
		       map->type == BPF_MAP_TYPE_STACK || map->type == BPF_MAP_TYPE_BLOOM_FILTER;

	if (!map->max_entries && map->type != BPF_MAP_TYPE_SK_STORAGE &&
	    map->type != BPF_MAP_TYPE_TASK_STORAGE && map->type != BPF_MAP_TYPE_INODE_STORAGE)
		return "max_entries is 0; give it __uint(max_entries, ...), or --max-entries MAP=N";
	if (map->type == BPF_MAP_TYPE_ARENA && !(map->flags & BPF_F_MMAPABLE))
		return "an arena needs __uint(map_flags, BPF_F_MMAPABLE)";
	if (map->type == BPF_MAP_TYPE_ARENA)
		return "the engine has no arenas (Linux has them since 6.9), or not with such "
		       "flags";
	if (!map->key_size && !keyless)
		return "key_size is 0; give it __type(key, ...)";
	if (map->key_size != 4 &&
	    (map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	     map->type == BPF_MAP_TYPE_PROG_ARRAY))
		return "an array's key must have 4 bytes";
	if (!map->value_size && map->type != BPF_MAP_TYPE_RINGBUF &&
	    map->type != BPF_MAP_TYPE_USER_RINGBUF)
		return "value_size is 0; give it __type(value, ...)";
	return "the engine does not know its type, or not with these flags and sizes";
}

const char *skep_load_map_type(uint32_t type)
{
	const char *name = skep_name(SKEP_NAME_MAP_TYPE, type);

	return name ? name : "unknown";
}

static int fail_create(struct skep_load *load, const struct skep_obj_map *map, int ret,
		       struct skep_err *err)
{
	const char *why = load->sys->why, *file = load->obj->name;

	if (load->opts.offload && !*why && (ret == -EINVAL || ret == -EOPNOTSUPP))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "%s: map '%s': the device that is to run the program itself "
				 "keeps no such maps (%s)",
				 file, map->name, skep_load_map_type(map->type));
	switch (-ret) {
	case EPERM:
	case EACCES:
		return skep_fail(err, SKEP_E_PERMISSION, -ret, "%s: map '%s': %s", file, map->name,
				 *why ? why : "creating maps needs CAP_BPF");
	case EOPNOTSUPP:
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "%s: map '%s': %s", file,
				 map->name, *why ? why : "this kind of map is not supported");
	case EINVAL:
		if (!skep_feature_map_type(load->sys, map->type))
			return skep_fail(err, SKEP_E_UNSUPPORTED, EINVAL,
					 "%s: map '%s': there are no maps of its type here (%s)",
					 file, map->name, skep_load_map_type(map->type));
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "%s: map '%s' (%s): %s", file,
				 map->name, skep_load_map_type(map->type), why_invalid(map));
	case E2BIG:
	case ENOMEM:
		if (map->type == BPF_MAP_TYPE_ARENA)
			return skep_fail(err, SKEP_E_MAP_CREATE, -ret,
					 "%s: map '%s': %u pages are more than an arena can "
					 "have (4 GiB)",
					 file, map->name, map->max_entries);
		return skep_fail(err, SKEP_E_MAP_CREATE, -ret,
				 "%s: map '%s': %u entries of %u + %u bytes are too much (%s)",
				 file, map->name, map->max_entries, map->key_size, map->value_size,
				 skep_errno_name(-ret));
	default:
		return skep_fail(err, SKEP_E_MAP_CREATE, -ret, "%s: map '%s': %s", file, map->name,
				 strerror(-ret));
	}
}

static bool is_form(int ret)
{
	/* -524: the kernel's ENOTSUPP, for kinds that take no types. */
	return ret == -EINVAL || ret == -E2BIG || ret == -524;
}

/* Types are a map's own affair: without them it is tried, and they stay for others. */
static int try_without_types(struct skep_load *load, const struct skep_obj_map *map, int inner_fd)
{
	unsigned int had = load->drop;
	int ret;

	load->drop |= SKEP_DROP_MAP_BTF;
	ret = try_create(load, map, inner_fd);
	load->drop = had;
	return ret;
}

/* Descriptor of @map, or -errno with the sentence. */
static int create_like(struct skep_load *load, const struct skep_obj_map *map, int inner_fd,
		       struct skep_err *err)
{
	int fd = try_create(load, map, inner_fd), ret;

	if (fd == -EPERM && skep_load_raise_rlimit(load))
		fd = try_create(load, map, inner_fd);
	ret = fd;
	if (is_form(ret))
		ret = try_without_types(load, map, inner_fd);
	if (is_form(ret) && skep_adapt(load)) {
		ret = try_create(load, map, inner_fd);
		if (is_form(ret))
			ret = try_without_types(load, map, inner_fd);
	}
	return ret < 0 ? fail_create(load, map,
				     ret == -524  ? -EINVAL
				     : fd == -524 ? ret
						  : fd,
				     err)
		       : ret;
}

/* A map of maps is made after a specimen of those, which is gone afterwards. */
static int create(struct skep_load *load, const struct skep_obj_map *map, struct skep_err *err)
{
	int inner, fd;

	if (!map->inner &&
	    (map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || map->type == BPF_MAP_TYPE_HASH_OF_MAPS))
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: map '%s' holds maps, but not of which kind: "
				 "__array(values, struct { ... }) is missing",
				 load->obj->name, map->name);
	if (!map->inner)
		return create_like(load, map, -1, err);
	inner = create_like(load, map->inner, -1, err);
	if (inner < 0)
		return inner;
	fd = create_like(load, map, inner, err);
	skep_sys_close(load->sys, inner);
	return fd;
}

/* The map as its pin has it, else made, and pinned if it wants to be. */
static int create_or_share(struct skep_load *load, const struct skep_obj_map *map, bool *shared,
			   struct skep_err *err)
{
	int fd, ret;

	*shared = false;
	if (map->kind == SKEP_OBJ_MAP_STRUCT_OPS) {
		fd = skep_load_ops_create(load, (uint32_t)(map - load->obj->maps));
		return fd < 0 ? fail_create(load, map, fd, err) : fd;
	}
	if (!map->pin)
		return create(load, map, err);
	fd = skep_load_pinned(load, map, max_entries(map), err);
	*shared = fd >= 0;
	if (fd != -ENOENT)
		return fd;
	fd = create(load, map, err);
	if (fd < 0)
		return fd;
	ret = skep_load_pin(load, map, fd, err);
	if (!ret)
		return fd;
	skep_sys_close(load->sys, fd);
	return ret;
}

/* What slot @slot of @map stands for: a descriptor, or -1. */
static int slot_fd(const struct skep_loaded *loaded, const struct skep_obj_slot *slot)
{
	uint32_t i;

	if (!slot->prog)
		return loaded->maps[slot->target].fd;
	for (i = 0; i < loaded->nr_progs; i++)
		if (loaded->progs[i].spec == &loaded->obj->funcs[slot->target])
			return loaded->progs[i].fd;
	return -1;
}

static int set_slot(struct skep_load *load, const struct skep_loaded_map *map,
		    const struct skep_obj_slot *slot, struct skep_err *err)
{
	int fd = slot_fd(load->loaded, slot), ret;
	uint32_t value = (uint32_t)fd;
	union bpf_attr attr;

	if (fd < 0) {
		skep_warn(load->sys->log, "%s: map '%s': value %u stays empty: '%s' is not loaded",
			  load->obj->name, map->spec->name, slot->key,
			  slot->prog ? load->obj->funcs[slot->target].name
				     : load->obj->maps[slot->target].name);
		return 0;
	}
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map->fd;
	attr.key = (uintptr_t)&slot->key;
	attr.value = (uintptr_t)&value;
	ret = skep_sys_bpf(load->sys, BPF_MAP_UPDATE_ELEM, &attr,
			   offsetof(union bpf_attr, flags) + sizeof(attr.flags));
	if (ret >= 0)
		return 0;
	return skep_fail(err, SKEP_E_MAP_CREATE, -ret, "%s: map '%s': value %u cannot be set: %s",
			 load->obj->name, map->spec->name, slot->key,
			 ret == -EINVAL && !slot->prog ? "the map there is of another kind than "
							 "its values"
			 : ret == -E2BIG	       ? "there are fewer entries"
						       : strerror(-ret));
}

int skep_load_slots(struct skep_load *load, bool progs, struct skep_err *err)
{
	const struct skep_loaded_map *map;
	uint32_t i, k;
	int ret;

	for (i = 0; i < load->obj->nr_maps; i++) {
		map = &load->loaded->maps[i];
		if (map->fd < 0 || map->spec->kind == SKEP_OBJ_MAP_STRUCT_OPS)
			continue;
		for (k = 0; k < map->spec->nr_slots; k++) {
			if (map->spec->slots[k].prog != progs)
				continue;
			ret = set_slot(load, map, &map->spec->slots[k], err);
			if (ret)
				return ret;
		}
	}
	return 0;
}

static bool is_zero(const unsigned char *p, size_t n)
{
	return !n || (!p[0] && !memcmp(p, p + 1, n - 1));
}

/* An arena has no elements: it is mapped before the programs, which its address goes into. */
static int map_arena(struct skep_load *load, struct skep_loaded_map *map, struct skep_err *err)
{
	const struct skep_obj_map *spec = map->spec;
	size_t len = (size_t)spec->max_entries * (size_t)sysconf(_SC_PAGESIZE);
	void *p = skep_sys_map(load->sys, map->fd, 0, len, PROT_READ | PROT_WRITE);

	if (skep_sys_is_err(p))
		return skep_fail(err, SKEP_E_MAP_CREATE, (int)-(intptr_t)p,
				 "%s: map '%s' cannot be mapped: %s", load->obj->name, spec->name,
				 load->sys->why[0] ? load->sys->why : strerror((int)-(intptr_t)p));
	map->mem = p;
	map->mem_size = len;
	if (spec->init)
		memcpy(p, spec->init, spec->init_size);
	return 0;
}

static int fill(struct skep_load *load, const struct skep_obj_map *map, int fd,
		struct skep_err *err)
{
	union bpf_attr attr;
	uint32_t key = 0;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)map->init;
	if (!is_zero(map->init, map->value_size)) {
		ret = skep_sys_bpf(load->sys, BPF_MAP_UPDATE_ELEM, &attr,
				   offsetof(union bpf_attr, flags) + sizeof(attr.flags));
		if (ret < 0)
			return skep_fail(err, SKEP_E_MAP_CREATE, -ret,
					 "%s: map '%s' cannot be filled: %s", load->obj->name,
					 map->name, strerror(-ret));
	}
	if (!(map->flags & BPF_F_RDONLY_PROG))
		return 0;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	ret = skep_sys_bpf(load->sys, BPF_MAP_FREEZE, &attr, sizeof(attr.map_fd));
	if (ret < 0)
		skep_warn(load->sys->log,
			  "%s: map '%s' cannot be frozen (%s): the verifier does not see its "
			  "constants",
			  load->obj->name, map->name, skep_errno_name(-ret));
	return 0;
}

uint32_t skep_load_own_map(struct skep_load *load, const struct skep_obj_map *spec)
{
	if (skep_vec_push(&load->own_maps, *spec))
		return SKEP_NO_MAP;
	load->own_maps.data[load->own_maps.len - 1].kind = SKEP_OBJ_MAP_INTERNAL;
	return load->obj->nr_maps + load->own_maps.len - 1;
}

bool skep_load_is_global(const struct skep_obj_map *map)
{
	return map->init && map->kind != SKEP_OBJ_MAP_PLAIN && map->kind != SKEP_OBJ_MAP_STRUCT_OPS;
}

int skep_load_maps(struct skep_load *load, struct skep_err *err)
{
	struct skep_loaded *loaded = load->loaded;
	uint32_t i, n = load->obj->nr_maps + load->own_maps.len;
	struct skep_loaded_map *map;
	bool shared;
	int ret;

	loaded->maps = skep_arena_array(&load->arena, n, sizeof(*loaded->maps));
	if (!loaded->maps)
		return skep_fail_nomem(err);
	for (i = 0; i < n; i++) {
		map = &loaded->maps[i];
		map->fd = -1;
		map->spec = i < load->obj->nr_maps ? &load->obj->maps[i]
						   : &load->own_maps.data[i - load->obj->nr_maps];
	}
	loaded->nr_maps = n;
	for (i = 0; i < n; i++) {
		map = &loaded->maps[i];
		if (map->spec->skip || (i < load->obj->nr_maps && load->ops[i].err.tag))
			continue;
		map->fd = create_or_share(load, map->spec, &shared, err);
		if (map->fd < 0 && skep_load_is_global(map->spec) &&
		    !skep_feature(load->sys, SKEP_FEATURE_GLOBAL_DATA)) {
			skep_err_deinit(err); /* the programs that use it say so */
			continue;
		}
		if (map->fd < 0)
			return map->fd;
		if (map->spec->type == BPF_MAP_TYPE_ARENA)
			ret = map_arena(load, map, err);
		else if (map->spec->init && !shared && map->spec->kind != SKEP_OBJ_MAP_STRUCT_OPS)
			ret = fill(load, map->spec, map->fd, err);
		if (ret)
			return ret;
	}
	return 0;
}
