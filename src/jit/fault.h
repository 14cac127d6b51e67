/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults in machine code: an access of a trusted program to memory that is not
 * there ends its run, not the process.
 *
 * A signal handler belongs to the whole process, and so does the list of code
 * it looks at: the one place of skep with global state, besides gdb.c.  It
 * does nothing until somebody asks for it (skep_fault_acquire), and hands on
 * every signal that is not about that code to whoever was there before.
 */
#ifndef SKEP_JIT_FAULT_H
#define SKEP_JIT_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct skep_vm_prog;

struct skep_fault_at {
	uint32_t at, slot;
};

/* Machine code that may fault, as long as it is registered. */
struct skep_fault_code {
	uintptr_t start, end;
	uintptr_t landing; /* where a run goes on that has to end */
	const struct skep_vm_prog *prog;
	const struct skep_fault_at *at; /* where the code of each slot is, ascending; prog->nr */
};

/* Installs the handlers of SIGSEGV and SIGBUS if nobody has yet.  0 or -errno. */
int skep_fault_acquire(struct skep_err *err);
/* Takes them away again with the last user, unless others have put theirs on top. */
void skep_fault_release(void);

/* @code stays at its address until it is removed.  0 or -ENOMEM. */
int skep_fault_add(const struct skep_fault_code *code);
void skep_fault_remove(const struct skep_fault_code *code);

/* The architecture's: where a signal came from, whether it was a write, and going on elsewhere. */
uintptr_t skep_fault_pc(const void *ucontext);
bool skep_fault_is_write(const void *ucontext);
/* Code at @landing expects the instruction, the address and whether it was written to. */
void skep_fault_resume(void *ucontext, uintptr_t landing, const void *insn, uint64_t addr,
		       bool write);

#endif
