/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Drops ICMP, passes everything else; counts by protocol and by second.
 *
 *	skep run --dev eth0 examples/xdp_icmp.bpf.c
 *	skep run --engine user --pcap in.pcap --pcap-out out.pcap examples/xdp_icmp.bpf.c
 *
 * ICMP of IPv6 passes: its neighbours could not be found without.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct traffic {
	__u64 packets;
	__u64 bytes;
	__u64 dropped;
};

struct kind {
	__u16 ethertype;
	__u16 ip_protocol; /* 1 ICMP, 6 TCP, 17 UDP, 58 ICMPv6; 0: not IP */
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct kind);
	__type(value, struct traffic);
} by_protocol SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3600);
	__type(key, __u32); /* seconds since the first packet */
	__type(value, struct traffic);
} by_second SEC(".maps");

static __u64 first_ns;

static __always_inline void count(void *map, void *key, __u64 bytes, int drop)
{
	struct traffic *t = bpf_map_lookup_elem(map, key), first = {1, bytes, drop};

	if (!t) {
		bpf_map_update_elem(map, key, &first, BPF_NOEXIST);
		return;
	}
	__sync_fetch_and_add(&t->packets, 1);
	__sync_fetch_and_add(&t->bytes, bytes);
	__sync_fetch_and_add(&t->dropped, drop);
}

/* The protocol above Ethernet and above IP.  Every access is checked against data_end. */
static __always_inline struct kind look(void *data, void *end)
{
	struct kind kind = {};
	struct ethhdr *eth = data;
	struct ipv6hdr *ip6 = (void *)(eth + 1);
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(eth + 1) > end)
		return kind;
	kind.ethertype = bpf_ntohs(eth->h_proto);
	if (kind.ethertype == ETH_P_IP && (void *)(ip + 1) <= end)
		kind.ip_protocol = ip->protocol;
	else if (kind.ethertype == ETH_P_IPV6 && (void *)(ip6 + 1) <= end)
		kind.ip_protocol = ip6->nexthdr;
	return kind;
}

SEC("xdp")
int xdp_icmp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct kind kind = look(data, end);
	__u64 now = bpf_ktime_get_ns();
	__u32 second;
	int drop = kind.ethertype == ETH_P_IP && kind.ip_protocol == IPPROTO_ICMP;

	if (!first_ns)
		first_ns = now;
	second = (now - first_ns) / 1000000000;
	count(&by_protocol, &kind, end - data, drop);
	count(&by_second, &second, end - data, drop);
	return drop ? XDP_DROP : XDP_PASS;
}
