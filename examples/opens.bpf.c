/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * Every file that is opened, with its name, through a ring buffer.
 *
 *	skep run examples/opens.bpf.c -- ls /
 *
 * The __type(value, ...) of the ring buffer tells skep how to print its records.
 */
#include "opens.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 * 1024);
	__type(value, struct event);
} events SEC(".maps");

static __always_inline int open_done(struct leave *ctx)
{
	struct event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e)
		return 0; /* the buffer is full: skep counts it */
	if (open_ends(e, ctx->ret))
		bpf_ringbuf_submit(e, 0);
	else
		bpf_ringbuf_discard(e, 0);
	return 0;
}
