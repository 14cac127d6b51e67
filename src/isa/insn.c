/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Decoding: the opcode byte picks a chain of rows of isa.def, and the numbers
 * in the rows' fields pick one of the chain.  Encoding is the way back.
 */
#include "isa/insn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SKEP_INSN(name_, kind_, code_, dst_, src_, off_, imm_, width_, text_, group_, cpu_, \
		  kernel_) \
	[SKEP_OP_##name_] = {.name = #name_, \
			     .text = text_, \
			     .dst = dst_, \
			     .src = src_, \
			     .off = off_, \
			     .imm = imm_, \
			     .kernel = kernel_, \
			     .code = code_, \
			     .kind = SKEP_KIND_##kind_, \
			     .group = SKEP_GROUP_##group_, \
			     .cpu = cpu_, \
			     .width = width_},
const struct skep_insn_info skep_insn_table[SKEP_OP_MAX] = {
#include "isa/isa.def"
};

/* The opcode bytes alone, in the order of the table: memchr(3) finds the rows of one. */
static const uint8_t codes[SKEP_OP_MAX] = {
#define SKEP_INSN(name, kind, code, ...) code,
#include "isa/isa.def"
};

enum { NR_FIELDS = 4 };

static const char *const field_names[NR_FIELDS] = {"dst", "src", "off", "imm"};

static int32_t row_field(const struct skep_insn_info *info, int field)
{
	const int32_t v[NR_FIELDS] = {info->dst, info->src, info->off, info->imm};

	return v[field];
}

static int32_t raw_field(const struct bpf_insn *insn, int field)
{
	const int32_t v[NR_FIELDS] = {insn->dst_reg, insn->src_reg, insn->off, insn->imm};

	return v[field];
}

static bool is_number(int32_t spec)
{
	return spec < SKEP_F_READ;
}

static bool field_ok(int32_t spec, int32_t v)
{
	switch (spec) {
	case SKEP_F_READ: return v <= 10;
	case SKEP_F_WRITE:
	case SKEP_F_RDWR: return v <= 9;
	case SKEP_F_ANY:
	case SKEP_F_JUMP: return true;
	default: return v == spec;
	}
}

/* How well a row fits: MATCH, or less the more fields are wrong. */
enum { MATCH = 100 };

static int row_score(const struct skep_insn_info *info, const struct bpf_insn *insn)
{
	int field, score = MATCH;

	for (field = 0; field < NR_FIELDS; field++)
		if (!field_ok(row_field(info, field), raw_field(insn, field)))
			score -= is_number(row_field(info, field)) ? 2 : 1;
	return score;
}

/* The row after @op (-1: from the start) with this code, or -1. */
static int next_row(int op, uint8_t code)
{
	const uint8_t *at = memchr(&codes[op + 1], code, SKEP_OP_MAX - (op + 1));

	return at ? (int)(at - codes) : -1;
}

__attribute__((format(printf, 4, 5))) static int fail_at(struct skep_err *err, size_t i,
							 enum skep_tag tag, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (!err || err->tag != SKEP_E_NONE)
		return -EINVAL;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err->insn = (int)i;
	return skep_fail(err, tag, EINVAL, "instruction %zu: %s", i, text);
}

/* "0, 1 or 32": the numbers that rows of @code take in @field. */
static void list_numbers(char *out, size_t len, uint8_t code, int field, bool loaded)
{
	int32_t seen[32];
	size_t nr = 0, used = 0, i;
	int op;

	for (op = next_row(-1, code); op >= 0 && nr < 32; op = next_row(op, code)) {
		int32_t spec = row_field(&skep_insn_table[op], field);

		if (!is_number(spec) || (skep_insn_table[op].group == SKEP_GROUP_KERNEL && !loaded))
			continue;
		for (i = 0; i < nr && seen[i] != spec; i++)
			;
		if (i == nr)
			seen[nr++] = spec;
	}
	out[0] = 0;
	for (i = 0; i < nr && used < len; i++)
		used += snprintf(out + used, len - used,
				 field == 3 && seen[i] > 64 ? "%s%#x" : "%s%d",
				 !i	       ? ""
				 : i + 1 == nr ? " or "
					       : ", ",
				 seen[i]);
}

/* No row takes @insn: says which field of the nearest row @op is wrong. */
static int fail_row(const struct bpf_insn *insn, size_t i, int op, bool loaded,
		    struct skep_err *err)
{
	const struct skep_insn_info *info = &skep_insn_table[op];
	char want[200];
	int field;

	for (field = 0; field < NR_FIELDS - 1; field++)
		if (!field_ok(row_field(info, field), raw_field(insn, field)))
			break;
	if (!is_number(row_field(info, field))) {
		if (raw_field(insn, field) == 10)
			return fail_at(err, i, SKEP_E_INSN_INVALID,
				       "%s writes r10, the frame pointer, which is read-only",
				       info->name);
		return fail_at(err, i, SKEP_E_INSN_INVALID,
			       "%s: %s is register %d; registers are r0 to r10", info->name,
			       field_names[field], raw_field(insn, field));
	}
	list_numbers(want, sizeof(want), info->code, field, loaded);
	return fail_at(err, i, SKEP_E_INSN_INVALID, "opcode 0x%02x: %s is %d, must be %s",
		       insn->code, field_names[field], raw_field(insn, field), want);
}

static int find_row(const struct bpf_insn *insn, size_t i, bool loaded, struct skep_err *err)
{
	int op, best = -1, best_score = -1;

	for (op = next_row(-1, insn->code); op >= 0; op = next_row(op, insn->code)) {
		int score;

		if (skep_insn_table[op].group == SKEP_GROUP_KERNEL && !loaded)
			continue;
		score = row_score(&skep_insn_table[op], insn);
		if (score == MATCH)
			return op;
		if (score > best_score) {
			best = op;
			best_score = score;
		}
	}
	if (best < 0)
		return fail_at(err, i, SKEP_E_INSN_INVALID, "unknown opcode 0x%02x%s", insn->code,
			       insn->code ? "" : " (the second half of a 64-bit immediate?)");
	return fail_row(insn, i, best, loaded, err);
}

/* The second slot of a 64-bit immediate: all but imm is reserved. */
static int decode_upper(const struct bpf_insn *insns, size_t n, size_t i, struct skep_insn *out,
			struct skep_err *err)
{
	const struct bpf_insn *hi = &insns[i + 1];
	bool takes_hi = out->op == SKEP_OP_LDDW || out->op == SKEP_OP_LDDW_MAP_VALUE ||
			out->op == SKEP_OP_LDDW_MAP_IDX_VALUE || out->op == SKEP_OP_LDDW_VAR;

	if (i + 1 >= n)
		return fail_at(err, i, SKEP_E_INSN_TRUNCATED,
			       "half a 64-bit immediate: the program ends after its first slot");
	if (hi->code || hi->dst_reg || hi->src_reg || hi->off)
		return fail_at(err, i, SKEP_E_INSN_INVALID,
			       "half a 64-bit immediate: opcode, registers and offset of the "
			       "slot after it must be 0 (its opcode is 0x%02x)",
			       hi->code);
	if (hi->imm && !takes_hi)
		return fail_at(err, i, SKEP_E_INSN_INVALID,
			       "%s: imm of the second slot is %d, must be 0",
			       skep_insn_table[out->op].name, hi->imm);
	out->imm64 = (uint64_t)(uint32_t)hi->imm << 32 | (uint32_t)out->imm;
	out->slots = 2;
	return 2;
}

static int decode(const struct bpf_insn *insns, size_t n, size_t i, struct skep_insn *out,
		  bool loaded, struct skep_err *err)
{
	const struct skep_insn_info *info;
	int op;

	if (i >= n)
		return fail_at(err, i, SKEP_E_INSN_TRUNCATED, "past the end (%zu slots)", n);
	op = find_row(&insns[i], i, loaded, err);
	if (op < 0)
		return op;
	info = &skep_insn_table[op];
	*out = (struct skep_insn){
		.op = op,
		.kind = info->kind,
		.slots = 1,
		.dst = insns[i].dst_reg,
		.src = is_number(info->src) ? 0 : insns[i].src_reg,
		.off = insns[i].off,
		.imm = insns[i].imm,
		.imm64 = (uint64_t)(int64_t)insns[i].imm,
		.target = SKEP_NO_TARGET,
	};
	/* A code address counts from the slot after its first, as a call does. */
	if (info->off == SKEP_F_JUMP)
		out->target = (int64_t)i + 1 + out->off;
	else if (info->imm == SKEP_F_JUMP)
		out->target = (int64_t)i + 1 + out->imm;
	return info->kind == SKEP_KIND_LDDW ? decode_upper(insns, n, i, out, err) : 1;
}

int skep_insn_decode(const struct bpf_insn *insns, size_t n, size_t i, struct skep_insn *out,
		     struct skep_err *err)
{
	return decode(insns, n, i, out, false, err);
}

int skep_insn_decode_loaded(const struct bpf_insn *insns, size_t n, size_t i, struct skep_insn *out,
			    struct skep_err *err)
{
	return decode(insns, n, i, out, true, err);
}

/* @target relative to program of @n slots whose instruction starts are marked in @starts. */
static int check_target(const struct skep_insn *in, const struct bpf_insn *insns, size_t n,
			size_t i, const uint8_t *starts, struct skep_err *err)
{
	const char *what = in->kind == SKEP_KIND_CALL_PC ? "call"
			   : in->kind == SKEP_KIND_LDDW	 ? "code address"
							 : "jump";

	if (in->target < 0 || in->target >= (int64_t)n)
		return fail_at(err, i, SKEP_E_INSN_JUMP,
			       "%s to %lld is outside the program (0 to %zu)", what,
			       (long long)in->target, n - 1);
	if (!starts[in->target])
		return fail_at(err, i, SKEP_E_INSN_JUMP,
			       "%s to %lld is into the middle of a 64-bit immediate", what,
			       (long long)in->target);
	return 0;
}

int skep_insns_check(const struct bpf_insn *insns, size_t n, struct skep_err *err)
{
	SKEP_AUTO_FREE uint8_t *starts = NULL;
	struct skep_insn in;
	size_t i;
	int ret;

	if (!n)
		return fail_at(err, 0, SKEP_E_INSN_TRUNCATED, "the program is empty");
	starts = calloc(n, 1);
	if (!starts)
		return skep_fail_nomem(err);
	for (i = 0; i < n; i += ret) {
		ret = skep_insn_decode(insns, n, i, &in, err);
		if (ret < 0)
			return ret;
		starts[i] = 1;
	}
	for (i = 0; i < n; i += in.slots) {
		skep_insn_decode(insns, n, i, &in, NULL);
		if (in.target == SKEP_NO_TARGET)
			continue;
		ret = check_target(&in, insns, n, i, starts, err);
		if (ret)
			return ret;
	}
	return 0;
}

void skep_insn_encode(const struct skep_insn *in, struct bpf_insn *out)
{
	const struct skep_insn_info *info = &skep_insn_table[in->op];

	out[0] = (struct bpf_insn){
		.code = info->code,
		.dst_reg = is_number(info->dst) ? info->dst : in->dst,
		.src_reg = is_number(info->src) ? info->src : in->src,
		.off = is_number(info->off) ? info->off : in->off,
		.imm = is_number(info->imm) ? info->imm : in->imm,
	};
	if (info->kind != SKEP_KIND_LDDW)
		return;
	out[0].imm = (int32_t)in->imm64;
	out[1] = (struct bpf_insn){.imm = (int32_t)(in->imm64 >> 32)};
}
