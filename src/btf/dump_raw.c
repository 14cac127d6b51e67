/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types one by one: bpftool's raw text, and the same facts as JSON.  Both go
 * through num() and word(), so that neither says more than the other.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "btf/dump.h"

struct raw {
	struct skep_buf *out; /* text, or NULL: JSON */
	struct json_object *obj, *list, *item;
	const struct skep_btf *btf;
};

/* printf is too slow for a kernel's hundred thousand types. */
static void put_num(struct skep_buf *out, uint64_t v)
{
	char digits[24], *p = digits + sizeof(digits);

	do {
		*--p = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	skep_buf_add(out, p, (size_t)(digits + sizeof(digits) - p));
}

static void put_key(struct raw *r, const char *key)
{
	skep_buf_putc(r->out, ' ');
	skep_buf_puts(r->out, key);
	skep_buf_putc(r->out, '=');
}

static void add(struct raw *r, const char *key, struct json_object *o)
{
	json_object_object_add(r->item ? r->item : r->obj, key, o);
}

static void num(struct raw *r, const char *key, uint64_t v)
{
	if (!r->out) {
		add(r, key, json_object_new_uint64(v));
		return;
	}
	put_key(r, key);
	put_num(r->out, v);
}

static void signed_num(struct raw *r, const char *key, int64_t v)
{
	if (!r->out) {
		add(r, key, json_object_new_int64(v));
		return;
	}
	put_key(r, key);
	if (v < 0)
		skep_buf_putc(r->out, '-');
	put_num(r->out, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void word(struct raw *r, const char *key, const char *s)
{
	if (!r->out) {
		add(r, key, json_object_new_string(s));
		return;
	}
	put_key(r, key);
	skep_buf_puts(r->out, s);
}

static void put_name(struct raw *r, uint32_t off)
{
	const char *name = skep_btf_str(r->btf, off);

	name = *name ? name : "(anon)";
	if (!r->out) {
		add(r, "name", json_object_new_string(name));
		return;
	}
	skep_buf_putc(r->out, '\'');
	skep_buf_puts(r->out, name);
	skep_buf_putc(r->out, '\'');
}

static void start_list(struct raw *r, const char *key)
{
	if (r->out)
		return;
	r->list = json_object_new_array();
	json_object_object_add(r->obj, key, r->list);
}

static void start_item(struct raw *r)
{
	if (r->out) {
		skep_buf_puts(r->out, "\n\t");
		return;
	}
	r->item = json_object_new_object();
	json_object_array_add(r->list, r->item);
}

static const char *pick(uint32_t i, const char *const *words, uint32_t n)
{
	return i < n ? words[i] : "(unknown)";
}

static void raw_int(struct raw *r, const struct btf_type *t)
{
	static const char *const enc[] = {"(none)", "SIGNED", "CHAR", "UNKN", "BOOL"};
	uint32_t v = skep_btf_int(t), e = BTF_INT_ENCODING(v);

	num(r, "size", t->size);
	num(r, "bits_offset", BTF_INT_OFFSET(v));
	num(r, "nr_bits", BTF_INT_BITS(v));
	word(r, "encoding", e < 5 ? enc[e] : "UNKN");
}

static void raw_members(struct raw *r, const struct btf_type *t)
{
	const struct btf_member *m = skep_btf_members(t);
	uint32_t i, n = skep_btf_vlen(t);
	bool kflag = skep_btf_kflag(t);

	num(r, "size", t->size);
	num(r, "vlen", n);
	start_list(r, "members");
	for (i = 0; i < n; i++, m++) {
		start_item(r);
		put_name(r, m->name_off);
		num(r, "type_id", m->type);
		num(r, "bits_offset", kflag ? BTF_MEMBER_BIT_OFFSET(m->offset) : m->offset);
		if (kflag && BTF_MEMBER_BITFIELD_SIZE(m->offset))
			num(r, "bitfield_size", BTF_MEMBER_BITFIELD_SIZE(m->offset));
	}
}

static void raw_enum(struct raw *r, const struct btf_type *t)
{
	bool sign = skep_btf_enum_signed(t), wide = skep_btf_kind(t) == BTF_KIND_ENUM64;
	uint32_t i, n = skep_btf_vlen(t);
	const char *name;
	int64_t v;

	word(r, "encoding", sign ? "SIGNED" : "UNSIGNED");
	num(r, "size", t->size);
	num(r, "vlen", n);
	start_list(r, "values");
	for (i = 0; i < n; i++) {
		start_item(r);
		v = skep_btf_enum_value(r->btf, t, i, &name);
		put_name(r, wide ? skep_btf_enums64(t)[i].name_off : skep_btf_enums(t)[i].name_off);
		if (sign)
			signed_num(r, "val", v);
		else
			num(r, "val", (uint64_t)v);
		if (wide && r->out)
			skep_buf_puts(r->out, sign ? "LL" : "ULL");
	}
}

static void raw_proto(struct raw *r, const struct btf_type *t)
{
	const struct btf_param *p = skep_btf_params(t);
	uint32_t i, n = skep_btf_vlen(t);

	num(r, "ret_type_id", t->type);
	num(r, "vlen", n);
	start_list(r, "params");
	for (i = 0; i < n; i++, p++) {
		start_item(r);
		put_name(r, p->name_off);
		num(r, "type_id", p->type);
	}
}

static void raw_datasec(struct raw *r, const struct btf_type *t)
{
	const struct btf_var_secinfo *v = skep_btf_secinfos(t);
	const struct btf_type *var;
	uint32_t i, n = skep_btf_vlen(t);

	num(r, "size", t->size);
	num(r, "vlen", n);
	start_list(r, "vars");
	for (i = 0; i < n; i++, v++) {
		start_item(r);
		if (r->out)
			skep_buf_puts(r->out, "type_id=");
		if (r->out)
			put_num(r->out, v->type);
		else
			num(r, "type_id", v->type);
		num(r, "offset", v->offset);
		num(r, "size", v->size);
		var = skep_btf_type(r->btf, v->type);
		if (!r->out || !var || !v->type)
			continue;
		skep_buf_printf(r->out, " (%s '%s')", skep_btf_kind_name(skep_btf_kind(var)),
				skep_btf_str(r->btf, var->name_off));
	}
}

static void raw_type(struct raw *r, const struct btf_type *t)
{
	static const char *const func[] = {"static", "global", "extern"};
	static const char *const var[] = {"static", "global", "extern"};

	switch (skep_btf_kind(t)) {
	case BTF_KIND_INT: raw_int(r, t); break;
	case BTF_KIND_ARRAY:
		num(r, "type_id", skep_btf_array(t)->type);
		num(r, "index_type_id", skep_btf_array(t)->index_type);
		num(r, "nr_elems", skep_btf_array(t)->nelems);
		break;
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: raw_members(r, t); break;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64: raw_enum(r, t); break;
	case BTF_KIND_FWD: word(r, "fwd_kind", skep_btf_kflag(t) ? "union" : "struct"); break;
	case BTF_KIND_FUNC:
		num(r, "type_id", t->type);
		word(r, "linkage", pick(skep_btf_vlen(t), func, 3));
		break;
	case BTF_KIND_FUNC_PROTO: raw_proto(r, t); break;
	case BTF_KIND_VAR:
		num(r, "type_id", t->type);
		if (r->out)
			skep_buf_putc(r->out, ',');
		word(r, "linkage", pick(skep_btf_var(t)->linkage, var, 3));
		break;
	case BTF_KIND_DATASEC: raw_datasec(r, t); break;
	case BTF_KIND_FLOAT: num(r, "size", t->size); break;
	case BTF_KIND_DECL_TAG:
		num(r, "type_id", t->type);
		signed_num(r, "component_idx", skep_btf_decl_tag(t)->component_idx);
		break;
	default: num(r, "type_id", t->type); break;
	}
}

void skep_btf_dump_raw(struct skep_buf *out, const struct skep_btf *btf, uint32_t id)
{
	const struct btf_type *t = skep_btf_type(btf, id);
	struct raw r = {.out = out, .btf = btf};

	if (!t)
		return;
	skep_buf_putc(out, '[');
	put_num(out, id);
	skep_buf_puts(out, "] ");
	skep_buf_puts(out, skep_btf_kind_name(skep_btf_kind(t)));
	skep_buf_putc(out, ' ');
	put_name(&r, t->name_off);
	raw_type(&r, t);
	skep_buf_putc(out, '\n');
}

struct json_object *skep_btf_dump_json(const struct skep_btf *btf, uint32_t id)
{
	const struct btf_type *t = skep_btf_type(btf, id);
	struct raw r = {.btf = btf, .obj = json_object_new_object()};

	if (!t || !r.obj) {
		json_object_put(r.obj);
		return NULL;
	}
	num(&r, "id", id);
	word(&r, "kind", skep_btf_kind_name(skep_btf_kind(t)));
	put_name(&r, t->name_off);
	raw_type(&r, t);
	return r.obj;
}
