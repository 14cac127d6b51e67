/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arenas: memory that lives and dies together.
 *
 * Blocks double in size up to 256 KiB.  What is returned is zeroed and
 * aligned to 16 bytes; it is released only with the whole arena.
 */
#ifndef SKEP_BASE_ARENA_H
#define SKEP_BASE_ARENA_H

#include <stddef.h>

struct skep_arena_block;

struct skep_arena {
	struct skep_arena_block *head;
};

/* A zeroed struct skep_arena is valid and empty. */
#define SKEP_ARENA_INIT \
	{ \
		0 \
	}

void skep_arena_deinit(struct skep_arena *arena);

/* @size zeroed bytes, or NULL when out of memory.  @size 0 gives a valid pointer. */
void *skep_arena_alloc(struct skep_arena *arena, size_t size);

/* @n elements of @size bytes; NULL also when the product overflows. */
void *skep_arena_array(struct skep_arena *arena, size_t n, size_t size);

/* A copy of @size bytes. */
void *skep_arena_dup(struct skep_arena *arena, const void *from, size_t size);

/* A copy of @len characters of @s with a terminating NUL. */
char *skep_arena_strndup(struct skep_arena *arena, const char *s, size_t len);
char *skep_arena_strdup(struct skep_arena *arena, const char *s);

char *skep_arena_printf(struct skep_arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#define skep_arena_new(arena, type) ((type *)skep_arena_alloc(arena, sizeof(type)))

#endif
