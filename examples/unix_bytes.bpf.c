/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Bytes sent by each process over UNIX stream sockets: the return value of the
 * kernel's unix_stream_sendmsg() is what was taken.
 *
 *	skep run --duration 10 examples/unix_bytes.bpf.c
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct sender {
	__u32 pid;
	char comm[16];
};

struct sent {
	__u64 bytes;
	__u64 calls;
	__u64 failed;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct sender);
	__type(value, struct sent);
} unix_sent SEC(".maps");

SEC("kretprobe/unix_stream_sendmsg")
int BPF_KRETPROBE(sent_some, int bytes)
{
	struct sender who = {.pid = bpf_get_current_pid_tgid() >> 32};
	struct sent *sent, none = {};

	bpf_get_current_comm(who.comm, sizeof(who.comm));
	bpf_map_update_elem(&unix_sent, &who, &none, BPF_NOEXIST);
	sent = bpf_map_lookup_elem(&unix_sent, &who);
	if (!sent)
		return 0; /* the map is full: skep counts it */
	__sync_fetch_and_add(&sent->calls, 1);
	if (bytes < 0)
		__sync_fetch_and_add(&sent->failed, 1);
	else
		__sync_fetch_and_add(&sent->bytes, bytes);
	return 0;
}
