/* SPDX-License-Identifier: BSD-2-Clause */
/* The passes of opt.c and the operations that they make. */
#ifndef SKEP_JIT_OPT_H
#define SKEP_JIT_OPT_H

#include "vm/run.h"

struct skep_jit;

/* Operations of the JIT's copy of a program that isa.def has not. */
enum skep_jit_op {
	SKEP_JIT_NOP = SKEP_VM_OP_MAX,
	SKEP_JIT_LEA, /* dst = src + imm */
	SKEP_JIT_LEA_INDEX, /* dst = src + register number imm */
	SKEP_JIT_ROL64, /* dst rotated left by imm */
	SKEP_JIT_ROL32,
	SKEP_JIT_LOOKUP, /* r0 = look-up of key r2 in the map whose address is imm */
	SKEP_JIT_LOOP, /* bpf_loop() with the function at slot imm */
	SKEP_JIT_OP_MAX,
};

/* Rewrites j->ir by the passes in j->passes.  0, or -1: out of memory. */
int skep_jit_optimise(struct skep_jit *j);

#endif
