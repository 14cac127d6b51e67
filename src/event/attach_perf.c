/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to what perf_event_open(2) opens: timers. */
#include "event/attach.h"

#include <dirent.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "sys/ring.h"

#define DEFAULT_HZ 99

/* What the kernel counts by itself, and what processors do (perf_event_open(2)). */
static const struct {
	const char *name;
	uint32_t type;
	uint64_t config;
} counters[] = {
	{"cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK},
	{"task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK},
	{"page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS},
	{"minor-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MIN},
	{"major-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS_MAJ},
	{"context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES},
	{"cpu-migrations", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_MIGRATIONS},
	{"alignment-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_ALIGNMENT_FAULTS},
	{"emulation-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_EMULATION_FAULTS},
	{"cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES},
	{"instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS},
	{"cache-references", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_REFERENCES},
	{"cache-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES},
	{"branches", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_INSTRUCTIONS},
	{"branch-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES},
	{"bus-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BUS_CYCLES},
	{"ref-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_REF_CPU_CYCLES},
};

static int find_counter(const char *name)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(counters); i++)
		if (!strcmp(counters[i].name, name))
			return (int)i;
	return -1;
}

static int fail_counter(const struct skep_attach *a, struct skep_err *err)
{
	char list[320] = "";
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(counters); i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
			 counters[i].name);
	return skep_fail(err, SKEP_E_ATTACH, EINVAL,
			 "program '%s': there is no event '%s' to sample; there are %s", a->prog,
			 a->perf, list);
}

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

/* Unless asked otherwise the software clock: it is there on every machine. */
int skep_attach_perf_event(const struct skep_attach *a, struct skep_links *links,
			   struct skep_err *err)
{
	uint64_t hz = a->frequency ? a->frequency : DEFAULT_HZ;
	int c = a->perf ? find_counter(a->perf) : 0;
	struct timer t = {
		.a = a,
		.links = links,
		.ev = {.kind = SKEP_EVENT_PERF,
		       .pid = a->pid,
		       .inherit = a->pid > 0,
		       .perf = {.period = a->period ? a->period : hz, .freq = !a->period}},
		.err = err,
	};
	int ret;

	if (c < 0)
		return fail_counter(a, err);
	t.ev.perf.type = counters[c].type;
	t.ev.perf.config = counters[c].config;
	snprintf(t.what, sizeof(t.what), "%s %s %llu%s", counters[c].name,
		 a->period ? "each" : "at", (unsigned long long)t.ev.perf.period,
		 a->period ? "" : " Hz");
	if (a->pid > 0)
		return add_threads(&t);
	ret = skep_each_cpu(add_timer, &t);
	if (ret < 0 && err && !err->err)
		skep_fail(err, SKEP_E_SYSTEM, -ret, "the list of processors cannot be read: %s",
			  strerror(-ret));
	return ret;
}
