/* SPDX-License-Identifier: BSD-2-Clause */
/* The other half of link_a.bpf.c. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

struct shared {
	int here;
};

struct point {
	int x;
	long y;
	struct point *next;
};

typedef struct point point_t;

extern int a_sum(int x, int y);
extern int choose(int x);
extern long a_data;
extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig;

int picked __weak = 11;
int chosen = 21;
int both __weak = 31;
int pick(int x)
{
	return x + 3;
}
__weak int choose(int x)
{
	return x + 4;
}

int b_data[4] = {1, 2, 3, 4};
const volatile int b_const = 7;
point_t b_point = {.x = 5, .y = 6};
static volatile long same = 5;

struct {
	__uint(max_entries, 8);
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, int);
	__type(value, point_t);
} points SEC(".maps");

#ifdef INNER
/* A map in a map, named by an initialiser: a relocation of .maps. */
struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} inner_one SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = {.values = {(void *)0, &inner_one}};

int outer_use(int x)
{
	int one = 1, zero = 0, *val;
	void *map = bpf_map_lookup_elem(&outer, &one);

	val = map ? bpf_map_lookup_elem(map, &zero) : 0;
	if (val)
		*val = x;
	return val ? *val : -1;
}
#else
int outer_use(int x)
{
	return x;
}
#endif

static __attribute__((noinline)) int helper(int x)
{
	return x * 3 + same;
}

long b_scale(long x, const struct point *p)
{
	return p ? x * p->x : 0;
}

long b_result;
int b_kernel;

SEC("raw_tp/sys_enter")
int on_enter_b(void *ctx)
{
	b_result = a_sum(1, 2) * 1000 + helper(4) + choose(0) + a_data;
	b_kernel = (LINUX_KERNEL_VERSION > 0x50000) + 2 * CONFIG_BPF_SYSCALL;
	return 0;
}

char _license[] SEC("license") = "GPL";
