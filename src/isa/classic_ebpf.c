/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classic BPF as an eBPF socket filter.
 *
 * A lives in r0, because packet loads give their result there, X in r7, the
 * context in r6, M[] at the top of the stack; all are 32 bits wide and kept
 * zero-extended.  A packet load outside the packet ends an eBPF program with
 * 0, as it ends a classic one.  Every classic instruction becomes a run of at
 * most MAX_RUN, so that 16 bits are enough for jumps over 4096 of them.
 */
#include "isa/classic.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"

enum { A = BPF_REG_0, CTX = BPF_REG_6, X = BPF_REG_7, SAVED = BPF_REG_8, FP = BPF_REG_10 };
enum { MAX_RUN = 6 };
_Static_assert(BPF_MAXINSNS *MAX_RUN + 3 <= INT16_MAX, "jumps have 16 bits");

struct convert {
	struct bpf_insn *out; /* NULL in the first pass, which only counts */
	uint32_t *start; /* slot of each classic instruction */
	uint8_t *live; /* which of them can be reached: the verifier refuses what cannot */
	size_t nr;
	size_t i; /* the classic instruction */
};

static void put(struct convert *cv, uint8_t code, uint8_t dst, uint8_t src, int16_t off,
		uint32_t imm)
{
	if (cv->out)
		cv->out[cv->nr] = (struct bpf_insn){.code = code,
						    .dst_reg = dst,
						    .src_reg = src,
						    .off = off,
						    .imm = (int32_t)imm};
	cv->nr++;
}

static void put_mov(struct convert *cv, uint8_t dst, uint8_t src)
{
	put(cv, BPF_ALU | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void put_set(struct convert *cv, uint8_t dst, uint32_t imm)
{
	put(cv, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, imm);
}

static void put_exit(struct convert *cv)
{
	put(cv, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* A jump of any code to classic instruction @to. */
static void put_jump(struct convert *cv, uint8_t code, uint8_t src, uint32_t imm, size_t to)
{
	int16_t off = cv->out ? (int16_t)(cv->start[to] - (cv->nr + 1)) : 0;

	put(cv, code, A, src, off, imm);
}

static void put_field(struct convert *cv, uint8_t dst, size_t offset)
{
	put(cv, BPF_LDX | BPF_MEM | BPF_W, dst, CTX, (int16_t)offset, 0);
}

/* Protocol numbers stand in network order in the context. */
static void put_be16_field(struct convert *cv, size_t offset)
{
	put_field(cv, A, offset);
	put(cv, BPF_ALU | BPF_END | BPF_TO_BE, A, 0, 0, 16);
}

#define SKB(field) offsetof(struct __sk_buff, field)

/* The kernel's virtual addresses; false: eBPF has no such value. */
static bool put_ancillary(struct convert *cv, uint32_t at)
{
	switch (at) {
	case SKF_AD_PROTOCOL: put_be16_field(cv, SKB(protocol)); return true;
	case SKF_AD_VLAN_TPID: put_be16_field(cv, SKB(vlan_proto)); return true;
	case SKF_AD_PKTTYPE: put_field(cv, A, SKB(pkt_type)); return true;
	case SKF_AD_IFINDEX: put_field(cv, A, SKB(ifindex)); return true;
	case SKF_AD_MARK: put_field(cv, A, SKB(mark)); return true;
	case SKF_AD_QUEUE: put_field(cv, A, SKB(queue_mapping)); return true;
	case SKF_AD_RXHASH: put_field(cv, A, SKB(hash)); return true;
	case SKF_AD_VLAN_TAG: put_field(cv, A, SKB(vlan_tci)); return true;
	case SKF_AD_VLAN_TAG_PRESENT: put_field(cv, A, SKB(vlan_present)); return true;
	case SKF_AD_CPU:
		put(cv, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_smp_processor_id);
		return true;
	case SKF_AD_RANDOM:
		put(cv, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_prandom_u32);
		return true;
	case SKF_AD_ALU_XOR_X: put(cv, BPF_ALU | BPF_XOR | BPF_X, A, X, 0, 0); return true;
	default: return false;
	}
}

static int16_t word_off(uint32_t k)
{
	return (int16_t)(-4 * (BPF_MEMWORDS - (int)k));
}

static bool put_load(struct convert *cv, const struct sock_filter *f)
{
	uint8_t dst = BPF_CLASS(f->code) == BPF_LD ? A : X;

	switch (BPF_MODE(f->code)) {
	case BPF_ABS:
		if (f->k >= (uint32_t)SKF_AD_OFF)
			return put_ancillary(cv, f->k - (uint32_t)SKF_AD_OFF);
		put(cv, f->code, 0, 0, 0, f->k);
		return true;
	case BPF_IND: put(cv, f->code, 0, X, 0, f->k); return true;
	case BPF_LEN: put_field(cv, dst, SKB(len)); return true;
	case BPF_IMM: put_set(cv, dst, f->k); return true;
	case BPF_MEM: put(cv, BPF_LDX | BPF_MEM | BPF_W, dst, FP, word_off(f->k), 0); return true;
	default: /* BPF_MSH: X = 4 * (byte & 15), A stays */
		put_mov(cv, SAVED, A);
		put(cv, BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, f->k);
		put(cv, BPF_ALU | BPF_AND | BPF_K, A, 0, 0, 15);
		put(cv, BPF_ALU | BPF_LSH | BPF_K, A, 0, 0, 2);
		put_mov(cv, X, A);
		put_mov(cv, A, SAVED);
		return true;
	}
}

static void put_alu(struct convert *cv, const struct sock_filter *f)
{
	bool by_x = BPF_SRC(f->code) == BPF_X;
	uint8_t op = BPF_OP(f->code);

	if (op == BPF_NEG) {
		put(cv, BPF_ALU | BPF_NEG, A, 0, 0, 0);
		return;
	}
	/* Division by an X of zero ends a classic program with 0. */
	if (by_x && (op == BPF_DIV || op == BPF_MOD)) {
		put(cv, BPF_JMP32 | BPF_JNE | BPF_K, X, 0, 2, 0);
		put_set(cv, A, 0);
		put_exit(cv);
	}
	put(cv, f->code, A, by_x ? X : 0, 0, by_x ? 0 : f->k);
}

/* The opposite of a jump's condition, or 0. */
static uint8_t inverse(uint8_t op)
{
	switch (op) {
	case BPF_JEQ: return BPF_JNE;
	case BPF_JGT: return BPF_JLE;
	case BPF_JGE: return BPF_JLT;
	default: return 0;
	}
}

static void put_branch(struct convert *cv, const struct sock_filter *f)
{
	size_t next = cv->i + 1;
	uint8_t src = BPF_SRC(f->code), reg = src == BPF_X ? X : 0, op = BPF_OP(f->code);
	uint32_t imm = src == BPF_X ? 0 : f->k;

	if (op == BPF_JA) {
		put_jump(cv, BPF_JMP | BPF_JA, 0, 0, next + f->k);
	} else if (!f->jf || f->jt == f->jf) {
		put_jump(cv, BPF_JMP32 | op | src, reg, imm, next + f->jt);
		if (f->jf)
			put_jump(cv, BPF_JMP | BPF_JA, 0, 0, next + f->jf);
	} else if (!f->jt && inverse(op)) {
		put_jump(cv, BPF_JMP32 | inverse(op) | src, reg, imm, next + f->jf);
	} else {
		put_jump(cv, BPF_JMP32 | op | src, reg, imm, next + f->jt);
		put_jump(cv, BPF_JMP | BPF_JA, 0, 0, next + f->jf);
	}
}

static bool put_one(struct convert *cv, const struct sock_filter *f)
{
	switch (BPF_CLASS(f->code)) {
	case BPF_LD:
	case BPF_LDX: return put_load(cv, f);
	case BPF_ST:
	case BPF_STX:
		put(cv, BPF_STX | BPF_MEM | BPF_W, FP, BPF_CLASS(f->code) == BPF_ST ? A : X,
		    word_off(f->k), 0);
		return true;
	case BPF_ALU: put_alu(cv, f); return true;
	case BPF_JMP: put_branch(cv, f); return true;
	case BPF_RET:
		if (BPF_RVAL(f->code) == BPF_K)
			put_set(cv, A, f->k);
		put_exit(cv);
		return true;
	default: /* BPF_MISC */
		if (BPF_MISCOP(f->code) == BPF_TAX)
			put_mov(cv, X, A);
		else
			put_mov(cv, A, X);
		return true;
	}
}

/* Jumps only go forward, so one pass finds what can be reached. */
static void find_live(struct convert *cv, const struct sock_filter *insns, size_t n)
{
	size_t i;

	cv->live[0] = 1;
	for (i = 0; i < n; i++) {
		const struct sock_filter *f = &insns[i];

		if (!cv->live[i] || BPF_CLASS(f->code) == BPF_RET)
			continue;
		if (BPF_CLASS(f->code) != BPF_JMP) {
			cv->live[i + 1] = 1;
		} else if (BPF_OP(f->code) == BPF_JA) {
			cv->live[i + 1 + f->k] = 1;
		} else {
			cv->live[i + 1 + f->jt] = 1;
			cv->live[i + 1 + f->jf] = 1;
		}
	}
}

static int convert(struct convert *cv, const struct sock_filter *insns, size_t n,
		   struct skep_err *err)
{
	cv->nr = 0;
	put(cv, BPF_ALU64 | BPF_MOV | BPF_X, CTX, BPF_REG_1, 0, 0);
	put_set(cv, A, 0);
	put_set(cv, X, 0);
	for (cv->i = 0; cv->i < n; cv->i++) {
		cv->start[cv->i] = (uint32_t)cv->nr;
		if (!cv->live[cv->i] || put_one(cv, &insns[cv->i]))
			continue;
		if (err && err->tag == SKEP_E_NONE)
			err->insn = (int)cv->i;
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "instruction %zu: eBPF socket filters cannot load ancillary "
				 "value %u (hardware type, payload offset or netlink attribute)",
				 cv->i, insns[cv->i].k - (uint32_t)SKF_AD_OFF);
	}
	return 0;
}

int skep_classic_to_ebpf(const struct sock_filter *insns, size_t n, struct bpf_insn **out,
			 size_t *out_n, struct skep_err *err)
{
	SKEP_AUTO_FREE uint32_t *start = NULL;
	SKEP_AUTO_FREE uint8_t *live = NULL;
	struct convert cv = {};
	int ret;

	ret = skep_classic_check(insns, n, err);
	if (ret)
		return ret;
	start = calloc(n, sizeof(*start));
	live = calloc(n, 1);
	if (!start || !live)
		return skep_fail_nomem(err);
	cv.start = start;
	cv.live = live;
	find_live(&cv, insns, n);
	ret = convert(&cv, insns, n, err);
	if (ret)
		return ret;
	cv.out = calloc(cv.nr, sizeof(*cv.out));
	if (!cv.out)
		return skep_fail_nomem(err);
	ret = convert(&cv, insns, n, err);
	*out = cv.out;
	*out_n = cv.nr;
	return ret;
}
