/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Every IPv4 connection that is begun: where to, and whether it could be.
 *
 *	skep run examples/tcp_connects.bpf.c -- wget http://example.org/
 *
 * At entry the address is known, at return the result: a map keyed by thread
 * carries the one to the other.  0 means that the handshake is on its way, not
 * that somebody answered.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct event {
	__u32 pid;
	int ret;
	__u8 to[4];
	__u16 port;
	char comm[16];
};

struct address {
	__u32 ip; /* both as in the packet: big-endian */
	__u16 port;
	__u16 unused;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* the thread */
	__type(value, struct address);
} connecting SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct event);
} events SEC(".maps");

SEC("kprobe/tcp_v4_connect")
int BPF_KPROBE(connect_begins, struct sock *sk, struct sockaddr *to)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct sockaddr_in *in = (struct sockaddr_in *)to;
	struct address address = {
		.ip = BPF_CORE_READ(in, sin_addr.s_addr),
		.port = BPF_CORE_READ(in, sin_port),
	};

	bpf_map_update_elem(&connecting, &id, &address, BPF_ANY);
	return 0;
}

SEC("kretprobe/tcp_v4_connect")
int BPF_KRETPROBE(connect_ends, int ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct address *to = bpf_map_lookup_elem(&connecting, &id);
	struct event *e;

	if (!to)
		return 0;
	e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);
	if (e) {
		e->pid = id >> 32;
		e->ret = ret;
		__builtin_memcpy(e->to, &to->ip, sizeof(e->to));
		e->port = bpf_ntohs(to->port);
		bpf_get_current_comm(e->comm, sizeof(e->comm));
		bpf_ringbuf_submit(e, 0);
	}
	bpf_map_delete_elem(&connecting, &id);
	return 0;
}
