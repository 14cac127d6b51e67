/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small loops of one block, which are emitted twice: half as many jumps are
 * taken, and what the processor remembers of them reaches twice as far.
 *
 * The first copy leaves the loop where the last jumps back, so that nothing
 * need be known of how often it runs.  Only where no instruction of the copy
 * has anything in the cold part or in tables: not where instructions are
 * counted or faults are caught.
 */
#include "jit/opt.h"

#define MAX_SLOTS 32
#define MAX_INSNS 16

/* True if @in is nothing but arithmetic or an access; divisions have a cold part. */
static bool is_plain(const struct skep_vm_insn *in)
{
	uint8_t kind = skep_jit_kind(in);
	uint8_t code = kind == SKEP_KIND_ALU ? skep_insn_table[in->op].code & 0xf0 : 0;

	if (code == BPF_DIV || code == BPF_MOD)
		return false;
	return skep_jit_is_quiet(in) || skep_jit_is_store(kind) || in->op == SKEP_JIT_CHANGE;
}

/* Slots from the top of the loop that the jump at @i closes; 0: it is none of these. */
static uint32_t loop_at(const struct skep_jit *j, uint32_t i)
{
	const struct skep_vm_insn *in = &j->ir[i];
	uint32_t top, n, insns = 0;

	if (skep_jit_kind(in) != SKEP_KIND_COND || in->off >= 0 || in->off < -MAX_SLOTS)
		return 0;
	top = (uint32_t)((int64_t)i + in->off);
	for (n = top; n < i; n++) {
		if ((n > top && j->leader[n]) || !is_plain(&j->ir[n]))
			return 0;
		insns += j->ir[n].op != SKEP_JIT_NOP && j->ir[n].op != SKEP_JIT_CHECK;
	}
	return !j->leader[i] && insns <= MAX_INSNS ? i - top : 0;
}

int skep_jit_unroll(struct skep_jit *j)
{
	uint32_t i, n;

	if (j->counted || j->faults)
		return 0;
	j->unroll = skep_jit_take(j, j->prog->nr, 1);
	if (!j->unroll)
		return -1;
	for (i = 0; i < j->prog->nr; i++) {
		n = loop_at(j, i);
		if (n && !j->prog->is_func[i - n])
			j->unroll[i - n] = (uint8_t)n;
	}
	return 0;
}
