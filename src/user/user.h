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
#include "jit/jit.h"
#include "sys/sys.h"

struct skep_user_opts {
	size_t sz; /* sizeof(struct skep_user_opts) */
	/* Interpret.  The default is machine code, where that is possible. */
	bool no_jit;
	struct skep_jit_opts jit; /* how; sz may be 0 */
	/*
	 * Run programs without any check.  Only for programs that somebody has
	 * proved safe: a bad access then hurts this process.
	 */
	bool trusted;
	uint64_t budget; /* instructions a run, 0: 64 Mi, or no limit when trusted */
	bool any_type; /* programs of BPF_PROG_TYPE_UNSPEC, which may call all helpers */
	/* As in struct skep_vm_prog_opts. */
	const struct skep_helper *(*helper)(void *ctx, uint32_t number);
	void *helper_ctx;
};

struct skep_map;
struct skep_vm_prog;

/* @opts: NULL for the defaults.  NULL when out of memory.  Needs no privilege. */
struct skep_sys *skep_sys_user_create(struct skep_log *log, const struct skep_user_opts *opts);

/*
 * What the descriptor @fd of the user engine @sys stands for, borrowed; NULL:
 * something else.  For running programs past the engine, which serves one
 * thread only.
 */
struct skep_vm_prog *skep_sys_user_prog(struct skep_sys *sys, int fd);
struct skep_map *skep_sys_user_map(struct skep_sys *sys, int fd);

#endif
