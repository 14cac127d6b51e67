// SPDX-License-Identifier: BSD-2-Clause
// One of everything the loader fills in: maps, data of all kinds, calls, callbacks, strings.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum colour { RED, GREEN = 5, BLUE = -1 };

struct event {
	int pid;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 5000);
	__type(value, struct event);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(value, struct event);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, long);
} hash SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, 4);
	__uint(value_size, 24);
} sized SEC(".maps");

const volatile int target = 5;
const volatile _Bool on;
const volatile signed char small;
const volatile unsigned long long big;
const volatile enum colour colour;
const volatile char name[8] = "abc";
int counter;
static volatile int hidden = 7;
int table[4] = {1, 2, 3, 4};
int custom SEC(".data.custom") = 3;
struct event scratch;

static __noinline int sub(int x)
{
	counter += x;
	return x * 3 + hidden;
}

__noinline int global_sub(int x)
{
	return sub(x) + 1;
}

static long callback(void *map, void *k, void *v, void *ctx)
{
	counter++;
	return 0;
}

static __noinline __attribute__((section("syscall"))) int same_section(int x)
{
	table[x & 3]++;
	return sub(x);
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int with_everything(void *ctx)
{
	struct event *e, copy = {0};
	long one = 1;
	int k = 1;

	e = bpf_ringbuf_reserve(&ring, sizeof(*e), 0);
	if (e) {
		e->pid = target + on + small + (int)big + colour + name[1];
		bpf_get_current_comm(e->comm, sizeof(e->comm));
		bpf_ringbuf_submit(e, 0);
	}
	bpf_perf_event_output(ctx, &perf, BPF_F_CURRENT_CPU, &copy, sizeof(copy));
	bpf_map_update_elem(&hash, &k, &one, 0);
	bpf_map_lookup_elem(&sized, &k);
	bpf_for_each_map_elem(&hash, callback, &k, 0);
	scratch.pid = custom;
	bpf_printk("hello %d", k);
	return global_sub(1) + sub(2);
}

SEC("syscall")
int calls(void *ctx)
{
	return same_section(2) + global_sub(3);
}

char LICENSE[] SEC("license") = "GPL";
