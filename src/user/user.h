/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user engine: bpf(2) in this process.
 *
 * Descriptors, ids and objects follow the kernel: a descriptor holds a
 * reference, a link holds its program, a program holds its maps.  Event
 * sources (source.h) fire programs from within skep_sys_ops.wait.
 */
#ifndef SKEP_USER_USER_H
#define SKEP_USER_USER_H

#include "base/err.h"
#include "sys/sys.h"

struct skep_user_opts {
	size_t sz; /* sizeof(struct skep_user_opts) */
	bool jit; /* to machine code; where that is impossible they are interpreted */
	/*
	 * Run programs without any check.  Only for programs that somebody has
	 * proved safe: a bad access then hurts this process.
	 */
	bool trusted;
};

/* @opts: NULL for the defaults.  NULL when out of memory.  Needs no privilege. */
struct skep_sys *skep_sys_user_create(struct skep_log *log, const struct skep_user_opts *opts);

#endif
