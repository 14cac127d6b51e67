/* SPDX-License-Identifier: BSD-2-Clause */
/* The seccomp filter that stops a command at the system calls wanted, and only there. */
#ifndef SKEP_USER_FILTER_H
#define SKEP_USER_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "user/syscall.h"

struct skep_call_set {
	uint64_t bits[SKEP_SYSCALL_MAX / 64];
	bool all;
};

static inline void skep_call_add(struct skep_call_set *set, unsigned int nr)
{
	set->bits[nr / 64] |= UINT64_C(1) << nr % 64;
}

static inline bool skep_call_has(const struct skep_call_set *set, unsigned long nr)
{
	return set->all || (nr < SKEP_SYSCALL_MAX && (set->bits[nr / 64] >> nr % 64 & 1));
}

bool skep_call_any(const struct skep_call_set *set);

/* Room that any filter fits into. */
#define SKEP_FILTER_MAX (3 * SKEP_SYSCALL_MAX / 2 + 16)

/*
 * Writes the filter for @set to @insns (SKEP_FILTER_MAX of them): its length.
 * Calls of another ABI (i386, x32) always stop, so that they can be counted.
 */
size_t skep_filter_build(struct sock_filter *insns, const struct skep_call_set *set);

/*
 * Installs it for the calling process: without PR_SET_NO_NEW_PRIVS where the
 * caller may, with it otherwise.  Async-signal-safe.  0 or -errno.
 */
int skep_filter_install(const struct sock_filter *insns, size_t nr);

#endif
