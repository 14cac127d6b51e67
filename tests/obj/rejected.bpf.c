// SPDX-License-Identifier: BSD-2-Clause
// A program for each common reason to be rejected, and one that is fine.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, int);
	__type(value, long);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int null_value(void *ctx)
{
	int k = 0;
	long *v = bpf_map_lookup_elem(&hash, &k);

	*v += 1; /* null_value fails here */
	return 0;
}

SEC("xdp")
int packet(struct xdp_md *ctx)
{
	char *data = (char *)(long)ctx->data;

	return data[13] ? XDP_PASS : XDP_DROP; /* packet fails here */
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int scalar(void *ctx)
{
	char *p = (char *)bpf_get_current_task();

	return *p; /* scalar fails here */
}

SEC("xdp")
int helper(struct xdp_md *ctx)
{
	return bpf_get_current_pid_tgid() & bpf_get_stackid(ctx, &hash, 0); /* helper fails here */
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int leak(void *ctx)
{
	bpf_ringbuf_reserve(&ring, 8, 0);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int forever(void *ctx)
{
	volatile int i = 0;

	while (1)
		i++;
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int fine(void *ctx)
{
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
