/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A process that undoes what outlives its maker, also when that is killed.
 *
 * Some things that the kernel keeps (a filter of a qdisc, an event of tracefs)
 * belong to no descriptor.  A guard is forked before such a thing is made and
 * blocks in read(2) on a socket pair.  At its end, whether by skep_guard_end()
 * or because the maker is gone, it undoes the thing and exits.  Nothing is sent
 * to it: what is to be undone must be told by what is known before.
 *
 * It holds no descriptors but its own, no folder, and no part of the maker's
 * session, so that Ctrl-C and a hang-up do not reach it; signals it blocks.
 * No SIGCHLD comes from it, and wait(2) for any child does not see it.
 */
#ifndef SKEP_SYS_GUARD_H
#define SKEP_SYS_GUARD_H

#include <sys/types.h>

struct skep_guard {
	int fd; /* the maker's end; -1: none */
	pid_t pid;
};

/*
 * Forks the guard.  @undo runs there with a copy of the memory at @ctx, which
 * must be alive now; only async-signal-safe calls.  @keep: a descriptor that it
 * needs, -1: none.  0 or -errno.
 */
int skep_guard_start(struct skep_guard *g, void (*undo)(void *ctx), void *ctx, int keep);
/* Has it undo, returns when it has. */
void skep_guard_end(struct skep_guard *g);

#endif
