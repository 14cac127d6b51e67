/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads that one arithmetic instruction uses, and nobody else: the processor
 * takes the second operand from memory itself.
 *
 * The check of an access, where there is one, stays where the load was, and so
 * does what is said of it when it fails.  Between the load and its use nothing
 * may write memory, change the address, or part; within a block.
 */
#include "jit/opt.h"

#define FAR 16 /* slots between a load and its use */

/* True if @in has a machine instruction that takes its second operand from memory. */
static bool takes_memory(const struct skep_vm_insn *in)
{
	switch (in->op) {
	case SKEP_OP_ADD64_X:
	case SKEP_OP_ADD32_X:
	case SKEP_OP_SUB64_X:
	case SKEP_OP_SUB32_X:
	case SKEP_OP_OR64_X:
	case SKEP_OP_OR32_X:
	case SKEP_OP_AND64_X:
	case SKEP_OP_AND32_X:
	case SKEP_OP_XOR64_X:
	case SKEP_OP_XOR32_X:
	case SKEP_OP_MUL64_X:
	case SKEP_OP_MUL32_X: return true;
	default: return false;
	}
}

/* Nothing but registers changes, and control goes on. */
static bool is_quiet(const struct skep_jit *j, const struct skep_vm_insn *in)
{
	return in->op == SKEP_JIT_NOP || in->op == SKEP_JIT_OPERAND ||
	       in->op == SKEP_JIT_CHECK || skep_jit_is_load(skep_jit_kind(in)) ||
	       (skep_jit_traits[in->op] & SKEP_JIT_COMPUTES);
}

/* The slot of the only use of the load at @i, which can do without it; 0: there is none. */
static uint32_t only_use(const struct skep_jit *j, const uint16_t *live, uint32_t i)
{
	const struct skep_vm_insn *load = &j->ir[i], *in;
	uint16_t reg = (uint16_t)(1u << load->dst), address = skep_jit_effect(j, load).use;
	uint32_t n;

	/* What it overwrites is in its address: no later instruction can read there. */
	if (address & reg)
		return 0;
	for (n = i + 1; n < j->prog->nr && n - i <= FAR && !j->leader[n]; n++) {
		struct skep_jit_effect e;

		in = &j->ir[n];
		if (!is_quiet(j, in))
			return 0;
		e = skep_jit_effect(j, in);
		if (e.use & reg) {
			bool wide = skep_insn_table[load->op].width >= skep_insn_table[in->op].width;

			return takes_memory(in) && in->src == load->dst && in->dst != load->dst &&
					       wide && !(skep_jit_live_out(j, live, n) & reg)
				       ? n
				       : 0;
		}
		if (e.def & (address | reg))
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

void skep_jit_operands(struct skep_jit *j)
{
	const uint16_t *live = skep_jit_live(j);
	uint32_t i, use;

	for (i = 0; i < j->prog->nr; i++) {
		if (j->ir[i].op != SKEP_OP_LDX64 && j->ir[i].op != SKEP_OP_LDX32)
			continue;
		use = only_use(j, live, i);
		if (use)
			fold(j, i, use);
	}
}
