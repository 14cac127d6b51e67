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

#define OPEN	   8 /* groups at a time */
#define GROUP_LEN  256 /* bytes; the remembered range of a site is at least twice that */
#define GROUP_SPAN 64 /* slots */

/* A group of accesses that may still get members. */
struct open {
	uint32_t first;
	unsigned int form; /* of the index: scale, whether there is a base */
	uint16_t base, index; /* numbers */
	bool write;
	int64_t start, end; /* bytes from base + index */
};

struct values {
	struct skep_jit *j;
	struct value of[NR];
	uint16_t nr;
	uint16_t reg[11]; /* number of what each register holds */
	struct open open[OPEN];
	unsigned int nr_open, next_open;
};

static uint16_t number(struct values *v, enum how how, uint16_t a, uint16_t b, int64_t imm)
{
	v->of[v->nr] = (struct value){.how = (uint8_t)how, .a = a, .b = b, .imm = imm};
	return v->nr++;
}

/* The first numbers stand for what the registers hold at the start of a block. */
static void forget(struct values *v)
{
	unsigned int i;

	v->nr = 11;
	v->nr_open = 0;
	for (i = 0; i < 11; i++)
		v->reg[i] = (uint16_t)i;
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
	struct address a = {.reg = {-1, -1}, .disp = in->off};

	if (v->of[v->reg[base]].how == OPAQUE)
		return;
	if (!collect(v, &a, v->reg[base], base, 2) || a.disp != (int32_t)a.disp)
		return;
	/* What stays in its register for others costs nothing to use. */
	if (a.reg[0] < 0 && a.reg[1] < 0 && !(load && in->dst == base) &&
	    skep_jit_live_out(v->j, skep_jit_live(v->j), i) & 1 << base)
		return;
	if (v->j->blind && a.disp != (int16_t)a.disp)
		return;
	set_index(in, load, &a);
}

/* Groups of accesses. */

static bool related(const struct open *a, const struct open *b)
{
	return a->form == b->form && a->base == b->base && a->index == b->index &&
	       a->write == b->write;
}

/* Makes @access a member of @group if both together are small enough. */
static bool join(struct values *v, struct open *group, const struct open *access, uint32_t i)
{
	int64_t start = access->start < group->start ? access->start : group->start;
	int64_t end = access->end > group->end ? access->end : group->end;
	struct skep_jit_group *first = &v->j->group[group->first];

	if (end - start > GROUP_LEN || i - group->first > GROUP_SPAN)
		return false;
	group->start = start;
	group->end = end;
	first->min = (int32_t)(start - v->j->ir[group->first].off);
	first->len = (uint16_t)(end - start);
	first->span = (uint8_t)(i - group->first);
	v->j->group[i].member = true;
	return true;
}

/* Groups stay within what is run as a whole, so that what fails for one would fail anyway. */
static void group(struct values *v, uint32_t i)
{
	const struct skep_vm_insn *in = &v->j->ir[i];
	bool load = skep_jit_is_load(skep_jit_kind(in));
	unsigned int index = skep_jit_index(in), k;
	struct open access = {
		.first = i,
		.form = index & ~SKEP_JIT_INDEX,
		.base = index & SKEP_JIT_NO_BASE ? NR : v->reg[load ? in->src : in->dst],
		.index = index & SKEP_JIT_INDEX ? v->reg[(index & SKEP_JIT_INDEX) - 1] : NR,
		.write = !load,
		.start = in->off,
		.end = in->off + (int64_t)skep_insn_table[in->op].width / 8,
	};

	if (v->j->proof[i] || skep_jit_in_frame(in))
		return;
	for (k = 0; k < v->nr_open; k++)
		if (related(&v->open[k], &access))
			break;
	if (k < v->nr_open && join(v, &v->open[k], &access, i))
		return;
	if (k == v->nr_open && v->nr_open < OPEN)
		v->nr_open++;
	else if (k == v->nr_open)
		k = v->next_open++ % OPEN;
	v->open[k] = access;
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
	case SKEP_JIT_CONST: return number(v, CONST, 0, 0, in->imm);
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
	if (v->j->checked && (v->j->passes & SKEP_JIT_PASS_GROUP) &&
	    (skep_jit_is_load(kind) || skep_jit_is_store(kind)))
		group(v, i);
	if (kind == SKEP_KIND_COND || kind == SKEP_KIND_JA)
		v->nr_open = 0;
	if (in->op == SKEP_JIT_NOP || kind == SKEP_KIND_COND || kind == SKEP_KIND_JA ||
	    skep_jit_is_store(kind))
		return;
	if (skep_jit_traits[in->op] & SKEP_JIT_COMPUTES || skep_jit_is_load(kind))
		v->reg[in->dst] = result(v, in);
	else if (row && (kind == SKEP_KIND_ATOMIC || kind == SKEP_KIND_CMPXCHG))
		v->reg[in->src] = number(v, OPAQUE, 0, 0, 0),
		v->reg[0] = number(v, OPAQUE, 0, 0, 0);
	else
		forget(v);
}

void skep_jit_values(struct skep_jit *j)
{
	struct values v = {.j = j};
	uint32_t i;

	forget(&v);
	for (i = 0; i < j->prog->nr; i = skep_jit_next(j, i)) {
		if (j->leader[i] || v.nr > NR - 16)
			forget(&v);
		step(&v, i);
	}
}
