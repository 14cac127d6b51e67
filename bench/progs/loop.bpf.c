// SPDX-License-Identifier: BSD-2-Clause
/* bpf_loop: a callback called 1000 times, with its context on the caller's stack. */
#include "bench.h"

#ifdef __bpf__
struct state {
	u64 x, sum;
};

static long step(u32 i, void *ctx)
{
	struct state *s = ctx;

	s->x = s->x * 6364136223846793005ull + i;
	s->sum ^= s->x >> 17;
	return 0;
}

BENCH(loop)
{
	struct state s = {pkt[0] + 1, 0};

	bpf_loop(1000, step, &s, 0);
	return (u32)(s.sum ^ s.sum >> 32);
}
#endif
