/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86_64: the first 21 words of struct user_regs_struct (r15 ... ss) are the
 * kernel's struct pt_regs, in its order; what follows is not part of it.
 */
#include "user/regs.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>

enum { REG_FP = 4, REG_ORIG_AX = 15, REG_IP = 16, REG_SP = 19 };

_Static_assert(offsetof(struct user_regs_struct, rbp) == REG_FP * 8, "rbp");
_Static_assert(offsetof(struct user_regs_struct, orig_rax) == REG_ORIG_AX * 8, "orig_rax");
_Static_assert(offsetof(struct user_regs_struct, rip) == REG_IP * 8, "rip");
_Static_assert(offsetof(struct user_regs_struct, rsp) == REG_SP * 8, "rsp");
_Static_assert(offsetof(struct user_regs_struct, ss) == (SKEP_REGS_NR - 1) * 8, "ss");

int skep_regs_read(struct skep_regs *regs, pid_t pid)
{
	struct user_regs_struct u;

	if (ptrace(PTRACE_GETREGS, pid, 0, &u))
		return -errno;
	memcpy(regs, &u, sizeof(*regs));
	return 0;
}

uint64_t skep_regs_ip(const struct skep_regs *regs)
{
	return regs->r[REG_IP];
}

uint64_t skep_regs_sp(const struct skep_regs *regs)
{
	return regs->r[REG_SP];
}

uint64_t skep_regs_fp(const struct skep_regs *regs)
{
	return regs->r[REG_FP];
}

long skep_regs_syscall(const struct skep_regs *regs)
{
	return (long)regs->r[REG_ORIG_AX];
}
