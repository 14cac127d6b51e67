/* SPDX-License-Identifier: BSD-2-Clause */
#include "btf/layout.h"

#include <errno.h>

static uint8_t look(struct skep_layout *lay, uint32_t id, uint32_t depth);

static uint32_t entry_align(uint8_t entry)
{
	return entry & SKEP_LAYOUT_ALIGN ? 1u << ((entry & SKEP_LAYOUT_ALIGN) - 1) : 1;
}

static uint8_t align_entry(uint32_t align)
{
	return (uint8_t)(__builtin_ctz(align) + 1);
}

/* A scalar of @size bytes: the next power of two, 16 at most. */
static uint8_t scalar(uint32_t size)
{
	uint32_t align = 1;

	while (align < size && align < 16)
		align *= 2;
	return align_entry(align);
}

/* True if a bit field cannot lie at @off without crossing its unit of @unit bits. */
static bool straddles(uint64_t off, uint32_t bits, uint64_t unit)
{
	return !unit || bits > unit || off / unit != (off + bits - 1) / unit;
}

static uint8_t composite(struct skep_layout *lay, const struct btf_type *t, uint32_t depth)
{
	const struct btf_member *m = skep_btf_members(t);
	uint32_t i, max = 1, align, off, bits;
	bool packed = false;
	int64_t size;

	for (i = 0; i < skep_btf_vlen(t); i++) {
		align = entry_align(look(lay, m[i].type, depth + 1));
		skep_btf_member(lay->btf, t, i, &off, &bits);
		max = align > max ? align : max;
		if (!bits) {
			packed |= off % (align * 8) != 0;
			continue;
		}
		size = skep_btf_sizeof(lay->btf, m[i].type);
		packed |= straddles(off, bits, size > 0 ? (uint64_t)size * 8 : 0);
	}
	packed |= t->size % max != 0;
	return packed ? SKEP_LAYOUT_PACKED | align_entry(1) : align_entry(max);
}

static uint8_t look_new(struct skep_layout *lay, uint32_t id, uint32_t depth)
{
	const struct btf_type *t = skep_btf_type(lay->btf, id);

	if (!t)
		return align_entry(1);
	switch (skep_btf_kind(t)) {
	case BTF_KIND_INT:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_FLOAT: return scalar(t->size);
	case BTF_KIND_PTR: return align_entry(8);
	case BTF_KIND_ARRAY: return look(lay, skep_btf_array(t)->type, depth + 1);
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_VAR:
	case BTF_KIND_TYPE_TAG: return look(lay, t->type, depth + 1);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION: return composite(lay, t, depth);
	default: return align_entry(1);
	}
}

static uint8_t look(struct skep_layout *lay, uint32_t id, uint32_t depth)
{
	uint8_t *memo = lay->memo && id < lay->nr ? &lay->memo[id] : NULL;
	uint8_t entry;

	if (memo && *memo)
		return *memo & SKEP_LAYOUT_BUSY ? align_entry(1) : *memo;
	if (depth > SKEP_BTF_DEPTH * 4 || !lay->budget)
		return align_entry(1);
	lay->budget--;
	if (memo)
		*memo = SKEP_LAYOUT_BUSY;
	entry = look_new(lay, id, depth);
	if (memo)
		*memo = entry;
	return entry;
}

uint32_t skep_layout_align(struct skep_layout *lay, uint32_t id)
{
	return entry_align(look(lay, id, 0));
}

bool skep_layout_packed(struct skep_layout *lay, uint32_t id)
{
	return look(lay, id, 0) & SKEP_LAYOUT_PACKED;
}

uint64_t skep_layout_place(struct skep_layout *lay, uint64_t cur, uint32_t id, uint32_t bits,
			   bool packed)
{
	int64_t size;

	if (!bits)
		return skep_layout_up(cur, packed ? 8 : skep_layout_align(lay, id) * 8ull);
	if (packed)
		return cur;
	size = skep_btf_sizeof(lay->btf, id);
	if (size <= 0 || !straddles(cur, bits, (uint64_t)size * 8))
		return cur;
	return skep_layout_up(cur, (uint64_t)size * 8);
}
