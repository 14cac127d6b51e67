/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep_btf_check(): says in words what is wrong with malformed BTF.  The rules
 * are those of the kernel's verifier of BTF (kernel/bpf/btf.c), less the ones
 * about C identifiers.
 */
#include <errno.h>
#include <stdio.h>

#include "btf/btf.h"

struct check {
	const struct skep_btf *btf;
	uint32_t nr, id;
	const struct btf_type *t;
	struct skep_err *err;
};

static __attribute__((format(printf, 2, 3))) int bad(struct check *c, const char *fmt, ...)
{
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return skep_fail(c->err, SKEP_E_BTF_INVALID, EINVAL, "BTF: type [%u] %s '%.100s': %s",
			 c->id, skep_btf_kind_name(skep_btf_kind(c->t)),
			 skep_btf_str(c->btf, c->t->name_off), what);
}

static int check_id(struct check *c, uint32_t id, const char *what)
{
	if (id < c->nr)
		return 0;
	return bad(c, "%s has type id %u, but there are %u types", what, id, c->nr);
}

static int check_name(struct check *c, uint32_t off, const char *what)
{
	/* Only offset 0 of a base is the empty string by right. */
	if (!off || skep_btf_str_ok(c->btf, off))
		return 0;
	return bad(c, "name of %s at offset %u, outside of the strings", what, off);
}

static int check_members(struct check *c)
{
	const struct btf_member *m = skep_btf_members(c->t);
	uint32_t i, off, bits;
	int64_t size;
	int ret = 0;

	for (i = 0; i < skep_btf_vlen(c->t) && ret == 0; i++) {
		ret = check_name(c, m[i].name_off, "a member");
		if (ret == 0)
			ret = check_id(c, m[i].type, "a member");
		if (ret < 0)
			break;
		skep_btf_member(c->btf, c->t, i, &off, &bits);
		size = skep_btf_sizeof(c->btf, m[i].type);
		if (size < 0)
			return bad(c, "member %u has a type without a size", i);
		if ((bits ? (int64_t)bits : size * 8) + off > (int64_t)c->t->size * 8)
			return bad(c, "member %u ends outside of %u bytes", i, c->t->size);
		if (!bits && off % 8)
			return bad(c, "member %u does not start at a byte", i);
	}
	return ret;
}

static int check_enums(struct check *c)
{
	bool wide = skep_btf_kind(c->t) == BTF_KIND_ENUM64;
	uint32_t i, size = c->t->size;
	int ret = 0;

	/* Nothing in it: a mere declaration, "enum e;". */
	if (!size && !skep_btf_vlen(c->t))
		return 0;
	if (size != 1 && size != 2 && size != 4 && size != 8)
		return bad(c, "an enum of %u bytes", size);
	for (i = 0; i < skep_btf_vlen(c->t) && ret == 0; i++)
		ret = check_name(c,
				 wide ? skep_btf_enums64(c->t)[i].name_off
				      : skep_btf_enums(c->t)[i].name_off,
				 "a value");
	return ret;
}

static int check_proto(struct check *c)
{
	const struct btf_param *p = skep_btf_params(c->t);
	uint32_t i;
	int ret = check_id(c, c->t->type, "the result");

	for (i = 0; i < skep_btf_vlen(c->t) && ret == 0; i++) {
		ret = check_name(c, p[i].name_off, "a parameter");
		if (ret == 0)
			ret = check_id(c, p[i].type, "a parameter");
	}
	return ret;
}

static int check_datasec(struct check *c)
{
	const struct btf_var_secinfo *s = skep_btf_secinfos(c->t);
	const struct btf_type *t;
	uint32_t i;
	int ret;

	for (i = 0; i < skep_btf_vlen(c->t); i++) {
		ret = check_id(c, s[i].type, "a variable");
		if (ret < 0)
			return ret;
		t = skep_btf_type(c->btf, s[i].type);
		if (skep_btf_kind(t) != BTF_KIND_VAR && skep_btf_kind(t) != BTF_KIND_FUNC)
			return bad(c, "entry %u is not a variable", i);
		/* The compiler leaves the size 0 for the loader to fill in. */
		if (c->t->size &&
		    (s[i].offset > c->t->size || s[i].size > c->t->size - s[i].offset))
			return bad(c, "variable %u ends outside of the section", i);
	}
	return 0;
}

static int check_int(struct check *c)
{
	uint32_t val = skep_btf_int(c->t), bits = BTF_INT_BITS(val);

	if (!bits || bits > 128 || c->t->size > 16 || bits + BTF_INT_OFFSET(val) > c->t->size * 8)
		return bad(c, "%u bits at bit %u in %u bytes", bits, BTF_INT_OFFSET(val),
			   c->t->size);
	return 0;
}

static int check_array(struct check *c)
{
	const struct btf_array *a = skep_btf_array(c->t);
	int ret = check_id(c, a->type, "the element");

	if (ret == 0)
		ret = check_id(c, a->index_type, "the index");
	if (ret == 0 && skep_btf_sizeof(c->btf, c->id) < 0)
		return bad(c, "the element has no size, or the array too large a one");
	return ret;
}

/* A type that refers to one other. */
static int check_ref(struct check *c)
{
	int ret = check_id(c, c->t->type, "it");

	if (ret < 0 || skep_btf_kind(c->t) == BTF_KIND_PTR)
		return ret;
	if (skep_btf_skip(c->btf, c->id, true) < 0)
		return bad(c, "a chain of types that does not end");
	return 0;
}

static int check_func(struct check *c)
{
	const struct btf_type *t;
	int ret = check_id(c, c->t->type, "it");

	if (ret < 0)
		return ret;
	t = skep_btf_type(c->btf, c->t->type);
	return skep_btf_kind(t) == BTF_KIND_FUNC_PROTO ? 0
						       : bad(c, "does not refer to a prototype");
}

static int check_type(struct check *c)
{
	int ret = check_name(c, c->t->name_off, "it");

	if (ret < 0)
		return ret;
	switch (skep_btf_kind(c->t)) {
	case BTF_KIND_INT: return check_int(c);
	case BTF_KIND_ARRAY: return check_array(c);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: return check_members(c);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64: return check_enums(c);
	case BTF_KIND_FUNC: return check_func(c);
	case BTF_KIND_FUNC_PROTO: return check_proto(c);
	case BTF_KIND_DATASEC: return check_datasec(c);
	case BTF_KIND_FWD: return 0;
	case BTF_KIND_FLOAT:
		return c->t->size && c->t->size <= 16 ? 0 : bad(c, "%u bytes", c->t->size);
	case BTF_KIND_DECL_TAG: return check_id(c, c->t->type, "it");
	default: return check_ref(c);
	}
}

int skep_btf_check(const struct skep_btf *btf, struct skep_err *err)
{
	struct skep_btf_iter it = {.btf = btf, .own = true};
	struct check c = {.btf = btf, .err = err, .nr = skep_btf_nr(btf)};
	int ret;

	if (skep_btf_index(btf) < 0)
		return skep_fail_nomem(err);
	while (skep_btf_next(&it)) {
		c.id = it.id;
		c.t = it.t;
		ret = check_type(&c);
		if (ret < 0)
			return ret;
	}
	if (skep_btf_whole(btf))
		return 0;
	return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL,
			 "BTF: type [%u] is cut off or of an unknown kind", c.nr);
}
