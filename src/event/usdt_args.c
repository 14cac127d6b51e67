/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the arguments of a static probe are: what the assembler made of the
 * operands, "8@%rdi -4@-20(%rbp,%rcx,4) 2@$7".
 * https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation
 *
 * Untrusted text.  Each argument is read by itself: one that usdt.bpf.h has
 * no way to reach does not take the others with it.
 */
#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/usdt.h"

#define X86_IP 128 /* rip in struct pt_regs */

/* Names by width, and the place in the kernel's struct pt_regs. */
static const struct {
	const char *names[4];
	int16_t off;
} x86_regs[] = {
	{{"r15", "r15d", "r15w", "r15b"}, 0},
	{{"r14", "r14d", "r14w", "r14b"}, 8},
	{{"r13", "r13d", "r13w", "r13b"}, 16},
	{{"r12", "r12d", "r12w", "r12b"}, 24},
	{{"rbp", "ebp", "bp", "bpl"}, 32},
	{{"rbx", "ebx", "bx", "bl"}, 40},
	{{"r11", "r11d", "r11w", "r11b"}, 48},
	{{"r10", "r10d", "r10w", "r10b"}, 56},
	{{"r9", "r9d", "r9w", "r9b"}, 64},
	{{"r8", "r8d", "r8w", "r8b"}, 72},
	{{"rax", "eax", "ax", "al"}, 80},
	{{"rcx", "ecx", "cx", "cl"}, 88},
	{{"rdx", "edx", "dx", "dl"}, 96},
	{{"rsi", "esi", "si", "sil"}, 104},
	{{"rdi", "edi", "di", "dil"}, 112},
	{{"rip", "eip", "ip", ""}, X86_IP},
	{{"rsp", "esp", "sp", "spl"}, 152},
	/* The second bytes of four registers. */
	{{"bh", "", "", ""}, 41},
	{{"ah", "", "", ""}, 81},
	{{"ch", "", "", ""}, 89},
	{{"dh", "", "", ""}, 97},
};

static int x86_reg(const char *name, size_t len)
{
	size_t i, j;

	for (i = 0; i < SKEP_ARRAY_SIZE(x86_regs); i++)
		for (j = 0; j < 4; j++)
			if (strlen(x86_regs[i].names[j]) == len && len &&
			    !memcmp(x86_regs[i].names[j], name, len))
				return x86_regs[i].off;
	return -1;
}

static int arm64_reg(const char *name, size_t len)
{
	unsigned int n = 0;
	size_t i;

	if (len == 2 && !memcmp(name, "sp", 2))
		return 31 * 8;
	if (len < 2 || len > 3 || (name[0] != 'x' && name[0] != 'w'))
		return -1;
	for (i = 1; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -1;
		n = 10 * n + (unsigned int)(name[i] - '0');
	}
	return n > 30 ? -1 : (int)n * 8;
}

/* What is being read: a piece of text that never reaches its end by a NUL. */
struct cursor {
	const char *p, *end;
	const struct skep_usdt_site *site;
};

static bool at_end(const struct cursor *c)
{
	return c->p == c->end;
}

static bool take(struct cursor *c, char what)
{
	if (at_end(c) || *c->p != what)
		return false;
	c->p++;
	return true;
}

static void skip_blanks(struct cursor *c)
{
	while (take(c, ' ') || take(c, '\t'))
		;
}

/* A word of letters, digits and what symbols have. */
static size_t word(const struct cursor *c)
{
	size_t n = 0;

	while (c->p + n < c->end &&
	       (strchr("_.$", c->p[n]) ? c->p[n] != '\0'
				       : (c->p[n] >= '0' && c->p[n] <= '9') ||
						 (c->p[n] >= 'a' && c->p[n] <= 'z') ||
						 (c->p[n] >= 'A' && c->p[n] <= 'Z')))
		n++;
	return n;
}

/* "7", "-0x10", "+8": all of the digits must be good. */
static bool take_number(struct cursor *c, uint64_t *out)
{
	char text[32], *end;
	bool minus = false;
	size_t n;

	if (take(c, '-'))
		minus = true;
	else
		take(c, '+');
	n = word(c);
	if (!n || n >= sizeof(text) || *c->p < '0' || *c->p > '9')
		return false;
	memcpy(text, c->p, n);
	text[n] = '\0';
	errno = 0;
	*out = strtoull(text, &end, 0);
	if (errno || *end)
		return false;
	if (minus)
		*out = -*out;
	c->p += n;
	return true;
}

/* A register; its place in struct pt_regs, or -1. */
static int take_reg(struct cursor *c, int (*reg)(const char *name, size_t len))
{
	size_t n = word(c);
	int off = reg(c->p, n);

	if (off >= 0)
		c->p += n;
	return off;
}

/*
 * "7", "counter", "counter+8": @value; *@symbol tells that it is an address
 * of the file, before relocation.  False: neither, or no such symbol.
 */
static bool take_expression(struct cursor *c, uint64_t *value, bool *symbol)
{
	uint64_t more;
	char name[256];
	size_t n = word(c);

	*symbol = false;
	*value = 0;
	if (take_number(c, value)) {
		/* "8+counter" */
		if (at_end(c) || *c->p != '+')
			return true;
		more = *value;
		c->p++;
		n = word(c);
	} else {
		more = 0;
	}
	if (!n || n >= sizeof(name) || !c->site || !c->site->find)
		return false;
	memcpy(name, c->p, n);
	name[n] = '\0';
	if (!c->site->find(c->site->ctx, name, value))
		return false;
	c->p += n;
	*symbol = true;
	*value += more;
	if (!at_end(c) && (*c->p == '+' || *c->p == '-')) {
		if (!take_number(c, &more))
			return false;
		*value += more;
	}
	return true;
}

static void set_index(struct skep_usdt_arg *arg, int index, unsigned int shift)
{
	arg->type = SKEP_USDT_SIB | (uint32_t)index << 8 | shift << 20;
}

/* Behind the "(" of "8(%rbp,%rcx,4)". */
static bool x86_address(struct cursor *c, bool symbol, struct skep_usdt_arg *arg)
{
	int base = -1, index = -1;
	uint64_t scale = 1;

	arg->type = SKEP_USDT_DEREF;
	skip_blanks(c);
	if (take(c, '%')) {
		base = take_reg(c, x86_reg);
		if (base < 0)
			return false;
	}
	skip_blanks(c);
	if (take(c, ',')) {
		skip_blanks(c);
		index = take(c, '%') ? take_reg(c, x86_reg) : -1;
		if (index < 0 || index == X86_IP)
			return false;
		skip_blanks(c);
		if (take(c, ',')) {
			skip_blanks(c);
			if (!take_number(c, &scale))
				return false;
		}
	}
	skip_blanks(c);
	if (!take(c, ')') || (scale != 1 && scale != 2 && scale != 4 && scale != 8))
		return false;
	/* Without a base there is no form for it; an address of the file only by rip. */
	if (base < 0 || (symbol && base != X86_IP))
		return false;
	if (symbol)
		arg->val_off -= c->site->addr;
	arg->reg_off = (int16_t)base;
	if (index >= 0)
		set_index(arg, index, (unsigned int)__builtin_ctz((unsigned int)scale));
	return true;
}

/* "$7", "%rdi", "8(%rdi)", "sym(%rip)", "sym". */
static bool x86_operand(struct cursor *c, struct skep_usdt_arg *arg)
{
	bool symbol = false;
	int off;

	if (take(c, '$')) {
		arg->type = SKEP_USDT_CONST;
		/* An address that is known only if the file is not moved. */
		return take_expression(c, &arg->val_off, &symbol) &&
		       !(symbol && c->site->relocatable);
	}
	if (take(c, '%')) {
		arg->type = SKEP_USDT_REG;
		off = take_reg(c, x86_reg);
		arg->reg_off = (int16_t)off;
		return off >= 0;
	}
	if (!at_end(c) && *c->p != '(' && !take_expression(c, &arg->val_off, &symbol))
		return false;
	if (take(c, '('))
		return x86_address(c, symbol, arg);
	/* Memory at a symbol: as far from the probe's instruction as it is in the file. */
	if (!symbol)
		return false;
	arg->type = SKEP_USDT_DEREF;
	arg->reg_off = X86_IP;
	arg->val_off -= c->site->addr;
	return true;
}

/* Behind the "[" of "[sp, 16]", "[x0, x1, lsl 3]". */
static bool arm64_address(struct cursor *c, struct skep_usdt_arg *arg)
{
	uint64_t shift = 0;
	int index;

	skip_blanks(c);
	arg->type = SKEP_USDT_DEREF;
	arg->reg_off = (int16_t)take_reg(c, arm64_reg);
	if (arg->reg_off < 0)
		return false;
	skip_blanks(c);
	if (take(c, ',')) {
		skip_blanks(c);
		index = !at_end(c) && *c->p == 'x' ? take_reg(c, arm64_reg) : -1;
		if (index < 0) {
			take(c, '#');
			if (!take_number(c, &arg->val_off))
				return false;
		} else {
			skip_blanks(c);
			if (take(c, ',')) {
				skip_blanks(c);
				if (word(c) != 3 || memcmp(c->p, "lsl", 3) != 0)
					return false;
				c->p += 3;
				skip_blanks(c);
				take(c, '#');
				if (!take_number(c, &shift) || shift > 4)
					return false;
			}
			set_index(arg, index, (unsigned int)shift);
		}
		skip_blanks(c);
	}
	return take(c, ']');
}

/* "7", "x0", "[x0]", "[sp, 16]". */
static bool arm64_operand(struct cursor *c, struct skep_usdt_arg *arg)
{
	size_t n = word(c);
	int off;

	if (take(c, '['))
		return arm64_address(c, arg);
	arg->type = SKEP_USDT_REG;
	off = take_reg(c, arm64_reg);
	if (off >= 0) {
		arg->reg_off = (int16_t)off;
		return true;
	}
	arg->type = SKEP_USDT_CONST;
	if (n == 3 && (!memcmp(c->p, "xzr", 3) || !memcmp(c->p, "wzr", 3))) {
		c->p += 3;
		return true;
	}
	take(c, '#');
	return take_number(c, &arg->val_off);
}

/* Where the argument that begins at @start ends: brackets may hold blanks. */
static const char *arg_end(const char *start)
{
	const char *p;
	int depth = 0;

	for (p = start; *p && (depth > 0 || *p != ' '); p++)
		depth += (*p == '[' || *p == '(') - (*p == ']' || *p == ')');
	return depth > 0 ? start + strcspn(start, " ") : p;
}

/* "-4@", or nothing: 8 bytes.  Floating point ("8f@") is nothing that a program gets. */
static bool take_size(struct cursor *c, int *size)
{
	static const char *const sizes[] = {"1@", "2@", "4@", "8@"};
	bool minus = take(c, '-');
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(sizes); i++) {
		if (c->end - c->p < 2 || memcmp(c->p, sizes[i], 2) != 0)
			continue;
		c->p += 2;
		*size = minus ? -(1 << i) : 1 << i;
		return true;
	}
	*size = 8;
	if (minus)
		c->p--;
	return !memchr(c->p, '@', (size_t)(c->end - c->p));
}

static bool read_arg(struct cursor *c, unsigned int machine, struct skep_usdt_arg *arg)
{
	bool good;
	int size;

	if (!take_size(c, &size))
		return false;
	good = machine == EM_X86_64    ? x86_operand(c, arg)
	       : machine == EM_AARCH64 ? arm64_operand(c, arg)
				       : false;
	arg->is_signed = size < 0;
	arg->bitshift = (int8_t)(64 - 8 * abs(size));
	return good && at_end(c);
}

int skep_usdt_spec_parse(const char *text, unsigned int machine, const struct skep_usdt_site *site,
			 struct skep_usdt_spec *spec, char *unread, size_t size,
			 struct skep_err *err)
{
	struct cursor c = {.p = text + strspn(text, " "), .site = site};
	struct skep_usdt_arg *arg;
	const char *start;

	memset(spec, 0, sizeof(*spec));
	unread[0] = '\0';
	for (start = c.p; *start; start = c.end + strspn(c.end, " ")) {
		if (spec->nr_args == SKEP_USDT_ARGS)
			return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
					 "the probe has more than %d arguments", SKEP_USDT_ARGS);
		arg = &spec->args[spec->nr_args++];
		c.p = start;
		c.end = arg_end(start);
		if (read_arg(&c, machine, arg))
			continue;
		memset(arg, 0, sizeof(*arg));
		arg->type = SKEP_USDT_UNREADABLE;
		if (!unread[0])
			snprintf(unread, size, "%d is at '%.*s'", spec->nr_args - 1,
				 (int)(c.end - start), start);
	}
	return 0;
}
