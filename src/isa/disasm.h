/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions as text: what `bpftool prog dump xlated` prints, byte for byte.
 *
 * Names that are not in the bytes (helpers, maps, functions, source lines)
 * come from the caller.  Without them the text still says everything: the
 * assembler turns it back into the same bytes.
 */
#ifndef SKEP_ISA_DISASM_H
#define SKEP_ISA_DISASM_H

#include "base/buf.h"
#include "isa/insn.h"

/* Every callback may be NULL and may return NULL: not known.  Strings are borrowed. */
struct skep_disasm_opts {
	size_t sz; /* sizeof(struct skep_disasm_opts) */
	void *ctx; /* handed to the callbacks */
	/* "bpf_trace_printk" for 6. */
	const char *(*helper)(void *ctx, int32_t number);
	/* What stands in the brackets of `map[id:5]` for the instruction at @i: "events". */
	const char *(*map)(void *ctx, size_t i, const struct skep_insn *in);
	/* The function that a local or kernel-function call or a code address at @i names. */
	const char *(*func)(void *ctx, size_t i, const struct skep_insn *in);
	/* The label of slot @i: stands before it as "L1:" and after jumps as "<L1>". */
	const char *(*label)(void *ctx, size_t i);
	/* Whole lines, each with its newline, to be printed before slot @i. */
	const char *(*before)(void *ctx, size_t i);
	/* What follows the instruction at @i as a comment: " ; text". */
	const char *(*note)(void *ctx, size_t i);
	bool opcodes; /* a line with the bytes under each instruction */
	bool loaded; /* the program comes from the kernel: skep_insn_decode_loaded() */
};

/*
 * Appends the text of the instruction at slot @i of @n, without opcode byte,
 * index or newline.  Returns the slots it takes, or -EINVAL as decoding does.
 */
int skep_disasm_insn(struct skep_buf *out, const struct bpf_insn *insns, size_t n, size_t i,
		     const struct skep_disasm_opts *opts, struct skep_err *err);

/*
 * Appends the whole program, a line an instruction: "   0: (b7) r1 = 2593".
 * What does not decode becomes "   5: (ff) invalid: why" and the rest is
 * still printed; then the first failure is returned (-EINVAL), else 0.
 */
int skep_disasm(struct skep_buf *out, const struct bpf_insn *insns, size_t n,
		const struct skep_disasm_opts *opts, struct skep_err *err);

/*
 * Makes names for every slot of @n that a jump or local call leads to, "L1"
 * on in the order of the program: *labels (malloc'ed, zeroes: no label) holds
 * the numbers.  0 or -ENOMEM.
 */
int skep_disasm_labels(const struct bpf_insn *insns, size_t n, bool loaded, uint32_t **labels,
		       struct skep_err *err);

#endif
