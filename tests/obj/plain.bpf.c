// SPDX-License-Identifier: BSD-2-Clause
// Calls, callbacks and data as libbpf's own rules allow them, for comparing with it.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, int);
	__type(value, long);
} hash SEC(".maps");

const volatile int target = 5;
int counter;
int table[4] = {1, 2, 3, 4};

static __noinline int third(int x)
{
	return table[x & 3] + bpf_get_prandom_u32();
}

static __noinline int second(int x)
{
	counter += x;
	return third(x) * 3 + third(x + 1);
}

__noinline int first(int x)
{
	return third(x) + second(x) + 1;
}

static long callback(void *map, void *k, void *v, void *ctx)
{
	counter += third(1);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int data(void *ctx)
{
	char fmt[] = "%d";
	int k = target;
	long *v = bpf_map_lookup_elem(&hash, &k);

	bpf_trace_printk(fmt, sizeof(fmt), k);
	return v ? *v + table[2] : first(counter);
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int calls(void *ctx)
{
	int k = 1;

	bpf_for_each_map_elem(&hash, callback, &k, 0);
	return second(1) + first(2) + third(3);
}

char LICENSE[] SEC("license") = "GPL";
