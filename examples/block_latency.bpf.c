/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * How long block devices take: a histogram of microseconds from a request's
 * issue to its completion, by powers of two.
 *
 *	skep run --duration 10 examples/block_latency.bpf.c
 *
 * Completions come in whatever task is interrupted, so observe everything and
 * not a command.  --set device=N looks at one device: N is major << 20 | minor.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 device = 0; /* 0: all */

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* the request */
	__type(value, __u64); /* when it was issued, ns */
} issued SEC(".maps");

/* Slot 0: less than 2 us; slot n: from 2^n to 2^(n+1).  The name's end has it drawn. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 26);
	__type(key, __u32);
	__type(value, __u64);
} latency_us_hist SEC(".maps");

static __always_inline __u32 log2_of(__u64 v)
{
	__u32 n = 0;

	if (v >> 32)
		return 25;
	if (v >> 16)
		n += 16, v >>= 16;
	if (v >> 8)
		n += 8, v >>= 8;
	if (v >> 4)
		n += 4, v >>= 4;
	if (v >> 2)
		n += 2, v >>= 2;
	n += v >> 1;
	return n < 25 ? n : 25;
}

SEC("tp_btf/block_rq_issue")
int BPF_PROG(issue, struct request *rq)
{
	struct gendisk *disk = BPF_CORE_READ(rq, q, disk);
	__u32 number = BPF_CORE_READ(disk, major) << 20 | BPF_CORE_READ(disk, first_minor);
	__u64 key = (__u64)rq, now = bpf_ktime_get_ns();

	if (!device || number == device)
		bpf_map_update_elem(&issued, &key, &now, BPF_ANY);
	return 0;
}

SEC("tp_btf/block_rq_complete")
int BPF_PROG(complete, struct request *rq)
{
	__u64 key = (__u64)rq, *start = bpf_map_lookup_elem(&issued, &key), *count;
	__u32 slot;

	if (!start)
		return 0;
	slot = log2_of((bpf_ktime_get_ns() - *start) / 1000);
	count = bpf_map_lookup_elem(&latency_us_hist, &slot);
	if (count)
		__sync_fetch_and_add(count, 1);
	bpf_map_delete_elem(&issued, &key);
	return 0;
}
