/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checked mode: which accesses cannot go wrong, so that no check is emitted.
 *
 * Each register holds, along all paths, a number of an unsigned range with so
 * many zero bits at its end; or an address that far into the function's frame
 * or into a value of a map.  Addresses of map values that stand in the program
 * are numbers like any other.  Where paths meet, ranges become their hull;
 * where that does not end, they grow to what the program compares with.
 *
 * Nothing is assumed of a program but what src/vm/prog.c checks.
 */
#include <string.h>

#include "jit/emit.h"
#include "jit/jit.h"
#include "jit/opt.h"
#include "jit/range.h"

#define THRESHOLDS 64
#define PATIENCE   3 /* visits before ranges are widened */
#define ROUNDS	   64
#define MAX_SLOTS  (1u << 16) /* larger programs are not worth the time and memory */

struct ranges {
	struct skep_jit *j;
	struct skep_jit_state *at; /* by leader */
	uint32_t *number; /* of the leader at a slot */
	uint64_t limit[THRESHOLDS]; /* ascending */
	unsigned int nr_limits;
	uint16_t counters; /* registers that are compared */
	bool changed;
};

static uint64_t next_limit(const struct ranges *rs, uint64_t v)
{
	unsigned int i;

	for (i = 0; i < rs->nr_limits; i++)
		if (rs->limit[i] >= v)
			return rs->limit[i];
	return UINT64_MAX;
}

static bool same(const struct skep_jit_range *a, const struct skep_jit_range *b)
{
	return a->kind == b->kind && a->null == b->null && a->zeroes == b->zeroes &&
	       a->map == b->map && a->lo == b->lo && a->hi == b->hi;
}

/* @to grows by @from.  @widen: as far as it goes. */
static void join(const struct ranges *rs, struct skep_jit_range *to,
		 const struct skep_jit_range *from, bool widen)
{
	struct skep_jit_range old = *to;

	if (to->kind != from->kind || to->map != from->map) {
		*to = skep_jit_any;
		return;
	}
	to->null |= from->null;
	if (from->zeroes < to->zeroes)
		to->zeroes = from->zeroes;
	if (from->lo < to->lo)
		to->lo = widen ? from->lo > 0 : from->lo; /* loops end at 0 */
	if (from->hi > to->hi)
		to->hi = widen ? next_limit(rs, from->hi) : from->hi;
	if (to->kind == SKEP_JIT_IN_FRAME && widen && (to->lo != old.lo || to->hi != old.hi))
		*to = skep_jit_any;
	skep_jit_range_trim(to);
}

static void flow(struct ranges *rs, const struct skep_jit_state *from, uint32_t slot)
{
	struct skep_jit_state *to = &rs->at[rs->number[slot]];
	struct skep_jit_range old[SKEP_JIT_TIMES + 1];
	unsigned int i;

	if (!to->reached) {
		uint16_t visits = to->visits;

		*to = *from;
		to->visits = visits;
		rs->changed = true;
		return;
	}
	if (rs->counters && skep_jit_relations_join(to, from, rs->counters))
		rs->changed = true;
	memcpy(old, to->r, sizeof(old));
	for (i = 0; i < 11; i++)
		if (from->likely[i] != to->likely[i])
			to->likely[i] = SKEP_VM_ANYWHERE;
	for (i = 0; i <= SKEP_JIT_TIMES; i++)
		join(rs, &to->r[i], &from->r[i], to->visits > PATIENCE);
	if (rs->counters)
		skep_jit_relations_use(to, -1);
	for (i = 0; i <= SKEP_JIT_TIMES; i++)
		rs->changed |= !same(&old[i], &to->r[i]);
}

static void enter_function(struct skep_jit_state *s, bool first)
{
	unsigned int i;

	s->reached = true;
	for (i = 0; i < 10; i++)
		s->r[i] = skep_jit_any;
	s->r[SKEP_JIT_TIMES] = skep_jit_constant(0);
	s->likely[BPF_REG_1] = first ? SKEP_VM_IN_CTX : SKEP_VM_ANYWHERE;
	s->r[10] = (struct skep_jit_range){
		.kind = SKEP_JIT_IN_FRAME, .lo = SKEP_VM_STACK, .hi = SKEP_VM_STACK};
}

static void call(struct skep_jit *j, struct skep_jit_state *s, const struct skep_vm_insn *in)
{
	const struct skep_map *map = skep_jit_looked_up(j, in, &s->r[1]);

	/* Helpers leave r1 to r5 alone in this mode. */
	s->r[0] = skep_jit_any;
	if (map)
		s->r[0] = (struct skep_jit_range){
			.kind = SKEP_JIT_IN_VALUE, .null = true, .map = map};
}

/* What is loaded from a context is mostly a packet's address; what is added to one is small. */
static void guess(const struct skep_jit *j, struct skep_jit_state *s, const struct skep_vm_insn *in)
{
	uint8_t *likely = s->likely;
	uint16_t def;

	switch (in->op) {
	case SKEP_OP_MOV64_X:
	case SKEP_OP_MOV32_X: likely[in->dst] = likely[in->src]; break;
	case SKEP_OP_ADD64_X: likely[in->dst] = likely[likely[in->dst] ? in->dst : in->src]; break;
	case SKEP_OP_ADD64_K:
	case SKEP_OP_SUB64_K:
	case SKEP_OP_SUB64_X: break;
	case SKEP_OP_LDX32:
	case SKEP_OP_LDX64:
		likely[in->dst] =
			likely[in->src] == SKEP_VM_IN_CTX ? SKEP_VM_IN_PACKET : SKEP_VM_ANYWHERE;
		break;
	default:
		for (def = skep_jit_effect(j, in).def; def; def &= (uint16_t)(def - 1))
			likely[__builtin_ctz(def)] = SKEP_VM_ANYWHERE;
	}
}

/* What one instruction does to the registers. */
static void step(struct ranges *rs, struct skep_jit_state *s, uint32_t i)
{
	const struct skep_vm_insn *in = &rs->j->ir[i];
	struct skep_jit_range src;
	unsigned int r;

	guess(rs->j, s, in);
	if (rs->counters)
		skep_jit_relations_step(rs->j, s, in);
	switch (skep_jit_kind(in)) {
	case SKEP_KIND_ALU:
		src = s->r[in->src];
		if (skep_insn_table[in->op].src != SKEP_F_READ)
			src = skep_jit_constant((uint64_t)in->imm);
		s->r[in->dst] = skep_jit_range_alu(in->op, &s->r[in->dst], &src);
		break;
	case SKEP_KIND_LDDW: s->r[in->dst] = skep_jit_constant((uint64_t)in->imm); break;
	case SKEP_KIND_LDX:
		s->r[in->dst] = skep_jit_any;
		if (skep_insn_table[in->op].width < 64)
			s->r[in->dst].hi = (1ull << skep_insn_table[in->op].width) - 1;
		break;
	case SKEP_KIND_LDSX:
	case SKEP_KIND_LOAD_ACQ: s->r[in->dst] = skep_jit_any; break;
	case SKEP_KIND_ST:
	case SKEP_KIND_STX:
	case SKEP_KIND_STORE_REL:
	case SKEP_KIND_COND:
	case SKEP_KIND_JA:
	case SKEP_KIND_MAY_GOTO: break;
	case SKEP_KIND_ATOMIC: s->r[in->src] = skep_jit_any; break;
	case SKEP_KIND_CMPXCHG: s->r[0] = skep_jit_any; break;
	case SKEP_KIND_CALL: call(rs->j, s, in); break;
	default:
		for (r = 0; r < 6; r++)
			s->r[r] = skep_jit_any;
	}
}

static void add_limit(struct ranges *rs, uint64_t v)
{
	unsigned int i;

	if (rs->nr_limits == THRESHOLDS || (v != UINT64_MAX && next_limit(rs, v) == v))
		return;
	for (i = rs->nr_limits; i > 0 && rs->limit[i - 1] > v; i--)
		rs->limit[i] = rs->limit[i - 1];
	rs->limit[i] = v;
	rs->nr_limits++;
}

/* On the way where a register is not what it was compared with, its counter is not, either. */
static void unequal(struct ranges *rs, struct skep_jit_state *s, const struct skep_vm_insn *in,
		    uint64_t k)
{
	uint64_t times;

	if (skep_insn_table[in->op].width == 32) {
		if (s->r[in->dst].hi > UINT32_MAX)
			return;
		k = (uint32_t)k;
	}
	if (!skep_jit_relations_unequal(s, in->dst, k, &times))
		return;
	add_limit(rs, times - 1);
	add_limit(rs, times);
}

/* What is known on both ways that @in may lead. */
static void compare(struct ranges *rs, struct skep_jit_state *taken, struct skep_jit_state *s,
		    const struct skep_vm_insn *in)
{
	struct skep_jit_range with = s->r[in->src];
	uint8_t how = skep_insn_table[in->op].code & 0xf0;

	if (skep_insn_table[in->op].src != SKEP_F_READ)
		with = skep_jit_constant((uint64_t)in->imm);
	skep_jit_range_cond(in->op, &taken->r[in->dst], &with, true);
	skep_jit_range_cond(in->op, &s->r[in->dst], &with, false);
	if (!rs->counters)
		return;
	skep_jit_relations_use(taken, in->dst);
	skep_jit_relations_use(s, in->dst);
	if (with.kind == SKEP_JIT_NUMBER && with.lo == with.hi &&
	    (how == BPF_JNE || how == BPF_JEQ))
		unequal(rs, how == BPF_JNE ? taken : s, in, with.lo);
}

/* Goes from @s to @slot, which @back says may be a loop's next time around. */
static void go(struct ranges *rs, struct skep_jit_state *s, uint32_t slot, bool back)
{
	if (rs->counters && (back || rs->j->leader[slot] & 2))
		skep_jit_relations_around(s, back);
	flow(rs, s, slot);
}

/* Where @in can go besides the next instruction, and what is known there and here. */
static void branch(struct ranges *rs, struct skep_jit_state *s, uint32_t i)
{
	const struct skep_vm_insn *in = &rs->j->ir[i];
	uint8_t kind = skep_jit_kind(in);
	struct skep_jit_state taken;

	if (kind != SKEP_KIND_COND && kind != SKEP_KIND_JA && kind != SKEP_KIND_MAY_GOTO)
		return;
	taken = *s;
	if (kind == SKEP_KIND_COND)
		compare(rs, &taken, s, in);
	go(rs, &taken, (uint32_t)((int64_t)i + in->off), in->off <= 0);
	if (kind == SKEP_KIND_JA)
		s->reached = false;
}

/* The register with the address of an access, and whether that writes.  -1: no access. */
static int base_of(const struct skep_vm_insn *in, bool *write)
{
	uint8_t kind = skep_jit_kind(in);

	*write = !skep_jit_is_load(kind) && kind != SKEP_KIND_LOAD_ACQ;
	if (!*write)
		return in->src;
	if (skep_jit_is_store(kind) || kind == SKEP_KIND_STORE_REL || kind == SKEP_KIND_ATOMIC ||
	    kind == SKEP_KIND_CMPXCHG)
		return in->dst;
	return -1;
}

static bool proof_of(const struct skep_jit *j, const struct skep_jit_state *s, uint32_t i)
{
	const struct skep_vm_insn *in = &j->ir[i];
	const struct skep_map *map;
	bool write;
	int base;

	if (skep_jit_kind(in) == SKEP_KIND_CALL) {
		map = skep_jit_looked_up(j, in, &s->r[1]);
		return map && skep_jit_range_fits(j, &s->r[2], 0, map->key_size, false);
	}
	base = base_of(in, &write);
	return base >= 0 && skep_jit_range_fits(j, &s->r[base], in->off,
						skep_insn_table[in->op].width / 8, write);
}

static void conclude(struct skep_jit *j, const struct skep_jit_state *s, uint32_t i)
{
	bool write;
	int base = base_of(&j->ir[i], &write);

	j->proof[i] = proof_of(j, s, i);
	if (base >= 0)
		j->likely[i] |= s->likely[base];
}

/* Once through the program.  @prove: the states hold, say what follows. */
static void sweep(struct ranges *rs, bool prove)
{
	struct skep_jit *j = rs->j;
	struct skep_jit_state s = {0};
	uint32_t i;

	for (i = 0; i < j->prog->nr; i = skep_jit_next(j, i)) {
		if (j->leader[i]) {
			struct skep_jit_state *at = &rs->at[rs->number[i]];

			if (s.reached)
				go(rs, &s, i, false);
			at->visits += at->visits < UINT16_MAX;
			s = *at;
		}
		if (!s.reached)
			continue;
		if (prove)
			conclude(j, &s, i);
		step(rs, &s, i);
		branch(rs, &s, i);
		if (j->ir[i].op == SKEP_OP_EXIT)
			s.reached = false;
	}
}

/* Numbers leaders, starts functions, collects what the program compares with. */
static uint32_t prepare(struct ranges *rs, bool count)
{
	const struct skep_jit *j = rs->j;
	uint32_t i, n = 0;

	for (i = 0; i < j->prog->nr; i = skep_jit_next(j, i)) {
		const struct skep_vm_insn *in = &j->ir[i];

		if (j->leader[i]) {
			rs->number[i] = n++;
			if (!count && (i == 0 || j->prog->is_func[i]))
				enter_function(&rs->at[n - 1], i == 0);
		}
		if (count && skep_jit_kind(in) == SKEP_KIND_COND && in->imm > 0 &&
		    skep_insn_table[in->op].src != SKEP_F_READ) {
			add_limit(rs, (uint64_t)in->imm - 1);
			add_limit(rs, (uint64_t)in->imm);
			rs->counters |= (uint16_t)(1u << in->dst);
		}
	}
	if (count)
		add_limit(rs, UINT32_MAX);
	rs->counters = j->loops ? rs->counters | 1 << SKEP_JIT_TIMES : 0;
	return n;
}

int skep_jit_ranges(struct skep_jit *j)
{
	struct ranges rs = {.j = j};
	unsigned int round = 0;

	if (j->prog->nr > MAX_SLOTS)
		return 0;
	rs.number = skep_jit_take(j, j->prog->nr, sizeof(*rs.number));
	if (rs.number)
		rs.at = skep_jit_take(j, prepare(&rs, true) + 1, sizeof(*rs.at));
	if (!rs.at)
		return -1;
	prepare(&rs, false);
	do {
		rs.changed = false;
		sweep(&rs, false);
	} while (rs.changed && ++round < ROUNDS);
	if (rs.changed)
		return 0;
	sweep(&rs, true);
	return j->counted && j->loops && (j->passes & SKEP_JIT_PASS_BOUND)
		       ? skep_jit_bounds(j, rs.at, rs.number)
		       : 0;
}
