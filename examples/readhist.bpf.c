/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * How much each read(2) got, as a histogram of powers of two for each program.
 *
 *	skep run examples/readhist.bpf.c -- cat /etc/passwd
 *
 * A member called `slots` is what skep draws as a histogram: slot n counts
 * values from 2^n to 2^(n+1)-1.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#define MAX_SLOTS 32

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct program {
	char comm[16];
};

struct hist {
	__u64 slots[MAX_SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct program);
	__type(value, struct hist);
} read_bytes SEC(".maps");

static const struct hist zero;

/* The number of the highest bit set; 0 for 0. */
static __always_inline __u32 log2_of(__u64 v)
{
	__u32 n = 0, half;

#pragma unroll
	for (half = 32; half; half >>= 1) {
		if (v >> half) {
			v >>= half;
			n += half;
		}
	}
	return n;
}

SEC("tracepoint/syscalls/sys_exit_read")
int exit_read(struct trace_event_raw_sys_exit *ctx)
{
	struct program key = {};
	struct hist *hist;
	long ret = ctx->ret;
	__u32 slot;

	if (ret < 0)
		return 0;
	bpf_get_current_comm(key.comm, sizeof(key.comm));
	hist = bpf_map_lookup_elem(&read_bytes, &key);
	if (!hist) {
		bpf_map_update_elem(&read_bytes, &key, &zero, BPF_NOEXIST);
		hist = bpf_map_lookup_elem(&read_bytes, &key);
		if (!hist)
			return 0;
	}
	slot = log2_of(ret);
	if (slot < MAX_SLOTS)
		__sync_fetch_and_add(&hist->slots[slot], 1);
	return 0;
}
