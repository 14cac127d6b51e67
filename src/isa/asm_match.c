/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Matches a line against the text templates of isa.def (their operands are
 * listed in disasm.c).
 *
 * Invariant: a function that returns false has said in note() what it wanted
 * and where; the furthest place wins.
 */
#include "isa/asm_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void add_note(struct skep_assembler *as, const char *at, const char *fmt, va_list ap)
{
	char text[sizeof(as->wanted[0])];
	int i;

	if (at != as->furthest)
		as->nr_wanted = 0;
	as->furthest = at;
	vsnprintf(text, sizeof(text), fmt, ap);
	for (i = 0; i < as->nr_wanted && i < SKEP_ASM_WANTED; i++)
		if (!strcmp(as->wanted[i], text))
			return;
	if (as->nr_wanted < SKEP_ASM_WANTED)
		strcpy(as->wanted[as->nr_wanted], text);
	as->nr_wanted++;
}

/* Something else was wanted @at. */
__attribute__((format(printf, 3, 4))) static bool note(struct skep_assembler *as, const char *at,
						       const char *fmt, ...)
{
	va_list ap;

	if (as->quiet || at < as->furthest || (at == as->furthest && as->certain))
		return false;
	as->certain = false;
	va_start(ap, fmt);
	add_note(as, at, fmt, ap);
	va_end(ap);
	return false;
}

/* What stands @at is meant to be the wanted thing, but is out of range: no other row knows more. */
__attribute__((format(printf, 3, 4))) static bool note_range(struct skep_assembler *as,
							     const char *at, const char *fmt, ...)
{
	va_list ap;

	if (as->quiet || at < as->furthest)
		return false;
	if (!as->certain)
		as->nr_wanted = 0;
	as->certain = true;
	va_start(ap, fmt);
	add_note(as, at, fmt, ap);
	va_end(ap);
	return false;
}

const char *skep_asm_word(struct skep_assembler *as)
{
	const char *from = as->p, *copy;

	while (skep_asm_is_word(skep_asm_peek(as)))
		as->p++;
	copy = skep_arena_strndup(&as->arena, from, as->p - from);
	if (!copy)
		as->oom = true;
	return copy ? copy : "";
}

/* Digits in decimal or, after 0x, hex. */
static bool take_digits(struct skep_assembler *as, uint64_t *v, bool *hex)
{
	const char *from = as->p;
	unsigned int base = 10, digit;

	*v = 0;
	if (skep_asm_peek(as) == '0' && as->p + 1 < as->end && (as->p[1] | 0x20) == 'x') {
		base = 16;
		as->p += 2;
	}
	*hex = base == 16;
	if (!isxdigit(skep_asm_peek(as)))
		return note(as, from, "a number");
	for (; skep_asm_is_word(skep_asm_peek(as)); as->p++) {
		int c = skep_asm_peek(as) | 0x20;

		digit = isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
		if (digit >= base)
			return note(as, from, "a number");
		if (__builtin_mul_overflow(*v, (uint64_t)base, v) ||
		    __builtin_add_overflow(*v, (uint64_t)digit, v))
			return note_range(as, from, "a number of at most 64 bits");
	}
	return true;
}

/* A number with optional sign, from @min (negative or 0) to @max. */
static bool take_number(struct skep_assembler *as, int64_t min, uint64_t max, int64_t *out)
{
	const char *from = as->p;
	bool minus = skep_asm_peek(as) == '-', hex;
	uint64_t v;

	if (minus || skep_asm_peek(as) == '+')
		as->p++;
	if (!take_digits(as, &v, &hex))
		return false;
	if (minus ? v > (uint64_t)0 - (uint64_t)min : v > max)
		return note_range(as, from, "a number from %lld to %llu", (long long)min,
				  (unsigned long long)max);
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool take_imm(struct skep_assembler *as, struct skep_insn *in)
{
	int64_t v;

	if (!take_number(as, INT32_MIN, UINT32_MAX, &v))
		return false;
	in->imm = (int32_t)v;
	return true;
}

/* A second mention of a register must be the same one. */
static bool take_reg(struct skep_assembler *as, char letter, uint8_t *reg, bool *seen)
{
	const char *from = as->p;
	int v = 0;

	if (skep_asm_peek(as) != letter || as->p + 1 >= as->end ||
	    !isdigit((unsigned char)as->p[1]))
		return note(as, from, "a register %c0 to %c10", letter, letter);
	for (as->p++; isdigit(skep_asm_peek(as)) && v <= 10; as->p++)
		v = v * 10 + skep_asm_peek(as) - '0';
	if (skep_asm_is_word(skep_asm_peek(as)) || v > 10)
		return note_range(as, from, "a register %c0 to %c10", letter, letter);
	if (*seen && *reg != v)
		return note_range(as, from, "%c%d again", letter, *reg);
	*seen = true;
	*reg = v;
	return true;
}

static bool take_offset(struct skep_assembler *as, struct skep_insn *in)
{
	const char *from = as->p;
	bool minus = skep_asm_peek(as) == '-', hex;
	uint64_t v;

	if (!minus && skep_asm_peek(as) != '+')
		return note(as, from, "an offset like +8 or -16");
	as->p++;
	skep_asm_skip_blanks(as);
	if (!take_digits(as, &v, &hex))
		return false;
	if (v > (minus ? 32768u : 32767u))
		return note_range(as, from, "an offset from -32768 to 32767");
	in->off = minus ? -(int)v : (int)v;
	return true;
}

/* A relative distance like "pc+4" or "+4"; without @found there is none here. */
static bool take_delta(struct skep_assembler *as, int64_t min, int64_t max, int64_t *v, bool *found)
{
	const char *from = as->p;
	bool minus, hex;
	uint64_t digits;

	*found = false;
	if (as->end - as->p > 2 && !memcmp(as->p, "pc", 2) && !skep_asm_is_word(as->p[2]))
		as->p += 2;
	else if (skep_asm_peek(as) != '+' && skep_asm_peek(as) != '-')
		return true;
	*found = true;
	skep_asm_skip_blanks(as);
	minus = skep_asm_peek(as) == '-';
	if (!minus && skep_asm_peek(as) != '+')
		return note(as, as->p, "+ or -");
	as->p++;
	skep_asm_skip_blanks(as);
	if (!take_digits(as, &digits, &hex))
		return false;
	if (digits > (uint64_t)(minus ? -min : max))
		return note_range(as, from, "a distance from %lld to %lld", (long long)min,
				  (long long)max);
	*v = minus ? -(int64_t)digits : (int64_t)digits;
	return true;
}

/* The place that a jump, a call or a code address names. */
static bool take_target(struct skep_assembler *as, char what, struct skep_insn *in)
{
	bool near = what == 'j' || what == 'l', found;
	int64_t v = 0;

	if (!take_delta(as, near ? INT16_MIN : INT32_MIN, near ? INT16_MAX : INT32_MAX, &v, &found))
		return false;
	if (!found) {
		if (!skep_asm_is_word(skep_asm_peek(as)) || isdigit(skep_asm_peek(as)))
			return note(as, as->p, "a label or a distance like pc+4");
		as->name_at = as->p;
		as->name = skep_asm_word(as);
		as->name_what = what;
	}
	if (near)
		in->off = (int16_t)v;
	else
		in->imm = (int32_t)v;
	return true;
}

static bool is_helper(const struct skep_assembler *as, const char *name)
{
	return as->opts->helper && as->opts->helper(as->opts->ctx, name) >= 0;
}

/* $p and $l: "pc+4", "pc+4#name" or a label that is no helper's name. */
static bool take_call(struct skep_assembler *as, char what, struct skep_insn *in)
{
	const char *from = as->p;

	if (!take_target(as, what, in))
		return false;
	if (as->name && (skep_asm_peek(as) == '#' || is_helper(as, as->name))) {
		as->p = from;
		return note(as, from, "a label or a distance like pc+4");
	}
	if (skep_asm_peek(as) == '#') {
		as->p++;
		skep_asm_word(as);
	}
	return true;
}

/* $h: "name#6", "6" or "name" */
static bool take_helper(struct skep_assembler *as, struct skep_insn *in)
{
	const char *from = as->p;
	int nr;

	if (isdigit(skep_asm_peek(as)) || skep_asm_peek(as) == '-')
		return take_imm(as, in);
	if (!skep_asm_is_word(skep_asm_peek(as)))
		return note(as, from, "a helper");
	as->name = skep_asm_word(as);
	nr = as->opts->helper ? as->opts->helper(as->opts->ctx, as->name) : -1;
	as->name = NULL;
	if (skep_asm_peek(as) == '#') {
		as->p++;
		return take_imm(as, in);
	}
	in->imm = nr;
	return nr >= 0 || note(as, from, "a helper or a label");
}

/* $k: "kernel-function#123", with "[1]" for the descriptor's index */
static bool take_kfunc(struct skep_assembler *as, struct skep_insn *in)
{
	static const char word[] = "kernel-function#";
	int64_t v = 0;

	if (as->end - as->p < (ptrdiff_t)sizeof(word) - 1 || memcmp(as->p, word, sizeof(word) - 1))
		return note(as, as->p, "kernel-function#ID");
	as->p += sizeof(word) - 1;
	if (!take_imm(as, in))
		return false;
	if (skep_asm_peek(as) == '[') {
		as->p++;
		if (!take_number(as, INT16_MIN, INT16_MAX, &v))
			return false;
		if (skep_asm_peek(as) != ']')
			return note(as, as->p, "]");
		as->p++;
	}
	in->off = (int16_t)v;
	return true;
}

/* $m: "id:5", "fd:5", "5" or a name */
static bool take_map(struct skep_assembler *as, struct skep_insn *in)
{
	const char *from = as->p, *name;
	int64_t v;
	int fd;

	if (as->end - as->p > 3 && (!memcmp(as->p, "id:", 3) || !memcmp(as->p, "fd:", 3)))
		as->p += 3;
	if (isdigit(skep_asm_peek(as)) || as->p != from) {
		if (!take_number(as, 0, UINT32_MAX, &v))
			return false;
	} else {
		name = skep_asm_word(as);
		fd = as->opts->map && name[0] ? as->opts->map(as->opts->ctx, name) : -1;
		if (fd < 0 || skep_asm_peek(as) == ':')
			return note(as, from, "a map like id:5");
		v = fd;
	}
	in->imm = (int32_t)v;
	in->imm64 = (uint32_t)v | (in->imm64 & ~0ull << 32);
	return true;
}

/* $t: what is not for $u.  Hex without a sign is a 64-bit immediate in dumps. */
static bool take_small(struct skep_assembler *as, struct skep_insn *in)
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

static bool take_wide(struct skep_assembler *as, struct skep_insn *in)
{
	bool minus = skep_asm_peek(as) == '-', hex;
	const char *from = as->p;

	as->p += minus;
	if (!take_digits(as, &in->imm64, &hex))
		return false;
	if (minus && in->imm64 > 1ull << 63)
		return note_range(as, from, "a number of at most 64 bits");
	if (minus)
		in->imm64 = 0 - in->imm64;
	skep_asm_skip_blanks(as);
	if (as->end - as->p >= 2 && !memcmp(as->p, "ll", 2))
		as->p += 2;
	return true;
}

static bool take_half(struct skep_assembler *as, int shift, uint64_t max, uint64_t *into)
{
	int64_t v;

	if (!take_number(as, 0, max, &v))
		return false;
	*into = (*into & ~(max << shift)) | (uint64_t)v << shift;
	return true;
}

/* $f in a 64-bit immediate, and the two halves of an address space cast. */
static bool take_composed(struct skep_assembler *as, char what, struct skep_insn *in)
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

static bool take_operand(struct skep_assembler *as, char what, struct skep_insn *in,
			 struct seen *seen)
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
static bool take_literal(struct skep_assembler *as, const char **tp)
{
	static const char loose[] = "()[]*,";
	const char *t = *tp, *from;

	from = as->p;
	for (; *t && *t != ' ' && *t != '$'; t++) {
		bool edge = strchr(loose, *t) || (t > *tp && strchr(loose, t[-1]));

		if (edge)
			skep_asm_skip_blanks(as);
		if (edge || t == *tp)
			from = as->p;
		if (skep_asm_peek(as) != *t) {
			const char *stop = strpbrk(edge ? t : *tp, " $");
			const char *word = edge ? t : *tp;
			int len = stop ? (int)(stop - word) : (int)strlen(word);

			return note(as, from, "'%.*s'", edge ? 1 : len, word);
		}
		as->p++;
	}
	if (t > *tp && strchr(loose, t[-1]))
		skep_asm_skip_blanks(as);
	*tp = t;
	return true;
}

bool skep_asm_at_end(struct skep_assembler *as)
{
	skep_asm_skip_blanks(as);
	if (skep_asm_peek(as) == '<') {
		const char *close = memchr(as->p, '>', as->end - as->p);

		if (!close)
			return note(as, as->p, "the end of the line");
		as->p = close + 1;
		skep_asm_skip_blanks(as);
	}
	if (as->p == as->end || *as->p == ';' || *as->p == '#' ||
	    (*as->p == '/' && as->p + 1 < as->end && as->p[1] == '/'))
		return true;
	return note(as, as->p, "the end of the line");
}

bool skep_asm_match(struct skep_assembler *as, const char *t, struct skep_insn *in)
{
	struct seen seen = {};
	char before = 0;

	as->name = NULL;
	while (*t) {
		if (*t == ' ') {
			/* Words need a blank between them, punctuation does not. */
			bool apart =
				skep_asm_is_word(before) && (skep_asm_is_word(t[1]) || t[1] == '(');

			if (apart && t[1] != '(' && !(t[1] == '$' && t[2] == 'o') &&
			    skep_asm_peek(as) != ' ' && skep_asm_peek(as) != '\t')
				return note(as, as->p, "a blank");
			skep_asm_skip_blanks(as);
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
	return skep_asm_at_end(as);
}
