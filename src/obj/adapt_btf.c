/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Rewrites kinds of types that an older kernel does not know as kinds that it
 * does.  Ids, sizes in the file and, where the old kind has room for them,
 * names stay, so that everything that points to a type still points to it.
 */
#include <linux/btf.h>
#include <string.h>

#include "btf/btf.h"
#include "obj/load_int.h"
#include "sys/feature.h"

struct rewrite {
	struct skep_load *load;
	uint32_t int_id; /* a 4-byte number, for members */
	uint32_t name; /* some identifier, for what must have one */
	char *strings;
	bool changed;
};

static bool lacks(struct rewrite *r, enum skep_feature f)
{
	return !skep_feature(r->load->sys, f);
}

static void set_kind(struct rewrite *r, struct btf_type *t, uint32_t kind, uint32_t vlen)
{
	t->info = kind << 24 | vlen;
	r->changed = true;
}

/* Variables and declaration tags: four bytes behind the type, as a number has. */
static void make_int(struct rewrite *r, struct btf_type *t)
{
	uint32_t bits = 8;

	set_kind(r, t, BTF_KIND_INT, 0);
	t->size = 1;
	memcpy(t + 1, &bits, sizeof(bits));
}

/* A section of variables: a structure of as many members. */
static void make_struct(struct rewrite *r, struct btf_type *t, const struct skep_btf *btf)
{
	uint32_t i, n = BTF_INFO_VLEN(t->info);
	struct btf_var_secinfo in;
	struct btf_member out;
	const struct btf_type *var;
	char *at = (char *)(t + 1);

	for (i = 0; i < n; i++, at += sizeof(out)) {
		memcpy(&in, at, sizeof(in));
		var = skep_btf_type(btf, in.type);
		out.name_off = var ? var->name_off : 0;
		out.type = in.type;
		out.offset = in.offset * 8;
		memcpy(at, &out, sizeof(out));
	}
	set_kind(r, t, BTF_KIND_STRUCT, n);
	t->name_off = 0;
}

/* A prototype's parameters are as long as an enum's values, which need names. */
static void make_enum(struct rewrite *r, struct btf_type *t)
{
	uint32_t i, n = BTF_INFO_VLEN(t->info);
	struct btf_enum *values = (struct btf_enum *)(t + 1);

	for (i = 0; i < n; i++)
		values[i] = (struct btf_enum){r->name, (int)i};
	set_kind(r, t, BTF_KIND_ENUM, n);
	t->size = 4;
}

/* Values of 64 bits are as long as a union's members. */
static void make_union(struct rewrite *r, struct btf_type *t)
{
	uint32_t i, n = BTF_INFO_VLEN(t->info);
	struct btf_member *members = (struct btf_member *)(t + 1);

	for (i = 0; i < n; i++) {
		members[i].type = r->int_id;
		members[i].offset = 0;
	}
	set_kind(r, t, BTF_KIND_UNION, n);
}

static void rewrite_func(struct rewrite *r, struct btf_type *t)
{
	if (lacks(r, SKEP_FEATURE_BTF_FUNC))
		set_kind(r, t, BTF_KIND_TYPEDEF, 0);
	else if (BTF_INFO_VLEN(t->info) == BTF_FUNC_GLOBAL &&
		 lacks(r, SKEP_FEATURE_BTF_GLOBAL_FUNC))
		set_kind(r, t, BTF_KIND_FUNC, BTF_FUNC_STATIC);
}

static void rewrite_datasec(struct rewrite *r, struct btf_type *t, const struct skep_btf *btf)
{
	char *name = r->strings + t->name_off;

	if (lacks(r, SKEP_FEATURE_BTF_DATASEC)) {
		make_struct(r, t, btf);
	} else if (*name == '?' && lacks(r, SKEP_FEATURE_BTF_QMARK_DATASEC)) {
		*name = '_';
		r->changed = true;
	}
}

static void rewrite(struct rewrite *r, struct btf_type *t, const struct skep_btf *btf)
{
	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_FUNC: rewrite_func(r, t); break;
	case BTF_KIND_DATASEC: rewrite_datasec(r, t, btf); break;
	case BTF_KIND_FUNC_PROTO:
		if (lacks(r, SKEP_FEATURE_BTF_FUNC))
			make_enum(r, t);
		break;
	case BTF_KIND_VAR:
		if (lacks(r, SKEP_FEATURE_BTF_DATASEC))
			make_int(r, t);
		break;
	case BTF_KIND_DECL_TAG:
		if (lacks(r, SKEP_FEATURE_BTF_DECL_TAG))
			make_int(r, t);
		break;
	case BTF_KIND_FLOAT:
		if (lacks(r, SKEP_FEATURE_BTF_FLOAT)) {
			set_kind(r, t, BTF_KIND_STRUCT, 0);
			t->name_off = 0;
		}
		break;
	case BTF_KIND_TYPE_TAG:
		if (lacks(r, SKEP_FEATURE_BTF_TYPE_TAG)) {
			set_kind(r, t, BTF_KIND_CONST, 0);
			t->name_off = 0;
		}
		break;
	case BTF_KIND_ENUM:
		/* Whether values are signed was told from the same release on. */
		if (BTF_INFO_KFLAG(t->info) && lacks(r, SKEP_FEATURE_BTF_ENUM64))
			set_kind(r, t, BTF_KIND_ENUM, BTF_INFO_VLEN(t->info));
		break;
	case BTF_KIND_ENUM64:
		if (lacks(r, SKEP_FEATURE_BTF_ENUM64))
			make_union(r, t);
		break;
	}
}

bool skep_adapt_btf(struct skep_load *load, char *copy)
{
	const struct skep_btf *btf = load->obj->btf;
	const struct btf_header *header = (const struct btf_header *)copy;
	struct rewrite r = {.load = load, .strings = copy + header->hdr_len + header->str_off};
	struct skep_btf_iter it = {.btf = btf};
	const char *raw;
	size_t len;

	raw = skep_btf_raw(btf, &len);
	while (skep_btf_next(&it)) {
		uint32_t kind = skep_btf_kind(it.t);

		if (kind == BTF_KIND_INT && it.t->size == 4 && !r.int_id)
			r.int_id = it.id;
		if ((kind == BTF_KIND_FUNC || kind == BTF_KIND_VAR) && !r.name)
			r.name = it.t->name_off;
	}
	it = (struct skep_btf_iter){.btf = btf};
	while (skep_btf_next(&it))
		rewrite(&r, (struct btf_type *)(copy + ((const char *)it.t - raw)), btf);
	return r.changed;
}
