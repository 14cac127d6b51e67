/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Every process and thread that is created, by whom.
 *
 *	skep run examples/clones.bpf.c -- make
 *
 * fork(), vfork(), clone() and clone3() all end in the kernel's kernel_clone().
 * Its argument says what is wanted, its return value who came of it; a map
 * carries the one to the other.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define CLONE_THREAD 0x10000 /* <linux/sched.h>: macros are not in vmlinux.h */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct event {
	__u32 pid;
	int child; /* its id, or the negative error */
	_Bool thread;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* the calling thread */
	__type(value, __u64); /* what it asked for */
} wanted SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct event);
} events SEC(".maps");

SEC("kprobe/kernel_clone")
int BPF_KPROBE(clone_begins, struct kernel_clone_args *args)
{
	__u64 id = bpf_get_current_pid_tgid(), flags = BPF_CORE_READ(args, flags);

	bpf_map_update_elem(&wanted, &id, &flags, BPF_ANY);
	return 0;
}

SEC("kretprobe/kernel_clone")
int BPF_KRETPROBE(clone_ends, int child)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u64 *flags = bpf_map_lookup_elem(&wanted, &id);
	struct event *e;

	if (!flags)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (e) {
		e->pid = id >> 32;
		e->child = child;
		e->thread = (*flags & CLONE_THREAD) != 0;
		bpf_get_current_comm(e->comm, sizeof(e->comm));
		bpf_ringbuf_submit(e, 0);
	}
	bpf_map_delete_elem(&wanted, &id);
	return 0;
}
