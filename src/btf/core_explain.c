/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why a type of the target is, or is not, what a program's access means.  An
 * access that does not fit is tried step by step: the first step that fails is
 * the reason.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "btf/core.h"
#include "btf/core_int.h"

const char *skep_core_type_word(const struct btf_type *t)
{
	switch (skep_btf_kind(t)) {
	case BTF_KIND_STRUCT: return "struct";
	case BTF_KIND_UNION: return "union";
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64: return "enum";
	case BTF_KIND_TYPEDEF: return "typedef";
	default: return "";
	}
}

/* What a type is at heart, in words. */
static const char *nature(const struct skep_btf *btf, uint32_t id)
{
	const struct btf_type *t = skep_btf_resolve(btf, id, NULL);

	switch (t ? skep_btf_kind(t) : BTF_KIND_UNKN) {
	case BTF_KIND_INT: return "an integer";
	case BTF_KIND_PTR: return "a pointer";
	case BTF_KIND_ARRAY: return "an array";
	case BTF_KIND_STRUCT: return "a struct";
	case BTF_KIND_UNION: return "a union";
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64: return "an enum";
	case BTF_KIND_FLOAT: return "a floating point number";
	case BTF_KIND_FUNC_PROTO: return "a function";
	case BTF_KIND_FWD: return "only declared";
	default: return "void";
	}
}

/* Step @n of @local is the first that @parent, where the steps before it lead, does not have. */
static void tell_step(const struct skep_core_spec *local, uint32_t n, const struct skep_btf *btf,
		      uint32_t parent, char *why, size_t size)
{
	const struct skep_core_step *step = &local->step[n];
	const struct btf_type *t = skep_btf_resolve(btf, parent, NULL), *lt;
	uint32_t off, bits, was;
	const char *name = t ? skep_btf_str(btf, t->name_off) : "", *here, *there;
	int now;

	if (!step->name) {
		if (t && skep_btf_kind(t) == BTF_KIND_ARRAY)
			snprintf(why, size, "its array has no element [%u], only %u", step->idx,
				 skep_btf_array(t)->nelems);
		else
			snprintf(why, size, "what is an array here is %s there",
				 nature(btf, parent));
		return;
	}
	if (!t || !skep_btf_is_composite(t)) {
		snprintf(why, size, "what has a field '%s' here is %s there", step->name,
			 nature(btf, parent));
		return;
	}
	now = skep_btf_field(btf, parent, step->name, &off, &bits);
	if (now <= 0) {
		snprintf(why, size, "%s%s%.64s has no field '%.64s'",
			 *name ? skep_core_type_word(t) : "it", *name ? " " : "", name, step->name);
		return;
	}
	lt = skep_btf_type(local->btf, step->id);
	was = skep_btf_members(lt)[step->idx].type;
	here = nature(local->btf, was);
	there = nature(btf, (uint32_t)now);
	snprintf(why, size, "its field '%.64s' is %s there%s%s%s", step->name, there,
		 strcmp(here, there) ? " and " : "", strcmp(here, there) ? here : "",
		 strcmp(here, there) ? " here" : ", too, but of another type");
}

/* The type where @spec, which has one step at least, leads; 0: none. */
static uint32_t type_of_last(const struct skep_core_spec *spec)
{
	const struct skep_core_step *last = &spec->step[spec->len - 1];
	const struct btf_type *t = skep_btf_type(spec->btf, last->id);

	return last->name && t ? skep_btf_members(t)[last->idx].type : last->id;
}

static void tell_field(uint32_t kind, const struct skep_core_spec *local,
		       const struct skep_core_cand *cand, char *why, size_t size)
{
	struct skep_core_spec part = *local, spec;
	uint32_t parent = cand->id;

	for (part.len = 1; part.len <= local->len; part.len++) {
		if (skep_core_spec_match(kind, &part, cand->btf, cand->id, &spec) <= 0) {
			tell_step(local, part.len - 1, cand->btf, parent, why, size);
			return;
		}
		parent = type_of_last(&spec);
	}
	snprintf(why, size, "it does not fit");
}

static void tell(uint32_t kind, const struct skep_core_spec *local,
		 const struct skep_core_cand *cand, char *why, size_t size)
{
	switch (kind) {
	case BPF_CORE_TYPE_MATCHES:
		snprintf(why, size, "a member or value is missing there, or of another type");
		return;
	case BPF_CORE_TYPE_ID_TARGET:
	case BPF_CORE_TYPE_EXISTS:
	case BPF_CORE_TYPE_SIZE:
		snprintf(why, size, "it is %s there and %s here, of another shape",
			 nature(cand->btf, cand->id), nature(local->btf, local->root));
		return;
	case BPF_CORE_ENUMVAL_EXISTS:
	case BPF_CORE_ENUMVAL_VALUE:
		snprintf(why, size, "it has no value named '%.100s'", local->step[0].name);
		return;
	default: tell_field(kind, local, cand, why, size);
	}
}

int skep_core_explain(struct skep_core *core, const struct bpf_core_relo *relo,
		      struct skep_core_tried **tried, size_t *n, struct skep_err *err)
{
	const struct skep_core_cands *c = skep_core_cands(core, relo->type_id);
	struct skep_core_spec local, spec;
	struct skep_core_result res;
	struct skep_core_tried *t;
	size_t i;

	*tried = NULL;
	*n = 0;
	if (relo->kind == BPF_CORE_TYPE_ID_LOCAL || !c || !c->v.len ||
	    skep_core_spec_parse(&local, core->local, relo) < 0)
		return 0;
	*tried = calloc(c->v.len, sizeof(**tried));
	if (!*tried)
		return skep_fail_nomem(err);
	for (i = 0; i < c->v.len; i++) {
		t = &(*tried)[(*n)++];
		t->btf = c->v.data[i].btf;
		t->id = c->v.data[i].id;
		if (skep_core_spec_match(relo->kind, &local, t->btf, t->id, &spec) > 0 &&
		    skep_core_spec_calc(relo->kind, &local, &spec, &res) == 0) {
			t->verdict = i < c->nr ? SKEP_CORE_FITS : SKEP_CORE_DROPPED;
			t->val = res.new_val;
			continue;
		}
		t->verdict = SKEP_CORE_UNFIT;
		tell(relo->kind, &local, &c->v.data[i], t->why, sizeof(t->why));
	}
	return 0;
}
