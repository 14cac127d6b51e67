/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the two files of the x86-64 back end share: x86.c has an emitter for
 * each instruction, x86_prog.c puts programs together.
 */
#ifndef SKEP_JIT_X86_EMIT_H
#define SKEP_JIT_X86_EMIT_H

#include "jit/x86.h"

#define VM	  R12
#define AT(field) ((int32_t)offsetof(struct skep_vm, field))
/* A field of what the last slow check of this direction, or of this site, found. */
#define HIT_AT(write, part) \
	((int32_t)(offsetof(struct skep_vm, hit) + (write) * sizeof(struct skep_vm_span) + \
		   offsetof(struct skep_vm_span, part)))
#define SITE_AT(n, part) \
	((int32_t)(offsetof(struct skep_vm, site) + (size_t)(n) * sizeof(struct skep_vm_site) + \
		   offsetof(struct skep_vm_site, part)))

/* The machine register of each BPF register. */
extern const uint8_t skep_x86_map[12];
#define SKEP_X86_CONST 11 /* its last: r11, where a blinded immediate is made */
/* Where BPF's r6 to r9 live: the registers that a function saves if the program uses them. */
extern const uint8_t skep_x86_saved[4];

enum skep_x86_cold {
	COLD_CHECK,
	COLD_GROUP,
	COLD_UNALIGNED,
	COLD_DEPTH,
	COLD_LIMIT,
	COLD_ENTER,
	COLD_NULL, /* r0 = 0 */
	COLD_DIVISION, /* by 0 or -1, which stands in r11 */
};

/* What emitters share beside the buffer. */
struct x86 {
	struct skep_jit *j;
	uint32_t fail, check[2], find[2], packet, zero; /* labels of common code */
	uint16_t site_by[SKEP_VM_SITES]; /* of each site: what its addresses are made of */
	unsigned int nr_sites, next_site;
	/*
	 * Machine registers: a comparison does not jump, but moves what is in
	 * `from`, or with -1 makes 1 or 0, if it is `when`.  -1: it jumps.
	 */
	int into, from;
	bool when;
	/*
	 * In the first copy of a loop: the slot where it begins, and that where
	 * the jump that closes it goes if it does not jump; UINT32_MAX: not in one.
	 */
	uint32_t top, out;
	uint32_t next; /* slot whose code follows that of the current one; UINT32_MAX: none */
	bool turned; /* the jump at the current slot was turned: to the next slot, else it falls */
	size_t flags_at; /* code up to here has left the flags of flags_reg's last operation */
	int flags_reg;
	bool flags_w;
	bool careful; /* each access is checked by itself */
	uint8_t host_save; /* bit n: the stubs save skep_x86_saved[n] */
	uint8_t save; /* bit n: skep_x86_saved[n] is used */
	uint8_t frame; /* bytes below the saved registers */
	uint8_t here_save, here_frame; /* the same of the function that is emitted: leaves differ */
	bool bmi2;
};

typedef void skep_x86_fn(struct x86 *x, const struct skep_vm_insn *in, uint32_t width);

/* An emitter for each row of isa.def: a row without does not link. */
#define SKEP_INSN(name, ...) skep_x86_fn skep_x86_##name;
#include "isa/isa.def"
/* And one for each operation of the machine and of the passes. */
skep_x86_fn skep_x86_tail_call, skep_x86_nop, skep_x86_lea, skep_x86_lea_index, skep_x86_lea32,
	skep_x86_lea32_index, skep_x86_zext8, skep_x86_zext16, skep_x86_rotate64, skep_x86_rotate32,
	skep_x86_lookup, skep_x86_lookup_row, skep_x86_get, skep_x86_loop, skep_x86_operand,
	skep_x86_check, skep_x86_change;

/*
 * In programs whose instructions are counted r9 is vm->left, which is only
 * right in memory while C runs.
 */
#define LEFT R9

static inline void skep_x86_keep_left(struct skep_jit *j)
{
	if (j->counted)
		x_store(j, true, VM, AT(left), LEFT);
}

static inline void skep_x86_take_left(struct skep_jit *j)
{
	if (j->counted)
		x_load(j, true, LEFT, VM, AT(left));
}

/* Calls C; the caller has saved what it needs and aligned the stack.  Uses rax. */
static inline void x_call_c(struct skep_jit *j, const void *fn)
{
	skep_x86_keep_left(j);
	x_call_at(j, fn);
	skep_x86_take_left(j);
}

/* rdx is kept while a multiplication or a division uses it. */
static inline void skep_x86_keep_rdx(struct skep_jit *j)
{
	if (j->counted) /* below the stack, where no signal handler writes */
		x_store(j, true, RSP, -8, RDX);
	else
		x_mov(j, true, R9, RDX);
}

static inline void skep_x86_bring_rdx(struct skep_jit *j)
{
	if (j->counted)
		x_load(j, true, RDX, RSP, -8);
	else
		x_mov(j, true, RDX, R9);
}

/* r11 = imm, sign-extended; with blinding by way of two random-looking constants. */
void skep_x86_blind(struct x86 *x, int32_t imm);

/* A label in the cold part for this instruction; *@back is where it comes back to. */
uint32_t skep_x86_cold(struct x86 *x, enum skep_x86_cold kind, uint32_t len, bool write,
		       uint32_t *back);
/* @what: the `len` of a COLD_DIVISION. */
void skep_x86_rare_division(struct x86 *x, uint32_t what);
/* Counts @n instructions against the budget. */
void skep_x86_charge(struct x86 *x, uint32_t n);
/* Looks whether what has been counted without looking was too much. */
void skep_x86_look(struct x86 *x);
/* r11 = &vm->frames[vm->depth].may_goto, less the place of the frames in the vm */
void skep_x86_frame_address(struct x86 *x);

/* The label where the function at @slot is entered; the label @slot is its first instruction. */
static inline uint32_t skep_x86_entry(const struct x86 *x, uint32_t slot)
{
	return x->j->prog->nr + slot;
}

static inline const struct skep_vm_insn *pc_of(const struct x86 *x)
{
	return &x->j->prog->insns[x->j->slot];
}

static inline uint32_t target(const struct x86 *x, const struct skep_vm_insn *in)
{
	return (uint32_t)((int64_t)x->j->slot + in->off);
}

/* An emitter: of one row, of the four forms of a binary row, of one row for each width. */
#define FN(name) void skep_x86_##name(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
#define FORMS(name, k, by_reg) \
	FN(name##64_K) \
	{ \
		k; \
	} \
	FN(name##32_K) \
	{ \
		k; \
	} \
	FN(name##64_X) \
	{ \
		by_reg; \
	} \
	FN(name##32_X) \
	{ \
		by_reg; \
	}
#define ROW(name, emit) \
	FN(name) \
	{ \
		emit; \
	}

#define DST skep_x86_map[in->dst]
#define SRC skep_x86_map[in->src]
#define W   (width == 64)

#endif
