/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The walk over the bytes of a value.  Invariants: `at` and `end` are bits
 * within `len` bytes; recursion is bounded by SKEP_BTF_DEPTH and the whole
 * walk by a budget, because hostile types nest exponentially without taking
 * a byte.
 */
#include "btf/value.h"

#include <errno.h>
#include <string.h>

#include "btf/value_int.h"

struct walk {
	const struct skep_btf *btf;
	const uint8_t *data;
	size_t len;
	const struct skep_sink_ops *ops;
	void *sink;
	uint32_t budget;
	bool cut; /* truncated() was called */
};

/* A value's place and circumstances. */
struct spot {
	uint32_t id;
	uint64_t bit;
	uint32_t bits; /* of a bit field, or 0 */
	const char *name;
	bool rest; /* an array without length may have what is left */
	int depth;
};

static int value(struct walk *w, struct spot s);

/* No type that takes bytes has more parts than this. */
static uint32_t budget(size_t len)
{
	return (uint32_t)((len < 1 << 26 ? len : 1 << 26) * 16 + (1 << 14));
}

/* True if @bits are there; else tells the sink, once. */
static bool have(struct walk *w, uint64_t bit, uint64_t bits)
{
	uint64_t all = (uint64_t)w->len * 8;

	if (w->cut)
		return false;
	if (bit <= all && all - bit >= bits)
		return true;
	w->cut = true;
	w->ops->truncated(w->sink);
	return false;
}

/* @bits (at most 64) at @bit, which are there. */
static uint64_t get_bits(const uint8_t *data, uint64_t bit, uint32_t bits)
{
	uint32_t shift = bit % 8, bytes = (shift + bits + 7) / 8, i;
	unsigned __int128 v = 0;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	for (i = 0; i < bytes; i++)
		v |= (unsigned __int128)data[bit / 8 + i] << (8 * i);
#else
	for (i = 0; i < bytes; i++)
		v = v << 8 | data[bit / 8 + i];
	shift = bytes * 8 - shift - bits;
#endif
	v >>= shift;
	return bits < 64 ? (uint64_t)v & ((1ull << bits) - 1) : (uint64_t)v;
}

static int64_t extend(uint64_t v, uint32_t bits)
{
	return bits && bits < 64 ? (int64_t)(v << (64 - bits)) >> (64 - bits) : (int64_t)v;
}

static void scalar_int(const struct skep_btf *btf, const struct btf_type *t, uint32_t bits,
		       uint64_t raw, struct skep_scalar *v)
{
	uint32_t enc = BTF_INT_ENCODING(skep_btf_int(t));

	v->u = raw;
	v->i = extend(raw, bits);
	if (enc & BTF_INT_BOOL)
		v->kind = SKEP_SCALAR_BOOL;
	else if (bits == 8 &&
		 (enc & BTF_INT_CHAR || !strcmp(skep_btf_str(btf, t->name_off), "char")))
		v->kind = SKEP_SCALAR_CHAR;
	else
		v->kind = enc & BTF_INT_SIGNED ? SKEP_SCALAR_SIGNED : SKEP_SCALAR_UNSIGNED;
}

static void scalar_enum(const struct skep_btf *btf, const struct btf_type *t, uint32_t bits,
			uint64_t raw, struct skep_scalar *v)
{
	v->u = raw;
	v->i = skep_btf_enum_signed(t) ? extend(raw, bits) : (int64_t)raw;
	v->s = skep_btf_enum_name(btf, t, v->i);
	v->len = v->s ? strlen(v->s) : 0;
	v->kind = v->s			    ? SKEP_SCALAR_ENUM
		  : skep_btf_enum_signed(t) ? SKEP_SCALAR_SIGNED
					    : SKEP_SCALAR_UNSIGNED;
}

/* 16 bytes that are there. */
static void scalar_wide(const uint8_t *p, struct skep_scalar *v)
{
	unsigned __int128 all;

	memcpy(&all, p, sizeof(all));
	v->kind = SKEP_SCALAR_WIDE;
	v->u = (uint64_t)all;
	v->hi = (uint64_t)(all >> 64);
}

static void scalar_float(const uint8_t *p, uint32_t size, struct skep_scalar *v)
{
	long double l;
	float f;

	v->kind = SKEP_SCALAR_FLOAT;
	if (size == sizeof(f)) {
		memcpy(&f, p, sizeof(f));
		v->f = (double)f;
		v->digits = 9;
	} else if (size == sizeof(v->f)) {
		memcpy(&v->f, p, sizeof(v->f));
		v->digits = 17;
	} else if (size == sizeof(l)) {
		memcpy(&l, p, sizeof(l));
		v->f = (double)l;
		v->digits = 17;
	} else {
		v->kind = SKEP_SCALAR_NONE;
		v->s = "float";
	}
}

static int scalar(struct walk *w, struct spot s, const struct btf_type *t)
{
	uint32_t size = skep_btf_kind(t) == BTF_KIND_PTR ? skep_btf_ptr_size(w->btf) : t->size;
	uint32_t bits = s.bits ? s.bits : size * 8;
	struct skep_scalar v = {0};
	uint64_t raw;

	if (!size || size > 16 || bits > size * 8 || (bits > 64 && (bits != 128 || s.bit % 8)))
		return -EINVAL;
	if (!have(w, s.bit, bits))
		return 0;
	if (skep_btf_kind(t) == BTF_KIND_FLOAT && s.bit % 8 == 0) {
		scalar_float(w->data + s.bit / 8, size, &v);
	} else if (bits == 128) {
		scalar_wide(w->data + s.bit / 8, &v);
	} else {
		raw = get_bits(w->data, s.bit, bits);
		if (skep_btf_kind(t) == BTF_KIND_INT)
			scalar_int(w->btf, t, bits, raw, &v);
		else if (skep_btf_is_enum(t))
			scalar_enum(w->btf, t, bits, raw, &v);
		else
			v = (struct skep_scalar){.kind = SKEP_SCALAR_POINTER, .u = raw};
	}
	w->ops->scalar(w->sink, s.name, &v);
	return 0;
}

static int nothing(struct walk *w, struct spot s, const char *what)
{
	struct skep_scalar v = {.kind = SKEP_SCALAR_NONE, .s = what, .len = strlen(what)};

	w->ops->scalar(w->sink, s.name, &v);
	return 0;
}

static int string(struct walk *w, struct spot s, uint64_t n)
{
	uint64_t left = w->len - s.bit / 8;
	struct skep_scalar v = {.kind = SKEP_SCALAR_STRING};

	v.s = (const char *)w->data + s.bit / 8;
	v.len = strnlen(v.s, n < left ? n : left);
	w->ops->scalar(w->sink, s.name, &v);
	/* Cut off only if what is missing could have mattered. */
	if (v.len == left && n > left)
		have(w, s.bit, n * 8);
	return 0;
}

static int array(struct walk *w, struct spot s, const struct btf_type *t)
{
	const struct btf_array *a = skep_btf_array(t);
	int64_t size = skep_btf_sizeof(w->btf, a->type);
	uint64_t n = a->nelems, i;
	int ret = 0;

	if (size < 0 || s.bit % 8)
		return -EINVAL;
	if (!have(w, s.bit, 0))
		return 0;
	if (!n && s.rest && size)
		n = (w->len - s.bit / 8) / (uint64_t)size;
	if (skep_btf_is_char(w->btf, a->type))
		return string(w, s, n);
	w->ops->open(w->sink, s.name, true);
	for (i = 0; i < n && ret == 0 && !w->cut; i++)
		ret = value(w, (struct spot){.id = a->type,
					     .bit = s.bit + i * (uint64_t)size * 8,
					     .depth = s.depth + 1});
	w->ops->close(w->sink, true);
	return ret;
}

static int members(struct walk *w, struct spot s, const struct btf_type *t)
{
	const struct btf_member *m = skep_btf_members(t);
	uint32_t i, n = skep_btf_vlen(t), off, bits;
	const struct btf_type *inner;
	int ret = 0;

	for (i = 0; i < n && ret == 0 && !w->cut; i++) {
		struct spot sub = {.id = m[i].type, .depth = s.depth + 1};

		skep_btf_member(w->btf, t, i, &off, &bits);
		sub.bit = s.bit + off;
		sub.bits = bits;
		sub.rest = s.rest && i == n - 1 && skep_btf_kind(t) == BTF_KIND_STRUCT;
		sub.name = skep_btf_str(w->btf, m[i].name_off);
		if (*sub.name) {
			ret = value(w, sub);
			continue;
		}
		inner = skep_btf_resolve(w->btf, m[i].type, NULL);
		if (!inner || !skep_btf_is_composite(inner) || sub.depth > SKEP_BTF_DEPTH ||
		    !w->budget--)
			return -EINVAL;
		ret = members(w, sub, inner);
	}
	return ret;
}

static int composite(struct walk *w, struct spot s, const struct btf_type *t)
{
	int ret;

	w->ops->open(w->sink, s.name, false);
	ret = members(w, s, t);
	w->ops->close(w->sink, false);
	return ret;
}

static int datasec(struct walk *w, struct spot s, const struct btf_type *t)
{
	const struct btf_var_secinfo *v = skep_btf_secinfos(t);
	uint32_t i;
	int ret = 0;

	w->ops->open(w->sink, s.name, false);
	for (i = 0; i < skep_btf_vlen(t) && ret == 0 && !w->cut; i++)
		ret = value(w, (struct spot){.id = v[i].type,
					     .bit = s.bit + v[i].offset * 8ull,
					     .name = skep_btf_name(w->btf, v[i].type),
					     .depth = s.depth + 1});
	w->ops->close(w->sink, false);
	return ret;
}

static int value(struct walk *w, struct spot s)
{
	const struct btf_type *t = skep_btf_resolve(w->btf, s.id, &s.id);

	if (!t || s.depth > SKEP_BTF_DEPTH || !w->budget)
		return -EINVAL;
	w->budget--;
	switch (skep_btf_kind(t)) {
	case BTF_KIND_INT:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_PTR:
	case BTF_KIND_FLOAT: return scalar(w, s, t);
	case BTF_KIND_ARRAY: return array(w, s, t);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: return composite(w, s, t);
	case BTF_KIND_DATASEC: return datasec(w, s, t);
	case BTF_KIND_VAR:
		s.id = t->type;
		s.depth++;
		return value(w, s);
	case BTF_KIND_UNKN: return nothing(w, s, "void");
	case BTF_KIND_FWD: return nothing(w, s, "incomplete");
	case BTF_KIND_FUNC:
	case BTF_KIND_FUNC_PROTO: return nothing(w, s, "function");
	default: return -EINVAL;
	}
}

int skep_value_walk(const struct skep_btf *btf, uint32_t id, const void *data, size_t len,
		    const struct skep_sink_ops *ops, void *sink)
{
	struct walk w = {btf, data, len, ops, sink, budget(len), false};

	return value(&w, (struct spot){.id = id, .rest = true});
}

int skep_value_walk_field(const struct skep_btf *btf, const struct skep_btf_column *column,
			  const void *data, size_t len, const struct skep_sink_ops *ops, void *sink)
{
	struct walk w = {btf, data, len, ops, sink, budget(len), false};

	return value(&w, (struct spot){.id = column->type,
				       .bit = column->bit_off,
				       .bits = column->bit_size,
				       .rest = column->rest});
}

int skep_btf_number(const struct skep_btf *btf, uint32_t type, uint32_t bit_off, uint32_t bit_size,
		    const void *data, size_t len, int64_t *out)
{
	const struct btf_type *t = skep_btf_resolve(btf, type, NULL);
	uint32_t bits, kind = t ? skep_btf_kind(t) : BTF_KIND_UNKN;
	uint64_t raw;

	if (kind == BTF_KIND_PTR)
		bits = skep_btf_ptr_size(btf) * 8;
	else if (t && (kind == BTF_KIND_INT || skep_btf_is_enum(t)) && t->size <= 8)
		bits = t->size * 8;
	else
		return -EINVAL;
	bits = bit_size ? bit_size : bits;
	if (!bits || bits > 64 || bit_off > len * 8ull || bits > len * 8ull - bit_off)
		return -EINVAL;
	raw = get_bits(data, bit_off, bits);
	*out = skep_btf_is_signed(btf, type) ? extend(raw, bits) : (int64_t)raw;
	return 0;
}
