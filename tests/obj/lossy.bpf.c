// SPDX-License-Identifier: BSD-2-Clause
// Loses data on purpose: a ring of 4096 bytes, a map of one entry, and callers who look away.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tiny SEC(".maps");

__u32 calls;

static __noinline void remember(__u32 key)
{
	bpf_map_update_elem(&tiny, &key, &key, 0);
}

SEC("syscall")
int lose(void *ctx)
{
	char buf[64] = {};
	__u32 i;
	void *p;

	for (i = 0; i < 8; i++) {
		p = bpf_ringbuf_reserve(&ring, 1000, 0);
		if (p)
			bpf_ringbuf_submit(p, 0);
		bpf_ringbuf_output(&ring, buf, sizeof(buf), 0);
		remember(i);
		calls++;
	}
	return calls;
}

char LICENSE[] SEC("license") = "GPL";
