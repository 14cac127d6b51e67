/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues and stacks: values without keys in a ring of max_entries + 1 places.
 * BPF_EXIST on a push to a full one drops the oldest value of a queue, the
 * newest of a stack.  Documentation/bpf/map_queue_stack.rst.
 */
#include <errno.h>
#include <stdlib.h>

#include "map/kind.h"

struct queue {
	struct skep_spin lock;
	uint64_t head, tail; /* places; head is where the next value goes */
	uint64_t places;
	size_t len;
	char *data;
};

static int check(const union bpf_attr *attr, struct skep_err *err)
{
	if (!attr->max_entries || attr->key_size || !attr->value_size ||
	    attr->map_flags & ~(BPF_F_NUMA_NODE | SKEP_MAP_ACCESS_FLAGS) ||
	    !skep_map_flags_access_ok(attr->map_flags))
		return skep_fail(err, SKEP_E_MAP_CREATE, EINVAL,
				 "queues and stacks have entries and values, but no keys");
	if (attr->value_size > 4u << 20)
		return skep_fail(err, SKEP_E_MAP_CREATE, E2BIG, "value_size %u is too large",
				 attr->value_size);
	return 0;
}

static int init(struct skep_map *map, struct skep_err *err)
{
	struct queue *q = calloc(1, sizeof(*q));

	if (!q)
		return skep_fail_nomem(err);
	q->places = (uint64_t)map->max_entries + 1;
	q->len = q->places * map->value_size;
	q->data = skep_mem_reserve(q->len);
	if (!q->data) {
		free(q);
		return skep_fail_nomem(err);
	}
	map->priv = q;
	return 0;
}

static void deinit(struct skep_map *map)
{
	struct queue *q = map->priv;

	skep_mem_release(q->data, q->len);
	free(q);
}

static uint64_t after(const struct queue *q, uint64_t place)
{
	return place + 1 == q->places ? 0 : place + 1;
}

static int push(struct skep_map *map, const void *value, uint64_t flags)
{
	struct queue *q = map->priv;
	int ret = 0;

	if (flags & BPF_NOEXIST || flags > BPF_EXIST)
		return -EINVAL;
	skep_spin_lock(&q->lock);
	if (after(q, q->head) == q->tail) {
		if (flags & BPF_EXIST)
			q->tail = after(q, q->tail);
		else
			ret = -E2BIG;
	}
	if (!ret) {
		memcpy(q->data + q->head * map->value_size, value, map->value_size);
		q->head = after(q, q->head);
	}
	skep_spin_unlock(&q->lock);
	return ret;
}

static int pop(struct skep_map *map, void *value, bool peek)
{
	bool stack = map->type == BPF_MAP_TYPE_STACK;
	struct queue *q = map->priv;
	int ret = 0;

	skep_spin_lock(&q->lock);
	if (q->head == q->tail) {
		memset(value, 0, map->value_size);
		ret = -ENOENT;
	} else {
		uint64_t last = q->head ? q->head - 1 : q->places - 1;

		memcpy(value, q->data + (stack ? last : q->tail) * map->value_size,
		       map->value_size);
		if (!peek && stack)
			q->head = last;
		else if (!peek)
			q->tail = after(q, q->tail);
	}
	skep_spin_unlock(&q->lock);
	return ret;
}

static int sys_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	return pop(map, value, true);
}

static int sys_take(struct skep_map *map, const void *key, void *value, uint64_t flags)
{
	return pop(map, value, false);
}

static int sys_update(struct skep_map *map, const void *key, const void *value, uint64_t flags)
{
	return push(map, value, flags);
}

static int del(struct skep_map *map, const void *key)
{
	return -EINVAL;
}

static int next_key(struct skep_map *map, const void *key, void *next)
{
	return -EINVAL;
}

#define QUEUE_KIND(kind) \
	const struct skep_map_ops skep_map_##kind = { \
		.name = #kind, \
		.check = check, \
		.init = init, \
		.deinit = deinit, \
		.push = push, \
		.pop = pop, \
		.sys_lookup = sys_lookup, \
		.sys_take = sys_take, \
		.sys_update = sys_update, \
		.sys_delete = del, \
		.next_key = next_key, \
	}

QUEUE_KIND(queue);
QUEUE_KIND(stack);
