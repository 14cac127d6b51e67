/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN	  16
#define BLOCK_MIN 4096
#define BLOCK_MAX (256 * 1024)

struct skep_arena_block {
	struct skep_arena_block *next;
	size_t size, used;
	_Alignas(ALIGN) char data[];
};

void skep_arena_deinit(struct skep_arena *arena)
{
	struct skep_arena_block *block = arena->head, *next;

	for (; block; block = next) {
		next = block->next;
		free(block);
	}
	arena->head = NULL;
}

static struct skep_arena_block *add_block(struct skep_arena *arena, size_t size)
{
	size_t want = arena->head ? arena->head->size * 2 : BLOCK_MIN;
	struct skep_arena_block *block;

	if (want > BLOCK_MAX)
		want = BLOCK_MAX;
	if (want < size)
		want = size;
	block = malloc(sizeof(*block) + want);
	if (!block)
		return NULL;
	block->size = want;
	block->used = 0;
	block->next = arena->head;
	arena->head = block;
	return block;
}

void *skep_arena_alloc(struct skep_arena *arena, size_t size)
{
	struct skep_arena_block *block = arena->head;
	void *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	if (!block || block->size - block->used < size)
		block = add_block(arena, size);
	if (!block)
		return NULL;
	p = block->data + block->used;
	block->used += size;
	return memset(p, 0, size);
}

void *skep_arena_array(struct skep_arena *arena, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return skep_arena_alloc(arena, bytes);
}

void *skep_arena_dup(struct skep_arena *arena, const void *from, size_t size)
{
	void *p = skep_arena_alloc(arena, size);

	if (p && size)
		memcpy(p, from, size);
	return p;
}

char *skep_arena_strndup(struct skep_arena *arena, const char *s, size_t len)
{
	char *p = skep_arena_alloc(arena, len + 1);

	if (p)
		memcpy(p, s, len);
	return p;
}

char *skep_arena_strdup(struct skep_arena *arena, const char *s)
{
	return skep_arena_strndup(arena, s, strlen(s));
}

char *skep_arena_printf(struct skep_arena *arena, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = n < 0 ? NULL : skep_arena_alloc(arena, (size_t)n + 1);
	if (!p)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
