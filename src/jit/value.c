/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values of registers within a block, by number: two registers with the same
 * number hold the same bits, and of some numbers it is known how they were
 * computed.  From that, addresses of loads and stores are taken apart into
 * base, index and displacement, and an or of two shifts becomes a rotation.
 *
 * Nothing is removed here: what was computed for an address and is not read
 * elsewhere goes with the dead results.
 */
#include <string.h>

#include "jit/emit.h"
#include "jit/jit.h"
#include "jit/opt.h"

#define NR 256 /* values before a block is started anew */

enum how { OPAQUE, CONST, ADD, SUM, LSH64, LSH32, RSH64, RSH32, LOW32 };

struct value {
	uint8_t how;
	uint16_t a, b; /* numbers of what it was computed from */
	int64_t imm;
};

struct values {
	struct skep_jit *j;
	const uint16_t *live;
	struct value of[NR];
	uint16_t nr;
	uint16_t reg[11]; /* number of what each register holds */
};

static uint16_t number(struct values *v, enum how how, uint16_t a, uint16_t b, int64_t imm)
{
	v->of[v->nr] = (struct value){.how = (uint8_t)how, .a = a, .b = b, .imm = imm};
	return v->nr++;
}

static void forget(struct values *v)
{
	unsigned int i;

	v->nr = 0;
	for (i = 0; i < 11; i++)
		v->reg[i] = number(v, OPAQUE, 0, 0, 0);
}

/* A register that holds @value: @but only if there is no other; -1: none. */
static int holder(const struct values *v, uint16_t value, int but)
{
	int i;

	for (i = 10; i >= 0; i--)
		if (v->reg[i] == value && i != but)
			return i;
	return but >= 0 && v->reg[but] == value ? but : -1;
}

/* Addresses. */

struct address {
	int reg[2]; /* base, index; -1: none */
	int scale; /* of the index */
	int64_t disp;
};

static bool add_term(const struct values *v, struct address *a, uint16_t value, int but)
{
	const struct value *x = &v->of[value];
	int reg = holder(v, value, but), from;

	if (a->reg[1] < 0 && x->how == LSH64 && x->imm > 0 && x->imm <= 3 &&
	    (reg < 0 || reg == but)) {
		from = holder(v, x->a, -1);
		if (from >= 0) {
			a->scale = (int)x->imm;
			a->reg[1] = from;
			return true;
		}
	}
	if (reg < 0 || (a->reg[0] >= 0 && a->reg[1] >= 0))
		return false;
	a->reg[a->reg[0] >= 0] = reg;
	return true;
}

/* Adds the parts of @value to @a.  False: too many, or one that is in no register any more. */
static bool collect(const struct values *v, struct address *a, uint16_t value, int but, int depth)
{
	const struct value *x = &v->of[value];

	if (x->how == CONST || x->how == ADD) {
		if (__builtin_add_overflow(a->disp, x->imm, &a->disp))
			return false;
		return x->how == CONST || collect(v, a, x->a, but, depth);
	}
	if (x->how == SUM && depth) {
		struct address both = *a;

		if (collect(v, &both, x->a, but, depth - 1) &&
		    collect(v, &both, x->b, but, depth - 1)) {
			*a = both;
			return true;
		}
	}
	return add_term(v, a, value, but);
}

static void set_index(struct skep_vm_insn *in, bool load, const struct address *a)
{
	unsigned int index = 0;

	if (a->reg[1] >= 0)
		index = (unsigned int)(a->reg[1] + 1) | SKEP_JIT_SCALE(a->scale);
	if (a->reg[0] < 0)
		index |= SKEP_JIT_NO_BASE;
	else if (load)
		in->src = (uint8_t)a->reg[0];
	else
		in->dst = (uint8_t)a->reg[0];
	in->off = (int32_t)a->disp;
	if (skep_jit_kind(in) == SKEP_KIND_ST)
		in->src = (uint8_t)index;
	else
		in->imm = index;
}

static void fold_address(struct values *v, uint32_t i)
{
	struct skep_vm_insn *in = &v->j->ir[i];
	bool load = skep_jit_is_load(skep_jit_kind(in));
	uint8_t base = load ? in->src : in->dst;
	bool last = !(skep_jit_live_out(v->j, v->live, i) & 1 << base) || (load && in->dst == base);
	struct address a = {.reg = {-1, -1}, .disp = in->off};

	if (v->of[v->reg[base]].how == OPAQUE)
		return;
	if (!collect(v, &a, v->reg[base], base, 2) || a.disp != (int32_t)a.disp)
		return;
	/* What stays in its register for others costs nothing to use. */
	if (!last && a.reg[0] < 0 && a.reg[1] < 0)
		return;
	if (v->j->blind && a.disp != (int16_t)a.disp)
		return;
	set_index(in, load, &a);
}

/* Rotations: dst | src where one is x << n and the other x >> width - n. */
static void fold_rotation(struct values *v, uint32_t i)
{
	struct skep_vm_insn *in = &v->j->ir[i];
	bool w = in->op == SKEP_OP_OR64_X;
	const struct value *a = &v->of[v->reg[in->dst]], *b = &v->of[v->reg[in->src]], *t;
	uint8_t left = w ? LSH64 : LSH32, right = w ? RSH64 : RSH32;
	int from;

	if (a->how == right) {
		t = a;
		a = b;
		b = t;
	}
	if (a->how != left || b->how != right || a->a != b->a || a->imm + b->imm != (w ? 64 : 32))
		return;
	from = holder(v, a->a, -1);
	if (from >= 0)
		skep_jit_replace(v->j, i, w ? SKEP_JIT_ROL64 : SKEP_JIT_ROL32, in->dst,
				 (uint8_t)from, a->imm);
}

/* What 32-bit operations see of a value: that it was cut before makes no difference. */
static uint16_t low_of(const struct values *v, uint16_t value)
{
	while (v->of[value].how == LOW32)
		value = v->of[value].a;
	return value;
}

static uint16_t shifted(struct values *v, uint16_t from, enum how how, int64_t by)
{
	if (how == LSH32 || how == RSH32)
		from = low_of(v, from);
	return number(v, how, from, 0, by);
}

static uint16_t moved32(struct values *v, uint8_t reg)
{
	const struct value *x = &v->of[v->reg[reg]];

	/* The results of 32-bit operations are cut already. */
	if (x->how == LOW32 || x->how == LSH32 || x->how == RSH32)
		return v->reg[reg];
	return number(v, LOW32, v->reg[reg], 0, 0);
}

static uint16_t added(struct values *v, uint16_t to, int64_t imm)
{
	const struct value *x = &v->of[to];

	if (x->how == CONST || x->how == ADD)
		return number(v, (enum how)x->how, x->a, 0,
			      (int64_t)((uint64_t)x->imm + (uint64_t)imm));
	return number(v, ADD, to, 0, imm);
}

/* The number of what @in writes to its destination. */
static uint16_t result(struct values *v, const struct skep_vm_insn *in)
{
	uint16_t dst = v->reg[in->dst], src = in->src < 11 ? v->reg[in->src] : 0;

	switch (in->op) {
	case SKEP_OP_MOV64_K: return number(v, CONST, 0, 0, in->imm);
	case SKEP_OP_MOV32_K: return number(v, CONST, 0, 0, (uint32_t)in->imm);
	case SKEP_OP_MOV64_X: return src;
	case SKEP_OP_MOV32_X: return moved32(v, in->src);
	case SKEP_OP_ADD64_K: return added(v, dst, in->imm);
	case SKEP_OP_SUB64_K: return added(v, dst, -in->imm);
	case SKEP_OP_ADD64_X: return number(v, SUM, dst, src, 0);
	case SKEP_JIT_LEA: return added(v, src, in->imm);
	case SKEP_JIT_LEA_INDEX: return number(v, SUM, src, v->reg[in->imm], 0);
	case SKEP_OP_LSH64_K: return shifted(v, dst, LSH64, in->imm & 63);
	case SKEP_OP_RSH64_K: return shifted(v, dst, RSH64, in->imm & 63);
	case SKEP_OP_LSH32_K: return shifted(v, dst, LSH32, in->imm & 31);
	case SKEP_OP_RSH32_K: return shifted(v, dst, RSH32, in->imm & 31);
	default: break;
	}
	if (skep_jit_kind(in) == SKEP_KIND_LDDW)
		return number(v, CONST, 0, 0, in->imm);
	return number(v, OPAQUE, 0, 0, 0);
}

static void step(struct values *v, uint32_t i)
{
	const struct skep_vm_insn *in = &v->j->ir[i];
	uint8_t kind = skep_jit_kind(in);
	const struct skep_insn_info *row = in->op < SKEP_OP_MAX ? &skep_insn_table[in->op] : NULL;

	if ((v->j->passes & SKEP_JIT_PASS_ADDRESS) &&
	    (skep_jit_is_load(kind) || skep_jit_is_store(kind)))
		fold_address(v, i);
	else if ((v->j->passes & SKEP_JIT_PASS_ROTATE) &&
		 (in->op == SKEP_OP_OR64_X || in->op == SKEP_OP_OR32_X))
		fold_rotation(v, i);
	if (in->op == SKEP_JIT_NOP || kind == SKEP_KIND_COND || kind == SKEP_KIND_JA ||
	    skep_jit_is_store(kind))
		return;
	if (kind == SKEP_KIND_ALU || kind == SKEP_KIND_LDDW || skep_jit_is_load(kind) ||
	    in->op == SKEP_JIT_LEA || in->op == SKEP_JIT_LEA_INDEX || in->op == SKEP_JIT_ROL64 ||
	    in->op == SKEP_JIT_ROL32)
		v->reg[in->dst] = result(v, in);
	else if (row && (kind == SKEP_KIND_ATOMIC || kind == SKEP_KIND_CMPXCHG))
		v->reg[in->src] = number(v, OPAQUE, 0, 0, 0),
		v->reg[0] = number(v, OPAQUE, 0, 0, 0);
	else
		forget(v);
}

void skep_jit_values(struct skep_jit *j, const uint16_t *live)
{
	struct values v = {.j = j, .live = live};
	uint32_t i;

	forget(&v);
	for (i = 0; i < j->prog->nr; i = skep_jit_next(j, i)) {
		if (j->leader[i] || v.nr > NR - 16)
			forget(&v);
		step(&v, i);
	}
}
