/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of helpers of which enough is known that they need no helper: look-ups
 * in one map, loops with one callback, and what the machine knows anyway.
 */
#include "jit/emit.h"
#include "jit/jit.h"
#include "jit/opt.h"

/* The constant that the block puts into @reg for slot @i; 0: none is known. */
static uint64_t constant_in(const struct skep_jit *j, uint32_t i, uint8_t reg)
{
	while (!j->leader[i] && i-- > 0) {
		const struct skep_vm_insn *in = &j->ir[i];
		struct skep_jit_effect e = skep_jit_effect(j, in);

		if (e.use == SKEP_JIT_ALL_REGS)
			return 0;
		if (!(e.def & 1 << reg))
			continue;
		if (skep_jit_kind(in) == SKEP_KIND_LDDW || in->op == SKEP_JIT_CONST ||
		    in->op == SKEP_OP_MOV64_K)
			return (uint64_t)in->imm;
		return in->op == SKEP_OP_MOV32_K ? (uint32_t)in->imm : 0;
	}
	return 0;
}

static bool has_lookup(const struct skep_vm_prog *prog, uint64_t addr)
{
	uint32_t i;

	for (i = 0; i < prog->nr_maps; i++)
		if ((uintptr_t)prog->maps[i] == addr)
			return prog->maps[i]->ops->lookup;
	return false;
}

/* Look-ups in a map that is known here go to the map's own function, or to where values lie. */
static void direct_lookup(struct skep_jit *j, uint32_t i)
{
	uint64_t addr = constant_in(j, i, BPF_REG_1);
	const struct skep_map *map = (const struct skep_map *)(uintptr_t)addr;
	bool row;

	if (!has_lookup(j->prog, addr))
		return;
	row = (j->passes & SKEP_JIT_PASS_INLINE) && map->ops->row;
	skep_jit_replace(j, i, row ? SKEP_JIT_LOOKUP_ROW : SKEP_JIT_LOOKUP, 0, 0, (int64_t)addr);
	if (j->checked)
		j->ir[i].off = skep_jit_live_out(j, skep_jit_live(j), i) & SKEP_JIT_ARGS;
}

/* The slot of the function whose address is @addr; 0: none but the entry, which is no callback. */
static uint32_t function_at(const struct skep_vm_prog *prog, uint64_t addr)
{
	uint64_t off = addr - (uintptr_t)prog->insns, i = off / sizeof(*prog->insns);

	return i < prog->nr && off % sizeof(*prog->insns) == 0 && prog->is_func[i] ? (uint32_t)i
										   : 0;
}

/* bpf_loop() with a callback that is known here calls it at once. */
static void direct_loop(struct skep_jit *j, uint32_t i)
{
	uint32_t func = function_at(j->prog, constant_in(j, i, BPF_REG_2));

	if (func)
		skep_jit_replace(j, i, SKEP_JIT_LOOP, 0, 0, func);
}

/* Helpers that only look at what the machine knows.  Arguments without proof have to be checked. */
static bool gets(const struct skep_jit *j, const struct skep_helper *helper)
{
	static const uint32_t ids[] = {
		BPF_FUNC_get_smp_processor_id,
		BPF_FUNC_get_current_pid_tgid,
		BPF_FUNC_get_attach_cookie,
		BPF_FUNC_get_func_arg_cnt,
	};
	unsigned int i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (helper == skep_helper_find(ids[i]))
			return !j->checked || helper->args[0] == SKEP_ARG_NONE;
	return false;
}

void skep_jit_calls(struct skep_jit *j)
{
	const struct skep_helper *lookup = skep_helper_find(BPF_FUNC_map_lookup_elem);
	const struct skep_helper *loop = skep_helper_find(BPF_FUNC_loop);
	uint32_t i;

	for (i = 0; i < j->prog->nr; i++) {
		const struct skep_vm_insn *in = &j->ir[i];

		if (in->op != SKEP_OP_CALL)
			continue;
		if (in->helper == lookup && (!j->checked || j->proof[i])) {
			if (j->passes & SKEP_JIT_PASS_LOOKUP)
				direct_lookup(j, i);
		} else if (in->helper == loop) {
			if (j->passes & SKEP_JIT_PASS_LOOP)
				direct_loop(j, i);
		} else if ((j->passes & SKEP_JIT_PASS_INLINE) && gets(j, in->helper)) {
			skep_jit_replace(j, i, SKEP_JIT_GET, 0, 0, (int64_t)(uintptr_t)in->helper);
		}
	}
}
