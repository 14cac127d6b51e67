/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Walks the lines, tries each row of isa.def on them, and resolves labels at
 * the end.  When no row fits, the error tells what the rows that got furthest
 * would have taken there.
 */
#include "isa/asm_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Other ways to write the rows with a kind of immediate, RFC 9669 section 5.4. */
static const struct {
	enum skep_op op;
	const char *text;
} aliases[] = {
	{SKEP_OP_LDDW_MAP_FD, "$d = map_fd $m"},
	{SKEP_OP_LDDW_MAP_VALUE, "$d = map_value $m + $v"},
	{SKEP_OP_LDDW_MAP_IDX, "$d = map_idx $n"},
	{SKEP_OP_LDDW_MAP_IDX_VALUE, "$d = map_idx_value $n + $v"},
	{SKEP_OP_LDDW_FUNC, "$d = code_addr $f"},
	{SKEP_OP_LDDW_VAR, "$d = btf_id $n"},
};

static int fail_syntax(struct skep_assembler *as, int line, int column, const char *text,
		       struct skep_err *err)
{
	if (err && err->tag == SKEP_E_NONE)
		err->line = line;
	return skep_fail(err, SKEP_E_ASM_SYNTAX, EINVAL, "line %d, column %d: %s", line, column,
			 text);
}

static int fail_match(struct skep_assembler *as, const char *first, struct skep_err *err)
{
	char text[512] = "not an instruction";
	size_t used;
	int i, len;

	if (as->furthest == first && !as->certain)
		return fail_syntax(as, as->line, (int)(first - as->start) + 1, text, err);
	used = snprintf(text, sizeof(text), "expected ");
	for (i = 0; i < as->nr_wanted && i < SKEP_ASM_WANTED; i++)
		used += snprintf(text + used, sizeof(text) - used, "%s%s",
				 !i			  ? ""
				 : i + 1 == as->nr_wanted ? " or "
							  : ", ",
				 as->wanted[i]);
	if (as->nr_wanted > SKEP_ASM_WANTED)
		used += snprintf(text + used, sizeof(text) - used, ", ...");
	for (len = 0; as->furthest + len < as->end && len < 20; len++)
		if (strchr(" \t\r", as->furthest[len]))
			break;
	if (len)
		snprintf(text + used, sizeof(text) - used, ", not '%.*s'", len, as->furthest);
	else
		snprintf(text + used, sizeof(text) - used, ", not the end of the line");
	return fail_syntax(as, as->line, (int)(as->furthest - as->start) + 1, text, err);
}

static int emit(struct skep_assembler *as, const struct skep_insn *in, struct skep_err *err)
{
	struct bpf_insn raw[2];
	struct skep_asm_fixup fix = {
		.name = as->name, .slot = as->insns.len, .line = as->line, .what = as->name_what};
	int i, slots = in->kind == SKEP_KIND_LDDW ? 2 : 1;

	skep_insn_encode(in, raw);
	for (i = 0; i < slots; i++)
		if (skep_vec_push(&as->insns, raw[i]) || skep_vec_push(&as->lines, as->line))
			return skep_fail_nomem(err);
	if (!as->name)
		return 0;
	fix.column = (int)(as->name_at - as->start) + 1;
	return skep_vec_push(&as->fixups, fix) ? skep_fail_nomem(err) : 0;
}

static bool try_text(struct skep_assembler *as, const char *first, int op, const char *text,
		     struct skep_insn *in)
{
	*in = (struct skep_insn){.op = op, .kind = skep_insn_table[op].kind};
	as->p = first;
	return skep_asm_match(as, text, in);
}

/* The first character of what @text matches. */
static char first_char(const char *text)
{
	if (*text != '$')
		return *text;
	return text[1] == 'D' || text[1] == 'S' ? 'w' : 'r';
}

/* Tries all rows: true when one has matched. */
static bool try_rows(struct skep_assembler *as, const char *first, struct skep_insn *in)
{
	size_t i;
	int op;

	for (op = 0; op < SKEP_OP_MAX; op++) {
		const struct skep_insn_info *info = &skep_insn_table[op];

		if (info->group == SKEP_GROUP_KERNEL && !as->opts->loaded)
			continue;
		if (first_char(info->text) == *first && try_text(as, first, op, info->text, in))
			return true;
	}
	for (i = 0; i < SKEP_ARRAY_SIZE(aliases); i++)
		if (try_text(as, first, aliases[i].op, aliases[i].text, in))
			return true;
	return false;
}

static int take_insn(struct skep_assembler *as, struct skep_err *err)
{
	const char *first = as->p;
	struct skep_insn in;

	/* Writing down what was wanted takes longer than all the rest: only for what fails. */
	as->quiet = true;
	if (try_rows(as, first, &in))
		return emit(as, &in, err);
	as->quiet = as->certain = false;
	as->furthest = first;
	as->nr_wanted = 0;
	try_rows(as, first, &in);
	return as->oom ? skep_fail_nomem(err) : fail_match(as, first, err);
}

/* "12:", then bytes in hex, then "(b7)", as dumps have them. */
static void skip_dump_prefix(struct skep_assembler *as)
{
	const char *p = as->p;
	int nr = 0;

	while (p < as->end && isdigit((unsigned char)*p))
		p++;
	if (p > as->p && p < as->end && *p == ':')
		as->p = p + 1;
	skep_asm_skip_blanks(as);
	for (p = as->p;
	     as->end - p >= 2 && isxdigit((unsigned char)p[0]) && isxdigit((unsigned char)p[1]) &&
	     (as->end - p == 2 || strchr(" \t\r", p[2]));
	     nr++)
		for (p += 2; p < as->end && strchr(" \t\r", *p); p++)
			;
	if (nr && nr % 8 == 0)
		as->p = p;
	if (as->end - as->p >= 4 && as->p[0] == '(' && isxdigit((unsigned char)as->p[1]) &&
	    isxdigit((unsigned char)as->p[2]) && as->p[3] == ')')
		as->p += 4;
	skep_asm_skip_blanks(as);
}

/* "int prog(struct __sk_buff * s):" */
static bool is_function_header(const struct skep_assembler *as)
{
	const char *last = as->end;

	while (last > as->p && strchr(" \t\r", last[-1]))
		last--;
	return last - as->p > 2 && last[-1] == ':' && last[-2] == ')';
}

static int take_label(struct skep_assembler *as, struct skep_err *err)
{
	const char *from = as->p, *name;
	char text[120];

	if (!skep_asm_is_word(skep_asm_peek(as)) || isdigit(skep_asm_peek(as)))
		return 0;
	name = skep_asm_word(as);
	if (skep_asm_peek(as) != ':') {
		as->p = from;
		return 0;
	}
	as->p++;
	if (skep_hash_gets(&as->labels, name)) {
		snprintf(text, sizeof(text), "label '%.60s' is already defined", name);
		return fail_syntax(as, as->line, (int)(from - as->start) + 1, text, err);
	}
	if (as->oom || skep_hash_sets(&as->labels, name, (void *)(as->insns.len + 1)))
		return skep_fail_nomem(err);
	skep_asm_skip_blanks(as);
	return 0;
}

static int take_line(struct skep_assembler *as, struct skep_err *err)
{
	int ret;

	skep_asm_skip_blanks(as);
	if (is_function_header(as))
		return 0;
	ret = take_label(as, err);
	if (ret)
		return ret;
	skip_dump_prefix(as);
	/* "<" starts no instruction, so skep_asm_at_end() takes a comment or nothing. */
	if (skep_asm_peek(as) != '<' && skep_asm_at_end(as))
		return 0;
	return take_insn(as, err);
}

static int apply_fixup(struct skep_assembler *as, const struct skep_asm_fixup *fix,
		       struct skep_err *err)
{
	struct bpf_insn *insn = &as->insns.data[fix->slot];
	uintptr_t slot = (uintptr_t)skep_hash_gets(&as->labels, fix->name);
	int64_t delta = (int64_t)slot - 1 - ((int64_t)fix->slot + 1);
	char text[200];

	if (!slot)
		snprintf(text, sizeof(text), "no label '%.60s'%s", fix->name,
			 fix->what == 'p' ? " and no helper of that name" : "");
	else if (fix->what == 'j' && (delta < INT16_MIN || delta > INT16_MAX))
		snprintf(text, sizeof(text),
			 "'%.60s' is %lld instructions away, too far for 16 bits; use gotol",
			 fix->name, (long long)delta);
	else if (delta < INT32_MIN || delta > INT32_MAX)
		snprintf(text, sizeof(text), "'%.60s' is too far away", fix->name);
	else if (fix->what == 'j' || fix->what == 'l')
		return insn->off = (int16_t)delta, 0;
	else
		return insn->imm = (int32_t)delta, 0;
	return fail_syntax(as, fix->line, fix->column, text, err);
}

/* The whole program, with the line put in front of what is wrong with it. */
static int check(struct skep_assembler *as, struct skep_err *err)
{
	struct skep_err why = SKEP_ERR_INIT;
	int ret, line = 0;

	if (as->opts->unchecked || as->opts->loaded)
		return 0;
	ret = skep_insns_check(as->insns.data, as->insns.len, &why);
	if (!ret)
		return 0;
	if (why.insn >= 0 && (size_t)why.insn < as->lines.len)
		line = as->lines.data[why.insn];
	if (line)
		skep_wrap(&why, ret, "line %d", line);
	why.line = line;
	if (err && err->tag == SKEP_E_NONE)
		*err = why;
	return ret;
}

static int assemble(struct skep_assembler *as, const char *text, size_t len, struct skep_err *err)
{
	const char *p = text, *end = text + len, *eol;
	size_t i;
	int ret;

	while (p < end) {
		eol = memchr(p, '\n', end - p);
		if (!eol)
			eol = end;
		as->line++;
		as->start = as->p = p;
		as->end = eol;
		ret = take_line(as, err);
		if (ret)
			return ret;
		p = eol + 1;
	}
	for (i = 0; i < as->fixups.len; i++) {
		ret = apply_fixup(as, &as->fixups.data[i], err);
		if (ret)
			return ret;
	}
	return check(as, err);
}

int skep_asm(const char *text, size_t len, const struct skep_asm_opts *opts,
	     struct bpf_insn **insns, size_t *n, struct skep_err *err)
{
	static const struct skep_asm_opts no_opts = {.sz = sizeof(no_opts)};
	struct skep_assembler as = {.opts = opts ? opts : &no_opts};
	int ret;

	ret = assemble(&as, text, len, err);
	*insns = NULL;
	*n = 0;
	if (!ret) {
		*insns = as.insns.data;
		*n = as.insns.len;
		as.insns.data = NULL;
	}
	skep_vec_deinit(&as.insns);
	skep_vec_deinit(&as.lines);
	skep_vec_deinit(&as.fixups);
	skep_hash_deinit(&as.labels);
	skep_arena_deinit(&as.arena);
	return ret;
}
