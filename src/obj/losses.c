/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counts what a full ring buffer or a full map refuses, whatever the program
 * does about it: behind each such call a counter is raised when the helper
 * says no.  Registers r1 to r5 are free there, r0 keeps the helper's answer.
 *
 * Output into perf buffers is not touched: the kernel itself counts what is
 * lost there (PERF_RECORD_LOST), and counting twice is as wrong as not at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "isa/uapi.h"
#include "obj/edit.h"
#include "obj/load_int.h"
#include "sys/feature.h"

struct site {
	struct skep_loss loss;
	uint32_t func;
};

struct skep_losses {
	SKEP_VEC(struct site) sites; /* by slot of the counter array */
	uint32_t map;
};

/* What a helper answers when it refused for want of room. */
enum refusal { REFUSAL_NONE, REFUSAL_NULL, REFUSAL_NONZERO, REFUSAL_FULL };

static enum refusal refusal_of(const struct bpf_insn *insn)
{
	if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg)
		return REFUSAL_NONE;
	switch (insn->imm) {
	case BPF_FUNC_ringbuf_reserve: return REFUSAL_NULL;
	case BPF_FUNC_ringbuf_output:
	case BPF_FUNC_ringbuf_reserve_dynptr: return REFUSAL_NONZERO;
	case BPF_FUNC_map_update_elem:
	case BPF_FUNC_map_push_elem: return REFUSAL_FULL;
	default: return REFUSAL_NONE;
	}
}

static const struct skep_obj_relo *relo_at(const struct skep_obj_func *func, uint32_t insn)
{
	uint32_t lo = 0, hi = func->nr_relos, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (func->relos[mid].insn < insn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < func->nr_relos && func->relos[lo].insn == insn ? &func->relos[lo] : NULL;
}

/* The map that r1 holds at @call, if the straight line before it tells; else NULL. */
static const char *map_of(const struct skep_load *load, const struct skep_obj_func *func,
			  uint32_t call)
{
	const struct skep_obj_relo *relo;
	const struct bpf_insn *insn;
	uint32_t i, reg = 1;

	for (i = call; i-- > 0;) {
		insn = &func->insns[i];
		if (insn->code == (BPF_JMP | BPF_JA) || insn->code == (BPF_JMP | BPF_EXIT) ||
		    (insn->code == (BPF_JMP | BPF_CALL) && reg < 6))
			return NULL;
		if (!insn->code || insn->dst_reg != reg)
			continue;
		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
			relo = relo_at(func, i);
			return relo && relo->kind == SKEP_RELO_MAP
				       ? load->obj->maps[relo->target].name
				       : NULL;
		case BPF_ALU64:
			if (insn->code != (BPF_ALU64 | BPF_MOV | BPF_X))
				return NULL;
			reg = insn->src_reg;
			break;
		case BPF_ALU:
		case BPF_LDX: return NULL;
		default: break;
		}
	}
	return NULL;
}

static int add_site(struct skep_load *load, uint32_t index, uint32_t insn, enum refusal refusal,
		    struct skep_err *err)
{
	const struct skep_obj_func *func = &load->funcs[index];
	struct site site = {.func = index};
	const char *text;
	uint32_t col;

	site.loss.prog = load->obj->funcs[index].name;
	site.loss.map = map_of(load, func, insn);
	site.loss.insn = insn;
	site.loss.kind = refusal == REFUSAL_FULL ? SKEP_LOSS_MAP_FULL : SKEP_LOSS_RING;
	if (!skep_obj_source(load->obj, func, insn, &site.loss.file, &text, &site.loss.line, &col))
		site.loss.file = NULL;
	return skep_vec_push(&load->losses->sites, site) ? skep_fail_nomem(err) : 0;
}

/* Inserts the counter of slot @slot behind the call at @insn. */
static int insert(struct skep_load *load, uint32_t index, uint32_t insn, uint32_t slot,
		  enum refusal refusal, struct skep_err *err)
{
	struct bpf_insn seq[7] = {{0}};
	struct skep_obj_relo relo = {.kind = SKEP_RELO_DATA};
	uint32_t n = 0;

	/*
	 * The counting takes four slots.  Answers are compared in 32 bits, which is
	 * what helpers of maps give on kernels before 6.4.  A record's address is
	 * compared as a number: were r0 itself compared here, kernels before 6.3
	 * would forget at the program's own comparison that it cannot be NULL any
	 * more, and miss the submit on a path that does not exist.  (No record lies
	 * where the lower half of its address is 0: its header stands before it.)
	 */
	if (refusal == REFUSAL_FULL) {
		seq[n++] = (struct bpf_insn){
			.code = BPF_JMP32 | BPF_JEQ | BPF_K, .off = 1, .imm = -E2BIG};
		seq[n++] = (struct bpf_insn){
			.code = BPF_JMP32 | BPF_JNE | BPF_K, .off = 4, .imm = -ENOMEM};
	} else if (refusal == REFUSAL_NULL) {
		seq[n++] = (struct bpf_insn){.code = BPF_ALU | BPF_MOV | BPF_X, .dst_reg = 1};
		seq[n++] = (struct bpf_insn){
			.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 1, .off = 4};
	} else {
		seq[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_JEQ | BPF_K, .off = 4};
	}
	relo.insn = n;
	relo.target = load->losses->map;
	relo.addend = 8ull * slot;
	seq[n++] = (struct bpf_insn){.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1};
	n++;
	seq[n++] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 1};
	seq[n++] = (struct bpf_insn){
		.code = BPF_STX | BPF_ATOMIC | BPF_DW, .dst_reg = 1, .src_reg = 2, .imm = BPF_ADD};
	return skep_obj_insert(&load->arena, &load->funcs[index], insn + 1, seq, n, &relo, 1, err);
}

bool skep_losses_own(const struct skep_load *load, const struct skep_obj_func *func, uint32_t insn)
{
	const struct skep_obj_relo *relo;
	uint32_t i, before;

	for (i = 0; load->losses && i < func->nr_relos; i++) {
		relo = &func->relos[i];
		if (relo->kind != SKEP_RELO_DATA || relo->target != load->losses->map)
			continue;
		/* What asks stands before the address: one instruction or two, see insert(). */
		before = func->insns[relo->insn - 1].code == (BPF_JMP | BPF_JEQ | BPF_K) ? 1 : 2;
		if (insn + before >= relo->insn && insn < relo->insn + 4)
			return true;
	}
	return false;
}

static int find_sites(struct skep_load *load, uint32_t index, struct skep_err *err)
{
	const struct skep_obj_func *func = &load->funcs[index];
	enum refusal refusal;
	uint32_t i;
	int ret;

	for (i = 0; i < func->nr_insns; i++) {
		refusal = refusal_of(&func->insns[i]);
		/* A function never ends in a call: nothing could follow. */
		if (refusal == REFUSAL_NONE || i + 1 == func->nr_insns)
			continue;
		ret = add_site(load, index, i, refusal, err);
		if (ret)
			return ret;
	}
	return 0;
}

int skep_losses_prepare(struct skep_load *load, struct skep_err *err)
{
	struct skep_obj_map spec = {
		.name = "skep_losses", .type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .max_entries = 1};
	struct skep_losses *losses;
	const struct site *site;
	uint32_t i;
	int ret;

	if (!load->opts.count_losses)
		return 0;
	losses = load->losses = calloc(1, sizeof(*losses));
	if (!losses)
		return skep_fail_nomem(err);
	for (i = 0; i < load->obj->nr_funcs; i++) {
		ret = load->needed[i] ? find_sites(load, i, err) : 0;
		if (ret)
			return ret;
	}
	losses->map = SKEP_NO_MAP;
	if (!losses->sites.len)
		return 0;
	/* The counters are global variables, raised by instructions of Linux 5.1. */
	if (!skep_feature(load->sys, SKEP_FEATURE_GLOBAL_DATA)) {
		skep_warn(load->sys->log,
			  "%s: what full maps and buffers refuse is not counted: this kernel has "
			  "no global variables",
			  load->obj->name);
		losses->sites.len = 0;
		return 0;
	}
	spec.value_size = 8 * losses->sites.len;
	losses->map = skep_load_own_map(load, &spec);
	if (losses->map == SKEP_NO_MAP)
		return skep_fail_nomem(err);
	/* From the back, so that the places in front stay where they were found. */
	for (i = losses->sites.len; i-- > 0;) {
		site = &losses->sites.data[i];
		ret = insert(load, site->func, site->loss.insn, i,
			     refusal_of(&load->funcs[site->func].insns[site->loss.insn]), err);
		if (ret)
			return ret;
	}
	return 0;
}

void skep_losses_deinit(struct skep_load *load)
{
	if (load->losses)
		skep_vec_deinit(&load->losses->sites);
	free(load->losses);
	load->losses = NULL;
}

int skep_loaded_losses(struct skep_loaded *loaded, struct skep_loss **out, size_t *n,
		       struct skep_err *err)
{
	struct skep_losses *losses = ((struct skep_load *)loaded->priv)->losses;
	SKEP_AUTO_FREE uint64_t *counts = NULL;
	union bpf_attr attr;
	uint32_t key = 0;
	size_t i;
	int ret;

	*out = NULL;
	*n = 0;
	if (!losses || !losses->sites.len)
		return 0;
	counts = calloc(losses->sites.len, sizeof(*counts));
	*out = calloc(losses->sites.len, sizeof(**out));
	if (!counts || !*out)
		return skep_fail_nomem(err);
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)loaded->maps[losses->map].fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)counts;
	ret = skep_sys_bpf(loaded->sys, BPF_MAP_LOOKUP_ELEM, &attr,
			   offsetof(union bpf_attr, flags) + sizeof(attr.flags));
	if (ret < 0) {
		free(SKEP_TAKE(*out));
		return skep_fail(err, SKEP_E_SYSTEM, -ret, "the loss counters cannot be read: %s",
				 strerror(-ret));
	}
	for (i = 0; i < losses->sites.len; i++) {
		if (!counts[i])
			continue;
		(*out)[*n] = losses->sites.data[i].loss;
		(*out)[(*n)++].count = counts[i];
	}
	return 0;
}
