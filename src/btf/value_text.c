/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "btf/value_int.h"

struct text {
	struct skep_buf *out;
	bool first; /* nothing stands before, within these braces */
	bool bare; /* strings without quotes */
};

static void before(struct text *t, const char *name)
{
	if (!t->first)
		skep_buf_puts(t->out, ", ");
	t->first = false;
	if (name)
		skep_buf_printf(t->out, ".%.256s = ", name);
}

static void text_open(void *sink, const char *name, bool array)
{
	struct text *t = sink;

	before(t, name);
	skep_buf_putc(t->out, array ? '[' : '{');
	t->first = true;
	t->bare = false;
	if (!array)
		skep_buf_putc(t->out, ' ');
}

static void text_close(void *sink, bool array)
{
	struct text *t = sink;

	if (array)
		skep_buf_putc(t->out, ']');
	else
		skep_buf_puts(t->out, t->first ? "}" : " }");
	t->first = false;
}

static void text_truncated(void *sink)
{
	struct text *t = sink;

	before(t, NULL);
	skep_buf_puts(t->out, "(truncated)");
}

/* Bytes that a terminal could take for more than text are escaped; UTF-8 passes. */
static void put_string(struct text *t, const char *s, size_t len)
{
	size_t i;

	if (!t->bare)
		skep_buf_putc(t->out, '"');
	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '\n')
			skep_buf_puts(t->out, "\\n");
		else if (c == '\t')
			skep_buf_puts(t->out, "\\t");
		else if (!t->bare && (c == '"' || c == '\\'))
			skep_buf_printf(t->out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			skep_buf_printf(t->out, "\\x%02x", c);
		else
			skep_buf_putc(t->out, (char)c);
	}
	if (!t->bare)
		skep_buf_putc(t->out, '"');
}

static void text_scalar(void *sink, const char *name, const struct skep_scalar *v)
{
	struct text *t = sink;

	before(t, name);
	switch (v->kind) {
	case SKEP_SCALAR_SIGNED: skep_buf_printf(t->out, "%" PRId64, v->i); break;
	case SKEP_SCALAR_UNSIGNED: skep_buf_printf(t->out, "%" PRIu64, v->u); break;
	case SKEP_SCALAR_BOOL:
		if (v->u > 1)
			skep_buf_printf(t->out, "%" PRIu64, v->u);
		else
			skep_buf_puts(t->out, v->u ? "true" : "false");
		break;
	case SKEP_SCALAR_CHAR:
		if (v->u >= 0x20 && v->u < 0x7f && v->u != '\'' && v->u != '\\')
			skep_buf_printf(t->out, "'%c'", (char)v->u);
		else
			skep_buf_printf(t->out, "%" PRId64, v->i);
		break;
	case SKEP_SCALAR_POINTER: skep_buf_printf(t->out, "0x%" PRIx64, v->u); break;
	case SKEP_SCALAR_ENUM: skep_buf_add(t->out, v->s, v->len); break;
	case SKEP_SCALAR_WIDE:
		if (v->hi)
			skep_buf_printf(t->out, "0x%" PRIx64 "%016" PRIx64, v->hi, v->u);
		else
			skep_buf_printf(t->out, "0x%" PRIx64, v->u);
		break;
	case SKEP_SCALAR_FLOAT: skep_buf_printf(t->out, "%.*g", v->digits, v->f); break;
	case SKEP_SCALAR_STRING: put_string(t, v->s, v->len); break;
	case SKEP_SCALAR_NONE: skep_buf_printf(t->out, "(%s)", v->s); break;
	}
}

static const struct skep_sink_ops text_ops = {
	.open = text_open,
	.close = text_close,
	.scalar = text_scalar,
	.truncated = text_truncated,
};

int skep_btf_value_text(struct skep_buf *out, const struct skep_btf *btf, uint32_t id,
			const void *data, size_t len)
{
	struct text t = {.out = out, .first = true};

	return skep_value_walk(btf, id, data, len, &text_ops, &t);
}

int skep_btf_column_text(struct skep_buf *out, const struct skep_btf *btf,
			 const struct skep_btf_column *column, const void *data, size_t len)
{
	struct text t = {.out = out, .first = true, .bare = true};

	return skep_value_walk_field(btf, column, data, len, &text_ops, &t);
}

/* -- columns -- */

struct columns {
	struct skep_arena *arena;
	const struct skep_btf *btf;
	struct skep_btf_column *data;
	size_t n, cap;
	uint32_t budget;
};

static int add_column(struct columns *c, struct skep_btf_column col)
{
	struct skep_btf_column *bigger;
	const struct btf_type *t;
	uint32_t kind;

	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 16;
		bigger = skep_arena_array(c->arena, c->cap, sizeof(*bigger));
		if (!bigger)
			return -ENOMEM;
		if (c->n)
			memcpy(bigger, c->data, c->n * sizeof(*bigger));
		c->data = bigger;
	}
	t = skep_btf_resolve(c->btf, col.type, NULL);
	kind = t ? skep_btf_kind(t) : BTF_KIND_UNKN;
	col.number = (kind == BTF_KIND_INT && !skep_btf_is_char(c->btf, col.type)) ||
		     kind == BTF_KIND_FLOAT;
	c->data[c->n++] = col;
	return 0;
}

/* More columns than anybody can read are a list in one column. */
#define MAX_COLUMNS 256

static int columns(struct columns *c, const struct skep_btf_column *at, int depth)
{
	const struct btf_type *t = skep_btf_resolve(c->btf, at->type, NULL);
	const struct btf_member *m;
	struct skep_btf_column sub;
	uint32_t i, off;
	int ret = 0;

	/* Fields of a union lie on each other: together, unless they have no other name. */
	if (!t ||
	    (skep_btf_kind(t) != BTF_KIND_STRUCT &&
	     !(skep_btf_kind(t) == BTF_KIND_UNION && !at->name)) ||
	    depth == SKEP_BTF_DEPTH || c->n >= MAX_COLUMNS || !c->budget)
		return add_column(c, *at);
	m = skep_btf_members(t);
	for (i = 0; i < skep_btf_vlen(t) && ret == 0 && c->budget; i++) {
		c->budget--;
		sub = (struct skep_btf_column){.type = m[i].type};
		skep_btf_member(c->btf, t, i, &off, &sub.bit_size);
		sub.bit_off = at->bit_off + off;
		sub.rest = at->rest && i == skep_btf_vlen(t) - 1;
		sub.name = skep_btf_str(c->btf, m[i].name_off);
		if (!*sub.name)
			sub.name = at->name;
		else if (at->name)
			sub.name = skep_arena_printf(c->arena, "%s.%s", at->name, sub.name);
		if (!sub.name && *skep_btf_str(c->btf, m[i].name_off))
			return -ENOMEM;
		ret = columns(c, &sub, depth + 1);
	}
	return ret;
}

int skep_btf_columns(struct skep_arena *arena, const struct skep_btf *btf, uint32_t id,
		     const struct skep_btf_column **out, size_t *n, struct skep_err *err)
{
	struct columns c = {.arena = arena, .btf = btf, .budget = 1 << 14};
	struct skep_btf_column whole = {.type = id, .rest = true};
	size_t i;
	int ret;

	if (!skep_btf_resolve(btf, id, NULL))
		return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL, "BTF: no type [%u]", id);
	ret = columns(&c, &whole, 0);
	if (ret < 0)
		return skep_fail_nomem(err);
	for (i = 0; i < c.n; i++) {
		if (!c.data[i].name)
			c.data[i].name = "value";
	}
	*out = c.data;
	*n = c.n;
	return 0;
}
