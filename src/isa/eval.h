/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the pure instructions compute: one inline function a row of isa.def,
 * skep_eval_ADD64_K(d, s) and so on, shared by the interpreter, by constant
 * folding, and by the tests of every JIT (RFC 9669 section 4).
 *
 * Operands are whole registers; an immediate is passed sign-extended to 64
 * bits.  Each function cuts them to its width itself and returns the whole
 * new register: 32-bit results are zero-extended.
 */
#ifndef SKEP_ISA_EVAL_H
#define SKEP_ISA_EVAL_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>

#include "isa/insn.h"

#define SKEP_EVAL_FN(name, width, expr) \
	static inline uint64_t skep_eval_##name(uint64_t d_, uint64_t s_) \
	{ \
		typedef uint##width##_t U; \
		typedef int##width##_t I __attribute__((unused)); \
		enum { M __attribute__((unused)) = width - 1 }; \
		U d __attribute__((unused)) = (U)d_, s __attribute__((unused)) = (U)s_; \
\
		return (U)(expr); \
	}
#define SKEP_ALU(name, code, dst, src, off, imm, width, text, group, cpu, kernel, expr) \
	SKEP_EVAL_FN(name, width, expr)
#define SKEP_COND   SKEP_ALU
#define SKEP_ATOMIC SKEP_ALU
#include "isa/isa.def"
#undef SKEP_EVAL_FN

/* The new value of dst (of memory, for an atomic: @d is the old one).  0 for other kinds. */
uint64_t skep_isa_eval_alu(enum skep_op op, uint64_t d, uint64_t s);

/* Whether a conditional jump is taken.  False for other kinds. */
bool skep_isa_eval_cond(enum skep_op op, uint64_t d, uint64_t s);

#endif
