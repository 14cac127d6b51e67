/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two files of the assembler share: asm.c walks lines and resolves
 * labels, asm_match.c matches a line against a row's text.
 */
#ifndef SKEP_ISA_ASM_INT_H
#define SKEP_ISA_ASM_INT_H

#include <ctype.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/vec.h"
#include "isa/asm.h"

enum { SKEP_ASM_WANTED = 6 };

/* A jump or call to a name, resolved at the end. */
struct skep_asm_fixup {
	const char *name;
	size_t slot;
	int line, column;
	char what; /* the template's letter: j J p f */
};

struct skep_assembler {
	const struct skep_asm_opts *opts;
	struct skep_arena arena;
	struct skep_hash labels; /* name -> slot + 1 */
	SKEP_VEC(struct bpf_insn) insns;
	SKEP_VEC(int) lines; /* of each slot */
	SKEP_VEC(struct skep_asm_fixup) fixups;
	int line;
	const char *start, *end, *p; /* the line, and where the parser is */
	/* What was wanted at the furthest place that any row reached. */
	const char *furthest;
	char wanted[SKEP_ASM_WANTED][48];
	int nr_wanted;
	bool quiet; /* nobody asks what was wanted */
	bool certain; /* what stands there is the wanted thing, but wrong */
	bool oom;
	/* The name that the instruction being matched refers to. */
	const char *name;
	const char *name_at;
	char name_what;
};

static inline bool skep_asm_is_word(int c)
{
	return isalnum(c) || c == '_' || c == '.' || c == '$';
}

static inline int skep_asm_peek(const struct skep_assembler *as)
{
	return as->p < as->end ? (unsigned char)*as->p : 0;
}

static inline void skep_asm_skip_blanks(struct skep_assembler *as)
{
	while (as->p < as->end && (*as->p == ' ' || *as->p == '\t' || *as->p == '\r'))
		as->p++;
}

/* A run of word characters at the position, in the arena; "" if there is none. */
const char *skep_asm_word(struct skep_assembler *as);

/*
 * Whether the rest of the line is an instruction of the form @text (templates:
 * see disasm.c): its fields into @in, a name that it refers to into @as.  If
 * not, @as knows what was wanted and where.
 */
bool skep_asm_match(struct skep_assembler *as, const char *text, struct skep_insn *in);

/* At the end of an instruction: a comment, a <label> of a dump, or nothing. */
bool skep_asm_at_end(struct skep_assembler *as);

#endif
