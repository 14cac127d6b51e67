/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program does with its context, found without running it.
 *
 * A program can be given another context than it was written for if all it
 * does with it is known: plain loads at known offsets, and handing it as
 * first argument to helpers that only want "the context".  Anything else
 * (stored, computed with, passed to a function) is a reason to say no.
 */
#ifndef SKEP_OBJ_CTXUSE_H
#define SKEP_OBJ_CTXUSE_H

#include "obj/load_int.h"

struct skep_ctx_load {
	uint32_t insn;
	int16_t off; /* bytes from the context's start */
	uint8_t size; /* bytes */
};

struct skep_ctx_use {
	SKEP_VEC(struct skep_ctx_load) loads; /* by insn, each once */
	int stack; /* lowest offset of the frame in use, bytes: -512..0; 1: not known */
	char why[160]; /* a clause: "it stores its context (instruction 7)" */
};

/*
 * 0, -ENOMEM, or -EOPNOTSUPP with @use->why.  Values of .kconfig are taken as
 * the constants they are, so that what they switch off does not count.
 */
int skep_ctx_use_find(const struct skep_load *load, const struct skep_obj_func *func,
		      struct skep_ctx_use *use);
void skep_ctx_use_deinit(struct skep_ctx_use *use);

#endif
