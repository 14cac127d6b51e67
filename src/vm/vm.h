/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running programs in this process.
 *
 * struct skep_vm_prog is an immutable decoded program; struct skep_vm is one
 * thread of execution with its stack; struct skep_vm_env says who is "current"
 * and is filled in by the event source that fires the program.
 *
 * In checked mode every memory access is checked against what the program may
 * touch: its stack frames, its context, the packet, the values of its maps,
 * and memory that helpers handed out.  A bad access ends the run with
 * E_RUN_ACCESS, naming instruction and address; it never hurts the process.
 */
#ifndef SKEP_VM_VM_H
#define SKEP_VM_VM_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "map/map.h"

#define SKEP_VM_STACK  512 /* bytes of stack a frame: BPF_STACK of the kernel */
#define SKEP_VM_FRAMES 8 /* nested calls, the entry included */

struct skep_vm;
struct skep_vm_env;
struct skep_vm_prog;

/* What the surroundings can answer.  Any op may be NULL: the helper then fails as specified. */
struct skep_vm_env_ops {
	/* Memory of the current task.  0 or -EFAULT; all @len bytes or none. */
	int (*read_user)(struct skep_vm_env *env, void *dst, uint64_t addr, size_t len);
	int (*write_user)(struct skep_vm_env *env, uint64_t addr, const void *src, size_t len);
	/* "Kernel" memory that the source made up (task, regs).  0 or -EFAULT. */
	int (*read_kernel)(struct skep_vm_env *env, void *dst, uint64_t addr, size_t len);
	/* Up to @n user return addresses, innermost first; the number, or -errno. */
	int (*user_stack)(struct skep_vm_env *env, uint64_t *ips, unsigned int n);
	uint64_t (*uid_gid)(struct skep_vm_env *env); /* gid << 32 | uid */
	int (*comm)(struct skep_vm_env *env, char comm[16]);
	/* One bpf_trace_printk() line, @len bytes without NUL. */
	void (*printk)(struct skep_vm_env *env, const char *text, size_t len);
};

struct skep_vm_env {
	const struct skep_vm_env_ops *ops;
	pid_t tgid, pid; /* of the current task; pid is the thread's */
	unsigned int cpu;
	void *source; /* the event source's */
};

/* Memory besides stack, context and map values that a run may touch. */
struct skep_vm_region {
	uint64_t start, end; /* end is exclusive */
	bool write;
};

struct skep_vm_prog_opts {
	size_t sz;
	const char *name; /* copied */
	uint32_t type, attach_type; /* BPF_PROG_TYPE_*; which helpers exist */
	bool gpl;
	bool trusted; /* verified: run without checks */
	uint64_t budget; /* instructions a run may execute; 0: no limit */
	/*
	 * The maps that 64-bit immediates refer to.  Those immediates hold
	 * pointers: struct skep_map * with src_reg BPF_PSEUDO_MAP_FD, the value
	 * address with src_reg BPF_PSEUDO_MAP_VALUE.  The program takes a
	 * reference on each map.
	 */
	struct skep_map *const *maps;
	uint32_t nr_maps;
};

/*
 * Decodes and checks @insns (a whole program with its subprograms; calls are
 * BPF_PSEUDO_CALL relative).  Refuses what cannot be run: E_INSN_*, unknown
 * helpers, helpers that need the kernel (E_UNSUPPORTED with a sentence).
 */
int skep_vm_prog_create(struct skep_vm_prog **prog, const struct bpf_insn *insns, uint32_t nr,
			const struct skep_vm_prog_opts *opts, struct skep_err *err);
struct skep_vm_prog *skep_vm_prog_get(struct skep_vm_prog *prog);
void skep_vm_prog_put(struct skep_vm_prog *prog);

/* One thread of execution: reusable, not shared between threads. */
int skep_vm_create(struct skep_vm **vm, struct skep_err *err);
void skep_vm_destroy(struct skep_vm *vm);

/*
 * Runs @prog with r1 = @ctx (ctx_len readable bytes; writable if ctx_write).
 * *@ret: r0.  0, or -errno with @err: the run was ended (E_RUN_*), its
 * reserved ring buffer memory discarded, *@ret = 0.
 */
struct skep_vm_run {
	const struct skep_vm_prog *prog;
	struct skep_vm_env *env;
	void *ctx;
	size_t ctx_len;
	bool ctx_write;
	const struct skep_vm_region *regions;
	unsigned int nr_regions;
};
int skep_vm_run(struct skep_vm *vm, const struct skep_vm_run *run, uint64_t *ret,
		struct skep_err *err);

/*
 * For helpers: calls the program's function at instruction @insn (a callback's
 * address as the program passed it) with five arguments.  0 or -errno.
 */
int skep_vm_call(struct skep_vm *vm, uint64_t func, const uint64_t args[5], uint64_t *ret);

/*
 * For helpers: true when the program may read (write) [addr, addr + len) now.
 * Always true in trusted mode.  When false the helper's caller ends the run.
 */
bool skep_vm_may_access(struct skep_vm *vm, uint64_t addr, uint64_t len, bool write);

struct skep_vm_env *skep_vm_env(struct skep_vm *vm);

#endif
