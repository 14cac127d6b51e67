/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The assembler: the disassembler's text back into instructions.
 *
 * A line holds an instruction, a label (`L1:`), both, or nothing.  Comments
 * start with `;`, `#` or `//`.  What dumps put before an instruction is
 * skipped: the index (`12:`), the bytes in hex, the opcode in parentheses; so
 * are function headers (`int f(void):`) and lines of bytes.  Jumps go to
 * `pc+4`, `+4` or a label, calls to `name#6`, `6`, `name`, `pc+4` or a label.
 * As in dumps, `r1 = 5` is a move and `r1 = 0x5` (or `5 ll`) a 64-bit
 * immediate of two slots.
 */
#ifndef SKEP_ISA_ASM_H
#define SKEP_ISA_ASM_H

#include "isa/insn.h"

/* Every callback may be NULL; each returns a negative number for unknown names. */
struct skep_asm_opts {
	size_t sz; /* sizeof(struct skep_asm_opts) */
	void *ctx; /* handed to the callbacks */
	int (*helper)(void *ctx, const char *name); /* number of a helper */
	int (*map)(void *ctx, const char *name); /* descriptor of a map */
	bool loaded; /* also the kernel's internal instructions */
	bool unchecked; /* leave out skep_insns_check() */
};

/*
 * Assembles @len bytes of text.  *insns gets a malloc'ed array of *n slots.
 * 0, or -EINVAL with E_ASM_SYNTAX ("line 3, column 9: expected ..."; err->line
 * is the line), or what skep_insns_check() says with the line in front, or
 * -ENOMEM.
 */
int skep_asm(const char *text, size_t len, const struct skep_asm_opts *opts,
	     struct bpf_insn **insns, size_t *n, struct skep_err *err);

#endif
