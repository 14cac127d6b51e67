/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Machine code for programs of src/vm.
 *
 * A compiled program runs in the same struct skep_vm, with the same frames,
 * helpers and errors as in the interpreter; the two can call into each other
 * by tail calls.  Programs with proof (trusted) get no checks; all others get
 * exactly those that the checked interpreter makes, inline where they pass.
 *
 * Pages are written, then made executable, never both (W^X); entries that
 * indirect jumps can reach begin with endbr64.
 *
 * A new architecture: a file that defines skep_jit_emit() and skep_jit_arch
 * under one #if at file level, with an emitter for each row of isa.def.
 */
#ifndef SKEP_JIT_JIT_H
#define SKEP_JIT_JIT_H

#include <stdbool.h>

#include "base/err.h"
#include "vm/vm.h"

/* What is done beyond translating one by one; each can be left out. */
enum skep_jit_pass {
	SKEP_JIT_PASS_FUSE = 1 << 0, /* moves with additions, shift pairs that extend */
	SKEP_JIT_PASS_ROTATE = 1 << 1, /* shifts and an or that make a rotation */
	SKEP_JIT_PASS_LOOKUP = 1 << 2, /* look-ups in a known map without the helper */
	SKEP_JIT_PASS_DEAD = 1 << 3, /* results that nobody reads */
	SKEP_JIT_PASS_LOOP = 1 << 4, /* bpf_loop() with a known callback without the helper */
	SKEP_JIT_PASS_ALIGN = 1 << 5, /* tops of loops at multiples of 64 */
	SKEP_JIT_PASS_ADDRESS = 1 << 6, /* additions and shifts into addresses of accesses */
	SKEP_JIT_PASS_PROVE = 1 << 7, /* checked mode: no checks that cannot fail */
	SKEP_JIT_PASS_GROUP = 1 << 8, /* checked mode: one check for neighbours */
	SKEP_JIT_PASS_SELECT = 1 << 9, /* jumps over one result without a jump */
	SKEP_JIT_PASS_CONST = 1 << 10, /* what is known to be a constant; decided jumps */
	SKEP_JIT_PASS_INLINE = 1 << 11, /* look-ups in arrays and small helpers without a call */
	SKEP_JIT_PASS_STACK = 1 << 12, /* stores to the frame that nothing reads */
	SKEP_JIT_PASS_DIVIDE = 1 << 13, /* division by a constant multiplies */
	SKEP_JIT_PASS_LAYOUT = 1 << 14, /* blocks in an order that takes fewer jumps */
	SKEP_JIT_PASS_OPERAND = 1 << 15, /* arithmetic with memory */
	SKEP_JIT_PASS_UNROLL = 1 << 16, /* small loops twice */
	SKEP_JIT_PASS_BOUND = 1 << 17, /* checked mode: the budget of loops that end soon */
	SKEP_JIT_PASS_ALL = (1 << 18) - 1,
};

struct skep_jit_opts {
	size_t sz;
	unsigned int without; /* enum skep_jit_pass: what to leave out */
	/*
	 * Constant blinding, for programs of people who are not trusted: no
	 * immediate of 32 or 64 bits of the program stands in the machine
	 * code, each is there xored with a random number of its own.
	 */
	bool blind;
	/*
	 * A fault of a trusted program becomes an error (fault.h); the caller
	 * has skep_fault_acquire()d for as long as the program lives.
	 */
	bool faults;
	bool gdb; /* tell gdb, by its JIT interface, where the functions are (gdb.h) */
	bool perf_map; /* lines in /tmp/perf-PID.map, so that perf(1) names the functions */
};

/*
 * Compiles @prog; later runs of it use the machine code.  @opts NULL: the
 * defaults.  Not while another thread runs @prog.  0; -EOPNOTSUPP on an
 * architecture without a JIT; -ENOMEM; -EACCES where the system allows no
 * executable memory.
 */
int skep_jit_compile(struct skep_vm_prog *prog, const struct skep_jit_opts *opts,
		     struct skep_err *err);

/* Bytes of machine code of @prog and where they are; 0: not compiled. */
size_t skep_jit_code(const struct skep_vm_prog *prog, const void **code);

/* "x86-64", or NULL: no JIT for this machine. */
const char *skep_jit_arch(void);

#endif
