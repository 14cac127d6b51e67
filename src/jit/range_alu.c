/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arithmetic and comparisons of ranges (range.c): for each operation, bounds
 * that hold for every value of the operands, or the whole range.  RFC 9669
 * sections 4.1 and 4.3 say what the operations do.
 */
#include <string.h>

#include "jit/emit.h"
#include "jit/range.h"

struct skep_jit_range skep_jit_constant(uint64_t v)
{
	return (struct skep_jit_range){.kind = SKEP_JIT_NUMBER,
				       .zeroes = v ? (uint8_t)__builtin_ctzll(v) : 63,
				       .lo = v,
				       .hi = v};
}

static struct skep_jit_range number(uint64_t lo, uint64_t hi, uint8_t zeroes)
{
	struct skep_jit_range r = {.lo = lo, .hi = hi, .zeroes = zeroes > 63 ? 63 : zeroes};

	skep_jit_range_trim(&r);
	return r;
}

void skep_jit_range_trim(struct skep_jit_range *r)
{
	uint64_t mask = (1ull << r->zeroes) - 1, lo = (r->lo + mask) & ~mask, hi = r->hi & ~mask;

	/* None left: on a path that is never taken; anything holds there. */
	if (lo < r->lo || lo > hi)
		return;
	r->lo = lo;
	r->hi = hi;
}

static uint8_t fewer(uint8_t a, uint8_t b)
{
	return a < b ? a : b;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* All bits set up to the highest of @v. */
static uint64_t filled(uint64_t v)
{
	return v ? UINT64_MAX >> __builtin_clzll(v) : 0;
}

/* a + b or a - b, modulo 2^64: a range as long as it does not go around. */
static struct skep_jit_range sum(const struct skep_jit_range *a, const struct skep_jit_range *b,
				 bool minus)
{
	uint64_t width, lo = minus ? a->lo - b->hi : a->lo + b->lo;
	struct skep_jit_range r = *a;

	if (a->kind != SKEP_JIT_NUMBER && b->kind != SKEP_JIT_NUMBER)
		return skep_jit_any;
	if (b->kind != SKEP_JIT_NUMBER) {
		if (minus)
			return skep_jit_any;
		r = *b;
	}
	if (__builtin_add_overflow(a->hi - a->lo, b->hi - b->lo, &width) || lo + width < lo)
		return skep_jit_any;
	r.lo = lo;
	r.hi = lo + width;
	r.zeroes = fewer(a->zeroes, b->zeroes);
	skep_jit_range_trim(&r);
	return r;
}

static struct skep_jit_range product(const struct skep_jit_range *a, const struct skep_jit_range *b)
{
	uint64_t hi;

	if (__builtin_mul_overflow(a->hi, b->hi, &hi))
		return number(0, UINT64_MAX, (uint8_t)(a->zeroes + b->zeroes));
	return number(a->lo * b->lo, hi, (uint8_t)(a->zeroes + b->zeroes));
}

static struct skep_jit_range shifted(uint8_t op, const struct skep_jit_range *a,
				     const struct skep_jit_range *by, unsigned int width)
{
	unsigned int n = (unsigned int)by->lo & (width - 1);
	uint64_t top = width == 64 ? INT64_MAX : INT32_MAX;

	if (by->kind != SKEP_JIT_NUMBER || by->lo != by->hi)
		return op == BPF_RSH ? number(0, a->hi, 0) : skep_jit_any;
	if (op == BPF_LSH && a->hi << n >> n != a->hi)
		return number(0, UINT64_MAX, (uint8_t)(a->zeroes + n));
	if (op == BPF_LSH)
		return number(a->lo << n, a->hi << n, (uint8_t)(a->zeroes + n));
	if (op == BPF_ARSH && a->hi > top)
		return skep_jit_any;
	return number(a->lo >> n, a->hi >> n, a->zeroes > n ? (uint8_t)(a->zeroes - n) : 0);
}

static struct skep_jit_range divided(bool mod, const struct skep_jit_range *a,
				     const struct skep_jit_range *b)
{
	/* By zero: 0, or what it was. */
	if (!mod)
		return number(b->hi && b->lo ? a->lo / b->hi : 0, b->lo ? a->hi / b->lo : a->hi, 0);
	return number(0, b->lo ? least(a->hi, b->hi - 1) : a->hi, 0);
}

static struct skep_jit_range bits(uint8_t op, const struct skep_jit_range *a,
				  const struct skep_jit_range *b)
{
	uint8_t zeroes = fewer(a->zeroes, b->zeroes);

	if (op == BPF_AND)
		return number(0, least(a->hi, b->hi), (uint8_t)most(a->zeroes, b->zeroes));
	return number(op == BPF_OR ? most(a->lo, b->lo) : 0, filled(a->hi | b->hi), zeroes);
}

/* A 32-bit operation sees the lower half. */
static struct skep_jit_range low_half(const struct skep_jit_range *r)
{
	if (r->kind == SKEP_JIT_NUMBER && r->hi <= UINT32_MAX)
		return *r;
	/* A constant that was sign-extended is one. */
	if (r->kind == SKEP_JIT_NUMBER && r->lo == r->hi)
		return skep_jit_constant((uint32_t)r->lo);
	return number(0, UINT32_MAX, r->kind == SKEP_JIT_NUMBER ? least(r->zeroes, 31) : 0);
}

static struct skep_jit_range compute(uint8_t op, bool is_signed, unsigned int width,
				     const struct skep_jit_range *a, const struct skep_jit_range *b)
{
	if (op == BPF_ADD || op == BPF_SUB)
		return sum(a, b, op == BPF_SUB);
	/* Of an address only bits are known that a constant leaves. */
	if (a->kind != SKEP_JIT_NUMBER || b->kind != SKEP_JIT_NUMBER) {
		if (op == BPF_AND && b->kind == SKEP_JIT_NUMBER)
			return number(0, b->hi, b->zeroes);
		return skep_jit_any;
	}
	switch (op) {
	case BPF_MUL: return product(a, b);
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH: return shifted(op, a, b, width);
	case BPF_DIV:
	case BPF_MOD: return is_signed ? skep_jit_any : divided(op == BPF_MOD, a, b);
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR: return bits(op, a, b);
	default: return skep_jit_any;
	}
}

struct skep_jit_range skep_jit_range_alu(uint16_t op, const struct skep_jit_range *dst,
					 const struct skep_jit_range *src)
{
	const struct skep_insn_info *row = &skep_insn_table[op];
	bool w = BPF_CLASS(row->code) == BPF_ALU64;
	struct skep_jit_range a, b, r;

	switch (op) {
	case SKEP_OP_MOV64_K:
	case SKEP_OP_MOV64_X: return *src;
	case SKEP_OP_MOV32_K:
	case SKEP_OP_MOV32_X: return low_half(src);
	default: break;
	}
	if (row->src != SKEP_F_READ && row->imm != SKEP_F_ANY)
		return skep_jit_any; /* negation, byte orders */
	if ((row->code & 0xf0) == BPF_MOV)
		return skep_jit_any; /* sign extension */
	if (w)
		return compute(row->code & 0xf0, row->off == 1, 64, dst, src);
	a = low_half(dst);
	b = low_half(src);
	r = compute(row->code & 0xf0, row->off == 1, 32, &a, &b);
	/* Added, a constant that was negative is subtracted. */
	if (r.hi > UINT32_MAX && (row->code & 0xf0) == BPF_ADD && b.lo == b.hi &&
	    a.lo + b.lo > UINT32_MAX)
		return number(r.lo - UINT32_MAX - 1, r.hi - UINT32_MAX - 1, fewer(r.zeroes, 31));
	return low_half(&r);
}

/* unsigned: dst < src and its like. */
static void less(struct skep_jit_range *dst, const struct skep_jit_range *src, bool or_equal)
{
	uint64_t hi = src->hi - !or_equal;

	if (!(src->hi == 0 && !or_equal) && hi < dst->hi && hi >= dst->lo)
		dst->hi = hi;
}

static void greater(struct skep_jit_range *dst, const struct skep_jit_range *src, bool or_equal)
{
	uint64_t lo = src->lo + !or_equal;

	if (!(src->lo == UINT64_MAX && !or_equal) && lo > dst->lo && lo <= dst->hi)
		dst->lo = lo;
}

static void equal(struct skep_jit_range *dst, const struct skep_jit_range *src, bool held)
{
	if (held) {
		less(dst, src, true);
		greater(dst, src, true);
	} else if (src->lo == src->hi && dst->lo < dst->hi) {
		if (dst->lo == src->lo)
			dst->lo++;
		else if (dst->hi == src->lo)
			dst->hi--;
	}
}

/* A look-up's result compared with 0. */
static void found(struct skep_jit_range *dst, bool there)
{
	if (there)
		dst->null = false;
	else
		*dst = skep_jit_constant(0);
}

void skep_jit_range_cond(uint16_t op, struct skep_jit_range *dst, const struct skep_jit_range *src,
			 bool held)
{
	const struct skep_insn_info *row = &skep_insn_table[op];
	uint8_t how = row->code & 0xf0;
	uint64_t top = row->width == 64 ? INT64_MAX : INT32_MAX;
	bool zero = src->kind == SKEP_JIT_NUMBER && src->lo == 0 && src->hi == 0;
	struct skep_jit_range with = *src;

	if (dst->kind == SKEP_JIT_IN_VALUE && dst->null && dst->lo == 0 && dst->hi == 0 && zero &&
	    row->width == 64 && (how == BPF_JEQ || how == BPF_JNE))
		found(dst, (how == BPF_JEQ) != held);
	if (row->width == 32)
		with = low_half(src);
	if (dst->kind != SKEP_JIT_NUMBER || with.kind != SKEP_JIT_NUMBER ||
	    (row->width == 32 && dst->hi > UINT32_MAX))
		return;
	if ((how == BPF_JSGT || how == BPF_JSGE || how == BPF_JSLT || how == BPF_JSLE) &&
	    (dst->hi > top || with.hi > top))
		return;
	switch (how) {
	case BPF_JEQ: equal(dst, &with, held); break;
	case BPF_JNE: equal(dst, &with, !held); break;
	case BPF_JGT:
	case BPF_JSGT: (held ? greater : less)(dst, &with, !held); break;
	case BPF_JGE:
	case BPF_JSGE: (held ? greater : less)(dst, &with, held); break;
	case BPF_JLT:
	case BPF_JSLT: (held ? less : greater)(dst, &with, !held); break;
	case BPF_JLE:
	case BPF_JSLE: (held ? less : greater)(dst, &with, held); break;
	default: break;
	}
	skep_jit_range_trim(dst);
}

static bool in_some_map(const struct skep_vm_prog *prog, uint64_t start, uint64_t end, bool write)
{
	uint32_t i;

	for (i = 0; i < prog->nr_maps; i++) {
		const struct skep_map *map = prog->maps[i];

		if (map->flags & (write ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG))
			continue;
		if (start < end && skep_map_bound(map, start) >= end)
			return true;
	}
	return false;
}

bool skep_jit_range_fits(const struct skep_jit *j, const struct skep_jit_range *r, int64_t off,
			 uint64_t len, bool write)
{
	/* r->hi - r->lo does not overflow: nor does what is added unless it is huge. */
	uint64_t start = r->lo + (uint64_t)off, span = r->hi - r->lo;
	uint64_t size = r->kind == SKEP_JIT_IN_FRAME ? SKEP_VM_STACK
			: r->map		     ? r->map->value_size
						     : 0;

	if (span > UINT32_MAX || start > UINT64_MAX - span - len)
		return false;
	switch ((enum skep_jit_place)r->kind) {
	case SKEP_JIT_NUMBER:
		return start >= 4096 && in_some_map(j->prog, start, start + span + len, write);
	case SKEP_JIT_IN_VALUE:
		if (r->null || r->map->flags & (write ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG))
			return false;
		return start + span + len <= size;
	case SKEP_JIT_IN_FRAME: return start + span + len <= size;
	}
	return false;
}

const struct skep_map *skep_jit_looked_up(const struct skep_jit *j, const struct skep_vm_insn *in,
					  const struct skep_jit_range *r1)
{
	uint32_t i;

	if (in->op != SKEP_OP_CALL || in->helper != skep_helper_find(BPF_FUNC_map_lookup_elem) ||
	    r1->kind != SKEP_JIT_NUMBER || r1->lo != r1->hi)
		return NULL;
	for (i = 0; i < j->prog->nr_maps; i++) {
		const struct skep_map *map = j->prog->maps[i];

		if ((uintptr_t)map == r1->lo && map->ops->lookup && map->ops->bound)
			return map;
	}
	return NULL;
}
