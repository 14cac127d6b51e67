/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running processes: all threads seized, all let go again unharmed.
 *
 * There is no filter in such a process, so it stops at every system call
 * while any is wanted, and the others are passed over.  A call under way when
 * the process is seized is interrupted and begun again by the kernel: its
 * start is seen then.
 */
#include "user/trace.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <unistd.h>

/* How long a process may take to stop so that it can be let go. */
#define DETACH_NS UINT64_C(2000000000)

/* Seizes the threads not seized yet: how many, or -errno if there was none to seize. */
static int seize_threads(struct skep_tracer *t, struct trace_root *root)
{
	struct skep_tracee *tracee;
	struct dirent *entry;
	char path[64];
	int n = 0, why = -ESRCH;
	pid_t tid;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", root->pid);
	dir = opendir(path);
	if (!dir)
		return -ESRCH;
	while ((entry = readdir(dir))) {
		tid = atoi(entry->d_name);
		if (tid <= 0 || skep_trace_find(t, tid))
			continue;
		/* Not permitted also if it was seized with its parent's clone: it will report. */
		if (ptrace(PTRACE_SEIZE, tid, 0, skep_trace_options(t, root))) {
			why = -errno;
			continue;
		}
		ptrace(PTRACE_INTERRUPT, tid, 0, 0);
		tracee = skep_trace_add(t, tid, root);
		if (!tracee) {
			why = -ENOMEM;
			break;
		}
		tracee->tgid = root->pid;
		n++;
	}
	closedir(dir);
	return n || root->tracees ? n : why;
}

int skep_trace_attach(struct skep_tracer *t, pid_t pid, struct trace_root **rootp,
		      struct skep_err *err)
{
	struct trace_root *root;
	int n;

	root = skep_trace_root_add(t, pid);
	if (!root)
		return skep_fail_nomem(err);
	/* Threads may be born meanwhile: until a look finds no new ones. */
	do
		n = seize_threads(t, root);
	while (n > 0);
	if (n < 0) {
		skep_trace_root_remove(t, root);
		return skep_fail(err, SKEP_E_PERMISSION, -n,
				 "process %d cannot be traced: %s (it must be of the same user and "
				 "not be traced by another program)",
				 pid, strerror(-n));
	}
	*rootp = root;
	return 0;
}

static void forget_all(struct skep_tracer *t, struct trace_root *root)
{
	struct skep_hash_slot *slot;
	size_t pos = 0;

	while ((slot = skep_hash_next(&t->table, &pos))) {
		if (((struct skep_tracee *)slot->value)->root != root)
			continue;
		skep_trace_remove(t, slot->value);
		pos = 0;
	}
}

void skep_trace_detach(struct skep_tracer *t, struct trace_root *root)
{
	uint64_t end = skep_trace_now() + DETACH_NS;
	struct timespec nap = {0, 5000000};
	struct skep_hash_slot *slot;
	struct skep_tracee *tracee;
	size_t pos = 0, i;

	root->leaving = true;
	while ((slot = skep_hash_next(&t->table, &pos))) {
		tracee = slot->value;
		if (tracee->root == root)
			ptrace(PTRACE_INTERRUPT, tracee->pid, 0, 0);
	}
	while (root->tracees && skep_trace_now() < end) {
		while (skep_trace_collect(t, false) > 0)
			;
		for (i = 0; i < t->stops.len; i++)
			skep_trace_handle(t, t->stops.data[i].pid, t->stops.data[i].status);
		if (!t->stops.len)
			sigtimedwait(&t->chld, NULL, &nap);
		t->stops.len = 0;
	}
	if (root->tracees)
		skep_warn(t->log,
			  "process %d does not stop to be let go: it will be when skep ends",
			  root->pid);
	forget_all(t, root);
	skep_trace_root_remove(t, root);
}
