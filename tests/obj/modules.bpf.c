// SPDX-License-Identifier: BSD-2-Clause
// What lies in the kernel's modules: functions to attach to by their own name
// and by that of their module, fields by CO-RE, functions to call.
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

struct net_device {
	int ifindex;
} __attribute__((preserve_access_index));

#if PART == 1
struct veth_priv { // of the module veth
	int no_such_field;
	struct net_device *peer;
} __attribute__((preserve_access_index));

int opened, closed, probed, ifindex, peer, size, exists, lacking;

SEC("fentry/veth_open")
int BPF_PROG(open, struct net_device *dev)
{
	struct veth_priv *priv = (void *)dev + ((bpf_core_type_size(struct net_device) + 31) & ~31);

	opened++;
	ifindex = dev->ifindex;
	peer = BPF_CORE_READ(priv, peer, ifindex);
	size = bpf_core_type_size(struct veth_priv);
	exists = bpf_core_field_exists(priv->peer);
	lacking = !bpf_core_field_exists(priv->no_such_field);
	return 0;
}

SEC("fexit/veth:veth_close")
int BPF_PROG(close, struct net_device *dev)
{
	closed++;
	return 0;
}

SEC("kprobe/veth_open")
int probe(void *ctx)
{
	probed++;
	return 0;
}
#elif PART == 2
struct nf_conn {
	unsigned long status;
};

struct bpf_ct_opts___local {
	__s32 netns_id, error;
	__u8 l4proto, dir, reserved[2];
};

struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *ctx, struct bpf_sock_tuple *tuple, __u32 len,
				  struct bpf_ct_opts___local *opts, __u32 opts_len) __ksym;
void bpf_ct_release(struct nf_conn *ct) __ksym;

int asked, found, error;

SEC("xdp")
int lookup(struct xdp_md *ctx)
{
	struct bpf_ct_opts___local opts = {.netns_id = -1, .l4proto = 17};
	struct bpf_sock_tuple tuple = {.ipv4 = {.saddr = 1, .daddr = 2}};
	struct nf_conn *ct;

	ct = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	asked++;
	error = opts.error;
	if (ct) {
		found++;
		bpf_ct_release(ct);
	}
	return XDP_PASS;
}
#elif PART == 3
SEC("tp_btf/xfs_attr_list_sf")
int traced(void *ctx)
{
	return 0;
}
#elif PART == 4
SEC("fentry/veth:veth_openn")
int BPF_PROG(nothing)
{
	return 0;
}

SEC("fentry/vethh:veth_open")
int BPF_PROG(nowhere)
{
	return 0;
}
#endif

char LICENSE[] SEC("license") = "GPL";
