// SPDX-License-Identifier: BSD-2-Clause
// Uses a GPL helper without saying that it is GPL.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("tracepoint/syscalls/sys_enter_getpgid")
int prog(void *ctx)
{
	bpf_printk("x");
	return 0;
}

char LICENSE[] SEC("license") = "Proprietary";
