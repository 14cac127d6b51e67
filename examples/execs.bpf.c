/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Every program that is started, with its arguments, and every attempt to.
 *
 *	skep run examples/execs.bpf.c -- sh -c 'ls / | wc -l'
 *
 * The arguments are taken at entry: after a successful execve() the memory that
 * they lay in is gone.  The record is kept in a map until the call returns.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define ARGS	 16 /* of them are shown, */
#define ARG_SIZE 64 /* each up to this length with its NUL, */
#define ROOM	 256 /* together up to this one */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* /sys/kernel/tracing/events/syscalls/sys_enter_execve/format, and .../sys_exit_execve/format */
struct enter {
	__u64 common;
	__s64 nr;
	__u64 path;
	__u64 argv;
	__u64 envp;
};

struct leave {
	__u64 common;
	__s64 nr;
	__s64 ret;
};

struct event {
	__u32 pid;
	int ret;
	char args[ROOM + ARG_SIZE];
};

/* Too large for the stack of 512 bytes: a slot of its own for each CPU. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct event);
} scratch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* the thread */
	__type(value, struct event);
} starting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct event);
} events SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_execve")
int exec_begins(struct enter *ctx)
{
	__u64 id = bpf_get_current_pid_tgid(), arg, at = 0;
	__u32 zero = 0, i;
	struct event *e = bpf_map_lookup_elem(&scratch, &zero);
	long n;

	if (!e)
		return 0;
	e->pid = id >> 32;
	e->args[0] = 0;
#pragma unroll
	for (i = 0; i < ARGS; i++) {
		if (bpf_probe_read_user(&arg, sizeof(arg), (void *)(ctx->argv + 8 * i)) || !arg)
			break;
		if (at >= ROOM)
			break;
		n = bpf_probe_read_user_str(e->args + at, ARG_SIZE, (void *)arg);
		if (n <= 0 || n > ARG_SIZE) {
			e->args[at] = '?'; /* not read from disk yet: a tracepoint cannot wait */
			n = 2;
		}
		at += n; /* with the NUL, which becomes the blank between two */
		if (at <= ROOM)
			e->args[at - 1] = ' ';
	}
	if (at > 0 && at <= ROOM + ARG_SIZE)
		e->args[at - 1] = 0;
	bpf_map_update_elem(&starting, &id, e, BPF_ANY);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_execve")
int exec_ends(struct leave *ctx)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct event *e = bpf_map_lookup_elem(&starting, &id);

	if (!e)
		return 0;
	e->ret = ctx->ret;
	bpf_ringbuf_output(&events, e, sizeof(*e), 0);
	bpf_map_delete_elem(&starting, &id);
	return 0;
}
