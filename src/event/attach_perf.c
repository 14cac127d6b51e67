/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to what perf_event_open(2) opens: timers. */
#include "event/attach.h"

#include <linux/perf_event.h>
#include <stdio.h>

#include "sys/ring.h"

#define DEFAULT_HZ 99

struct timer {
	const struct skep_attach *a;
	struct skep_links *links;
	struct skep_event ev;
	char what[80];
	struct skep_err *err;
};

static int add_timer(void *ctx, int cpu)
{
	struct timer *t = ctx;

	t->ev.cpu = cpu;
	return skep_attach_to_event(t->a, &t->ev, t->links, t->what, t->err);
}

/* A software clock: there on every machine, also where no hardware counter is. */
int skep_attach_perf_event(const struct skep_attach *a, struct skep_links *links,
			   struct skep_err *err)
{
	uint64_t hz = a->frequency ? a->frequency : DEFAULT_HZ;
	struct timer t = {
		.a = a,
		.links = links,
		.ev = {.kind = SKEP_EVENT_PERF,
		       .pid = a->pid,
		       .inherit = a->pid > 0,
		       .perf = {PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, hz, true}},
		.err = err,
	};
	int ret;

	snprintf(t.what, sizeof(t.what), "cpu-clock at %llu Hz", (unsigned long long)hz);
	if (a->pid > 0)
		return add_timer(&t, -1);
	ret = skep_each_cpu(add_timer, &t);
	return ret < 0 ? skep_wrap(err, ret, "program '%s'", a->prog) : 0;
}
