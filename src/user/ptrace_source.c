/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Points of the ptrace machine: from the name of an event to what is watched.
 *
 * A filter cannot be changed once its command runs, so what it stops at is
 * settled at release; see skep_tracer_release().
 */
#include "user/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/near.h"

static void update_calls(struct skep_tracer *t)
{
	static const enum trace_kind kinds[] = {TRACE_ENTER, TRACE_EXIT};
	struct trace_point **it;
	size_t i;

	for (i = 0; i < 2; i++) {
		struct skep_call_set *set = kinds[i] == TRACE_ENTER ? &t->enter : &t->exit;

		memset(set, 0, sizeof(*set));
		skep_vec_each (&t->points[kinds[i]], it) {
			if ((*it)->all)
				set->all = true;
			else
				skep_call_add(set, (unsigned int)(*it)->nr);
		}
	}
}

int skep_trace_point_add(struct skep_tracer *t, struct trace_point *tp)
{
	if (skep_vec_push(&t->points[tp->kind], tp))
		return -ENOMEM;
	update_calls(t);
	return 0;
}

void skep_trace_point_remove(struct trace_point *tp)
{
	struct skep_tracer *t = tp->tracer;
	struct trace_root **it;
	size_t i, n = t->points[tp->kind].len;

	for (i = 0; i < n && t->points[tp->kind].data[i] != tp; i++)
		;
	if (i < n) {
		memmove(&t->points[tp->kind].data[i], &t->points[tp->kind].data[i + 1],
			(n - i - 1) * sizeof(tp));
		t->points[tp->kind].len--;
	}
	update_calls(t);
	skep_vec_each (&t->roots, it) {
		if (!tp->root || (*it)->pid != tp->root || (*it)->cmd || --(*it)->refs)
			continue;
		skep_trace_detach(t, *it);
		break;
	}
	free(tp);
}

int skep_trace_point_scope(struct skep_tracer *t, const struct skep_event *ev,
			   struct trace_point *tp, struct skep_err *err)
{
	struct trace_root **it, *root = NULL;
	struct skep_tracee *thread;
	pid_t tgid;
	int ret;

	if (!ev || ev->pid <= 0)
		return 0;
	tgid = (pid_t)skep_trace_status_field(ev->pid, "Tgid:");
	if (tgid <= 0)
		return skep_fail(err, SKEP_E_NOT_FOUND, ESRCH, "there is no process %d", ev->pid);
	skep_vec_each (&t->roots, it) {
		if ((*it)->pid == tgid)
			root = *it;
	}
	if (!root) {
		ret = skep_trace_attach(t, tgid, &root, err);
		if (ret)
			return ret;
	}
	tp->root = tgid;
	tp->alone = !ev->inherit;
	root->refs++;
	/* As perf events do it: threads that are there have an event each. */
	if (ev->pid == tgid)
		return 0;
	tp->tid = ev->pid;
	thread = skep_trace_find(t, ev->pid);
	if (thread)
		thread->own = true;
	return 0;
}

/* No such call: which ones may have been meant, with the side that @name has. */
static int fail_call(const char *name, struct skep_err *err)
{
	const char *side = strncmp(name, "sys_exit_", 9) ? "sys_enter_" : "sys_exit_";
	struct skep_near near;
	char text[400], other[96];
	long nr;

	skep_near_init(&near, name);
	for (nr = 0; nr < SKEP_SYSCALL_MAX; nr++) {
		if (!skep_syscall_name(nr))
			continue;
		snprintf(other, sizeof(other), "%s%s", side, skep_syscall_name(nr));
		skep_near_add(&near, other);
	}
	return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
			 "there is no tracepoint syscalls/%s (the names are the kernel's "
			 "functions': newstat, not stat)%s",
			 name, skep_near_text(&near, text, sizeof(text)));
}

/* "sys_enter_openat": which side, and which call.  0 or -errno. */
static int parse_call(struct trace_point *tp, const char *name, struct skep_err *err)
{
	bool enter = !strncmp(name, "sys_enter_", 10), leave = !strncmp(name, "sys_exit_", 9);
	int nr = -ENOENT;

	if (enter || leave)
		nr = skep_syscall_nr(name + (enter ? 10 : 9));
	if (nr < 0)
		return fail_call(name, err);
	tp->kind = enter ? TRACE_ENTER : TRACE_EXIT;
	tp->nr = nr;
	return 0;
}

static int parse_sys(struct trace_point *tp, const char *name)
{
	if (strcmp(name, "sys_enter") && strcmp(name, "sys_exit"))
		return -ENOENT;
	tp->kind = name[4] == 'e' && name[5] == 'n' ? TRACE_ENTER : TRACE_EXIT;
	tp->all = true;
	return 0;
}

static int parse_sched(struct trace_point *tp, const char *name)
{
	static const struct {
		const char *name;
		enum trace_kind kind;
	} names[] = {
		{"sched_process_fork", TRACE_SCHED_FORK},
		{"sched_process_exec", TRACE_SCHED_EXEC},
		{"sched_process_exit", TRACE_SCHED_EXIT},
		{"sched_process_free", TRACE_SCHED_FREE},
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i].name, name))
			continue;
		tp->kind = names[i].kind;
		return 0;
	}
	return -ENOENT;
}

static int parse_tracepoint(struct trace_point *tp, const struct skep_event *ev,
			    struct skep_err *err)
{
	const char *category = ev->tracepoint.category, *name = ev->tracepoint.name;

	if (!strcmp(category, "syscalls"))
		return parse_call(tp, name, err);
	if (!strcmp(category, "raw_syscalls") && !parse_sys(tp, name))
		return 0;
	if (!strcmp(category, "sched") && !parse_sched(tp, name))
		return 0;
	return skep_fail(
		err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
		"tracepoint %s/%s: the user engine has only syscalls/*, raw_syscalls/* and "
		"sched/sched_process_fork, exec, exit and free; as root, --engine kernel "
		"has all",
		category, name);
}

static int parse(struct trace_point *tp, const struct skep_event *ev, const char *raw_tp,
		 struct skep_err *err)
{
	if (raw_tp) {
		tp->raw = true;
		if (!parse_sys(tp, raw_tp))
			return 0;
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "raw tracepoint %s: the user engine has only sys_enter and "
				 "sys_exit%s; as root, --engine kernel has all",
				 raw_tp,
				 strncmp(raw_tp, "sched_process_", 14)
					 ? ""
					 : " (for this one use tracepoint/sched/...)");
	}
	if (ev->kind != SKEP_EVENT_TRACEPOINT)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "not a tracepoint: the user engine has no such event");
	return parse_tracepoint(tp, ev, err);
}

/* A running command's filter must already stop at what @tp wants. */
static int check_filters(struct skep_tracer *t, const struct trace_point *tp, struct skep_err *err)
{
	struct trace_root **it;

	if (tp->kind != TRACE_ENTER && tp->kind != TRACE_EXIT)
		return 0;
	skep_vec_each (&t->roots, it) {
		if (!(*it)->cmd || !(*it)->released || (*it)->set.all || !(*it)->tracees)
			continue;
		if (!tp->all && skep_call_has(&(*it)->set, (unsigned long)tp->nr))
			continue;
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "the command runs already, with a filter that does not stop at "
				 "this system call: attach before it is let go");
	}
	return 0;
}

static int ptrace_open(struct skep_user *user, const struct skep_event *ev, const char *raw_tp,
		       struct skep_point *point, struct skep_err *err)
{
	struct skep_tracer *t = skep_user_tracer(user);
	struct trace_point *tp;
	int ret;

	if (!t)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "this engine cannot watch processes");
	tp = calloc(1, sizeof(*tp));
	if (!tp)
		return skep_fail_nomem(err);
	tp->point = point;
	tp->tracer = t;
	ret = parse(tp, ev, raw_tp, err);
	if (!ret)
		ret = check_filters(t, tp, err);
	if (!ret)
		ret = skep_trace_point_scope(t, ev, tp, err);
	if (ret) {
		free(tp);
		return ret;
	}
	if (tp->kind >= TRACE_SCHED_FORK)
		skep_layouts_init(&t->layouts, t->log);
	point->priv = tp;
	ret = skep_trace_point_add(t, tp);
	if (ret) {
		skep_trace_point_remove(tp);
		return skep_fail_nomem(err);
	}
	return 0;
}

static void ptrace_close(struct skep_point *point)
{
	skep_trace_point_remove(point->priv);
	point->priv = NULL;
}

const struct skep_source_ops skep_source_ptrace = {
	.name = "ptrace",
	.open = ptrace_open,
	.close = ptrace_close,
};
