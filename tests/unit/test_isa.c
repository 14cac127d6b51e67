/* SPDX-License-Identifier: BSD-2-Clause */
/* Decoding, checking and evaluating instructions. */
#include "isa/eval.h"
#include "isa/insn.h"

#include "base/cleanup.h"
#include "tap.h"

#define INSN(c, d, s, o, i) \
	(struct bpf_insn) \
	{ \
		.code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i \
	}
#define EXIT INSN(0x95, 0, 0, 0, 0)

struct bad {
	const char *what;
	struct bpf_insn insns[4];
	size_t n;
	enum skep_tag tag;
	int insn;
	const char *msg; /* a part of it */
};

static const struct bad bads[] = {
	{"empty", {}, 0, SKEP_E_INSN_TRUNCATED, 0, "empty"},
	{"unknown opcode", {EXIT, INSN(0xff, 0, 0, 0, 0)}, 2, SKEP_E_INSN_INVALID, 1, "0xff"},
	{"zeroes", {INSN(0, 0, 0, 0, 0)}, 1, SKEP_E_INSN_INVALID, 0, "opcode 0x00"},
	{"mov32 with src", {INSN(0xb4, 0, 1, 0, 0)}, 1, SKEP_E_INSN_INVALID, 0, "src is 1"},
	{"mov with off", {INSN(0xb7, 0, 0, 4, 0)}, 1, SKEP_E_INSN_INVALID, 0, "off is 4"},
	{"movsx of 7 bits",
	 {INSN(0xbf, 0, 1, 7, 0)},
	 1,
	 SKEP_E_INSN_INVALID,
	 0,
	 "off is 7, must be 0, 8, 16, 32 or 1"},
	{"movsx32 of 32 bits", {INSN(0xbc, 0, 1, 32, 0)}, 1, SKEP_E_INSN_INVALID, 0, "off is 32"},
	{"add with off 1", {INSN(0x07, 0, 0, 1, 0)}, 1, SKEP_E_INSN_INVALID, 0, "off is 1"},
	{"div with off 2", {INSN(0x37, 0, 0, 2, 0)}, 1, SKEP_E_INSN_INVALID, 0, "0 or 1"},
	{"register form with imm", {INSN(0x0f, 0, 1, 0, 9)}, 1, SKEP_E_INSN_INVALID, 0, "imm is 9"},
	{"le of 8 bits", {INSN(0xd4, 0, 0, 0, 8)}, 1, SKEP_E_INSN_INVALID, 0, "16, 32 or 64"},
	{"bswap by register", {INSN(0xdf, 0, 0, 0, 16)}, 1, SKEP_E_INSN_INVALID, 0, "0xdf"},
	{"write to r10", {INSN(0xb7, 10, 0, 0, 0)}, 1, SKEP_E_INSN_INVALID, 0, "r10"},
	{"load into r10", {INSN(0x79, 10, 1, 0, 0)}, 1, SKEP_E_INSN_INVALID, 0, "r10"},
	{"fetch into r10", {INSN(0xdb, 1, 10, 0, 1)}, 1, SKEP_E_INSN_INVALID, 0, "r10"},
	{"register 11", {INSN(0xbf, 0, 11, 0, 0)}, 1, SKEP_E_INSN_INVALID, 0, "register 11"},
	{"atomic of 8 bits", {INSN(0xd3, 1, 2, 0, 0)}, 1, SKEP_E_INSN_INVALID, 0, "imm is 0"},
	{"atomic operation", {INSN(0xdb, 1, 2, 0, 0x10)}, 1, SKEP_E_INSN_INVALID, 0, "imm is 16"},
	{"store with imm", {INSN(0x7b, 1, 2, 0, 5)}, 1, SKEP_E_INSN_INVALID, 0, "imm is 5"},
	{"exit with imm", {INSN(0x95, 0, 0, 0, 1)}, 1, SKEP_E_INSN_INVALID, 0, "imm is 1"},
	{"call of kind 3", {INSN(0x85, 0, 3, 0, 1)}, 1, SKEP_E_INSN_INVALID, 0, "src is 3"},
	{"goto with imm", {INSN(0x05, 0, 0, 0, 1)}, 1, SKEP_E_INSN_INVALID, 0, "imm is 1"},
	{"gotol with off", {INSN(0x06, 0, 0, 1, 0)}, 1, SKEP_E_INSN_INVALID, 0, "off is 1"},
	{"packet access with dst", {INSN(0x30, 1, 0, 0, 1)}, 1, SKEP_E_INSN_INVALID, 0, "dst is 1"},
	{"packet access of 64 bits", {INSN(0x38, 0, 0, 0, 1)}, 1, SKEP_E_INSN_INVALID, 0, "0x38"},
	{"half an immediate at the end",
	 {INSN(0x18, 1, 0, 0, 5)},
	 1,
	 SKEP_E_INSN_TRUNCATED,
	 0,
	 "half a 64-bit immediate"},
	{"half an immediate",
	 {INSN(0x18, 1, 0, 0, 5), EXIT},
	 2,
	 SKEP_E_INSN_INVALID,
	 0,
	 "half a 64-bit immediate"},
	{"seven kinds of immediate",
	 {INSN(0x18, 1, 7, 0, 5), INSN(0, 0, 0, 0, 0)},
	 2,
	 SKEP_E_INSN_INVALID,
	 0,
	 "src is 7"},
	{"map by fd with an upper half",
	 {INSN(0x18, 1, 1, 0, 5), INSN(0, 0, 0, 0, 1)},
	 2,
	 SKEP_E_INSN_INVALID,
	 0,
	 "second slot"},
	{"jump before the start", {INSN(0x05, 0, 0, -2, 0), EXIT}, 2, SKEP_E_INSN_JUMP, 0, "-1"},
	{"jump past the end", {INSN(0x15, 0, 0, 1, 0), EXIT}, 2, SKEP_E_INSN_JUMP, 0, "to 2"},
	{"long jump far away",
	 {INSN(0x06, 0, 0, 0, 0x7fffffff), EXIT},
	 2,
	 SKEP_E_INSN_JUMP,
	 0,
	 "outside"},
	{"jump into an immediate",
	 {INSN(0x05, 0, 0, 1, 0), INSN(0x18, 1, 0, 0, 5), INSN(0, 0, 0, 0, 0), EXIT},
	 4,
	 SKEP_E_INSN_JUMP,
	 0,
	 "middle"},
	{"call past the end", {EXIT, INSN(0x85, 0, 1, 0, 8)}, 2, SKEP_E_INSN_JUMP, 1, "call to 10"},
	{"kernel-internal nospec",
	 {INSN(0xc2, 0, 0, 0, 0), EXIT},
	 2,
	 SKEP_E_INSN_INVALID,
	 0,
	 "0xc2"},
};

static void test_bad(void)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(bads); i++) {
		const struct bad *b = &bads[i];
		struct skep_err err = SKEP_ERR_INIT;
		int ret = skep_insns_check(b->insns, b->n, &err);
		bool good = ret == -22 && err.tag == b->tag && err.insn == b->insn &&
			    strstr(err.msg, b->msg);

		ok(good, "%s is %s", b->what, skep_tag_name(b->tag));
		if (!good)
			printf("# ret %d %s insn %d: %s\n", ret, skep_tag_name(err.tag), err.insn,
			       err.msg);
		skep_err_deinit(&err);
	}
}

/* The table does not contradict itself: each row decodes to itself and encodes back. */
static void test_table(void)
{
	int op, wrong = 0;

	for (op = 0; op < SKEP_OP_MAX; op++) {
		const struct skep_insn_info *info = &skep_insn_table[op];
		struct skep_insn in = {.op = op,
				       .dst = 1,
				       .src = 2,
				       .off = 3,
				       .imm = 4,
				       .imm64 = 5},
				 out;
		struct bpf_insn raw[2] = {}, back[2] = {};
		int ret;

		skep_insn_encode(&in, raw);
		ret = skep_insn_decode_loaded(raw, 2, 0, &out, NULL);
		if (ret > 0)
			skep_insn_encode(&out, back);
		if (ret > 0 && out.op == op && !memcmp(raw, back, 8 * ret))
			continue;
		wrong++;
		printf("# %s comes back as %s\n", info->name,
		       ret > 0 ? skep_insn_table[out.op].name : "an error");
	}
	ok(!wrong, "each of %d rows decodes to itself", SKEP_OP_MAX);
}

static void test_eval(void)
{
	const uint64_t min64 = 1ull << 63, min32 = 1ull << 31;

	ok(skep_eval_ADD32_X(UINT64_MAX, 1) == 0, "32-bit results are zero-extended");
	ok(skep_eval_ADD64_K(UINT64_MAX, 2) == 1, "64-bit addition wraps");
	ok(skep_eval_DIV64_X(7, 0) == 0, "division by zero is zero");
	ok(skep_eval_MOD64_X(7, 0) == 7, "modulo zero keeps dst");
	ok(skep_eval_MOD32_X(0x1122334455667788, 1ull << 32) == 0x55667788,
	   "32-bit modulo zero keeps the low half");
	ok(skep_eval_SDIV64_X(min64, -1) == min64, "smallest / -1 wraps");
	ok(skep_eval_SDIV32_X(min32, -1) == min32, "32-bit smallest / -1 wraps");
	ok(skep_eval_SMOD64_X(min64, -1) == 0, "smallest %% -1 is 0");
	ok(skep_eval_SMOD64_K(-13, 3) == (uint64_t)-1, "-13 %% 3 is -1");
	ok(skep_eval_SDIV64_K(-13, 3) == (uint64_t)-4, "-13 / 3 is -4");
	ok(skep_eval_LSH64_X(1, 65) == 2, "shifts count modulo 64");
	ok(skep_eval_RSH32_X(min32, 33) == 1ull << 30, "shifts count modulo 32");
	ok(skep_eval_ARSH32_K(min32, 31) == 0xffffffff, "arithmetic shift of 32 bits");
	ok(skep_eval_MOVSX64_8(0, 0x80) == (uint64_t)-128, "movsx 8 to 64");
	ok(skep_eval_MOVSX32_16(0, 0x8000) == 0xffff8000, "movsx 16 to 32");
	ok(skep_eval_BE16(0xaabbccdd11223344, 0) == 0x4433, "be16 clears the rest");
	ok(skep_eval_BSWAP64(0x0102030405060708, 0) == 0x0807060504030201, "bswap64");
	ok(skep_eval_NEG32(1, 0) == 0xffffffff, "neg of 32 bits");
	ok(skep_eval_JSGT32_X(0xffffffff, 0) == 0, "-1 s> 0 is false in 32 bits");
	ok(skep_eval_JSGT64_X(0xffffffff, 0) == 1, "2^32-1 s> 0 is true in 64 bits");
	ok(skep_isa_eval_alu(SKEP_OP_XOR64_X, 5, 6) == 3, "by number");
	ok(skep_isa_eval_alu(SKEP_OP_ATOMIC_XCHG32, 5, 6) == 6, "an atomic by number");
	ok(skep_isa_eval_cond(SKEP_OP_JSET64_X, 5, 4) &&
		   !skep_isa_eval_cond(SKEP_OP_JSET64_X, 5, 2),
	   "a condition by number");
}

static void test_decode(void)
{
	const struct bpf_insn insns[] = {INSN(0x18, 1, 0, 0, -1), INSN(0, 0, 0, 0, 2),
					 INSN(0x05, 0, 0, -3, 0), INSN(0x85, 0, 1, 0, -1)};
	struct skep_insn in;

	is_int(skep_insn_decode(insns, 4, 0, &in, NULL), 2, "a 64-bit immediate takes two slots");
	ok(in.imm64 == 0x2ffffffff && in.target == SKEP_NO_TARGET, "its value");
	skep_insn_decode(insns, 4, 2, &in, NULL);
	is_int(in.target, 0, "target of a jump");
	skep_insn_decode(insns, 4, 3, &in, NULL);
	is_int(in.target, 3, "target of a call");
}

int main(void)
{
	test_bad();
	test_table();
	test_eval();
	test_decode();
	return done();
}
