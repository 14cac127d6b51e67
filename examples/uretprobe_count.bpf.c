/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Calls of a function counted by what it returned: libc's getopt_long() gives
 * the letter of each option that a program was called with, and -1 at the end.
 *
 *	skep run examples/uretprobe_count.bpf.c -- ls -la /
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, int);
	__type(value, __u64);
} returned SEC(".maps");

SEC("uretprobe/libc.so.6:getopt_long")
int BPF_KRETPROBE(getopt_returned, int ret)
{
	__u64 one = 1, *n = bpf_map_lookup_elem(&returned, &ret);

	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&returned, &ret, &one, BPF_NOEXIST);
	return 0;
}
