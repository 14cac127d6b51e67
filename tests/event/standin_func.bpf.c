/* SPDX-License-Identifier: BSD-2-Clause */
/* Kprobes of a function that is no system call: what they read of its registers. */
#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

__u64 calls, sum, low, returns, found;

SEC("kprobe/__task_pid_nr_ns")
int entry(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&calls, 1);
	__sync_fetch_and_add(&sum, (int)PT_REGS_PARM2(ctx));
	__sync_fetch_and_add(&low, *(__u8 *)&PT_REGS_PARM2(ctx));
	return 0;
}

SEC("kretprobe/__task_pid_nr_ns")
int leave(struct pt_regs *ctx)
{
	__sync_fetch_and_add(&returns, 1);
	if (PT_REGS_RC(ctx))
		__sync_fetch_and_add(&found, 1);
	return 0;
}
