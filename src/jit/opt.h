/* SPDX-License-Identifier: BSD-2-Clause */
/* The passes of opt.c and the operations that they make. */
#ifndef SKEP_JIT_OPT_H
#define SKEP_JIT_OPT_H

#include "vm/run.h"

struct skep_jit;

/* Operations of the JIT's copy of a program that isa.def has not. */
enum skep_jit_op {
	SKEP_JIT_NOP = SKEP_VM_OP_MAX,
	SKEP_JIT_LEA, /* dst = src + imm */
	SKEP_JIT_LEA_INDEX, /* dst = src + register number imm */
	SKEP_JIT_ROL64, /* dst = src rotated left by imm */
	SKEP_JIT_ROL32,
	/* r0 = look-up of key r2 in the map whose address is imm; off: what of r1 to r5 is kept */
	SKEP_JIT_LOOKUP,
	SKEP_JIT_LOOP, /* bpf_loop() with the function at slot imm */
	SKEP_JIT_OP_MAX,
};

/*
 * The address of a load or store may have an index register besides its base:
 * base + (index << scale) + off.  0: it has none.  Loads and stores of
 * registers keep it in imm, stores of constants in src.
 */
#define SKEP_JIT_INDEX	  0x0f /* register number + 1; 0: none */
#define SKEP_JIT_SCALE(s) ((unsigned int)(s) << 4)
#define SKEP_JIT_NO_BASE  0x40

/* What an instruction reads, and which registers it leaves with values that do not depend on them.
 */
struct skep_jit_effect {
	uint16_t use, def;
};

/* Rewrites j->ir by the passes in j->passes.  0, or -1: out of memory. */
int skep_jit_optimise(struct skep_jit *j);

/* value.c: addresses and rotations from what is known of registers in a block. */
void skep_jit_values(struct skep_jit *j, const uint16_t *live);

/* range.c: sets j->proof.  0, or -1: out of memory. */
int skep_jit_ranges(struct skep_jit *j);

struct skep_jit_effect skep_jit_effect(const struct skep_jit *j, const struct skep_vm_insn *in);
uint32_t skep_jit_next(const struct skep_jit *j, uint32_t i);
/* Of live[], by slot, which of them may be read after slot @i. */
uint16_t skep_jit_live_out(const struct skep_jit *j, const uint16_t *live, uint32_t i);
void skep_jit_replace(struct skep_jit *j, uint32_t i, uint16_t op, uint8_t dst, uint8_t src,
		      int64_t imm);

static inline uint8_t skep_jit_kind(const struct skep_vm_insn *in)
{
	return in->op < SKEP_OP_MAX ? skep_insn_table[in->op].kind : UINT8_MAX;
}

/* The index of the address of @in, a load or store. */
static inline unsigned int skep_jit_index(const struct skep_vm_insn *in)
{
	return skep_jit_kind(in) == SKEP_KIND_ST ? in->src : (unsigned int)in->imm;
}

static inline bool skep_jit_is_load(uint8_t kind)
{
	return kind == SKEP_KIND_LDX || kind == SKEP_KIND_LDSX;
}

static inline bool skep_jit_is_store(uint8_t kind)
{
	return kind == SKEP_KIND_ST || kind == SKEP_KIND_STX;
}

/* True for a load or store through r10 within the frame, which needs no check. */
static inline bool skep_jit_in_frame(const struct skep_vm_insn *in)
{
	uint8_t base = skep_jit_is_load(skep_jit_kind(in)) ? in->src : in->dst;

	return base == BPF_REG_10 && !skep_jit_index(in) && in->off >= -SKEP_VM_STACK &&
	       (int64_t)in->off + skep_insn_table[in->op].width / 8 <= 0;
}

#endif
