/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of a stopped tracee in the kernel's own layout: struct pt_regs, as
 * raw tracepoints, perf events and PT_REGS_* macros see it.  A new
 * architecture: regs_ARCH.c with these functions.
 */
#ifndef SKEP_USER_REGS_H
#define SKEP_USER_REGS_H

#include <stdint.h>
#include <sys/types.h>

#if defined(__x86_64__)
#define SKEP_REGS_NR 21
#elif defined(__aarch64__)
#define SKEP_REGS_NR 34
#endif

struct skep_regs {
	uint64_t r[SKEP_REGS_NR];
};

/* 0, or -ESRCH when @pid is not stopped or gone. */
int skep_regs_read(struct skep_regs *regs, pid_t pid);
uint64_t skep_regs_ip(const struct skep_regs *regs);
uint64_t skep_regs_sp(const struct skep_regs *regs);
/* The frame pointer: where the caller's one and the return address lie. */
uint64_t skep_regs_fp(const struct skep_regs *regs);
/* The system call being made, or -1. */
long skep_regs_syscall(const struct skep_regs *regs);

#endif
