/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that want one capability more each; see caps.t and token.t. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, int);
	__type(value, long);
} counts SEC(".maps");

#ifdef SOCKS
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 16);
	__type(key, int);
	__type(value, int);
} socks SEC(".maps");
#endif

SEC(SECTION)
int prog(void *ctx)
{
	int key = 7;
	long one = 1, *v = bpf_map_lookup_elem(&counts, &key);

	if (v)
		++*v;
	else
		bpf_map_update_elem(&counts, &key, &one, BPF_ANY);
#ifdef PRINT
	bpf_printk("seen");
#endif
	return RETURN;
}

char LICENSE[] SEC("license") = "GPL";
