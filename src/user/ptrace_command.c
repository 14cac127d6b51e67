/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands: held until released, then filtered and seized.
 *
 * The filter is installed by the child itself, before its exec; the tracer
 * seizes it while it spins in user mode.  So the first system call that is
 * seen is the execve(2), and no call of skep's own.
 */
#include "user/trace.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long ended tracees are waited for. */
#define END_NS UINT64_C(3000000000)

struct trace_root *skep_trace_root_add(struct skep_tracer *t, pid_t pid)
{
	struct trace_root *root = calloc(1, sizeof(*root));

	if (!root)
		return NULL;
	root->pid = pid;
	if (skep_vec_push(&t->roots, root)) {
		free(root);
		return NULL;
	}
	return root;
}

void skep_trace_root_remove(struct skep_tracer *t, struct trace_root *root)
{
	size_t i;

	for (i = 0; i < t->roots.len && t->roots.data[i] != root; i++)
		;
	if (i == t->roots.len)
		return;
	t->roots.data[i] = t->roots.data[--t->roots.len];
	free(root);
}

/* In the child, before its exec. */
static int prepare(void *arg, const void *msg, size_t len)
{
	const struct skep_tracer *t = arg;

	if (t->old_chld.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_IGN);
	sigprocmask(SIG_SETMASK, &t->old_mask, NULL);
	if (!len)
		return 0;
	return skep_filter_install(msg, len / sizeof(struct sock_filter));
}

int skep_tracer_spawn(struct skep_tracer *t, struct skep_command *cmd, struct skep_err *err)
{
	struct trace_root *root = skep_trace_root_add(t, 0);
	int ret;

	if (!root)
		return skep_fail_nomem(err);
	root->cmd = cmd;
	cmd->ended = false;
	cmd->status = cmd->exec_errno = 0;
	cmd->engine = NULL;
	ret = skep_held_start(&root->held, cmd->argv, prepare, t, err);
	if (ret < 0) {
		skep_held_deinit(&root->held);
		skep_trace_root_remove(t, root);
		return ret;
	}
	root->pid = cmd->pid = root->held.pid;
	cmd->engine = root;
	return 0;
}

/* True when nothing that we start can have another uid than ours, ever. */
static bool uid_is_fixed(void)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct caps[2];
	uid_t ruid, euid, suid;
	gid_t rgid, egid, sgid;

	if (syscall(SYS_capget, &head, caps) || caps[0].permitted || caps[1].permitted)
		return false;
	/* Programs with the set-uid bit gain nothing under an unprivileged tracer. */
	return !getresuid(&ruid, &euid, &suid) && !getresgid(&rgid, &egid, &sgid) && ruid == euid &&
	       ruid == suid && rgid == egid && rgid == sgid;
}

static int seize(struct skep_tracer *t, struct trace_root *root, struct skep_err *err)
{
	struct skep_tracee *tracee;

	if (ptrace(PTRACE_SEIZE, root->pid, 0, skep_trace_options(t, root)))
		return skep_fail(err, SKEP_E_PERMISSION, errno,
				 "'%s' cannot be traced: %s (is ptrace(2) denied by a seccomp "
				 "profile or by /proc/sys/kernel/yama/ptrace_scope?)",
				 root->cmd->argv[0], strerror(errno));
	tracee = skep_trace_add(t, root->pid, root);
	if (!tracee)
		return skep_fail_nomem(err);
	tracee->tgid = root->pid;
	tracee->held = true;
	return 0;
}

int skep_tracer_release(struct skep_tracer *t, struct skep_command *cmd, struct skep_err *err)
{
	struct sock_filter insns[SKEP_FILTER_MAX];
	struct trace_root *root = cmd->engine;
	size_t i, n = 0;
	int ret;

	if (!root || root->released || cmd->ended)
		return skep_fail(err, SKEP_E_COMMAND, ESRCH, "'%s' is not held", cmd->argv[0]);
	root->set = t->enter;
	root->set.all |= t->exit.all;
	for (i = 0; i < sizeof(root->set.bits) / sizeof(root->set.bits[0]); i++)
		root->set.bits[i] |= t->exit.bits[i];
	if (skep_call_any(&root->set)) {
		skep_call_add(&root->set, SYS_sched_getaffinity);
		skep_call_add(&root->set, SYS_sched_setaffinity);
		n = skep_filter_build(insns, &root->set);
	}
	ret = skep_held_arm(&root->held, n ? insns : NULL, n * sizeof(insns[0]), err);
	if (!ret)
		ret = seize(t, root, err);
	if (ret < 0)
		return ret;
	t->uid_fixed = uid_is_fixed();
	t->uid_gid = (uint64_t)getgid() << 32 | getuid();
	root->released = true;
	if (cmd->ready)
		cmd->ready(cmd);
	skep_held_release(&root->held);
	return 0;
}

/* SIGKILL to every task of @root's, and their ends collected without telling programs. */
void skep_trace_root_kill(struct skep_tracer *t, struct trace_root *root)
{
	uint64_t end = skep_trace_now() + END_NS;
	struct timespec nap = {0, 5000000};
	struct skep_hash_slot *slot;
	struct skep_tracee *tracee;
	size_t pos, i;

	while (root->tracees && skep_trace_now() < end) {
		/* Again each time: a fork may have been under way. */
		for (pos = 0; (slot = skep_hash_next(&t->table, &pos));) {
			tracee = slot->value;
			if (tracee->root != root)
				continue;
			tracee->held = true;
			kill(tracee->pid, SIGKILL);
		}
		while (skep_trace_collect(t, false) > 0)
			;
		for (i = 0; i < t->stops.len; i++)
			skep_trace_handle(t, t->stops.data[i].pid, t->stops.data[i].status);
		if (!t->stops.len)
			sigtimedwait(&t->chld, NULL, &nap);
		t->stops.len = 0;
	}
	if (root->tracees)
		skep_warn(t->log, "%zu processes of '%s' do not end", root->tracees,
			  root->cmd ? root->cmd->argv[0] : "the command");
}

void skep_tracer_reap(struct skep_tracer *t, struct skep_command *cmd)
{
	struct trace_root *root = cmd->engine;
	struct skep_hash_slot *slot;
	size_t pos = 0;

	if (!root)
		return;
	if (cmd->ended && root->tracees)
		skep_warn(t->log,
			  "'%s' left %zu tasks running: they are ended, as in the user engine they "
			  "cannot go on without skep",
			  cmd->argv[0], root->tracees);
	skep_trace_root_kill(t, root);
	if (cmd->ended)
		root->held.reaped = true;
	skep_held_deinit(&root->held);
	while ((slot = skep_hash_next(&t->table, &pos)))
		if (((struct skep_tracee *)slot->value)->root == root)
			((struct skep_tracee *)slot->value)->root = NULL;
	skep_trace_root_remove(t, root);
	cmd->engine = NULL;
}
