/* SPDX-License-Identifier: BSD-2-Clause */
/* Half of an object: what it lacks link_b.bpf.c has, and the other way round. */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_helpers.h>

struct point {
	int x;
	long y;
	struct point *next;
};

struct shared;

/* Defined there: functions, variables, a map; `next` leads to what only it knows. */
extern long b_scale(long x, struct point *p);
extern int b_data[];
extern const volatile int b_const;
extern struct point b_point;
extern struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8);
	__type(key, int);
	__type(value, struct point);
} points SEC(".maps");
extern int outer_use(int x) __hidden;

extern int LINUX_KERNEL_VERSION __kconfig;
extern bool CONFIG_BPF_SYSCALL __kconfig __weak;
extern const void no_such_symbol __ksym __weak;

/* Strong against weak, weak against strong, weak against weak. */
int picked = 10;
int chosen __weak = 20;
int both __weak = 30;
__weak int pick(int x)
{
	return x + 1;
}
int choose(int x)
{
	return x + 2;
}

char a_pad = 1; /* what follows is misaligned without care */
long a_data = 1000;
int a_bss[3];
const volatile char a_const[5] = "four";
static volatile int same = 1;

static __attribute__((noinline)) int helper(int x)
{
	return x * 2 + same;
}

int a_sum(int x, int y)
{
	return helper(x) + helper(y);
}

/* Its address is taken: a relocation against .text. */
static long each(void *map, int *key, struct point *p, long *sum)
{
	*sum += p->y;
	return 0;
}

long a_result, a_sum_of_map, a_picks, a_kernel;

SEC("raw_tp/sys_enter")
int on_enter_a(void *ctx)
{
	struct point p = {.x = 1, .y = 100};
	long sum = 0;
	int key = 1;

	bpf_map_update_elem(&points, &key, &p, 0);
	key = 2;
	p.y = 11;
	bpf_map_update_elem(&points, &key, &p, 0);
	bpf_for_each_map_elem(&points, each, &sum, 0);
	a_sum_of_map = sum;
	a_result = b_scale(a_data, &p) + b_data[1] + b_const + b_point.x + outer_use(3) +
		   a_const[0] - 'f';
	a_picks = pick(100) * 1000000 + choose(100) * 1000 + picked + chosen + both;
	a_kernel = (LINUX_KERNEL_VERSION > 0x50000) + 2 * CONFIG_BPF_SYSCALL +
		   4 * (&no_such_symbol == 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
