/* SPDX-License-Identifier: BSD-2-Clause */
/* Questions about single types: sizes, members, values.  All bounded by SKEP_BTF_DEPTH. */
#include <errno.h>
#include <string.h>

#include "btf/btf.h"
#include "btf/layout.h"

static bool is_qualifier(uint32_t kind)
{
	return kind == BTF_KIND_CONST || kind == BTF_KIND_VOLATILE || kind == BTF_KIND_RESTRICT ||
	       kind == BTF_KIND_TYPE_TAG;
}

int skep_btf_skip(const struct skep_btf *btf, uint32_t id, bool typedefs)
{
	const struct btf_type *t;
	uint32_t kind;
	int i;

	for (i = 0; i < SKEP_BTF_DEPTH; i++) {
		t = skep_btf_type(btf, id);
		if (!t)
			return -EINVAL;
		kind = skep_btf_kind(t);
		if (!is_qualifier(kind) && !(typedefs && kind == BTF_KIND_TYPEDEF))
			return (int)id;
		id = t->type;
	}
	return -EINVAL;
}

const struct btf_type *skep_btf_resolve(const struct skep_btf *btf, uint32_t id, uint32_t *id_out)
{
	int end = skep_btf_skip(btf, id, true);

	if (end < 0)
		return NULL;
	if (id_out)
		*id_out = (uint32_t)end;
	return skep_btf_type(btf, (uint32_t)end);
}

int64_t skep_btf_sizeof(const struct skep_btf *btf, uint32_t id)
{
	const struct btf_type *t;
	int64_t n = 1, size;
	int i;

	for (i = 0; i < SKEP_BTF_DEPTH; i++) {
		t = skep_btf_type(btf, id);
		if (!t)
			return -EINVAL;
		switch (skep_btf_kind(t)) {
		case BTF_KIND_INT:
		case BTF_KIND_STRUCT:
		case BTF_KIND_UNION:
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
		case BTF_KIND_FLOAT:
		case BTF_KIND_DATASEC: size = t->size; break;
		case BTF_KIND_PTR: size = skep_btf_ptr_size(btf); break;
		case BTF_KIND_ARRAY:
			if (__builtin_mul_overflow(n, (int64_t)skep_btf_array(t)->nelems, &n))
				return -EINVAL;
			id = skep_btf_array(t)->type;
			continue;
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_VAR:
		case BTF_KIND_DECL_TAG:
		case BTF_KIND_TYPE_TAG: id = t->type; continue;
		default: return -EINVAL;
		}
		return __builtin_mul_overflow(n, size, &n) ? -EINVAL : n;
	}
	return -EINVAL;
}

int skep_btf_alignof(const struct skep_btf *btf, uint32_t id)
{
	struct skep_layout lay = {.btf = btf, .budget = 1 << 16};

	if (skep_btf_sizeof(btf, id) < 0)
		return -EINVAL;
	id = skep_layout_align(&lay, id);
	return lay.budget ? (int)id : -EINVAL;
}

bool skep_btf_member(const struct skep_btf *btf, const struct btf_type *t, uint32_t i,
		     uint32_t *bit_off, uint32_t *bit_size)
{
	const struct btf_member *m;
	const struct btf_type *mt;
	uint32_t val;

	*bit_off = *bit_size = 0;
	if (!skep_btf_is_composite(t) || i >= skep_btf_vlen(t))
		return false;
	m = &skep_btf_members(t)[i];
	if (skep_btf_kflag(t)) {
		*bit_off = BTF_MEMBER_BIT_OFFSET(m->offset);
		*bit_size = BTF_MEMBER_BITFIELD_SIZE(m->offset);
		return true;
	}
	/* Before kind_flag, bit fields were integers of odd sizes. */
	*bit_off = m->offset;
	mt = skep_btf_resolve(btf, m->type, NULL);
	if (!mt || skep_btf_kind(mt) != BTF_KIND_INT)
		return true;
	val = skep_btf_int(mt);
	if (BTF_INT_BITS(val) == mt->size * 8 && !BTF_INT_OFFSET(val) && m->offset % 8 == 0)
		return true;
	*bit_off += BTF_INT_OFFSET(val);
	*bit_size = BTF_INT_BITS(val);
	return true;
}

static int field(const struct skep_btf *btf, uint32_t id, const char *name, uint32_t *bit_off,
		 uint32_t *bit_size, int depth, uint32_t *budget)
{
	const struct btf_type *t = skep_btf_resolve(btf, id, NULL);
	const struct btf_member *m;
	uint32_t i, off, bits;
	const char *s;
	int ret;

	if (!t || !skep_btf_is_composite(t) || depth > SKEP_BTF_DEPTH)
		return -ENOENT;
	m = skep_btf_members(t);
	for (i = 0; i < skep_btf_vlen(t) && *budget; i++) {
		--*budget;
		skep_btf_member(btf, t, i, &off, &bits);
		s = skep_btf_str(btf, m[i].name_off);
		if (!strcmp(s, name)) {
			*bit_off = off;
			*bit_size = bits;
			return (int)m[i].type;
		}
		if (*s)
			continue;
		ret = field(btf, m[i].type, name, bit_off, bit_size, depth + 1, budget);
		if (ret >= 0) {
			*bit_off += off;
			return ret;
		}
	}
	return -ENOENT;
}

int skep_btf_field(const struct skep_btf *btf, uint32_t id, const char *name, uint32_t *bit_off,
		   uint32_t *bit_size)
{
	uint32_t budget = 1 << 16;

	return *name ? field(btf, id, name, bit_off, bit_size, 0, &budget) : -ENOENT;
}

int64_t skep_btf_enum_value(const struct skep_btf *btf, const struct btf_type *t, uint32_t i,
			    const char **name)
{
	const struct btf_enum64 *e64 = skep_btf_enums64(t);
	const struct btf_enum *e = skep_btf_enums(t);

	if (!skep_btf_is_enum(t) || i >= skep_btf_vlen(t)) {
		*name = "";
		return 0;
	}
	if (skep_btf_kind(t) == BTF_KIND_ENUM64) {
		*name = skep_btf_str(btf, e64[i].name_off);
		return (int64_t)((uint64_t)e64[i].val_hi32 << 32 | e64[i].val_lo32);
	}
	*name = skep_btf_str(btf, e[i].name_off);
	return skep_btf_enum_signed(t) ? e[i].val : (int64_t)(uint32_t)e[i].val;
}

const char *skep_btf_enum_name(const struct skep_btf *btf, const struct btf_type *t, int64_t value)
{
	const char *name;
	uint32_t i;

	if (!skep_btf_is_enum(t))
		return NULL;
	for (i = 0; i < skep_btf_vlen(t); i++) {
		if (skep_btf_enum_value(btf, t, i, &name) == value)
			return name;
	}
	return NULL;
}

bool skep_btf_is_signed(const struct skep_btf *btf, uint32_t id)
{
	const struct btf_type *t = skep_btf_resolve(btf, id, NULL);

	if (!t)
		return false;
	if (skep_btf_kind(t) == BTF_KIND_INT)
		return BTF_INT_ENCODING(skep_btf_int(t)) & BTF_INT_SIGNED;
	return skep_btf_is_enum(t) && skep_btf_enum_signed(t);
}

bool skep_btf_is_char(const struct skep_btf *btf, uint32_t id)
{
	const struct btf_type *t = skep_btf_resolve(btf, id, NULL);

	if (!t || skep_btf_kind(t) != BTF_KIND_INT || t->size != 1)
		return false;
	if (BTF_INT_ENCODING(skep_btf_int(t)) & BTF_INT_CHAR)
		return true;
	/* clang and gcc mark plain char as signed 8-bit only; __u8 is "unsigned char". */
	return !strcmp(skep_btf_str(btf, t->name_off), "char");
}

/* "___" with neither another underscore before nor after it, and something on both sides. */
size_t skep_btf_essential_len(const char *name)
{
	size_t n = strlen(name), i;

	if (n < 5)
		return n;
	for (i = n - 4; i-- > 0;) {
		if (name[i] != '_' && !memcmp(name + i + 1, "___", 3) && name[i + 4] != '_')
			return i + 1;
	}
	return n;
}
