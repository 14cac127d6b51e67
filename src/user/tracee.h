/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ptrace machine: system calls, forks, execs, exits and samples of the
 * processes that a user engine watches, as events for its programs.
 *
 * One struct skep_tracer belongs to one engine and to one thread: ptrace(2)
 * answers only the thread that attached, so create, spawn, step and destroy
 * are all called from the same one.  It uses no privilege: a command is
 * started as a child with a seccomp filter that stops it at the system calls
 * wanted and nowhere else; a running process (attach) is of the same user.
 *
 * SIGCHLD is blocked in the calling thread from create to destroy: it is how
 * a stop is told.  Children of the embedding process that are not tracees are
 * left alone: nothing is waited for that this tracer did not start or seize.
 *
 * Invariant: a stopped tracee is either in the machine's hands or running
 * again; a command never outlives its tracer (PTRACE_O_EXITKILL), an attached
 * process always does.  See ptrace(2), seccomp(2).
 */
#ifndef SKEP_USER_TRACEE_H
#define SKEP_USER_TRACEE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/log.h"
#include "sys/sys.h"
#include "user/source.h"

struct skep_tracer;

struct skep_tracer_opts {
	size_t sz; /* sizeof(struct skep_tracer_opts) */
	struct skep_user *user; /* given back to `printk`; the points' */
	struct skep_log *log; /* borrowed, may be NULL */
	/* One line of bpf_printk, @len bytes without NUL; NULL: dropped. */
	void (*printk)(struct skep_user *user, struct skep_vm_env *env, const char *text,
		       size_t len);
	/* One PERF_RECORD_* with its trailer (TID, TIME, CPU), @len bytes; NULL: dropped. */
	void (*task)(struct skep_user *user, const void *record, size_t len);
};

/* 0; -ENOMEM, or what signalfd(2), epoll(7) and timerfd(2) refuse. */
int skep_tracer_create(struct skep_tracer **tracer, const struct skep_tracer_opts *opts,
		       struct skep_err *err);
/* Ends the commands, lets attached processes go.  NULL-safe. */
void skep_tracer_destroy(struct skep_tracer *tracer);

/*
 * The three of struct skep_sys_ops.  The system calls to stop at are those of
 * the points open at release; a point for other calls cannot be opened while
 * a released command runs (-EOPNOTSUPP).
 */
int skep_tracer_spawn(struct skep_tracer *tracer, struct skep_command *cmd, struct skep_err *err);
int skep_tracer_release(struct skep_tracer *tracer, struct skep_command *cmd, struct skep_err *err);
/* Kills the command and its descendants that still run, waits for them, frees. */
void skep_tracer_reap(struct skep_tracer *tracer, struct skep_command *cmd);

/*
 * A descriptor for poll(2): readable when skep_tracer_step() would find
 * something to do.  Valid as long as the tracer.
 */
int skep_tracer_fd(const struct skep_tracer *tracer);

/*
 * Handles what is there - stops, ends, due timers - and, as long as more
 * keeps coming in short order, goes on for at most @slice_us microseconds.
 * Does not sleep when nothing happened.  The number of stops and ticks
 * handled, 0: nothing was there; -EINTR: a signal arrived (handled ones not
 * lost).  Programs run inside, through skep_point_fire().
 *
 * The engine's wait() is: step; look at rings, commands, own descriptors;
 * if step gave 0, poll(2) with skep_tracer_fd() among the others.
 */
int skep_tracer_step(struct skep_tracer *tracer, unsigned int slice_us);

/*
 * Has step() return after the event in hand.  Called from within an event,
 * when a ring is filling up: tracees stay stopped until the next step, so a
 * reader that is slow loses nothing.
 */
void skep_tracer_yield(struct skep_tracer *tracer);

/* True while any command or attached process is left. */
bool skep_tracer_busy(const struct skep_tracer *tracer);

/* The engine's; NULL if it has none.  Defined by the engine core. */
struct skep_tracer *skep_user_tracer(struct skep_user *user);

/* Rows for the table of sources. */
extern const struct skep_source_ops skep_source_ptrace; /* syscalls, raw_syscalls, sched */
extern const struct skep_source_ops skep_source_tasks; /* SKEP_EVENT_TASKS: records to opts.task */
extern const struct skep_source_ops skep_source_timer; /* PERF_TYPE_SOFTWARE clocks */

#endif
