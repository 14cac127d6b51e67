/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The checks of `skep conform`: one program a row of isa.def (and immediate),
 * run on many operands.  What must come out is computed by conform_rfc.c from
 * the words of RFC 9669 and the instruction's bits, not from isa.def.
 */
#ifndef SKEP_CLI_CONFORM_H
#define SKEP_CLI_CONFORM_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONFORM_GROUPS 7 /* SKEP_GROUP_BASE32 to SKEP_GROUP_PACKET */

/* Context of a check: the program reads a, b, c and mem, writes out and mem. */
struct conform_io {
	uint64_t a, b, c; /* destination, source, r0 */
	uint64_t out[3];
	uint8_t mem[16];
};

struct conform_prog {
	const char *row; /* of isa.def */
	struct bpf_insn subject; /* the instruction in question */
	struct bpf_insn insns[32];
	uint32_t n, at; /* at: the subject's place */
	uint8_t group;
	bool packet; /* runs on conform_packet; the result is r0 */
	bool unaligned; /* the kernel's verifier refuses it by rights */
};

#define CONFORM_PACKET 32
extern const uint8_t conform_packet[CONFORM_PACKET];

/* Calls @fn for every program; stops when it returns non-zero, and returns that. */
int conform_each(int (*fn)(void *arg, const struct conform_prog *p), void *arg);

/* The operands to run each on: fills @io with the @i-th set; false behind the last. */
bool conform_operands(const struct conform_prog *p, unsigned int i, struct conform_io *io);

/* What RFC 9669 says @p makes of @io, in place. */
void conform_rfc(const struct conform_prog *p, struct conform_io *io);

#endif
