/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Every file that is opened, with its name, through perf buffers: one for each
 * CPU, the way before Linux 5.8.  skep puts them in order of time.
 *
 *	skep run examples/opens_perf.bpf.c -- ls /
 */
#include "opens.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, sizeof(__u32));
	__type(value, struct event);
} events SEC(".maps");

static __always_inline int open_done(struct leave *ctx)
{
	struct event e = {};

	if (open_ends(&e, ctx->ret))
		bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &e, sizeof(e));
	return 0;
}
