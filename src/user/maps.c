/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the code of watched processes lies, for those who name stacks: the
 * PERF_RECORD_MMAP2 and _COMM records that the kernel would have written.
 *
 * No stop tells of mmap(2), so mappings are looked up when a stack is taken
 * that runs through code not told of yet.  See perf_event_open(2).
 */
#include "user/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Stacks full of nonsense must not have us read the mappings each time. */
#define LOOK_NS 50000000

/* What follows a record with sample_id_all: TID, TIME, CPU. */
struct trailer {
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, res;
};

struct record {
	struct perf_event_header header;
	uint32_t pid, tid;
};

struct record_mmap2 {
	struct record rec;
	uint64_t addr, len, pgoff;
	uint32_t maj, min;
	uint64_t ino, ino_generation;
	uint32_t prot, flags;
};

/* @fixed, then @text padded to 8 bytes, then the trailer. */
static void emit(struct skep_tracee *tracee, struct record *fixed, size_t len, const char *text,
		 pid_t tgid)
{
	const struct skep_tracer *t = tracee->tracer;
	size_t text_len = strlen(text), padded = (text_len + 8) & ~(size_t)7;
	struct trailer tail = {(uint32_t)tgid, (uint32_t)tracee->pid, skep_trace_now(), 0, 0};
	uint64_t buf[600] = {0};
	char *p = (char *)buf;

	if (!t->opts.task || len + padded + sizeof(tail) > sizeof(buf))
		return;
	fixed->pid = (uint32_t)tgid;
	fixed->tid = (uint32_t)tracee->pid;
	fixed->header.size = (uint16_t)(len + padded + sizeof(tail));
	memcpy(p, fixed, len);
	memcpy(p + len, text, text_len);
	memcpy(p + len + padded, &tail, sizeof(tail));
	t->opts.task(t->opts.user, p, fixed->header.size);
}

static void emit_map(struct skep_tracee *tracee, const struct trace_range *range, uint64_t off,
		     const char *path, pid_t tgid)
{
	struct record_mmap2 rec = {
		.rec.header = {.type = PERF_RECORD_MMAP2, .misc = PERF_RECORD_MISC_USER},
		.addr = range->start,
		.len = range->end - range->start,
		.pgoff = off,
		.prot = PROT_READ | PROT_EXEC,
		.flags = MAP_PRIVATE,
	};

	emit(tracee, &rec.rec, sizeof(rec), path, tgid);
}

static bool covered(const struct skep_tracee *leader, uint64_t ip)
{
	const struct trace_range *it;

	skep_vec_each (&leader->ranges, it) {
		if (ip >= it->start && ip < it->end)
			return true;
	}
	return false;
}

static bool known(const struct skep_tracee *leader, const struct trace_range *range)
{
	const struct trace_range *it;

	skep_vec_each (&leader->ranges, it) {
		if (it->start == range->start && it->end == range->end)
			return true;
	}
	return false;
}

static void look(struct skep_tracee *tracee, struct skep_tracee *leader, pid_t tgid)
{
	char path[64], line[4352], perms[8];
	struct trace_range range;
	uint64_t off;
	int at;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", tgid);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		at = 0;
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %" SCNx64 " %*s %*s %n", &range.start,
			   &range.end, perms, &off, &at) < 4 ||
		    perms[2] != 'x' || known(leader, &range))
			continue;
		if (skep_vec_push(&leader->ranges, range))
			break;
		if (at && line[at])
			emit_map(tracee, &range, off, line + at, tgid);
	}
	fclose(f);
}

void skep_trace_maps_cover(struct skep_tracee *tracee, const uint64_t *ips, unsigned int n)
{
	struct skep_tracer *t = tracee->tracer;
	pid_t tgid = tracee->tgid ? tracee->tgid : tracee->pid;
	struct skep_tracee *leader;
	unsigned int i;
	uint64_t now;

	if (!skep_trace_wants(t, TRACE_TASKS))
		return;
	leader = skep_trace_find(t, tgid);
	leader = leader ? leader : tracee;
	for (i = 0; i < n && covered(leader, ips[i]); i++)
		;
	now = skep_trace_now();
	if (i == n || (leader->looked && now - leader->looked < LOOK_NS))
		return;
	leader->looked = now;
	look(tracee, leader, tgid);
}

void skep_trace_maps_exec(struct skep_tracee *tracee)
{
	struct record rec = {
		.header = {.type = PERF_RECORD_COMM,
			   .misc = PERF_RECORD_MISC_USER | PERF_RECORD_MISC_COMM_EXEC}};

	tracee->ranges.len = 0;
	tracee->looked = 0;
	if (!skep_trace_wants(tracee->tracer, TRACE_TASKS))
		return;
	skep_trace_read_comm(tracee);
	emit(tracee, &rec, sizeof(rec), tracee->comm, tracee->pid);
}

static int tasks_open(struct skep_user *user, const struct skep_event *ev, const char *raw_tp,
		      struct skep_point *point, struct skep_err *err)
{
	struct skep_tracer *t = skep_user_tracer(user);
	struct trace_point *tp;
	int ret;

	if (!t || raw_tp || ev->kind != SKEP_EVENT_TASKS)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "not a record of tasks");
	tp = calloc(1, sizeof(*tp));
	if (!tp)
		return skep_fail_nomem(err);
	tp->point = point;
	tp->tracer = t;
	tp->kind = TRACE_TASKS;
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
	return 0;
}

static void tasks_close(struct skep_point *point)
{
	skep_trace_point_remove(point->priv);
	point->priv = NULL;
}

const struct skep_source_ops skep_source_tasks = {
	.name = "tasks",
	.open = tasks_open,
	.close = tasks_close,
};
