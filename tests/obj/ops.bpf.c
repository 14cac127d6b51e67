// SPDX-License-Identifier: BSD-2-Clause
// A congestion control that counts, and what can be wrong with one.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#ifndef NAME
#define NAME "skep_test"
#endif
#ifndef SECTION
#define SECTION ".struct_ops.link"
#endif
#ifndef STRUCT
#define STRUCT tcp_congestion_ops
#endif

char LICENSE[] SEC("license") = "GPL";

struct sock;
struct module;

/* In an order of its own, with what no kernel has. */
struct STRUCT {
	char name[16];
	long not_in_any_kernel;
	void (*cong_avoid)(struct sock *sk, unsigned int ack, unsigned int acked);
	unsigned int (*undo_cwnd)(struct sock *sk);
	unsigned int (*ssthresh)(struct sock *sk);
	void (*init)(struct sock *sk);
	void (*not_in_any_kernel_either)(struct sock *sk);
	unsigned int flags;
#ifdef BITFIELD
	unsigned int key : 4;
#elif defined(SIZE)
	unsigned long key;
#elif defined(KIND)
	void *key;
#else
	unsigned int key;
#endif
	struct module *owner;
};

unsigned int inits, acks;

SEC("struct_ops/ops_init") void ops_init(unsigned long long *ctx)
{
	__sync_fetch_and_add(&inits, 1);
}

SEC("struct_ops") void ops_cong_avoid(unsigned long long *ctx)
{
	__sync_fetch_and_add(&acks, 1);
}

SEC("struct_ops") unsigned int ops_ssthresh(unsigned long long *ctx)
{
	return 2;
}

SEC("struct_ops") unsigned int ops_undo_cwnd(unsigned long long *ctx)
{
	return 10;
}

#ifdef NOT_OPS
SEC("xdp") int not_ops(struct xdp_md *ctx)
{
	return XDP_PASS;
}
#endif

#ifndef ALONE
SEC(SECTION)
struct STRUCT ops = {
#ifndef NO_INIT
	.init = (void *)ops_init,
#endif
	.cong_avoid = (void *)ops_cong_avoid,
	.ssthresh = (void *)ops_ssthresh,
#ifdef TWICE
	.undo_cwnd = (void *)ops_ssthresh,
#elif defined(NOT_OPS)
	.undo_cwnd = (void *)not_ops,
#elif !defined(INCOMPLETE)
	.undo_cwnd = (void *)ops_undo_cwnd,
#endif
#ifdef ABSENT
	.not_in_any_kernel = 7,
#endif
#ifdef ABSENT_PROG
	.not_in_any_kernel_either = (void *)ops_init,
#endif
#ifdef POINTER
	.owner = (void *)16,
#endif
#ifdef ADDRESS
	.owner = (void *)&inits,
#endif
	.name = NAME,
};
#endif

#ifdef OPTIONAL
SEC("struct_ops") void only_optional(unsigned long long *ctx)
{
	/* No verifier takes this: it must not be loaded. */
	*(volatile int *)0 = 0;
}

SEC("?" SECTION)
struct STRUCT optional = {
	.init = (void *)only_optional,
	.name = "skep_optional",
};
#endif

#ifdef NO_STRUCT
SEC(SECTION) int number = 1;
#endif
