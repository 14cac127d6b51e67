/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a stop to programs: contexts as the kernel fills them, then
 * skep_point_fire() for each point that wants this event.
 *
 * The CPU told to programs is the one that this tracer runs on: a stopped
 * tracee is on none, and the one it ran on costs a read of /proc an event.
 * Process and thread ids are those of the tracer's own pid namespace.
 */
#include "user/trace.h"

#include <fcntl.h>
#include <linux/auxvec.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Both raw tracepoints have two arguments; programs see no more of them. */
#define RAW_ARGS 2

struct raw_ctx {
	uint64_t args[RAW_ARGS];
};

static void begin(struct skep_tracee *tracee)
{
	struct skep_tracer *t = tracee->tracer;

	if (!tracee->tgid) {
		tracee->tgid = (pid_t)skep_trace_status_field(tracee->pid, "Tgid:");
		if (tracee->tgid <= 0)
			tracee->tgid = tracee->pid;
	}
	t->env.tgid = tracee->tgid;
	t->env.pid = tracee->pid;
	t->env.cpu = (unsigned int)sched_getcpu();
	t->env.source = tracee;
}

static void fire(struct trace_point *tp, void *ctx, size_t len)
{
	struct skep_tracer *t = tp->tracer;
	struct skep_vm_region regs = {(uintptr_t)&t->regs, (uintptr_t)(&t->regs + 1), false};

	t->env.nr_args = tp->raw ? RAW_ARGS : 0;
	skep_point_fire(tp->point, &t->env, ctx, len, &regs, tp->raw ? 1 : 0);
}

static bool wanted(const struct trace_point *tp, const struct skep_tracee *tracee)
{
	const struct trace_root *root = tracee->root;

	if (!skep_point_live(tp->point) || (root && root->leaving))
		return false;
	if (!tp->root)
		return true;
	if (!root || root->pid != tp->root || (tp->alone && tracee->tgid != root->pid))
		return false;
	if (tp->tid)
		return tracee->pid == tp->tid;
	return tp->kind != TRACE_SAMPLE || !tracee->own;
}

/* Raw tracepoints sys_enter(struct pt_regs *, long id) and sys_exit(struct pt_regs *, long ret). */
static void fire_raw(struct trace_point *tp, struct skep_tracee *tracee, int64_t arg)
{
	const struct skep_regs *regs = skep_trace_regs(tracee);
	struct raw_ctx raw = {{(uintptr_t)regs, (uint64_t)arg}};

	if (regs)
		fire(tp, &raw, sizeof(raw));
}

void skep_trace_fire_enter(struct skep_tracee *tracee, long nr, const uint64_t args[6],
			   bool foreign)
{
	struct skep_tracer *t = tracee->tracer;
	struct skep_ctx_sys_enter ctx = {.ent = skep_ctx_ent(tracee->pid), .id = nr};
	struct trace_point **it, *tp;

	memcpy(ctx.args, args, sizeof(ctx.args));
	begin(tracee);
	skep_vec_each (&t->points[TRACE_ENTER], it) {
		tp = *it;
		if ((!tp->all && (foreign || tp->nr != nr)) || !wanted(tp, tracee))
			continue;
		if (tp->raw)
			fire_raw(tp, tracee, nr);
		else
			fire(tp, &ctx, sizeof(ctx));
	}
}

void skep_trace_fire_exit(struct skep_tracee *tracee, long nr, int64_t ret, bool foreign)
{
	struct skep_tracer *t = tracee->tracer;
	struct skep_ctx_sys_exit ctx = {.ent = skep_ctx_ent(tracee->pid), .id = nr, .ret = ret};
	struct trace_point **it, *tp;

	begin(tracee);
	skep_vec_each (&t->points[TRACE_EXIT], it) {
		tp = *it;
		if ((!tp->all && (foreign || tp->nr != nr)) || !wanted(tp, tracee))
			continue;
		if (tp->raw)
			fire_raw(tp, tracee, ret);
		else
			fire(tp, &ctx, sizeof(ctx));
	}
}

static void fire_sched(struct skep_tracee *tracee, enum trace_kind kind)
{
	struct skep_tracer *t = tracee->tracer;
	struct trace_point **it;

	begin(tracee);
	skep_vec_each (&t->points[kind], it)
		if (wanted(*it, tracee))
			fire(*it, t->ctx.data, t->ctx.len);
}

/* The kernel's priority: 120 for nice 0; /proc/PID/stat tells it less 100. */
static int read_prio(pid_t pid)
{
	char path[64], text[512], *p;
	int fd, prio = 20, field;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 120;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	/* The name in parentheses may hold anything: count fields behind its end. */
	p = strrchr(text, ')');
	for (field = 2; p && field < 18; field++)
		p = strchr(p + 1, ' ');
	if (p)
		prio = atoi(p);
	return prio + 100;
}

void skep_trace_fire_fork(struct skep_tracee *parent, pid_t child)
{
	struct skep_tracer *t = parent->tracer;

	if (!skep_trace_wants(t, TRACE_SCHED_FORK))
		return;
	skep_trace_read_comm(parent);
	skep_ctx_begin(&t->ctx, &t->layouts.l[SKEP_LAYOUT_FORK], parent->pid);
	skep_ctx_str(&t->ctx, SKEP_M_PARENT_COMM, parent->comm);
	skep_ctx_int(&t->ctx, SKEP_M_PARENT_PID, parent->pid);
	/* A task is born with its parent's name. */
	skep_ctx_str(&t->ctx, SKEP_M_CHILD_COMM, parent->comm);
	skep_ctx_int(&t->ctx, SKEP_M_CHILD_PID, child);
	fire_sched(parent, TRACE_SCHED_FORK);
}

/*
 * The path given to execve(2), as bprm->filename is: the kernel leaves a copy
 * on the new stack and points to it in the auxiliary vector.
 */
static void exec_filename(pid_t pid, char *name, size_t size)
{
	uint64_t aux[2 * 64];
	char path[64];
	uint64_t addr = 0;
	ssize_t n, i;
	size_t len;
	int fd;

	name[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/auxv", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, aux, sizeof(aux));
	close(fd);
	for (i = 0; i + 1 < n / 8; i += 2)
		if (aux[i] == AT_EXECFN)
			addr = aux[i + 1];
	/* The string stands at the very end of the stack: read up to each page's end. */
	for (len = 0; addr && len < size - 1; len += (size_t)n) {
		n = 4096 - (ssize_t)((addr + len) & 4095);
		if ((size_t)n > size - 1 - len)
			n = (ssize_t)(size - 1 - len);
		if (skep_trace_read_mem(pid, name + len, addr + len, (size_t)n))
			break;
		if (memchr(name + len, 0, (size_t)n))
			return;
	}
	name[len] = 0;
}

void skep_trace_fire_exec(struct skep_tracee *tracee, pid_t old_pid)
{
	struct skep_tracer *t = tracee->tracer;
	char name[4096];

	if (skep_trace_wants(t, TRACE_SCHED_EXIT) || skep_trace_wants(t, TRACE_SCHED_FREE))
		skep_trace_read_comm(tracee);
	if (!skep_trace_wants(t, TRACE_SCHED_EXEC))
		return;
	exec_filename(tracee->pid, name, sizeof(name));
	skep_ctx_begin(&t->ctx, &t->layouts.l[SKEP_LAYOUT_EXEC], tracee->pid);
	skep_ctx_str(&t->ctx, SKEP_M_FILENAME, name);
	skep_ctx_int(&t->ctx, SKEP_M_PID, tracee->pid);
	skep_ctx_int(&t->ctx, SKEP_M_OLD_PID, old_pid);
	fire_sched(tracee, TRACE_SCHED_EXEC);
}

/* Is this the last thread of its process that we know of? */
static bool last_thread(struct skep_tracee *tracee)
{
	struct skep_hash_slot *slot;
	struct skep_tracee *other;
	size_t pos = 0;

	while ((slot = skep_hash_next(&tracee->tracer->table, &pos))) {
		other = slot->value;
		if (other != tracee && other->tgid == tracee->tgid && !other->exit_told)
			return false;
	}
	return true;
}

static void fire_end(struct skep_tracee *tracee, enum trace_kind kind, enum skep_layout_id layout)
{
	struct skep_tracer *t = tracee->tracer;

	begin(tracee);
	skep_ctx_begin(&t->ctx, &t->layouts.l[layout], tracee->pid);
	skep_ctx_str(&t->ctx, SKEP_M_COMM, tracee->comm);
	skep_ctx_int(&t->ctx, SKEP_M_PID, tracee->pid);
	skep_ctx_int(&t->ctx, SKEP_M_PRIO, read_prio(tracee->pid));
	skep_ctx_int(&t->ctx, SKEP_M_GROUP_DEAD, last_thread(tracee));
	fire_sched(tracee, kind);
}

void skep_trace_fire_sched_exit(struct skep_tracee *tracee)
{
	if (tracee->exit_told)
		return;
	tracee->exit_told = true;
	if (skep_trace_wants(tracee->tracer, TRACE_SCHED_EXIT) ||
	    skep_trace_wants(tracee->tracer, TRACE_SCHED_FREE))
		skep_trace_read_comm(tracee);
	if (skep_trace_wants(tracee->tracer, TRACE_SCHED_FREE))
		skep_trace_read_uid(tracee);
	if (skep_trace_wants(tracee->tracer, TRACE_SCHED_EXIT))
		fire_end(tracee, TRACE_SCHED_EXIT, SKEP_LAYOUT_EXIT);
}

void skep_trace_fire_free(struct skep_tracee *tracee)
{
	if (skep_trace_wants(tracee->tracer, TRACE_SCHED_FREE))
		fire_end(tracee, TRACE_SCHED_FREE, SKEP_LAYOUT_FREE);
}

/* struct bpf_perf_event_data: registers, sample period, address. */
struct sample_ctx {
	struct skep_regs regs;
	uint64_t sample_period, addr;
};

void skep_trace_fire_sample(struct skep_tracee *tracee)
{
	struct skep_tracer *t = tracee->tracer;
	const struct skep_regs *regs = skep_trace_regs(tracee);
	struct sample_ctx ctx = {.addr = 0};
	struct trace_point **it;

	if (!regs)
		return;
	begin(tracee);
	t->env.cpu = (unsigned int)tracee->cpu;
	ctx.regs = *regs;
	skep_vec_each (&t->points[TRACE_SAMPLE], it) {
		if (!wanted(*it, tracee) || !(*it)->due ||
		    ((*it)->cpu >= 0 && (*it)->cpu != tracee->cpu))
			continue;
		ctx.sample_period = (*it)->sample_period;
		fire(*it, &ctx, sizeof(ctx));
	}
}
