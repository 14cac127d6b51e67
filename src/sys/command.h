/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A command between fork and exec.
 *
 * Probes must be in before a command's first system call, and nothing that
 * skep does to hold it may look like the command's own doing.  So the child
 * first blocks in read(2) on a socket pair (start), then does whatever must be done
 * in the child (arm: the message on it goes to a hook there, e.g. a
 * seccomp filter to install) and from then on runs pure user mode code: it
 * spins on a flag in a page shared with the parent.  Its next system call is
 * the execve(2) after release.  Until then it may be frozen (SIGSTOP, which
 * ends no system call) so that holding it costs no processor.
 *
 * While held the child dies with its parent; the command after exec does not.
 */
#ifndef SKEP_SYS_COMMAND_H
#define SKEP_SYS_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

struct skep_held_page;

struct skep_held {
	pid_t pid; /* -1: none */
	int pidfd; /* readable once the process ended */
	int pipe; /* the parent's end of the socket pair */
	struct skep_held_page *page;
	char *path; /* what is executed */
	bool frozen, released, reaped;
	int status; /* waitpid(2)'s, once reaped */
};

/*
 * Runs in the child, after fork, with the message of skep_held_arm().  0, or
 * a negative errno that skep_held_arm() then returns (the child ends).  Only
 * async-signal-safe calls.
 */
typedef int skep_held_hook(void *arg, const void *msg, size_t len);

/* Longest message of skep_held_arm(), bytes. */
#define SKEP_HELD_MSG 65536

/*
 * The file that execvp(3) would run for @name: as is with a slash in it, else
 * the first executable file of that name in PATH.  malloc'ed, or NULL with
 * @err (E_COMMAND, ENOENT or EACCES).
 */
char *skep_command_path(const char *name, struct skep_err *err);

/* Forks.  The child blocks in read(2).  0 or -errno; @hook may be NULL. */
int skep_held_start(struct skep_held *held, char *const *argv, skep_held_hook *hook, void *arg,
		    struct skep_err *err);
/*
 * Sends @msg (may be NULL) to the hook and returns when the hook has run and
 * the child spins.  No system call of the child's happens after that but the
 * execve.  Do release or freeze it soon: it spins.  0 or -errno.
 */
int skep_held_arm(struct skep_held *held, const void *msg, size_t len, struct skep_err *err);
/* Stops the armed child with SIGSTOP; returns when it stands.  Not under ptrace. */
int skep_held_freeze(struct skep_held *held, struct skep_err *err);
/* Lets the armed child go: it calls execve(2). */
void skep_held_release(struct skep_held *held);
/*
 * Collects the ended child without blocking: true when it has ended, with
 * held->status set.  (A ptrace source that reaps itself does not call it and
 * sets reaped.)
 */
bool skep_held_reap(struct skep_held *held);
/* Why the exec failed, or 0. */
int skep_held_exec_errno(const struct skep_held *held);
/* Ends the child if it was not reaped (SIGKILL to its pid) and frees everything. */
void skep_held_deinit(struct skep_held *held);

#endif
