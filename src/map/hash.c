/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hash maps, per-CPU hash maps, and their LRU forms.
 *
 * Readers take no lock: an element is found by walking its bucket's chain of
 * 32-bit element numbers.  The end of a chain names its bucket; a reader that
 * was carried off to another chain, because the element under it was deleted
 * and used again, sees a foreign end and starts over.  Writers hold the
 * bucket's lock.  Free elements form a lock-free stack; its head carries a
 * counter against ABA.  Element memory is never given back before the map
 * dies, so an address in a program's hands stays good.
 *
 * LRU kinds evict by a clock: a lookup by a program marks an element, the
 * hand clears marks and takes the first element without one.  As in the
 * kernel, which element goes is an approximation nobody may rely on.
 *
 * Documentation/bpf/map_hash.rst.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hash.h"
#include "map/kind.h"

#define CHAIN_END 0x80000000u
#define NONE	  UINT32_MAX
#define HASH_FLAGS \
	(BPF_F_NO_PREALLOC | BPF_F_NO_COMMON_LRU | BPF_F_NUMA_NODE | SKEP_MAP_ACCESS_FLAGS | \
	 BPF_F_ZERO_SEED)
#define PCPU_MAX    (32u << 10) /* PCPU_MIN_UNIT_SIZE of the kernel */
#define KMALLOC_MAX (4u << 20)
#define KELEM	    48u /* sizeof(struct htab_elem) */

struct bucket {
	struct skep_spin lock;
	_Atomic uint32_t head; /* 0: empty; element number + 1; or CHAIN_END | bucket */
};

struct elem {
	_Atomic uint32_t next; /* as bucket.head, never 0 */
	_Atomic uint32_t hash; /* of the key; while free: the next free element + 1 */
	unsigned char key[];
};

enum { DEAD, LIVE, MARKED }; /* hash.marks of LRU kinds */

struct hash {
	struct bucket *buckets;
	char *elems;
	struct skep_values v;
	size_t elem_size, elems_len, buckets_len, values_len;
	uint32_t mask, key_size, max, cpus;
	bool percpu, lru;
	uint64_t seed;
	_Atomic uint8_t *marks; /* LRU: one for each element */
	size_t marks_len;
	_Alignas(64) _Atomic uint64_t free; /* counter << 32 | element + 1 */
	_Atomic uint32_t fresh; /* elements from here on were never used */
	_Atomic uint32_t hand;
};

static int hash_check(const union bpf_attr *attr, struct skep_err *err)
{
	bool lru = attr->map_type == BPF_MAP_TYPE_LRU_HASH ||
		   attr->map_type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	bool percpu = skep_map_type_percpu(attr->map_type);
	bool percpu_lru = attr->map_flags & BPF_F_NO_COMMON_LRU;

	if (attr->map_flags & ~HASH_FLAGS || !skep_map_flags_access_ok(attr->map_flags) ||
	    (!lru && percpu_lru))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "flags 0x%x do not fit this kind",
				 attr->map_flags);
	if (lru && attr->map_flags & BPF_F_NO_PREALLOC)
		return skep_fail(err, SKEP_E_MAP_CREATE, SKEP_ENOTSUPP,
				 "LRU maps cannot have BPF_F_NO_PREALLOC");
	if (attr->map_flags & BPF_F_NUMA_NODE && (percpu || percpu_lru))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "per-CPU maps have no NUMA node");
	if (!attr->max_entries || !attr->key_size || !attr->value_size)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "%s is 0",
				 !attr->max_entries ? "max_entries"
				 : !attr->key_size  ? "key_size"
						    : "value_size");
	if ((uint64_t)attr->key_size + attr->value_size >= KMALLOC_MAX - KELEM ||
	    (percpu && skep_round_up(attr->value_size, 8) > PCPU_MAX))
		return skep_fail(err, SKEP_E_MAP_CREATE, E2BIG, "key and value are too large");
	return 0;
}

static void hash_free(struct hash *h)
{
	skep_mem_release(h->buckets, h->buckets_len);
	skep_mem_release(h->elems, h->elems_len);
	if (h->percpu)
		skep_mem_release(h->v.base, h->values_len);
	skep_mem_release((void *)h->marks, h->marks_len);
	free(h);
}

/* Reserves everything; false when there is no memory. */
static bool reserve(struct hash *h, const struct skep_map *map)
{
	size_t value_off = sizeof(struct elem) + skep_round_up(map->key_size, 8);
	size_t value_len = skep_round_up(map->value_size, 8);

	h->elem_size = value_off + (h->percpu ? 0 : value_len);
	h->elems_len = h->elem_size * h->max;
	h->elems = skep_mem_reserve(h->elems_len);
	h->buckets_len = ((size_t)h->mask + 1) * sizeof(struct bucket);
	h->buckets = skep_mem_reserve(h->buckets_len);
	if (!h->elems || !h->buckets)
		return false;
	if (h->lru) {
		h->marks_len = h->max;
		h->marks = skep_mem_reserve(h->marks_len);
		if (!h->marks)
			return false;
	}
	if (!h->percpu) {
		if (!skep_values_init(&h->v, map->value_size, h->elem_size, h->max, 0))
			return false;
		h->v.base = h->elems + value_off;
		/* The last element's stride would reach past the reservation. */
		h->v.total -= value_off;
		return true;
	}
	if (!skep_values_init(&h->v, map->value_size, value_len, h->max, map->cpus))
		return false;
	h->values_len = h->v.total;
	h->v.base = skep_mem_reserve(h->values_len);
	return h->v.base;
}

static int hash_init(struct skep_map *map, struct skep_err *err)
{
	uint64_t max = map->max_entries, buckets = 1;
	struct hash *h;

	if (map->flags & BPF_F_NO_COMMON_LRU) {
		uint64_t cpus = map->cpus;

		max = skep_round_up(max, cpus);
		if (max > UINT32_MAX)
			max = max / cpus * cpus - cpus;
		map->max_entries = (uint32_t)max;
	}
	if (max >= CHAIN_END - 1)
		return skep_fail(err, SKEP_E_MAP_CREATE, E2BIG, "max_entries %llu is too large",
				 (unsigned long long)max);
	h = aligned_alloc(64, skep_round_up(sizeof(*h), 64));
	if (!h)
		return skep_fail_nomem(err);
	memset(h, 0, sizeof(*h));
	while (buckets < max)
		buckets *= 2;
	h->mask = (uint32_t)(buckets - 1);
	h->max = (uint32_t)max;
	h->key_size = map->key_size;
	h->cpus = map->cpus;
	h->percpu = skep_map_type_percpu(map->type);
	h->lru = map->type == BPF_MAP_TYPE_LRU_HASH || map->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	if (!(map->flags & BPF_F_ZERO_SEED) &&
	    getrandom(&h->seed, sizeof(h->seed), GRND_NONBLOCK) != sizeof(h->seed))
		h->seed = (uintptr_t)h ^ map->created_ns;
	if (!reserve(h, map)) {
		hash_free(h);
		return skep_fail_nomem(err);
	}
	map->priv = h;
	return 0;
}

static void hash_deinit(struct skep_map *map)
{
	hash_free(map->priv);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 r = (unsigned __int128)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

/* @size is h->key_size, which some callers know. */
static inline __attribute__((always_inline)) uint32_t hash_sized(const struct hash *h,
								 const void *key, uint32_t size)
{
	uint64_t w = 0, x;

	switch (size) {
	case 4:
		memcpy(&w, key, 4);
		w = mix(w ^ h->seed, 0xd6e8feb86659fd93ull);
		break;
	case 8:
		memcpy(&w, key, 8);
		w = mix(w ^ h->seed, 0xd6e8feb86659fd93ull);
		break;
	case 16:
		memcpy(&w, key, 8);
		memcpy(&x, (const char *)key + 8, 8);
		w = mix(mix(w ^ h->seed, 0xd6e8feb86659fd93ull) ^ x, 0xa0761d6478bd642full);
		break;
	default: w = skep_hash_bytes(key, h->key_size, h->seed);
	}
	return (uint32_t)(w ^ w >> 32);
}

static uint32_t hash_key(const struct hash *h, const void *key)
{
	return hash_sized(h, key, h->key_size);
}

static inline __attribute__((always_inline)) bool same_key(const struct elem *e, const void *key,
							   uint32_t size)
{
	uint64_t a, b;

	if (size == 8) {
		memcpy(&a, e->key, 8);
		memcpy(&b, key, 8);
		return a == b;
	}
	if (size == 4) {
		uint32_t x, y;

		memcpy(&x, e->key, 4);
		memcpy(&y, key, 4);
		return x == y;
	}
	return memcmp(e->key, key, size) == 0;
}

static struct elem *elem_at(const struct hash *h, uint32_t i)
{
	return (struct elem *)(h->elems + (size_t)i * h->elem_size);
}

/* The number of @key's element, or NONE. */
static inline __attribute__((always_inline)) uint32_t
find_sized(const struct hash *h, const void *key, uint32_t hash, uint32_t size)
{
	uint32_t b = hash & h->mask, i;

again:
	i = atomic_load_explicit(&h->buckets[b].head, memory_order_acquire);
	if (!i)
		return NONE;
	while (!(i & CHAIN_END)) {
		const struct elem *e = elem_at(h, i - 1);

		if (atomic_load_explicit(&e->hash, memory_order_relaxed) == hash &&
		    same_key(e, key, size))
			return i - 1;
		i = atomic_load_explicit(&e->next, memory_order_acquire);
	}
	if (i != (CHAIN_END | b))
		goto again;
	return NONE;
}

static uint32_t find(const struct hash *h, const void *key, uint32_t hash)
{
	return find_sized(h, key, hash, h->key_size);
}

/* Takes element @i out of its chain; the bucket's lock is held.  False: not in it. */
static bool unlink_elem(struct hash *h, uint32_t b, uint32_t i)
{
	_Atomic uint32_t *at = &h->buckets[b].head;
	uint32_t n;

	while ((n = atomic_load_explicit(at, memory_order_relaxed)) && !(n & CHAIN_END)) {
		struct elem *e = elem_at(h, n - 1);

		if (n - 1 == i) {
			atomic_store_explicit(at,
					      atomic_load_explicit(&e->next, memory_order_relaxed),
					      memory_order_release);
			return true;
		}
		at = &e->next;
	}
	return false;
}

static void give_back(struct hash *h, uint32_t i)
{
	uint64_t old = atomic_load_explicit(&h->free, memory_order_relaxed), new;
	struct elem *e = elem_at(h, i);

	if (h->lru)
		atomic_store_explicit(&h->marks[i], DEAD, memory_order_relaxed);
	do {
		atomic_store_explicit(&e->hash, (uint32_t)old, memory_order_relaxed);
		new = ((old >> 32) + 1) << 32 | (i + 1);
	} while (!atomic_compare_exchange_weak_explicit(&h->free, &old, new, memory_order_release,
							memory_order_relaxed));
}

static uint32_t take_free(struct hash *h)
{
	uint64_t old = atomic_load_explicit(&h->free, memory_order_acquire), new;
	uint32_t i;

	while ((uint32_t)old) {
		i = (uint32_t)old - 1;
		new = ((old >> 32) + 1) << 32 |
		      atomic_load_explicit(&elem_at(h, i)->hash, memory_order_relaxed);
		if (atomic_compare_exchange_weak_explicit(&h->free, &old, new, memory_order_acquire,
							  memory_order_acquire))
			return i;
	}
	i = atomic_load_explicit(&h->fresh, memory_order_relaxed);
	while (i < h->max) {
		if (atomic_compare_exchange_weak_explicit(
			    &h->fresh, &i, i + 1, memory_order_relaxed, memory_order_relaxed))
			return i;
	}
	return NONE;
}

/* LRU: the clock's hand.  No bucket lock may be held. */
static uint32_t evict(struct hash *h)
{
	uint64_t tries;

	for (tries = 0; tries < 2ull * h->max + 64; tries++) {
		uint32_t i = atomic_fetch_add_explicit(&h->hand, 1, memory_order_relaxed) % h->max;
		uint8_t mark = atomic_load_explicit(&h->marks[i], memory_order_relaxed);
		uint32_t b;
		bool got;

		if (mark == MARKED)
			atomic_store_explicit(&h->marks[i], LIVE, memory_order_relaxed);
		if (mark != LIVE)
			continue;
		b = atomic_load_explicit(&elem_at(h, i)->hash, memory_order_relaxed) & h->mask;
		skep_spin_lock(&h->buckets[b].lock);
		got = unlink_elem(h, b, i);
		skep_spin_unlock(&h->buckets[b].lock);
		if (got)
			return i;
	}
	return take_free(h);
}

static void mark(struct hash *h, uint32_t i)
{
	if (atomic_load_explicit(&h->marks[i], memory_order_relaxed) == LIVE)
		atomic_store_explicit(&h->marks[i], MARKED, memory_order_relaxed);
}

static void *hash_lookup(struct skep_map *map, const void *key, unsigned int cpu)
{
	struct hash *h = map->priv;
	uint32_t i = find(h, key, hash_key(h, key));

	if (i == NONE)
		return NULL;
	if (h->lru)
		mark(h, i);
	return skep_values_at(&h->v, i, cpu);
}

/* The same for plain hashes with keys of the usual sizes. */
#define LOOKUP_SIZED(size) \
	static void *lookup_##size(struct skep_map *map, const void *key, unsigned int cpu) \
	{ \
		const struct hash *h = map->priv; \
		uint32_t i = find_sized(h, key, hash_sized(h, key, size), size); \
\
		return i == NONE ? NULL : skep_values_at(&h->v, i, 0); \
	}
LOOKUP_SIZED(4)
LOOKUP_SIZED(8)
LOOKUP_SIZED(16)

static skep_map_lookup_fn *hash_own_lookup(const struct skep_map *map)
{
	const struct hash *h = map->priv;

	if (h->lru || h->percpu)
		return NULL;
	switch (h->key_size) {
	case 4: return lookup_4;
	case 8: return lookup_8;
	case 16: return lookup_16;
	default: return NULL;
	}
}

#define ALL_CPUS UINT32_MAX

static void set_value(const struct hash *h, uint32_t i, const void *value, unsigned int cpu,
		      bool is_new)
{
	unsigned int c;

	if (!h->percpu) {
		skep_copy(skep_values_at(&h->v, i, 0), value, h->v.value_size);
		return;
	}
	for (c = 0; c < h->cpus; c++) {
		void *p = skep_values_at(&h->v, i, c);

		if (cpu == ALL_CPUS)
			memcpy(p, (const char *)value + c * h->v.stride, h->v.stride);
		else if (c == cpu)
			memcpy(p, value, h->v.value_size);
		else if (is_new)
			memset(p, 0, h->v.stride);
	}
}

static void link_elem(struct hash *h, uint32_t b, uint32_t i, uint32_t hash, const void *key)
{
	uint32_t head = atomic_load_explicit(&h->buckets[b].head, memory_order_relaxed);
	struct elem *e = elem_at(h, i);

	memcpy(e->key, key, h->key_size);
	atomic_store_explicit(&e->hash, hash, memory_order_relaxed);
	atomic_store_explicit(&e->next, head ? head : CHAIN_END | b, memory_order_release);
	atomic_store_explicit(&h->buckets[b].head, i + 1, memory_order_release);
	if (h->lru)
		atomic_store_explicit(&h->marks[i], LIVE, memory_order_relaxed);
}

/* A free element for the locked bucket @b; LRU kinds may unlock it meanwhile (*again). */
static uint32_t take(struct hash *h, uint32_t b, bool *again)
{
	uint32_t i = take_free(h);

	if (i != NONE || !h->lru)
		return i;
	skep_spin_unlock(&h->buckets[b].lock);
	i = evict(h);
	skep_spin_lock(&h->buckets[b].lock);
	*again = true;
	return i;
}

static int set(struct skep_map *map, const void *key, const void *value, uint64_t flags,
	       unsigned int cpu)
{
	struct hash *h = map->priv;
	uint32_t hash, b, i, fresh;
	bool again = false;
	int ret = 0;

	if (flags > BPF_EXIST)
		return -EINVAL;
	hash = hash_key(h, key);
	b = hash & h->mask;
	skep_spin_lock(&h->buckets[b].lock);
	i = find(h, key, hash);
	if (i == NONE && flags != BPF_EXIST) {
		fresh = take(h, b, &again);
		if (again)
			i = find(h, key, hash);
		if (i != NONE && fresh != NONE) {
			give_back(h, fresh);
		} else if (i == NONE && fresh == NONE) {
			ret = h->lru ? -ENOMEM : -E2BIG;
		} else if (i == NONE) {
			set_value(h, fresh, value, cpu, true);
			link_elem(h, b, fresh, hash, key);
			goto out;
		}
	}
	if (i == NONE)
		ret = ret ? ret : -ENOENT;
	else if (flags == BPF_NOEXIST)
		ret = -EEXIST;
	else
		set_value(h, i, value, cpu, false);
out:
	skep_spin_unlock(&h->buckets[b].lock);
	return ret;
}

static int hash_update(struct skep_map *map, const void *key, const void *value, uint64_t flags,
		       unsigned int cpu)
{
	return set(map, key, value, flags, cpu);
}

static int hash_sys_update(struct skep_map *map, const void *key, const void *value, uint64_t flags)
{
	return set(map, key, value, flags, ALL_CPUS);
}

static void copy_out(const struct hash *h, uint32_t i, void *value)
{
	unsigned int c;

	if (!h->percpu) {
		memcpy(value, skep_values_at(&h->v, i, 0), h->v.value_size);
		return;
	}
	for (c = 0; c < h->cpus; c++)
		memcpy((char *)value + c * h->v.stride, skep_values_at(&h->v, i, c), h->v.stride);
}

static int hash_sys_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	struct hash *h = map->priv;
	uint32_t i = find(h, key, hash_key(h, key));

	if (i == NONE)
		return -ENOENT;
	copy_out(h, i, value);
	return 0;
}

/* Deletes @key; its value goes to @value unless NULL. */
static int drop(struct skep_map *map, const void *key, void *value)
{
	struct hash *h = map->priv;
	uint32_t hash = hash_key(h, key), b = hash & h->mask, i;

	skep_spin_lock(&h->buckets[b].lock);
	i = find(h, key, hash);
	if (i != NONE) {
		if (value)
			copy_out(h, i, value);
		unlink_elem(h, b, i);
	}
	skep_spin_unlock(&h->buckets[b].lock);
	if (i == NONE)
		return -ENOENT;
	give_back(h, i);
	return 0;
}

static int hash_delete(struct skep_map *map, const void *key)
{
	return drop(map, key, NULL);
}

static int hash_sys_take(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	return drop(map, key, value);
}

/* The key of the first element in bucket @b and those after it. */
static int first_from(struct hash *h, uint64_t b, void *next)
{
	for (; b <= h->mask; b++) {
		uint32_t i = atomic_load_explicit(&h->buckets[b].head, memory_order_relaxed);

		if (!i || i & CHAIN_END)
			continue;
		skep_spin_lock(&h->buckets[b].lock);
		i = atomic_load_explicit(&h->buckets[b].head, memory_order_relaxed);
		if (!(i & CHAIN_END))
			memcpy(next, elem_at(h, i - 1)->key, h->key_size);
		skep_spin_unlock(&h->buckets[b].lock);
		if (!(i & CHAIN_END))
			return 0;
	}
	return -ENOENT;
}

static int hash_next_key(struct skep_map *map, const void *key, void *next)
{
	struct hash *h = map->priv;
	uint32_t hash, b, i, n = CHAIN_END;

	if (!key)
		return first_from(h, 0, next);
	hash = hash_key(h, key);
	b = hash & h->mask;
	skep_spin_lock(&h->buckets[b].lock);
	i = find(h, key, hash);
	if (i != NONE)
		n = atomic_load_explicit(&elem_at(h, i)->next, memory_order_relaxed);
	if (!(n & CHAIN_END))
		memcpy(next, elem_at(h, n - 1)->key, h->key_size);
	skep_spin_unlock(&h->buckets[b].lock);
	if (i == NONE)
		return first_from(h, 0, next);
	return n & CHAIN_END ? first_from(h, (uint64_t)b + 1, next) : 0;
}

static uint64_t hash_bound(const struct skep_map *map, uint64_t addr)
{
	return skep_values_bound(&((const struct hash *)map->priv)->v, addr);
}

#define HASH_KIND(kind, text) \
	const struct skep_map_ops skep_map_##kind = { \
		.name = text, \
		.check = hash_check, \
		.init = hash_init, \
		.deinit = hash_deinit, \
		.lookup = hash_lookup, \
		.update = hash_update, \
		.del = hash_delete, \
		.sys_lookup = hash_sys_lookup, \
		.sys_update = hash_sys_update, \
		.sys_take = hash_sys_take, \
		.next_key = hash_next_key, \
		.bound = hash_bound, \
		.own_lookup = hash_own_lookup, \
	}

HASH_KIND(hash, "hash");
HASH_KIND(percpu_hash, "percpu_hash");
HASH_KIND(lru_hash, "lru_hash");
HASH_KIND(lru_percpu_hash, "lru_percpu_hash");
