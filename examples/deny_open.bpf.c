/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Nobody of a command and its descendants may open one file.
 *
 *	skep run --set inode=$(stat -c %i secret) examples/deny_open.bpf.c -- cat secret
 *
 * A security hook: what it returns is what open() fails with.  The file is told
 * by its inode, and its file system by --set device=N, major << 20 | minor.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define EACCES 13

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u64 inode = 0;
const volatile __u32 device = 0; /* 0: any */

__u64 asked;
__u64 denied;

SEC("lsm/file_open")
int BPF_PROG(open_asked, struct file *file, int ret)
{
	if (ret)
		return ret; /* somebody said no already */
	__sync_fetch_and_add(&asked, 1);
	if (file->f_inode->i_ino != inode || (device && file->f_inode->i_sb->s_dev != device))
		return 0;
	__sync_fetch_and_add(&denied, 1);
	return -EACCES;
}
