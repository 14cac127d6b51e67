/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arrays and hashes of maps: each place holds a counted reference of a map
 * like the one that MAP_CREATE was shown.
 *
 * Places are read and written under a lock, in which a reader takes a
 * reference of its own: a map that is replaced or deleted meanwhile lives
 * until the reader's run ends.  The hash's keys are kept by an inner map of
 * src/map/hash.c whose values are the pointers; no program ever sees those.
 *
 * Documentation/bpf/map_of_maps.rst.
 */
#include <errno.h>
#include <stdlib.h>

#include "map/kind.h"

struct outer {
	struct skep_spin lock;
	/* What all maps in here are like. */
	uint32_t type, key_size, value_size, flags, max_entries;
	struct skep_map *hash; /* NULL: an array */
	void *key; /* of the hash: room for one when all go */
	struct skep_map *at[]; /* of an array */
};

static int check_value(const union bpf_attr *attr, struct skep_err *err)
{
	if (attr->value_size == 4)
		return 0;
	return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
			 "value_size is %u, values are 4-byte descriptors of maps",
			 attr->value_size);
}

static int check_array(const union bpf_attr *attr, struct skep_err *err)
{
	int ret = check_value(attr, err);

	if (ret)
		return ret;
	if (attr->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "flags 0x%x do not fit this kind",
				 attr->map_flags);
	return skep_array_check(attr, err);
}

static int check_hash(const union bpf_attr *attr, struct skep_err *err)
{
	int ret = check_value(attr, err);

	return ret ? ret : skep_map_hash.check(attr, err);
}

/* The map that MAP_CREATE's inner_map_fd shows, for as long as the caller holds it. */
static struct skep_map *shown(const struct skep_map *map, int *ret, struct skep_err *err)
{
	struct skep_map *inner = NULL;

	*ret = -EBADF;
	if (map->prog_ops && map->prog_ops->map)
		inner = map->prog_ops->map(map->prog_ctx, map->inner_fd, ret);
	if (!inner) {
		skep_fail(err, SKEP_E_MAP_CREATE, -*ret,
			  "inner_map_fd %d is no map that shows what those in here are like",
			  map->inner_fd);
	} else if (inner->ops->inner) {
		*ret = skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "maps of maps do not nest: '%s' is one", inner->name);
		inner = NULL;
	} else if (inner->type == BPF_MAP_TYPE_PROG_ARRAY) {
		*ret = skep_fail(err, SKEP_E_MAP_CREATE, SKEP_ENOTSUPP,
				 "prog arrays cannot be in other maps: '%s' is one", inner->name);
		inner = NULL;
	}
	return inner;
}

/* The hash behind a hash of maps: its values are pointers. */
static int make_hash(struct skep_map *map, struct skep_map **hash, struct skep_err *err)
{
	int ret;

	*hash = calloc(1, sizeof(**hash));
	if (!*hash)
		return skep_fail_nomem(err);
	**hash = (struct skep_map){
		.ops = &skep_map_hash,
		.type = BPF_MAP_TYPE_HASH,
		.key_size = map->key_size,
		.value_size = sizeof(struct skep_map *),
		.max_entries = map->max_entries,
		.flags = map->flags,
		.cpus = map->cpus,
		.created_ns = map->created_ns,
		.refs = 1,
	};
	ret = skep_map_hash.init(*hash, err);
	if (ret)
		free(*hash);
	return ret;
}

static int init(struct skep_map *map, struct skep_err *err)
{
	bool hashed = map->type == BPF_MAP_TYPE_HASH_OF_MAPS;
	const struct skep_map *inner;
	struct outer *o;
	int ret;

	inner = shown(map, &ret, err);
	if (!inner)
		return ret;
	o = calloc(1, sizeof(*o) + (hashed ? 0 : map->max_entries * sizeof(o->at[0])));
	if (!o)
		return skep_fail_nomem(err);
	o->type = inner->type;
	o->key_size = inner->key_size;
	o->value_size = inner->value_size;
	o->flags = inner->flags;
	o->max_entries = inner->max_entries;
	map->priv = o;
	if (!hashed)
		return 0;
	o->key = malloc(map->key_size);
	ret = o->key ? make_hash(map, &o->hash, err) : skep_fail_nomem(err);
	if (ret) {
		free(o->key);
		free(o);
	}
	return ret;
}

/* The place of @key; NULL: none. */
static struct skep_map **place_of(const struct skep_map *map, const void *key)
{
	struct outer *o = map->priv;
	uint32_t i;

	if (o->hash)
		return skep_map_hash.lookup(o->hash, key, 0);
	memcpy(&i, key, sizeof(i));
	return i < map->max_entries ? &o->at[i] : NULL;
}

/* What @key's place holds, with a reference, or NULL. */
static struct skep_map *inner_of(struct skep_map *map, const void *key)
{
	struct outer *o = map->priv;
	struct skep_map **place, *inner;

	skep_spin_lock(&o->lock);
	place = place_of(map, key);
	inner = place && *place ? skep_map_get(*place) : NULL;
	skep_spin_unlock(&o->lock);
	return inner;
}

/* The map of descriptor @fd, if it may be in here. */
static struct skep_map *fitting(const struct skep_map *map, int fd, int *ret)
{
	const struct outer *o = map->priv;
	struct skep_map *inner = map->prog_ops->map(map->prog_ctx, fd, ret);

	if (!inner)
		return NULL;
	*ret = -EINVAL;
	if (inner->type != o->type || inner->key_size != o->key_size ||
	    inner->value_size != o->value_size || inner->flags != o->flags)
		return NULL;
	if (o->type == BPF_MAP_TYPE_ARRAY && !(o->flags & BPF_F_INNER_MAP) &&
	    inner->max_entries != o->max_entries)
		return NULL;
	return inner;
}

/* Puts @inner, or nothing, where an array's @key says; what was there in *@old. */
static int set_place(struct skep_map *map, const void *key, struct skep_map *inner,
		     struct skep_map **old)
{
	struct skep_map **place = place_of(map, key);

	if (!place)
		return -E2BIG;
	*old = *place;
	*place = inner;
	return inner || *old ? 0 : -ENOENT;
}

static int sys_update(struct skep_map *map, const void *key, const void *value, uint64_t flags)
{
	struct outer *o = map->priv;
	struct skep_map *inner, *old = NULL, **place;
	int32_t fd;
	int ret;

	if (!o->hash && flags != BPF_ANY)
		return -EINVAL;
	memcpy(&fd, value, sizeof(fd));
	/* The kernel looks at an array's index first. */
	if (!o->hash && !place_of(map, key))
		return -E2BIG;
	inner = fitting(map, fd, &ret);
	if (!inner)
		return ret;
	skep_map_get(inner);
	skep_spin_lock(&o->lock);
	if (o->hash) {
		place = place_of(map, key);
		old = place ? *place : NULL;
		ret = skep_map_hash.update(o->hash, key, &inner, flags, 0);
	} else {
		ret = set_place(map, key, inner, &old);
	}
	skep_spin_unlock(&o->lock);
	skep_map_put(ret ? inner : old);
	return ret;
}

static int sys_delete(struct skep_map *map, const void *key)
{
	struct outer *o = map->priv;
	struct skep_map *old = NULL;
	int ret;

	skep_spin_lock(&o->lock);
	ret = o->hash ? skep_map_hash.sys_take(o->hash, key, &old, 0)
		      : set_place(map, key, NULL, &old);
	skep_spin_unlock(&o->lock);
	skep_map_put(old);
	return ret;
}

static int sys_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	struct skep_map *inner = inner_of(map, key);

	if (!inner)
		return -ENOENT;
	memcpy(value, &inner->id, sizeof(inner->id));
	skep_map_put(inner);
	return 0;
}

/* Only batches have it: the call for one element refuses maps of maps. */
static int hash_take(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	int ret = sys_lookup(map, key, value, flags);

	return ret ? ret : sys_delete(map, key);
}

static int hash_next_key(struct skep_map *map, const void *key, void *next)
{
	return skep_map_hash.next_key(((struct outer *)map->priv)->hash, key, next);
}

static void deinit_hash(struct outer *o)
{
	struct skep_map *inner = NULL;

	while (skep_map_hash.next_key(o->hash, NULL, o->key) == 0 &&
	       skep_map_hash.sys_take(o->hash, o->key, &inner, 0) == 0)
		skep_map_put(inner);
	free(o->key);
	skep_map_put(o->hash);
}

static void deinit(struct skep_map *map)
{
	struct outer *o = map->priv;
	uint32_t i;

	if (o->hash)
		deinit_hash(o);
	for (i = 0; !o->hash && i < map->max_entries; i++)
		skep_map_put(o->at[i]);
	free(o);
}

#define OF_MAPS(kind, ...) \
	const struct skep_map_ops skep_map_##kind = { \
		.name = #kind, \
		.init = init, \
		.deinit = deinit, \
		.inner = inner_of, \
		.sys_lookup = sys_lookup, \
		.sys_update = sys_update, \
		.sys_delete = sys_delete, \
		__VA_ARGS__, \
	}

OF_MAPS(array_of_maps, .check = check_array, .next_key = skep_array_next_key);
OF_MAPS(hash_of_maps, .check = check_hash, .sys_take = hash_take, .next_key = hash_next_key);
