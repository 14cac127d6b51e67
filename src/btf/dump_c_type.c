/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A C header of all types: the text of each.
 *
 * Members stand where C puts them by itself, or nameless bit fields push them
 * to where BTF says; structs that C would spread further are packed.  After
 * that, size and offsets are BTF's for every compiler that follows the System V
 * rules (see layout.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "btf/dump_c_int.h"

#define LONG_GAP (64 * 64) /* bits */

/* Pointers to arrays of functions and so on, further than anybody writes them. */
#define MAX_CHAIN 64

static void put(struct skep_dump_c *d, const char *s)
{
	skep_buf_puts(d->out, s);
}

static void put_indent(struct skep_dump_c *d, int indent)
{
	while (indent-- > 0)
		skep_buf_putc(d->out, '\t');
}

static void put_num(struct skep_dump_c *d, uint64_t v)
{
	char digits[24], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	skep_buf_add(d->out, p, (size_t)(digits + sizeof(digits) - p));
}

/* Stops what nests without end: in bytes and in levels. */
static bool too_much(struct skep_dump_c *d, uint32_t id, int indent)
{
	if (d->out->oom && d->ret == 0)
		d->ret = skep_fail_nomem(d->err);
	if (indent > SKEP_BTF_DEPTH || d->out->len > d->limit)
		skep_dump_c_bad(d, id, "nested too deeply");
	return d->ret < 0;
}

/* -- names -- */

/* How often @name was taken before, and once more. */
static uint16_t take_name(struct skep_dump_c *d, struct skep_hash *names, const char *name)
{
	uintptr_t n = (uintptr_t)skep_hash_gets(names, name) + 1;

	if (skep_hash_sets(names, name, (void *)n))
		d->out->oom = true;
	return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

static void put_numbered(struct skep_dump_c *d, const char *name, uint16_t n)
{
	put(d, name);
	if (n <= 1)
		return;
	put(d, "___");
	put_num(d, n);
}

static const char *keyword(const struct btf_type *t)
{
	switch (skep_btf_kind(t)) {
	case BTF_KIND_STRUCT: return "struct";
	case BTF_KIND_UNION: return "union";
	case BTF_KIND_FWD: return skep_btf_kflag(t) ? "union" : "struct";
	default: return "enum";
	}
}

/*
 * The one name that compilers keep for themselves; theirs for BPF has another
 * size, so its uses are written as what it stands for.
 */
bool skep_dump_c_builtin(const struct skep_dump_c *d, const struct btf_type *t)
{
	return skep_btf_kind(t) == BTF_KIND_TYPEDEF && t->type &&
	       !strcmp(skep_btf_str(d->btf, t->name_off), "__builtin_va_list");
}

void skep_dump_c_name(struct skep_dump_c *d, uint32_t id)
{
	const struct btf_type *t = skep_btf_type(d->btf, id);
	const char *name = skep_btf_str(d->btf, t->name_off);
	bool tag = skep_btf_kind(t) != BTF_KIND_TYPEDEF;

	if (tag) {
		put(d, keyword(t));
		skep_buf_putc(d->out, ' ');
	}
	/* A forward declaration means whatever else has that name. */
	if (skep_btf_kind(t) == BTF_KIND_FWD || (skep_btf_is_enum(t) && !skep_btf_vlen(t)))
		d->number[id] = 1;
	if (!d->number[id])
		d->number[id] = take_name(d, tag ? &d->tags : &d->idents, name);
	put_numbered(d, name, d->number[id]);
}

/* -- bodies -- */

/* A gap so long that nameless bit fields would fill pages: bytes, under a name. */
static uint64_t put_gap(struct skep_dump_c *d, uint64_t cur, uint64_t to, int indent)
{
	uint64_t bytes = (to - cur) / 64 * 8;

	put_indent(d, indent);
	put(d, "char __pad_");
	put_num(d, cur / 8);
	put(d, "[");
	put_num(d, bytes);
	put(d, "];\n");
	return cur + bytes * 8;
}

/* Nameless bit fields from bit @cur up to @to, each within a unit of its type. */
static void put_padding(struct skep_dump_c *d, uint64_t cur, uint64_t to, int indent)
{
	static const struct {
		const char *type;
		uint32_t bits;
	} units[] = {{"char", 8}, {"short", 16}, {"int", 32}, {"long", 64}};
	uint64_t n, i;

	/* A member that begins before its predecessor ends: no C text says that. */
	while (cur < to && d->out->len <= d->limit) {
		if (to - cur > LONG_GAP && cur % 8 == 0) {
			cur = put_gap(d, cur, to, indent);
			continue;
		}
		n = 64 - cur % 64;
		n = n < to - cur ? n : to - cur;
		for (i = 0; i < 3; i++) {
			if (n <= units[i].bits && cur % units[i].bits + n <= units[i].bits)
				break;
		}
		put_indent(d, indent);
		put(d, units[i].type);
		put(d, ": ");
		put_num(d, n);
		put(d, ";\n");
		cur += n;
	}
}

static void put_member(struct skep_dump_c *d, const struct btf_member *m, uint32_t bits, int indent)
{
	const struct btf_type *t = skep_btf_resolve(d->btf, m->type, NULL);
	const char *name = skep_btf_str(d->btf, m->name_off);

	put_indent(d, indent);
	/* A nameless member of a named type (-fms-extensions): its fields are what counts. */
	if (!*name && t && skep_btf_is_composite(t))
		skep_dump_c_define(d, m->type, indent);
	else
		skep_dump_c_declare(d, m->type, name, indent);
	if (bits) {
		put(d, ": ");
		put_num(d, bits);
	}
	put(d, ";\n");
}

static void put_struct_members(struct skep_dump_c *d, uint32_t id, const struct btf_type *t,
			       int indent)
{
	const struct btf_member *m = skep_btf_members(t);
	bool packed = skep_layout_packed(&d->lay, id);
	uint64_t cur = 0, align = packed ? 8 : skep_layout_align(&d->lay, id) * 8ull;
	uint32_t i, off, bits;
	int64_t size;

	for (i = 0; i < skep_btf_vlen(t) && d->ret == 0; i++) {
		skep_btf_member(d->btf, t, i, &off, &bits);
		if (skep_layout_place(&d->lay, cur, m[i].type, bits, packed) != off)
			put_padding(d, cur, off, indent);
		put_member(d, &m[i], bits, indent);
		size = skep_btf_sizeof(d->btf, m[i].type);
		cur = off + (bits ? bits : size > 0 ? (uint64_t)size * 8 : 0);
	}
	if (skep_layout_up(cur, align) != t->size * 8ull)
		put_padding(d, cur, t->size * 8ull, indent);
}

static void put_union_members(struct skep_dump_c *d, uint32_t id, const struct btf_type *t,
			      int indent)
{
	const struct btf_member *m = skep_btf_members(t);
	uint64_t max = 0, n;
	uint32_t i, off, bits, align = skep_layout_align(&d->lay, id);
	int64_t size;

	for (i = 0; i < skep_btf_vlen(t) && d->ret == 0; i++) {
		skep_btf_member(d->btf, t, i, &off, &bits);
		put_member(d, &m[i], bits, indent);
		size = skep_btf_sizeof(d->btf, m[i].type);
		n = bits ? (bits + 7) / 8 : size > 0 ? (uint64_t)size : 0;
		max = n > max ? n : max;
	}
	if (skep_layout_up(max, align) >= t->size)
		return;
	/* An alignment that was asked for made it larger than its members. */
	put_indent(d, indent);
	put(d, "struct {\n");
	put_padding(d, 0, t->size * 8ull, indent + 1);
	put_indent(d, indent);
	put(d, "};\n");
}

static void put_enum_values(struct skep_dump_c *d, const struct btf_type *t, int indent)
{
	bool wide = skep_btf_kind(t) == BTF_KIND_ENUM64, sign = skep_btf_enum_signed(t);
	const char *name;
	uint32_t i;
	int64_t v;

	for (i = 0; i < skep_btf_vlen(t); i++) {
		v = skep_btf_enum_value(d->btf, t, i, &name);
		put_indent(d, indent);
		put_numbered(d, name, take_name(d, &d->idents, name));
		put(d, " = ");
		if (sign && v == INT64_MIN) {
			put(d, "(-9223372036854775807LL - 1)");
		} else {
			if (sign && v < 0)
				skep_buf_putc(d->out, '-');
			put_num(d, sign && v < 0 ? (uint64_t)-v : (uint64_t)v);
			if (wide)
				put(d, sign ? "LL" : "ULL");
		}
		put(d, ",\n");
	}
}

/* The size that C gives an enum by itself: 8 if a value needs it, else 4. */
static void put_enum_mode(struct skep_dump_c *d, const struct btf_type *t)
{
	bool sign = skep_btf_enum_signed(t);
	const char *name;
	uint32_t i, natural = 4;
	int64_t v;

	for (i = 0; i < skep_btf_vlen(t); i++) {
		v = skep_btf_enum_value(d->btf, t, i, &name);
		if (sign ? v > INT32_MAX || v < INT32_MIN : (uint64_t)v > UINT32_MAX)
			natural = 8;
	}
	if (t->size == natural)
		return;
	if (t->size == 1)
		put(d, " __attribute__((mode(QI)))");
	else if (t->size == 2)
		put(d, " __attribute__((mode(HI)))");
	else if (t->size == 4)
		put(d, " __attribute__((mode(SI)))");
	else if (t->size == 8)
		put(d, " __attribute__((mode(DI)))");
}

static void define_enum(struct skep_dump_c *d, const struct btf_type *t, int indent)
{
	put(d, " {\n");
	put_enum_values(d, t, indent + 1);
	put_indent(d, indent);
	skep_buf_putc(d->out, '}');
	put_enum_mode(d, t);
}

void skep_dump_c_define(struct skep_dump_c *d, uint32_t id, int indent)
{
	const struct btf_type *t = skep_btf_resolve(d->btf, id, &id);
	size_t start;

	if (!t || too_much(d, id, indent))
		return;
	/* Within another definition a name would be a second definition of it. */
	if (*skep_btf_str(d->btf, t->name_off) && !indent)
		skep_dump_c_name(d, id);
	else
		put(d, keyword(t));
	if (skep_btf_is_enum(t)) {
		if (skep_btf_vlen(t))
			define_enum(d, t, indent);
		return;
	}
	put(d, " {\n");
	start = d->out->len;
	if (skep_btf_kind(t) == BTF_KIND_STRUCT)
		put_struct_members(d, id, t, indent + 1);
	else
		put_union_members(d, id, t, indent + 1);
	if (d->out->len == start)
		skep_buf_cut(d->out, start - 1);
	else
		put_indent(d, indent);
	skep_buf_putc(d->out, '}');
	if (skep_layout_packed(&d->lay, id))
		put(d, " __attribute__((packed))");
}

/* -- declarators: what stands before the name and what after it -- */

static bool is_word(char c)
{
	return c > ' ' && c != '*' && c != '(';
}

/* A blank between two words. */
static void put_blank(struct skep_dump_c *d)
{
	if (d->out->len && is_word(d->out->data[d->out->len - 1]))
		skep_buf_putc(d->out, ' ');
}

/* The type behind qualifiers: how a pointer to it binds. */
static bool binds_behind(struct skep_dump_c *d, uint32_t id)
{
	int end = skep_btf_skip(d->btf, id, false);
	const struct btf_type *t = end < 0 ? NULL : skep_btf_type(d->btf, (uint32_t)end);

	if (t && skep_dump_c_builtin(d, t))
		t = skep_btf_type(d->btf, t->type);

	return t && (skep_btf_kind(t) == BTF_KIND_ARRAY || skep_btf_kind(t) == BTF_KIND_FUNC_PROTO);
}

static void put_base(struct skep_dump_c *d, uint32_t id, const struct btf_type *t, int indent)
{
	put_blank(d);
	switch (skep_btf_kind(t)) {
	case BTF_KIND_UNKN: put(d, "void"); break;
	case BTF_KIND_INT:
	case BTF_KIND_FLOAT: put(d, skep_btf_str(d->btf, t->name_off)); break;
	case BTF_KIND_TYPEDEF: skep_dump_c_name(d, id); break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_FWD:
		if (*skep_btf_str(d->btf, t->name_off))
			skep_dump_c_name(d, id);
		else
			skep_dump_c_define(d, id, indent);
		break;
	default: skep_dump_c_bad(d, id, "stands where a type of a value should"); break;
	}
}

static void put_before(struct skep_dump_c *d, uint32_t id, int indent, int chain);

/* True if the elements of array @t have the qualifier already: C wants it once. */
static bool elements_have(struct skep_dump_c *d, const struct btf_type *t, uint32_t kind)
{
	uint32_t id, k;
	int i;

	for (i = 0; t && i < MAX_CHAIN; i++) {
		k = skep_btf_kind(t);
		if (k == kind)
			return true;
		if (k != BTF_KIND_ARRAY && k != BTF_KIND_CONST && k != BTF_KIND_VOLATILE &&
		    k != BTF_KIND_RESTRICT)
			return false;
		id = k == BTF_KIND_ARRAY ? skep_btf_array(t)->type : t->type;
		t = skep_btf_type(d->btf, id);
	}
	return false;
}

static void put_qualified(struct skep_dump_c *d, const struct btf_type *t, int indent, int chain)
{
	const char *word = skep_btf_kind(t) == BTF_KIND_CONST	   ? "const"
			   : skep_btf_kind(t) == BTF_KIND_VOLATILE ? "volatile"
								   : "restrict";
	int end = skep_btf_skip(d->btf, t->type, false);
	const struct btf_type *of = end < 0 ? NULL : skep_btf_type(d->btf, (uint32_t)end);
	bool behind =
		skep_btf_kind(t) == BTF_KIND_TYPE_TAG || (of && skep_btf_kind(of) == BTF_KIND_PTR);

	/* "const int", but "int * const". */
	if (!behind && !elements_have(d, skep_btf_type(d->btf, t->type), skep_btf_kind(t))) {
		put_blank(d);
		put(d, word);
	}
	put_before(d, t->type, indent, chain + 1);
	if (!behind)
		return;
	skep_buf_putc(d->out, ' ');
	if (skep_btf_kind(t) == BTF_KIND_TYPE_TAG)
		skep_buf_printf(d->out, "__attribute__((btf_type_tag(\"%s\")))",
				skep_btf_str(d->btf, t->name_off));
	else
		put(d, word);
}

static void put_before(struct skep_dump_c *d, uint32_t id, int indent, int chain)
{
	const struct btf_type *t = skep_btf_type(d->btf, id);

	if (!t || chain > MAX_CHAIN || d->ret < 0) {
		skep_dump_c_bad(d, id, "a chain of types that does not end");
		return;
	}
	if (skep_dump_c_builtin(d, t)) {
		put_before(d, t->type, indent, chain + 1);
		return;
	}
	switch (skep_btf_kind(t)) {
	case BTF_KIND_PTR:
		put_before(d, t->type, indent, chain + 1);
		put_blank(d);
		put(d, binds_behind(d, t->type) ? "(*" : "*");
		break;
	case BTF_KIND_ARRAY: put_before(d, skep_btf_array(t)->type, indent, chain + 1); break;
	case BTF_KIND_FUNC_PROTO: put_before(d, t->type, indent, chain + 1); break;
	case BTF_KIND_CONST:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG: put_qualified(d, t, indent, chain); break;
	default: put_base(d, id, t, indent); break;
	}
}

static void put_params(struct skep_dump_c *d, const struct btf_type *t, int indent)
{
	const struct btf_param *p = skep_btf_params(t);
	uint32_t i, n = skep_btf_vlen(t);

	/* clang writes f(void) as one parameter of type void. */
	if (!n || (n == 1 && !p[0].type)) {
		put(d, "(void)");
		return;
	}
	skep_buf_putc(d->out, '(');
	for (i = 0; i < n && !too_much(d, p[i].type, indent); i++) {
		if (i)
			put(d, ", ");
		if (!p[i].type && i == n - 1)
			put(d, "...");
		else
			skep_dump_c_declare(d, p[i].type, skep_btf_str(d->btf, p[i].name_off),
					    indent + 1);
	}
	skep_buf_putc(d->out, ')');
}

static void put_after(struct skep_dump_c *d, uint32_t id, int indent)
{
	const struct btf_type *t;
	int chain;

	for (chain = 0; chain <= MAX_CHAIN; chain++) {
		t = skep_btf_type(d->btf, id);
		if (!t || d->ret < 0)
			return;
		switch (skep_btf_kind(t)) {
		case BTF_KIND_PTR:
			if (binds_behind(d, t->type))
				skep_buf_putc(d->out, ')');
			id = t->type;
			break;
		case BTF_KIND_ARRAY:
			skep_buf_putc(d->out, '[');
			put_num(d, skep_btf_array(t)->nelems);
			skep_buf_putc(d->out, ']');
			id = skep_btf_array(t)->type;
			break;
		case BTF_KIND_FUNC_PROTO:
			put_params(d, t, indent);
			id = t->type;
			break;
		case BTF_KIND_CONST:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG: id = t->type; break;
		case BTF_KIND_TYPEDEF:
			if (!skep_dump_c_builtin(d, t))
				return;
			id = t->type;
			break;
		default: return;
		}
	}
}

void skep_dump_c_declare(struct skep_dump_c *d, uint32_t id, const char *name, int indent)
{
	if (too_much(d, id, indent))
		return;
	/* Starts a word of its own after "(", ", " or an indent. */
	put_before(d, id, indent, 0);
	if (*name) {
		put_blank(d);
		put(d, name);
	}
	put_after(d, id, indent);
}
