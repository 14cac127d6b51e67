/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checked mode: loops that end soon.  Their jumps back charge the budget as all
 * do, but leave it to what follows to look whether it is used up.
 *
 * Every cycle lies between the lowest target and the highest slot of jumps
 * back that overlap: a region.  A region ends soon if one register of known
 * range only grows there, or only shrinks, and does so on every way around;
 * or if there is no way around but by jumps that do look.  However many regions
 * follow each other, a run goes over its budget by a sixteenth, and over its
 * slice by half of one, at most.  A may_goto that jumps back always looks.
 */
#include <string.h>

#include "jit/opt.h"
#include "jit/range.h"

#define SOON	(SKEP_VM_SLICE / 2)
#define STEP	(1 << 16) /* what one instruction may add: so that nothing wraps in a region */
#define SLOTS	512 /* of a region */
#define REGIONS 64
#define JUMPS	16 /* of a region, that do not look */

struct region {
	uint32_t start, end; /* slots, both included */
	uint64_t cost; /* what is charged, until something looks */
	uint32_t jumps[JUMPS], nr;
};

struct bounds {
	struct skep_jit *j;
	const struct skep_jit_state *at;
	const uint32_t *number;
	struct region regions[REGIONS];
	uint32_t nr;
	uint64_t cost, most; /* of all; what it may be */
	uint8_t seen[SLOTS];
	uint32_t stack[SLOTS];
};

/* A register that goes in one direction within a region. */
struct counter {
	int reg; /* -1: none */
	uint64_t lo, hi, step; /* at leaders; the least step */
};

/* What @in adds to @reg, if that is all it does to it and not much; 0: something else. */
static int64_t steps(const struct skep_vm_insn *in, int reg)
{
	bool add = in->op == SKEP_OP_ADD64_K || in->op == SKEP_OP_ADD32_K;
	bool sub = in->op == SKEP_OP_SUB64_K || in->op == SKEP_OP_SUB32_K;

	if ((!add && !sub) || in->dst != reg || in->imm < -STEP || in->imm > STEP)
		return 0;
	return add ? in->imm : -in->imm;
}

/* True if skep_jit_effect() says all that @in writes, and it goes nowhere but where it jumps. */
static bool is_plain(const struct skep_vm_insn *in)
{
	switch (skep_jit_kind(in)) {
	case SKEP_KIND_ALU:
	case SKEP_KIND_LDX:
	case SKEP_KIND_LDSX:
	case SKEP_KIND_ST:
	case SKEP_KIND_STX:
	case SKEP_KIND_LDDW:
	case SKEP_KIND_COND:
	case SKEP_KIND_JA:
	case SKEP_KIND_EXIT:
	case SKEP_KIND_ATOMIC: return true;
	default: return in->op == SKEP_OP_CALL;
	}
}

/* The range of c->reg where control enters a block. */
static bool look_at_leader(const struct bounds *b, struct counter *c, uint32_t i)
{
	const struct skep_jit_state *s = &b->at[b->number[i]];
	const struct skep_jit_range *r = &s->r[c->reg];

	if (!s->reached)
		return true;
	if (r->kind != SKEP_JIT_NUMBER || r->hi > INT32_MAX)
		return false;
	c->lo = r->lo < c->lo ? r->lo : c->lo;
	c->hi = r->hi > c->hi ? r->hi : c->hi;
	return true;
}

/* True if c->reg only ever goes in one direction in @region; what is known of it. */
static bool counts(const struct bounds *b, const struct region *region, struct counter *c)
{
	const struct skep_jit *j = b->j;
	int64_t step, before = 0;
	uint32_t i;

	c->lo = c->step = UINT64_MAX;
	c->hi = 0;
	for (i = region->start; i <= region->end; i = skep_jit_next(j, i)) {
		if (j->leader[i] && !look_at_leader(b, c, i))
			return false;
		if (j->ir[i].op == SKEP_OP_EXIT ||
		    !(skep_jit_effect(j, &j->ir[i]).def & 1 << c->reg))
			continue;
		step = steps(&j->ir[i], c->reg);
		if (!step || (step < 0) != (before < 0 || (!before && step < 0)))
			return false;
		before = step;
		if ((uint64_t)(step < 0 ? -step : step) < c->step)
			c->step = (uint64_t)(step < 0 ? -step : step);
	}
	return before && c->lo <= c->hi;
}

static bool is_member(const struct region *region, uint32_t slot)
{
	uint32_t i;

	for (i = 0; i < region->nr; i++)
		if (region->jumps[i] == slot)
			return true;
	return false;
}

static void go(struct bounds *b, const struct region *region, int64_t slot, uint32_t *n)
{
	if (slot < region->start || slot > region->end || b->seen[slot - region->start])
		return;
	b->seen[slot - region->start] = 1;
	b->stack[(*n)++] = (uint32_t)slot;
}

/* True if the jump back at @from comes to itself again without a step of the counter or a look. */
static bool cycles(struct bounds *b, const struct region *region, int reg, uint32_t from)
{
	const struct skep_jit *j = b->j;
	uint32_t n = 0;

	memset(b->seen, 0, sizeof(b->seen));
	go(b, region, (int64_t)from + j->ir[from].off, &n);
	while (n) {
		uint32_t i = b->stack[--n];
		const struct skep_vm_insn *in = &j->ir[i];
		uint8_t kind = skep_jit_kind(in);

		if (i == from)
			return true;
		if (reg >= 0 && steps(in, reg))
			continue;
		if ((kind == SKEP_KIND_COND || kind == SKEP_KIND_JA) &&
		    (in->off > 0 || is_member(region, i)))
			go(b, region, (int64_t)i + in->off, &n);
		if (kind != SKEP_KIND_JA && kind != SKEP_KIND_EXIT)
			go(b, region, skep_jit_next(j, i), &n);
	}
	return false;
}

static bool ends_by(struct bounds *b, struct region *region, struct counter *c)
{
	uint32_t i;

	if (c->reg >= 0 && !counts(b, region, c))
		return false;
	/* Until a step each may charge once, taken or not; they cover the region together. */
	region->cost = 0;
	for (i = 0; i < region->nr; i++) {
		if (cycles(b, region, c->reg, region->jumps[i]))
			return false;
		region->cost += (uint64_t)(1 - b->j->ir[region->jumps[i]].off);
	}
	if (c->reg >= 0)
		region->cost *= (c->hi - c->lo) / c->step + 2;
	return true;
}

static bool ends_soon(struct bounds *b, struct region *region)
{
	struct counter c = {.reg = -1};
	uint32_t i;

	if (region->end - region->start >= SLOTS)
		return false;
	for (i = region->start; i <= region->end; i = skep_jit_next(b->j, i))
		if (!is_plain(&b->j->ir[i]) || (i > region->start && b->j->prog->is_func[i]))
			return false;
	for (; c.reg < 10; c.reg++)
		if (ends_by(b, region, &c))
			return true;
	return false;
}

/* Takes the jump back at @i, and the region that it makes with those that it overlaps. */
static void take(struct bounds *b, uint32_t i)
{
	struct region with = {.start = (uint32_t)((int64_t)i + b->j->ir[i].off), .end = i};
	uint64_t cost = b->cost;
	uint32_t k, keep = b->nr;

	with.jumps[with.nr++] = i;
	/* They come in the order of their ends. */
	while (keep && b->regions[keep - 1].end >= with.start) {
		const struct region *old = &b->regions[--keep];

		with.start = old->start < with.start ? old->start : with.start;
		cost -= old->cost;
		for (k = 0; k < old->nr && with.nr < JUMPS; k++)
			with.jumps[with.nr++] = old->jumps[k];
		if (k < old->nr)
			return;
	}
	if (keep == REGIONS || !ends_soon(b, &with) || cost + with.cost > b->most)
		return;
	b->cost = cost + with.cost;
	b->regions[keep] = with;
	b->nr = keep + 1;
}

int skep_jit_bounds(struct skep_jit *j, const struct skep_jit_state *at, const uint32_t *number)
{
	struct bounds *b = skep_jit_take(j, 1, sizeof(*b));
	uint32_t i, k;

	if (!b)
		return -1;
	b->j = j;
	b->at = at;
	b->number = number;
	b->most = ((uint64_t)j->prog->first + j->prog->rest) / 16;
	b->most = b->most < SOON ? b->most : SOON;
	for (i = 0; i < j->prog->nr; i = skep_jit_next(j, i)) {
		uint8_t kind = skep_jit_kind(&j->ir[i]);

		if ((kind == SKEP_KIND_COND || kind == SKEP_KIND_JA) && j->ir[i].off <= 0)
			take(b, i);
	}
	for (i = 0; i < b->nr; i++)
		for (k = 0; k < b->regions[i].nr; k++)
			j->proof[b->regions[i].jumps[k]] = true;
	j->overdraws = b->nr != 0;
	return 0;
}
