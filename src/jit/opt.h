/* SPDX-License-Identifier: BSD-2-Clause */
/* The passes of opt.c and the operations that they make. */
#ifndef SKEP_JIT_OPT_H
#define SKEP_JIT_OPT_H

#include "jit/emit.h"
#include "vm/run.h"

/* Operations of the JIT's copy of a program that isa.def has not. */
enum skep_jit_op {
	SKEP_JIT_NOP = SKEP_VM_OP_MAX,
	SKEP_JIT_LEA, /* dst = src + imm */
	SKEP_JIT_LEA_INDEX, /* dst = src + register number imm */
	SKEP_JIT_LEA32, /* the same two with 32 bits */
	SKEP_JIT_LEA32_INDEX,
	SKEP_JIT_ZEXT8, /* dst = the low bits of src */
	SKEP_JIT_ZEXT16,
	SKEP_JIT_ROL64, /* dst = src rotated left by imm */
	SKEP_JIT_ROL32,
	/* r0 = look-up of key r2 in the map whose address is imm; off: what of r1 to r5 is kept */
	SKEP_JIT_LOOKUP,
	SKEP_JIT_LOOKUP_ROW, /* the same, for a map whose values lie in a row */
	SKEP_JIT_GET, /* r0 = what the helper at imm gives, inline */
	SKEP_JIT_BIT, /* dst = imm, else 1 - imm: of a select */
	SKEP_JIT_CONST, /* dst = imm, all 64 bits */
	SKEP_JIT_LOOP, /* bpf_loop() with the function at slot imm */
	/* A load or store's address; imm: its index, and what follows. */
	SKEP_JIT_OPERAND, /* dst = dst op what is there */
	SKEP_JIT_CHECK, /* what is left of the load: its check */
	SKEP_JIT_CHANGE, /* what is at dst = that op src, or op a constant */
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
/* Beside the index: the row whose operation, or width, it is; how far ahead the check stands. */
#define SKEP_JIT_FOR(op) ((int64_t)(op) << 8)
#define SKEP_JIT_BACK(n) ((int64_t)(n) << 32)
#define SKEP_JIT_OP(in)	 ((unsigned int)((in)->imm >> 8 & 0xffff))
/* Of a change: how much memory, in bits; in the upper half stands its constant. */
#define SKEP_JIT_WIDTH(n)     ((int64_t)((n) / 8) << 24)
#define SKEP_JIT_WIDTH_OF(in) ((unsigned int)((in)->imm >> 24 & 15) * 8)

#define SKEP_JIT_ALL_REGS 0x7ff
#define SKEP_JIT_ARGS	  0x3e /* r1 to r5 */

/* What an instruction reads, and which registers it leaves with values that do not depend on them.
 */
struct skep_jit_effect {
	uint16_t use, def;
};

/* Rewrites j->ir by the passes in j->passes.  0, or -1: out of memory. */
int skep_jit_optimise(struct skep_jit *j);

/*
 * By slot: registers that may be read at its entry or later.  Found when a pass
 * first asks; a pass may make such a register live longer, within a block.
 */
const uint16_t *skep_jit_live(struct skep_jit *j);

/* value.c: addresses and rotations from what is known of registers in a block. */
void skep_jit_values(struct skep_jit *j);

/* call.c: calls that need no helper, or no call. */
void skep_jit_calls(struct skep_jit *j);

/* const.c: constants, decided jumps, code that is never reached.  0, or -1: out of memory. */
int skep_jit_constants(struct skep_jit *j);

/* scale.c: shifts that addresses can do. */
void skep_jit_scale(struct skep_jit *j);

/* stack.c: stores to the frame that nothing reads.  0, or -1: out of memory. */
int skep_jit_stack(struct skep_jit *j);

/* operand.c: loads into the instructions that use them. */
void skep_jit_operands(struct skep_jit *j);

/* The slot of the access that slot @i makes. */
static inline uint32_t skep_jit_access_at(const struct skep_jit *j, uint32_t i)
{
	return j->ir[i].op == SKEP_JIT_OPERAND ? i - (uint32_t)(j->ir[i].imm >> 32) : i;
}

/* select.c: sets j->select, j->copy.  0, or -1: out of memory. */
int skep_jit_selects(struct skep_jit *j);

/* unroll.c: sets j->unroll.  0, or -1: out of memory. */
int skep_jit_unroll(struct skep_jit *j);

/* layout.c: sets j->blocks, if another order is better.  0, or -1: out of memory. */
int skep_jit_layout(struct skep_jit *j);

/* range.c: sets j->proof, and has bound.c set j->overdraws.  0, or -1: out of memory. */
int skep_jit_ranges(struct skep_jit *j);

/* The same for what its traits do not say. */
struct skep_jit_effect skep_jit_other_effect(const struct skep_jit *j,
					     const struct skep_vm_insn *in);
void skep_jit_replace(struct skep_jit *j, uint32_t i, uint16_t op, uint8_t dst, uint8_t src,
		      int64_t imm);

/* By operation: its kind, UINT8_MAX for those that isa.def has not; what it does with registers. */
extern const uint8_t skep_jit_kinds[SKEP_JIT_OP_MAX], skep_jit_traits[SKEP_JIT_OP_MAX];

enum {
	SKEP_JIT_READS_DST = 1,
	SKEP_JIT_READS_SRC = 2,
	SKEP_JIT_WRITES_DST = 4,
	SKEP_JIT_WRITES_SRC = 8,
	SKEP_JIT_INDEXED = 16, /* plain, unless its address has an index */
	SKEP_JIT_OTHER = 32, /* not these registers alone: skep_jit_effect() knows */
	SKEP_JIT_PARTS = 128, /* control goes elsewhere than to the next slot alone */
	SKEP_JIT_COMPUTES = 64, /* nothing happens but that its destination gets a value */
};

static inline uint8_t skep_jit_kind(const struct skep_vm_insn *in)
{
	return skep_jit_kinds[in->op];
}

static inline uint32_t skep_jit_next(const struct skep_jit *j, uint32_t i)
{
	return i + 1 + (skep_jit_kinds[j->ir[i].op] == SKEP_KIND_LDDW);
}

/* Of live[], by slot, which of them may be read after slot @i: what can follow it reads them. */
static inline uint16_t skep_jit_live_out(const struct skep_jit *j, const uint16_t *live, uint32_t i)
{
	const struct skep_vm_insn *in = &j->ir[i];
	uint32_t next = skep_jit_next(j, i);

	switch (skep_jit_kinds[in->op]) {
	case SKEP_KIND_EXIT: return 0;
	case SKEP_KIND_JA: return live[(int64_t)i + in->off];
	case SKEP_KIND_COND:
	case SKEP_KIND_MAY_GOTO:
		return live[(int64_t)i + in->off] | (next < j->prog->nr ? live[next] : 0);
	default: return next < j->prog->nr ? live[next] : 0;
	}
}

/* The index of the address of @in, a load or store. */
static inline unsigned int skep_jit_index(const struct skep_vm_insn *in)
{
	return skep_jit_kind(in) == SKEP_KIND_ST ? in->src : (unsigned int)in->imm & 0xff;
}

static inline struct skep_jit_effect skep_jit_effect(const struct skep_jit *j,
						     const struct skep_vm_insn *in)
{
	uint8_t traits = skep_jit_traits[in->op];
	struct skep_jit_effect e;

	if ((traits & SKEP_JIT_OTHER) || (traits & SKEP_JIT_INDEXED && skep_jit_index(in)))
		return skep_jit_other_effect(j, in);
	e.use = (uint16_t)((traits & SKEP_JIT_READS_DST) << in->dst |
			   (traits & SKEP_JIT_READS_SRC) >> 1 << in->src);
	e.def = (uint16_t)((traits & SKEP_JIT_WRITES_DST) >> 2 << in->dst |
			   (traits & SKEP_JIT_WRITES_SRC) >> 3 << in->src);
	return e;
}

static inline bool skep_jit_is_load(uint8_t kind)
{
	return kind == SKEP_KIND_LDX || kind == SKEP_KIND_LDSX;
}

static inline bool skep_jit_is_store(uint8_t kind)
{
	return kind == SKEP_KIND_ST || kind == SKEP_KIND_STX;
}

/* True if @in changes nothing but registers, and control goes on. */
static inline bool skep_jit_is_quiet(const struct skep_vm_insn *in)
{
	return in->op == SKEP_JIT_NOP || in->op == SKEP_JIT_OPERAND || in->op == SKEP_JIT_CHECK ||
	       skep_jit_is_load(skep_jit_kind(in)) || (skep_jit_traits[in->op] & SKEP_JIT_COMPUTES);
}

/* True if the address of @in, an access of @width bits by @base, is the frame's: no check. */
static inline bool skep_jit_is_frame_access(const struct skep_vm_insn *in, uint8_t base,
					    unsigned int width)
{
	return base == BPF_REG_10 && !skep_jit_index(in) && in->off >= -SKEP_VM_STACK &&
	       (int64_t)in->off + width / 8 <= 0;
}

/* The same for a load or store. */
static inline bool skep_jit_in_frame(const struct skep_vm_insn *in)
{
	bool load = skep_jit_is_load(skep_jit_kind(in));

	return skep_jit_is_frame_access(in, load ? in->src : in->dst,
					skep_insn_table[in->op].width);
}

#endif
