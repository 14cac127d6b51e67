/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions: the table of isa.def as data, and decoding (RFC 9669).
 *
 * Raw instructions are the kernel's struct bpf_insn, in this machine's byte
 * order.  An index always counts raw slots of 8 bytes: a 64-bit immediate has
 * two.  Whatever skep_insns_check() accepts is well-formed: known opcodes,
 * reserved fields zero, registers in range, every jump lands on an
 * instruction.  Whether it is safe is the verifier's question.
 */
#ifndef SKEP_ISA_INSN_H
#define SKEP_ISA_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "isa/uapi.h"

/* What a field must be, when it is not one number. */
enum skep_field {
	SKEP_F_READ = 0x10000, /* a register, r0 to r10 */
	SKEP_F_WRITE, /* a register, r0 to r9 */
	SKEP_F_RDWR, /* a register, r0 to r9 */
	SKEP_F_ANY, /* any number */
	SKEP_F_JUMP, /* slots, relative to the slot after this one */
};

/* What executes an instruction; SKEP_OP_* of one kind differ in width and expression only. */
enum skep_kind {
	SKEP_KIND_ALU, /* dst = expression of dst and src or imm */
	SKEP_KIND_CAST, /* addr_space_cast */
	SKEP_KIND_COND, /* jump if expression */
	SKEP_KIND_JA,
	SKEP_KIND_MAY_GOTO,
	SKEP_KIND_CALL, /* helper `imm` */
	SKEP_KIND_CALL_PC, /* subprogram at `target` */
	SKEP_KIND_CALL_KFUNC, /* kernel function of BTF id `imm` */
	SKEP_KIND_CALLX, /* subprogram whose address is in dst */
	SKEP_KIND_EXIT,
	SKEP_KIND_LDX, /* dst = zero-extended *(src + off) */
	SKEP_KIND_LDSX, /* dst = sign-extended *(src + off) */
	SKEP_KIND_ST, /* *(dst + off) = imm */
	SKEP_KIND_STX, /* *(dst + off) = src */
	SKEP_KIND_ATOMIC, /* *(dst + off) = expression; src gets the old value if imm & 1 */
	SKEP_KIND_CMPXCHG,
	SKEP_KIND_LOAD_ACQ,
	SKEP_KIND_STORE_REL,
	SKEP_KIND_LDDW,
	SKEP_KIND_LD_ABS,
	SKEP_KIND_LD_IND,
	SKEP_KIND_INTERNAL, /* only in the kernel's dumps */
};

/* RFC 9669 section 2.4, then Linux's additions and the kernel's internal instructions. */
enum skep_group {
	SKEP_GROUP_BASE32,
	SKEP_GROUP_BASE64,
	SKEP_GROUP_ATOMIC32,
	SKEP_GROUP_ATOMIC64,
	SKEP_GROUP_DIVMUL32,
	SKEP_GROUP_DIVMUL64,
	SKEP_GROUP_PACKET,
	SKEP_GROUP_LINUX,
	SKEP_GROUP_KERNEL,
};

/* An instruction of the table: SKEP_OP_ADD64_K, ... */
enum skep_op {
#define SKEP_INSN(name, ...) SKEP_OP_##name,
#include "isa/isa.def"
	SKEP_OP_MAX,
};

struct skep_insn_info {
	const char *name; /* "ADD64_K" */
	const char *text; /* template */
	int32_t dst, src, off, imm; /* number or enum skep_field */
	uint16_t kernel; /* major * 100 + minor */
	uint8_t code, kind, group, cpu, width;
};

/* Indexed by enum skep_op. */
extern const struct skep_insn_info skep_insn_table[SKEP_OP_MAX];

#define SKEP_NO_TARGET INT64_MIN /* not a jump */

/* A decoded instruction. */
struct skep_insn {
	uint16_t op; /* enum skep_op */
	uint8_t kind; /* enum skep_kind */
	uint8_t slots; /* 1, or 2 for 64-bit immediates */
	uint8_t dst, src; /* register numbers; 0 where the row has none */
	int16_t off;
	int32_t imm;
	/* The other half of a 64-bit immediate's second slot joined: hi << 32 | lo. */
	uint64_t imm64;
	/* Slot index of where a jump, a local call or a code address leads, or SKEP_NO_TARGET. */
	int64_t target;
};

/*
 * Decodes slot @i of @n.  Returns the slots taken (1 or 2), or -EINVAL with
 * E_INSN_INVALID or E_INSN_TRUNCATED, the index in err->insn and a message
 * "instruction 5: ...".  Does not look at where jumps lead.
 */
int skep_insn_decode(const struct bpf_insn *insns, size_t n, size_t i, struct skep_insn *out,
		     struct skep_err *err);

/* The same for a dump of a loaded program: also knows the kernel's internal instructions. */
int skep_insn_decode_loaded(const struct bpf_insn *insns, size_t n, size_t i, struct skep_insn *out,
			    struct skep_err *err);

/*
 * Checks a whole program of @n slots: each decodes, and each target is the
 * first slot of an instruction of it (else E_INSN_JUMP).  0 or -EINVAL.
 */
int skep_insns_check(const struct bpf_insn *insns, size_t n, struct skep_err *err);

/* Writes @in back; out has in->slots slots.  Inverse of decoding. */
void skep_insn_encode(const struct skep_insn *in, struct bpf_insn *out);

#endif
