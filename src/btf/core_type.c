/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Whether a type is there at all (compatible: the same shape of pointers,
 * arrays and prototypes around equal kinds) or matches (every local member and
 * value is there too).  libbpf's bpf_core_type_exists() and
 * bpf_core_type_matches().
 */
#include <errno.h>

#include "btf/core_int.h"

struct pair {
	const struct skep_btf *local, *target;
	uint32_t budget; /* hostile types fan out; real ones take a few hundred */
};

static int fit(struct pair *p, uint32_t l, uint32_t r, int level);
static int match(struct pair *p, uint32_t l, uint32_t r, bool behind_ptr, int level);

static int fit_proto(struct pair *p, const struct btf_type *lt, const struct btf_type *rt,
		     int level)
{
	uint32_t i;
	int ret;

	if (skep_btf_vlen(lt) != skep_btf_vlen(rt))
		return 0;
	for (i = 0; i < skep_btf_vlen(lt); i++) {
		ret = fit(p, skep_btf_params(lt)[i].type, skep_btf_params(rt)[i].type, level - 1);
		if (ret <= 0)
			return ret;
	}
	return fit(p, lt->type, rt->type, level - 1);
}

static int fit(struct pair *p, uint32_t l, uint32_t r, int level)
{
	const struct btf_type *lt = skep_btf_resolve(p->local, l, NULL);
	const struct btf_type *rt = skep_btf_resolve(p->target, r, NULL);

	if (!lt || !rt || level <= 0 || !p->budget--)
		return -EINVAL;
	if (!skep_core_kinds_fit(lt, rt))
		return 0;
	switch (skep_btf_kind(lt)) {
	case BTF_KIND_UNKN:
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_FWD: return 1;
	case BTF_KIND_INT:
		return !BTF_INT_OFFSET(skep_btf_int(lt)) && !BTF_INT_OFFSET(skep_btf_int(rt));
	case BTF_KIND_PTR: return fit(p, lt->type, rt->type, level - 1);
	case BTF_KIND_ARRAY:
		return fit(p, skep_btf_array(lt)->type, skep_btf_array(rt)->type, level - 1);
	case BTF_KIND_FUNC_PROTO: return fit_proto(p, lt, rt, level);
	default: return 0;
	}
}

int skep_core_types_fit(const struct skep_btf *local, uint32_t l, const struct skep_btf *target,
			uint32_t r)
{
	struct pair p = {local, target, 1 << 16};
	const struct btf_type *lt = skep_btf_type(local, l), *rt = skep_btf_type(target, r);

	if (!lt || !rt)
		return -EINVAL;
	return skep_core_kinds_fit(lt, rt) ? fit(&p, l, r, SKEP_BTF_DEPTH) : 0;
}

static bool same_names(struct pair *p, uint32_t l, uint32_t r)
{
	return skep_core_names_match(skep_btf_str(p->local, l), skep_btf_str(p->target, r));
}

static int match_enums(struct pair *p, const struct btf_type *lt, const struct btf_type *rt)
{
	const char *ln, *rn;
	uint32_t i, j;

	if (lt->size != rt->size || skep_btf_vlen(lt) > skep_btf_vlen(rt))
		return 0;
	for (i = 0; i < skep_btf_vlen(lt); i++) {
		skep_btf_enum_value(p->local, lt, i, &ln);
		for (j = 0; j < skep_btf_vlen(rt); j++) {
			if (!p->budget--)
				return -EINVAL;
			skep_btf_enum_value(p->target, rt, j, &rn);
			if (skep_core_names_match(ln, rn))
				break;
		}
		if (j == skep_btf_vlen(rt))
			return 0;
	}
	return 1;
}

static int match_members(struct pair *p, const struct btf_type *lt, const struct btf_type *rt,
			 bool behind_ptr, int level)
{
	const struct btf_member *lm = skep_btf_members(lt), *rm = skep_btf_members(rt);
	uint32_t i, j;
	int ret;

	if (skep_btf_vlen(lt) > skep_btf_vlen(rt))
		return 0;
	for (i = 0; i < skep_btf_vlen(lt); i++) {
		ret = 0;
		for (j = 0; j < skep_btf_vlen(rt) && !ret; j++) {
			if (!p->budget--)
				return -EINVAL;
			if (same_names(p, lm[i].name_off, rm[j].name_off))
				ret = match(p, lm[i].type, rm[j].type, behind_ptr, level - 1);
		}
		if (ret <= 0)
			return ret;
	}
	return 1;
}

static int match_proto(struct pair *p, const struct btf_type *lt, const struct btf_type *rt,
		       bool behind_ptr, int level)
{
	uint32_t i;
	int ret;

	if (skep_btf_vlen(lt) != skep_btf_vlen(rt))
		return 0;
	for (i = 0; i < skep_btf_vlen(lt); i++) {
		ret = match(p, skep_btf_params(lt)[i].type, skep_btf_params(rt)[i].type, behind_ptr,
			    level - 1);
		if (ret <= 0)
			return ret;
	}
	return match(p, lt->type, rt->type, behind_ptr, level - 1);
}

/* A forward declaration says of what: kind_flag is set for a union. */
static bool fwd_matches(const struct btf_type *fwd, const struct btf_type *t)
{
	return skep_btf_kind(t) == (skep_btf_kflag(fwd) ? BTF_KIND_UNION : BTF_KIND_STRUCT);
}

static int match_composite(struct pair *p, const struct btf_type *lt, const struct btf_type *rt,
			   bool behind_ptr, int level)
{
	bool same = skep_btf_kind(lt) == skep_btf_kind(rt);

	if (!behind_ptr)
		return same ? match_members(p, lt, rt, behind_ptr, level) : 0;
	/* What a pointer points to need only be the same thing by name. */
	return same || (skep_btf_kind(rt) == BTF_KIND_FWD && fwd_matches(rt, lt));
}

static int match(struct pair *p, uint32_t l, uint32_t r, bool behind_ptr, int level)
{
	const struct btf_type *lt = skep_btf_resolve(p->local, l, NULL);
	const struct btf_type *rt = skep_btf_resolve(p->target, r, NULL);
	bool same;

	if (!lt || !rt || level <= 0 || !p->budget--)
		return -EINVAL;
	if (!same_names(p, lt->name_off, rt->name_off))
		return 0;
	same = skep_btf_kind(lt) == skep_btf_kind(rt);
	switch (skep_btf_kind(lt)) {
	case BTF_KIND_UNKN: return same;
	case BTF_KIND_FWD:
		if (same)
			return skep_btf_kflag(lt) == skep_btf_kflag(rt);
		return behind_ptr && fwd_matches(lt, rt);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64: return skep_btf_is_enum(rt) ? match_enums(p, lt, rt) : 0;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: return match_composite(p, lt, rt, behind_ptr, level);
	case BTF_KIND_INT:
		return same && lt->size == rt->size &&
		       !((BTF_INT_ENCODING(skep_btf_int(lt)) ^ BTF_INT_ENCODING(skep_btf_int(rt))) &
			 BTF_INT_SIGNED);
	case BTF_KIND_PTR: return same ? match(p, lt->type, rt->type, true, level - 1) : 0;
	case BTF_KIND_ARRAY:
		if (!same || skep_btf_array(lt)->nelems != skep_btf_array(rt)->nelems)
			return 0;
		return match(p, skep_btf_array(lt)->type, skep_btf_array(rt)->type, behind_ptr,
			     level - 1);
	case BTF_KIND_FUNC_PROTO: return same ? match_proto(p, lt, rt, behind_ptr, level) : 0;
	default: return 0;
	}
}

int skep_core_types_match(const struct skep_btf *local, uint32_t l, const struct skep_btf *target,
			  uint32_t r)
{
	struct pair p = {local, target, 1 << 20};

	return match(&p, l, r, false, SKEP_BTF_DEPTH);
}
