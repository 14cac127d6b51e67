/* SPDX-License-Identifier: BSD-2-Clause */
/* One type of every kind that kernels came to know one by one; see old.t. */
#include <linux/bpf.h>
#include <linux/ptrace.h>

#include <bpf/bpf_helpers.h>

#define tag(text)  __attribute__((btf_decl_tag(text)))
#define ttag(text) __attribute__((btf_type_tag(text)))

#if __clang_major__ >= 15
enum wide { SMALL, WIDE = 0x123456789abcULL };
#else
enum wide { SMALL, WIDE };
#endif
enum negative { MINUS = -1, PLUS };

struct value {
	unsigned long count;
	double share;
	enum wide wide;
	enum negative negative;
	int ttag("mine") * pointer;
} tag("tagged");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, int);
	__type(value, struct value);
} counts SEC(".maps");

int limit = 3;
const volatile int constant = 4;

/* No globals: this one loads on every kernel. */
SEC("tracepoint/syscalls/sys_enter_getpgid")
int plain(void *ctx)
{
	struct value zero = {}, *v;
	int key = 0;

	bpf_probe_read_kernel(&key, sizeof(key), ctx);
	v = bpf_map_lookup_elem(&counts, &key);
	if (!v)
		bpf_map_update_elem(&counts, &key, &zero, BPF_ANY);
	return 0;
}

SEC("socket")
int globals(struct __sk_buff *skb)
{
	limit++;
	return limit > constant;
}

/* Checked by itself since 5.6. */
__attribute__((noinline)) int is_large(int n)
{
	return n > 17;
}

SEC("tracepoint/syscalls/sys_exit_getpgid")
int loops(void *ctx)
{
	unsigned long got;

	bpf_probe_read_user(&got, sizeof(got), (void *)bpf_get_attach_cookie(ctx));
	return is_large((int)got);
}

char LICENSE[] SEC("license") = "GPL";
