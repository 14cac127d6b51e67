/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Files that are deleted, by name, with what came of it.
 *
 *	skep run examples/unlinks.bpf.c -- rm somefile
 *
 * A program at fexit sees a function's arguments and its return value at once,
 * typed, and reads through kernel pointers without a helper.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct event {
	__u32 pid;
	int ret;
	char comm[16];
	char path[256];
};

__u64 begun; /* what the program at entry counts */

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct event);
} events SEC(".maps");

SEC("fentry/do_unlinkat")
int BPF_PROG(unlink_begins, int folder, struct filename *name)
{
	__sync_fetch_and_add(&begun, 1);
	return 0;
}

SEC("fexit/do_unlinkat")
int BPF_PROG(unlink_ends, int folder, struct filename *name, long ret)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	e->ret = ret;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	if (bpf_probe_read_kernel_str(e->path, sizeof(e->path), name->name) < 0)
		e->path[0] = 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
