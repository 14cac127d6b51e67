/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Abstract interpretation of one function over a small lattice: a register
 * holds the context, a constant, the address of an option of .kconfig, a
 * place in the frame, or something else.  What differs between two ways to
 * an instruction is "something else", and if one of them is the context it is
 * UNSURE, which nothing may be done with.  States only go up: the walk ends.
 */
#include "obj/ctxuse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "isa/eval.h"
#include "isa/uapi.h"

enum kind { NEVER, OTHER, CTX, UNSURE, CONST, OPTION, FRAME };

struct value {
	enum kind kind;
	int64_t n; /* CONST: the number; OPTION: offset in .kconfig; FRAME: from r10 */
};

struct state {
	struct value r[11];
};

struct walk {
	const struct skep_load *load;
	const struct skep_obj_func *func;
	struct skep_ctx_use *use;
	struct state *states; /* before each instruction */
	bool *reached, *queued;
	const struct skep_obj_relo **relos; /* of each instruction, or NULL */
	SKEP_VEC(uint32_t) todo;
};

/* Helpers whose first argument is the context, whatever kind it is. */
static bool takes_any_context(int32_t helper)
{
	return helper == BPF_FUNC_perf_event_output || helper == BPF_FUNC_get_stackid ||
	       helper == BPF_FUNC_get_stack;
}

static bool is_ctx(const struct value *v)
{
	return v->kind == CTX || v->kind == UNSURE;
}

/* Helpers without arguments: what is in r1 does not matter to them. */
static bool takes_nothing(int32_t helper)
{
	static const uint8_t list[] = {
		BPF_FUNC_ktime_get_ns,
		BPF_FUNC_get_prandom_u32,
		BPF_FUNC_get_smp_processor_id,
		BPF_FUNC_get_current_pid_tgid,
		BPF_FUNC_get_current_uid_gid,
		BPF_FUNC_get_current_task,
		BPF_FUNC_get_numa_node_id,
		BPF_FUNC_get_current_cgroup_id,
		BPF_FUNC_jiffies64,
		BPF_FUNC_ktime_get_boot_ns,
		BPF_FUNC_get_current_task_btf,
		BPF_FUNC_ktime_get_coarse_ns,
		BPF_FUNC_ktime_get_tai_ns,
	};
	size_t i;

	for (i = 0; i < sizeof(list); i++)
		if (list[i] == helper)
			return true;
	return false;
}

static int refuse(struct walk *w, uint32_t insn, const char *what)
{
	snprintf(w->use->why, sizeof(w->use->why), "it %s (instruction %u)", what, insn);
	return -EOPNOTSUPP;
}

static struct value join(struct value a, struct value b)
{
	if (a.kind == NEVER)
		return b;
	if (b.kind == NEVER || (a.kind == b.kind && a.n == b.n))
		return a;
	return (struct value){is_ctx(&a) || is_ctx(&b) ? UNSURE : OTHER, 0};
}

static int flow_to(struct walk *w, int64_t to, const struct state *s)
{
	struct state *old;
	bool changed = false;
	int i;

	/* Out of the function: the verifier will say so. */
	if (to < 0 || to >= w->func->nr_insns)
		return 0;
	old = &w->states[to];
	for (i = 0; i < 11; i++) {
		struct value v = join(old->r[i], s->r[i]);

		/* A place in the frame that is not known any more. */
		if (v.kind != FRAME && (old->r[i].kind == FRAME || s->r[i].kind == FRAME))
			w->use->stack = 1;
		changed |= v.kind != old->r[i].kind || v.n != old->r[i].n;
		old->r[i] = v;
	}
	if ((!changed && w->reached[to]) || w->queued[to])
		return 0;
	w->queued[to] = true;
	return skep_vec_push(&w->todo, (uint32_t)to);
}

static void use_frame(struct walk *w, int64_t at)
{
	if (w->use->stack <= 0 && at < w->use->stack)
		w->use->stack = at < -512 ? -512 : (int)at;
}

static int size_of(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B: return 1;
	case BPF_H: return 2;
	case BPF_W: return 4;
	default: return 8;
	}
}

static int note_load(struct walk *w, uint32_t i, const struct bpf_insn *insn)
{
	struct skep_ctx_load load = {i, insn->off, (uint8_t)size_of(insn->code)};
	const struct skep_ctx_load *it;

	if (BPF_MODE(insn->code) != BPF_MEM)
		return refuse(w, i, "reads its context with sign extension");
	skep_vec_each (&w->use->loads, it)
		if (it->insn == i)
			return 0;
	return skep_vec_push(&w->use->loads, load);
}

/* The value of an option of .kconfig, known before the program runs. */
static struct value option_value(const struct walk *w, int64_t at, int size)
{
	const struct skep_load *load = w->load;
	const struct skep_obj_map *map;
	struct value v = {CONST, 0};

	if (load->kconfig_map == SKEP_NO_MAP)
		return (struct value){OTHER, 0};
	map = &load->own_maps.data[load->kconfig_map - load->obj->nr_maps];
	if (!map->init || at < 0 || at + size > (int64_t)map->value_size)
		return (struct value){OTHER, 0};
	memcpy(&v.n, (char *)map->init + at, (size_t)size);
	return v;
}

static int do_load(struct walk *w, uint32_t i, const struct bpf_insn *insn, struct state *s)
{
	const struct value base = s->r[insn->src_reg];
	int ret = 0;

	s->r[insn->dst_reg] = (struct value){OTHER, 0};
	switch (base.kind) {
	case CTX: ret = note_load(w, i, insn); break;
	case UNSURE: return refuse(w, i, "reads through what may be its context or not");
	case FRAME: use_frame(w, base.n + insn->off); break;
	case OPTION:
		if (BPF_MODE(insn->code) == BPF_MEM)
			s->r[insn->dst_reg] =
				option_value(w, base.n + insn->off, size_of(insn->code));
		break;
	default: break;
	}
	return ret;
}

static int do_store(struct walk *w, uint32_t i, const struct bpf_insn *insn, struct state *s)
{
	const struct value *base = &s->r[insn->dst_reg];
	bool atomic = BPF_CLASS(insn->code) == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC;

	if (BPF_CLASS(insn->code) == BPF_STX && is_ctx(&s->r[insn->src_reg]))
		return refuse(w, i, "stores its context");
	if (is_ctx(base))
		return refuse(w, i, "writes to its context");
	if (BPF_CLASS(insn->code) == BPF_STX && s->r[insn->src_reg].kind == FRAME)
		w->use->stack = 1;
	if (base->kind == FRAME)
		use_frame(w, base->n + insn->off);
	/* A fetch may change the source or r0. */
	if (atomic) {
		s->r[insn->src_reg] = (struct value){OTHER, 0};
		s->r[0] = (struct value){OTHER, 0};
	}
	return 0;
}

/* The instruction as the table knows it; false: it knows none. */
static bool decode(const struct bpf_insn *insn, struct skep_insn *out)
{
	return skep_insn_decode(insn, 1, 0, out, NULL) == 1;
}

/* The value of @insn's second operand: a register's, or a constant. */
static struct value operand(const struct bpf_insn *insn, const struct state *s)
{
	return BPF_SRC(insn->code) == BPF_X ? s->r[insn->src_reg]
					    : (struct value){CONST, insn->imm};
}

static void do_alu(struct walk *w, const struct bpf_insn *insn, struct state *s)
{
	bool wide = BPF_CLASS(insn->code) == BPF_ALU64, one;
	uint8_t op = BPF_OP(insn->code);
	struct value *dst = &s->r[insn->dst_reg], src;
	struct skep_insn in;

	/* BPF_END's source bit is none. */
	one = op == BPF_NEG || op == BPF_END;
	src = one ? (struct value){CONST, 0} : operand(insn, s);
	if (op == BPF_MOV && !insn->off && wide && src.kind != CONST) {
		*dst = src;
	} else if (dst->kind == FRAME && src.kind == CONST && wide && op == BPF_ADD) {
		dst->n += src.n;
		use_frame(w, dst->n);
	} else if ((op == BPF_MOV || dst->kind == CONST) && src.kind == CONST &&
		   decode(insn, &in)) {
		*dst = (struct value){CONST, (int64_t)skep_isa_eval_alu(in.op, (uint64_t)dst->n,
									(uint64_t)src.n)};
	} else {
		if (src.kind == FRAME || (op != BPF_MOV && dst->kind == FRAME))
			w->use->stack = 1;
		*dst = (struct value){
			is_ctx(&src) || (op != BPF_MOV && is_ctx(dst)) ? UNSURE : OTHER, 0};
	}
}

static int do_call(struct walk *w, uint32_t i, const struct bpf_insn *insn, struct state *s)
{
	const struct skep_obj_relo *relo = w->relos[i];
	bool helper = !insn->src_reg && !relo;
	char what[80];
	int r;

	for (r = 1; r <= 5 && !(helper && takes_nothing(insn->imm)); r++) {
		/* How many arguments there are is not known: what registers still hold counts. */
		if (!is_ctx(&s->r[r]))
			continue;
		if (helper && r == 1 && s->r[1].kind == CTX && takes_any_context(insn->imm))
			continue;
		if (helper)
			snprintf(what, sizeof(what), "hands its context to helper %d", insn->imm);
		else
			snprintf(what, sizeof(what), "hands its context to a function");
		return refuse(w, i, what);
	}
	for (r = 0; r <= 5; r++)
		s->r[r] = (struct value){OTHER, 0};
	return 0;
}

static int do_jump(struct walk *w, uint32_t i, const struct bpf_insn *insn, struct state *s)
{
	const struct value *v = &s->r[insn->dst_reg], with = operand(insn, s);
	bool taken = true, known = BPF_OP(insn->code) == BPF_JA;
	int64_t to = (int64_t)i + 1 + insn->off;
	struct skep_insn in;
	int ret = 0;

	if (known && BPF_CLASS(insn->code) == BPF_JMP32)
		to = (int64_t)i + 1 + insn->imm;
	else if (BPF_OP(insn->code) != BPF_JCOND && v->kind == CONST && with.kind == CONST &&
		 decode(insn, &in)) {
		known = true;
		taken = skep_isa_eval_cond(in.op, (uint64_t)v->n, (uint64_t)with.n);
	}
	if (taken)
		ret = flow_to(w, to, s);
	return ret || (known && taken) ? ret : flow_to(w, (int64_t)i + 1, s);
}

/* The two halves of a 64-bit immediate. */
static int do_lddw(struct walk *w, uint32_t i, const struct bpf_insn *insn, struct state *s)
{
	const struct skep_obj_relo *relo = w->relos[i];
	struct value *dst = &s->r[insn->dst_reg];

	*dst = (struct value){OTHER, 0};
	if (relo && relo->kind == SKEP_RELO_EXTERN &&
	    w->load->obj->externs[relo->target].kind == SKEP_EXTERN_KCONFIG)
		*dst = (struct value){OPTION, w->load->externs[relo->target].off};
	return flow_to(w, (int64_t)i + 2, s);
}

static int step(struct walk *w, uint32_t i)
{
	const struct bpf_insn *insn = &w->func->insns[i];
	struct state s = w->states[i];
	int ret = 0;

	if (insn->dst_reg > 10 || insn->src_reg > 10)
		return refuse(w, i, "has an invalid register");
	switch (BPF_CLASS(insn->code)) {
	case BPF_LD:
		if (insn->code == (BPF_LD | BPF_IMM | BPF_DW))
			return do_lddw(w, i, insn, &s);
		return refuse(w, i, "loads packets");
	case BPF_LDX: ret = do_load(w, i, insn, &s); break;
	case BPF_ST:
	case BPF_STX: ret = do_store(w, i, insn, &s); break;
	case BPF_ALU:
	case BPF_ALU64: do_alu(w, insn, &s); break;
	default:
		if (BPF_OP(insn->code) == BPF_EXIT)
			return 0;
		if (BPF_OP(insn->code) != BPF_CALL)
			return do_jump(w, i, insn, &s);
		ret = do_call(w, i, insn, &s);
	}
	return ret ? ret : flow_to(w, (int64_t)i + 1, &s);
}

static int walk(struct walk *w)
{
	const struct skep_obj_func *func = w->func;
	struct state start = {0};
	uint32_t i;
	int ret;

	for (i = 0; i < func->nr_relos; i++)
		if (func->relos[i].insn < func->nr_insns && func->relos[i].kind != SKEP_RELO_CORE)
			w->relos[func->relos[i].insn] = &func->relos[i];
	for (i = 0; i < 11; i++)
		start.r[i].kind = i == 1 ? CTX : i == 10 ? FRAME : OTHER;
	ret = flow_to(w, 0, &start);
	while (!ret && w->todo.len) {
		i = w->todo.data[--w->todo.len];
		w->queued[i] = false;
		w->reached[i] = true;
		ret = step(w, i);
	}
	return ret;
}

static int by_insn(const void *a, const void *b)
{
	const struct skep_ctx_load *x = a, *y = b;

	return x->insn < y->insn ? -1 : x->insn > y->insn;
}

int skep_ctx_use_find(const struct skep_load *load, const struct skep_obj_func *func,
		      struct skep_ctx_use *use)
{
	struct walk w = {.load = load, .func = func, .use = use};
	size_t n = func->nr_insns;
	int ret = -ENOMEM;

	w.states = calloc(n, sizeof(*w.states));
	w.reached = calloc(n, sizeof(*w.reached));
	w.queued = calloc(n, sizeof(*w.queued));
	w.relos = calloc(n, sizeof(*w.relos));
	if (w.states && w.reached && w.queued && w.relos)
		ret = walk(&w);
	free(w.states);
	free(w.reached);
	free(w.queued);
	free(w.relos);
	skep_vec_deinit(&w.todo);
	if (!ret && use->loads.len)
		qsort(use->loads.data, use->loads.len, sizeof(*use->loads.data), by_insn);
	return ret;
}

void skep_ctx_use_deinit(struct skep_ctx_use *use)
{
	skep_vec_deinit(&use->loads);
}
