/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inserting instructions.  One pass copies each instruction to its new place
 * and stretches the jumps that cross the insertion; 16-bit jumps that would
 * overflow refuse the edit before anything is changed.
 */
#include "obj/edit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "isa/uapi.h"

#define CODE_LDDW (BPF_LD | BPF_IMM | BPF_DW)

/* How an instruction says where it jumps to. */
enum jump_form { JUMP_NONE, JUMP_OFF, JUMP_IMM };

static enum jump_form jump_form(const struct bpf_insn *insn)
{
	uint8_t class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

	if (class != BPF_JMP && class != BPF_JMP32)
		return JUMP_NONE;
	if (op == BPF_CALL || op == BPF_EXIT)
		return JUMP_NONE; /* calls are relocations: linking gives them their distance */
	if (class == BPF_JMP32 && op == BPF_JA)
		return JUMP_IMM; /* gotol */
	return JUMP_OFF; /* conditional, goto, may_goto */
}

/* Index after the insertion of what had index @i. */
static int64_t moved(int64_t i, uint32_t at, uint32_t n)
{
	return i < at ? i : i + n;
}

static int stretch(const struct skep_obj_func *func, uint32_t i, uint32_t at, uint32_t n,
		   struct bpf_insn *out, struct skep_err *err)
{
	enum jump_form form = jump_form(out);
	int64_t dist;

	if (form == JUMP_NONE)
		return 0;
	dist = form == JUMP_OFF ? out->off : out->imm;
	dist = moved((int64_t)i + 1 + dist, at, n) - moved(i, at, n) - 1;
	if (form == JUMP_OFF ? dist != (int16_t)dist : dist != (int32_t)dist)
		return skep_fail(err, SKEP_E_UNSUPPORTED, E2BIG,
				 "function '%s': instruction %u jumps too far for what is added "
				 "to it",
				 func->name, i);
	if (form == JUMP_OFF)
		out->off = (int16_t)dist;
	else
		out->imm = (int32_t)dist;
	return 0;
}

static int copy_insns(const struct skep_obj_func *func, uint32_t at, uint32_t n,
		      struct bpf_insn *to, struct skep_err *err)
{
	uint32_t i;
	int ret;

	for (i = 0; i < func->nr_insns; i++) {
		struct bpf_insn *out = &to[moved(i, at, n)];

		*out = func->insns[i];
		if (out->code == CODE_LDDW) {
			if (++i == at || i == func->nr_insns)
				return skep_fail(err, SKEP_E_INSN_INVALID, EINVAL,
						 "function '%s': instruction %u is half a 64-bit "
						 "immediate",
						 func->name, i);
			out[1] = func->insns[i];
			continue;
		}
		ret = stretch(func, i, at, n, out, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* The relocations of both, in order. */
static void merge_relos(const struct skep_obj_func *func, uint32_t at, uint32_t n,
			const struct skep_obj_relo *relos, uint32_t nr_relos,
			struct skep_obj_relo *to)
{
	uint32_t i = 0, k;

	for (; i < func->nr_relos && func->relos[i].insn < at; i++)
		*to++ = func->relos[i];
	for (k = 0; k < nr_relos; k++) {
		*to = relos[k];
		to++->insn += at;
	}
	for (; i < func->nr_relos; i++) {
		*to = func->relos[i];
		to++->insn += n;
	}
}

int skep_obj_insert(struct skep_arena *arena, struct skep_obj_func *func, uint32_t at,
		    const struct bpf_insn *insns, uint32_t n, const struct skep_obj_relo *relos,
		    uint32_t nr_relos, struct skep_err *err)
{
	struct skep_obj_relo *new_relos;
	struct bpf_insn *new_insns;
	uint32_t i;
	int ret;

	if (at >= func->nr_insns)
		return skep_fail(err, SKEP_E_INSN_INVALID, EINVAL,
				 "function '%s' has no instruction %u", func->name, at);
	new_insns = skep_arena_array(arena, (size_t)func->nr_insns + n, sizeof(*new_insns));
	new_relos = skep_arena_array(arena, (size_t)func->nr_relos + nr_relos, sizeof(*new_relos));
	if (!new_insns || !new_relos)
		return skep_fail_nomem(err);
	ret = copy_insns(func, at, n, new_insns, err);
	if (ret)
		return ret;
	memcpy(new_insns + at, insns, n * sizeof(*insns));
	merge_relos(func, at, n, relos, nr_relos, new_relos);
	func->insns = new_insns;
	func->nr_insns += n;
	func->relos = new_relos;
	func->nr_relos += nr_relos;
	/* The line of a function's start covers what is put in front of it. */
	for (i = 0; i < func->nr_lines; i++)
		if (func->lines[i].insn >= at && func->lines[i].insn > 0)
			func->lines[i].insn += n;
	return 0;
}
