/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the machine is made of: seen by src/vm and the JIT, not by callers.
 *
 * The decoded form keeps one slot for each raw slot, so that a decoded index
 * is an instruction index of the program as its author knows it; the second
 * slot of a 64-bit immediate is never reached.  All stack frames lie in one
 * block, the innermost at the low end: what a function may touch of the stack
 * is one range, from its own frame to the end of the entry's.
 */
#ifndef SKEP_VM_RUN_H
#define SKEP_VM_RUN_H

#include <stdarg.h>

#include "base/vec.h"
#include "helper/helper.h"
#include "isa/insn.h"
#include "vm/vm.h"

#define SKEP_VM_TAIL_CALLS 33 /* MAX_TAIL_CALL_CNT of the kernel */
#define SKEP_VM_MAY_GOTO   (8u << 20) /* BPF_MAX_LOOPS: times may_goto falls through, a frame */

/* Operations that the decoded form has and isa.def has not. */
enum skep_vm_op {
	SKEP_VM_OP_TAIL_CALL = SKEP_OP_MAX, /* bpf_tail_call() */
	SKEP_VM_OP_MAX,
};

struct skep_vm_insn {
	uint16_t op;
	uint8_t dst, src;
	int32_t off; /* of a memory access; of a jump: slots from this one to the target */
	union {
		int64_t imm; /* sign-extended; code addresses: skep_vm_insn * */
		const struct skep_helper *helper; /* calls of helpers */
	};
};

enum skep_vm_step {
	SKEP_VM_DONE, /* the base frame's exit was reached; r0 is set */
	SKEP_VM_FAILED, /* vm->failed */
	SKEP_VM_SWITCH, /* the current program runs in another way */
};

/*
 * One way to run a program: runs vm->prog from *@pc on the registers @r until
 * frame @base exits.  *@pc is where to go on after SWITCH.
 */
typedef enum skep_vm_step skep_vm_runner(struct skep_vm *vm, uint64_t r[11],
					 const struct skep_vm_insn **pc, unsigned int base);

#define SKEP_VM_SITES 64

/* Where the accesses of a site most likely go.  It is where they are tried first, no more. */
enum skep_vm_likely { SKEP_VM_ANYWHERE, SKEP_VM_IN_CTX, SKEP_VM_IN_PACKET, SKEP_VM_LIKELY };

/* What the accesses of a site have in common. */
struct skep_vm_site_use {
	uint16_t len;
	bool write;
	uint8_t likely; /* enum skep_vm_likely */
};

/* Machine code for a program (src/jit); only ever entered at functions. */
struct skep_vm_native {
	skep_vm_runner *run;
	/* The same for a whole run, from the program's start to its end: r0, unless vm->failed. */
	uint64_t (*enter)(struct skep_vm *vm, void *ctx, size_t len);
	void (*destroy)(struct skep_vm_native *native);
	unsigned int sites; /* of vm->site[], that its checks use */
	struct skep_vm_site_use use[SKEP_VM_SITES];
};

/* What struct skep_vm_prog says of each slot where a function begins. */
enum {
	SKEP_VM_FUNC = 1,
	/* It ends in itself, calls nothing and counts no may_goto. */
	SKEP_VM_LEAF = 2,
	/* And does not name r10: it has no stack frame.  What it may touch is its caller's. */
	SKEP_VM_FRAMELESS = 4,
};

struct skep_vm_prog {
	_Atomic int refs;
	char name[64];
	uint32_t type, attach_type;
	bool gpl, checked, counted; /* what its runs are: see struct skep_vm */
	int64_t first; /* of its budget: what a run may execute until it looks up, */
	uint64_t rest; /* and after that */
	struct skep_map **maps; /* counted references */
	uint32_t nr_maps;
	uint32_t nr; /* slots */
	struct skep_vm_insn *insns;
	uint8_t *is_func; /* by slot: not 0: calls and code addresses may lead here */
	struct skep_vm_native *native; /* NULL: interpreted */
};

struct skep_vm_frame {
	const struct skep_vm_prog *prog; /* of the caller */
	const struct skep_vm_insn *ret; /* where the caller goes on */
	uint64_t saved[5]; /* r6 to r10 */
	uint64_t may_goto;
};

struct skep_vm_hold {
	uint64_t start, end;
	enum skep_vm_held kind;
	struct skep_map *map;
};

/* What machine code, which counts at jumps back, pays for a call of a function of @n slots. */
#define SKEP_VM_CALL_COST(n) (1 + (int32_t)((n) / 64))
#define SKEP_VM_SLICE	     (1 << 18) /* instructions between two looks whether to go on */

struct skep_vm_span {
	uint64_t start, size;
};

/* Where accesses of one site, all of one length, were good: from start to start + last. */
struct skep_vm_site {
	uint64_t start, last;
};

struct skep_vm {
	const struct skep_vm_run *run; /* NULL: not running */
	const struct skep_vm_prog *prog; /* of the current frame */
	uint64_t lo, span; /* the stack that the current frame may touch */
	struct skep_vm_span
		hit[2]; /* what the last slow check found: [1] writable; at least 8 bytes */
	int64_t left; /* of this slice of the budget */
	uint64_t rest; /* of the budget, after this slice */
	_Atomic int stop; /* skep_vm_interrupt() */
	const struct skep_vm_insn *pc; /* the call instruction, while a helper runs */
	unsigned int depth; /* index of the current frame */
	unsigned int tail_calls;
	bool checked; /* the current program runs in checked mode */
	bool counted; /* its instructions are counted */
	int failed; /* errno of what ends the run, positive; 0: nothing does */
	struct skep_err *err; /* the caller's */
	unsigned int cpu; /* of the run's environment */
	uint64_t native_sp; /* where machine code unwinds to */
	uint64_t random;
	/* The same as hit[] for machine code, by site of the access. */
	struct skep_vm_site site[SKEP_VM_SITES];
	SKEP_VEC(struct skep_vm_hold) held;
	SKEP_VEC(struct skep_vm_prog *) tails; /* programs entered by tail calls: references */
	struct skep_vm_frame frames[SKEP_VM_FRAMES];
	uint8_t stack[SKEP_VM_STACK * SKEP_VM_FRAMES] __attribute__((aligned(16)));
};

/* The two instances of interp_body.h. */
skep_vm_runner skep_vm_interp_checked, skep_vm_interp_trusted;

/* For machine code: runs vm->prog from its start in the current frame, until that exits. */
int skep_vm_finish_frame(struct skep_vm *vm, uint64_t r[11]);

/* Enters the function @func from @pc; false: no frame is left, the run has failed at @pc. */
bool skep_vm_push(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t r[11],
		  const struct skep_vm_insn *func, const struct skep_vm_insn *ret);
/*
 * Leaves it: restores r6 to r10 and the caller's program; where the caller goes on.
 * What another program, as which the function has ended, left in r1 to r5 is not kept.
 */
const struct skep_vm_insn *skep_vm_pop(struct skep_vm *vm, uint64_t r[11]);

/* The program that bpf_tail_call() enters, or NULL: the call falls through. */
const struct skep_vm_prog *skep_vm_tail(struct skep_vm *vm, const struct skep_vm_insn *pc,
					const uint64_t r[11]);

/* Makes @prog the current one. */
void skep_vm_enter(struct skep_vm *vm, const struct skep_vm_prog *prog);

/*
 * The frame at @depth becomes the current one.  Machine code without checks
 * does not keep what this sets: who needs it then says so.
 */
static inline void skep_vm_set_stack(struct skep_vm *vm, unsigned int depth)
{
	vm->span = (uint64_t)(depth + 1) * SKEP_VM_STACK;
	vm->lo = (uint64_t)(uintptr_t)(vm->stack + sizeof(vm->stack)) - vm->span;
}

/* The function whose address is @addr, or NULL when it is none of the current program's. */
const struct skep_vm_insn *skep_vm_func(const struct skep_vm *vm, uint64_t addr);

/* The slow access check.  False: the run has failed at @pc with E_RUN_ACCESS. */
bool skep_vm_check(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t addr, uint64_t len,
		   bool write);

/* The same for what comes together, without failing: false if not all of it is good. */
bool skep_vm_find(struct skep_vm *vm, uint64_t addr, uint64_t len, bool write);

/* Checks the arguments r1 to r5 against the helper's row.  False: the run has failed. */
bool skep_vm_check_args(struct skep_vm *vm, const struct skep_vm_insn *pc, const uint64_t a[5]);

/* Packet access of LD_ABS and LD_IND: @len bytes in host order.  False: outside the packet. */
bool skep_vm_load_packet(struct skep_vm *vm, int32_t off, unsigned int len, uint64_t *value);

/*
 * The slice is used up: gives the run another one.  False: the budget is used
 * up, or somebody wants the run to end; it has failed at @pc.
 */
bool skep_vm_refill(struct skep_vm *vm, const struct skep_vm_insn *pc);

/* The run fails at @pc. */
void skep_vm_fail(struct skep_vm *vm, const struct skep_vm_insn *pc, enum skep_tag tag, int code,
		  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void skep_vm_vfail(struct skep_vm *vm, const struct skep_vm_insn *pc, enum skep_tag tag, int code,
		   const char *fmt, va_list ap);

/* True when @addr is one of the program's maps. */
bool skep_vm_is_map(const struct skep_vm *vm, uint64_t addr);

#endif
