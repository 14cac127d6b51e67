/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tracer and tracee on one processor.
 *
 * While one thread of a command stops often, it and the tracer take turns; on
 * two processors each turn would wake an idle one, which in a virtual machine
 * costs several times the stop itself.  So both are held on one processor as
 * long as there is one tracee and it keeps stopping.
 *
 * The command cannot tell: its own mask is put back before any call that
 * reads or sets it (the filter stops at those), before a child is let go, and
 * when it calms down.  /proc/PID/status is the one place where it shows.
 */
#include "user/trace.h"

#include <sys/syscall.h>

/* Stops in a row that make it worth it: a round. */
#define PIN_STOPS 48
/* For how long, nanoseconds: then the scheduler may choose the processor anew. */
#define PIN_NS 250000000
/* Rounds of stops to stay away for when it did not pay. */
#define PIN_PAUSE 20

static void pin(struct skep_tracer *t, struct skep_tracee *tracee)
{
	struct trace_pin *p = &t->pin;
	int cpu = sched_getcpu();
	cpu_set_t one;

	if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof(p->own), &p->own) ||
	    sched_getaffinity(tracee->pid, sizeof(p->mask), &p->mask) || !CPU_ISSET(cpu, &p->mask))
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(tracee->pid, sizeof(one), &one))
		return;
	p->tracee = tracee;
	p->used = true;
	p->since = skep_trace_now();
	sched_setaffinity(0, sizeof(one), &one);
}

void skep_trace_unpin(struct skep_tracer *t)
{
	struct trace_pin *p = &t->pin;

	p->stops = 0;
	if (!p->tracee)
		return;
	sched_setaffinity(p->tracee->pid, sizeof(p->mask), &p->mask);
	sched_setaffinity(0, sizeof(p->own), &p->own);
	p->tracee = NULL;
}

/*
 * A child is born with its parent's mask of the moment, which may have been
 * ours even if it no longer is: it gets what the parent has in truth.
 */
void skep_trace_unpin_fork(struct skep_tracer *t, pid_t parent, pid_t child)
{
	cpu_set_t mask;

	skep_trace_unpin(t);
	if (!t->pin.used)
		return;
	if (parent <= 0 || sched_getaffinity(parent, sizeof(mask), &mask))
		mask = t->pin.mask;
	sched_setaffinity(child, sizeof(mask), &mask);
}

bool skep_trace_pin_call(long nr)
{
	return nr == SYS_sched_getaffinity || nr == SYS_sched_setaffinity;
}

/* Every so many stops: is it worth it, or still? */
static void judge(struct skep_tracer *t, uint64_t cost)
{
	struct trace_pin *p = &t->pin;
	struct skep_tracee *tracee;
	size_t pos = 0;

	if (p->tracee && cost > 3 * p->free_cost) {
		/* Somebody else wants this processor: it was far better before. */
		skep_trace_unpin(t);
		p->pause = PIN_PAUSE;
	} else if (p->tracee && skep_trace_now() - p->since > PIN_NS) {
		skep_trace_unpin(t);
	} else if (!p->tracee && p->pause) {
		p->pause--;
	} else if (!p->tracee) {
		tracee = skep_hash_next(&t->table, &pos)->value;
		p->free_cost = cost;
		/* Processes attached to have no filter that tells of a look at the mask. */
		if (tracee->root && tracee->root->cmd && skep_call_any(&tracee->root->set))
			pin(t, tracee);
	}
}

void skep_trace_pin_busy(struct skep_tracer *t, unsigned int stops)
{
	struct trace_pin *p = &t->pin;
	uint64_t now;

	if (t->table.live != 1) {
		skep_trace_unpin(t);
		return;
	}
	if (!p->stops)
		p->round = skep_trace_now();
	p->stops += stops;
	if (p->stops < PIN_STOPS)
		return;
	now = skep_trace_now();
	judge(t, (now - p->round) / p->stops);
	p->stops = 0;
}
