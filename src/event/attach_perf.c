/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to what perf_event_open(2) opens: timers. */
#include "event/attach.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Threads that are there have an event each; those to come inherit them. */
static int add_threads(struct timer *t)
{
	pid_t pid = t->a->pid;
	struct dirent *ent;
	char path[32];
	int ret = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = opendir(path);
	while (d && ret == 0 && (ent = readdir(d))) {
		t->ev.pid = atoi(ent->d_name);
		/* The process' own thread comes last: its failure is the one to tell. */
		if (t->ev.pid <= 0 || t->ev.pid == pid)
			continue;
		ret = add_timer(t, -1);
		if (ret == -ESRCH) {
			/* It has ended since. */
			skep_err_deinit(t->err);
			ret = 0;
		}
	}
	if (d)
		closedir(d);
	t->ev.pid = pid;
	return ret < 0 ? ret : add_timer(t, -1);
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
		return add_threads(&t);
	ret = skep_each_cpu(add_timer, &t);
	return ret < 0 ? skep_wrap(err, ret, "program '%s'", a->prog) : 0;
}
