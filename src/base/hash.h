/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hash table from byte strings to pointers: open addressing, linear
 * probing, grown at two thirds full.  It borrows keys and values: the keys
 * must outlive the table.  Iteration is in no particular order.
 */
#ifndef SKEP_BASE_HASH_H
#define SKEP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

struct skep_hash_slot {
	const void *key; /* NULL: never used */
	size_t len;
	void *value; /* SKEP_HASH_GONE: deleted */
	uint64_t hash;
};

struct skep_hash {
	struct skep_hash_slot *slots;
	size_t cap, used, live;
};

#define SKEP_HASH_INIT \
	{ \
		0 \
	}

void skep_hash_deinit(struct skep_hash *hash);

/* 64-bit hash of @len bytes, good enough for tables, not for adversaries' keys. */
uint64_t skep_hash_bytes(const void *data, size_t len, uint64_t seed);

/* The value of @key, or NULL. */
void *skep_hash_get(const struct skep_hash *hash, const void *key, size_t len);
/* Sets or replaces; @value must not be NULL.  0 or -ENOMEM. */
int skep_hash_set(struct skep_hash *hash, const void *key, size_t len, void *value);
/* Removes @key; returns its value or NULL. */
void *skep_hash_del(struct skep_hash *hash, const void *key, size_t len);

void *skep_hash_gets(const struct skep_hash *hash, const char *key);
int skep_hash_sets(struct skep_hash *hash, const char *key, void *value);

/* Walks live slots: pass *pos = 0 first; NULL at the end. */
struct skep_hash_slot *skep_hash_next(const struct skep_hash *hash, size_t *pos);

#endif
