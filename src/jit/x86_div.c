/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64: division and remainder.  RFC 9669 gives every operand a result; the
 * processor traps for a divisor of 0 and for INT_MIN / -1: those go to the cold part.
 */
#if defined(__x86_64__)

#include "jit/jit.h"
#include "jit/opt.h"
#include "jit/x86_emit.h"

enum { DIV = 0, MOD = 1, SIGNED = 2 };

/* The dividend is in dst, the divisor (not 0, signed: not -1) in r11. */
static void divide(struct x86 *x, int dst, bool w, unsigned int how)
{
	struct skep_jit *j = x->j;

	x_mov(j, true, R10, RAX);
	skep_x86_keep_rdx(j);
	if (dst != RAX)
		x_mov(j, true, RAX, dst);
	if (how & SIGNED) {
		x_rex(j, w, 0, 0, 0, false);
		skep_jit_byte(j, 0x99); /* cqo or cdq */
	} else {
		x_rr(j, false, X_XOR, RDX, RDX);
	}
	x_group3(j, w, how & SIGNED ? 7 : 6, R11);
	x_mov(j, w, R11, how & MOD ? RDX : RAX);
	x_mov(j, true, RAX, R10);
	skep_x86_bring_rdx(j);
	x_mov(j, w, dst, R11);
}

static void div_by_zero(struct x86 *x, int dst, bool w, unsigned int how)
{
	if (!(how & MOD))
		x_const(x->j, dst, 0);
	else if (!w)
		x_mov(x->j, false, dst, dst);
}

static void div_by_minus_one(struct x86 *x, int dst, bool w, unsigned int how)
{
	if (how & MOD)
		x_const(x->j, dst, 0);
	else
		x_group3(x->j, w, 3, dst);
}

/*
 * Division by multiplication with 2^(width + shift) / by, rounded up: `mul` is
 * that number, cut to the width if `add`: then it has one bit more.  By T.
 * Granlund and P. L. Montgomery, Division by Invariant Integers using
 * Multiplication (PLDI 1994).
 */
struct reciprocal {
	uint64_t mul;
	unsigned int shift;
	bool add;
};

/* For @width 32 or 64, @by no power of 2. */
static struct reciprocal reciprocal(uint64_t by, unsigned int width)
{
	unsigned __int128 one = 1, limit = one << width, m;
	struct reciprocal r = {0};
	unsigned int log = 64 - (unsigned int)__builtin_clzll(by);

	for (r.shift = 0; r.shift < log; r.shift++) {
		m = (one << (width + r.shift)) / by + 1;
		/* Too large by how much: less than a result can show? */
		if (m < limit && m * by - (one << (width + r.shift)) <= one << r.shift) {
			r.mul = (uint64_t)m;
			return r;
		}
	}
	r.shift = log;
	r.add = true;
	/* 2^(width + log) / by + 1 - 2^width, without a number of more than 128 bits. */
	r.mul = (uint64_t)(limit * ((one << log) - by) / by + 1);
	return r;
}

/* dst = dst / by or dst % by; the quotient is in r11. */
static void finish_division(struct x86 *x, int dst, bool w, unsigned int how, uint64_t by)
{
	struct skep_jit *j = x->j;

	if (!(how & MOD)) {
		x_mov(j, w, dst, R11);
	} else if (by <= INT32_MAX) {
		x_rr(j, w, 0x69, R11, R11);
		skep_jit_u32(j, (uint32_t)by);
		x_rr(j, w, X_SUB, R11, dst);
	} else {
		x_const(j, R10, by);
		x_rr(j, w, 0x0faf, R11, R10);
		x_rr(j, w, X_SUB, R11, dst);
	}
}

/* Both factors have 32 bits, so that the product is in one register. */
static void reciprocal32(struct x86 *x, int dst, uint32_t by, unsigned int how)
{
	struct reciprocal r = reciprocal(by, 32);
	struct skep_jit *j = x->j;

	x_mov(j, false, R11, dst);
	x_const(j, R10, r.mul);
	x_rr(j, true, 0x0faf, R11, R10);
	if (r.add) {
		x_shift(j, true, 5, R11, 32);
		x_mov(j, false, R10, dst);
		x_rr(j, true, X_ADD, R10, R11);
		x_shift(j, true, 5, R11, r.shift);
	} else {
		x_shift(j, true, 5, R11, 32 + r.shift);
	}
	finish_division(x, dst, false, how, by);
}

static void reciprocal64(struct x86 *x, int dst, uint64_t by, unsigned int how)
{
	struct reciprocal r = reciprocal(by, 64);
	struct skep_jit *j = x->j;

	x_mov(j, true, R10, RAX);
	skep_x86_keep_rdx(j);
	x_const(j, R11, r.mul);
	if (dst != RAX)
		x_mov(j, true, RAX, dst);
	x_group3(j, true, 4, R11); /* rdx = the upper half of rax * r11 */
	x_mov(j, true, R11, RDX);
	x_mov(j, true, RAX, R10);
	skep_x86_bring_rdx(j);
	if (r.add) { /* (((n - q) >> 1) + q) >> shift - 1: the sum has one bit too many */
		x_mov(j, true, R10, dst);
		x_rr(j, true, X_SUB, R11, R10);
		x_shift(j, true, 5, R10, 1);
		x_rr(j, true, X_ADD, R10, R11);
		if (r.shift > 1)
			x_shift(j, true, 5, R11, r.shift - 1);
	} else if (r.shift) {
		x_shift(j, true, 5, R11, r.shift);
	}
	finish_division(x, dst, true, how, by);
}

static void div_k(struct x86 *x, int dst, bool w, unsigned int how, int64_t imm)
{
	uint64_t v = w ? (uint64_t)imm : (uint32_t)imm;
	bool power = v && (v & (v - 1)) == 0;
	unsigned int log = power ? (unsigned int)__builtin_ctzll(v) : 0;

	if (imm == 0) {
		div_by_zero(x, dst, w, how);
	} else if ((how & SIGNED) && imm == -1) {
		div_by_minus_one(x, dst, w, how);
	} else if (!(how & SIGNED) && power && !(how & MOD)) {
		if (log)
			x_shift(x->j, w, 5, dst, log);
		else if (!w)
			x_mov(x->j, false, dst, dst);
	} else if (!(how & SIGNED) && power && v - 1 <= INT32_MAX) {
		x_imm(x->j, false, X_AND, dst, (int32_t)(v - 1));
	} else if (!(how & SIGNED) && (x->j->passes & SKEP_JIT_PASS_DIVIDE)) {
		if (w)
			reciprocal64(x, dst, v, how);
		else
			reciprocal32(x, dst, (uint32_t)v, how);
	} else {
		x_const(x->j, R11, v);
		divide(x, dst, w, how);
	}
}

/* What the cold part has to know of a division. */
#define RARE(dst, w, how) ((uint32_t)(dst) | (uint32_t)(w) << 8 | (uint32_t)(how) << 16)

void skep_x86_rare_division(struct x86 *x, uint32_t what)
{
	struct skep_jit *j = x->j;
	int dst = (int)(what & 0xff);
	bool w = what >> 8 & 1;
	unsigned int how = what >> 16;
	uint32_t minus = skep_jit_label(j), end = skep_jit_label(j);

	if (how & SIGNED) {
		x_rr(j, w, X_TEST, R11, R11);
		x_jcc(j, CC_NE, minus);
	}
	div_by_zero(x, dst, w, how);
	if (how & SIGNED) {
		x_jmp(j, end);
		skep_jit_place(j, minus);
		div_by_minus_one(x, dst, w, how);
	}
	skep_jit_place(j, end);
}

static void div_x(struct x86 *x, int dst, int src, bool w, unsigned int how)
{
	struct skep_jit *j = x->j;
	uint32_t back, rare = skep_x86_cold(x, COLD_DIVISION, RARE(dst, w, how), false, &back);

	x_mov(j, w, R11, src);
	if (how & SIGNED) { /* 0 or -1: r11 + 1 is 0 or 1, unsigned */
		x_lea(j, R10, R11, 1);
		x_imm(j, w, X_CMP, R10, 1);
		x_jcc(j, CC_BE, rare);
	} else {
		x_rr(j, w, X_TEST, R11, R11);
		x_jcc(j, CC_E, rare);
	}
	divide(x, dst, w, how);
	skep_jit_place(j, back);
}

#define DIVISION(name, how) FORMS(name, div_k(x, DST, W, how, in->imm), div_x(x, DST, SRC, W, how))
DIVISION(DIV, DIV)
DIVISION(MOD, MOD)
DIVISION(SDIV, SIGNED | DIV)
DIVISION(SMOD, SIGNED | MOD)
#undef DIVISION

#endif
