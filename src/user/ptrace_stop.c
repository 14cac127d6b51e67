/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a stop of a tracee means, and how it goes on.  ptrace(2), "Stopped
 * states", for tracees that were seized.
 *
 * Any request may fail with ESRCH: SIGKILL takes a tracee out of its stop at
 * any moment.  That is never an error here; its end will be told by wait(2).
 */
#include "user/trace.h"

#include <errno.h>
#include <linux/audit.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCH AUDIT_ARCH_AARCH64
#endif

unsigned long skep_trace_options(const struct skep_tracer *t, const struct trace_root *root)
{
	unsigned long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |
				PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

	/* A command's filter makes calls fail without a tracer: it cannot outlive us. */
	if (root->cmd)
		options |= PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
	if (skep_trace_wants(t, TRACE_SCHED_EXIT) || skep_trace_wants(t, TRACE_SCHED_FREE))
		options |= PTRACE_O_TRACEEXIT;
	return options;
}

void skep_trace_resume(struct skep_tracee *tracee, int sig)
{
	struct skep_tracer *t = tracee->tracer;
	bool calls = tracee->step && (skep_call_any(&t->enter) || skep_call_any(&t->exit));

	if (tracee->root && tracee->root->leaving) {
		ptrace(PTRACE_DETACH, tracee->pid, 0, sig);
		skep_trace_remove(tracee->tracer, tracee);
		return;
	}
	ptrace(calls || tracee->want_exit ? PTRACE_SYSCALL : PTRACE_CONT, tracee->pid, 0, sig);
}

static void say_foreign(struct skep_tracer *t, pid_t pid)
{
	if (t->foreign++ == 0)
		skep_warn(t->log,
			  "process %d makes system calls of another ABI (i386 or x32): as in the "
			  "kernel, syscalls/* does not see them",
			  pid);
}

/* The start of a call, told by the filter or, without one, by the kernel's own stop. */
static void on_enter(struct skep_tracee *tracee, uint32_t arch, uint64_t nr, const uint64_t *args)
{
	struct skep_tracer *t = tracee->tracer;
	bool foreign = arch != NATIVE_ARCH || nr >= SKEP_SYSCALL_MAX;
	uint64_t copy[6];

	memcpy(copy, args, sizeof(copy));
	tracee->in_call = true;
	tracee->nr = foreign ? (long)(int)nr : (long)nr;
	tracee->foreign = foreign;
	tracee->want_exit = false;
	if (foreign)
		say_foreign(t, tracee->pid);
	if (tracee == t->pin.tracee && (foreign || skep_trace_pin_call((long)nr)))
		skep_trace_unpin(t);
	if (tracee->held && nr != SYS_execve && nr != SYS_execveat)
		return;
	tracee->want_exit = foreign ? t->exit.all : skep_call_has(&t->exit, nr);
	if (foreign ? t->enter.all : skep_call_has(&t->enter, nr))
		skep_trace_fire_enter(tracee, tracee->nr, copy, foreign);
}

static void on_leave(struct skep_tracee *tracee, int64_t ret)
{
	const struct skep_regs *regs;
	long nr = tracee->nr;

	tracee->in_call = false;
	tracee->want_exit = false;
	if (nr == TRACE_NR_UNKNOWN) {
		regs = skep_trace_regs(tracee);
		nr = regs ? skep_regs_syscall(regs) : -1;
	} else if (nr == SYS_rt_sigreturn && !tracee->foreign) {
		/* The number went with the frame: the kernel too tells -1 here. */
		nr = -1;
	}
	tracee->nr = TRACE_NR_UNKNOWN;
	if (tracee->held && nr != SYS_execve && nr != SYS_execveat)
		return;
	skep_trace_fire_exit(tracee, nr, ret, tracee->foreign);
}

static void on_syscall(struct skep_tracee *tracee)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, tracee->pid, sizeof(info), &info) <= 0)
		return;
	switch (info.op) {
	case PTRACE_SYSCALL_INFO_SECCOMP:
		on_enter(tracee, info.arch, info.seccomp.nr, (const uint64_t *)info.seccomp.args);
		break;
	case PTRACE_SYSCALL_INFO_ENTRY:
		on_enter(tracee, info.arch, info.entry.nr, (const uint64_t *)info.entry.args);
		break;
	case PTRACE_SYSCALL_INFO_EXIT: on_leave(tracee, info.exit.rval); break;
	default: break;
	}
}

/* The birth of @child has now been told: it may go on. */
static void announced(struct skep_tracee *child)
{
	struct skep_tracer *t = child->tracer;

	if (child->dead) {
		t->current = child;
		child->dead = false;
		t->nr_early--;
		skep_trace_on_end(child, child->status);
		return;
	}
	if (!child->early)
		return;
	child->early = false;
	child->starting = false;
	t->nr_early--;
	skep_trace_resume(child, 0);
}

static void on_fork(struct skep_tracee *parent, int event)
{
	struct skep_tracer *t = parent->tracer;
	struct skep_tracee *child;
	unsigned long pid;

	if (ptrace(PTRACE_GETEVENTMSG, parent->pid, 0, &pid))
		return;
	skep_trace_unpin_fork(t, parent->pid, (pid_t)pid);
	child = skep_hash_get(&t->table, &(pid_t){(pid_t)pid}, sizeof(pid_t));
	if (!child) {
		child = skep_trace_add(t, (pid_t)pid, parent->root);
		if (!child) {
			skep_warn(t->log, "out of memory: process %lu is not watched", pid);
			return;
		}
		child->starting = true;
	}
	/* A clone may be a thread or, without CLONE_THREAD, a process: looked up when asked. */
	if (event != PTRACE_EVENT_CLONE)
		child->tgid = child->pid;
	memcpy(child->comm, parent->comm, sizeof(child->comm));
	if (!parent->held)
		skep_trace_fire_fork(parent, child->pid);
	announced(child);
}

struct skep_tracee *skep_trace_adopt(struct skep_tracer *t, pid_t pid)
{
	long ppid = skep_trace_status_field(pid, "PPid:"),
	     tgid = skep_trace_status_field(pid, "Tgid:");
	struct skep_tracee *parent, *tracee;

	skep_trace_unpin_fork(t, 0, pid);
	/* A thread's parent is its process; clone(2) with CLONE_PARENT shows in neither. */
	parent = skep_trace_find(t, (pid_t)(tgid != pid ? tgid : ppid));
	tracee = skep_trace_add(t, pid,
				parent	       ? parent->root
				: t->roots.len ? t->roots.data[t->roots.len - 1]
					       : NULL);
	if (!tracee)
		return NULL;
	tracee->tgid = tgid > 0 ? (pid_t)tgid : 0;
	tracee->parent = parent ? parent->pid : 0;
	tracee->starting = true;
	if (parent) {
		tracee->early = true;
		t->nr_early++;
	}
	return tracee;
}

void skep_trace_settle_early(struct skep_tracer *t, pid_t tgid)
{
	struct skep_hash_slot *slot;
	struct skep_tracee *child;
	size_t pos = 0;

	if (!t->nr_early || skep_trace_find(t, tgid))
		return;
	while ((slot = skep_hash_next(&t->table, &pos))) {
		child = slot->value;
		if (child->parent != tgid || (!child->early && !child->dead))
			continue;
		child->parent = 0;
		announced(child);
		/* The table may have changed: from the start. */
		pos = 0;
	}
}

/*
 * execve(2) by a thread that is not the leader: it lives on under the leader's
 * pid, all other threads are gone, the old leader without a word.
 */
static struct skep_tracee *on_exec_thread(struct skep_tracee *tracee, pid_t former)
{
	struct skep_tracer *t = tracee->tracer;
	struct skep_tracee *old = skep_hash_get(&t->table, &former, sizeof(former));

	if (!old || old == tracee)
		return tracee;
	tracee->nr = old->nr;
	tracee->in_call = old->in_call;
	tracee->want_exit = old->want_exit;
	memcpy(tracee->comm, old->comm, sizeof(old->comm));
	skep_trace_remove(t, old);
	return tracee;
}

static void on_exec(struct skep_tracee *tracee)
{
	unsigned long former = (unsigned long)tracee->pid;

	ptrace(PTRACE_GETEVENTMSG, tracee->pid, 0, &former);
	if ((pid_t)former != tracee->pid)
		tracee = on_exec_thread(tracee, (pid_t)former);
	tracee->tgid = tracee->pid;
	tracee->held = false;
	skep_trace_maps_exec(tracee);
	skep_trace_fire_exec(tracee, (pid_t)former);
}

/* PTRACE_EVENT_STOP: the first stop of a new tracee, our interrupt, or a group stop. */
static void on_event_stop(struct skep_tracee *tracee, int sig)
{
	bool group = sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU;

	if (tracee->starting && tracee->early)
		return; /* stays until its parent's word */
	tracee->starting = false;
	if (group && !(tracee->root && tracee->root->leaving)) {
		tracee->listening = true;
		ptrace(PTRACE_LISTEN, tracee->pid, 0, 0);
		return;
	}
	tracee->listening = false;
	skep_trace_resume(tracee, 0);
}

void skep_trace_on_stop(struct skep_tracee *tracee, int status)
{
	int sig = WSTOPSIG(status), event = status >> 16;

	if (tracee->early && event != PTRACE_EVENT_STOP) {
		/* Not at its first stop, so it is not new. */
		tracee->early = false;
		tracee->tracer->nr_early--;
	}
	/* Our interrupt makes it stop once: if it was about to stop anyway, there. */
	if (tracee->sample) {
		tracee->sample = false;
		if (!tracee->held)
			skep_trace_fire_sample(tracee);
	}
	switch (event) {
	case PTRACE_EVENT_SECCOMP: on_syscall(tracee); break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE: on_fork(tracee, event); break;
	case PTRACE_EVENT_EXEC: on_exec(tracee); break;
	case PTRACE_EVENT_EXIT:
		if (!tracee->held)
			skep_trace_fire_sched_exit(tracee);
		break;
	case PTRACE_EVENT_STOP: on_event_stop(tracee, sig); return;
	case 0:
		if (sig != (SIGTRAP | 0x80)) {
			skep_trace_resume(tracee, sig);
			return;
		}
		on_syscall(tracee);
		break;
	default: break;
	}
	skep_trace_resume(tracee, 0);
}

void skep_trace_on_end(struct skep_tracee *tracee, int status)
{
	struct skep_tracer *t = tracee->tracer;
	struct trace_root *root = tracee->root;
	pid_t pid = tracee->pid, tgid = tracee->tgid ? tracee->tgid : pid;
	bool leaving = root && root->leaving;

	if (!tracee->held && !leaving) {
		skep_trace_fire_sched_exit(tracee);
		skep_trace_fire_free(tracee);
	}
	skep_trace_remove(t, tracee);
	if (root && root->cmd && root->pid == pid) {
		root->held.reaped = true;
		root->held.status = status;
		root->cmd->status = status;
		root->cmd->exec_errno = skep_held_exec_errno(&root->held);
		root->cmd->ended = true;
	}
	skep_trace_settle_early(t, tgid);
}
