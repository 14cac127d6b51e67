/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From raw instructions to the decoded form: jumps as distances, helpers and
 * code addresses as pointers.  What cannot be run is refused here, so that
 * the interpreter meets only what it can do: no jump leaves the program, no
 * path falls off its end, each helper exists and fits the program's type.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "vm/run.h"

struct decode {
	struct skep_vm_prog *prog;
	const struct skep_vm_prog_opts *opts;
	uint32_t at;
	struct skep_err *err;
};

static int refuse(const struct decode *d, enum skep_tag tag, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int refuse(const struct decode *d, enum skep_tag tag, int code, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	int ret;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	ret = skep_fail(d->err, tag, code, "instruction %u: %s", d->at, text);
	if (d->err && d->err->insn < 0)
		d->err->insn = (int)d->at;
	return ret;
}

static int decode_helper(const struct decode *d, const struct skep_insn *in,
			 struct skep_vm_insn *out)
{
	const struct skep_helper *h = NULL;

	if (d->opts->helper)
		h = d->opts->helper(d->opts->helper_ctx, (uint32_t)in->imm);
	if (h) {
		out->helper = h;
		return 0;
	}
	h = skep_helper_find((uint32_t)in->imm);
	if (!h && d->opts->helper)
		return refuse(d, SKEP_E_UNSUPPORTED, EINVAL,
			      "there is no helper %d; skep_engine_helper() gives the engine one",
			      in->imm);
	if (!h)
		return refuse(d, SKEP_E_UNSUPPORTED, EINVAL,
			      "no kernel up to 6.12 has a helper number %d", in->imm);
	if (in->imm == BPF_FUNC_tail_call)
		out->op = SKEP_VM_OP_TAIL_CALL;
	else if (!h->fn)
		return refuse(d, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			      "%s() %s; run the program with the kernel engine", h->name, h->why);
	if (!skep_helper_allowed(h, d->prog->type))
		return refuse(d, SKEP_E_PROG_REJECTED, EINVAL,
			      "programs of this type cannot call %s()", h->name);
	if (h->gpl && !d->prog->gpl)
		return refuse(d, SKEP_E_PROG_REJECTED, EINVAL,
			      "%s() is only for programs with a GPL-compatible licence: "
			      "char LICENSE[] SEC(\"license\") = \"GPL\"",
			      h->name);
	out->helper = h;
	return 0;
}

static int decode_map_value(const struct decode *d, struct skep_map *map, uint32_t off,
			    struct skep_vm_insn *out)
{
	uint32_t zero = 0;
	uint8_t *value = NULL;

	if (map->type == BPF_MAP_TYPE_ARRAY && off < map->value_size)
		value = skep_map_lookup(map, &zero, 0);
	if (!value)
		return refuse(d, SKEP_E_INSN_INVALID, EINVAL,
			      "byte %u of the map '%s' cannot be addressed directly", off,
			      map->name);
	out->imm = (int64_t)(uintptr_t)(value + off);
	return 0;
}

static int decode_imm64(const struct decode *d, const struct skep_insn *in,
			struct skep_vm_insn *out)
{
	const struct skep_vm_prog *prog = d->prog;
	uint32_t map = (uint32_t)in->imm64;

	switch (in->op) {
	case SKEP_OP_LDDW: out->imm = (int64_t)in->imm64; return 0;
	case SKEP_OP_LDDW_MAP_IDX:
	case SKEP_OP_LDDW_MAP_IDX_VALUE:
		if (map >= prog->nr_maps)
			return refuse(d, SKEP_E_INSN_INVALID, EINVAL,
				      "map %u of a program with %u maps", map, prog->nr_maps);
		out->imm = (int64_t)(uintptr_t)prog->maps[map];
		if (in->op == SKEP_OP_LDDW_MAP_IDX)
			return 0;
		return decode_map_value(d, prog->maps[map], (uint32_t)(in->imm64 >> 32), out);
	case SKEP_OP_LDDW_FUNC:
		out->imm = (int64_t)(uintptr_t)&prog->insns[in->target];
		prog->is_func[in->target] = 1;
		return 0;
	default:
		return refuse(d, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			      "64-bit immediates of this kind need the kernel engine");
	}
}

static int decode_one(const struct decode *d, const struct skep_insn *in, struct skep_vm_insn *out)
{
	*out = (struct skep_vm_insn){
		.op = in->op,
		.dst = in->dst,
		.src = in->src,
		.off = in->off,
		.imm = in->imm,
	};
	if (in->target != SKEP_NO_TARGET)
		out->off = (int32_t)(in->target - d->at);
	switch ((enum skep_kind)in->kind) {
	case SKEP_KIND_CALL: return decode_helper(d, in, out);
	case SKEP_KIND_LDDW: return decode_imm64(d, in, out);
	case SKEP_KIND_CALL_PC: d->prog->is_func[in->target] = 1; return 0;
	case SKEP_KIND_CAST:
		return refuse(d, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			      "addr_space_cast needs an arena map, which only the kernel has");
	case SKEP_KIND_CALL_KFUNC:
		return refuse(d, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			      "calls a function of the kernel, which only the kernel engine can");
	case SKEP_KIND_INTERNAL:
		return refuse(d, SKEP_E_INSN_INVALID, EINVAL,
			      "only the kernel itself writes this instruction");
	default: return 0;
	}
}

/* What can follow the instruction nowhere but at its target, or not at all. */
static bool ends_path(const struct skep_insn *in)
{
	return in->kind == SKEP_KIND_EXIT || in->kind == SKEP_KIND_JA;
}

static bool is_map_addr(const struct skep_vm_prog *prog, uint64_t addr, bool value)
{
	uint32_t i;

	for (i = 0; i < prog->nr_maps; i++) {
		const struct skep_map *map = prog->maps[i];

		if (value ? map->ops->bound && map->ops->bound(map, addr) : (uintptr_t)map == addr)
			return true;
	}
	return false;
}

static bool leaves_function(const struct skep_vm_insn *in, uint8_t kind)
{
	return in->op >= SKEP_OP_MAX || kind == SKEP_KIND_CALL || kind == SKEP_KIND_CALL_PC ||
	       kind == SKEP_KIND_CALLX || kind == SKEP_KIND_CALL_KFUNC ||
	       kind == SKEP_KIND_MAY_GOTO;
}

/* What is to be known of the function [start, end).  False: it jumps out of itself. */
static bool look_at_function(struct skep_vm_prog *prog, uint32_t start, uint32_t end)
{
	uint8_t what = SKEP_VM_LEAF | SKEP_VM_FRAMELESS, kind = SKEP_KIND_EXIT;
	uint32_t i;

	for (i = start; i < end; i += 1 + (kind == SKEP_KIND_LDDW)) {
		const struct skep_vm_insn *in = &prog->insns[i];
		int64_t to = (int64_t)i + in->off;

		kind = in->op < SKEP_OP_MAX ? skep_insn_table[in->op].kind : SKEP_KIND_CALL;
		if ((kind == SKEP_KIND_COND || kind == SKEP_KIND_JA ||
		     kind == SKEP_KIND_MAY_GOTO) &&
		    (to < start || to >= end))
			return false;
		if (kind == SKEP_KIND_CALLX) /* to any of them */
			return false;
		if (leaves_function(in, kind))
			what = 0;
		if (in->dst == BPF_REG_10 || in->src == BPF_REG_10)
			what &= (uint8_t)~SKEP_VM_FRAMELESS;
	}
	if (kind != SKEP_KIND_EXIT && kind != SKEP_KIND_JA)
		return false;
	/* The entry has a frame, whatever it is used for. */
	if (start)
		prog->is_func[start] |= what;
	return true;
}

/* One that jumps into another makes all of them functions of which nothing is known. */
static void look_at_functions(struct skep_vm_prog *prog)
{
	uint32_t start, end;

	for (start = 0; start < prog->nr; start = end) {
		for (end = start + 1; end < prog->nr && !prog->is_func[end]; end++)
			;
		if (look_at_function(prog, start, end))
			continue;
		for (start = 0; start < prog->nr; start++)
			prog->is_func[start] &= SKEP_VM_FUNC;
		return;
	}
}

/*
 * Makes plain numbers of the addresses that stand where descriptors were,
 * which no well-formed program has (skep_insns_check).
 */
static int take_addrs(const struct decode *d, struct bpf_insn *insns, uint32_t nr)
{
	struct decode at = *d;

	for (; at.at + 1 < nr; at.at++) {
		struct bpf_insn *insn = &insns[at.at];
		bool value = insn->src_reg == BPF_PSEUDO_MAP_VALUE;

		if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if ((value || insn->src_reg == BPF_PSEUDO_MAP_FD) &&
		    !is_map_addr(d->prog,
				 (uint64_t)(uint32_t)insn[1].imm << 32 | (uint32_t)insn->imm,
				 value))
			return refuse(&at, SKEP_E_INSN_INVALID, EINVAL,
				      "the map is not one of the program's %u", d->prog->nr_maps);
		if (value || insn->src_reg == BPF_PSEUDO_MAP_FD)
			insn->src_reg = 0;
		at.at++;
	}
	return 0;
}

static int decode_all(struct skep_vm_prog *prog, const struct bpf_insn *raw,
		      const struct skep_vm_prog_opts *opts, struct skep_err *err)
{
	SKEP_AUTO_FREE struct bpf_insn *insns = calloc(prog->nr, sizeof(*insns));
	struct decode d = {.prog = prog, .opts = opts, .err = err};
	struct skep_insn in;
	int slots, ret;

	if (!insns)
		return skep_fail_nomem(err);
	memcpy(insns, raw, prog->nr * sizeof(*insns));
	ret = take_addrs(&d, insns, prog->nr);
	if (ret == 0)
		ret = skep_insns_check(insns, prog->nr, err);
	if (ret < 0)
		return ret;
	prog->is_func[0] = 1;
	for (; d.at < prog->nr; d.at += slots) {
		slots = skep_insn_decode(insns, prog->nr, d.at, &in, err);
		if (slots < 0)
			return slots;
		ret = decode_one(&d, &in, &prog->insns[d.at]);
		if (ret < 0)
			return ret;
		if (d.at + slots == prog->nr && !ends_path(&in))
			return refuse(&d, SKEP_E_INSN_JUMP, EINVAL,
				      "the program does not end with exit or a jump back");
	}
	look_at_functions(prog);
	return 0;
}

static int take_maps(struct skep_vm_prog *prog, const struct skep_vm_prog_opts *opts,
		     struct skep_err *err)
{
	uint32_t i;

	if (!opts->nr_maps)
		return 0;
	prog->maps = calloc(opts->nr_maps, sizeof(*prog->maps));
	if (!prog->maps)
		return skep_fail_nomem(err);
	for (i = 0; i < opts->nr_maps; i++)
		prog->maps[i] = skep_map_get(opts->maps[i]);
	prog->nr_maps = opts->nr_maps;
	return 0;
}

static void set_budget(struct skep_vm_prog *prog, uint64_t budget)
{
	uint64_t first = budget < SKEP_VM_SLICE ? budget : SKEP_VM_SLICE;

	prog->first = (int64_t)first;
	prog->rest = budget - first;
}

SKEP_DEFINE_CLEANUP(prog, struct skep_vm_prog, skep_vm_prog_put)

int skep_vm_prog_create(struct skep_vm_prog **result, const struct bpf_insn *insns, uint32_t nr,
			const struct skep_vm_prog_opts *opts, struct skep_err *err)
{
	SKEP_AUTO(skep_cleanup_prog) struct skep_vm_prog *prog = calloc(1, sizeof(*prog));
	int ret;

	if (!prog)
		return skep_fail_nomem(err);
	atomic_init(&prog->refs, 1);
	if (!nr)
		return skep_fail(err, SKEP_E_INSN_INVALID, EINVAL,
				 "the program has no instructions");
	prog->nr = nr;
	prog->insns = calloc(nr, sizeof(*prog->insns));
	prog->is_func = calloc(nr, 1);
	if (!prog->insns || !prog->is_func)
		return skep_fail_nomem(err);
	snprintf(prog->name, sizeof(prog->name), "%s", opts->name ? opts->name : "");
	prog->type = opts->type;
	prog->attach_type = opts->attach_type;
	prog->gpl = opts->gpl;
	prog->checked = !opts->trusted;
	prog->counted = prog->checked || opts->budget;
	set_budget(prog, opts->budget ? opts->budget : UINT64_MAX);
	ret = take_maps(prog, opts, err);
	if (ret < 0)
		return ret;
	ret = decode_all(prog, insns, opts, err);
	if (ret < 0)
		return ret;
	*result = SKEP_TAKE(prog);
	return 0;
}

struct skep_vm_prog *skep_vm_prog_get(struct skep_vm_prog *prog)
{
	atomic_fetch_add_explicit(&prog->refs, 1, memory_order_relaxed);
	return prog;
}

void skep_vm_prog_put(struct skep_vm_prog *prog)
{
	uint32_t i;

	if (!prog || atomic_fetch_sub_explicit(&prog->refs, 1, memory_order_acq_rel) > 1)
		return;
	for (i = 0; i < prog->nr_maps; i++)
		skep_map_put(prog->maps[i]);
	free(prog->maps);
	free(prog->insns);
	if (prog->native)
		prog->native->destroy(prog->native);
	free(prog->is_func);
	free(prog);
}
