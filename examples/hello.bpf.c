/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Says hello to every program that is started.
 *
 *	skep run examples/hello.bpf.c -- sh -c 'date; uname'
 *
 * bpf_printk() is the printf of BPF programs: up to three values, one line.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What the tracepoint hands over: /sys/kernel/tracing/events/sched/sched_process_exec/format */
struct exec {
	__u64 common;
	__u32 filename; /* offset of the name from here in the low, its length in the high half */
	__u32 pid;
	__u32 old_pid;
};

SEC("tracepoint/sched/sched_process_exec")
int hello(struct exec *ctx)
{
	const char *name = (const char *)ctx + (ctx->filename & 0xffff);
	char path[64];

	bpf_probe_read_kernel_str(path, sizeof(path), name);
	bpf_printk("hello, %s (process %d)", path, ctx->pid);
	return 0;
}
