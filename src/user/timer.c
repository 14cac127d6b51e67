/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Samples of what the watched processes are doing: perf events of the
 * software clocks.
 *
 * At a tick every thread that is on a processor, or about to be, is
 * interrupted, and told of when it has stopped.  Ticks lie on multiples of the
 * period, so that the events of one program for each CPU fall together and
 * cost one interrupt; an event with a CPU tells of the threads on that one.
 */
#include "user/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define NS_PER_S   UINT64_C(1000000000)
#define MIN_PERIOD UINT64_C(100000) /* 10 kHz: more cannot be kept up with */

void skep_trace_tick_arm(struct skep_tracer *t)
{
	struct itimerspec its = {{0}};
	struct trace_point **it;
	uint64_t next = 0;

	skep_vec_each (&t->points[TRACE_SAMPLE], it)
		if (!next || (*it)->next_ns < next)
			next = (*it)->next_ns;
	t->next_tick = next;
	its.it_value.tv_sec = (time_t)(next / NS_PER_S);
	its.it_value.tv_nsec = (long)(next % NS_PER_S);
	timerfd_settime(t->tickfd, TFD_TIMER_ABSTIME, &its, NULL);
}

/* State and last CPU of a thread from /proc/PID/stat; false: it is gone. */
static bool read_stat(pid_t pid, char *state, int *cpu)
{
	char path[64], text[768], *p;
	ssize_t n;
	int fd, field;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	p = strrchr(text, ')');
	if (!p || p[1] != ' ')
		return false;
	*state = p[2];
	for (field = 2; p && field < 39; field++)
		p = strchr(p + 1, ' ');
	*cpu = p ? atoi(p) : -1;
	return true;
}

static void mark_due(struct skep_tracer *t, uint64_t now)
{
	struct trace_point **it, *tp;
	uint64_t n;

	skep_vec_each (&t->points[TRACE_SAMPLE], it) {
		tp = *it;
		tp->due = now >= tp->next_ns;
		if (!tp->due)
			continue;
		n = (now - tp->next_ns) / tp->period_ns;
		if (t->table.live)
			t->late_ticks += n;
		tp->next_ns += (n + 1) * tp->period_ns;
	}
}

int skep_trace_tick(struct skep_tracer *t, uint64_t now)
{
	struct skep_hash_slot *slot;
	struct skep_tracee *tracee;
	uint64_t expired;
	size_t pos = 0;
	char state;

	/* Only to make it unreadable: how many ticks passed is known by the clock. */
	if (read(t->tickfd, &expired, sizeof(expired)) < 0)
		expired = 0;
	mark_due(t, now);
	skep_trace_tick_arm(t);
	while ((slot = skep_hash_next(&t->table, &pos))) {
		tracee = slot->value;
		if (tracee->sample || tracee->starting || tracee->early || tracee->dead ||
		    !read_stat(tracee->pid, &state, &tracee->cpu) || state != 'R')
			continue;
		tracee->sample = ptrace(PTRACE_INTERRUPT, tracee->pid, 0, 0) == 0;
	}
	return 1;
}

static int check(const struct skep_event *ev, const char *raw_tp, struct skep_err *err)
{
	if (raw_tp || !ev || ev->kind != SKEP_EVENT_PERF)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "not a timer");
	if (ev->perf.type != PERF_TYPE_SOFTWARE || (ev->perf.config != PERF_COUNT_SW_CPU_CLOCK &&
						    ev->perf.config != PERF_COUNT_SW_TASK_CLOCK))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "perf event type %u config %llu: of perf events the user engine "
				 "has only the software clocks cpu-clock and task-clock",
				 ev->perf.type, (unsigned long long)ev->perf.config);
	if (!ev->perf.period)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "a clock without period or frequency never samples");
	return 0;
}

static int timer_open(struct skep_user *user, const struct skep_event *ev, const char *raw_tp,
		      struct skep_point *point, struct skep_err *err)
{
	struct skep_tracer *t = skep_user_tracer(user);
	struct trace_point *tp;
	int ret = check(ev, raw_tp, err);

	if (ret)
		return ret;
	if (!t)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "this engine cannot watch processes");
	tp = calloc(1, sizeof(*tp));
	if (!tp)
		return skep_fail_nomem(err);
	tp->point = point;
	tp->tracer = t;
	tp->kind = TRACE_SAMPLE;
	tp->cpu = ev->cpu;
	tp->period_ns = ev->perf.freq ? NS_PER_S / ev->perf.period : ev->perf.period;
	if (tp->period_ns < MIN_PERIOD)
		tp->period_ns = MIN_PERIOD;
	tp->sample_period = tp->period_ns;
	tp->next_ns = (skep_trace_now() / tp->period_ns + 1) * tp->period_ns;
	ret = skep_trace_point_scope(t, ev, tp, err);
	if (ret) {
		free(tp);
		return ret;
	}
	point->priv = tp;
	if (skep_trace_point_add(t, tp)) {
		skep_trace_point_remove(tp);
		return skep_fail_nomem(err);
	}
	skep_trace_tick_arm(t);
	return 0;
}

static void timer_close(struct skep_point *point)
{
	struct trace_point *tp = point->priv;
	struct skep_tracer *t = tp->tracer;

	point->priv = NULL;
	skep_trace_point_remove(tp);
	skep_trace_tick_arm(t);
}

const struct skep_source_ops skep_source_timer = {
	.name = "timer",
	.open = timer_open,
	.close = timer_close,
};
