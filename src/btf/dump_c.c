/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A C header of all types: in which order.
 *
 * C wants a thing declared before it is named and defined before its size
 * matters.  So each type is needed in one of two ways: weakly (behind a
 * pointer, in a prototype) or strongly (as a member, as an element).  Needing a
 * struct weakly costs a forward declaration, at most once, and that is where
 * all loops of valid C types end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/dump_c_int.h"

#define MAX_NESTING 512

static void need(struct skep_dump_c *d, uint32_t id, bool strong, int depth);

void skep_dump_c_bad(struct skep_dump_c *d, uint32_t id, const char *what)
{
	if (d->ret == 0)
		d->ret =
			skep_fail(d->err, SKEP_E_BTF_INVALID, EINVAL, "BTF: type [%u] '%.100s': %s",
				  id, skep_btf_name(d->btf, id), what);
}

static bool named(struct skep_dump_c *d, const struct btf_type *t)
{
	return *skep_btf_str(d->btf, t->name_off);
}

static void declare(struct skep_dump_c *d, uint32_t id)
{
	if (d->state[id] & (SKEP_DC_DECLARED | SKEP_DC_DEFINED))
		return;
	d->state[id] |= SKEP_DC_DECLARED;
	skep_dump_c_name(d, id);
	skep_buf_puts(d->out, ";\n\n");
}

/* What the text between the braces of @t needs. */
static void need_members(struct skep_dump_c *d, const struct btf_type *t, int depth)
{
	const struct btf_member *m = skep_btf_members(t);
	uint32_t i;

	for (i = 0; i < skep_btf_vlen(t) && d->ret == 0; i++)
		need(d, m[i].type, true, depth + 1);
}

static void define(struct skep_dump_c *d, uint32_t id, const struct btf_type *t, int depth)
{
	if (d->state[id] & (SKEP_DC_BUSY | SKEP_DC_DEFINED))
		return;
	d->state[id] |= SKEP_DC_BUSY;
	if (skep_btf_is_composite(t))
		need_members(d, t, depth);
	skep_dump_c_define(d, id, 0);
	skep_buf_puts(d->out, ";\n\n");
	d->state[id] |= SKEP_DC_DEFINED;
}

static void need_composite(struct skep_dump_c *d, uint32_t id, const struct btf_type *t,
			   bool strong, int depth)
{
	if (!named(d, t))
		need_members(d, t, depth);
	else if (strong)
		define(d, id, t, depth);
	else
		declare(d, id);
}

static void need_typedef(struct skep_dump_c *d, uint32_t id, const struct btf_type *t, bool strong,
			 int depth)
{
	const char *name = skep_btf_str(d->btf, t->name_off);

	need(d, t->type, strong, depth + 1);
	if (skep_dump_c_builtin(d, t) || d->state[id] & SKEP_DC_DEFINED)
		return;
	d->state[id] |= SKEP_DC_DEFINED;
	skep_buf_puts(d->out, "typedef ");
	if (!t->type && !strcmp(name, "__gnuc_va_list")) {
		/* What old gcc says of it. */
		skep_buf_puts(d->out, "__builtin_va_list __gnuc_va_list");
	} else {
		struct skep_buf own = SKEP_BUF_INIT, *out = d->out;

		d->out = &own;
		skep_dump_c_name(d, id);
		d->out = out;
		skep_dump_c_declare(d, t->type, skep_buf_str(&own), 0);
		d->out->oom |= own.oom;
		skep_buf_deinit(&own);
	}
	skep_buf_puts(d->out, ";\n\n");
}

static void need_proto(struct skep_dump_c *d, const struct btf_type *t, int depth)
{
	const struct btf_param *p = skep_btf_params(t);
	uint32_t i;

	need(d, t->type, false, depth + 1);
	for (i = 0; i < skep_btf_vlen(t) && d->ret == 0; i++)
		need(d, p[i].type, false, depth + 1);
}

/* Writes what has to stand above a text that names @id, or that takes its size. */
static void need(struct skep_dump_c *d, uint32_t id, bool strong, int depth)
{
	uint8_t bit = strong ? SKEP_DC_STRONG : SKEP_DC_WEAK;
	const struct btf_type *t = skep_btf_type(d->btf, id);

	if (d->ret < 0 || id == 0)
		return;
	if (!t || depth > MAX_NESTING) {
		skep_dump_c_bad(d, id, t ? "nested too deeply" : "there is no such type");
		return;
	}
	if (d->state[id] & bit)
		return;
	d->state[id] |= bit;
	switch (skep_btf_kind(t)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: need_composite(d, id, t, strong, depth); break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		if (named(d, t))
			define(d, id, t, depth);
		break;
	case BTF_KIND_FWD:
		if (named(d, t))
			declare(d, id);
		break;
	case BTF_KIND_TYPEDEF: need_typedef(d, id, t, strong, depth); break;
	case BTF_KIND_PTR: need(d, t->type, false, depth + 1); break;
	/* C has no arrays of incomplete elements, not even behind a pointer. */
	case BTF_KIND_ARRAY: need(d, skep_btf_array(t)->type, true, depth + 1); break;
	case BTF_KIND_FUNC_PROTO: need_proto(d, t, depth); break;
	case BTF_KIND_CONST:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG: need(d, t->type, strong, depth + 1); break;
	default: break;
	}
}

/* -- nameless enums that nobody refers to are constants all the same -- */

static void use(struct skep_dump_c *d, uint32_t id)
{
	if (id < d->nr)
		d->state[id] |= SKEP_DC_USED;
}

static void mark_used(struct skep_dump_c *d, const struct btf_type *t)
{
	uint32_t i, n = skep_btf_vlen(t);

	switch (skep_btf_kind(t)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		for (i = 0; i < n; i++)
			use(d, skep_btf_members(t)[i].type);
		break;
	case BTF_KIND_ARRAY: use(d, skep_btf_array(t)->type); break;
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_PTR:
	case BTF_KIND_CONST:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG: use(d, t->type); break;
	default: break;
	}
}

static void write_type(struct skep_dump_c *d, const struct skep_btf_iter *it)
{
	switch (skep_btf_kind(it->t)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_FWD:
		if (named(d, it->t))
			need(d, it->id, true, 0);
		break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		if (named(d, it->t))
			need(d, it->id, true, 0);
		else if (!(d->state[it->id] & SKEP_DC_USED))
			define(d, it->id, it->t, 0);
		break;
	default: break;
	}
}

static void write_all(struct skep_dump_c *d)
{
	struct skep_btf_iter it = {.btf = d->btf, .own = true};

	while (skep_btf_next(&it))
		mark_used(d, it.t);
	it = (struct skep_btf_iter){.btf = d->btf, .own = true};
	while (d->ret == 0 && skep_btf_next(&it))
		write_type(d, &it);
}

static void write_header(struct skep_dump_c *d, const char *guard)
{
	if (!*guard) {
		write_all(d);
		return;
	}
	skep_buf_printf(d->out, "#ifndef %s\n#define %s\n\n", guard, guard);
	skep_buf_puts(d->out, "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n"
			      "#pragma clang attribute push "
			      "(__attribute__((preserve_access_index)), apply_to = record)\n"
			      "#endif\n\n");
	write_all(d);
	skep_buf_puts(d->out, "#ifndef BPF_NO_PRESERVE_ACCESS_INDEX\n"
			      "#pragma clang attribute pop\n"
			      "#endif\n\n");
	skep_buf_printf(d->out, "#endif /* %s */\n", guard);
}

int skep_btf_dump_c(struct skep_buf *out, const struct skep_btf *btf,
		    const struct skep_dump_c_opts *opts, struct skep_err *err)
{
	const char *guard = opts && opts->guard ? opts->guard : "__VMLINUX_H__";
	struct skep_dump_c d = {.btf = btf, .out = out, .err = err};
	SKEP_AUTO_FREE uint16_t *number = NULL;
	SKEP_AUTO_FREE uint8_t *state = NULL;
	SKEP_AUTO_FREE uint8_t *memo = NULL;

	if (skep_btf_index(btf) < 0)
		return skep_fail_nomem(err);
	d.nr = skep_btf_nr(btf);
	d.state = state = calloc(d.nr, 1);
	d.number = number = calloc(d.nr, sizeof(*number));
	d.lay = (struct skep_layout){.btf = btf, .nr = d.nr, .budget = UINT32_MAX};
	d.lay.memo = memo = calloc(d.nr, 1);
	if (!state || !number || !memo)
		return skep_fail_nomem(err);
	/* A kernel's header is half as long as its BTF. */
	for (; btf; btf = skep_btf_base(btf)) {
		size_t len;

		skep_btf_raw(btf, &len);
		d.limit += 65536 + 64 * len;
	}
	d.limit += out->len;
	write_header(&d, guard);
	skep_hash_deinit(&d.tags);
	skep_hash_deinit(&d.idents);
	if (d.ret == 0 && out->oom)
		return skep_fail_nomem(err);
	return d.ret;
}
