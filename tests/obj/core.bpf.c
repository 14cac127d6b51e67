// SPDX-License-Identifier: BSD-2-Clause
// CO-RE: a field that every kernel has, one that none has, and one guarded.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

struct task_struct {
	int tgid;
	int not_there;
} __attribute__((preserve_access_index));

int got, want;

SEC("tracepoint/syscalls/sys_enter_getpgid")
int there(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	got = BPF_CORE_READ(t, tgid);
	want = bpf_get_current_pid_tgid() >> 32;
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int guarded(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	if (bpf_core_field_exists(t->not_there))
		got = BPF_CORE_READ(t, not_there);
	return 0;
}

SEC("tracepoint/syscalls/sys_enter_getpgid")
int missing(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	got = BPF_CORE_READ(t, not_there);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
