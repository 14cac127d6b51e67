/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arithmetic with memory, which the processor does itself: loads that one
 * instruction uses as its second operand, and nobody else; and loads of what is
 * changed by one instruction, stored where it was, and not used any more.
 *
 * The check of an access, where there is one, stays where the load was.  Between
 * a load and its use nothing may write memory, change the address, or part;
 * within a block.
 */
#include "jit/opt.h"

#define FAR 16 /* slots between a load and its use */

/* True if @in has a machine instruction whose second operand, or first, is in memory. */
static bool takes_memory(const struct skep_vm_insn *in, bool first)
{
	if (skep_jit_kind(in) != SKEP_KIND_ALU)
		return false;
	switch (skep_insn_table[in->op].code & 0xf0) {
	case BPF_ADD:
	case BPF_SUB:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR: break;
	case BPF_MUL:
		if (!first)
			break;
		return false;
	default: return false;
	}
	return first || skep_insn_table[in->op].src == SKEP_F_READ;
}

/* True if @in uses what @load was of as its second operand, and no more of it than there is. */
static bool uses(const struct skep_vm_insn *load, const struct skep_vm_insn *in)
{
	return takes_memory(in, false) && in->src == load->dst && in->dst != load->dst &&
	       skep_insn_table[load->op].width >= skep_insn_table[in->op].width;
}

/*
 * The slot behind @i where the destination of the load there is named first;
 * nothing up to there changes its address or memory.  0: there is none.
 */
static uint32_t first_use(const struct skep_jit *j, uint32_t i)
{
	const struct skep_vm_insn *load = &j->ir[i];
	uint16_t reg = (uint16_t)(1u << load->dst), address = skep_jit_effect(j, load).use;
	uint32_t n;

	/* What it overwrites is in its address: no later instruction can read there. */
	if (address & reg)
		return 0;
	for (n = i + 1; n < j->prog->nr && n - i <= FAR && !j->leader[n]; n++) {
		const struct skep_vm_insn *in = &j->ir[n];
		struct skep_jit_effect e;

		if (!skep_jit_is_quiet(in))
			return 0;
		e = skep_jit_effect(j, in);
		if ((e.use | e.def) & reg)
			return n;
		if (e.def & address)
			return 0;
	}
	return 0;
}

static void fold(struct skep_jit *j, uint32_t i, uint32_t use)
{
	struct skep_vm_insn *load = &j->ir[i], *in = &j->ir[use];

	in->imm = load->imm | SKEP_JIT_FOR(in->op) | SKEP_JIT_BACK(use - i);
	in->op = SKEP_JIT_OPERAND;
	in->src = load->src;
	in->off = load->off;
	load->imm |= SKEP_JIT_FOR(load->op);
	load->op = SKEP_JIT_CHECK;
}

/* True if @in stores what the load @load was of, changed, where it was. */
static bool stores_back(const struct skep_vm_insn *load, const struct skep_vm_insn *in)
{
	return skep_jit_kind(in) == SKEP_KIND_STX && in->src == load->dst && in->dst == load->src &&
	       in->off == load->off && skep_jit_index(in) == skep_jit_index(load) &&
	       skep_insn_table[in->op].width == skep_insn_table[load->op].width;
}

/* True if @in can change memory that @load was of; with a constant that the store has room for. */
static bool changes(const struct skep_jit *j, const struct skep_vm_insn *load,
		    const struct skep_vm_insn *in)
{
	uint32_t width = skep_insn_table[load->op].width;

	if (!takes_memory(in, true) || in->dst != load->dst ||
	    width > skep_insn_table[in->op].width)
		return false;
	if (skep_insn_table[in->op].src == SKEP_F_READ)
		return in->src != load->dst;
	return !j->blind && (width >= 32 || in->imm == (int8_t)in->imm);
}

/* The slot of the store that ends the change of what is loaded at @i, by @how; 0: none. */
static uint32_t change_end(const struct skep_jit *j, const uint16_t *live, uint32_t i, uint32_t how)
{
	const struct skep_vm_insn *load = &j->ir[i];
	uint16_t reg = (uint16_t)(1u << load->dst), fixed = skep_jit_effect(j, load).use;
	uint32_t n;

	if (skep_insn_table[j->ir[how].op].src == SKEP_F_READ)
		fixed |= (uint16_t)(1u << j->ir[how].src);
	for (n = how + 1; n < j->prog->nr && n - i <= FAR && !j->leader[n]; n++) {
		const struct skep_vm_insn *in = &j->ir[n];
		struct skep_jit_effect e;

		if (stores_back(load, in))
			return skep_jit_live_out(j, live, n) & reg ? 0 : n;
		if (!skep_jit_is_quiet(in))
			return 0;
		e = skep_jit_effect(j, in);
		if ((e.def & fixed) || ((e.use | e.def) & reg))
			return 0;
	}
	return 0;
}

static void fold_change(struct skep_jit *j, uint32_t i, uint32_t how, uint32_t store)
{
	struct skep_vm_insn *load = &j->ir[i], *in = &j->ir[how], *out = &j->ir[store];

	out->imm |= SKEP_JIT_FOR(in->op) | SKEP_JIT_WIDTH(skep_insn_table[out->op].width) |
		    (int64_t)((uint64_t)in->imm << 32);
	out->op = SKEP_JIT_CHANGE;
	out->src = in->src;
	in->op = SKEP_JIT_NOP;
	load->imm |= SKEP_JIT_FOR(load->op);
	load->op = SKEP_JIT_CHECK;
}

void skep_jit_operands(struct skep_jit *j)
{
	const uint16_t *live = skep_jit_live(j);
	uint32_t i, use, end;

	for (i = 0; i < j->prog->nr; i++) {
		const struct skep_vm_insn *load = &j->ir[i];

		if (skep_jit_kind(load) != SKEP_KIND_LDX)
			continue;
		use = first_use(j, i);
		if (!use)
			continue;
		if (uses(load, &j->ir[use])) {
			if (!(skep_jit_live_out(j, live, use) & 1 << load->dst))
				fold(j, i, use);
		} else if (changes(j, load, &j->ir[use])) {
			end = change_end(j, live, i, use);
			if (end)
				fold_change(j, i, use, end);
		}
	}
}
