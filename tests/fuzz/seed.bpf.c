// SPDX-License-Identifier: BSD-2-Clause
// A start for fuzz_elf: something for every reader of src/obj in one object.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";
unsigned int kernel_version SEC("version") = 1;

struct {
	unsigned int type, key_size, value_size, max_entries, map_flags;
} legacy SEC("maps") = {2, 4, 8, 1, 0};

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} inner SEC(".maps");

int tail(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, 4);
	__array(values, int(void *));
} progs SEC(".maps") = {.values = {[1] = (void *)&tail}};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 2);
	__uint(map_flags, BPF_F_NUMA_NODE);
	__uint(numa_node, 0);
	__uint(map_extra, 1);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = {.values = {&inner}};

extern unsigned int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF __kconfig __weak;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig __weak;
extern const void bpf_prog_fops __ksym __weak;
extern const int runqueues __ksym __weak;
extern int bpf_no_such_function(int x) __ksym __weak;

int data = 1, target SEC(".data.mine") = 2;
const volatile int constant SEC(".rodata.mine") = 3;
char name[8], *pointer = name;

struct tcp_congestion_ops {
	char name[16];
	void (*init)(void *sk);
	unsigned int (*ssthresh)(void *sk);
};

SEC("struct_ops.s/init") int ops_init(void *ctx)
{
	return data;
}

SEC(".struct_ops") struct tcp_congestion_ops plain = {.name = "a", .init = (void *)ops_init};
SEC(".struct_ops.link") struct tcp_congestion_ops linked = {.init = (void *)ops_init};
SEC("?.struct_ops.link") struct tcp_congestion_ops optional = {.ssthresh = (void *)ops_init};

__attribute__((noinline)) int ended(unsigned long cookie)
{
	return constant;
}

static long callback(unsigned int i, void *p)
{
	return i > 3;
}

SEC("?xdp") int tail(void *ctx)
{
	return bpf_loop(3, callback, 0, 0);
}

SEC("socket") __attribute__((btf_decl_tag("exception_callback:ended"))) int prog(void *ctx)
{
	int k = 0;

	bpf_map_lookup_elem(&legacy, &k);
	bpf_map_lookup_elem(&outer, &k);
	bpf_tail_call(ctx, &progs, 1);
	if (&bpf_prog_fops && LINUX_KERNEL_VERSION)
		target += *pointer + CONFIG_BPF + CONFIG_DEFAULT_HOSTNAME[0];
	if (&runqueues)
		data++;
	if (bpf_no_such_function)
		data = bpf_no_such_function(1);
	return data + target + constant + ended(0);
}
