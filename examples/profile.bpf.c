/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Where a program spends its time: the stack in user space, taken 99 times a
 * second of CPU time (--frequency), counted.
 *
 *	skep run examples/profile.bpf.c -- python3 -c 'sum(i * i for i in range(10**7))'
 *
 * The stacks are kept once in a map of their own; what is counted is their
 * number.  A member called user_stack_id is what skep prints as functions.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct place {
	__u32 pid;
	int user_stack_id;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_STACK_TRACE);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, 127 * sizeof(__u64));
	__uint(max_entries, 4096);
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct place);
	__type(value, __u64);
} samples SEC(".maps");

SEC("perf_event")
int sample(struct bpf_perf_event_data *ctx)
{
	struct place key = {.pid = bpf_get_current_pid_tgid() >> 32};
	__u64 one = 1, *n;

	key.user_stack_id = bpf_get_stackid(ctx, &stacks, BPF_F_USER_STACK);
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	n = bpf_map_lookup_elem(&samples, &key);
	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&samples, &key, &one, BPF_NOEXIST);
	return 0;
}
