/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relations of ranges (range.c): r = mul * counter + offset, for the numbers that
 * loops carry along with their counter.  When a loop comes around for the first
 * time both are known exactly, so that the factor is the quotient of what was
 * added to them; after that a relation only holds or is given up.  What bounds
 * the counter then bounds the other.  Where no register of the program counts so,
 * there is SKEP_JIT_TIMES.
 *
 * All of it is arithmetic modulo 2^64, as the program's own.
 */
#include "jit/emit.h"
#include "jit/opt.h"
#include "jit/range.h"

#define PATIENCE 16 /* visits, until no relation comes or grows any more */

static bool is_single(const struct skep_jit_range *r)
{
	return r->kind == SKEP_JIT_NUMBER && r->lo == r->hi;
}

static bool are_numbers(const struct skep_jit_range *a, const struct skep_jit_range *b)
{
	return a->kind == SKEP_JIT_NUMBER && b->kind == SKEP_JIT_NUMBER;
}

/* The relation of @reg to the counter @with in @s that has the factor @mul.  False: none. */
static bool holds(const struct skep_jit_state *s, unsigned int reg, unsigned int with, uint64_t mul,
		  struct skep_jit_relation *rel)
{
	const struct skep_jit_relation *has = &s->rel[reg];

	if (has->with == with + 1 && has->mul == mul) {
		*rel = *has;
		return true;
	}
	if (!is_single(&s->r[with]))
		return false;
	*rel = (struct skep_jit_relation){
		.with = (uint8_t)(with + 1),
		.mul = mul,
		.lo = s->r[reg].lo - mul * s->r[with].lo,
		.span = s->r[reg].hi - s->r[reg].lo,
	};
	return true;
}

/* What is known at @from; or a counter that went from one number to another while @reg did so. */
static bool infer(struct skep_jit_state *to, const struct skep_jit_state *from, unsigned int reg,
		  uint16_t counters)
{
	const struct skep_jit_range *a = &to->r[reg], *b = &from->r[reg];
	int64_t by = (int64_t)(b->lo - a->lo), step;
	unsigned int w = from->rel[reg].with;

	if (!are_numbers(a, b))
		return false;
	if (w && holds(to, reg, w - 1, from->rel[reg].mul, &to->rel[reg]))
		return true;
	if (!by || a->hi - a->lo != b->hi - b->lo)
		return false;
	for (w = 0; w <= SKEP_JIT_TIMES; w++) {
		if (w == reg || !(counters & 1 << w) || !is_single(&to->r[w]) ||
		    !is_single(&from->r[w]))
			continue;
		step = (int64_t)(from->r[w].lo - to->r[w].lo);
		if (step && step != -1 && by % step == 0)
			return holds(to, reg, w, (uint64_t)(by / step), &to->rel[reg]);
		if (step == -1)
			return holds(to, reg, w, -(uint64_t)by, &to->rel[reg]);
	}
	return false;
}

/*
 * @rel grows to the hull of its offset and that of @with, which begins with the
 * one that is less far behind.  False: it need not.
 */
static bool grow(struct skep_jit_relation *rel, const struct skep_jit_relation *with, bool may)
{
	uint64_t ahead = with->lo - rel->lo;

	if (ahead <= rel->span && with->span <= rel->span - ahead)
		return false;
	if (!may || (int64_t)with->span < 0 || (int64_t)rel->span < 0 ||
	    ahead + INT32_MAX > 2ull * INT32_MAX) {
		rel->with = 0;
	} else if ((int64_t)ahead >= 0) {
		rel->span = ahead + with->span > rel->span ? ahead + with->span : rel->span;
	} else {
		rel->lo = with->lo;
		rel->span -= ahead;
		rel->span = with->span > rel->span ? with->span : rel->span;
	}
	return true;
}

bool skep_jit_relations_join(struct skep_jit_state *to, const struct skep_jit_state *from,
			     uint16_t counters)
{
	bool changed = false, may = to->visits <= PATIENCE;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		struct skep_jit_relation *rel = &to->rel[i], with;

		if (!rel->with) {
			if (!may || !infer(to, from, i, counters))
				continue;
			changed = true;
		}
		if (!are_numbers(&to->r[i], &from->r[i]) ||
		    !holds(from, i, rel->with - 1u, rel->mul, &with)) {
			rel->with = 0;
			changed = true;
		} else {
			changed |= grow(rel, &with, may);
		}
	}
	return changed;
}

static void forget(struct skep_jit_state *s, unsigned int reg)
{
	unsigned int i;

	for (i = 0; i < 10; i++)
		if (i == reg || s->rel[i].with == reg + 1)
			s->rel[i].with = 0;
}

static void add(struct skep_jit_state *s, unsigned int reg, uint64_t by)
{
	unsigned int i;

	for (i = 0; i < 10; i++) {
		if (i == reg)
			s->rel[i].lo += by;
		if (s->rel[i].with == reg + 1)
			s->rel[i].lo -= s->rel[i].mul * by;
	}
}

/* True if adding @by to @r, whose upper half is 0, is the same with 32 bits as with 64. */
static bool is_small(const struct skep_jit_range *r, int64_t by)
{
	return r->kind == SKEP_JIT_NUMBER && r->hi <= INT32_MAX &&
	       (by >= 0 || r->lo >= (uint64_t)-by);
}

void skep_jit_relations_step(const struct skep_jit *j, struct skep_jit_state *s,
			     const struct skep_vm_insn *in)
{
	struct skep_jit_relation rel;
	int64_t by = in->imm;
	uint16_t def;

	switch (in->op) {
	case SKEP_OP_SUB64_K:
	case SKEP_OP_SUB32_K: by = -by; /* fall through */
	case SKEP_OP_ADD64_K:
	case SKEP_OP_ADD32_K:
		if (skep_insn_table[in->op].width == 64 || is_small(&s->r[in->dst], by))
			add(s, in->dst, (uint64_t)by);
		else
			forget(s, in->dst);
		return;
	case SKEP_OP_MOV64_X:
		rel = in->src < 10 ? s->rel[in->src] : (struct skep_jit_relation){0};
		if (in->src == in->dst)
			return;
		forget(s, in->dst);
		if (rel.with != in->dst + 1)
			s->rel[in->dst] = rel;
		return;
	default: break;
	}
	/* What skep_jit_effect() does not say of calls, range.c does: r0 to r5. */
	def = skep_jit_traits[in->op] & SKEP_JIT_OTHER ? 0x3f : 0;
	for (def |= skep_jit_effect(j, in).def & 0x3ff; def; def &= (uint16_t)(def - 1))
		forget(s, (unsigned int)__builtin_ctz(def));
}

void skep_jit_relations_use(struct skep_jit_state *s, int with)
{
	unsigned int i;

	for (i = 0; i < 10; i++) {
		const struct skep_jit_relation *rel = &s->rel[i];
		const struct skep_jit_range *w = &s->r[rel->with ? rel->with - 1 : 0];
		uint64_t mul = (int64_t)rel->mul < 0 ? -rel->mul : rel->mul, lo, span;
		struct skep_jit_range *r = &s->r[i];

		if (!rel->with || (with >= 0 && rel->with != with + 1) ||
		    w->kind != SKEP_JIT_NUMBER)
			continue;
		lo = rel->lo + rel->mul * ((int64_t)rel->mul < 0 ? w->hi : w->lo);
		if (__builtin_mul_overflow(mul, w->hi - w->lo, &span) ||
		    __builtin_add_overflow(span, rel->span, &span) || lo + span < lo)
			continue;
		if (lo > r->hi || lo + span < r->lo) /* a path that is never taken */
			continue;
		r->lo = lo > r->lo ? lo : r->lo;
		r->hi = lo + span < r->hi ? lo + span : r->hi;
		skep_jit_range_trim(r);
	}
}

void skep_jit_relations_around(struct skep_jit_state *s, bool back)
{
	struct skep_jit_range *times = &s->r[SKEP_JIT_TIMES], one = skep_jit_constant(1);

	if (back) {
		add(s, SKEP_JIT_TIMES, 1);
		*times = skep_jit_range_alu(SKEP_OP_ADD64_K, times, &one);
	} else {
		forget(s, SKEP_JIT_TIMES);
		*times = skep_jit_constant(0);
	}
}

bool skep_jit_relations_unequal(struct skep_jit_state *s, unsigned int reg, uint64_t k,
				uint64_t *times)
{
	const struct skep_jit_relation *rel = &s->rel[reg < 10 ? reg : 0];
	int64_t mul = (int64_t)rel->mul, far = (int64_t)(k - rel->lo);
	struct skep_jit_range with;

	if (reg > 9 || !rel->with || rel->span || mul == 0 || mul == -1 || far % mul)
		return false;
	*times = (uint64_t)(far / mul);
	with = skep_jit_constant(*times);
	skep_jit_range_cond(SKEP_OP_JNE64_K, &s->r[rel->with - 1], &with, true);
	skep_jit_relations_use(s, rel->with - 1);
	return true;
}
