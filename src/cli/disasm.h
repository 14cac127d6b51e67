/* SPDX-License-Identifier: BSD-2-Clause */
/* What the verbs disasm and asm share. */
#ifndef SKEP_CLI_DISASM_H
#define SKEP_CLI_DISASM_H

#include "base/buf.h"
#include "cli/cli.h"
#include "isa/disasm.h"

struct skep_disasm_args {
	const char *section; /* only this one; NULL: all with code */
	bool opcodes; /* bytes under each instruction */
	bool raw; /* nothing but what the bytes say */
	bool loaded; /* a dump of a loaded program */
};

/* "bpf_trace_printk" for 6, or NULL; the callback of struct skep_disasm_opts. */
const char *skep_cli_helper_name(void *ctx, int32_t number);
/* 6 for "bpf_trace_printk", or -1; the callback of struct skep_asm_opts. */
int skep_cli_helper_number(void *ctx, const char *name);

/*
 * Appends the sections with code of the ELF image @data: functions, source
 * lines, labels, and what relocations say about maps and calls.
 */
int skep_disasm_elf(struct skep_cli *cli, struct skep_buf *out, const void *data, size_t len,
		    const struct skep_disasm_args *args, struct skep_err *err);

/* Appends @n slots that come without names. */
int skep_disasm_plain(struct skep_buf *out, const struct bpf_insn *insns, size_t n,
		      const struct skep_disasm_args *args, struct skep_err *err);

#endif
