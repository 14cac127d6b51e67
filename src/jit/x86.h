/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Encoding x86-64 instructions (Intel SDM volume 2, AMD APM volume 3): each
 * function writes one.  `w` selects 64-bit operands, else 32-bit ones, which
 * clear the upper half of their destination.
 */
#ifndef SKEP_JIT_X86_H
#define SKEP_JIT_X86_H

#include "jit/emit.h"

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Condition codes of jcc and setcc. */
enum { CC_B = 2, CC_AE, CC_E, CC_NE, CC_BE, CC_A, CC_S, CC_NS, CC_L = 12, CC_GE, CC_LE, CC_G };

/* Opcodes "op r/m, r" of the classic operations; their /digit is opcode >> 3. */
enum {
	X_ADD = 0x01,
	X_OR = 0x09,
	X_AND = 0x21,
	X_SUB = 0x29,
	X_XOR = 0x31,
	X_CMP = 0x39,
	X_TEST = 0x85,
	X_MOV = 0x89
};

static inline bool fits8(int64_t v)
{
	return v >= -128 && v <= 127;
}

/* An instruction's first bytes, collected to be written at once. */
struct x_bytes {
	uint64_t v;
	unsigned int n;
};

static inline void b_put(struct x_bytes *b, uint32_t v, unsigned int n)
{
	b->v |= (uint64_t)v << b->n * 8;
	b->n += n;
}

static inline void b_rex(struct x_bytes *b, bool w, int reg, int index, int rm, bool force)
{
	uint8_t rex = (uint8_t)(0x40 | w << 3 | (reg >> 3) << 2 | (index >> 3) << 1 | rm >> 3);

	if (rex != 0x40 || force)
		b_put(b, rex, 1);
}

/* Opcodes of more than one byte are written first byte highest: 0x0fb6. */
static inline void b_opcode(struct x_bytes *b, uint32_t op)
{
	if (op > 0xffff)
		b_put(b, op >> 16, 1);
	if (op > 0xff)
		b_put(b, op >> 8 & 0xff, 1);
	b_put(b, op & 0xff, 1);
}

static inline void x_rex(struct skep_jit *j, bool w, int reg, int index, int rm, bool force)
{
	struct x_bytes b = {0};

	b_rex(&b, w, reg, index, rm, force);
	skep_jit_bytes(j, b.v, b.n);
}

static inline void x_rr(struct skep_jit *j, bool w, uint32_t op, int reg, int rm)
{
	struct x_bytes b = {0};

	b_rex(&b, w, reg, 0, rm, false);
	b_opcode(&b, op);
	b_put(&b, 0xc0u | (reg & 7u) << 3 | (rm & 7u), 1);
	skep_jit_bytes(j, b.v, b.n);
}

/* The same with a byte register as rm: spl, bpl, sil and dil need a REX prefix. */
static inline void x_rr8(struct skep_jit *j, bool w, uint32_t op, int reg, int rm)
{
	struct x_bytes b = {0};

	b_rex(&b, w, reg, 0, rm, rm >= 4);
	b_opcode(&b, op);
	b_put(&b, 0xc0u | (reg & 7u) << 3 | (rm & 7u), 1);
	skep_jit_bytes(j, b.v, b.n);
}

static inline void x_address_behind(struct skep_jit *j, struct x_bytes *b, int reg, int base,
				    int32_t disp)
{
	uint8_t mod = disp == 0 && (base & 7) != RBP ? 0x00 : fits8(disp) ? 0x40 : 0x80;

	b_put(b, mod | (reg & 7u) << 3 | (base & 7u), 1);
	if ((base & 7) == RSP)
		b_put(b, 0x24, 1);
	if (mod == 0x40)
		b_put(b, (uint8_t)disp, 1);
	skep_jit_bytes(j, b->v, b->n);
	if (mod == 0x80)
		skep_jit_u32(j, (uint32_t)disp);
}

static inline void x_address(struct skep_jit *j, int reg, int base, int32_t disp)
{
	struct x_bytes b = {0};

	x_address_behind(j, &b, reg, base, disp);
}

/* op reg, [base + disp], either way round; prefix 0: none. */
static inline void x_mem(struct skep_jit *j, uint8_t prefix, bool w, uint32_t op, int reg, int base,
			 int32_t disp, bool byte_reg)
{
	struct x_bytes b = {0};

	if (prefix)
		b_put(&b, prefix, 1);
	b_rex(&b, w, reg, 0, base, byte_reg && reg >= 4);
	b_opcode(&b, op);
	x_address_behind(j, &b, reg, base, disp);
}

/* An address: base + (index << scale) + disp; base or index -1: none. */
struct x_addr {
	int base, index, scale;
	int32_t disp;
};

/* op reg, [a], either way round; prefix 0: none. */
static inline void x_mem_at(struct skep_jit *j, uint8_t prefix, bool w, uint32_t op, int reg,
			    const struct x_addr *a, bool byte_reg)
{
	int base = a->base < 0 ? RBP : a->base, index = a->index < 0 ? RSP : a->index;
	uint8_t mod = a->base < 0			     ? 0x00
		      : a->disp == 0 && (a->base & 7) != RBP ? 0x00
		      : fits8(a->disp)			     ? 0x40
							     : 0x80;
	struct x_bytes b = {0};

	if (a->index < 0 && a->base >= 0) {
		x_mem(j, prefix, w, op, reg, a->base, a->disp, byte_reg);
		return;
	}
	if (prefix)
		b_put(&b, prefix, 1);
	b_rex(&b, w, reg, index, base, byte_reg && reg >= 4);
	b_opcode(&b, op);
	b_put(&b, mod | (reg & 7u) << 3 | 4, 1);
	b_put(&b, (uint32_t)a->scale << 6 | (index & 7u) << 3 | (base & 7u), 1);
	if (mod == 0x40)
		b_put(&b, (uint8_t)a->disp, 1);
	skep_jit_bytes(j, b.v, b.n);
	if (mod == 0x80 || a->base < 0)
		skep_jit_u32(j, (uint32_t)a->disp);
}

static inline void x_load(struct skep_jit *j, bool w, int reg, int base, int32_t disp)
{
	x_mem(j, 0, w, 0x8b, reg, base, disp, false);
}

static inline void x_store(struct skep_jit *j, bool w, int base, int32_t disp, int reg)
{
	x_mem(j, 0, w, 0x89, reg, base, disp, false);
}

static inline void x_lea(struct skep_jit *j, int reg, int base, int32_t disp)
{
	x_mem(j, 0, true, 0x8d, reg, base, disp, false);
}

/* lea reg, [base + index << scale] */
static inline void x_lea_index(struct skep_jit *j, bool w, int reg, int base, int index, int scale)
{
	bool need = (base & 7) == RBP;
	struct x_bytes b = {0};

	b_rex(&b, w, reg, index, base, false);
	b_put(&b, 0x8d, 1);
	b_put(&b, (need ? 0x44u : 0x04u) | (reg & 7u) << 3, 1);
	b_put(&b, (uint32_t)scale << 6 | (index & 7u) << 3 | (base & 7u), need ? 2 : 1);
	skep_jit_bytes(j, b.v, b.n);
}

static inline void x_mov(struct skep_jit *j, bool w, int to, int from)
{
	x_rr(j, w, X_MOV, from, to);
}

/* op is one of X_ADD .. X_CMP. */
static inline void x_imm(struct skep_jit *j, bool w, uint8_t op, int rm, int32_t imm)
{
	struct x_bytes b = {0};

	b_rex(&b, w, 0, 0, rm, false);
	if (!fits8(imm) && rm == RAX) {
		b_put(&b, (op & 0x38u) | 5, 1);
	} else {
		b_put(&b, fits8(imm) ? 0x83 : 0x81, 1);
		b_put(&b, 0xc0u | (op & 0x38u) | (rm & 7u), 1);
	}
	if (fits8(imm))
		b_put(&b, (uint8_t)imm, 1);
	skep_jit_bytes(j, b.v, b.n);
	if (!fits8(imm))
		skep_jit_u32(j, (uint32_t)imm);
}

/* op qword or dword [base + disp], imm */
static inline void x_mem_imm(struct skep_jit *j, bool w, uint8_t op, int base, int32_t disp,
			     int32_t imm)
{
	x_rex(j, w, 0, 0, base, false);
	skep_jit_byte(j, fits8(imm) ? 0x83 : 0x81);
	x_address(j, op >> 3 & 7, base, disp);
	if (fits8(imm))
		skep_jit_byte(j, (uint8_t)imm);
	else
		skep_jit_u32(j, (uint32_t)imm);
}

/* One-operand group 0xf7: /0 test, /2 not, /3 neg, /4 mul, /6 div, /7 idiv. */
static inline void x_group3(struct skep_jit *j, bool w, int digit, int rm)
{
	x_rr(j, w, 0xf7, digit, rm);
}

static inline void x_test_imm(struct skep_jit *j, bool w, int rm, int32_t imm)
{
	bool byte = imm > 0 && imm <= 127 && rm < 4;

	if (byte) { /* only flags are wanted: the low byte's will do */
		skep_jit_byte(j, 0xf6);
		skep_jit_byte(j, (uint8_t)(0xc0 | rm));
		skep_jit_byte(j, (uint8_t)imm);
		return;
	}
	x_group3(j, w && imm < 0, 0, rm);
	skep_jit_u32(j, (uint32_t)imm);
}

/* Shifts by a constant: /4 shl, /5 shr, /7 sar, /1 ror. */
static inline void x_shift(struct skep_jit *j, bool w, int digit, int rm, unsigned int by)
{
	x_rr(j, w, by == 1 ? 0xd1 : 0xc1, digit, rm);
	if (by != 1)
		skep_jit_byte(j, (uint8_t)by);
}

/* BMI2 shlx (pp 1), sarx (2), shrx (3): to = value shifted by the low bits of count. */
static inline void x_shift_by(struct skep_jit *j, bool w, int pp, int to, int value, int count)
{
	skep_jit_byte(j, 0xc4);
	skep_jit_byte(j, (uint8_t)((~to >> 3 & 1) << 7 | 0x40 | (~value >> 3 & 1) << 5 | 0x02));
	skep_jit_byte(j, (uint8_t)(w << 7 | (~count & 15) << 3 | pp));
	skep_jit_byte(j, 0xf7);
	skep_jit_byte(j, (uint8_t)(0xc0 | (to & 7) << 3 | (value & 7)));
}

/* The shortest way to put a constant into a register; keeps no flags. */
static inline void x_const(struct skep_jit *j, int reg, uint64_t v)
{
	if (v == 0) {
		x_rr(j, false, X_XOR, reg, reg);
	} else if (v <= UINT32_MAX) {
		x_rex(j, false, 0, 0, reg, false);
		skep_jit_byte(j, (uint8_t)(0xb8 | (reg & 7)));
		skep_jit_u32(j, (uint32_t)v);
	} else if ((int64_t)v == (int32_t)v) {
		x_rr(j, true, 0xc7, 0, reg);
		skep_jit_u32(j, (uint32_t)v);
	} else {
		x_rex(j, true, 0, 0, reg, false);
		skep_jit_byte(j, (uint8_t)(0xb8 | (reg & 7)));
		skep_jit_u64(j, v);
	}
}

static inline void x_push(struct skep_jit *j, int reg)
{
	x_rex(j, false, 0, 0, reg, false);
	skep_jit_byte(j, (uint8_t)(0x50 | (reg & 7)));
}

static inline void x_pop(struct skep_jit *j, int reg)
{
	x_rex(j, false, 0, 0, reg, false);
	skep_jit_byte(j, (uint8_t)(0x58 | (reg & 7)));
}

static inline void x_jcc(struct skep_jit *j, int cc, uint32_t label)
{
	bool near = skep_jit_near(j, label, 2);

	if (near) {
		skep_jit_byte(j, (uint8_t)(0x70 | cc));
	} else {
		skep_jit_byte(j, 0x0f);
		skep_jit_byte(j, (uint8_t)(0x80 | cc));
	}
	skep_jit_disp(j, label, near);
}

static inline void x_jmp(struct skep_jit *j, uint32_t label)
{
	bool near = skep_jit_near(j, label, 2);

	skep_jit_byte(j, near ? 0xeb : 0xe9);
	skep_jit_disp(j, label, near);
}

static inline void x_call(struct skep_jit *j, uint32_t label)
{
	skep_jit_byte(j, 0xe8);
	skep_jit_disp(j, label, false);
}

/* call or jmp through a register: /2 call, /4 jmp. */
static inline void x_indirect(struct skep_jit *j, int digit, int reg)
{
	x_rr(j, false, 0xff, digit, reg);
}

static inline void x_endbr64(struct skep_jit *j)
{
	skep_jit_u32(j, 0xfa1e0ff3);
}

static inline void x_ret(struct skep_jit *j)
{
	skep_jit_byte(j, 0xc3);
}

static inline void x_ud2(struct skep_jit *j)
{
	skep_jit_byte(j, 0x0f);
	skep_jit_byte(j, 0x0b);
}

/* Calls a function of C.  Uses rax. */
static inline void x_call_at(struct skep_jit *j, const void *fn)
{
	x_const(j, RAX, (uint64_t)(uintptr_t)fn);
	x_indirect(j, 2, RAX);
}

#endif
