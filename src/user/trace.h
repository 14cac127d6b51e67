/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of the ptrace machine, for its own files only:
 *
 *	tracee.c	create, destroy, the table of tracees, waiting (step)
 *	ptrace_stop.c	what a stop means, and how the tracee goes on
 *	ptrace_fire.c	from a stop to contexts and programs
 *	ptrace_env.c	what helpers may ask about the current task
 *	ptrace_source.c	points: names to what is watched
 *	ptrace_command.c	commands: hold, filter, release, reap
 *	ptrace_attach.c	running processes: seize, let go
 *	timer.c		samples
 *	maps.c		where code lies, for the names of stacks
 *	pin.c		one processor for two that take turns
 *
 * A tracee is in one of: starting (its first stop is to come), early (stopped,
 * but its parent's fork has not been told yet), running, listening (group
 * stop), dead (told by wait before its parent's fork).
 */
#ifndef SKEP_USER_TRACE_H
#define SKEP_USER_TRACE_H

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/hash.h"
#include "base/vec.h"
#include "sys/command.h"
#include "user/context.h"
#include "user/filter.h"
#include "user/regs.h"
#include "user/source.h"
#include "user/tracee.h"

#define TRACE_COMM 16

/* A call number not known: attached or interrupted in the middle. */
#define TRACE_NR_UNKNOWN (-2)

enum trace_kind {
	TRACE_ENTER, /* of one call or of all */
	TRACE_EXIT,
	TRACE_SCHED_FORK,
	TRACE_SCHED_EXEC,
	TRACE_SCHED_EXIT,
	TRACE_SCHED_FREE,
	TRACE_SAMPLE,
	TRACE_TASKS, /* no programs: records of processes */
	TRACE_KIND_NR,
};

struct trace_point {
	struct skep_point *point;
	struct skep_tracer *tracer;
	enum trace_kind kind;
	bool raw; /* a raw tracepoint: context is u64 args[] */
	bool all; /* TRACE_ENTER, TRACE_EXIT: every call; else `nr` */
	long nr;
	pid_t root; /* only tasks of this command or attached process; 0: all */
	bool alone; /* and not of the processes it makes */
	pid_t tid; /* only this thread of it; 0: all that have no point of their own */
	/* TRACE_SAMPLE: */
	int cpu; /* only threads there; -1: any */
	uint64_t period_ns, next_ns;
	uint64_t sample_period; /* as told to programs */
	bool due; /* its tick has come; the tasks it interrupted are to be told */
};

/* A command, or a process attached to. */
struct trace_root {
	pid_t pid;
	struct skep_command *cmd; /* NULL: attached */
	struct skep_held held;
	struct skep_call_set set; /* that the filter stops at */
	bool released, leaving;
	unsigned int refs; /* attached: points that want it */
	size_t tracees;
};

/* Executable memory that was told of. */
struct trace_range {
	uint64_t start, end;
};

struct skep_tracee {
	pid_t pid, tgid; /* tgid 0: not looked up yet */
	struct trace_root *root;
	struct skep_tracer *tracer;
	long nr; /* of the call it is in */
	bool starting, early, dead, listening;
	bool held; /* the command before its exec succeeded: nothing of it is told but the exec */
	bool step; /* no filter: stops at every call */
	bool want_exit; /* goes on to the exit of the call */
	bool in_call;
	bool foreign; /* the call in hand is of another ABI */
	bool own; /* has a point of its own */
	bool sample; /* was interrupted to be sampled */
	bool exit_told;
	int cpu; /* it ran on at the last tick */
	char comm[TRACE_COMM]; /* last one seen; for what is told after death */
	uint64_t uid_gid; /* likewise: gid << 32 | uid */
	int comm_fd; /* /proc/PID/comm, or -1 */
	SKEP_VEC(struct trace_range) ranges; /* of the process: in its leader's */
	uint64_t looked; /* when, ns; 0: not yet */
	pid_t parent; /* tgid of who made it, for `early` ones */
	int status; /* of `dead` */
};

struct trace_stop {
	pid_t pid;
	int status;
};

struct trace_pin {
	struct skep_tracee *tracee; /* NULL: nobody is held */
	bool used; /* somebody was */
	unsigned int stops, pause; /* of this round; rounds to wait */
	uint64_t since, round; /* held since; this round began, ns */
	uint64_t free_cost; /* of a stop when not held, ns */
	cpu_set_t own, mask; /* what the tracer and the tracee may use otherwise */
};

struct skep_tracer {
	struct skep_tracer_opts opts;
	struct skep_log *log;
	pid_t self; /* process and thread that may call */
	sigset_t old_mask, chld;
	struct sigaction old_chld;
	int epfd, sigfd, tickfd;
	/* Ends a wait for stops that lasts too long. */
	timer_t alarm;
	int alarm_sig; /* 0: not set up */
	bool alarm_set;
	volatile sig_atomic_t alarmed;
	struct sigaction old_alarm;

	struct skep_hash table; /* pid -> struct skep_tracee */
	SKEP_VEC(struct trace_root *) roots;
	size_t nr_early, nr_comm_fds;
	SKEP_VEC(struct trace_stop) stops;

	SKEP_VEC(struct trace_point *) points[TRACE_KIND_NR];
	struct skep_call_set enter, exit; /* union of the points' */
	struct skep_layouts layouts;
	uint64_t next_tick; /* CLOCK_MONOTONIC ns; 0: no timer */

	struct trace_pin pin;

	/* The event in hand. */
	struct skep_vm_env env;
	struct skep_tracee *current;
	struct skep_regs regs;
	bool have_regs;
	struct skep_ctx ctx;

	bool yield;
	bool uid_fixed; /* no tracee can change its uid: uid_gid is everybody's */
	uint64_t uid_gid;
	uint64_t foreign; /* calls of another ABI, not observed */
	uint64_t late_ticks;
};

/* tracee.c */
struct skep_tracee *skep_trace_find(struct skep_tracer *t, pid_t pid);
struct skep_tracee *skep_trace_add(struct skep_tracer *t, pid_t pid, struct trace_root *root);
void skep_trace_remove(struct skep_tracer *t, struct skep_tracee *tracee);
/* Handles one notification of wait(2). */
void skep_trace_handle(struct skep_tracer *t, pid_t pid, int status);
/*
 * Takes what is there without handling; stops appended to t->stops.  How many,
 * or -errno.  With @block waits for the first, until the alarm (0) or another
 * signal (-EINTR).
 */
int skep_trace_collect(struct skep_tracer *t, bool block);
/* One field of /proc/PID/status ("Tgid:"), or -1. */
long skep_trace_status_field(pid_t pid, const char *field);
uint64_t skep_trace_now(void);

/* ptrace_stop.c */
void skep_trace_on_stop(struct skep_tracee *tracee, int status);
void skep_trace_on_end(struct skep_tracee *tracee, int status);
/* Lets it run on with signal @sig; frees it when it is let go for good. */
void skep_trace_resume(struct skep_tracee *tracee, int sig);
/* What PTRACE_SEIZE and new points ask for. */
unsigned long skep_trace_options(const struct skep_tracer *t, const struct trace_root *root);
/* An unknown pid told something: takes it over until its parent's fork is told. */
struct skep_tracee *skep_trace_adopt(struct skep_tracer *t, pid_t pid);
/* After the process @tgid lost a task: those that waited for its word no longer do. */
void skep_trace_settle_early(struct skep_tracer *t, pid_t tgid);

/* ptrace_fire.c */
static inline bool skep_trace_wants(const struct skep_tracer *t, enum trace_kind kind)
{
	return t->points[kind].len > 0;
}
void skep_trace_fire_enter(struct skep_tracee *tracee, long nr, const uint64_t args[6],
			   bool foreign);
void skep_trace_fire_exit(struct skep_tracee *tracee, long nr, int64_t ret, bool foreign);
void skep_trace_fire_fork(struct skep_tracee *parent, pid_t child);
void skep_trace_fire_exec(struct skep_tracee *tracee, pid_t old_pid);
void skep_trace_fire_sched_exit(struct skep_tracee *tracee);
void skep_trace_fire_free(struct skep_tracee *tracee);
void skep_trace_fire_sample(struct skep_tracee *tracee);

/* ptrace_env.c */
extern const struct skep_vm_env_ops skep_trace_env_ops;
int skep_trace_read_mem(pid_t pid, void *dst, uint64_t addr, size_t len);
/* The thread's name into tracee->comm; false: not readable, the last one stays. */
bool skep_trace_read_comm(struct skep_tracee *tracee);
/* Its ids into tracee->uid_gid; gone: the last ones stay. */
void skep_trace_read_uid(struct skep_tracee *tracee);
/* Registers at this stop, read once; NULL when it is gone. */
const struct skep_regs *skep_trace_regs(struct skep_tracee *tracee);

/* ptrace_attach.c */
int skep_trace_attach(struct skep_tracer *t, pid_t pid, struct trace_root **root,
		      struct skep_err *err);
void skep_trace_detach(struct skep_tracer *t, struct trace_root *root);

/* ptrace_command.c */
struct trace_root *skep_trace_root_add(struct skep_tracer *t, pid_t pid);
void skep_trace_root_remove(struct skep_tracer *t, struct trace_root *root);
void skep_trace_root_kill(struct skep_tracer *t, struct trace_root *root);

/* ptrace_source.c */
int skep_trace_point_add(struct skep_tracer *t, struct trace_point *tp);
void skep_trace_point_remove(struct trace_point *tp);
int skep_trace_point_scope(struct skep_tracer *t, const struct skep_event *ev,
			   struct trace_point *tp, struct skep_err *err);

/* maps.c */
/* Tells of the code that @ips run through, if somebody wants records of tasks. */
void skep_trace_maps_cover(struct skep_tracee *tracee, const uint64_t *ips, unsigned int n);
void skep_trace_maps_exec(struct skep_tracee *tracee);

/* pin.c */
/* A step handled @stops stops. */
void skep_trace_pin_busy(struct skep_tracer *t, unsigned int stops);
void skep_trace_unpin(struct skep_tracer *t);
/* Before @child, just born, and its parent (0: gone) go on. */
void skep_trace_unpin_fork(struct skep_tracer *t, pid_t parent, pid_t child);
/* Calls that would show it: always stopped at. */
bool skep_trace_pin_call(long nr);

/* timer.c */
/* Interrupts what runs if a tick is due.  1: it was due. */
int skep_trace_tick(struct skep_tracer *t, uint64_t now);
void skep_trace_tick_arm(struct skep_tracer *t);

#endif
