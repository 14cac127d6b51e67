/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/hash.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char gone_mark;
#define GONE ((void *)&gone_mark)

void skep_hash_deinit(struct skep_hash *hash)
{
	free(hash->slots);
	*hash = (struct skep_hash)SKEP_HASH_INIT;
}

/* Multiply and fold eight bytes at a time. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 r = (unsigned __int128)a * b;

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint64_t skep_hash_bytes(const void *data, size_t len, uint64_t seed)
{
	const unsigned char *p = data;
	uint64_t h = seed ^ 0x9e3779b97f4a7c15ull, w;
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8) {
		memcpy(&w, p, 8);
		h = mix(h ^ w, 0xd6e8feb86659fd93ull);
	}
	w = 0;
	memcpy(&w, p, left);
	return mix(h ^ w ^ ((uint64_t)len << 56), 0xa0761d6478bd642full);
}

static struct skep_hash_slot *find(const struct skep_hash *hash, const void *key, size_t len,
				   uint64_t h)
{
	size_t i, mask = hash->cap - 1;

	for (i = h & mask;; i = (i + 1) & mask) {
		struct skep_hash_slot *slot = &hash->slots[i];

		if (!slot->key)
			return slot;
		if (slot->hash == h && slot->len == len && slot->value != GONE &&
		    memcmp(slot->key, key, len) == 0)
			return slot;
	}
}

static int grow(struct skep_hash *hash)
{
	struct skep_hash bigger = {0};
	size_t i;

	bigger.cap = hash->live * 3 < hash->cap ? hash->cap : hash->cap * 2;
	if (bigger.cap < 16)
		bigger.cap = 16;
	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (i = 0; i < hash->cap; i++) {
		struct skep_hash_slot *slot = &hash->slots[i];

		if (!slot->key || slot->value == GONE)
			continue;
		*find(&bigger, slot->key, slot->len, slot->hash) = *slot;
		bigger.used++;
	}
	bigger.live = bigger.used;
	free(hash->slots);
	*hash = bigger;
	return 0;
}

void *skep_hash_get(const struct skep_hash *hash, const void *key, size_t len)
{
	if (!hash->live)
		return NULL;
	return find(hash, key, len, skep_hash_bytes(key, len, 0))->value;
}

int skep_hash_set(struct skep_hash *hash, const void *key, size_t len, void *value)
{
	uint64_t h = skep_hash_bytes(key, len, 0);
	struct skep_hash_slot *slot;

	if (hash->used * 3 >= hash->cap * 2 && grow(hash))
		return -ENOMEM;
	slot = find(hash, key, len, h);
	if (!slot->key) {
		hash->used++;
		hash->live++;
		*slot = (struct skep_hash_slot){key, len, NULL, h};
	}
	slot->value = value;
	return 0;
}

void *skep_hash_del(struct skep_hash *hash, const void *key, size_t len)
{
	struct skep_hash_slot *slot;
	void *value;

	if (!hash->live)
		return NULL;
	slot = find(hash, key, len, skep_hash_bytes(key, len, 0));
	if (!slot->key)
		return NULL;
	value = slot->value;
	slot->value = GONE;
	hash->live--;
	return value;
}

void *skep_hash_gets(const struct skep_hash *hash, const char *key)
{
	return skep_hash_get(hash, key, strlen(key));
}

int skep_hash_sets(struct skep_hash *hash, const char *key, void *value)
{
	return skep_hash_set(hash, key, strlen(key), value);
}

struct skep_hash_slot *skep_hash_next(const struct skep_hash *hash, size_t *pos)
{
	while (*pos < hash->cap) {
		struct skep_hash_slot *slot = &hash->slots[(*pos)++];

		if (slot->key && slot->value != GONE)
			return slot;
	}
	return NULL;
}
