/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Finds the maps of an object: the variables of .maps, whose types say what
 * they are ("BTF-defined maps" of libbpf), and one array each for .data, .bss
 * and .rodata.
 *
 * A number is written as the length of an array that a pointer points to:
 * int (*max_entries)[1024].  On ring buffers and perf event arrays the value's
 * type tells what the records are; it is kept from the kernel, which wants
 * fixed sizes there.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "obj/elf.h"
#include "sys/uapi.h"

/* More than any array map can be given a value of. */
#define MAX_SECTION (256u << 20)
#define ARENA_PAGE  4096u

static int bad_member(const char *member, struct skep_err *err)
{
	return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL, "'%s' is not written as __uint or __type",
			 member);
}

/* The number that member type @id stands for. */
static int read_uint(const struct skep_btf *btf, uint32_t id, const char *member, uint32_t *out,
		     struct skep_err *err)
{
	const struct btf_type *t = skep_btf_resolve(btf, id, NULL);

	if (!t || skep_btf_kind(t) != BTF_KIND_PTR)
		return bad_member(member, err);
	t = skep_btf_resolve(btf, t->type, NULL);
	if (!t || skep_btf_kind(t) != BTF_KIND_ARRAY)
		return bad_member(member, err);
	*out = skep_btf_array(t)->nelems;
	return 0;
}

/* The type that a __type() member points to, and its size. */
static int read_type(const struct skep_btf *btf, uint32_t id, const char *member, uint32_t *type,
		     uint32_t *size, struct skep_err *err)
{
	const struct btf_type *t = skep_btf_resolve(btf, id, NULL);
	int64_t bytes;

	if (!t || skep_btf_kind(t) != BTF_KIND_PTR)
		return bad_member(member, err);
	bytes = skep_btf_sizeof(btf, t->type);
	if (bytes < 0 || bytes > INT32_MAX)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL, "the type of its %s has no size",
				 member);
	if (*size && *size != bytes)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s_size is %u, but the %s's type has %lld bytes", member, *size,
				 member, (long long)bytes);
	*type = t->type;
	*size = bytes;
	return 0;
}

static int read_size(const struct skep_btf *btf, uint32_t id, const char *member, uint32_t type,
		     uint32_t *size, struct skep_err *err)
{
	uint32_t val;
	int ret = read_uint(btf, id, member, &val, err);

	if (ret)
		return ret;
	if (type && *size != val)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s is %u, but its type has %u bytes", member, val, *size);
	*size = val;
	return 0;
}

static int read_pinning(const struct skep_btf *btf, uint32_t id, struct skep_obj_map *map,
			struct skep_err *err)
{
	uint32_t val;
	int ret = read_uint(btf, id, "pinning", &val, err);

	if (!ret && val > 1)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "pinning is %u; there are LIBBPF_PIN_NONE and LIBBPF_PIN_BY_NAME",
				 val);
	map->pin = val == 1;
	return ret;
}

/* __ulong(): the one value of an enum; __uint() will do for small numbers. */
static int read_ulong(const struct skep_btf *btf, uint32_t id, const char *member, uint64_t *out,
		      struct skep_err *err)
{
	const struct btf_type *t = skep_btf_resolve(btf, id, NULL);
	const char *value;
	uint32_t val = 0;
	int ret;

	if (t && skep_btf_is_enum(t) && skep_btf_vlen(t) == 1) {
		*out = (uint64_t)skep_btf_enum_value(btf, t, 0, &value);
		return 0;
	}
	ret = read_uint(btf, id, member, &val, err);
	*out = val;
	return ret;
}

static int read_member(const struct skep_btf *btf, const char *name, uint32_t id,
		       struct skep_obj_map *map, struct skep_err *err)
{
	if (!strcmp(name, "type"))
		return read_uint(btf, id, name, &map->type, err);
	if (!strcmp(name, "max_entries"))
		return read_uint(btf, id, name, &map->max_entries, err);
	if (!strcmp(name, "map_flags"))
		return read_uint(btf, id, name, &map->flags, err);
	if (!strcmp(name, "numa_node"))
		return read_uint(btf, id, name, &map->numa_node, err);
	if (!strcmp(name, "key_size"))
		return read_size(btf, id, name, map->key_type, &map->key_size, err);
	if (!strcmp(name, "value_size"))
		return read_size(btf, id, name, map->value_type, &map->value_size, err);
	if (!strcmp(name, "key"))
		return read_type(btf, id, name, &map->key_type, &map->key_size, err);
	if (!strcmp(name, "value"))
		return read_type(btf, id, name, &map->value_type, &map->value_size, err);
	if (!strcmp(name, "pinning"))
		return read_pinning(btf, id, map, err);
	if (!strcmp(name, "map_extra"))
		return read_ulong(btf, id, name, &map->extra, err);
	return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL, "has the unknown member '%s'", name);
}

/* Ring buffers and perf arrays have no values of their own: the type is the record's. */
static void set_record(const struct skep_btf *btf, struct skep_obj_map *map)
{
	bool ring = map->type == BPF_MAP_TYPE_RINGBUF || map->type == BPF_MAP_TYPE_USER_RINGBUF;
	const struct btf_type *t;

	if (!ring && map->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return;
	t = skep_btf_resolve(btf, map->value_type, NULL);
	/* __type(value, int) on a perf array is the descriptor that the kernel keeps there. */
	if (map->value_type && t && (ring || skep_btf_kind(t) != BTF_KIND_INT || t->size > 4))
		map->record_type = map->value_type;
	map->key_type = map->value_type = 0;
	map->key_size = map->value_size = ring ? 0 : 4;
}

/*
 * Who leaves the depth of stacks to the moment of loading wants what there is:
 * the default of kernel.perf_event_max_stack.
 */
static void set_frames(struct skep_obj_map *map)
{
	if (map->type == BPF_MAP_TYPE_STACK_TRACE && !map->value_size)
		map->value_size = PERF_MAX_STACK_DEPTH * sizeof(uint64_t);
}

/* Maps of descriptors have values of 4 bytes, whatever was written. */
static int set_inner(struct skep_obj_map *map, struct skep_err *err)
{
	bool of_maps =
		map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS || map->type == BPF_MAP_TYPE_HASH_OF_MAPS;

	if (!of_maps && map->inner)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "has maps as values, but is no ARRAY_OF_MAPS or HASH_OF_MAPS");
	if (!of_maps && (map->type != BPF_MAP_TYPE_PROG_ARRAY || !map->values_off))
		return 0;
	map->key_size = map->key_size ? map->key_size : 4;
	map->value_size = 4;
	return 0;
}

static int read_def(struct skep_elf *elf, uint32_t type, bool inner, struct skep_obj_map *map,
		    struct skep_err *err);

/* `values`: pointers to maps of one kind, or to programs. */
static int read_values(struct skep_elf *elf, uint32_t id, uint32_t bit_off,
		       struct skep_obj_map *map, struct skep_err *err)
{
	const struct skep_btf *btf = elf->obj->btf;
	const struct btf_type *t = skep_btf_resolve(btf, id, NULL);
	struct skep_obj_map *inner;
	uint32_t type;
	int ret;

	if (t && skep_btf_kind(t) == BTF_KIND_ARRAY)
		t = skep_btf_resolve(btf, skep_btf_array(t)->type, NULL);
	if (!t || skep_btf_kind(t) != BTF_KIND_PTR || bit_off % 8)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "'values' is not written as __array");
	map->values_off = bit_off / 8;
	type = t->type;
	t = skep_btf_resolve(btf, type, NULL);
	if (!t || skep_btf_kind(t) != BTF_KIND_STRUCT)
		return 0;
	inner = skep_arena_alloc(&elf->obj->arena, sizeof(*inner));
	if (!inner)
		return skep_fail_nomem(err);
	inner->name = skep_arena_printf(&elf->obj->arena, "%s.inner", map->name);
	if (!inner->name)
		return skep_fail_nomem(err);
	ret = read_def(elf, type, true, inner, err);
	map->inner = inner;
	return ret ? skep_wrap(err, ret, "its values") : 0;
}

static int read_def(struct skep_elf *elf, uint32_t type, bool inner, struct skep_obj_map *map,
		    struct skep_err *err)
{
	const struct skep_btf *btf = elf->obj->btf;
	const struct btf_type *def = skep_btf_resolve(btf, type, NULL);
	const struct btf_member *m;
	uint32_t i;
	int ret;

	if (!def || skep_btf_kind(def) != BTF_KIND_STRUCT)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL, "is not a struct");
	m = skep_btf_members(def);
	for (i = 0; i < skep_btf_vlen(def); i++) {
		const char *name = skep_btf_str(btf, m[i].name_off);

		if (!strcmp(name, "values") && inner)
			ret = skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					"maps in maps in maps are more than the kernel has");
		else if (!strcmp(name, "values"))
			ret = read_values(elf, m[i].type, m[i].offset & 0xffffff, map, err);
		else
			ret = read_member(btf, name, m[i].type, map, err);
		if (ret)
			return ret;
	}
	if (!map->type)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "has no type: __uint(type, BPF_MAP_TYPE_...) is missing");
	set_record(btf, map);
	set_frames(map);
	return set_inner(map, err);
}

int skep_elf_read_map(struct skep_elf *elf, uint32_t type, struct skep_obj_map *map,
		      struct skep_err *err)
{
	return read_def(elf, type, false, map, err);
}

static struct skep_obj_map *add_map(struct skep_elf *elf, const char *name)
{
	struct skep_obj_map *map = skep_vec_add(&elf->maps);

	if (map)
		map->name = skep_arena_strdup(&elf->obj->arena, name);
	return map && map->name ? map : NULL;
}

static int read_maps_section(struct skep_elf *elf, struct skep_err *err)
{
	const struct skep_btf *btf = elf->obj->btf;
	const struct btf_var_secinfo *vs;
	const struct btf_type *t, *var;
	struct skep_obj_map *map;
	struct skep_elf_map at;
	const char *name;
	int id, ret;
	uint32_t i;

	id = btf ? skep_btf_find(btf, ".maps", BTF_KIND_DATASEC, 0) : -ENOENT;
	if (id < 0)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: has maps but no types that describe them; compile with -g",
				 elf->obj->name);
	t = skep_btf_type(btf, id);
	vs = skep_btf_secinfos(t);
	for (i = 0; i < skep_btf_vlen(t); i++) {
		var = skep_btf_type(btf, vs[i].type);
		if (!var || skep_btf_kind(var) != BTF_KIND_VAR)
			return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					 "%s: section '.maps' holds what is not a variable",
					 elf->obj->name);
		name = skep_btf_str(btf, var->name_off);
		if (skep_btf_var(var)->linkage == BTF_VAR_GLOBAL_EXTERN)
			return skep_fail(err, SKEP_E_OBJ_SYMBOL, ENOENT,
					 "%s: map '%s' is only declared here; link the object that "
					 "defines it to this one (skep link)",
					 elf->obj->name, name);
		at = (struct skep_elf_map){elf->maps_sec, vs[i].offset, elf->maps.len};
		map = add_map(elf, name);
		if (!map || skep_vec_push(&elf->maps_at, at))
			return skep_fail_nomem(err);
		ret = read_def(elf, var->type, false, map, err);
		if (ret)
			return skep_wrap(err, ret, "%s: map '%s'", elf->obj->name, name);
	}
	return 0;
}

static bool is_named(const char *name, const char *sec)
{
	size_t len = strlen(sec);

	return !strncmp(name, sec, len) && (!name[len] || name[len] == '.');
}

/* Which kind of map section @sec becomes, or false. */
static bool data_kind(const struct skep_elf_sec *sec, enum skep_obj_map_kind *kind)
{
	if (!(sec->flags & SHF_ALLOC) || skep_elf_is_code(sec))
		return false;
	if (is_named(sec->name, ".bss"))
		*kind = SKEP_OBJ_MAP_BSS;
	else if (is_named(sec->name, ".data"))
		*kind = SKEP_OBJ_MAP_DATA;
	else if (is_named(sec->name, ".rodata"))
		*kind = SKEP_OBJ_MAP_RODATA;
	else
		return false;
	return sec->type == (*kind == SKEP_OBJ_MAP_BSS ? SHT_NOBITS : SHT_PROGBITS);
}

static int add_data(struct skep_elf *elf, struct skep_elf_sec *sec, enum skep_obj_map_kind kind,
		    struct skep_err *err)
{
	struct skep_obj *obj = elf->obj;
	struct skep_obj_map *map;
	int id;

	if (sec->size > MAX_SECTION)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EFBIG,
				 "%s: section '%s' has %llu bytes; %u are the limit for global "
				 "variables: put what is large into an array map",
				 obj->name, sec->name, (unsigned long long)sec->size, MAX_SECTION);
	sec->map = elf->maps.len;
	map = add_map(elf, sec->name);
	if (!map)
		return skep_fail_nomem(err);
	map->kind = kind;
	map->type = BPF_MAP_TYPE_ARRAY;
	map->key_size = 4;
	map->value_size = map->init_size = sec->size;
	map->max_entries = 1;
	map->flags = BPF_F_MMAPABLE | (kind == SKEP_OBJ_MAP_RODATA ? BPF_F_RDONLY_PROG : 0);
	map->init = sec->data ? skep_arena_dup(&obj->arena, sec->data, sec->size)
			      : skep_arena_alloc(&obj->arena, sec->size);
	if (!map->init)
		return skep_fail_nomem(err);
	id = obj->btf ? skep_btf_find(obj->btf, sec->name, BTF_KIND_DATASEC, 0) : 0;
	map->datasec = id > 0 ? id : 0;
	map->value_type = map->datasec;
	return 0;
}

/* The variables of address space 1 lie in the object's arena. */
static int read_arena(struct skep_elf *elf, struct skep_err *err)
{
	struct skep_elf_sec *sec = &elf->secs.data[skep_elf_find_sec(elf, ".addr_space.1")];
	struct skep_obj *obj = elf->obj;
	struct skep_obj_map *map, *arena = NULL;
	int id;

	skep_vec_each (&elf->maps, map) {
		if (map->type != BPF_MAP_TYPE_ARENA)
			continue;
		if (arena)
			return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					 "%s: map '%s': '%s' is an arena already, and an object "
					 "can have one",
					 obj->name, map->name, arena->name);
		arena = map;
	}
	if (!sec->data)
		return 0;
	if (!arena)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: has __arena variables, but no map of type "
				 "BPF_MAP_TYPE_ARENA to hold them",
				 obj->name);
	if (sec->size > (uint64_t)arena->max_entries * ARENA_PAGE)
		return skep_fail(err, SKEP_E_OBJ_INVALID, ENOSPC,
				 "%s: map '%s': its __arena variables have %llu bytes, but "
				 "max_entries is %u pages of %u; make it larger",
				 obj->name, arena->name, (unsigned long long)sec->size,
				 arena->max_entries, ARENA_PAGE);
	sec->map = (uint32_t)(arena - elf->maps.data);
	arena->init = skep_arena_dup(&obj->arena, sec->data, sec->size);
	arena->init_size = (uint32_t)sec->size;
	id = obj->btf ? skep_btf_find(obj->btf, sec->name, BTF_KIND_DATASEC, 0) : 0;
	arena->datasec = id > 0 ? (uint32_t)id : 0;
	return arena->init ? 0 : skep_fail_nomem(err);
}

int skep_elf_read_maps(struct skep_elf *elf, struct skep_err *err)
{
	struct skep_obj *obj = elf->obj;
	enum skep_obj_map_kind kind;
	struct skep_elf_sec *sec;
	int ret;

	ret = skep_elf_read_legacy(elf, err);
	if (ret)
		return ret;
	elf->maps_sec = skep_elf_find_sec(elf, ".maps");
	if (elf->maps_sec && elf->secs.data[elf->maps_sec].size) {
		ret = read_maps_section(elf, err);
		if (ret)
			return ret;
	}
	ret = skep_elf_read_ops(elf, err);
	if (ret)
		return ret;
	skep_vec_each (&elf->secs, sec) {
		if (!sec->size || !data_kind(sec, &kind))
			continue;
		ret = add_data(elf, sec, kind, err);
		if (ret)
			return ret;
	}
	ret = read_arena(elf, err);
	if (ret)
		return ret;
	obj->maps = skep_arena_dup(&obj->arena, elf->maps.data,
				   elf->maps.len * sizeof(*elf->maps.data));
	obj->nr_maps = elf->maps.len;
	return obj->maps ? 0 : skep_fail_nomem(err);
}
