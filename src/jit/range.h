/* SPDX-License-Identifier: BSD-2-Clause */
/* Between range.c, which walks programs, and range_alu.c, which knows the arithmetic. */
#ifndef SKEP_JIT_RANGE_H
#define SKEP_JIT_RANGE_H

#include "vm/run.h"

struct skep_jit;

enum skep_jit_place { SKEP_JIT_NUMBER, SKEP_JIT_IN_FRAME, SKEP_JIT_IN_VALUE };

/* What a register may hold: a number, or so many bytes from the start of the place. */
struct skep_jit_range {
	uint8_t kind; /* enum skep_jit_place */
	bool null; /* IN_VALUE: or a look-up that found nothing: then `lo` to `hi` itself */
	uint8_t zeroes; /* that many bits at the end are 0 */
	const struct skep_map *map; /* IN_VALUE */
	uint64_t lo, hi; /* unsigned, both included */
};

/*
 * Beside the registers: how often jumps back have led to where control is, since
 * it came to the target of one in another way.  No program sees it.
 */
#define SKEP_JIT_TIMES 11

/* Of a register: it holds mul * register number with - 1 + what is in [lo, lo + span]. */
struct skep_jit_relation {
	uint8_t with; /* 0: nothing is known */
	uint64_t mul, lo, span;
};

/* Where control comes to a slot that something jumps to. */
struct skep_jit_state {
	bool reached;
	uint16_t visits;
	uint8_t likely[11]; /* enum skep_vm_likely, of an address in each register: a guess */
	struct skep_jit_range r[12]; /* by register; SKEP_JIT_TIMES */
	struct skep_jit_relation rel[10];
};

static const struct skep_jit_range skep_jit_any = {.kind = SKEP_JIT_NUMBER, .hi = UINT64_MAX};

/*
 * bound.c: which jumps back need not look at the budget.  @number, by slot of a
 * leader: of its state in @at.  0, or -1: out of memory.
 */
int skep_jit_bounds(struct skep_jit *j, const struct skep_jit_state *at, const uint32_t *number);

/*
 * range_rel.c.  Where @from comes to @to: what holds in both, before ranges are
 * joined; true: that has changed.  @counters: registers that others may follow.
 */
bool skep_jit_relations_join(struct skep_jit_state *to, const struct skep_jit_state *from,
			     uint16_t counters);
/* What @in leaves of them, before it changes ranges. */
void skep_jit_relations_step(const struct skep_jit *j, struct skep_jit_state *s,
			     const struct skep_vm_insn *in);
/* Narrows the ranges of those that follow the register @with; -1: of all. */
void skep_jit_relations_use(struct skep_jit_state *s, int with);
/* Control goes around a loop, or (@back false) comes to one. */
void skep_jit_relations_around(struct skep_jit_state *s, bool back);
/* The register @reg does not hold @k: true if its counter is not *@times because of that. */
bool skep_jit_relations_unequal(struct skep_jit_state *s, unsigned int reg, uint64_t k,
				uint64_t *times);

struct skep_jit_range skep_jit_constant(uint64_t v);
/* lo and hi as multiples of what `zeroes` says. */
void skep_jit_range_trim(struct skep_jit_range *r);
/* What a row of isa.def of kind ALU writes. */
struct skep_jit_range skep_jit_range_alu(uint16_t op, const struct skep_jit_range *dst,
					 const struct skep_jit_range *src);
/* What is left of @dst where the comparison @op of it with @src held, or did not. */
void skep_jit_range_cond(uint16_t op, struct skep_jit_range *dst, const struct skep_jit_range *src,
			 bool held);
/* True if the program may always touch @len bytes at @r + @off. */
bool skep_jit_range_fits(const struct skep_jit *j, const struct skep_jit_range *r, int64_t off,
			 uint64_t len, bool write);
/* The map of @in, if that looks up an element of one that r1 names: of a kind with plain values. */
const struct skep_map *skep_jit_looked_up(const struct skep_jit *j, const struct skep_vm_insn *in,
					  const struct skep_jit_range *r1);

#endif
