// SPDX-License-Identifier: BSD-2-Clause
// Maps of maps and of programs with their contents, and a map pinned by name.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, int);
	__type(value, int);
} first SEC(".maps"), second SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, struct inner);
} outer SEC(".maps") = {.values = {[1] = &first, [3] = &second}};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4);
	__type(key, int);
	__array(values, struct inner);
} hashed SEC(".maps") = {.values = {[2] = &second}};

int last(void *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 3);
	__uint(key_size, 4);
	__array(values, int(void *));
} jumps SEC(".maps") = {.values = {[2] = (void *)&last}};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ENTRIES);
	__type(key, int);
	__type(value, int);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} shared SEC(".maps");

static int count(void *outer_map, int key)
{
	void *in = bpf_map_lookup_elem(outer_map, &key);
	int zero = 0, *v = in ? bpf_map_lookup_elem(in, &zero) : 0;

	return v ? ++*v : -1000;
}

SEC("xdp")
int first_prog(void *ctx)
{
	int zero = 0, *v = bpf_map_lookup_elem(&shared, &zero);

	if (v)
		++*v;
	if (count(&outer, 1) != 1 || count(&outer, 3) != 1 || count(&hashed, 2) != 2)
		return 1;
	bpf_tail_call(ctx, &jumps, 2);
	return 2;
}

SEC("xdp")
int last(void *ctx)
{
	int zero = 0, *v = bpf_map_lookup_elem(&shared, &zero);

	return v ? 40 + *v : 3;
}

char LICENSE[] SEC("license") = "GPL";
