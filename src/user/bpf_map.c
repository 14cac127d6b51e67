/* SPDX-License-Identifier: BSD-2-Clause */
/* The map commands of bpf(2): kernel/bpf/syscall.c decides the order of the checks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "user/engine.h"

#define MAP_UPDATE 1
#define MAP_DELETE 2
#define MAP_TAKE   4

static bool is_struct(const struct skep_types *types, uint32_t id)
{
	const struct btf_type *t = skep_btf_resolve(types->btf, id, NULL);

	return t && skep_btf_kind(t) == BTF_KIND_STRUCT;
}

/* What some kinds ask of their types. */
static int check_kind(const union bpf_attr *attr, const struct skep_types *types,
		      struct skep_err *err)
{
	uint32_t key = attr->btf_key_type_id;

	switch (attr->map_type) {
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
		return skep_fail(err, SKEP_E_MAP_CREATE, SKEP_ENOTSUPP,
				 "map '%.15s': maps of maps take no types", attr->map_name);
	case BPF_MAP_TYPE_HASH:
		return key ? 0
			   : skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				       "map '%.15s': the value has a type, the key has none",
				       attr->map_name);
	case BPF_MAP_TYPE_LPM_TRIE:
		return is_struct(types, key)
			       ? 0
			       : skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
					   "map '%.15s': the type of a trie's key is a struct "
					   "that begins with its prefixlen",
					   attr->map_name);
	default: return 0;
	}
}

/* Types of key and value, if given, must have the sizes of key and value. */
static int check_types(struct skep_user *user, const union bpf_attr *attr, struct skep_types **out,
		       struct skep_err *err)
{
	struct skep_types *types;
	int64_t size;
	int ret;

	*out = NULL;
	if (!attr->btf_key_type_id && !attr->btf_value_type_id)
		return 0;
	types = skep_user_obj(user, (int)attr->btf_fd, SKEP_USER_BTF, &ret);
	if (!types)
		return skep_fail(err, SKEP_E_MAP_CREATE, -ret, "map '%.15s': btf_fd %u is no BTF",
				 attr->map_name, attr->btf_fd);
	size = skep_btf_sizeof(types->btf, attr->btf_value_type_id);
	if (size < 0 || size != attr->value_size)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "map '%.15s': value_size is %u, its BTF type has %lld bytes",
				 attr->map_name, attr->value_size, (long long)size);
	if (attr->btf_key_type_id) {
		size = skep_btf_sizeof(types->btf, attr->btf_key_type_id);
		if (size < 0 || size != attr->key_size)
			return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
					 "map '%.15s': key_size is %u, its BTF type has %lld bytes",
					 attr->map_name, attr->key_size, (long long)size);
	}
	ret = check_kind(attr, types, err);
	if (ret == 0)
		*out = types;
	return ret;
}

int skep_bpf_map_create(struct skep_user *user, struct skep_call *call)
{
	struct skep_types *types = NULL;
	struct skep_map *map;
	int ret;

	ret = skep_map_create(&map, &call->attr, &skep_user_prog_ops, user, skep_user_output_get,
			      call->err);
	if (ret)
		return ret;
	ret = check_types(user, &call->attr, &types, call->err);
	if (ret == 0 && types) {
		map->owner = types;
		skep_obj_get(SKEP_USER_BTF, types);
	}
	if (ret == 0)
		ret = skep_user_register(user, SKEP_USER_MAP, map);
	if (ret == 0)
		return skep_user_fd(user, SKEP_USER_MAP, map);
	skep_obj_put(SKEP_USER_MAP, map);
	return ret;
}

/* The map of a descriptor that may be read or written through as @need says. */
static struct skep_map *map_of(struct skep_user *user, uint32_t fd, int need, int *ret)
{
	struct skep_map *map = skep_user_obj(user, (int)fd, SKEP_USER_MAP, ret);
	const struct skep_slot *slot = skep_user_slot(user, (int)fd);

	if (!map)
		return NULL;
	if ((slot->no_write && need & (MAP_UPDATE | MAP_DELETE)) ||
	    (slot->no_read && (!(need & (MAP_UPDATE | MAP_DELETE)) || need & MAP_TAKE))) {
		*ret = -EPERM;
		return NULL;
	}
	return map;
}

/* Maps without keys are given none; others must be given one. */
static int check_key(const struct skep_map *map, uint64_t key)
{
	if (map->key_size)
		return key ? 0 : -EFAULT;
	return key ? -EINVAL : 0;
}

/*
 * What a map forbids comes before a look at the key: the element functions
 * check it again.
 */
static int forbidden(const struct skep_map *map, int need)
{
	if (need & (MAP_UPDATE | MAP_DELETE) && (map->flags & BPF_F_RDONLY || map->frozen))
		return -EPERM;
	if ((!(need & (MAP_UPDATE | MAP_DELETE)) || need & MAP_TAKE) && map->flags & BPF_F_WRONLY)
		return -EPERM;
	return 0;
}

typedef int read_fn(struct skep_map *map, const void *key, void *value, uint64_t flags);

/* The value of attr.key, as @get gives it, to attr.value. */
static int read_value(struct skep_user *user, const union bpf_attr *attr, int need, read_fn *get)
{
	SKEP_AUTO_FREE void *value = NULL;
	struct skep_map *map;
	int ret;

	if (attr->flags & ~(uint64_t)BPF_F_LOCK)
		return -EINVAL;
	map = map_of(user, attr->map_fd, need, &ret);
	if (!map || (ret = forbidden(map, need)))
		return ret;
	if (attr->flags)
		return -EINVAL;
	ret = check_key(map, attr->key);
	if (ret)
		return ret;
	value = calloc(1, skep_map_sys_value_size(map) + 1);
	if (!value)
		return -ENOMEM;
	/* A bloom filter is asked with the value. */
	if (map->type == BPF_MAP_TYPE_BLOOM_FILTER && !(need & MAP_TAKE)) {
		if (!attr->value)
			return -EFAULT;
		memcpy(value, skep_ptr(attr->value), map->value_size);
	}
	ret = get(map, skep_ptr(attr->key), value, attr->flags);
	if (ret)
		return ret;
	if (!attr->value)
		return -EFAULT;
	memcpy(skep_ptr(attr->value), value, skep_map_sys_value_size(map));
	return 0;
}

int skep_bpf_map_lookup_elem(struct skep_user *user, struct skep_call *call)
{
	return read_value(user, &call->attr, 0, skep_map_sys_lookup);
}

int skep_bpf_map_update_elem(struct skep_user *user, struct skep_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct skep_map *map;
	int ret;

	map = map_of(user, attr->map_fd, MAP_UPDATE, &ret);
	if (!map || (ret = forbidden(map, MAP_UPDATE)))
		return ret;
	if (attr->flags & BPF_F_LOCK)
		return -EINVAL;
	ret = check_key(map, attr->key);
	if (ret)
		return ret;
	if (!attr->value && map->value_size)
		return -EFAULT;
	return skep_map_sys_update(map, skep_ptr(attr->key), skep_ptr(attr->value), attr->flags);
}

int skep_bpf_map_delete_elem(struct skep_user *user, struct skep_call *call)
{
	struct skep_map *map;
	int ret;

	map = map_of(user, call->attr.map_fd, MAP_DELETE, &ret);
	if (!map || (ret = forbidden(map, MAP_DELETE)))
		return ret;
	ret = check_key(map, call->attr.key);
	return ret ? ret : skep_map_sys_delete(map, skep_ptr(call->attr.key));
}

int skep_bpf_map_get_next_key(struct skep_user *user, struct skep_call *call)
{
	const union bpf_attr *attr = &call->attr;
	SKEP_AUTO_FREE void *next = NULL;
	struct skep_map *map;
	int ret;

	map = map_of(user, attr->map_fd, 0, &ret);
	if (!map || (ret = forbidden(map, 0)))
		return ret;
	ret = attr->key ? check_key(map, attr->key) : 0;
	if (ret)
		return ret;
	next = malloc(map->key_size + 1);
	if (!next)
		return -ENOMEM;
	ret = skep_map_sys_next_key(map, skep_ptr(attr->key), next);
	if (ret)
		return ret;
	if (!attr->next_key)
		return -EFAULT;
	memcpy(skep_ptr(attr->next_key), next, map->key_size);
	return 0;
}

/* Hashes of maps have it in batches only, as in the kernel. */
static int take_one(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	return map->ops->inner ? -SKEP_ENOTSUPP : skep_map_sys_take(map, key, value, flags);
}

int skep_bpf_map_lookup_and_delete_elem(struct skep_user *user, struct skep_call *call)
{
	return read_value(user, &call->attr, MAP_DELETE | MAP_TAKE, take_one);
}

int skep_bpf_map_freeze(struct skep_user *user, struct skep_call *call)
{
	struct skep_map *map;
	int ret;

	map = map_of(user, call->attr.map_fd, MAP_UPDATE, &ret);
	return map ? skep_map_sys_freeze(map) : ret;
}

/* Elements after *@token, up to *count; *@more: there are others. */
static int lookup_some(struct skep_map *map, const union bpf_attr *attr, uint32_t *count, bool take)
{
	size_t value_size = skep_map_sys_value_size(map), k = map->key_size;
	SKEP_AUTO_FREE char *key = malloc(k), *prev = NULL;
	char *keys = skep_ptr(attr->batch.keys), *values = skep_ptr(attr->batch.values);
	uint32_t max = *count, n;
	int ret = 0;

	prev = attr->batch.in_batch ? malloc(k) : NULL;
	if (!key || (attr->batch.in_batch && !prev))
		return -ENOMEM;
	if (prev)
		memcpy(prev, skep_ptr(attr->batch.in_batch), k);
	for (n = 0; n < max; n += ret == 0) {
		/* What was taken is gone: its successor is then the first. */
		ret = skep_map_sys_next_key(map, take ? NULL : prev, key);
		if (ret)
			break;
		ret = take ? skep_map_sys_take(map, key, values + n * value_size, 0)
			   : skep_map_sys_lookup(map, key, values + n * value_size, 0);
		/* Not there: an empty place in an array of maps, or gone since. */
		if (ret && ret != -ENOENT)
			break;
		if (!ret)
			memcpy(keys + n * k, key, k);
		if (!prev)
			prev = malloc(k);
		if (!prev)
			return -ENOMEM;
		memcpy(prev, key, k);
	}
	*count = n;
	if (n && attr->batch.out_batch)
		memcpy(skep_ptr(attr->batch.out_batch), prev, k);
	return ret;
}

static int batch_map(struct skep_user *user, struct skep_call *call, int need,
		     struct skep_map **map)
{
	const union bpf_attr *attr = &call->attr;
	int ret;

	*map = map_of(user, attr->batch.map_fd, need, &ret);
	if (!*map || (ret = forbidden(*map, need)))
		return ret;
	if (attr->batch.elem_flags & ~(uint64_t)BPF_F_LOCK || attr->batch.flags)
		return -EINVAL;
	if (skep_map_type_name((*map)->type) && !(*map)->key_size)
		return -SKEP_ENOTSUPP;
	if (attr->batch.count && (!attr->batch.keys || (!attr->batch.values && need != MAP_DELETE)))
		return -EFAULT;
	return 0;
}

static int lookup_batch(struct skep_user *user, struct skep_call *call, bool take)
{
	uint32_t count = call->attr.batch.count, zero = 0;
	struct skep_map *map;
	int ret = batch_map(user, call, take ? MAP_DELETE | MAP_TAKE : 0, &map);

	if (!ret && take && !map->ops->sys_take)
		ret = -SKEP_ENOTSUPP;
	if (ret || !count)
		return ret;
	skep_call_set(call, batch.count, zero);
	ret = lookup_some(map, &call->attr, &count, take);
	skep_call_set(call, batch.count, count);
	return ret;
}

int skep_bpf_map_lookup_batch(struct skep_user *user, struct skep_call *call)
{
	return lookup_batch(user, call, false);
}

int skep_bpf_map_lookup_and_delete_batch(struct skep_user *user, struct skep_call *call)
{
	return lookup_batch(user, call, true);
}

/* Elements of arrays cannot be deleted by the batch. */
static bool is_array(const struct skep_map *map)
{
	return map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       map->type == BPF_MAP_TYPE_ARRAY_OF_MAPS;
}

static int each_batch(struct skep_user *user, struct skep_call *call, bool update)
{
	const union bpf_attr *attr = &call->attr;
	const char *keys = skep_ptr(attr->batch.keys), *values = skep_ptr(attr->batch.values);
	uint32_t n = 0;
	struct skep_map *map;
	size_t value_size;
	int ret = batch_map(user, call, update ? MAP_UPDATE : MAP_DELETE, &map);

	if (!ret && !update && is_array(map))
		ret = -SKEP_ENOTSUPP;
	if (ret || !attr->batch.count)
		return ret;
	value_size = skep_map_sys_value_size(map);
	for (; n < attr->batch.count; n++) {
		const char *key = keys + (size_t)n * map->key_size;

		ret = update ? skep_map_sys_update(map, key, values + n * value_size,
						   attr->batch.elem_flags)
			     : skep_map_sys_delete(map, key);
		if (ret)
			break;
	}
	skep_call_set(call, batch.count, n);
	return ret;
}

int skep_bpf_map_update_batch(struct skep_user *user, struct skep_call *call)
{
	return each_batch(user, call, true);
}

int skep_bpf_map_delete_batch(struct skep_user *user, struct skep_call *call)
{
	return each_batch(user, call, false);
}
