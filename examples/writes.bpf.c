/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Bytes written by each process, counted in a hash map.
 *
 *	skep run --interval 5 examples/writes.bpf.c -- sh -c 'ls / /etc; seq 1000'
 *
 * Nothing is sent while the command runs: skep reads the map when asked to
 * (--interval) and at the end.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct process {
	__u32 pid;
	char comm[16];
};

struct written {
	__u64 calls;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct process);
	__type(value, struct written);
} writes SEC(".maps");

static __always_inline int count(long ret)
{
	struct process key = {.pid = bpf_get_current_pid_tgid() >> 32};
	struct written *w, first = {1, ret};

	if (ret < 0)
		return 0;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	w = bpf_map_lookup_elem(&writes, &key);
	if (!w) {
		bpf_map_update_elem(&writes, &key, &first, BPF_NOEXIST);
		return 0;
	}
	__sync_fetch_and_add(&w->calls, 1);
	__sync_fetch_and_add(&w->bytes, ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_write")
int exit_write(struct trace_event_raw_sys_exit *ctx)
{
	return count(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_writev")
int exit_writev(struct trace_event_raw_sys_exit *ctx)
{
	return count(ctx->ret);
}

SEC("tracepoint/syscalls/sys_exit_pwrite64")
int exit_pwrite64(struct trace_event_raw_sys_exit *ctx)
{
	return count(ctx->ret);
}
