/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * A packet filter for a process of its own: embed.c loads and runs it.
 *
 * It gets the packet as it lies in the process, asks the process by a helper
 * that only this process has, and reads a table in the process's memory.
 *
 *	skep cc examples/embed.bpf.c -o embed.bpf.o
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Helper 1000 of embed.c: tells the process what was dropped, and why. */
static long (*report)(__u32 addr, const char *why) = (void *)1000;

/* Where the process keeps its bits of blocked ports: a region that may be read. */
const volatile __u64 blocked;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u64);
} packets SEC(".maps");

static void count(__u32 addr)
{
	__u64 one = 1, *n = bpf_map_lookup_elem(&packets, &addr);

	if (!n && !bpf_map_update_elem(&packets, &addr, &one, BPF_NOEXIST))
		return;
	n = bpf_map_lookup_elem(&packets, &addr);
	if (n)
		__sync_fetch_and_add(n, 1);
}

/* 1: pass, 0: drop. */
SEC("filter")
int verdict(const unsigned char *packet, __u64 len)
{
	const struct ethhdr *eth = (const void *)packet;
	const struct iphdr *ip = (const void *)(eth + 1);
	const struct udphdr *udp = (const void *)(ip + 1);
	const __u64 *ports = (const __u64 *)blocked;
	__u16 port;

	if (len < sizeof(*eth) + sizeof(*ip) + sizeof(*udp) || eth->h_proto != bpf_htons(ETH_P_IP))
		return 1;
	count(ip->saddr);
	if (ip->protocol != IPPROTO_UDP)
		return 1;
	port = bpf_ntohs(udp->dest);
	if (ports[port / 64] >> port % 64 & 1) {
		report(ip->saddr, "port is blocked");
		return 0;
	}
	return 1;
}
