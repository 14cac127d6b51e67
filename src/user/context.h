/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Contexts of tracepoint programs, byte for byte as the running kernel lays
 * them out, so that one object runs in both engines.
 *
 * The two of system calls are stable and known here; those of the scheduler
 * change between kernels (comm became a string after the struct in 6.16) and
 * are taken from the kernel's BTF, struct trace_event_raw_NAME, or, where
 * there is none, as Linux 6.1 had them.
 */
#ifndef SKEP_USER_CONTEXT_H
#define SKEP_USER_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/log.h"

/* Tracepoints that share a layout, and the struct it is named by. */
enum skep_layout_id {
	SKEP_LAYOUT_FORK, /* sched_process_fork */
	SKEP_LAYOUT_EXEC, /* sched_process_exec */
	SKEP_LAYOUT_EXIT, /* sched_process_exit */
	SKEP_LAYOUT_FREE, /* sched_process_template */
	SKEP_LAYOUT_NR,
};

enum skep_member {
	SKEP_M_COMM,
	SKEP_M_PID,
	SKEP_M_PRIO,
	SKEP_M_GROUP_DEAD,
	SKEP_M_PARENT_COMM,
	SKEP_M_PARENT_PID,
	SKEP_M_CHILD_COMM,
	SKEP_M_CHILD_PID,
	SKEP_M_FILENAME,
	SKEP_M_OLD_PID,
	SKEP_M_NR,
};

struct skep_layout {
	uint32_t size; /* of the fixed part; strings follow */
	struct {
		uint32_t off, size; /* size 0: this kernel's struct has no such member */
		bool loc; /* a __data_loc word: offset | length << 16 */
	} m[SKEP_M_NR];
};

struct skep_layouts {
	struct skep_layout l[SKEP_LAYOUT_NR];
	bool ready;
};

/* Fills @layouts once; @log hears it when the kernel has no BTF.  Cannot fail. */
void skep_layouts_init(struct skep_layouts *layouts, struct skep_log *log);

/* The kernel's struct trace_event_raw_sys_enter and _sys_exit; syscalls/sys_* use the same. */
struct skep_ctx_sys_enter {
	uint64_t ent; /* struct trace_entry: type, flags, preempt_count, pid */
	int64_t id;
	uint64_t args[6];
};

struct skep_ctx_sys_exit {
	uint64_t ent;
	int64_t id;
	int64_t ret;
};

/* One context being written. */
struct skep_ctx {
	const struct skep_layout *layout;
	size_t len;
	union {
		unsigned char data[8192];
		uint64_t align;
	};
};

uint64_t skep_ctx_ent(pid_t pid);
void skep_ctx_begin(struct skep_ctx *ctx, const struct skep_layout *layout, pid_t pid);
/* Members that the layout lacks are left out; strings too long are cut. */
void skep_ctx_int(struct skep_ctx *ctx, enum skep_member m, int64_t value);
void skep_ctx_str(struct skep_ctx *ctx, enum skep_member m, const char *text);

#endif
