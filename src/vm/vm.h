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

struct skep_helper;
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
	uint64_t cookie; /* bpf_get_attach_cookie() */
	unsigned int nr_args; /* BPF_PROG_TYPE_TRACING: arguments in the context, 8 bytes each */
	bool has_ret; /* and the return value after them */
	void *source; /* the event source's */
};

/* Memory besides stack, context and map values that a run may touch. */
struct skep_vm_region {
	uint64_t start, end; /* end is exclusive */
	bool write;
};

/*
 * The packet of a run: [data, data_end) in a linear buffer with room around
 * it.  Programs reach it through the context's 32-bit data fields, so the
 * buffer must lie below 4 GiB (MAP_32BIT).
 */
struct skep_vm_packet {
	uint8_t *head, *tail; /* the whole buffer; tail is exclusive */
	uint8_t *meta, *data, *data_end; /* head <= meta <= data <= data_end <= tail */
	uint8_t *mac, *net; /* link and network layer, NULL: none (LD_ABS, skb helpers) */
	bool write; /* programs may write it directly */
	/* Pointers moved: rewrites the context.  May be NULL. */
	void (*moved)(struct skep_vm_packet *packet, void *ctx);
	uint32_t redirect_ifindex; /* of bpf_redirect() */
};

struct skep_vm_prog_opts {
	size_t sz;
	const char *name; /* copied */
	uint32_t type, attach_type; /* BPF_PROG_TYPE_*; which helpers exist */
	bool gpl;
	bool trusted; /* verified: run without checks */
	/*
	 * Instructions a run may execute (64-bit immediates count two); 0: no
	 * limit.  Counted where control moves: a run may go over by the
	 * straight piece of code it is in, and by loops that are known to end
	 * within a sixteenth of it.
	 */
	uint64_t budget;
	/*
	 * The maps that 64-bit immediates refer to: by index with src_reg
	 * BPF_PSEUDO_MAP_IDX, or BPF_PSEUDO_MAP_IDX_VALUE and the offset into
	 * element 0's value in the upper half; or by address, a struct skep_map *
	 * with BPF_PSEUDO_MAP_FD, the address in a value with
	 * BPF_PSEUDO_MAP_VALUE.  The program takes a reference on each map.
	 */
	struct skep_map *const *maps;
	uint32_t nr_maps;
	/*
	 * Helpers that Linux does not have, or has otherwise: asked first, NULL
	 * for others.  The rows must live as long as the program.
	 */
	const struct skep_helper *(*helper)(void *ctx, uint32_t number);
	void *helper_ctx;
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
 * Runs @prog with r1 = @ctx (ctx_len readable bytes; writable if ctx_write),
 * r2 = ctx_len, the other registers 0.
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
	struct skep_vm_packet *packet; /* NULL: none */
};
int skep_vm_run(struct skep_vm *vm, const struct skep_vm_run *run, uint64_t *ret,
		struct skep_err *err);

/*
 * Ends the run that @vm is in, or else its next one, with -ECANCELED and
 * E_RUN_STOPPED.  From any thread and from signal handlers.  A run looks for
 * it at its start and every 262,144 instructions, if it counts them at all
 * (not trusted, or with a budget).
 */
void skep_vm_interrupt(struct skep_vm *vm);

/*
 * For helpers and the machine itself.
 */

struct skep_vm_env *skep_vm_env(struct skep_vm *vm); /* NULL: none given */
struct skep_vm_packet *skep_vm_packet(struct skep_vm *vm); /* NULL: none */
void *skep_vm_ctx(struct skep_vm *vm, size_t *len);
/* The row of the helper that is being called. */
const struct skep_helper *skep_vm_helper(const struct skep_vm *vm);
uint32_t skep_vm_prog_type(const struct skep_vm *vm);
uint32_t skep_vm_random(struct skep_vm *vm);

/*
 * Calls the function of the program whose address is @func (a 64-bit
 * immediate of src_reg BPF_PSEUDO_FUNC).  0, or -errno when the run has to
 * end: the helper then returns at once, with any value.
 */
int skep_vm_call(struct skep_vm *vm, uint64_t func, const uint64_t args[5], uint64_t *ret);

/* Ends the run when the helper returns: E_@tag with instruction and helper named.  Returns 0. */
uint64_t skep_vm_stop(struct skep_vm *vm, enum skep_tag tag, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* How many bytes from @addr on are the program's to read (write) now; the truth in both modes. */
uint64_t skep_vm_reach(struct skep_vm *vm, uint64_t addr, bool write);

/* True when the program may read (write) [addr, addr + len) now.  Always true in trusted mode. */
bool skep_vm_may_access(struct skep_vm *vm, uint64_t addr, uint64_t len, bool write);

/*
 * What a run holds: given back by the helper's counterpart, or when the run
 * ends, however it ends (reservations are discarded, locks released).
 */
enum skep_vm_held {
	SKEP_VM_HELD_RINGBUF, /* a reservation in @map */
	SKEP_VM_HELD_MEM, /* memory that a callback may touch, until the helper returns */
	SKEP_VM_HELD_LOCK,
	SKEP_VM_HELD_MAP, /* a reference of @map, which was in another map: the run's to use */
};
int skep_vm_hold(struct skep_vm *vm, enum skep_vm_held kind, struct skep_map *map, void *addr,
		 size_t len);
/* The map (NULL if none) in *@map; false when the run does not hold @addr as @kind. */
bool skep_vm_unhold(struct skep_vm *vm, enum skep_vm_held kind, const void *addr,
		    struct skep_map **map);

/* True when the run holds the map at @addr, so that it is one even if its program has it not. */
bool skep_vm_holds_map(const struct skep_vm *vm, uint64_t addr);

/* What the program may access has shrunk or moved: forgets what the access check remembers. */
void skep_vm_moved(struct skep_vm *vm);

#endif
