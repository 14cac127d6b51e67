/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Constants: which registers hold one number whatever way led here.
 *
 * Assumes at first that nothing is reached but the starts of functions, and
 * goes through the program until what is assumed of each slot that something
 * jumps to holds for all that jump there.  Jumps that are then decided are no
 * jumps any more, and what nothing reaches is no code.  The expressions are
 * isa.def's own (isa/eval.h).
 */
#include <string.h>

#include "isa/eval.h"
#include "jit/jit.h"
#include "jit/opt.h"

#define ROUNDS	16 /* a program that is not done by then stays as it is */
#define REACHED 0x8000 /* in a mask of registers */

struct known {
	uint16_t mask;
	uint64_t v[10];
};

struct consts {
	struct skep_jit *j;
	uint32_t *number; /* by slot: of its state, 0: none yet */
	struct known *at; /* by number */
	uint32_t nr;
	struct known now;
	bool again;
};

static bool knows(const struct known *k, uint8_t reg)
{
	return reg < 10 && k->mask & 1 << reg;
}

static void set(struct known *k, uint8_t reg, uint64_t v)
{
	k->mask |= (uint16_t)(1 << reg);
	k->v[reg] = v;
}

/* @k is one of the states in which @slot is reached.  @back: it is behind us. */
static void flow(struct consts *c, const struct known *k, uint32_t slot, bool back)
{
	struct known *to;
	uint16_t mask, left;

	if (!c->number[slot])
		c->number[slot] = ++c->nr;
	to = &c->at[c->number[slot]];
	if (!(to->mask & REACHED)) {
		for (left = k->mask & 0x3ff; left; left &= (uint16_t)(left - 1))
			to->v[__builtin_ctz(left)] = k->v[__builtin_ctz(left)];
		to->mask = k->mask;
		c->again |= back;
		return;
	}
	mask = to->mask & k->mask;
	for (left = mask & 0x3ff; left; left &= (uint16_t)(left - 1)) {
		unsigned int r = (unsigned int)__builtin_ctz(left);

		if (to->v[r] != k->v[r])
			mask &= (uint16_t) ~(1u << r);
	}
	c->again |= back && mask != to->mask;
	to->mask = mask;
}

/* The second operand of @in, if it is known. */
static bool operand(const struct known *k, const struct skep_vm_insn *in, uint64_t *s)
{
	if (!(skep_jit_traits[in->op] & SKEP_JIT_READS_SRC)) {
		*s = (uint64_t)in->imm;
		return true;
	}
	*s = in->src < 10 ? k->v[in->src] : 0;
	return knows(k, in->src);
}

/* False if @in, an ALU instruction, reads what is not known. */
static inline bool knows_all(const struct known *k, const struct skep_vm_insn *in)
{
	uint8_t traits = skep_jit_traits[in->op];

	return (!(traits & SKEP_JIT_READS_DST) || k->mask >> in->dst & 1) &&
	       (!(traits & SKEP_JIT_READS_SRC) || k->mask >> in->src & 1);
}

/* What an ALU instruction writes, if that is known. */
static inline bool result(const struct known *k, const struct skep_vm_insn *in, uint64_t *v)
{
	uint8_t traits = skep_jit_traits[in->op];

	if (!knows_all(k, in))
		return false;
	*v = skep_isa_eval_alu(in->op, traits & SKEP_JIT_READS_DST ? k->v[in->dst] : 0,
			       traits & SKEP_JIT_READS_SRC ? k->v[in->src] : (uint64_t)in->imm);
	return true;
}

/* What one instruction leaves of what is known. */
static void step(const struct skep_jit *j, struct known *k, const struct skep_vm_insn *in)
{
	uint8_t kind = skep_jit_kind(in);
	uint64_t v;

	if (kind == SKEP_KIND_ALU && result(k, in, &v))
		set(k, in->dst, v);
	else if (kind == SKEP_KIND_ALU)
		k->mask &= (uint16_t) ~(1u << in->dst);
	else if (kind == SKEP_KIND_LDDW)
		set(k, in->dst, (uint64_t)in->imm);
	else if (!(skep_jit_traits[in->op] & SKEP_JIT_OTHER))
		k->mask &= (uint16_t)~skep_jit_effect(j, in).def;
	else if (kind == SKEP_KIND_CALL || (kind == SKEP_KIND_CALL_PC && !j->checked) ||
		 in->op == SKEP_VM_OP_TAIL_CALL)
		k->mask &= (uint16_t)~0x3f;
	else if (kind == SKEP_KIND_CMPXCHG)
		k->mask &= (uint16_t)~1;
	else
		k->mask = REACHED;
}

/* -1: not known; else whether the conditional jump @in is taken. */
static int decided(const struct known *k, const struct skep_vm_insn *in)
{
	uint64_t s;

	if (!knows(k, in->dst) || !operand(k, in, &s))
		return -1;
	return skep_isa_eval_cond(in->op, k->v[in->dst], s);
}

/* Where @in leads besides the next slot; what holds there. */
static void branch(struct consts *c, uint32_t i)
{
	const struct skep_vm_insn *in = &c->j->ir[i];
	uint8_t kind = skep_jit_kind(in);
	const struct known *there = &c->now;
	struct known taken;
	uint64_t s;
	int which;

	if (kind == SKEP_KIND_JA || kind == SKEP_KIND_MAY_GOTO) {
		flow(c, &c->now, (uint32_t)((int64_t)i + in->off), in->off <= 0);
		if (kind == SKEP_KIND_JA)
			c->now.mask = 0;
		return;
	}
	which = decided(&c->now, in);
	if (which && (in->op == SKEP_OP_JEQ64_K || in->op == SKEP_OP_JEQ64_X) &&
	    operand(&c->now, in, &s) && in->dst < 10) {
		taken = c->now;
		set(&taken, in->dst, s);
		there = &taken;
	}
	if (which)
		flow(c, there, (uint32_t)((int64_t)i + in->off), in->off <= 0);
	if (which == 1)
		c->now.mask = 0;
	else if ((in->op == SKEP_OP_JNE64_K || in->op == SKEP_OP_JNE64_X) &&
		 operand(&c->now, in, &s) && in->dst < 10)
		set(&c->now, in->dst, s);
}

/* Goes over to slot @i, which something may jump to. */
static void enter(struct consts *c, uint32_t i)
{
	if (i == 0 || c->j->prog->is_func[i]) {
		c->now.mask = REACHED;
		return;
	}
	if (c->now.mask) { /* of what is known here all that others know, too */
		flow(c, &c->now, i, false);
		c->now.mask = c->at[c->number[i]].mask;
	} else if (c->number[i]) {
		c->now = c->at[c->number[i]];
	}
}

static void write_constant(struct skep_jit *j, uint32_t i, uint64_t v)
{
	struct skep_vm_insn *in = &j->ir[i];
	uint8_t dst = in->dst;

	if ((int64_t)v == (int32_t)v)
		skep_jit_replace(j, i, SKEP_OP_MOV64_K, dst, 0, (int64_t)v);
	else if (v <= UINT32_MAX)
		skep_jit_replace(j, i, SKEP_OP_MOV32_K, dst, 0, (int32_t)v);
	else if (in->op != SKEP_OP_ADD64_K && in->op != SKEP_OP_MOV64_X)
		/* Those are shorter than the number. */
		skep_jit_replace(j, i, SKEP_JIT_CONST, dst, 0, (int64_t)v);
}

/* @in by register becomes the same with a constant. */
static void by_constant(struct skep_jit *j, struct skep_vm_insn *in, uint64_t s)
{
	const struct skep_insn_info *row = &skep_insn_table[in->op];
	uint8_t op = row->code & 0xf0;

	/* Of a program's own constants none is to be seen; registers hide them. */
	if (j->blind || !(row->code & BPF_X) || (row[-1].code | BPF_X) != row->code ||
	    row[-1].imm != SKEP_F_ANY || row[-1].off != row->off)
		return;
	if (row->kind == SKEP_KIND_ALU && (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH))
		s &= row->width - 1u;
	if (row->width == 64 && (int64_t)s != (int32_t)s)
		return;
	in->op--;
	in->src = 0;
	in->imm = (int32_t)s;
}

static void rewrite(struct consts *c, uint32_t i)
{
	struct skep_vm_insn *in = &c->j->ir[i];
	uint8_t kind = skep_jit_kind(in);
	uint64_t v;
	int which;

	if (kind == SKEP_KIND_ALU) {
		/* Nothing known is read: so it is with most. */
		if (!(c->now.mask & (1u << in->dst | 1u << in->src)))
			return;
		if (!(skep_jit_traits[in->op] & (SKEP_JIT_READS_DST | SKEP_JIT_READS_SRC)))
			return;
		if (result(&c->now, in, &v))
			write_constant(c->j, i, v);
		else if (knows(&c->now, in->src) && operand(&c->now, in, &v))
			by_constant(c->j, in, v);
	} else if (kind == SKEP_KIND_COND) {
		which = decided(&c->now, in);
		if (which == 1)
			*in = (struct skep_vm_insn){.op = SKEP_OP_JA, .off = in->off};
		else if (which == 0 && in->off > 0) /* jumps back are where time is counted */
			*in = (struct skep_vm_insn){.op = SKEP_JIT_NOP};
		else if (which < 0 && knows(&c->now, in->src) && operand(&c->now, in, &v))
			by_constant(c->j, in, v);
	}
}

static void sweep(struct consts *c, bool write)
{
	struct skep_jit *j = c->j;
	uint32_t i;

	c->now.mask = 0;
	for (i = 0; i < j->prog->nr; i++) {
		uint8_t kind;

		if (j->leader[i])
			enter(c, i);
		if (!c->now.mask) {
			if (write)
				j->ir[i] = (struct skep_vm_insn){.op = SKEP_JIT_NOP};
			continue;
		}
		if (write)
			rewrite(c, i);
		kind = skep_jit_kind(&j->ir[i]);
		if (kind == SKEP_KIND_COND || kind == SKEP_KIND_JA || kind == SKEP_KIND_MAY_GOTO)
			branch(c, i);
		else if (kind == SKEP_KIND_EXIT)
			c->now.mask = 0;
		else
			step(j, &c->now, &j->ir[i]);
	}
}

int skep_jit_constants(struct skep_jit *j)
{
	struct consts c = {.j = j};
	uint32_t i, leaders = 1, rounds = 0;

	for (i = 0; i < j->prog->nr; i++)
		leaders += j->leader[i] != 0;
	c.number = skep_jit_take(j, j->prog->nr, sizeof(*c.number));
	c.at = skep_jit_take(j, leaders, sizeof(*c.at));
	if (!c.number || !c.at)
		return -1;
	/* Without loops all that leads to a slot stands before it. */
	c.again = j->loops;
	while (c.again && rounds++ < ROUNDS) {
		c.again = false;
		sweep(&c, false);
	}
	if (!c.again)
		sweep(&c, true);
	return 0;
}
