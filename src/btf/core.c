/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CO-RE engine: from a relocation to the value that belongs into the
 * instruction.  One row of `kinds` says what a relocation asks for; the walk
 * from the local access to the target's is the same for all of a class.
 */
#include "btf/core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "btf/core_int.h"

enum class { FIELD, TYPE, ENUMVAL };

/* What an access comes to; NULL spec: nothing in the target fits. */
struct answer {
	uint64_t val;
	uint32_t size, id; /* of a plain field, for the width of loads */
	bool validate;
};

typedef int calc_fn(uint32_t kind, const struct skep_core_spec *spec, struct answer *a);
static calc_fn calc_field, calc_exists, calc_type, calc_enumval;

static const struct {
	const char *name;
	enum class class;
	calc_fn *calc;
} kinds[] = {
	[BPF_CORE_FIELD_BYTE_OFFSET] = {"byte_off", FIELD, calc_field},
	[BPF_CORE_FIELD_BYTE_SIZE] = {"byte_sz", FIELD, calc_field},
	[BPF_CORE_FIELD_EXISTS] = {"field_exists", FIELD, calc_exists},
	[BPF_CORE_FIELD_SIGNED] = {"signed", FIELD, calc_field},
	[BPF_CORE_FIELD_LSHIFT_U64] = {"lshift_u64", FIELD, calc_field},
	[BPF_CORE_FIELD_RSHIFT_U64] = {"rshift_u64", FIELD, calc_field},
	[BPF_CORE_TYPE_ID_LOCAL] = {"local_type_id", TYPE, calc_type},
	[BPF_CORE_TYPE_ID_TARGET] = {"target_type_id", TYPE, calc_type},
	[BPF_CORE_TYPE_EXISTS] = {"type_exists", TYPE, calc_exists},
	[BPF_CORE_TYPE_SIZE] = {"type_size", TYPE, calc_type},
	[BPF_CORE_ENUMVAL_EXISTS] = {"enumval_exists", ENUMVAL, calc_exists},
	[BPF_CORE_ENUMVAL_VALUE] = {"enumval_value", ENUMVAL, calc_enumval},
	[BPF_CORE_TYPE_MATCHES] = {"type_matches", TYPE, calc_exists},
};

#define NR_KINDS (sizeof(kinds) / sizeof(kinds[0]))

const char *skep_core_kind_name(uint32_t kind)
{
	return kind < NR_KINDS ? kinds[kind].name : "unknown";
}

/* -- the local access -- */

/* Libbpf's view of members: without kind_flag there are no bit fields. */
static uint32_t member_off(const struct btf_type *t, uint32_t i)
{
	uint32_t off = skep_btf_members(t)[i].offset;

	return skep_btf_kflag(t) ? BTF_MEMBER_BIT_OFFSET(off) : off;
}

static uint32_t member_bits(const struct btf_type *t, uint32_t i)
{
	return skep_btf_kflag(t) ? BTF_MEMBER_BITFIELD_SIZE(skep_btf_members(t)[i].offset) : 0;
}

/* An array without length as the last member of its struct; @step: how it was reached. */
static bool is_flexible(const struct skep_core_spec *spec, const struct btf_array *a)
{
	const struct skep_core_step *step = &spec->step[spec->len - 1];

	return !a->nelems && step->name &&
	       step->idx == skep_btf_vlen(skep_btf_type(spec->btf, step->id)) - 1;
}

static int add_step(struct skep_core_spec *spec, uint32_t id, uint32_t idx, const char *name)
{
	if (spec->len == SKEP_CORE_DEPTH)
		return -E2BIG;
	spec->step[spec->len++] = (struct skep_core_step){id, idx, name};
	return 0;
}

/* Element @idx of things of type @id. */
static int add_element(struct skep_core_spec *spec, uint32_t id, uint32_t idx)
{
	int64_t size = skep_btf_sizeof(spec->btf, id);

	if (size < 0)
		return -EINVAL;
	spec->bit_off += idx * (uint32_t)size * 8;
	return add_step(spec, id, idx, NULL);
}

/* One index of the access string, from type *@id to the next. */
static int parse_step(struct skep_core_spec *spec, uint32_t *id, uint32_t idx)
{
	const struct btf_type *t = skep_btf_resolve(spec->btf, *id, id);
	const struct btf_array *a;
	const char *name;
	int end;

	if (t && skep_btf_is_composite(t)) {
		if (idx >= skep_btf_vlen(t))
			return -EINVAL;
		spec->bit_off += member_off(t, idx);
		name = skep_btf_str(spec->btf, skep_btf_members(t)[idx].name_off);
		if (*name && add_step(spec, *id, idx, name) < 0)
			return -E2BIG;
		*id = skep_btf_members(t)[idx].type;
		return 0;
	}
	if (!t || skep_btf_kind(t) != BTF_KIND_ARRAY)
		return -EINVAL;
	a = skep_btf_array(t);
	if (idx >= a->nelems && !is_flexible(spec, a))
		return -EINVAL;
	end = skep_btf_skip(spec->btf, a->type, true);
	if (end < 0)
		return end;
	*id = (uint32_t)end;
	return add_element(spec, *id, idx);
}

/* The next number of "0:1:2"; -ENOENT at the end. */
static int next_index(const char **s, uint32_t *idx)
{
	unsigned long v;
	char *end;

	if (!**s)
		return -ENOENT;
	if (**s < '0' || **s > '9')
		return -EINVAL;
	v = strtoul(*s, &end, 10);
	if (v > INT32_MAX || (*end && *end != ':') || (*end == ':' && !end[1]))
		return -EINVAL;
	*idx = (uint32_t)v;
	*s = *end ? end + 1 : end;
	return 0;
}

static int parse_enumval(struct skep_core_spec *spec, const struct btf_type *t, uint32_t id,
			 uint32_t idx, const char *rest)
{
	const char *name;

	if (!skep_btf_is_enum(t) || *rest || idx >= skep_btf_vlen(t))
		return -EINVAL;
	skep_btf_enum_value(spec->btf, t, idx, &name);
	return add_step(spec, id, idx, name);
}

static int parse(struct skep_core_spec *spec, const struct skep_btf *btf, enum class class,
		 uint32_t root, const char *access)
{
	const struct btf_type *t;
	uint32_t id, idx;
	int ret;

	*spec = (struct skep_core_spec){.btf = btf, .root = root};
	if (class == TYPE)
		return strcmp(access, "0") ? -EINVAL : 0;
	t = skep_btf_resolve(btf, root, &id);
	ret = next_index(&access, &idx);
	if (!t || ret < 0)
		return -EINVAL;
	if (class == ENUMVAL)
		return parse_enumval(spec, t, id, idx, access);
	ret = add_element(spec, id, idx);
	for (spec->raw_len = 1; ret == 0; spec->raw_len++) {
		ret = next_index(&access, &idx);
		if (ret == -ENOENT)
			return 0;
		if (ret == 0 && spec->raw_len == SKEP_CORE_DEPTH)
			return -E2BIG;
		if (ret == 0)
			ret = parse_step(spec, &id, idx);
	}
	return ret;
}

int skep_core_spec_parse(struct skep_core_spec *spec, const struct skep_btf *btf,
			 const struct bpf_core_relo *relo)
{
	if (relo->kind >= NR_KINDS || !relo->type_id || !skep_btf_type(btf, relo->type_id))
		return -EINVAL;
	return parse(spec, btf, kinds[relo->kind].class, relo->type_id,
		     skep_btf_str(btf, relo->access_str_off));
}

/* -- the same access in the target -- */

/* Whether a field of type @l may be read as the target has it. */
static int fields_fit(const struct skep_btf *local, uint32_t l, const struct skep_btf *target,
		      uint32_t r)
{
	const struct btf_type *lt, *rt;
	const char *ln, *rn;
	int i;

	for (i = 0; i < SKEP_BTF_DEPTH; i++) {
		lt = skep_btf_resolve(local, l, NULL);
		rt = skep_btf_resolve(target, r, NULL);
		if (!lt || !rt)
			return -EINVAL;
		if (skep_btf_is_composite(lt) && skep_btf_is_composite(rt))
			return 1;
		if (!skep_core_kinds_fit(lt, rt))
			return 0;
		switch (skep_btf_kind(lt)) {
		case BTF_KIND_PTR:
		case BTF_KIND_FLOAT: return 1;
		case BTF_KIND_FWD:
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
			ln = skep_btf_str(local, lt->name_off);
			rn = skep_btf_str(target, rt->name_off);
			return !*ln || !*rn || skep_core_names_match(ln, rn);
		case BTF_KIND_INT:
			return !BTF_INT_OFFSET(skep_btf_int(lt)) &&
			       !BTF_INT_OFFSET(skep_btf_int(rt));
		case BTF_KIND_ARRAY:
			l = skep_btf_array(lt)->type;
			r = skep_btf_array(rt)->type;
			break;
		default: return 0;
		}
	}
	return -EINVAL;
}

/* A budget keeps nameless structs nested in hostile ways from taking for ever. */
struct match {
	const struct skep_btf *local;
	const struct skep_core_step *step;
	uint32_t local_type; /* of the member */
	struct skep_core_spec *spec;
	uint32_t next_id;
	uint32_t budget;
};

/* 1: found, match->next_id is its type; 0: not; -errno. */
static int match_member(struct match *m, uint32_t id)
{
	struct skep_core_spec *spec = m->spec;
	const struct btf_type *t = skep_btf_resolve(spec->btf, id, &id);
	const struct btf_member *member;
	const char *name;
	uint32_t i;
	int ret;

	if (!t || !skep_btf_is_composite(t))
		return 0;
	for (i = 0; i < skep_btf_vlen(t); i++) {
		if (spec->raw_len == SKEP_CORE_DEPTH || !m->budget--)
			return -E2BIG;
		member = &skep_btf_members(t)[i];
		name = skep_btf_str(spec->btf, member->name_off);
		spec->bit_off += member_off(t, i);
		spec->raw_len++;
		if (!*name) {
			ret = match_member(m, member->type);
			if (ret)
				return ret;
		} else if (!strcmp(name, m->step->name)) {
			m->next_id = member->type;
			ret = fields_fit(m->local, m->local_type, spec->btf, member->type);
			return ret <= 0 ? ret : add_step(spec, id, i, name) < 0 ? -E2BIG : 1;
		}
		spec->bit_off -= member_off(t, i);
		spec->raw_len--;
	}
	return 0;
}

static int match_element(struct skep_core_spec *spec, uint32_t *id, uint32_t idx, bool first)
{
	const struct btf_type *t = skep_btf_resolve(spec->btf, *id, id);
	const struct btf_array *a;
	int ret;

	/* The root stands for an array of itself already. */
	if (!first) {
		if (!t || skep_btf_kind(t) != BTF_KIND_ARRAY)
			return 0;
		a = skep_btf_array(t);
		if (idx >= a->nelems && !is_flexible(spec, a))
			return 0;
		if (!skep_btf_resolve(spec->btf, a->type, id))
			return -EINVAL;
	}
	if (spec->raw_len++ == SKEP_CORE_DEPTH)
		return -E2BIG;
	ret = add_element(spec, *id, idx);
	return ret < 0 ? ret : 1;
}

static int match_field(const struct skep_core_spec *local, struct skep_core_spec *spec)
{
	struct match m = {.local = local->btf, .spec = spec, .budget = 1 << 20};
	const struct skep_core_step *step;
	const struct btf_type *t;
	uint32_t i, id = spec->root;
	int ret;

	for (i = 0; i < local->len; i++) {
		step = &local->step[i];
		if (!step->name) {
			ret = match_element(spec, &id, step->idx, i == 0);
		} else {
			t = skep_btf_type(local->btf, step->id);
			m.step = step;
			m.local_type = skep_btf_members(t)[step->idx].type;
			ret = match_member(&m, id);
			id = m.next_id;
		}
		if (ret <= 0)
			return ret;
	}
	return 1;
}

static int match_enumval(const struct skep_core_spec *local, struct skep_core_spec *spec)
{
	const struct btf_type *t;
	const char *name;
	uint32_t i, id;

	t = skep_btf_resolve(spec->btf, spec->root, &id);
	if (!t || !skep_btf_is_enum(t))
		return 0;
	for (i = 0; i < skep_btf_vlen(t); i++) {
		skep_btf_enum_value(spec->btf, t, i, &name);
		if (skep_core_names_match(local->step[0].name, name))
			return add_step(spec, id, i, name) < 0 ? -E2BIG : 1;
	}
	return 0;
}

int skep_core_spec_match(uint32_t kind, const struct skep_core_spec *local,
			 const struct skep_btf *target, uint32_t id, struct skep_core_spec *spec)
{
	*spec = (struct skep_core_spec){.btf = target, .root = id};
	switch (kinds[kind].class) {
	case FIELD: return match_field(local, spec);
	case ENUMVAL: return match_enumval(local, spec);
	default: break;
	}
	if (kind == BPF_CORE_TYPE_MATCHES)
		return skep_core_types_match(local->btf, local->root, target, id);
	return skep_core_types_fit(local->btf, local->root, target, id);
}

/* -- values; -EUCLEAN asks for poison -- */

static int calc_exists(uint32_t kind, const struct skep_core_spec *spec, struct answer *a)
{
	a->val = spec ? 1 : 0;
	return 0;
}

static int calc_type(uint32_t kind, const struct skep_core_spec *spec, struct answer *a)
{
	int64_t size;

	if (!spec)
		return 0;
	if (kind != BPF_CORE_TYPE_SIZE) {
		/* Linking BPF objects renumbers types: the compiler's number is no check. */
		a->val = spec->root;
		a->validate = false;
		return 0;
	}
	size = skep_btf_sizeof(spec->btf, spec->root);
	if (size < 0)
		return -EINVAL;
	a->val = (uint64_t)size;
	return 0;
}

static int calc_enumval(uint32_t kind, const struct skep_core_spec *spec, struct answer *a)
{
	const char *name;

	if (!spec)
		return -EUCLEAN;
	a->val = (uint64_t)skep_btf_enum_value(
		spec->btf, skep_btf_type(spec->btf, spec->step[0].id), spec->step[0].idx, &name);
	return 0;
}

/* The size of what a load of type @id reads: of an array, an element. */
static int load_size(const struct skep_btf *btf, uint32_t id, uint32_t *size)
{
	const struct btf_type *t = skep_btf_resolve(btf, id, &id);
	int64_t n;
	int i;

	for (i = 0; t && skep_btf_kind(t) == BTF_KIND_ARRAY && i < SKEP_BTF_DEPTH; i++)
		t = skep_btf_resolve(btf, skep_btf_array(t)->type, &id);
	n = t ? skep_btf_sizeof(btf, id) : -EINVAL;
	*size = (uint32_t)n;
	return n < 0 ? -EINVAL : 0;
}

static int calc_element(uint32_t kind, const struct skep_core_spec *spec,
			const struct skep_core_step *last, struct answer *a)
{
	int64_t size = skep_btf_sizeof(spec->btf, last->id);

	if (size < 0)
		return -EINVAL;
	a->val = (uint64_t)size;
	if (kind == BPF_CORE_FIELD_BYTE_SIZE)
		return 0;
	if (kind != BPF_CORE_FIELD_BYTE_OFFSET)
		return -EINVAL;
	a->val = spec->bit_off / 8;
	a->id = last->id;
	return load_size(spec->btf, last->id, &a->size);
}

/* A field's place: the bytes to load, and its bits. */
struct place {
	uint32_t byte_off, byte_size, bit_off, bit_size;
};

/* The smallest aligned load that has all bits of a bit field. */
static int place_bits(struct place *p, uint32_t unit)
{
	if (!unit)
		return -EINVAL;
	p->byte_size = unit;
	p->byte_off = p->bit_off / 8 / unit * unit;
	while (p->bit_off + p->bit_size - p->byte_off * 8 > p->byte_size * 8) {
		if (p->byte_size >= 8)
			return -E2BIG;
		p->byte_size *= 2;
		p->byte_off = p->bit_off / 8 / p->byte_size * p->byte_size;
	}
	return 0;
}

static int calc_place(uint32_t kind, const struct place *p, const struct btf_type *t,
		      struct answer *a)
{
	switch (kind) {
	case BPF_CORE_FIELD_BYTE_OFFSET: a->val = p->byte_off; break;
	case BPF_CORE_FIELD_BYTE_SIZE: a->val = p->byte_size; break;
	case BPF_CORE_FIELD_SIGNED:
		a->val = skep_btf_kind(t) == BTF_KIND_INT
				 ? !!(BTF_INT_ENCODING(skep_btf_int(t)) & BTF_INT_SIGNED)
				 : skep_btf_is_enum(t) && skep_btf_enum_signed(t);
		a->validate = true;
		break;
	case BPF_CORE_FIELD_LSHIFT_U64:
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		a->val = 64 - (p->bit_off + p->bit_size - p->byte_off * 8);
#else
		a->val = (8 - p->byte_size) * 8 + (p->bit_off - p->byte_off * 8);
#endif
		break;
	case BPF_CORE_FIELD_RSHIFT_U64:
		a->val = 64 - p->bit_size;
		a->validate = true;
		break;
	}
	return 0;
}

static int calc_field(uint32_t kind, const struct skep_core_spec *spec, struct answer *a)
{
	const struct skep_core_step *last;
	const struct btf_type *t;
	struct place p;
	uint32_t id;
	int ret = 0;

	if (!spec)
		return -EUCLEAN;
	last = &spec->step[spec->len - 1];
	if (!last->name)
		return calc_element(kind, spec, last, a);
	t = skep_btf_type(spec->btf, last->id);
	p.bit_off = spec->bit_off;
	p.bit_size = member_bits(t, last->idx);
	t = skep_btf_resolve(spec->btf, skep_btf_members(t)[last->idx].type, &id);
	if (!t)
		return -EINVAL;
	if (p.bit_size) {
		/* Where to load a bit field from is the compiler's choice as well as ours. */
		a->validate = false;
		ret = place_bits(&p, t->size);
	} else {
		int64_t size = skep_btf_sizeof(spec->btf, id);

		if (size < 0)
			return -EINVAL;
		p.byte_off = p.bit_off / 8;
		p.byte_size = (uint32_t)size;
		p.bit_size = p.byte_size * 8;
		if (kind == BPF_CORE_FIELD_BYTE_OFFSET) {
			a->id = id;
			ret = load_size(spec->btf, id, &a->size);
		}
	}
	return ret < 0 ? ret : calc_place(kind, &p, t, a);
}

/* Loads may change width only where the upper bits of the register stay zeroes. */
static bool may_resize(const struct skep_btf *local, uint32_t l, const struct skep_btf *target,
		       uint32_t r)
{
	const struct btf_type *lt = skep_btf_type(local, l), *rt = skep_btf_type(target, r);

	if (!lt || !rt || skep_btf_kind(lt) != skep_btf_kind(rt))
		return false;
	if (skep_btf_kind(lt) == BTF_KIND_PTR)
		return true;
	return skep_btf_kind(lt) == BTF_KIND_INT &&
	       BTF_INT_ENCODING(skep_btf_int(lt)) != BTF_INT_SIGNED &&
	       BTF_INT_ENCODING(skep_btf_int(rt)) != BTF_INT_SIGNED;
}

int skep_core_spec_calc(uint32_t kind, const struct skep_core_spec *local,
			const struct skep_core_spec *spec, struct skep_core_result *res)
{
	struct answer old = {.validate = true}, new = {.validate = true};
	int ret;

	*res = (struct skep_core_result){.target_id = spec ? spec->root : 0,
					 .target = spec ? spec->btf : NULL};
	ret = kinds[kind].calc(kind, local, &old);
	if (ret == 0)
		ret = kinds[kind].calc(kind, spec, &new);
	res->old_val = old.val;
	res->validate = old.validate;
	if (ret == -EUCLEAN) {
		res->poison = true;
		return 0;
	}
	if (ret < 0)
		return ret;
	res->new_val = new.val;
	res->old_size = old.size;
	res->new_size = new.size;
	if (old.size != new.size)
		res->bad_size = !spec || !may_resize(local->btf, old.id, spec->btf, new.id);
	return 0;
}

/* -- one relocation -- */

static int fail(const struct skep_core *core, const struct bpf_core_relo *relo, int code,
		const char *what, struct skep_err *err)
{
	char text[256];

	return skep_fail(err, SKEP_E_CORE_UNRESOLVED, code, "CO-RE %s: %s",
			 skep_core_describe(core, relo, text, sizeof(text)), what);
}

/* All candidates that fit must agree; those that do not are dropped, as soon as one does. */
static int try_cands(struct skep_core *core, const struct bpf_core_relo *relo,
		     struct skep_core_cands *c, const struct skep_core_spec *local,
		     struct skep_core_result *res, struct skep_err *err)
{
	struct skep_core_spec spec;
	struct skep_core_result one;
	struct skep_core_cand cand;
	uint32_t bit_off = 0;
	size_t i, n = 0;
	int ret;

	for (i = 0; i < c->nr; i++) {
		cand = c->v.data[i];
		ret = skep_core_spec_match(relo->kind, local, cand.btf, cand.id, &spec);
		if (ret == 0)
			continue;
		if (ret > 0)
			ret = skep_core_spec_calc(relo->kind, local, &spec, &one);
		if (ret < 0)
			return fail(core, relo, -ret, "the kernel's type is malformed or too deep",
				    err);
		if (n && (spec.bit_off != bit_off || one.poison != res->poison ||
			  one.new_val != res->new_val))
			return fail(core, relo, EINVAL,
				    "several types of the kernel fit and they disagree", err);
		if (!n) {
			*res = one;
			bit_off = spec.bit_off;
		}
		c->v.data[i] = c->v.data[n];
		c->v.data[n++] = cand;
	}
	if (n)
		c->nr = n;
	return n ? 1 : 0;
}

int skep_core_resolve(struct skep_core *core, const struct bpf_core_relo *relo,
		      struct skep_core_result *res, struct skep_err *err)
{
	struct skep_core_spec local;
	int ret;

	*res = (struct skep_core_result){0};
	if (relo->kind >= NR_KINDS)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "CO-RE relocation of unknown kind %u", relo->kind);
	if (skep_core_spec_parse(&local, core->local, relo) < 0)
		return fail(core, relo, EINVAL, "malformed access", err);
	if (relo->kind == BPF_CORE_TYPE_ID_LOCAL) {
		res->old_val = res->new_val = relo->type_id;
		return 0;
	}
	if (!*skep_btf_name(core->local, relo->type_id))
		return fail(core, relo, EOPNOTSUPP,
			    "types without a name cannot be found in the kernel", err);
	ret = skep_core_prepare(core, relo, 1, err);
	if (ret == 0)
		ret = try_cands(core, relo, skep_core_cands(core, relo->type_id), &local, res, err);
	if (ret)
		return ret < 0 ? ret : 0;
	ret = skep_core_spec_calc(relo->kind, &local, NULL, res);
	return ret < 0 ? fail(core, relo, -ret, "malformed access", err) : 0;
}

const char *skep_core_describe(const struct skep_core *core, const struct bpf_core_relo *relo,
			       char *buf, size_t size)
{
	const struct btf_type *t = skep_btf_type(core->local, relo->type_id);
	const char *access = skep_btf_str(core->local, relo->access_str_off);
	struct skep_core_spec spec = {0};
	const char *kind, *name;
	size_t n;
	uint32_t i;

	kind = t ? skep_core_type_word(t) : "";
	name = t ? skep_btf_str(core->local, t->name_off) : "";
	n = (size_t)snprintf(buf, size, "<%s> %s%s%.100s", skep_core_kind_name(relo->kind), kind,
			     *kind ? " " : "", *name ? name : "(nameless)");
	if (relo->kind >= NR_KINDS || !t ||
	    parse(&spec, core->local, kinds[relo->kind].class, relo->type_id, access) < 0)
		spec.len = 0;
	for (i = 0; i < spec.len && n < size; i++) {
		if (spec.step[i].name)
			n += (size_t)snprintf(buf + n, size - n, "%s%s",
					      kinds[relo->kind].class == ENUMVAL ? "::" : ".",
					      spec.step[i].name);
		else if (i > 0 || spec.step[i].idx)
			n += (size_t)snprintf(buf + n, size - n, "[%u]", spec.step[i].idx);
	}
	if (n < size)
		snprintf(buf + n, size - n, " (%.60s)", access);
	return buf;
}
