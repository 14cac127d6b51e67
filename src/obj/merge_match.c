/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Do two objects mean the same thing by a name?
 *
 * As strict as what the machine sees: sizes, layouts, the number of
 * parameters.  Qualifiers, typedefs, the signedness of integers and what lies
 * behind pointers to structs do not count: the same header gives different
 * types for those in different files.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "obj/merge_int.h"

/* Structs in structs in arrays of structs: where honest types end. */
#define MAX_STEPS 100000

struct match {
	const struct skep_btf *a, *b;
	char where[160]; /* the member or parameter looked at */
	const char *what; /* that differs */
	int steps;
};

static bool differ(struct match *x, const char *what)
{
	if (!x->what)
		x->what = what;
	return false;
}

static bool match(struct match *x, uint32_t a, uint32_t b, bool behind, int depth);

static bool match_members(struct match *x, const struct btf_type *ta, const struct btf_type *tb,
			  int depth)
{
	const struct btf_member *ma = skep_btf_members(ta), *mb = skep_btf_members(tb);
	uint32_t i;

	if (ta->size != tb->size)
		return differ(x, "sizes");
	if (skep_btf_vlen(ta) != skep_btf_vlen(tb))
		return differ(x, "numbers of members");
	for (i = 0; i < skep_btf_vlen(ta); i++) {
		snprintf(x->where, sizeof(x->where),
			 "member '%s': ", skep_btf_str(x->a, ma[i].name_off));
		if (strcmp(skep_btf_str(x->a, ma[i].name_off), skep_btf_str(x->b, mb[i].name_off)))
			return differ(x, "names");
		if (ma[i].offset != mb[i].offset)
			return differ(x, "offsets");
		if (!match(x, ma[i].type, mb[i].type, false, depth + 1))
			return false;
	}
	*x->where = '\0';
	return true;
}

static bool match_proto(struct match *x, const struct btf_type *ta, const struct btf_type *tb,
			int depth)
{
	const struct btf_param *pa = skep_btf_params(ta), *pb = skep_btf_params(tb);
	uint32_t i;

	if (skep_btf_vlen(ta) != skep_btf_vlen(tb))
		return differ(x, "numbers of parameters");
	snprintf(x->where, sizeof(x->where), "return value: ");
	if (!match(x, ta->type, tb->type, false, depth + 1))
		return false;
	for (i = 0; i < skep_btf_vlen(ta); i++) {
		snprintf(x->where, sizeof(x->where), "parameter %u: ", i + 1);
		if (!match(x, pa[i].type, pb[i].type, false, depth + 1))
			return false;
	}
	*x->where = '\0';
	return true;
}

static bool match_enums(struct match *x, const struct btf_type *ta, const struct btf_type *tb)
{
	const char *na, *nb;
	uint32_t i;

	if (ta->size != tb->size)
		return differ(x, "sizes");
	/* One of them may be declared only. */
	if (!skep_btf_vlen(ta) || !skep_btf_vlen(tb))
		return true;
	if (skep_btf_vlen(ta) != skep_btf_vlen(tb))
		return differ(x, "numbers of enumerators");
	for (i = 0; i < skep_btf_vlen(ta); i++)
		if (skep_btf_enum_value(x->a, ta, i, &na) !=
			    skep_btf_enum_value(x->b, tb, i, &nb) ||
		    strcmp(na, nb) != 0)
			return differ(x, "enumerators");
	return true;
}

/* STRUCT or UNION, also of a forward declaration; else 0. */
static uint32_t composite(const struct btf_type *t)
{
	if (skep_btf_kind(t) == BTF_KIND_FWD)
		return skep_btf_kflag(t) ? BTF_KIND_UNION : BTF_KIND_STRUCT;
	return skep_btf_is_composite(t) ? skep_btf_kind(t) : 0;
}

static bool match_array(struct match *x, const struct btf_type *ta, const struct btf_type *tb,
			bool behind, int depth)
{
	const struct btf_array *a = skep_btf_array(ta), *b = skep_btf_array(tb);

	/* `extern int numbers[];` has no length. */
	if (a->nelems && b->nelems && a->nelems != b->nelems)
		return differ(x, "lengths of arrays");
	return match(x, a->type, b->type, behind, depth + 1);
}

static bool match(struct match *x, uint32_t a, uint32_t b, bool behind, int depth)
{
	const struct btf_type *ta = skep_btf_resolve(x->a, a, NULL);
	const struct btf_type *tb = skep_btf_resolve(x->b, b, NULL);

	if (!ta || !tb || depth > SKEP_BTF_DEPTH || x->steps++ > MAX_STEPS)
		return differ(x, "types (too deep to compare)");
	if (behind && composite(ta) && composite(ta) == composite(tb))
		return strcmp(skep_btf_str(x->a, ta->name_off), skep_btf_str(x->b, tb->name_off))
			       ? differ(x, "structs")
			       : true;
	if (skep_btf_is_enum(ta) && skep_btf_is_enum(tb))
		return match_enums(x, ta, tb);
	if (skep_btf_kind(ta) != skep_btf_kind(tb))
		return differ(x, "kinds of types");
	switch (skep_btf_kind(ta)) {
	case BTF_KIND_INT:
	case BTF_KIND_FLOAT: return ta->size == tb->size || differ(x, "sizes");
	case BTF_KIND_PTR: return match(x, ta->type, tb->type, true, depth + 1);
	case BTF_KIND_ARRAY: return match_array(x, ta, tb, behind, depth);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: return match_members(x, ta, tb, depth);
	case BTF_KIND_FUNC_PROTO: return match_proto(x, ta, tb, depth);
	case BTF_KIND_FUNC:
	case BTF_KIND_VAR: return match(x, ta->type, tb->type, false, depth + 1);
	case BTF_KIND_FWD:
		return skep_btf_kflag(ta) == skep_btf_kflag(tb) || differ(x, "kinds of types");
	default: return true;
	}
}

int skep_merge_match(struct merge_in *x, uint32_t a, struct merge_in *y, uint32_t b,
		     const char *name, struct skep_err *err)
{
	struct match m = {.a = merge_btf(x), .b = merge_btf(y)};

	if (match(&m, a, b, false, 0))
		return 0;
	return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
			 "'%s' in %s is not the '%s' of %s: %s%s differ; include one declaration "
			 "in both",
			 name, x->name, name, y->name, m.where, m.what);
}

/* Which attribute of two maps differs; NULL: none. */
static const char *differing(const struct skep_obj_map *a, const struct skep_obj_map *b)
{
	if (a->type != b->type)
		return "type";
	if (a->key_size != b->key_size)
		return "key";
	if (a->value_size != b->value_size)
		return "value";
	if (a->max_entries != b->max_entries)
		return "max_entries";
	if (a->flags != b->flags)
		return "map_flags";
	if (a->numa_node != b->numa_node)
		return "numa_node";
	if (a->extra != b->extra)
		return "map_extra";
	if (a->pin != b->pin)
		return "pinning";
	if (!a->inner != !b->inner)
		return "values";
	return a->inner ? differing(a->inner, b->inner) : NULL;
}

int skep_merge_match_map(struct merge_in *x, uint32_t a, struct merge_in *y, uint32_t b,
			 const char *name, struct skep_err *err)
{
	struct skep_obj_map ma = {.name = name}, mb = {.name = name};
	struct match m = {.a = merge_btf(x), .b = merge_btf(y)};
	const char *what;
	int ret;

	ret = skep_elf_read_map(&x->elf, skep_btf_type(m.a, a)->type, &ma, err);
	if (ret)
		return skep_wrap(err, ret, "%s: map '%s'", x->name, name);
	ret = skep_elf_read_map(&y->elf, skep_btf_type(m.b, b)->type, &mb, err);
	if (ret)
		return skep_wrap(err, ret, "%s: map '%s'", y->name, name);
	what = differing(&ma, &mb);
	if (!what && ma.key_type && mb.key_type && !match(&m, ma.key_type, mb.key_type, false, 0))
		what = "key";
	if (!what && ma.value_type && mb.value_type &&
	    !match(&m, ma.value_type, mb.value_type, false, 0))
		what = "value";
	if (!what)
		return 0;
	return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
			 "map '%s' in %s is not the '%s' of %s: their %s differs; include one "
			 "declaration in both",
			 name, x->name, name, y->name, what);
}
