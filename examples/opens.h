/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * What opens.bpf.c and opens_perf.bpf.c share: the arguments of the three
 * system calls that open files, from entry to return.
 *
 * At entry the file name may lie in memory that has not been read from disk
 * yet, and a BPF program cannot wait for the disk.  At return the kernel has
 * just read the name: it is there.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

/* /sys/kernel/tracing/events/syscalls/sys_enter_openat/format, and .../sys_exit_openat/format */
struct enter {
	__u64 common;
	__s64 nr;
	__u64 args[6];
};

struct leave {
	__u64 common;
	__s64 nr;
	__s64 ret;
};

struct event {
	__u32 pid;
	int ret; /* the file descriptor, or the negative error */
	char comm[16];
	char path[256];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* the thread */
	__type(value, __u64); /* where the file name is */
} started SEC(".maps");

static __always_inline int open_begins(__u64 path)
{
	__u64 id = bpf_get_current_pid_tgid();

	bpf_map_update_elem(&started, &id, &path, BPF_ANY);
	return 0;
}

/* Fills @e and forgets the call.  False if its beginning was not seen. */
static __always_inline int open_ends(struct event *e, __s64 ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 *path = bpf_map_lookup_elem(&started, &id);

	if (!path)
		return 0;
	e->pid = id >> 32;
	e->ret = ret;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	if (bpf_probe_read_user_str(e->path, sizeof(e->path), (const void *)*path) < 0)
		e->path[0] = 0;
	bpf_map_delete_elem(&started, &id);
	return 1;
}

/* The same four programs for both: only open_done() differs. */
static __always_inline int open_done(struct leave *ctx);

SEC("tracepoint/syscalls/sys_enter_open")
int enter_open(struct enter *ctx)
{
	return open_begins(ctx->args[0]);
}

SEC("tracepoint/syscalls/sys_enter_openat")
int enter_openat(struct enter *ctx)
{
	return open_begins(ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_enter_openat2")
int enter_openat2(struct enter *ctx)
{
	return open_begins(ctx->args[1]);
}

SEC("tracepoint/syscalls/sys_exit_open")
int exit_open(struct leave *ctx)
{
	return open_done(ctx);
}

SEC("tracepoint/syscalls/sys_exit_openat")
int exit_openat(struct leave *ctx)
{
	return open_done(ctx);
}

SEC("tracepoint/syscalls/sys_exit_openat2")
int exit_openat2(struct leave *ctx)
{
	return open_done(ctx);
}
