/* SPDX-License-Identifier: BSD-2-Clause */
/* Classic BPF: reading, printing and checking; conversion is in classic_ebpf.c. */
#include "isa/classic.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/vec.h"

enum operand { NONE, ABS, IND, LEN, HEX, DEC, MSH, WORD, X, GOTO };

struct row {
	uint16_t code;
	const char *name;
	enum operand operand;
};

static const struct row rows[] = {
#define SKEP_CLASSIC(code, name, operand) {code, name, operand},
#include "isa/classic.def"
};

static const struct row *find_row(uint16_t code)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(rows); i++)
		if (rows[i].code == code)
			return &rows[i];
	return NULL;
}

/* Numbers in text, separated by anything else: decimal, or hex after 0x. */
struct scan {
	const char *p, *end;
	size_t line;
};

/* Bytes that -dd prints between the numbers. */
static bool is_filler(int c)
{
	return isspace(c) || c == '{' || c == '}' || c == ',' || c == ';';
}

/* 1: a number; 0: the end; -1: something else. */
static int next_number(struct scan *s, uint64_t *v)
{
	unsigned int base = 10, digit;

	for (; s->p < s->end && is_filler((unsigned char)*s->p); s->p++)
		s->line += *s->p == '\n';
	if (s->p == s->end)
		return 0;
	if (*s->p == '0' && s->end - s->p > 2 && s->p[1] == 'x') {
		base = 16;
		s->p += 2;
	}
	if (!isxdigit((unsigned char)*s->p))
		return -1;
	for (*v = 0; s->p < s->end && isalnum((unsigned char)*s->p); s->p++) {
		int c = *s->p | 0x20;

		digit = isdigit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
		if (digit >= base || *v > UINT32_MAX)
			return -1;
		*v = *v * base + digit;
	}
	return *v <= UINT32_MAX ? 1 : -1;
}

static int fail_text(const struct scan *s, struct skep_err *err, const char *what)
{
	if (err && err->tag == SKEP_E_NONE)
		err->line = (int)s->line;
	return skep_fail(err, SKEP_E_ASM_SYNTAX, EINVAL, "line %zu: %s", s->line, what);
}

static int read_text(const char *text, size_t len, struct sock_filter **insns, size_t *n,
		     struct skep_err *err)
{
	struct scan s = {.p = text, .end = text + len, .line = 1};
	SKEP_AUTO_FREE struct sock_filter *out = NULL;
	bool counted = !memchr(text, '{', len);
	uint64_t v[4], count = 0;
	size_t nr = 0, line = 1;
	int i, got;

	if (counted && next_number(&s, &count) != 1)
		return fail_text(&s, err, "expected the number of instructions");
	/* An instruction takes at least eight characters. */
	out = calloc(len / 8 + 1, sizeof(*out));
	if (!out)
		return skep_fail_nomem(err);
	for (;; nr++) {
		for (i = 0; i < 4; i++) {
			got = next_number(&s, &v[i]);
			if (got < 0)
				return fail_text(&s, err, "expected a number of at most 32 bits");
			if (!got)
				break;
			line = s.line;
		}
		if (!i)
			break;
		s.line = line;
		if (i < 4)
			return fail_text(&s, err, "an instruction has four numbers: code jt jf k");
		if (v[0] > UINT16_MAX || v[1] > UINT8_MAX || v[2] > UINT8_MAX)
			return fail_text(&s, err, "code has 16 bits, jt and jf have 8");
		if (nr > len / 8)
			return fail_text(&s, err, "instructions run together");
		out[nr] = (struct sock_filter){v[0], v[1], v[2], v[3]};
	}
	if (counted && nr != count)
		return skep_fail(err, SKEP_E_TRUNCATED, EINVAL,
				 "the first line says %llu instructions, there are %zu",
				 (unsigned long long)count, nr);
	*insns = SKEP_TAKE(out);
	*n = nr;
	return 0;
}

static bool is_text(const unsigned char *p, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (!isprint(p[i]) && !isspace(p[i]))
			return false;
	return len > 0;
}

int skep_classic_read(const void *data, size_t len, struct sock_filter **insns, size_t *n,
		      struct skep_err *err)
{
	if (is_text(data, len))
		return read_text(data, len, insns, n, err);
	if (!len || len % sizeof(**insns))
		return skep_fail(
			err, SKEP_E_INSN_TRUNCATED, EINVAL,
			"%zu bytes: neither the text of tcpdump -dd or -ddd nor a multiple "
			"of the 8 bytes of a struct sock_filter",
			len);
	*insns = malloc(len);
	if (!*insns)
		return skep_fail_nomem(err);
	memcpy(*insns, data, len);
	*n = len / sizeof(**insns);
	return 0;
}

/* What a load from the kernel's virtual addresses gets (SKF_AD_*), by tcpdump's names. */
static const char *ancillary_name(uint32_t k)
{
	static const char *const names[SKF_AD_MAX] = {
		[SKF_AD_PROTOCOL] = "proto",
		[SKF_AD_PKTTYPE] = "type",
		[SKF_AD_IFINDEX] = "ifidx",
		[SKF_AD_NLATTR] = "nla",
		[SKF_AD_NLATTR_NEST] = "nlan",
		[SKF_AD_MARK] = "mark",
		[SKF_AD_QUEUE] = "queue",
		[SKF_AD_HATYPE] = "hatype",
		[SKF_AD_RXHASH] = "rxhash",
		[SKF_AD_CPU] = "cpu",
		[SKF_AD_ALU_XOR_X] = "xor_x",
		[SKF_AD_VLAN_TAG] = "vlan_tci",
		[SKF_AD_VLAN_TAG_PRESENT] = "vlanp",
		[SKF_AD_PAY_OFFSET] = "poff",
		[SKF_AD_RANDOM] = "random",
		[SKF_AD_VLAN_TPID] = "vlan_tpid",
	};
	uint32_t at = k - (uint32_t)SKF_AD_OFF;

	return at < SKF_AD_MAX ? names[at] : NULL;
}

static void format_operand(char *out, size_t len, const struct row *row,
			   const struct sock_filter *f, size_t i)
{
	const char *name;

	switch (row->operand) {
	case NONE: out[0] = 0; break;
	case ABS:
		name = ancillary_name(f->k);
		if (name)
			snprintf(out, len, "[%s]", name);
		else
			snprintf(out, len, "[%d]", (int)f->k);
		break;
	case IND: snprintf(out, len, "[x + %d]", (int)f->k); break;
	case LEN: snprintf(out, len, "#pktlen"); break;
	case HEX: snprintf(out, len, "#0x%x", f->k); break;
	case DEC: snprintf(out, len, "#%d", (int)f->k); break;
	case MSH: snprintf(out, len, "4*([%d]&0xf)", (int)f->k); break;
	case WORD: snprintf(out, len, "M[%d]", (int)f->k); break;
	case X: snprintf(out, len, "x"); break;
	case GOTO: snprintf(out, len, "%d", (int)(i + 1 + f->k)); break;
	}
}

int skep_classic_disasm(struct skep_buf *out, const struct sock_filter *insns, size_t n,
			struct skep_err *err)
{
	char operand[64];
	size_t i;

	for (i = 0; i < n; i++) {
		const struct sock_filter *f = &insns[i];
		const struct row *row = find_row(f->code);

		if (row)
			format_operand(operand, sizeof(operand), row, f, i);
		else
			snprintf(operand, sizeof(operand), "0x%x", f->code);
		skep_buf_printf(out, "(%03zu) ", i);
		if (BPF_CLASS(f->code) == BPF_JMP && BPF_OP(f->code) != BPF_JA)
			skep_buf_printf(out, "%-8s %-16s jt %zu\tjf %zu\n",
					row ? row->name : "unimp", operand, i + 1 + f->jt,
					i + 1 + f->jf);
		else
			skep_buf_printf(out, "%-8s %s\n", row ? row->name : "unimp", operand);
	}
	return skep_classic_check(insns, n, err);
}

static int fail_at(struct skep_err *err, size_t i, enum skep_tag tag, const char *what)
{
	if (!err || err->tag != SKEP_E_NONE)
		return -EINVAL;
	err->insn = (int)i;
	return skep_fail(err, tag, EINVAL, "instruction %zu: %s", i, what);
}

static int check_one(const struct sock_filter *f, size_t i, size_t n, struct skep_err *err)
{
	const struct row *row = find_row(f->code);
	size_t left = n - i - 1;

	if (!row)
		return fail_at(err, i, SKEP_E_INSN_INVALID, "unknown opcode");
	if (row->operand == WORD && f->k >= BPF_MEMWORDS)
		return fail_at(err, i, SKEP_E_INSN_INVALID, "memory has words 0 to 15");
	if (row->operand == ABS && f->k >= (uint32_t)SKF_AD_OFF && !ancillary_name(f->k))
		return fail_at(err, i, SKEP_E_INSN_INVALID, "no such ancillary value");
	if (BPF_CLASS(f->code) == BPF_ALU && BPF_SRC(f->code) == BPF_K) {
		uint16_t op = BPF_OP(f->code);

		if ((op == BPF_DIV || op == BPF_MOD) && !f->k)
			return fail_at(err, i, SKEP_E_INSN_INVALID, "division by zero");
		if ((op == BPF_LSH || op == BPF_RSH) && f->k >= 32)
			return fail_at(err, i, SKEP_E_INSN_INVALID, "shift by 32 or more");
	}
	if (BPF_CLASS(f->code) != BPF_JMP)
		return 0;
	if (row->operand == GOTO ? f->k >= left : f->jt >= left || f->jf >= left)
		return fail_at(err, i, SKEP_E_INSN_JUMP, "jump past the end of the program");
	return 0;
}

/* Words of memory are read only where every path has written them.  Jumps only go forward. */
static int check_words(const struct sock_filter *insns, size_t n, struct skep_err *err)
{
	SKEP_AUTO_FREE uint16_t *in = malloc(n * sizeof(*in));
	uint16_t have = 0;
	size_t i;

	if (!in)
		return skep_fail_nomem(err);
	memset(in, 0xff, n * sizeof(*in));
	for (i = 0; i < n; i++) {
		const struct sock_filter *f = &insns[i];

		have = i ? have & in[i] : 0;
		switch (BPF_CLASS(f->code)) {
		case BPF_ST:
		case BPF_STX: have |= 1u << f->k; break;
		case BPF_LD:
		case BPF_LDX:
			if (BPF_MODE(f->code) == BPF_MEM && !(have & 1u << f->k))
				return fail_at(err, i, SKEP_E_INSN_INVALID,
					       "reads a word of memory that was not written");
			break;
		case BPF_JMP:
			if (BPF_OP(f->code) == BPF_JA) {
				in[i + 1 + f->k] &= have;
			} else {
				in[i + 1 + f->jt] &= have;
				in[i + 1 + f->jf] &= have;
			}
			have = 0xffff;
			break;
		case BPF_RET: have = 0xffff; break;
		}
	}
	return 0;
}

int skep_classic_check(const struct sock_filter *insns, size_t n, struct skep_err *err)
{
	size_t i;
	int ret;

	if (!n)
		return fail_at(err, 0, SKEP_E_INSN_TRUNCATED, "the program is empty");
	if (n > BPF_MAXINSNS)
		return fail_at(err, BPF_MAXINSNS, SKEP_E_INSN_INVALID,
			       "a classic program has at most 4096 instructions");
	for (i = 0; i < n; i++) {
		ret = check_one(&insns[i], i, n, err);
		if (ret)
			return ret;
	}
	if (BPF_CLASS(insns[n - 1].code) != BPF_RET)
		return fail_at(err, n - 1, SKEP_E_INSN_INVALID, "the program does not end in ret");
	return check_words(insns, n, err);
}
