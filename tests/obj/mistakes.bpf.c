// SPDX-License-Identifier: BSD-2-Clause
// The mistakes that users make most, one at a time by -D.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define GETPGID "tracepoint/syscalls/sys_enter_getpgid"
#ifndef SECTION
#define SECTION GETPGID
#endif
#ifndef MAP_TYPE
#define MAP_TYPE BPF_MAP_TYPE_HASH
#endif
#ifndef ENTRIES
#define ENTRIES 16
#endif

struct {
	__uint(type, MAP_TYPE);
	__uint(max_entries, ENTRIES);
	__type(key, int);
	__type(value, int);
#ifdef PIN
	__uint(pinning, LIBBPF_PIN_BY_NAME);
#endif
} counts SEC(".maps");

#ifdef LARGE
char large[LARGE];
#endif

struct task_struct {
	int no_such_field;
} __attribute__((preserve_access_index));

SEC(SECTION)
int prog(void *ctx)
{
	int key = 1, x = 0;

#ifdef FIELD
	struct task_struct *t = (void *)bpf_get_current_task();

	x = BPF_CORE_READ(t, no_such_field);
#endif
#ifdef LARGE
	large[ENTRIES]++;
#endif
#ifdef RING
	bpf_ringbuf_output(&counts, &x, sizeof(x), 0);
#else
	bpf_map_update_elem(&counts, &key, &x, BPF_ANY);
#endif
#ifdef GPL_HELPER
	bpf_probe_read_kernel(&x, sizeof(x), ctx);
#endif
	return 0;
}

#ifdef TWO
SEC("raw_tp/sys_enter")
int second(void *ctx)
{
	int key = 1, *value = bpf_map_lookup_elem(&counts, &key);

	return *value;
}
#endif

#ifndef NO_LICENSE
char LICENSE[] SEC("license") = "GPL";
#endif
