/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stack traces: a table from the hash of a list of addresses to the list.  The
 * id is the slot; two stacks of one slot are a collision, which the flags of
 * bpf_get_stackid() decide.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/hash.h"
#include "map/kind.h"

#define STACK_FLAGS (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_STACK_BUILD_ID)
#define MAX_DEPTH   127u /* sysctl kernel.perf_event_max_stack */

struct slot {
	uint32_t hash, nr; /* nr 0: empty */
	uint64_t ips[];
};

struct stacks {
	struct skep_spin lock;
	char *slots;
	size_t slot_size, len;
	uint32_t nr_slots, used, depth;
};

static int check(const union bpf_attr *attr, struct skep_err *err)
{
	uint32_t unit =
		attr->map_flags & BPF_F_STACK_BUILD_ID ? sizeof(struct bpf_stack_build_id) : 8;

	if (attr->map_flags & ~STACK_FLAGS)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "flags 0x%x do not fit this kind",
				 attr->map_flags);
	if (!attr->max_entries || attr->key_size != 4 || attr->value_size < 8 ||
	    attr->value_size % 8)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "a stack trace map has entries, 4-byte keys and values of "
				 "8-byte addresses");
	if (attr->value_size % unit || attr->value_size / unit > MAX_DEPTH)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "value_size %u: stacks have up to %u entries of %u bytes",
				 attr->value_size, MAX_DEPTH, unit);
	if (attr->max_entries > 1u << 31)
		return skep_fail(err, SKEP_E_MAP_CREATE, E2BIG, "max_entries is too large");
	if (attr->map_flags & BPF_F_STACK_BUILD_ID)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "stacks by build id are not in the user engine yet; leave "
				 "BPF_F_STACK_BUILD_ID out, or run as root on the kernel engine");
	return 0;
}

static int init(struct skep_map *map, struct skep_err *err)
{
	struct stacks *s = calloc(1, sizeof(*s));
	uint32_t n = 1;

	if (!s)
		return skep_fail_nomem(err);
	while (n < map->max_entries)
		n *= 2;
	s->nr_slots = n;
	s->depth = map->value_size / 8;
	s->slot_size = sizeof(struct slot) + map->value_size;
	s->len = s->slot_size * n;
	s->slots = skep_mem_reserve(s->len);
	if (!s->slots) {
		free(s);
		return skep_fail_nomem(err);
	}
	map->priv = s;
	return 0;
}

static void deinit(struct skep_map *map)
{
	struct stacks *s = map->priv;

	skep_mem_release(s->slots, s->len);
	free(s);
}

static struct slot *slot_at(const struct stacks *s, uint32_t i)
{
	return (struct slot *)(s->slots + (size_t)i * s->slot_size);
}

static int store(struct stacks *s, uint32_t max, const uint64_t *ips, uint32_t n, uint64_t flags)
{
	uint32_t hash = (uint32_t)skep_hash_bytes(ips, n * 8, 0);
	uint32_t id = hash & (s->nr_slots - 1);
	struct slot *slot = slot_at(s, id);

	if (slot->nr && slot->hash == hash &&
	    (flags & BPF_F_FAST_STACK_CMP || (slot->nr == n && !memcmp(slot->ips, ips, n * 8))))
		return (int)id;
	if (slot->nr && !(flags & BPF_F_REUSE_STACKID))
		return -EEXIST;
	if (!slot->nr && s->used >= max)
		return -ENOMEM;
	s->used += !slot->nr;
	slot->hash = hash;
	slot->nr = n;
	memcpy(slot->ips, ips, n * 8);
	return (int)id;
}

int skep_stack_map_store(struct skep_map *map, const uint64_t *ips, unsigned int n, uint64_t flags)
{
	const uint64_t known = BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP |
			       BPF_F_REUSE_STACKID;
	struct stacks *s = map->priv;
	int ret;

	if (flags & ~known)
		return -EINVAL;
	if (!n)
		return -EFAULT;
	skep_spin_lock(&s->lock);
	ret = store(s, map->max_entries, ips, n < s->depth ? n : s->depth, flags);
	skep_spin_unlock(&s->lock);
	return ret;
}

static uint32_t id_of(const void *key)
{
	uint32_t id;

	memcpy(&id, key, sizeof(id));
	return id;
}

static int sys_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	struct stacks *s = map->priv;
	uint32_t id = id_of(key);
	int ret = -ENOENT;

	skep_spin_lock(&s->lock);
	if (id < s->nr_slots && slot_at(s, id)->nr) {
		const struct slot *slot = slot_at(s, id);

		memcpy(value, slot->ips, slot->nr * 8);
		memset((char *)value + slot->nr * 8, 0, map->value_size - slot->nr * 8);
		ret = 0;
	}
	skep_spin_unlock(&s->lock);
	return ret;
}

static int del(struct skep_map *map, const void *key)
{
	struct stacks *s = map->priv;
	uint32_t id = id_of(key);
	int ret = 0;

	if (id >= s->nr_slots)
		return -E2BIG;
	skep_spin_lock(&s->lock);
	if (slot_at(s, id)->nr) {
		slot_at(s, id)->nr = 0;
		s->used--;
	} else {
		ret = -ENOENT;
	}
	skep_spin_unlock(&s->lock);
	return ret;
}

/* Lookup and delete in one: Linux has it for this kind since 6.18. */
static int sys_take(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	int ret = sys_lookup(map, key, value, flags);

	return ret ? ret : del(map, key);
}

static int sys_update(struct skep_map *map, const void *key, const void *value, uint64_t flags)
{
	return -EINVAL;
}

static int next_key(struct skep_map *map, const void *key, void *next)
{
	struct stacks *s = map->priv;
	uint32_t id = key ? id_of(key) : 0;

	skep_spin_lock(&s->lock);
	if (key && (id >= s->nr_slots || !slot_at(s, id)->nr))
		id = 0;
	else if (key)
		id++;
	while (id < s->nr_slots && !slot_at(s, id)->nr)
		id++;
	skep_spin_unlock(&s->lock);
	if (id >= s->nr_slots)
		return -ENOENT;
	memcpy(next, &id, sizeof(id));
	return 0;
}

const struct skep_map_ops skep_map_stack_trace = {
	.name = "stack_trace",
	.check = check,
	.init = init,
	.deinit = deinit,
	.del = del,
	.sys_lookup = sys_lookup,
	.sys_update = sys_update,
	.sys_take = sys_take,
	.next_key = next_key,
};
