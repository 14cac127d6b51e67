/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jumps over one or two instructions that only compute one register: as
 * compilers write what is one value or another.  They are computed anyway, and
 * a conditional move takes the result or leaves it; or, where the values are 0
 * and 1, what the comparison says is the result.
 */
#include "jit/opt.h"

#define FAR 8 /* slots before a jump that are looked at */

/* Computes @reg and nothing else, with one machine instruction that needs no scratch register. */
static bool is_simple(const struct skep_vm_insn *in, uint8_t reg)
{
	if (skep_jit_kind(in) != SKEP_KIND_ALU || in->dst != reg)
		return false;
	switch (skep_insn_table[in->op].code & 0xf0) {
	case BPF_MOV:
	case BPF_ADD:
	case BPF_SUB:
	case BPF_AND:
	case BPF_OR:
	case BPF_XOR: return true;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH: return skep_insn_table[in->op].src != SKEP_F_READ;
	default: return false;
	}
}

/* How many instructions the conditional jump at @i selects; 0: it is another one. */
static uint8_t selected(const struct skep_jit *j, uint32_t i)
{
	const struct skep_vm_insn *in = &j->ir[i];
	int n;

	if (in->off < 2 || in->off > 3 || i + (uint32_t)in->off > j->prog->nr)
		return 0;
	for (n = 1; n < in->off; n++)
		if (j->leader[i + (uint32_t)n] || !is_simple(in + n, in[1].dst))
			return 0;
	return (uint8_t)(n - 1);
}

/*
 * Where one of @reg was last touched before the jump at @i, in its block; NULL: nowhere near.
 * @joins: by slot: something but jumps that are none any more may jump here.
 */
static struct skep_vm_insn *last_touch(const struct skep_jit *j, const uint8_t *joins, uint32_t i,
				       uint16_t reg)
{
	uint32_t n;

	for (n = i; n > 0 && i - n < FAR && !joins[n] && !j->prog->is_func[n]; n--) {
		struct skep_vm_insn *in = &j->ir[n - 1];
		struct skep_jit_effect e = skep_jit_effect(j, in);
		bool perhaps = (n > 1 && j->select[n - 2]) || (n > 2 && j->select[n - 3] == 2);

		if (!j->select[n - 1] && (skep_jit_traits[in->op] & SKEP_JIT_PARTS))
			return NULL;
		if ((e.use | e.def) & reg)
			return perhaps ? NULL : in;
	}
	return NULL;
}

/* True if @in makes its destination 0 or 1. */
static bool sets_bit(const struct skep_vm_insn *in)
{
	return (in->op == SKEP_OP_MOV64_K || in->op == SKEP_OP_MOV32_K ||
		in->op == SKEP_JIT_CONST) &&
	       (in->imm == 0 || in->imm == 1);
}

/* 1 where the jump is taken and 0 where it is not, or the other way round. */
static bool select_bit(struct skep_jit *j, uint32_t i, struct skep_vm_insn *before)
{
	struct skep_vm_insn *in = &j->ir[i + 1];

	if (!sets_bit(before) || !sets_bit(in) || before->dst != in->dst || before->imm == in->imm)
		return false;
	before->op = SKEP_JIT_NOP;
	in->op = SKEP_JIT_BIT;
	return true;
}

/* A copy of another register that is still the same: the jump takes that, as it was. */
static void select_copy(struct skep_jit *j, uint32_t i, const struct skep_vm_insn *before)
{
	struct skep_vm_insn *in = &j->ir[i + 1];
	const struct skep_vm_insn *n;

	if (before->op != SKEP_OP_MOV64_X || before->dst != in->dst || before->src == in->dst ||
	    skep_insn_table[in->op].dst != SKEP_F_RDWR)
		return;
	for (n = before + 1; n < &j->ir[i]; n++)
		if (skep_jit_effect(j, n).def & 1 << before->src)
			return;
	j->copy[i] = (uint8_t)(before->src + 1);
}

/* What comes before a select may make it simpler, if the jump does not look at it. */
static void improve(struct skep_jit *j, const uint8_t *joins, uint32_t i)
{
	uint16_t reg = (uint16_t)(1u << j->ir[i + 1].dst);
	struct skep_vm_insn *before;

	if (skep_jit_effect(j, &j->ir[i]).use & reg)
		return;
	before = last_touch(j, joins, i, reg);
	if (before && !(j->select[i] == 1 && select_bit(j, i, before)))
		select_copy(j, i, before);
}

int skep_jit_selects(struct skep_jit *j)
{
	uint8_t *joins = skep_jit_take(j, j->prog->nr + 1, 1);
	bool any = false;
	uint32_t i;

	j->copy = skep_jit_take(j, j->prog->nr, 1);
	if (!joins || !j->copy)
		return -1;
	for (i = 0; i < j->prog->nr; i++) {
		const struct skep_vm_insn *in = &j->ir[i];
		uint8_t kind;

		if (!(skep_jit_traits[in->op] & SKEP_JIT_PARTS))
			continue;
		kind = skep_jit_kind(in);
		if (kind == SKEP_KIND_COND)
			j->select[i] = selected(j, i);
		if (j->select[i])
			any = true;
		else if (kind != SKEP_KIND_EXIT)
			joins[(int64_t)i + in->off] = 1;
	}
	for (i = 0; any && i < j->prog->nr; i++)
		if (j->select[i])
			improve(j, joins, i);
	return 0;
}
