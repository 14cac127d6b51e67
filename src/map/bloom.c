/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bloom filters: "surely not" or "perhaps" for values without keys.  Two
 * halves of one hash make the map_extra places of a value; which values are
 * taken for others is each implementation's own.  Bits are only ever set.
 *
 * Documentation/bpf/map_bloom_filter.rst.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hash.h"
#include "map/kind.h"

#define VALUE_MAX (4u << 20) /* KMALLOC_MAX_SIZE of the kernel */
#define HASHES	  5 /* unless map_extra says another number */

struct bloom {
	uint64_t mask; /* bits - 1; a power of two, at least 64 */
	uint64_t seed;
	unsigned int hashes;
	_Atomic uint64_t *bits;
	size_t len;
};

static int check(const union bpf_attr *attr, struct skep_err *err)
{
	uint32_t known = BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | SKEP_MAP_ACCESS_FLAGS;

	if (attr->value_size > VALUE_MAX)
		return skep_fail(err, SKEP_E_MAP_CREATE, E2BIG, "value_size %u is too large",
				 attr->value_size);
	if (attr->key_size || !attr->value_size || !attr->max_entries)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "bloom filters have entries and values, but no keys");
	if (attr->map_flags & ~known || !skep_map_flags_access_ok(attr->map_flags))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "flags 0x%x do not fit this kind",
				 attr->map_flags);
	if (attr->map_extra > 15)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "map_extra is %llu, bloom filters have up to 15 hash functions",
				 (unsigned long long)attr->map_extra);
	return 0;
}

/* About entries * hashes / ln 2, as the kernel rounds it: a power of two up to 2^32. */
static uint64_t count_bits(uint32_t entries, unsigned int hashes)
{
	uint64_t want = (uint64_t)entries * hashes / 5 * 7, bits = 64;

	while (bits < want && bits < (uint64_t)1 << 32)
		bits *= 2;
	return bits;
}

static int init(struct skep_map *map, struct skep_err *err)
{
	struct bloom *b = calloc(1, sizeof(*b));

	if (!b)
		return skep_fail_nomem(err);
	b->hashes = map->map_extra ? (unsigned int)map->map_extra : HASHES;
	b->mask = count_bits(map->max_entries, b->hashes) - 1;
	b->len = (b->mask + 1) / 8;
	b->bits = skep_mem_reserve(b->len);
	if (!b->bits) {
		free(b);
		return skep_fail_nomem(err);
	}
	if (!(map->flags & BPF_F_ZERO_SEED) &&
	    getrandom(&b->seed, sizeof(b->seed), GRND_NONBLOCK) != sizeof(b->seed))
		b->seed = (uintptr_t)b ^ map->created_ns;
	map->priv = b;
	return 0;
}

static void deinit(struct skep_map *map)
{
	struct bloom *b = map->priv;

	skep_mem_release((void *)b->bits, b->len);
	free(b);
}

struct places {
	uint64_t at, step;
};

static struct places places_of(const struct skep_map *map, const void *value)
{
	const struct bloom *b = map->priv;
	uint64_t hash = skep_hash_bytes(value, map->value_size, b->seed);

	/* An odd step: the places of one value are different ones. */
	return (struct places){hash, (hash >> 32 | hash << 32) | 1};
}

static int push(struct skep_map *map, const void *value, uint64_t flags)
{
	struct places p = places_of(map, value);
	struct bloom *b = map->priv;
	unsigned int i;

	if (flags != BPF_ANY)
		return -EINVAL;
	for (i = 0; i < b->hashes; i++, p.at += p.step)
		atomic_fetch_or_explicit(&b->bits[(p.at & b->mask) / 64], 1ull << p.at % 64,
					 memory_order_relaxed);
	return 0;
}

/* Nothing can be taken out; looking reads the value. */
static int pop(struct skep_map *map, void *value, bool peek)
{
	struct places p;
	struct bloom *b = map->priv;
	unsigned int i;

	if (!peek)
		return -EOPNOTSUPP;
	p = places_of(map, value);
	for (i = 0; i < b->hashes; i++, p.at += p.step)
		if (!(atomic_load_explicit(&b->bits[(p.at & b->mask) / 64], memory_order_relaxed) >>
			      p.at % 64 &
		      1))
			return -ENOENT;
	return 0;
}

static int sys_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	return pop(map, value, true);
}

static int sys_update(struct skep_map *map, const void *key, const void *value, uint64_t flags)
{
	return push(map, value, flags);
}

static int del(struct skep_map *map, const void *key)
{
	return -EOPNOTSUPP;
}

static int next_key(struct skep_map *map, const void *key, void *next)
{
	return -EOPNOTSUPP;
}

const struct skep_map_ops skep_map_bloom_filter = {
	.name = "bloom_filter",
	.check = check,
	.init = init,
	.deinit = deinit,
	.push = push,
	.pop = pop,
	.sys_lookup = sys_lookup,
	.sys_update = sys_update,
	.sys_delete = del,
	.next_key = next_key,
};
