/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What pays over one-to-one translation, as passes over a copy of the decoded
 * program.  A pass replaces an instruction by one of enum skep_jit_op, or by
 * nothing; slots keep their numbers, so that jumps and errors stay right.
 *
 * A pass never looks past a slot that something jumps to.
 */
#include <string.h>

#include "jit/emit.h"
#include "jit/jit.h"
#include "jit/opt.h"

#define ALL_REGS SKEP_JIT_ALL_REGS
#define ARGS	 SKEP_JIT_ARGS

const uint8_t skep_jit_kinds[SKEP_JIT_OP_MAX] = {
#define SKEP_INSN(name, kind, ...) [SKEP_OP_##name] = SKEP_KIND_##kind,
#include "isa/isa.def"
	[SKEP_OP_MAX... SKEP_JIT_OP_MAX - 1] = UINT8_MAX,
};

/* As in isa.def: what a register's column and a row's kind say. */
#define READS(field)  ((field) == SKEP_F_READ || (field) == SKEP_F_RDWR)
#define WRITES(field) ((field) == SKEP_F_WRITE || (field) == SKEP_F_RDWR)
#define ONE_OF(kind, a, b, c, d) \
	((kind) == SKEP_KIND_##a || (kind) == SKEP_KIND_##b || (kind) == SKEP_KIND_##c || \
	 (kind) == SKEP_KIND_##d)
#define TRAITS(kind, dst, src) \
	((READS(dst) ? SKEP_JIT_READS_DST : 0) | (READS(src) ? SKEP_JIT_READS_SRC : 0) | \
	 (WRITES(dst) ? SKEP_JIT_WRITES_DST : 0) | (WRITES(src) ? SKEP_JIT_WRITES_SRC : 0) | \
	 (ONE_OF(kind, LDX, LDSX, ST, STX) ? SKEP_JIT_INDEXED : 0) | \
	 ((kind) == SKEP_KIND_ALU || (kind) == SKEP_KIND_LDDW ? SKEP_JIT_COMPUTES : 0) | \
	 (ONE_OF(kind, COND, JA, EXIT, MAY_GOTO) ? SKEP_JIT_PARTS : 0) | \
	 (ONE_OF(kind, CALL, CALL_PC, CALL_KFUNC, CALLX) || \
			  ONE_OF(kind, EXIT, CMPXCHG, LD_ABS, LD_IND) \
		  ? SKEP_JIT_OTHER \
		  : 0))

const uint8_t skep_jit_traits[SKEP_JIT_OP_MAX] = {
#define SKEP_INSN(name, kind, code, dst, src, ...) \
	[SKEP_OP_##name] = TRAITS(SKEP_KIND_##kind, dst, src),
#include "isa/isa.def"
	[SKEP_VM_OP_TAIL_CALL] = SKEP_JIT_OTHER,
	[SKEP_JIT_NOP] = 0,
	[SKEP_JIT_LEA] = SKEP_JIT_READS_SRC | SKEP_JIT_WRITES_DST | SKEP_JIT_COMPUTES,
	[SKEP_JIT_LEA_INDEX] = SKEP_JIT_OTHER | SKEP_JIT_COMPUTES,
	[SKEP_JIT_LEA32] = SKEP_JIT_READS_SRC | SKEP_JIT_WRITES_DST | SKEP_JIT_COMPUTES,
	[SKEP_JIT_LEA32_INDEX] = SKEP_JIT_OTHER | SKEP_JIT_COMPUTES,
	[SKEP_JIT_ZEXT8] = SKEP_JIT_READS_SRC | SKEP_JIT_WRITES_DST | SKEP_JIT_COMPUTES,
	[SKEP_JIT_ZEXT16] = SKEP_JIT_READS_SRC | SKEP_JIT_WRITES_DST | SKEP_JIT_COMPUTES,
	[SKEP_JIT_ROL64] = SKEP_JIT_READS_SRC | SKEP_JIT_WRITES_DST | SKEP_JIT_COMPUTES,
	[SKEP_JIT_ROL32] = SKEP_JIT_READS_SRC | SKEP_JIT_WRITES_DST | SKEP_JIT_COMPUTES,
	[SKEP_JIT_LOOKUP] = SKEP_JIT_OTHER,
	[SKEP_JIT_LOOKUP_ROW] = SKEP_JIT_OTHER,
	[SKEP_JIT_GET] = SKEP_JIT_OTHER,
	[SKEP_JIT_BIT] = SKEP_JIT_WRITES_DST,
	[SKEP_JIT_CONST] = SKEP_JIT_WRITES_DST | SKEP_JIT_COMPUTES,
	[SKEP_JIT_LOOP] = SKEP_JIT_OTHER,
	[SKEP_JIT_OPERAND] = SKEP_JIT_OTHER,
	[SKEP_JIT_CHECK] = SKEP_JIT_OTHER,
	[SKEP_JIT_CHANGE] = SKEP_JIT_OTHER,
};

static uint16_t bit(unsigned int reg)
{
	return (uint16_t)(1u << reg);
}

static struct skep_jit_effect call_effect(const struct skep_jit *j, const struct skep_vm_insn *in)
{
	struct skep_jit_effect e = {.def = 1};
	int i;

	/* Without proof a program may look at r1 to r5 after a call, too. */
	if (j->checked)
		return (struct skep_jit_effect){.use = ARGS, .def = 1};
	e.def |= ARGS;
	for (i = 0; i < 5 && in->helper->args[i] != SKEP_ARG_NONE; i++)
		e.use |= bit(1 + i);
	return e;
}

static struct skep_jit_effect address_effect(uint8_t base, unsigned int index)
{
	struct skep_jit_effect e = {0};

	if (!(index & SKEP_JIT_NO_BASE))
		e.use |= bit(base);
	if (index & SKEP_JIT_INDEX)
		e.use |= bit((index & SKEP_JIT_INDEX) - 1);
	return e;
}

static struct skep_jit_effect access_effect(const struct skep_vm_insn *in,
					    const struct skep_insn_info *row)
{
	bool load = skep_jit_is_load(row->kind);
	struct skep_jit_effect e = address_effect(load ? in->src : in->dst, skep_jit_index(in));

	if (row->kind == SKEP_KIND_STX)
		e.use |= bit(in->src);
	if (load)
		e.def = bit(in->dst);
	return e;
}

struct skep_jit_effect skep_jit_other_effect(const struct skep_jit *j,
					     const struct skep_vm_insn *in)
{
	struct skep_jit_effect e = {0};

	if (skep_jit_traits[in->op] & SKEP_JIT_INDEXED)
		return access_effect(in, &skep_insn_table[in->op]);
	switch (in->op) {
	case SKEP_OP_CALL: return call_effect(j, in);
	case SKEP_OP_EXIT:
		/* Without proof a caller may look at what a function left in r1 to r5. */
		e.use = j->checked && j->nr_funcs > 1 ? ARGS | 1 : 1;
		e.def = (uint16_t)(ALL_REGS & ~e.use);
		return e;
	case SKEP_OP_CALL_PC:
		/* And a function at its caller's r6 to r9. */
		if (j->checked)
			return (struct skep_jit_effect){.use = ALL_REGS};
		return (struct skep_jit_effect){.use = ARGS, .def = ARGS | 1};
	case SKEP_JIT_LEA_INDEX:
	case SKEP_JIT_LEA32_INDEX:
		return (struct skep_jit_effect){.use = bit(in->src) | bit((unsigned int)in->imm),
						.def = bit(in->dst)};
	case SKEP_JIT_LOOKUP:
	case SKEP_JIT_LOOKUP_ROW:
		return (struct skep_jit_effect){.use = bit(BPF_REG_2),
						.def = j->checked ? 1 : ARGS | 1};
	case SKEP_JIT_OPERAND:
		e = address_effect(in->src, (unsigned int)in->imm);
		e.use |= bit(in->dst);
		e.def = bit(in->dst);
		return e;
	case SKEP_JIT_CHANGE:
		e = address_effect(in->dst, (unsigned int)in->imm);
		if (skep_insn_table[SKEP_JIT_OP(in)].src == SKEP_F_READ)
			e.use |= bit(in->src);
		return e;
	case SKEP_JIT_CHECK: return address_effect(in->src, (unsigned int)in->imm);
	case SKEP_JIT_GET: return (struct skep_jit_effect){.def = j->checked ? 1 : ARGS | 1};
	default: return (struct skep_jit_effect){.use = ALL_REGS};
	}
}

/* One walk of find_live(), backwards.  True if a loop wants another. */
static bool walk(struct skep_jit *j, uint16_t *live, bool drop)
{
	uint16_t now = 0;
	bool again = false;
	uint32_t i;

	for (i = j->prog->nr; i-- > 0;) {
		struct skep_vm_insn *in = &j->ir[i];
		uint8_t traits = skep_jit_traits[in->op];

		if (traits & SKEP_JIT_PARTS)
			now = skep_jit_live_out(j, live, i);
		if (traits) {
			struct skep_jit_effect e = skep_jit_effect(j, in);

			/* What serves a result that nobody reads is not read. */
			if (!(traits & SKEP_JIT_COMPUTES) || (now & e.def))
				now = (uint16_t)((now & ~e.def) | e.use);
			else if (drop)
				in->op = SKEP_JIT_NOP;
		}
		/* Only who jumps back to here has seen what was here before. */
		again |= now != live[i] && (j->leader[i] & 2);
		live[i] = now;
	}
	return again;
}

/*
 * Slots of which nothing is left but a number pass on what is behind them.
 * @drop: what computes a result that nobody reads goes.
 */
static void find_live(struct skep_jit *j, bool drop)
{
	memset(j->live, 0, (j->prog->nr + 1) * sizeof(*j->live));
	/* Without loops all that follows a slot stands behind it. */
	while (j->loops && walk(j, j->live, false))
		;
	if (drop || !j->loops)
		walk(j, j->live, drop);
	j->has_live = true;
}

const uint16_t *skep_jit_live(struct skep_jit *j)
{
	if (!j->has_live)
		find_live(j, false);
	return j->live;
}

static bool same_block(const struct skep_jit *j, uint32_t first, uint32_t n)
{
	uint32_t i;

	if (first + n > j->prog->nr)
		return false;
	for (i = first + 1; i < first + n; i++)
		if (j->leader[i])
			return false;
	return true;
}

static void drop(struct skep_jit *j, uint32_t i)
{
	j->ir[i] = (struct skep_vm_insn){.op = SKEP_JIT_NOP};
}

void skep_jit_replace(struct skep_jit *j, uint32_t i, uint16_t op, uint8_t dst, uint8_t src,
		      int64_t imm)
{
	j->ir[i] = (struct skep_vm_insn){.op = op, .dst = dst, .src = src, .imm = imm};
}

/* dst = src; dst += imm or reg: one address computation. */
static bool fuse_add(struct skep_jit *j, uint32_t i)
{
	const struct skep_vm_insn *a = &j->ir[i], *b = a + 1;

	if (!same_block(j, i, 2) || a->op != SKEP_OP_MOV64_X || b->dst != a->dst)
		return false;
	if (b->op == SKEP_OP_ADD64_K)
		skep_jit_replace(j, i, SKEP_JIT_LEA, a->dst, a->src, b->imm);
	else if (b->op == SKEP_OP_SUB64_K && b->imm != INT32_MIN)
		skep_jit_replace(j, i, SKEP_JIT_LEA, a->dst, a->src, -b->imm);
	else if (b->op == SKEP_OP_ADD64_X && b->src != a->dst)
		skep_jit_replace(j, i, SKEP_JIT_LEA_INDEX, a->dst, a->src, b->src);
	else
		return false;
	drop(j, i + 1);
	return true;
}

/* The same with 32 bits; and dst = src; dst &= 0xff or 0xffff. */
static bool fuse_low(struct skep_jit *j, uint32_t i)
{
	const struct skep_vm_insn *a = &j->ir[i], *b = a + 1;
	bool mask = b->op == SKEP_OP_AND64_K || b->op == SKEP_OP_AND32_K;

	if (!same_block(j, i, 2) || (a->op != SKEP_OP_MOV64_X && a->op != SKEP_OP_MOV32_X) ||
	    b->dst != a->dst)
		return false;
	if (b->op == SKEP_OP_ADD32_K)
		skep_jit_replace(j, i, SKEP_JIT_LEA32, a->dst, a->src, b->imm);
	else if (b->op == SKEP_OP_SUB32_K && b->imm != INT32_MIN)
		skep_jit_replace(j, i, SKEP_JIT_LEA32, a->dst, a->src, -b->imm);
	else if (b->op == SKEP_OP_ADD32_X && b->src != a->dst)
		skep_jit_replace(j, i, SKEP_JIT_LEA32_INDEX, a->dst, a->src, b->src);
	else if (mask && b->imm == 0xff)
		skep_jit_replace(j, i, SKEP_JIT_ZEXT8, a->dst, a->src, 0);
	else if (mask && b->imm == 0xffff)
		skep_jit_replace(j, i, SKEP_JIT_ZEXT16, a->dst, a->src, 0);
	else
		return false;
	drop(j, i + 1);
	return true;
}

/* By the shift: what [dst = src;] dst <<= by; dst >>= by leaves of src, zero- or sign-extended. */
static const struct {
	uint16_t left, right, op;
	uint8_t by;
} extensions[] = {
	{SKEP_OP_LSH64_K, SKEP_OP_RSH64_K, SKEP_OP_MOV32_X, 32},
	{SKEP_OP_LSH64_K, SKEP_OP_RSH64_K, SKEP_JIT_ZEXT16, 48},
	{SKEP_OP_LSH64_K, SKEP_OP_RSH64_K, SKEP_JIT_ZEXT8, 56},
	{SKEP_OP_LSH64_K, SKEP_OP_ARSH64_K, SKEP_OP_MOVSX64_32, 32},
	{SKEP_OP_LSH64_K, SKEP_OP_ARSH64_K, SKEP_OP_MOVSX64_16, 48},
	{SKEP_OP_LSH64_K, SKEP_OP_ARSH64_K, SKEP_OP_MOVSX64_8, 56},
	{SKEP_OP_LSH32_K, SKEP_OP_RSH32_K, SKEP_JIT_ZEXT16, 16},
	{SKEP_OP_LSH32_K, SKEP_OP_RSH32_K, SKEP_JIT_ZEXT8, 24},
	{SKEP_OP_LSH32_K, SKEP_OP_ARSH32_K, SKEP_OP_MOVSX32_16, 16},
	{SKEP_OP_LSH32_K, SKEP_OP_ARSH32_K, SKEP_OP_MOVSX32_8, 24},
};

static bool fuse_extend(struct skep_jit *j, uint32_t i)
{
	const struct skep_vm_insn *in = &j->ir[i];
	bool move = in->op == SKEP_OP_MOV64_X || in->op == SKEP_OP_MOV32_X;
	uint32_t k = i + move, n;
	const struct skep_vm_insn *l = &j->ir[k], *r = l + 1;
	uint8_t dst = in->dst, src = move ? in->src : in->dst;

	if (!same_block(j, i, 2 + move) || l->dst != dst || r->dst != dst || l->imm != r->imm)
		return false;
	for (n = 0; n < sizeof(extensions) / sizeof(extensions[0]); n++)
		if (l->op == extensions[n].left && r->op == extensions[n].right &&
		    l->imm == extensions[n].by)
			break;
	if (n == sizeof(extensions) / sizeof(extensions[0]))
		return false;
	skep_jit_replace(j, i, extensions[n].op, dst, src, 0);
	drop(j, i + 1);
	if (move)
		drop(j, i + 2);
	return true;
}

/*
 * t = x; t <<= a; x >>= b; x |= t (or t |= x), a + b the width, in any order of
 * the shifts: a rotation, if the other register is not read afterwards.
 */
static bool fuse_rotate(struct skep_jit *j, uint32_t i)
{
	const struct skep_vm_insn *m = &j->ir[i], *s = m + 1, *u = m + 2, *o = m + 3;
	bool w = m->op == SKEP_OP_MOV64_X;
	uint16_t lsh = w ? SKEP_OP_LSH64_K : SKEP_OP_LSH32_K;
	uint16_t rsh = w ? SKEP_OP_RSH64_K : SKEP_OP_RSH32_K;
	uint8_t t = m->dst, x = m->src, out, other;
	int64_t left;

	if ((!w && m->op != SKEP_OP_MOV32_X) || t == x || !same_block(j, i, 4))
		return false;
	if (!((s->op == lsh && u->op == rsh) || (s->op == rsh && u->op == lsh)) ||
	    s->imm + u->imm != (w ? 64 : 32) || s->imm <= 0 || u->imm <= 0)
		return false;
	if (!((s->dst == t && u->dst == x) || (s->dst == x && u->dst == t)) ||
	    o->op != (w ? SKEP_OP_OR64_X : SKEP_OP_OR32_X))
		return false;
	if (!((o->dst == x && o->src == t) || (o->dst == t && o->src == x)))
		return false;
	out = o->dst;
	other = o->src;
	if (skep_jit_live_out(j, skep_jit_live(j), i + 3) & bit(other))
		return false;
	left = s->op == lsh ? s->imm : u->imm;
	if (out == x)
		drop(j, i);
	drop(j, i + 1);
	drop(j, i + 2);
	skep_jit_replace(j, i + 3, w ? SKEP_JIT_ROL64 : SKEP_JIT_ROL32, out, out, left);
	return true;
}

static void fuse(struct skep_jit *j)
{
	bool rotate = j->passes & SKEP_JIT_PASS_ROTATE, other = j->passes & SKEP_JIT_PASS_FUSE;
	uint32_t i;

	for (i = 0; i < j->prog->nr; i++) {
		uint16_t op = j->ir[i].op;

		if (op != SKEP_OP_MOV64_X && op != SKEP_OP_MOV32_X && op != SKEP_OP_LSH64_K &&
		    op != SKEP_OP_LSH32_K)
			continue;
		if (rotate && fuse_rotate(j, i))
			continue;
		if (other && !fuse_extend(j, i) && !fuse_add(j, i))
			fuse_low(j, i);
	}
}

/* What comes before registers' liveness is asked for. */
static int prepare(struct skep_jit *j)
{
	if (j->checked && (j->passes & SKEP_JIT_PASS_PROVE) && skep_jit_ranges(j) < 0)
		return -1;
	if ((j->passes & SKEP_JIT_PASS_CONST) && skep_jit_constants(j) < 0)
		return -1;
	return 0;
}

/* Results and stores that nobody reads. */
static int drop_all(struct skep_jit *j)
{
	if ((j->passes & SKEP_JIT_PASS_STACK) && skep_jit_stack(j) < 0)
		return -1;
	if (j->passes & (SKEP_JIT_PASS_DEAD | SKEP_JIT_PASS_ADDRESS))
		find_live(j, j->passes & SKEP_JIT_PASS_DEAD);
	if (j->passes & SKEP_JIT_PASS_ADDRESS)
		skep_jit_scale(j);
	if (j->passes & SKEP_JIT_PASS_OPERAND)
		skep_jit_operands(j);
	return 0;
}

int skep_jit_optimise(struct skep_jit *j)
{
	j->live = skep_jit_take(j, j->prog->nr + 1, sizeof(*j->live));
	if (!j->live || prepare(j) < 0)
		return -1;
	if (j->passes & (SKEP_JIT_PASS_ROTATE | SKEP_JIT_PASS_FUSE))
		fuse(j);
	if (j->passes & (SKEP_JIT_PASS_ROTATE | SKEP_JIT_PASS_ADDRESS | SKEP_JIT_PASS_GROUP))
		skep_jit_values(j);
	/* Registers in addresses are read where they were not before. */
	j->has_live = false;
	if (j->calls)
		skep_jit_calls(j);
	if (drop_all(j) < 0)
		return -1;
	/* Blinded immediates need the scratch register. */
	if ((j->passes & SKEP_JIT_PASS_SELECT) && !j->blind && skep_jit_selects(j) < 0)
		return -1;
	if (j->loops && (j->passes & SKEP_JIT_PASS_UNROLL) && skep_jit_unroll(j) < 0)
		return -1;
	return j->loops && (j->passes & SKEP_JIT_PASS_LAYOUT) ? skep_jit_layout(j) : 0;
}
