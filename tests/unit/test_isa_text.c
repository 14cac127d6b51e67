/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text and back for every instruction of the table with every register and
 * the edges of offset and immediate; what the assembler says about mistakes.
 */
#include "isa/asm.h"
#include "isa/disasm.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "tap.h"

static const int32_t imms[] = {
	0, 1, -1, 9, 10, 255, 32767, -32768, 32768, 65535, 1 << 20, 0x7fffffff, -0x7fffffff - 1};
static const int16_t offs[] = {0, 1, -1, 8, -8, 255, 32767, -32768};

static bool is_number(int32_t spec)
{
	return spec < SKEP_F_READ;
}

/* One way of filling the fields of a row: false where the row fixes a field we would vary. */
static bool fill(const struct skep_insn_info *info, int dst, int src, size_t o, size_t m,
		 struct skep_insn *in)
{
	if ((is_number(info->dst) && dst) || (info->dst > SKEP_F_READ && dst > 9) ||
	    (is_number(info->src) && src) || (info->src > SKEP_F_READ && src > 9) ||
	    (is_number(info->off) && o) || (is_number(info->imm) && m))
		return false;
	in->dst = dst;
	in->src = src;
	in->off = offs[o];
	in->imm = imms[m];
	in->imm64 = (uint32_t)imms[m];
	return true;
}

/* Bytes, text, bytes.  Internal instructions exist in dumps only. */
static bool comes_back(const struct skep_insn *in, int slots)
{
	bool loaded = skep_insn_table[in->op].group == SKEP_GROUP_KERNEL;
	struct skep_disasm_opts dis = {.sz = sizeof(dis), .loaded = loaded};
	struct skep_asm_opts opts = {.sz = sizeof(opts), .loaded = loaded, .unchecked = true};
	struct bpf_insn raw[2] = {}, *back = NULL;
	struct skep_buf text = SKEP_BUF_INIT;
	struct skep_err err = SKEP_ERR_INIT;
	size_t n = 0;
	bool good;

	skep_insn_encode(in, raw);
	good = skep_disasm(&text, raw, slots, &dis, &err) == 0 &&
	       skep_asm(text.data, text.len, &opts, &back, &n, &err) == 0 && n == (size_t)slots &&
	       !memcmp(raw, back, n * 8);
	if (!good)
		printf("# %s: '%s': %s\n", skep_insn_table[in->op].name, skep_buf_str(&text),
		       err.msg);
	skep_err_deinit(&err);
	skep_buf_deinit(&text);
	free(back);
	return good;
}

static void test_table(void)
{
	static const uint32_t halves[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
	int op, dst, src, wrong = 0, cases = 0;
	size_t o, m, h;

	for (op = 0; op < SKEP_OP_MAX; op++) {
		const struct skep_insn_info *info = &skep_insn_table[op];
		bool wide = info->kind == SKEP_KIND_LDDW;
		int slots = wide ? 2 : 1;
		struct skep_insn in = {.op = op};

		/* Its imm is the kernel's own and not in the text. */
		if (op == SKEP_OP_CALL_PC_LOADED)
			continue;
		for (dst = 0; dst <= 10; dst++)
			for (src = 0; src <= 10; src++)
				for (o = 0; o < SKEP_ARRAY_SIZE(offs); o++)
					for (m = 0; m < SKEP_ARRAY_SIZE(imms); m++)
						if (fill(info, dst, src, o, m, &in)) {
							cases++;
							wrong += !comes_back(&in, slots);
						}
		for (h = 0; h < SKEP_ARRAY_SIZE(halves); h++) {
			if (op != SKEP_OP_LDDW && op != SKEP_OP_LDDW_MAP_VALUE &&
			    op != SKEP_OP_LDDW_MAP_IDX_VALUE && op != SKEP_OP_LDDW_VAR)
				continue;
			fill(info, 3, 0, 0, 2, &in);
			in.imm64 |= (uint64_t)halves[h] << 32;
			cases++;
			wrong += !comes_back(&in, 2);
		}
	}
	printf("# %d instructions\n", cases);
	ok(cases > 50000 && !wrong, "every encodable instruction comes back from its text");
}

struct mistake {
	const char *text;
	enum skep_tag tag;
	int line;
	const char *msg;
};

static const struct mistake mistakes[] = {
	{"foo", SKEP_E_ASM_SYNTAX, 1, "line 1, column 1: not an instruction"},
	{"exit\n  r1 = r11", SKEP_E_ASM_SYNTAX, 2, "line 2, column 8: expected"},
	{"r10 += r11", SKEP_E_ASM_SYNTAX, 1, "column 8"},
	{"r1 += 4294967296", SKEP_E_ASM_SYNTAX, 1, "a number from -2147483648 to 4294967295"},
	{"r1 = 0x11223344556677889", SKEP_E_ASM_SYNTAX, 1, "at most 64 bits"},
	{"*(u8 *)(r1 +32768) = r2", SKEP_E_ASM_SYNTAX, 1, "an offset from -32768 to 32767"},
	{"*(u8 *)(r1 8) = r2", SKEP_E_ASM_SYNTAX, 1, "an offset like"},
	{"w1 = (s8)r2", SKEP_E_ASM_SYNTAX, 1, "a register w0 to w10"},
	{"r1 = le16 r2", SKEP_E_ASM_SYNTAX, 1, "column 11: expected r1 again, not 'r2'"},
	{"r1 = r2 r3", SKEP_E_ASM_SYNTAX, 1, "column 9: expected the end of the line"},
	{"if r1 = 3 goto pc+1", SKEP_E_ASM_SYNTAX, 1, "column 7"},
	{"goto nowhere\nexit", SKEP_E_ASM_SYNTAX, 1, "column 6: no label 'nowhere'"},
	{"call nowhere\nexit", SKEP_E_ASM_SYNTAX, 1, "and no helper of that name"},
	{"a: exit\na: exit", SKEP_E_ASM_SYNTAX, 2, "label 'a' is already defined"},
	{"r1 = map[cnt]", SKEP_E_ASM_SYNTAX, 1, "a map like id:5"},
	{"nospec", SKEP_E_ASM_SYNTAX, 1, "not an instruction"},
	{"goto pc+1", SKEP_E_INSN_JUMP, 1, "line 1: instruction 0: jump to 2"},
	{"r1 = 5 ll\n\ngoto pc-2", SKEP_E_INSN_JUMP, 3, "line 3: instruction 2"},
	{"r10 = 5", SKEP_E_INSN_INVALID, 1, "r10"},
	{"; only a comment", SKEP_E_INSN_TRUNCATED, 0, "empty"},
};

static void test_mistakes(void)
{
	struct bpf_insn *insns;
	size_t i, n;

	for (i = 0; i < SKEP_ARRAY_SIZE(mistakes); i++) {
		const struct mistake *m = &mistakes[i];
		struct skep_err err = SKEP_ERR_INIT;
		int ret = skep_asm(m->text, strlen(m->text), NULL, &insns, &n, &err);
		bool good = ret == -22 && !insns && err.tag == m->tag && err.line == m->line &&
			    strstr(err.msg, m->msg);

		ok(good, "mistake %zu is %s: %s", i, skep_tag_name(m->tag), m->msg);
		if (!good)
			printf("# ret %d %s line %d: %s\n", ret, skep_tag_name(err.tag), err.line,
			       err.msg);
		skep_err_deinit(&err);
	}
}

/* A jump by label over more than 16 bits can take is refused, and gotol takes it. */
static void test_far(void)
{
	struct skep_buf text = SKEP_BUF_INIT;
	struct skep_err err = SKEP_ERR_INIT;
	struct bpf_insn *insns;
	size_t n;
	int i;

	skep_buf_puts(&text, "goto end\n");
	for (i = 0; i < 40000; i++)
		skep_buf_puts(&text, "r0 = 0\n");
	skep_buf_puts(&text, "end: exit\n");
	ok(skep_asm(text.data, text.len, NULL, &insns, &n, &err) < 0 && strstr(err.msg, "gotol"),
	   "goto over 40000 instructions is refused, with what to use instead");
	skep_err_deinit(&err);
	text.len = 0;
	skep_buf_puts(&text, "gotol end\n");
	for (i = 0; i < 40000; i++)
		skep_buf_puts(&text, "r0 = 0\n");
	skep_buf_puts(&text, "end: exit\n");
	ok(!skep_asm(text.data, text.len, NULL, &insns, &n, NULL) && insns[0].imm == 40000,
	   "gotol over 40000 instructions");
	free(insns);
	skep_buf_deinit(&text);
}

int main(void)
{
	test_table();
	test_mistakes();
	test_far();
	return done();
}
