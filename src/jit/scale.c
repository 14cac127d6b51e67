/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shifts by 1 to 3 of what only addresses are made of: loads and stores scale
 * their index themselves.  Within a block; all uses of the shifted register
 * must be in addresses, and none may come later.
 */
#include "jit/opt.h"

#define FAR 48 /* slots that are looked at behind a shift */

struct scale {
	struct skep_jit *j;
	const uint16_t *live;
	uint8_t reg;
	unsigned int by;
};

static uint8_t base_of(const struct skep_vm_insn *in)
{
	return skep_jit_is_load(skep_jit_kind(in)) ? in->src : in->dst;
}

/* What the index of @in becomes when the register there is not shifted; *@base, too.  0: no. */
static unsigned int scaled(const struct scale *s, const struct skep_vm_insn *in, uint8_t *base)
{
	unsigned int index = skep_jit_index(in), shift = index >> 4 & 3;
	bool as_index = (index & SKEP_JIT_INDEX) == s->reg + 1u;
	bool as_base = !(index & SKEP_JIT_NO_BASE) && *base == s->reg;
	unsigned int mine = (s->reg + 1u) | SKEP_JIT_SCALE(s->by);

	if (as_index)
		return as_base || shift + s->by > 3 ? 0 : index + SKEP_JIT_SCALE(s->by);
	if (!(index & SKEP_JIT_INDEX))
		return mine | SKEP_JIT_NO_BASE;
	*base = (uint8_t)((index & SKEP_JIT_INDEX) - 1);
	return shift ? 0 : mine;
}

/* True if @in, which uses the register, does so in its address only, and may scale it. */
static bool usable(const struct scale *s, const struct skep_vm_insn *in)
{
	uint8_t kind = skep_jit_kind(in), base;

	if (!skep_jit_is_load(kind) && !skep_jit_is_store(kind))
		return false;
	if (kind == SKEP_KIND_STX && in->src == s->reg)
		return false;
	base = base_of(in);
	return scaled(s, in, &base) != 0;
}

/* The slot behind the last use of the shift at @i; 0: it has to stay. */
static uint32_t last_use(const struct scale *s, uint32_t i)
{
	const struct skep_jit *j = s->j;
	uint32_t n, end = 0;

	for (n = i + 1; n < j->prog->nr && n - i < FAR; n++) {
		const struct skep_vm_insn *in = &j->ir[n];
		struct skep_jit_effect e = skep_jit_effect(j, in);
		uint8_t kind = skep_jit_kind(in);

		if (j->leader[n])
			return s->live[n] & 1 << s->reg ? 0 : end;
		if (e.use & 1 << s->reg) {
			if (!usable(s, in))
				return 0;
			end = n + 1;
		}
		if (e.def & 1 << s->reg)
			return end;
		if (kind == SKEP_KIND_JA || kind == SKEP_KIND_COND || kind == SKEP_KIND_EXIT ||
		    kind == SKEP_KIND_MAY_GOTO)
			return skep_jit_live_out(j, s->live, n) & 1 << s->reg ? 0 : end;
	}
	return 0;
}

static void rewrite(const struct scale *s, struct skep_vm_insn *in)
{
	uint8_t base = base_of(in);
	unsigned int index = scaled(s, in, &base);

	if (skep_jit_is_load(skep_jit_kind(in)))
		in->src = base;
	else
		in->dst = base;
	if (skep_jit_kind(in) == SKEP_KIND_ST)
		in->src = (uint8_t)index;
	else
		in->imm = index;
}

void skep_jit_scale(struct skep_jit *j)
{
	struct scale s = {.j = j, .live = skep_jit_live(j)};
	uint32_t i, n, end;

	for (i = 0; i < j->prog->nr; i++) {
		const struct skep_vm_insn *in = &j->ir[i];

		if (in->op != SKEP_OP_LSH64_K || (in->imm & 63) < 1 || (in->imm & 63) > 3)
			continue;
		s.reg = in->dst;
		s.by = (unsigned int)in->imm & 63;
		end = last_use(&s, i);
		if (!end)
			continue;
		for (n = i + 1; n < end; n++)
			if (skep_jit_effect(j, &j->ir[n]).use & 1 << s.reg)
				rewrite(&s, &j->ir[n]);
		j->ir[i] = (struct skep_vm_insn){.op = SKEP_JIT_NOP};
	}
}
