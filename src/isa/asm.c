/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Matches lines against the text templates of isa.def (their operands are
 * listed in disasm.c).  Each row is tried; when none fits, the error tells
 * what the rows that got furthest would have taken there.
 *
 * Invariant: a parsing function that returns false has said in note() what
 * it wanted and where.
 */
#include "isa/asm.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/vec.h"

enum { NR_WANTED = 6 };

/* A jump or call to a name, resolved at the end. */
struct fixup {
	const char *name;
	size_t slot;
	int line, column;
	char what; /* the template's letter: j J p f */
};

struct assembler {
	const struct skep_asm_opts *opts;
	struct skep_arena arena;
	struct skep_hash labels; /* name -> slot + 1 */
	SKEP_VEC(struct bpf_insn) insns;
	SKEP_VEC(int) lines; /* of each slot */
	SKEP_VEC(struct fixup) fixups;
	int line;
	const char *start, *end, *p; /* the line, and where the parser is */
	/* What was wanted at the furthest place that any row reached. */
	const char *furthest;
	char wanted[NR_WANTED][48];
	int nr_wanted;
	bool oom;
	/* The name that the instruction being matched refers to. */
	const char *name;
	const char *name_at;
	char name_what;
};

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

static bool note(struct assembler *as, const char *at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool note(struct assembler *as, const char *at, const char *fmt, ...)
{
	char text[sizeof(as->wanted[0])];
	va_list ap;
	int i;

	if (as->furthest && at < as->furthest)
		return false;
	if (at != as->furthest)
		as->nr_wanted = 0;
	as->furthest = at;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	for (i = 0; i < as->nr_wanted; i++)
		if (!strcmp(as->wanted[i], text))
			return false;
	if (as->nr_wanted < NR_WANTED)
		strcpy(as->wanted[as->nr_wanted++], text);
	else
		as->nr_wanted = NR_WANTED + 1;
	return false;
}

static bool is_word(int c)
{
	return isalnum(c) || c == '_' || c == '.' || c == '$';
}

static int peek(const struct assembler *as)
{
	return as->p < as->end ? (unsigned char)*as->p : 0;
}

static void skip_blanks(struct assembler *as)
{
	while (as->p < as->end && (*as->p == ' ' || *as->p == '\t' || *as->p == '\r'))
		as->p++;
}

/* A run of word characters at the position, in the arena; "" if there is none. */
static const char *take_word(struct assembler *as)
{
	const char *from = as->p, *copy;

	while (is_word(peek(as)))
		as->p++;
	copy = skep_arena_strndup(&as->arena, from, as->p - from);
	if (!copy)
		as->oom = true;
	return copy ? copy : "";
}

/* Digits in decimal or, after 0x, hex. */
static bool take_digits(struct assembler *as, uint64_t *v, bool *hex)
{
	const char *from = as->p;
	unsigned int base = 10, digit;

	*v = 0;
	if (peek(as) == '0' && as->p + 1 < as->end && (as->p[1] | 0x20) == 'x') {
		base = 16;
		as->p += 2;
	}
	*hex = base == 16;
	if (!isxdigit(peek(as)))
		return note(as, from, "a number");
	for (; is_word(peek(as)); as->p++) {
		int c = peek(as) | 0x20;

		digit = isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
		if (digit >= base)
			return note(as, from, "a number");
		if (__builtin_mul_overflow(*v, (uint64_t)base, v) ||
		    __builtin_add_overflow(*v, (uint64_t)digit, v))
			return note(as, from, "a number of at most 64 bits");
	}
	return true;
}

/* A number with optional sign, from @min (negative or 0) to @max. */
static bool take_number(struct assembler *as, int64_t min, uint64_t max, int64_t *out)
{
	const char *from = as->p;
	bool minus = peek(as) == '-', hex;
	uint64_t v;

	if (minus || peek(as) == '+')
		as->p++;
	if (!take_digits(as, &v, &hex))
		return false;
	if (minus ? v > (uint64_t)0 - (uint64_t)min : v > max)
		return note(as, from, "a number from %lld to %llu", (long long)min,
			    (unsigned long long)max);
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool take_imm(struct assembler *as, struct skep_insn *in)
{
	int64_t v;

	if (!take_number(as, INT32_MIN, UINT32_MAX, &v))
		return false;
	in->imm = (int32_t)v;
	return true;
}

/* A second mention of a register must be the same one. */
static bool take_reg(struct assembler *as, char letter, uint8_t *reg, bool *seen)
{
	const char *from = as->p;
	int v = 0;

	if (peek(as) != letter || as->p + 1 >= as->end || !isdigit((unsigned char)as->p[1]))
		return note(as, from, "a register %c0 to %c10", letter, letter);
	for (as->p++; isdigit(peek(as)) && v <= 10; as->p++)
		v = v * 10 + peek(as) - '0';
	if (is_word(peek(as)) || v > 10)
		return note(as, from, "a register %c0 to %c10", letter, letter);
	if (*seen && *reg != v)
		return note(as, from, "%c%d again", letter, *reg);
	*seen = true;
	*reg = v;
	return true;
}

static bool take_offset(struct assembler *as, struct skep_insn *in)
{
	const char *from = as->p;
	bool minus = peek(as) == '-', hex;
	uint64_t v;

	if (!minus && peek(as) != '+')
		return note(as, from, "an offset like +8 or -16");
	as->p++;
	skip_blanks(as);
	if (!take_digits(as, &v, &hex))
		return false;
	if (v > (minus ? 32768u : 32767u))
		return note(as, from, "an offset from -32768 to 32767");
	in->off = minus ? -(int)v : (int)v;
	return true;
}

/* A relative distance "pc+4" or "+4" from @min to @max; false without a note: none here. */
static bool take_delta(struct assembler *as, int64_t min, int64_t max, int64_t *v, bool *found)
{
	*found = false;
	if (as->end - as->p > 2 && !memcmp(as->p, "pc", 2) && !is_word(as->p[2]))
		as->p += 2;
	else if (peek(as) != '+' && peek(as) != '-')
		return true;
	*found = true;
	skip_blanks(as);
	if (peek(as) != '+' && peek(as) != '-')
		return note(as, as->p, "+ or -");
	return take_number(as, min, max, v);
}

/* The place that a jump, a call or a code address names. */
static bool take_target(struct assembler *as, char what, struct skep_insn *in)
{
	bool near = what == 'j' || what == 'l', found;
	int64_t v = 0;

	if (!take_delta(as, near ? INT16_MIN : INT32_MIN, near ? INT16_MAX : INT32_MAX, &v, &found))
		return false;
	if (!found) {
		if (!is_word(peek(as)) || isdigit(peek(as)))
			return note(as, as->p, "a label or a distance like pc+4");
		as->name_at = as->p;
		as->name = take_word(as);
		as->name_what = what;
	}
	if (near)
		in->off = (int16_t)v;
	else
		in->imm = (int32_t)v;
	return true;
}

static bool is_helper(const struct assembler *as, const char *name)
{
	return as->opts->helper && as->opts->helper(as->opts->ctx, name) >= 0;
}

/* $p and $l: "pc+4", "pc+4#name" or a label that is no helper's name. */
static bool take_call(struct assembler *as, char what, struct skep_insn *in)
{
	const char *from = as->p;

	if (!take_target(as, what, in))
		return false;
	if (as->name && (peek(as) == '#' || is_helper(as, as->name))) {
		as->p = from;
		return note(as, from, "a label or a distance like pc+4");
	}
	if (peek(as) == '#') {
		as->p++;
		take_word(as);
	}
	return true;
}

/* $h: "name#6", "6" or "name" */
static bool take_helper(struct assembler *as, struct skep_insn *in)
{
	const char *from = as->p;
	int nr;

	if (isdigit(peek(as)) || peek(as) == '-')
		return take_imm(as, in);
	if (!is_word(peek(as)))
		return note(as, from, "a helper");
	as->name = take_word(as);
	nr = as->opts->helper ? as->opts->helper(as->opts->ctx, as->name) : -1;
	as->name = NULL;
	if (peek(as) == '#') {
		as->p++;
		return take_imm(as, in);
	}
	in->imm = nr;
	return nr >= 0 || note(as, from, "a helper or a label");
}

/* $k: "kernel-function#123", with "[1]" for the descriptor's index */
static bool take_kfunc(struct assembler *as, struct skep_insn *in)
{
	static const char word[] = "kernel-function#";
	int64_t v = 0;

	if (as->end - as->p < (ptrdiff_t)sizeof(word) - 1 || memcmp(as->p, word, sizeof(word) - 1))
		return note(as, as->p, "kernel-function#ID");
	as->p += sizeof(word) - 1;
	if (!take_imm(as, in))
		return false;
	if (peek(as) == '[') {
		as->p++;
		if (!take_number(as, INT16_MIN, INT16_MAX, &v))
			return false;
		if (peek(as) != ']')
			return note(as, as->p, "]");
		as->p++;
	}
	in->off = (int16_t)v;
	return true;
}

/* $m: "id:5", "fd:5", "5" or a name */
static bool take_map(struct assembler *as, struct skep_insn *in)
{
	const char *from = as->p, *name;
	int64_t v;
	int fd;

	if (as->end - as->p > 3 && (!memcmp(as->p, "id:", 3) || !memcmp(as->p, "fd:", 3)))
		as->p += 3;
	if (isdigit(peek(as)) || as->p != from) {
		if (!take_number(as, 0, UINT32_MAX, &v))
			return false;
	} else {
		name = take_word(as);
		fd = as->opts->map && name[0] ? as->opts->map(as->opts->ctx, name) : -1;
		if (fd < 0 || peek(as) == ':')
			return note(as, from, "a map like id:5");
		v = fd;
	}
	in->imm = (int32_t)v;
	in->imm64 = (uint32_t)v | (in->imm64 & ~0ull << 32);
	return true;
}

/* $t: what is not for $u.  Hex without a sign is a 64-bit immediate in dumps. */
static bool take_small(struct assembler *as, struct skep_insn *in)
{
	const char *from = as->p;
	int64_t v;

	if (as->end - as->p > 1 && as->p[0] == '0' && (as->p[1] | 0x20) == 'x')
		return note(as, from, "a number");
	if (!take_number(as, INT32_MIN, INT32_MAX, &v))
		return false;
	in->imm = (int32_t)v;
	return true;
}

static bool take_wide(struct assembler *as, struct skep_insn *in)
{
	bool minus = peek(as) == '-', hex;
	const char *from = as->p;

	as->p += minus;
	if (!take_digits(as, &in->imm64, &hex))
		return false;
	if (minus && in->imm64 > 1ull << 63)
		return note(as, from, "a number of at most 64 bits");
	if (minus)
		in->imm64 = 0 - in->imm64;
	skip_blanks(as);
	if (as->end - as->p >= 2 && !memcmp(as->p, "ll", 2))
		as->p += 2;
	return true;
}

static bool take_half(struct assembler *as, int shift, uint64_t max, uint64_t *into)
{
	int64_t v;

	if (!take_number(as, 0, max, &v))
		return false;
	*into = (*into & ~(max << shift)) | (uint64_t)v << shift;
	return true;
}

/* $f in a 64-bit immediate, and the two halves of an address space cast. */
static bool take_composed(struct assembler *as, char what, struct skep_insn *in)
{
	uint64_t imm = (uint32_t)in->imm;

	switch (what) {
	case 'f':
		if (!take_target(as, 'f', in))
			return false;
		in->imm64 = (uint32_t)in->imm;
		return true;
	case 'n': return take_half(as, 0, UINT32_MAX, &in->imm64);
	case 'v': return take_half(as, 32, UINT32_MAX, &in->imm64);
	default:
		if (!take_half(as, what == 'a' ? 16 : 0, 0xffff, &imm))
			return false;
		in->imm = (int32_t)imm;
		return true;
	}
}

struct seen {
	bool dst, src;
};

static bool take_operand(struct assembler *as, char what, struct skep_insn *in, struct seen *seen)
{
	switch (what) {
	case 'd': return take_reg(as, 'r', &in->dst, &seen->dst);
	case 'D': return take_reg(as, 'w', &in->dst, &seen->dst);
	case 's': return take_reg(as, 'r', &in->src, &seen->src);
	case 'S': return take_reg(as, 'w', &in->src, &seen->src);
	case 'i':
	case 'x': return take_imm(as, in);
	case 't': return take_small(as, in);
	case 'o': return take_offset(as, in);
	case 'j':
	case 'J': return take_target(as, what, in);
	case 'l':
	case 'p': return take_call(as, what, in);
	case 'h': return take_helper(as, in);
	case 'k': return take_kfunc(as, in);
	case 'm': return take_map(as, in);
	case 'u': return take_wide(as, in);
	default: return take_composed(as, what, in);
	}
}

/* Literal text up to a blank or an operand; blanks may stand around brackets. */
static bool take_literal(struct assembler *as, const char **tp)
{
	static const char loose[] = "()[]*,";
	const char *t = *tp, *from;

	from = as->p;
	for (; *t && *t != ' ' && *t != '$'; t++) {
		bool edge = strchr(loose, *t) || (t > *tp && strchr(loose, t[-1]));

		if (edge)
			skip_blanks(as);
		if (edge || t == *tp)
			from = as->p;
		if (peek(as) != *t) {
			const char *stop = strpbrk(edge ? t : *tp, " $");
			const char *word = edge ? t : *tp;
			int len = stop ? (int)(stop - word) : (int)strlen(word);

			return note(as, from, "'%.*s'", edge ? 1 : len, word);
		}
		as->p++;
	}
	if (t > *tp && strchr(loose, t[-1]))
		skip_blanks(as);
	*tp = t;
	return true;
}

/* At the end of an instruction: a comment, a <label> of a dump, or nothing. */
static bool at_end(struct assembler *as)
{
	skip_blanks(as);
	if (peek(as) == '<') {
		const char *close = memchr(as->p, '>', as->end - as->p);

		if (!close)
			return note(as, as->p, "the end of the line");
		as->p = close + 1;
		skip_blanks(as);
	}
	if (as->p == as->end || *as->p == ';' || *as->p == '#' ||
	    (*as->p == '/' && as->p + 1 < as->end && as->p[1] == '/'))
		return true;
	return note(as, as->p, "the end of the line");
}

static bool match(struct assembler *as, const char *t, struct skep_insn *in)
{
	struct seen seen = {};
	char before = 0;

	as->name = NULL;
	while (*t) {
		if (*t == ' ') {
			/* Words need a blank between them, punctuation does not. */
			bool apart = is_word(before) && (is_word(t[1]) || t[1] == '(');

			if (apart && t[1] != '(' && !(t[1] == '$' && t[2] == 'o') &&
			    peek(as) != ' ' && peek(as) != '\t')
				return note(as, as->p, "a blank");
			skip_blanks(as);
			t++;
		} else if (*t == '$') {
			if (!take_operand(as, t[1], in, &seen))
				return false;
			t += 2;
			before = 'x';
		} else {
			if (!take_literal(as, &t))
				return false;
			before = t[-1];
		}
	}
	return at_end(as);
}

static int fail_syntax(struct assembler *as, int line, int column, const char *text,
		       struct skep_err *err)
{
	if (err && err->tag == SKEP_E_NONE)
		err->line = line;
	return skep_fail(err, SKEP_E_ASM_SYNTAX, EINVAL, "line %d, column %d: %s", line, column,
			 text);
}

static int fail_match(struct assembler *as, const char *first, struct skep_err *err)
{
	char text[512] = "not an instruction";
	size_t used;
	int i, len;

	if (as->furthest == first)
		return fail_syntax(as, as->line, (int)(first - as->start) + 1, text, err);
	used = snprintf(text, sizeof(text), "expected ");
	for (i = 0; i < as->nr_wanted && i < NR_WANTED; i++)
		used += snprintf(text + used, sizeof(text) - used, "%s%s",
				 !i			  ? ""
				 : i + 1 == as->nr_wanted ? " or "
							  : ", ",
				 as->wanted[i]);
	if (as->nr_wanted > NR_WANTED)
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

static int emit(struct assembler *as, const struct skep_insn *in, struct skep_err *err)
{
	struct bpf_insn raw[2];
	struct fixup fix = {
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

static bool try_text(struct assembler *as, const char *first, int op, const char *text,
		     struct skep_insn *in)
{
	*in = (struct skep_insn){.op = op, .kind = skep_insn_table[op].kind};
	as->p = first;
	return match(as, text, in);
}

static int take_insn(struct assembler *as, struct skep_err *err)
{
	const char *first = as->p;
	struct skep_insn in;
	size_t i;
	int op;

	as->furthest = NULL;
	as->nr_wanted = 0;
	for (op = 0; op < SKEP_OP_MAX; op++) {
		if (skep_insn_table[op].group == SKEP_GROUP_KERNEL && !as->opts->loaded)
			continue;
		if (try_text(as, first, op, skep_insn_table[op].text, &in))
			return emit(as, &in, err);
	}
	for (i = 0; i < SKEP_ARRAY_SIZE(aliases); i++)
		if (try_text(as, first, aliases[i].op, aliases[i].text, &in))
			return emit(as, &in, err);
	return as->oom ? skep_fail_nomem(err) : fail_match(as, first, err);
}

/* "12:", then bytes in hex, then "(b7)", as dumps have them. */
static void skip_dump_prefix(struct assembler *as)
{
	const char *p = as->p;
	int nr = 0;

	while (p < as->end && isdigit((unsigned char)*p))
		p++;
	if (p > as->p && p < as->end && *p == ':')
		as->p = p + 1;
	skip_blanks(as);
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
	skip_blanks(as);
}

/* "int prog(struct __sk_buff * s):" */
static bool is_function_header(const struct assembler *as)
{
	const char *last = as->end;

	while (last > as->p && strchr(" \t\r", last[-1]))
		last--;
	return last - as->p > 2 && last[-1] == ':' && last[-2] == ')';
}

static int take_label(struct assembler *as, struct skep_err *err)
{
	const char *from = as->p, *name;
	char text[120];

	if (!is_word(peek(as)) || isdigit(peek(as)))
		return 0;
	name = take_word(as);
	if (peek(as) != ':') {
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
	skip_blanks(as);
	return 0;
}

static int take_line(struct assembler *as, struct skep_err *err)
{
	int ret;

	skip_blanks(as);
	if (is_function_header(as))
		return 0;
	ret = take_label(as, err);
	if (ret)
		return ret;
	skip_dump_prefix(as);
	/* "<" starts no instruction, so what at_end() takes here is a comment or nothing. */
	if (peek(as) != '<' && at_end(as))
		return 0;
	return take_insn(as, err);
}

static int apply_fixup(struct assembler *as, const struct fixup *fix, struct skep_err *err)
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
static int check(struct assembler *as, struct skep_err *err)
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

static int assemble(struct assembler *as, const char *text, size_t len, struct skep_err *err)
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
	struct assembler as = {.opts = opts ? opts : &no_opts};
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
