/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores to the frame that nothing reads: backwards along all paths, which of
 * the frame's 64 words may still be read.
 *
 * Where the address of the frame goes elsewhere than into loads and stores
 * through r10, and where nobody has proved what programs do, all that reads
 * memory, or may, reads all of the frame.
 */
#include <string.h>

#include "jit/opt.h"

#define WORD (SKEP_VM_STACK / 64)

/* The words that an access within the frame touches. */
static uint64_t words(const struct skep_vm_insn *in)
{
	unsigned int first = (unsigned int)(in->off + SKEP_VM_STACK) / WORD;
	unsigned int width = skep_insn_table[in->op].width / 8u;
	unsigned int last = ((unsigned int)(in->off + SKEP_VM_STACK) + width - 1) / WORD;

	return UINT64_MAX << first & UINT64_MAX >> (63 - last);
}

static bool fills(const struct skep_vm_insn *in)
{
	return skep_insn_table[in->op].width == WORD * 8 && in->off % WORD == 0;
}

static bool reads_memory(const struct skep_vm_insn *in)
{
	uint8_t kind = skep_jit_kind(in);

	if (in->op >= SKEP_OP_MAX)
		return in->op == SKEP_VM_OP_TAIL_CALL || in->op == SKEP_JIT_LOOKUP ||
		       in->op == SKEP_JIT_LOOKUP_ROW || in->op == SKEP_JIT_LOOP;
	return kind != SKEP_KIND_ALU && kind != SKEP_KIND_LDDW && kind != SKEP_KIND_COND &&
	       kind != SKEP_KIND_JA && kind != SKEP_KIND_MAY_GOTO && !skep_jit_is_store(kind);
}

/* Which words may be read from @in on; @out: behind it. */
static uint64_t before(const struct skep_vm_insn *in, uint64_t out, bool escapes)
{
	uint8_t kind = skep_jit_kind(in);

	if (skep_jit_is_load(kind) && skep_jit_in_frame(in))
		return out | words(in);
	if (skep_jit_is_store(kind) && skep_jit_in_frame(in))
		return fills(in) ? out & ~words(in) : out;
	return escapes && reads_memory(in) ? UINT64_MAX : out;
}

/* The same behind @i, from which control goes elsewhere, too; @next: behind it in the text. */
static uint64_t parts(const struct skep_jit *j, const uint64_t *live, uint32_t i, uint64_t next)
{
	const struct skep_vm_insn *in = &j->ir[i];

	switch (skep_jit_kind(in)) {
	case SKEP_KIND_EXIT: return 0;
	case SKEP_KIND_JA: return live[(int64_t)i + in->off];
	default: return next | live[(int64_t)i + in->off];
	}
}

/* True if r10 is anywhere but in the address of a load or store of the frame. */
static bool frame_escapes(const struct skep_jit *j)
{
	uint32_t i;

	for (i = 0; i < j->prog->nr; i++) {
		const struct skep_vm_insn *in = &j->ir[i];
		uint8_t kind = skep_jit_kind(in);
		bool plain;

		if (in->dst != BPF_REG_10 && in->src != BPF_REG_10 &&
		    !(skep_jit_traits[in->op] & (SKEP_JIT_OTHER | SKEP_JIT_INDEXED)))
			continue;
		plain = (skep_jit_is_load(kind) || skep_jit_is_store(kind)) &&
			skep_jit_in_frame(in);

		if (!(skep_jit_effect(j, in).use & 1 << BPF_REG_10))
			continue;
		if (!plain || (kind == SKEP_KIND_STX && in->src == BPF_REG_10))
			return true;
	}
	return false;
}

/*
 * Backwards over all slots; live[] is that of slots that something jumps to.
 * @drop: what nobody reads is not stored.  True if a loop wants another walk.
 */
static bool walk(struct skep_jit *j, uint64_t *live, bool escapes, bool drop)
{
	uint64_t now = 0;
	bool again = false;
	uint32_t i;

	for (i = j->prog->nr; i-- > 0;) {
		struct skep_vm_insn *in = &j->ir[i];
		uint8_t traits = skep_jit_traits[in->op];

		if (traits & SKEP_JIT_PARTS)
			now = parts(j, live, i, now);
		else if (drop && skep_jit_is_store(skep_jit_kind(in)) && skep_jit_in_frame(in) &&
			 !(now & words(in)))
			*in = (struct skep_vm_insn){.op = SKEP_JIT_NOP};
		/* Arithmetic has nothing to do with memory. */
		else if (traits && !(traits & SKEP_JIT_COMPUTES))
			now = before(in, now, escapes);
		if (!j->leader[i])
			continue;
		again |= now != live[i] && (j->leader[i] & 2);
		live[i] = now;
	}
	return again;
}

int skep_jit_stack(struct skep_jit *j)
{
	uint64_t *live;
	bool escapes;

	if (!(j->named & 1 << BPF_REG_10))
		return 0;
	live = skep_jit_take(j, j->prog->nr + 1, sizeof(*live));
	if (!live)
		return -1;
	escapes = j->checked || frame_escapes(j);
	/* Without loops all that follows a slot stands behind it. */
	while (j->loops && walk(j, live, escapes, false))
		;
	walk(j, live, escapes, true);
	return 0;
}
