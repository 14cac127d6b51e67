/* SPDX-License-Identifier: BSD-2-Clause */
/* Putting a resolved relocation into its instruction. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "btf/core.h"

static void poison(struct bpf_insn *insn, size_t n)
{
	for (; n; n--, insn++)
		*insn = (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = SKEP_CORE_POISON};
}

static int bad(struct skep_err *err, uint32_t idx, uint32_t relo, int code, const char *what)
{
	int ret = skep_fail(err, SKEP_E_CORE_UNRESOLVED, code,
			    "CO-RE relocation %u of instruction %u: %s", relo, idx, what);

	if (err && err->insn < 0)
		err->insn = (int)idx;
	return ret;
}

/* BPF_B for 1, ...; -1: no load has that width. */
static int width_code(uint32_t bytes)
{
	switch (bytes) {
	case 1: return BPF_B;
	case 2: return BPF_H;
	case 4: return BPF_W;
	case 8: return BPF_DW;
	default: return -1;
	}
}

static int patch_mem(struct bpf_insn *insn, uint32_t idx, uint32_t relo,
		     const struct skep_core_result *res, struct skep_err *err)
{
	int size;

	if (res->validate && (uint64_t)insn->off != res->old_val)
		return bad(err, idx, relo, EINVAL, "the offset is not what the compiler recorded");
	if (res->new_val > SHRT_MAX)
		return bad(err, idx, relo, ERANGE, "the field lies too far for the instruction");
	if (res->bad_size) {
		poison(insn, 1);
		return 0;
	}
	if (res->new_size != res->old_size) {
		size = width_code(res->new_size);
		if (width_code(res->old_size) != BPF_SIZE(insn->code) || size < 0)
			return bad(err, idx, relo, EINVAL,
				   "the field has another size that no load has");
		insn->code = (uint8_t)(BPF_MODE(insn->code) | size | BPF_CLASS(insn->code));
	}
	insn->off = (int16_t)res->new_val;
	return 0;
}

static int patch_imm64(struct bpf_insn *insn, size_t left, uint32_t idx, uint32_t relo,
		       const struct skep_core_result *res, struct skep_err *err)
{
	uint64_t imm;

	if (left < 2 || insn->src_reg || insn->off || insn[1].code || insn[1].dst_reg ||
	    insn[1].src_reg || insn[1].off)
		return bad(err, idx, relo, EINVAL, "not a plain 64-bit immediate");
	imm = (uint32_t)insn[0].imm | (uint64_t)(uint32_t)insn[1].imm << 32;
	if (res->validate && imm != res->old_val)
		return bad(err, idx, relo, EINVAL,
			   "the immediate is not what the compiler recorded");
	insn[0].imm = (int32_t)res->new_val;
	insn[1].imm = (int32_t)(res->new_val >> 32);
	return 0;
}

int skep_core_patch(struct bpf_insn *insn, size_t left, uint32_t idx, uint32_t relo,
		    const struct skep_core_result *res, struct skep_err *err)
{
	bool wide = left && insn->code == (BPF_LD | BPF_IMM | BPF_DW);

	if (!left)
		return bad(err, idx, relo, EINVAL, "no such instruction");
	if (res->poison) {
		poison(insn, wide && left > 1 ? 2 : 1);
		return 0;
	}
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		if (BPF_SRC(insn->code) != BPF_K)
			break;
		if (res->validate && (uint64_t)insn->imm != res->old_val)
			return bad(err, idx, relo, EINVAL,
				   "the immediate is not what the compiler recorded");
		insn->imm = (int32_t)res->new_val;
		return 0;
	case BPF_LDX:
	case BPF_ST:
	case BPF_STX: return patch_mem(insn, idx, relo, res, err);
	case BPF_LD:
		if (wide)
			return patch_imm64(insn, left, idx, relo, res, err);
		break;
	}
	return bad(err, idx, relo, EINVAL, "not an instruction that CO-RE knows to change");
}
