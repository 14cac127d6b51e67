/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * The names of the environment variables that a program asks for: the first
 * argument of libc's getenv(), taken by a probe on the function itself.
 *
 *	skep run examples/uprobe_args.bpf.c -- ls /
 *
 * The section's name is PATH:FUNCTION; a name without a slash is looked up
 * where the dynamic loader would look.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct event {
	__u32 pid;
	char comm[16];
	char name[64];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct event);
} events SEC(".maps");

/*
 * The name may lie in a part of the file that was not read from disk yet.  A
 * sleepable program (".s") may wait for the disk, and bpf_copy_from_user() does.
 */
SEC("uprobe.s/libc.so.6:getenv")
int BPF_KPROBE(getenv_called, const char *name)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0;
	e->pid = bpf_get_current_pid_tgid() >> 32;
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	if (bpf_copy_from_user(e->name, sizeof(e->name), name) < 0)
		e->name[0] = 0;
	e->name[sizeof(e->name) - 1] = 0;
	bpf_ringbuf_submit(e, 0);
	return 0;
}
