/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Longest prefix match: a binary trie whose nodes are prefixes; one without a
 * value of its own joins two that part below it.
 *
 * Writers hold the lock and make `seq` odd while they change nodes; readers
 * take no lock: they walk, and walk again when `seq` moved meanwhile.  All
 * that a walk reads is atomic and every node number in a node is one of the
 * pool, so a walk that went astray reads nonsense but never elsewhere.  Nodes
 * are used again but never given back: an address in a program's hands stays
 * good.
 *
 * Documentation/bpf/map_lpm_trie.rst.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>

#include "map/kind.h"

#define DATA_MAX    256u /* bytes of a prefix */
#define KEY_HEAD    4u /* prefixlen, before them */
#define VALUE_MAX   ((4u << 20) - DATA_MAX - 24) /* KMALLOC_MAX_SIZE less the kernel's node */
#define NODES_MAX   (1u << 31)
#define RESERVE_MAX ((uint64_t)1 << 42)
#define TRIES	    16 /* walks without the lock */

struct node {
	_Atomic uint32_t child[2]; /* node number + 1; of a free node: [0] is the next free one */
	_Atomic uint32_t len; /* bits of the prefix */
	_Atomic uint32_t joint; /* 1: no value, two children */
	_Atomic uint64_t data[]; /* the prefix, first bit on top */
};

struct trie {
	struct skep_spin lock;
	_Atomic uint32_t seq, root;
	uint32_t free, fresh, nr_nodes, nr_entries;
	uint32_t words, data_size, max_len;
	size_t node_size, nodes_len, values_len;
	char *nodes;
	struct skep_values v; /* value i is of node i */
};

struct prefix {
	uint32_t len;
	uint64_t data[DATA_MAX / 8];
};

static int check(const union bpf_attr *attr, struct skep_err *err)
{
	uint32_t known = BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | SKEP_MAP_ACCESS_FLAGS;

	if (!attr->max_entries)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "max_entries is 0");
	if (!(attr->map_flags & BPF_F_NO_PREALLOC))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "tries need the flag BPF_F_NO_PREALLOC");
	if (attr->map_flags & ~known || !skep_map_flags_access_ok(attr->map_flags))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL, "flags 0x%x do not fit this kind",
				 attr->map_flags);
	if (attr->key_size <= KEY_HEAD || attr->key_size > KEY_HEAD + DATA_MAX)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "key_size is %u, keys of tries are a 4-byte prefixlen and 1 to "
				 "%u bytes",
				 attr->key_size, DATA_MAX);
	if (!attr->value_size || attr->value_size > VALUE_MAX)
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "value_size is %u, values of tries have 1 to %u bytes",
				 attr->value_size, VALUE_MAX);
	return 0;
}

static void trie_free(struct trie *t)
{
	skep_mem_release(t->nodes, t->nodes_len);
	skep_mem_release(t->v.base, t->values_len);
	free(t);
}

/* Entries, and joints between them; more than memory can hold is not reserved. */
static uint32_t count_nodes(const struct trie *t, const struct skep_map *map, uint64_t stride)
{
	uint64_t n = 2 * (uint64_t)map->max_entries - 1;
	uint64_t fit = RESERVE_MAX / (stride > t->node_size ? stride : t->node_size);

	n = n < fit ? n : fit;
	return (uint32_t)(n < NODES_MAX ? n : NODES_MAX - 1);
}

static int init(struct skep_map *map, struct skep_err *err)
{
	uint64_t stride = skep_round_up(map->value_size, 8);
	struct trie *t = calloc(1, sizeof(*t));

	if (!t)
		return skep_fail_nomem(err);
	t->data_size = map->key_size - KEY_HEAD;
	t->max_len = t->data_size * 8;
	t->words = (t->data_size + 7) / 8;
	t->node_size = sizeof(struct node) + t->words * sizeof(uint64_t);
	t->nr_nodes = count_nodes(t, map, stride);
	t->nodes_len = t->node_size * t->nr_nodes;
	t->nodes = skep_mem_reserve(t->nodes_len);
	if (t->nodes && skep_values_init(&t->v, map->value_size, stride, t->nr_nodes, 0)) {
		t->values_len = t->v.total;
		t->v.base = skep_mem_reserve(t->values_len);
	}
	if (!t->v.base) {
		trie_free(t);
		return skep_fail_nomem(err);
	}
	map->priv = t;
	return 0;
}

static void deinit(struct skep_map *map)
{
	trie_free(map->priv);
}

/* What a walk reads and what may change under it: see `seq`. */
#define GET(what)     atomic_load_explicit(&(what), memory_order_acquire)
#define SET(what, to) atomic_store_explicit(&(what), to, memory_order_release)

static struct node *node_at(const struct trie *t, uint32_t n)
{
	return (struct node *)(t->nodes + (size_t)(n - 1) * t->node_size);
}

static bool bit(uint64_t word, uint32_t i)
{
	return word >> (63 - i % 64) & 1;
}

/* False: the prefix is longer than keys are. */
static bool read_key(const struct trie *t, const void *key, struct prefix *p)
{
	uint8_t last[8] = {0};
	uint64_t word;
	uint32_t i;

	memcpy(&p->len, key, sizeof(p->len));
	if (p->len > t->max_len)
		return false;
	for (i = 0; i < t->words; i++) {
		const char *from = (const char *)key + KEY_HEAD + i * 8;
		uint32_t rest = t->data_size - i * 8;

		if (rest >= 8) {
			memcpy(&word, from, 8);
		} else {
			memcpy(last, from, rest);
			memcpy(&word, last, 8);
		}
		p->data[i] = be64toh(word);
	}
	return true;
}

static void write_key(const struct trie *t, const struct node *node, void *key)
{
	uint32_t i, len = GET(node->len);

	memcpy(key, &len, sizeof(len));
	for (i = 0; i < t->words; i++) {
		uint64_t word = htobe64(GET(node->data[i]));
		uint32_t rest = t->data_size - i * 8;

		memcpy((char *)key + KEY_HEAD + i * 8, &word, rest < 8 ? rest : 8);
	}
}

/* How many bits of @node's prefix and @p are the same, from the first on. */
static uint32_t match(const struct node *node, const struct prefix *p)
{
	uint32_t len = GET(node->len), limit = len < p->len ? len : p->len, i;

	for (i = 0; i * 64 < limit; i++) {
		uint64_t diff = GET(node->data[i]) ^ p->data[i];

		if (diff) {
			uint32_t n = i * 64 + (uint32_t)__builtin_clzll(diff);

			return n < limit ? n : limit;
		}
	}
	return limit;
}

/* The node of the longest prefix of @p that has a value; 0: none.  False: the walk went astray. */
static bool walk(const struct trie *t, const struct prefix *p, uint32_t *found)
{
	uint32_t n = GET(t->root), steps;

	*found = 0;
	for (steps = 0; n; steps++) {
		const struct node *node = node_at(t, n);
		uint32_t len = GET(node->len), same = match(node, p);

		if (steps > t->max_len)
			return false;
		if (same == t->max_len) {
			*found = n;
			break;
		}
		/* A whole key's prefix that is not `same`: the node is being changed. */
		if (same < len || len >= t->max_len)
			break;
		if (!GET(node->joint))
			*found = n;
		n = GET(node->child[bit(p->data[len / 64], len)]);
	}
	return true;
}

static void *lookup(struct skep_map *map, const void *key, unsigned int cpu)
{
	struct trie *t = map->priv;
	struct prefix p;
	uint32_t n, tries;

	if (!read_key(t, key, &p))
		return NULL;
	for (tries = 0; tries < TRIES; tries++) {
		uint32_t seq = GET(t->seq);

		if (seq % 2 == 0 && walk(t, &p, &n) &&
		    atomic_load_explicit(&t->seq, memory_order_relaxed) == seq)
			return n ? skep_values_at(&t->v, n - 1, 0) : NULL;
	}
	skep_spin_lock(&t->lock);
	walk(t, &p, &n);
	skep_spin_unlock(&t->lock);
	return n ? skep_values_at(&t->v, n - 1, 0) : NULL;
}

/* Around what changes nodes that can be reached; the lock is held. */
static void begin_change(struct trie *t)
{
	uint32_t seq = atomic_load_explicit(&t->seq, memory_order_relaxed);

	atomic_store_explicit(&t->seq, seq + 1, memory_order_relaxed);
}

static void end_change(struct trie *t)
{
	SET(t->seq, atomic_load_explicit(&t->seq, memory_order_relaxed) + 1);
}

/* Where a walk to @p for a change ends. */
struct place {
	_Atomic uint32_t *slot, *above; /* names `node`; names `parent` */
	uint32_t node, parent; /* 0: none */
	uint32_t same; /* bits of `node` */
	bool exact; /* `node` has the prefix that was looked for */
};

static struct place find(struct trie *t, const struct prefix *p)
{
	struct place at = {.slot = &t->root, .above = &t->root};

	while ((at.node = GET(*at.slot))) {
		struct node *node = node_at(t, at.node);
		uint32_t len = GET(node->len);

		at.same = match(node, p);
		at.exact = len == at.same && len == p->len;
		if (len != at.same || at.exact)
			break;
		at.parent = at.node;
		at.above = at.slot;
		at.slot = &node->child[bit(p->data[len / 64], len)];
	}
	return at;
}

static uint32_t take_node(struct trie *t)
{
	uint32_t n = t->free;

	if (n)
		t->free = GET(node_at(t, n)->child[0]);
	else if (t->fresh < t->nr_nodes)
		n = ++t->fresh;
	return n;
}

static void give_node(struct trie *t, uint32_t n)
{
	struct node *node = node_at(t, n);

	SET(node->child[0], t->free);
	SET(node->child[1], 0);
	t->free = n;
}

static void set_data(struct trie *t, struct node *node, const _Atomic uint64_t *from,
		     const uint64_t *plain)
{
	uint32_t i;

	for (i = 0; i < t->words; i++)
		SET(node->data[i], from ? GET(from[i]) : plain[i]);
}

static void set_node(struct trie *t, uint32_t n, const struct prefix *p)
{
	struct node *node = node_at(t, n);

	SET(node->child[0], 0);
	SET(node->child[1], 0);
	SET(node->len, p->len);
	SET(node->joint, 0);
	set_data(t, node, NULL, p->data);
}

/* Puts node @n, new, where a walk to it ended at a longer or another prefix; 0 or -ENOMEM. */
static int add_node(struct trie *t, const struct place *at, uint32_t n, const struct prefix *p)
{
	struct node *node = node_at(t, at->node), *joint;
	uint32_t j;

	if (at->same == p->len) {
		SET(node_at(t, n)->child[bit(GET(node->data[p->len / 64]), p->len)], at->node);
		SET(*at->slot, n);
		return 0;
	}
	j = take_node(t);
	if (!j)
		return -ENOMEM;
	joint = node_at(t, j);
	SET(joint->len, at->same);
	SET(joint->joint, 1);
	set_data(t, joint, node->data, NULL);
	SET(joint->child[bit(p->data[at->same / 64], at->same)], n);
	SET(joint->child[!bit(p->data[at->same / 64], at->same)], at->node);
	SET(*at->slot, j);
	return 0;
}

/* An entry that is not there yet. */
static int add(struct trie *t, const struct place *at, const struct prefix *p, const void *value)
{
	uint32_t n = at->exact ? at->node : take_node(t);
	int ret = 0;

	if (!n)
		return -ENOMEM;
	skep_copy(skep_values_at(&t->v, n - 1, 0), value, t->v.value_size);
	begin_change(t);
	if (at->exact) { /* a joint becomes an entry */
		set_data(t, node_at(t, n), NULL, p->data);
		SET(node_at(t, n)->joint, 0);
	} else {
		set_node(t, n, p);
		if (!at->node)
			SET(*at->slot, n);
		else
			ret = add_node(t, at, n, p);
	}
	if (ret)
		give_node(t, n);
	end_change(t);
	return ret;
}

/* The bits beyond a prefix are kept as they came last. */
static void replace(struct trie *t, uint32_t n, const struct prefix *p, const void *value)
{
	struct node *node = node_at(t, n);
	uint32_t i;

	skep_copy(skep_values_at(&t->v, n - 1, 0), value, t->v.value_size);
	for (i = 0; i < t->words && GET(node->data[i]) == p->data[i]; i++)
		;
	if (i == t->words)
		return;
	begin_change(t);
	set_data(t, node, NULL, p->data);
	end_change(t);
}

static int update(struct skep_map *map, const void *key, const void *value, uint64_t flags,
		  unsigned int cpu)
{
	struct trie *t = map->priv;
	struct place at;
	struct prefix p;
	int ret = 0;

	if (flags > BPF_EXIST || !read_key(t, key, &p))
		return -EINVAL;
	skep_spin_lock(&t->lock);
	at = find(t, &p);
	if (at.exact && !GET(node_at(t, at.node)->joint)) {
		if (flags == BPF_NOEXIST)
			ret = -EEXIST;
		else
			replace(t, at.node, &p, value);
	} else if (flags == BPF_EXIST) {
		ret = -ENOENT;
	} else if (t->nr_entries == map->max_entries) {
		ret = -ENOSPC;
	} else {
		ret = add(t, &at, &p, value);
		t->nr_entries += ret == 0;
	}
	skep_spin_unlock(&t->lock);
	return ret;
}

/* Takes out an entry; a joint above it that joins nothing any more goes, too. */
static void drop(struct trie *t, const struct place *at)
{
	struct node *node = node_at(t, at->node), *parent;
	uint32_t left = GET(node->child[0]), right = GET(node->child[1]);

	begin_change(t);
	parent = at->parent ? node_at(t, at->parent) : NULL;
	if (left && right) {
		SET(node->joint, 1);
	} else if (parent && GET(parent->joint) && !left && !right) {
		SET(*at->above, GET(parent->child[GET(parent->child[0]) == at->node]));
		give_node(t, at->parent);
		give_node(t, at->node);
	} else {
		SET(*at->slot, left ? left : right);
		give_node(t, at->node);
	}
	end_change(t);
}

static int del(struct skep_map *map, const void *key)
{
	struct trie *t = map->priv;
	struct place at;
	struct prefix p;
	int ret = -ENOENT;

	if (!read_key(t, key, &p))
		return -EINVAL;
	skep_spin_lock(&t->lock);
	at = find(t, &p);
	if (at.exact && !GET(node_at(t, at.node)->joint)) {
		drop(t, &at);
		t->nr_entries--;
		ret = 0;
	}
	skep_spin_unlock(&t->lock);
	return ret;
}

/* The first entry at and below node @n in the order of keys. */
static uint32_t leftmost(const struct trie *t, uint32_t n)
{
	uint32_t found = 0;

	while (n) {
		const struct node *node = node_at(t, n);
		uint32_t left = GET(node->child[0]);

		if (!GET(node->joint))
			found = n;
		n = left ? left : GET(node->child[1]);
	}
	return found;
}

/* The entry after @p: more specific ones come before what holds them.  0: it is the last. */
static uint32_t after(struct trie *t, const struct prefix *p)
{
	uint32_t path[DATA_MAX * 8 + 1], depth = 0, n = GET(t->root);
	bool exact = false;

	while (n && !exact) {
		const struct node *node = node_at(t, n);
		uint32_t len = GET(node->len);

		path[depth++] = n;
		if (match(node, p) != len)
			break;
		exact = len == p->len;
		if (!exact)
			n = GET(node->child[bit(p->data[len / 64], len)]);
	}
	if (!exact || GET(node_at(t, n)->joint))
		return leftmost(t, GET(t->root));
	for (depth--; depth > 0; depth--) {
		const struct node *parent = node_at(t, path[depth - 1]);
		uint32_t right = GET(parent->child[1]);

		if (GET(parent->child[0]) == path[depth] && right)
			return leftmost(t, right);
		if (!GET(parent->joint))
			return path[depth - 1];
	}
	return 0;
}

static int next_key(struct skep_map *map, const void *key, void *next)
{
	struct trie *t = map->priv;
	struct prefix p;
	uint32_t n;

	skep_spin_lock(&t->lock);
	if (key && read_key(t, key, &p))
		n = after(t, &p);
	else
		n = leftmost(t, GET(t->root));
	if (n)
		write_key(t, node_at(t, n), next);
	skep_spin_unlock(&t->lock);
	return n ? 0 : -ENOENT;
}

static uint64_t bound(const struct skep_map *map, uint64_t addr)
{
	return skep_values_bound(&((const struct trie *)map->priv)->v, addr);
}

const struct skep_map_ops skep_map_lpm_trie = {
	.name = "lpm_trie",
	.check = check,
	.init = init,
	.deinit = deinit,
	.lookup = lookup,
	.update = update,
	.del = del,
	.next_key = next_key,
	.bound = bound,
};
