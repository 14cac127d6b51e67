/* SPDX-License-Identifier: BSD-2-Clause */
/* What values.t counts and adds up: calls of getpgid(), frames, page faults. */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/if_ether.h>
#include <linux/ptrace.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define NR_GETPGID 121 /* x86-64 */
#define FRAMES	   0x88b5 /* for experiments: nobody else sends them */
#define PAGES	   0x600000000000

char LICENSE[] SEC("license") = "GPL";

__s64 entries, arguments, returns, results;
__s64 enters, enter_arguments;
__s64 received, xdp_received, sent;
__s64 faults;

#ifdef TYPED
SEC("fentry/__x64_sys_getpgid") int BPF_PROG(enter_call, struct pt_regs *regs)
{
	__sync_fetch_and_add(&entries, 1);
	__sync_fetch_and_add(&arguments, PT_REGS_PARM1(regs));
	return 0;
}

SEC("fexit/__x64_sys_getpgid") int BPF_PROG(leave_call, struct pt_regs *regs, long ret)
{
	__sync_fetch_and_add(&returns, 1);
	__sync_fetch_and_add(&results, ret);
	return 0;
}
#endif

#ifdef TP_BTF
SEC("tp_btf/sys_enter") int BPF_PROG(enter_any, struct pt_regs *regs, long id)
{
	if (id != NR_GETPGID)
		return 0;
	__sync_fetch_and_add(&enters, 1);
	__sync_fetch_and_add(&enter_arguments, PT_REGS_PARM1(regs));
	return 0;
}
#endif

#ifdef NET
SEC("tcx/ingress") int receive(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(FRAMES))
		__sync_fetch_and_add(&received, skb->len);
	return -1; /* TCX_NEXT */
}

SEC("tcx/egress") int send(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(FRAMES))
		__sync_fetch_and_add(&sent, 1);
	return -1;
}
#endif

#ifdef XDP
SEC("xdp") int receive_xdp(struct xdp_md *ctx)
{
	struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) <= (void *)(long)ctx->data_end && eth->h_proto == bpf_htons(FRAMES))
		__sync_fetch_and_add(&xdp_received, 1);
	return XDP_PASS;
}
#endif

#ifdef PERF
SEC("perf_event") int fault(struct bpf_perf_event_data *ctx)
{
	if (ctx->addr >= PAGES && ctx->addr < PAGES + (1 << 30))
		__sync_fetch_and_add(&faults, 1);
	return 0;
}
#endif
