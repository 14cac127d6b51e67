/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines without a back end: said in words by skep_jit_compile(). */
#if !defined(__x86_64__)

#include "jit/emit.h"
#include "jit/fault.h"
#include "jit/gdb.h"
#include "jit/jit.h"

const char *skep_jit_arch(void)
{
	return NULL;
}

void skep_jit_emit(struct skep_jit *j)
{
	j->oom = true;
}

/* Without machine code there is nothing to ask about. */

uintptr_t skep_fault_pc(const void *ucontext)
{
	return 0;
}

bool skep_fault_is_write(const void *ucontext)
{
	return false;
}

void skep_fault_resume(void *ucontext, uintptr_t landing, const void *insn, uint64_t addr,
		       bool write)
{
}

size_t skep_gdb_frames(const struct skep_gdb_code *code, uint8_t *buf)
{
	return 0;
}

#endif
