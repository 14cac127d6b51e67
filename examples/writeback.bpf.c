/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Which files are written back to disk: the inode numbers that do_writepages()
 * gets, and how often.
 *
 *	skep run examples/writeback.bpf.c &
 *	sync
 *
 * Most of it is done by threads of the kernel, so observe everything and not a
 * command.  --set device=N looks at one file system: N is major << 20 | minor.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 device = 0; /* 0: all */

struct file_id {
	__u64 inode;
	__u32 device;
	__u32 unused; /* keys are compared byte by byte: no holes */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct file_id);
	__type(value, __u64);
} written SEC(".maps");

SEC("kprobe/do_writepages")
int BPF_KPROBE(write_pages, struct address_space *mapping)
{
	struct inode *inode = BPF_CORE_READ(mapping, host);
	struct file_id id = {
		.inode = BPF_CORE_READ(inode, i_ino),
		.device = BPF_CORE_READ(inode, i_sb, s_dev),
	};
	__u64 *count, one = 1;

	/* A folder is asked, too, but has no pages of its own. */
	if (!BPF_CORE_READ(mapping, nrpages) || (device && id.device != device))
		return 0;
	count = bpf_map_lookup_elem(&written, &id);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		bpf_map_update_elem(&written, &id, &one, BPF_ANY);
	return 0;
}
