// SPDX-License-Identifier: BSD-2-Clause
// Counts getpgid(2) by process, for the test of the scope.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, __u64);
} seen SEC(".maps");

SEC("tracepoint/syscalls/sys_enter_getpgid")
int count(void *ctx)
{
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	__u64 one = 1, *n = bpf_map_lookup_elem(&seen, &pid);

	if (n)
		++*n;
	else
		bpf_map_update_elem(&seen, &pid, &one, 0);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
