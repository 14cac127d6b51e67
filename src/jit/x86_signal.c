/* SPDX-License-Identifier: BSD-2-Clause */
/* x86-64: the state that a signal handler is given. */
#if defined(__x86_64__)

#include <ucontext.h>

#include "jit/fault.h"

uintptr_t skep_fault_pc(const void *ucontext)
{
	return (uintptr_t)((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_RIP];
}

/* Bit 1 of a page fault's error code (Intel SDM volume 3, 4.7). */
bool skep_fault_is_write(const void *ucontext)
{
	return ((const ucontext_t *)ucontext)->uc_mcontext.gregs[REG_ERR] & 2;
}

void skep_fault_resume(void *ucontext, uintptr_t landing, const void *insn, uint64_t addr,
		       bool write)
{
	greg_t *regs = ((ucontext_t *)ucontext)->uc_mcontext.gregs;

	regs[REG_RIP] = (greg_t)landing;
	regs[REG_RSI] = (greg_t)(uintptr_t)insn;
	regs[REG_RDX] = (greg_t)addr;
	regs[REG_RCX] = write;
}

#endif
