/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory that a compilation needs and nobody afterwards: one piece, handed out
 * from front to back, given back as a whole.
 *
 * For a large program that piece is mapped, in huge pages where the system has
 * them: one by one its pages would cost as much as the passes over them.
 */
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "jit/emit.h"

#define LINE  64 /* bytes of a cache line */
#define HUGE  ((size_t)2 << 20)
#define SMALL 16384 /* bytes besides those by slot */
#define SLOT  128 /* bytes a slot of what is kept by slot, and of code */
#define MORE  64 /* the same that checks need */

/* What did not fit. */
struct skep_jit_chunk {
	struct skep_jit_chunk *next;
	_Alignas(max_align_t) char data[];
};

bool skep_jit_scratch_init(struct skep_jit *j)
{
	struct skep_jit_scratch *s = &j->scratch;
	size_t size = SMALL + (size_t)j->prog->nr * (j->checked ? SLOT + MORE : SLOT);

	if (size < HUGE) {
		s->base = calloc(1, size);
		s->size = s->base ? size : 0;
		return s->base;
	}
	size = (size + HUGE - 1) & ~(HUGE - 1);
	s->base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->base == MAP_FAILED)
		return false;
	/* Only faster: may fail. */
	madvise(s->base, size, MADV_HUGEPAGE);
	s->size = size;
	s->mapped = true;
	return true;
}

void skep_jit_scratch_deinit(struct skep_jit *j)
{
	struct skep_jit_scratch *s = &j->scratch;
	struct skep_jit_chunk *c, *next;

	for (c = s->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	if (s->mapped)
		munmap(s->base, s->size);
	else if (s->size)
		free(s->base);
}

void *skep_jit_take(struct skep_jit *j, size_t n, size_t size)
{
	struct skep_jit_scratch *s = &j->scratch;
	size_t bytes = (n * size + LINE - 1) & ~(size_t)(LINE - 1);
	struct skep_jit_chunk *c;

	if (bytes <= s->size - s->used) {
		s->used += bytes;
		return s->base + s->used - bytes;
	}
	c = calloc(1, sizeof(*c) + bytes);
	if (!c)
		return NULL;
	c->next = s->chunks;
	s->chunks = c;
	return c->data;
}
