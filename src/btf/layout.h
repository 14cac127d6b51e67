/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a C compiler would put things: alignment, and whether a struct can
 * only be had by packing it.  BTF records offsets and sizes but no alignment;
 * what is told here is the alignment that the plain C text of a type has.
 * The rules are the System V ones, that clang -target bpf follows as well.
 */
#ifndef SKEP_BTF_LAYOUT_H
#define SKEP_BTF_LAYOUT_H

#include "btf/btf.h"

struct skep_layout {
	const struct skep_btf *btf;
	/*
	 * What is known, an entry an id: 0 nothing, SKEP_LAYOUT_*.  NULL: not
	 * kept, for a single question.
	 */
	uint8_t *memo;
	uint32_t nr; /* entries of memo */
	uint32_t budget; /* types still looked at before a question is given up */
};

/* Bits of an entry of memo: log2(alignment) + 1 in the low ones. */
#define SKEP_LAYOUT_ALIGN  0x0f
#define SKEP_LAYOUT_PACKED 0x40
#define SKEP_LAYOUT_BUSY   0x80

/* Bytes, a power of two; 1 for what has none (void, malformed). */
uint32_t skep_layout_align(struct skep_layout *lay, uint32_t id);
/* True if struct or union @id needs __attribute__((packed)) to lie as BTF says. */
bool skep_layout_packed(struct skep_layout *lay, uint32_t id);

/*
 * The bit where C puts a member of type @id when the bits before @cur are
 * taken; @bits: the width of a bit field, or 0.
 */
uint64_t skep_layout_place(struct skep_layout *lay, uint64_t cur, uint32_t id, uint32_t bits,
			   bool packed);

static inline uint64_t skep_layout_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

#endif
