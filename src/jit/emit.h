/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the driver (jit.c) and an architecture's file.
 *
 * The architecture walks the decoded program and writes code into struct
 * skep_jit.  It is called twice: in the first pass every jump is long and
 * `at` gets an upper bound of each distance; in the second, jumps whose
 * bound is short are short.  For large programs the first pass is left out,
 * unless it turns out that a guess was wrong.
 */
#ifndef SKEP_JIT_EMIT_H
#define SKEP_JIT_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/vec.h"
#include "vm/run.h"

struct skep_jit_fixup {
	uint32_t pos; /* of the displacement in the code */
	uint32_t label;
	bool is_short; /* one byte, else four */
};

/* Code that is needed rarely and stands behind the program: the slow side of a check. */
struct skep_jit_cold {
	uint32_t label, back; /* where it is entered, and where it goes on */
	uint32_t slot; /* of the instruction it belongs to */
	uint32_t kind; /* the architecture's */
	uint32_t len;
	bool write;
	int16_t site; /* of checks: index in struct skep_vm's; -1: none left */
	uint32_t last; /* of groups: the slot of their last access */
};

/*
 * Accesses of one block by one address and constants.  The first checks from
 * `min` bytes off its own address on `len` bytes for all; len 0: none.
 */
struct skep_jit_group {
	int32_t min;
	uint16_t len;
	uint8_t span; /* slots from the first to the last */
	bool member; /* the first of a group checks for this one */
};

#define SKEP_JIT_LOOPED 0x80 /* in a loop, or in a function that may be called from one */

/* Slots that are emitted one after the other. */
struct skep_jit_block {
	uint32_t start, end; /* end is exclusive */
	uint32_t last; /* the slot of the last instruction */
};

/* scratch.c */
struct skep_jit_scratch {
	char *base; /* size bytes, zeroed; the first `used` are taken */
	size_t size, used;
	bool mapped; /* else malloc'ed */
	struct skep_jit_chunk *chunks;
};

struct skep_jit {
	const struct skep_vm_prog *prog;
	struct skep_jit_scratch scratch; /* the arrays below */
	struct skep_vm_insn *ir; /* the copy of its instructions that is compiled */
	bool checked, counted; /* its instructions are counted */
	unsigned int passes; /* SKEP_JIT_PASS_* */
	uint64_t blind; /* 0, or what the random numbers of blinding are made from */
	unsigned int pass; /* 0 or 1 */
	bool guesses; /* there was no first pass: what is a few slots ahead is taken to be near */
	uint8_t *code; /* cap bytes; NULL in pass 0 while sizing */
	size_t len, cap;
	uint32_t *label_at; /* offsets: slots, entries of functions by slot, then others */
	uint32_t *old_at; /* the same, of the pass before */
	uint32_t nr_labels, cap_labels;
	SKEP_VEC(struct skep_jit_fixup) fixups;
	SKEP_VEC(struct skep_jit_cold) colds;
	uint32_t slot; /* of the instruction being emitted */
	uint32_t nr_funcs;
	bool calls, local_calls, loops; /* it calls helpers; functions; it jumps back */
	bool tails, may_goto, packets; /* has such instructions */
	uint16_t named; /* bits of the registers that it names */
	uint16_t *live; /* by slot, if has_live: see skep_jit_live() */
	bool has_live;
	/*
	 * By slot: 1: something may jump here; 2: from behind; 4: in a loop;
	 * 8: emitted as the first of a loop, if these are known.
	 */
	uint8_t *leader;
	bool tops; /* they are */
	/*
	 * Checked mode, by slot: the access is good whatever happens, or the
	 * look-up's map and key are; or the loop of the jump back ends soon.
	 */
	uint8_t *proof;
	bool overdraws; /* some jumps back do not look at the budget */
	struct skep_jit_group *group; /* checked mode, by slot */
	/*
	 * Checked mode, by slot: enum skep_vm_likely of its access, and
	 * SKEP_JIT_LOOPED.  Nothing that has to be true for code to be right.
	 */
	uint8_t *likely;
	uint8_t *select; /* by slot of a jump: so many behind it are done or not, without jumping */
	uint8_t *copy; /* if they are: 0, or the register that has what jumping leaves, + 1 */
	/* By slot: how far on the jump stands that closes a loop to emit twice; NULL, 0: none. */
	uint8_t *unroll;
	struct skep_jit_block
		*blocks; /* all of the program, in the order to emit; NULL: of slots */
	uint32_t nr_blocks;
	unsigned int nr_sites; /* of struct skep_vm's that checks use */
	struct skep_vm_site_use use[SKEP_VM_SITES];
	bool oom;
	/* What the architecture tells besides the code: */
	uint32_t landing; /* label where a fault goes on; 0: nowhere, faults are not wanted */
	bool faults;
	uint32_t enter; /* offset of the second stub: `enter` of struct skep_vm_native */
	uint32_t stub_body; /* offset from there, and from 0, where the stub's frame is complete */
	uint8_t stub_saved; /* bits of the registers that it saves, as the next */
	uint8_t saved, frame; /* of every function: bits of the saved registers, bytes below them */
};

/* False: out of memory. */
bool skep_jit_scratch_init(struct skep_jit *j);
void skep_jit_scratch_deinit(struct skep_jit *j);
/* @n zeroed elements of @size bytes until the compilation ends, or NULL. */
void *skep_jit_take(struct skep_jit *j, size_t n, size_t size);

/* Emits the whole program.  Offsets of entries by label `slot`. */
void skep_jit_emit(struct skep_jit *j);

/* Offset of the stub that C calls: void (struct skep_vm *, uint64_t r[11], const void *entry). */
#define SKEP_JIT_STUB 0

/* What compiled code calls. */
const void *skep_jit_callx(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t addr);
const void *skep_jit_tail(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t a[6]);
/* skep_jit_tail(): the target ran to its end in another engine; a: r1 to r5, then r0. */
#define SKEP_JIT_TAIL_RAN ((const void *)1)

/* A fault at @pc: called from the landing, in the thread that ran into it. */
void skep_jit_faulted(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t addr, bool write);

/* A fresh label, to be placed with skep_jit_place(). */
uint32_t skep_jit_label(struct skep_jit *j);
void skep_jit_place(struct skep_jit *j, uint32_t label);
/* Makes room for 8 more bytes; false: out of memory, nothing may be written. */
bool skep_jit_room(struct skep_jit *j);

static inline void skep_jit_byte(struct skep_jit *j, uint8_t b)
{
	if (j->len + 8 <= j->cap || skep_jit_room(j))
		j->code[j->len++] = b;
}

/* The low @n bytes of @v, at most 8. */
static inline void skep_jit_bytes(struct skep_jit *j, uint64_t v, unsigned int n)
{
	if (j->len + 8 > j->cap && !skep_jit_room(j))
		return;
	memcpy(j->code + j->len, &v, 8);
	j->len += n;
}

static inline void skep_jit_u32(struct skep_jit *j, uint32_t v)
{
	if (j->len + 8 > j->cap && !skep_jit_room(j))
		return;
	memcpy(j->code + j->len, &v, 4);
	j->len += 4;
}

void skep_jit_u64(struct skep_jit *j, uint64_t v);
/* True if a jump ending @behind bytes from here can reach @label with one byte. */
bool skep_jit_near(const struct skep_jit *j, uint32_t label, unsigned int behind);
/* The displacement to @label, filled in at the end. */
void skep_jit_disp(struct skep_jit *j, uint32_t label, bool is_short);

#endif
