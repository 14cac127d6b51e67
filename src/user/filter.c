/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs of neighbouring numbers become one pair of comparisons.  The kernel
 * keeps a bitmap of the calls that a filter always allows, so the length of
 * the chain is paid only by calls that stop anyway.  See seccomp(2).
 */
#include "user/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define FILTER_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define FILTER_ARCH AUDIT_ARCH_AARCH64
#endif

bool skep_call_any(const struct skep_call_set *set)
{
	size_t i;

	for (i = 0; i < SKEP_SYSCALL_MAX / 64; i++)
		if (set->bits[i])
			return true;
	return set->all;
}

size_t skep_filter_build(struct sock_filter *insns, const struct skep_call_set *set)
{
	const uint32_t trace = SECCOMP_RET_TRACE, allow = SECCOMP_RET_ALLOW;
	size_t n = 0;
	unsigned int lo, hi;

#define EMIT(...) (insns[n++] = (struct sock_filter)__VA_ARGS__)
	EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)));
	EMIT(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FILTER_ARCH, 1, 0));
	EMIT(BPF_STMT(BPF_RET | BPF_K, trace));
	EMIT(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)));
	EMIT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, set->all ? 0 : SKEP_SYSCALL_MAX, 0, 1));
	EMIT(BPF_STMT(BPF_RET | BPF_K, trace));
	for (lo = 0; lo < SKEP_SYSCALL_MAX && !set->all; lo = hi + 1) {
		for (hi = lo; hi < SKEP_SYSCALL_MAX && skep_call_has(set, hi); hi++)
			;
		if (hi == lo)
			continue;
		EMIT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, hi, 2, 0));
		EMIT(BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, lo, 0, 1));
		EMIT(BPF_STMT(BPF_RET | BPF_K, trace));
	}
	EMIT(BPF_STMT(BPF_RET | BPF_K, allow));
#undef EMIT
	return n;
}

static int install(const struct sock_fprog *prog)
{
	/* Programs that do not ask for it lose no speculation by being watched. */
	if (!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, prog))
		return 0;
	if (errno == EINVAL && !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, prog))
		return 0;
	return -errno;
}

int skep_filter_install(const struct sock_filter *insns, size_t nr)
{
	struct sock_fprog prog = {.len = (unsigned short)nr, .filter = (struct sock_filter *)insns};
	int ret = install(&prog);

	if (ret != -EACCES)
		return ret;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return install(&prog);
}
