/* SPDX-License-Identifier: BSD-2-Clause */
#include "btf/write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf/words.h"

void skep_btf_writer_deinit(struct skep_btf_writer *w)
{
	skep_vec_deinit(&w->words);
	skep_vec_deinit(&w->at);
	skep_buf_deinit(&w->strs);
	skep_hash_deinit(&w->offs);
	skep_arena_deinit(&w->arena);
}

uint32_t skep_btf_writer_str(struct skep_btf_writer *w, const char *s)
{
	size_t len = strlen(s), off = w->strs.len ? w->strs.len : 1;
	void *known;
	char *key;

	if (!len)
		return 0;
	known = skep_hash_get(&w->offs, s, len);
	if (known)
		return (uint32_t)(uintptr_t)known;
	key = skep_arena_strndup(&w->arena, s, len);
	if (!key || skep_hash_set(&w->offs, key, len, (void *)off)) {
		w->oom = true;
		return 0;
	}
	if (!w->strs.len)
		skep_buf_putc(&w->strs, '\0');
	skep_buf_add(&w->strs, s, len + 1);
	return (uint32_t)off;
}

uint32_t skep_btf_writer_add(struct skep_btf_writer *w, const void *type, uint32_t n)
{
	if (w->oom || skep_vec_reserve(&w->words, n) ||
	    skep_vec_push(&w->at, (uint32_t)w->words.len)) {
		w->oom = true;
		return 0;
	}
	memcpy(w->words.data + w->words.len, type, n * 4ul);
	w->words.len += n;
	return (uint32_t)w->at.len;
}

uint32_t skep_btf_writer_copy(struct skep_btf_writer *w, const struct skep_btf *btf,
			      const struct btf_type *t, const uint32_t *map)
{
	uint32_t id = skep_btf_writer_add(w, t, skep_btf_nr_words(t));
	struct skep_btf_words it = skep_btf_words(t);
	uint32_t *to;

	if (!id)
		return 0;
	to = w->words.data + w->at.data[id - 1];
	for (; skep_btf_word(&it); to++) {
		if (it.role == 's')
			*to = skep_btf_writer_str(w, skep_btf_str(btf, *it.word));
		else if (it.role == 'i' && map)
			*to = map[*it.word];
	}
	return id;
}

struct btf_type *skep_btf_writer_type(struct skep_btf_writer *w, uint32_t id)
{
	return id && id <= w->at.len ? (struct btf_type *)(w->words.data + w->at.data[id - 1])
				     : NULL;
}

uint32_t skep_btf_writer_nr(const struct skep_btf_writer *w)
{
	return (uint32_t)w->at.len + 1;
}

int skep_btf_writer_finish(const struct skep_btf_writer *w, void **data, size_t *len,
			   struct skep_err *err)
{
	size_t types = w->words.len * 4, strs = w->strs.len ? w->strs.len : 1;
	struct btf_header h = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(h),
		.type_len = (uint32_t)types,
		.str_off = (uint32_t)types,
		.str_len = (uint32_t)strs,
	};
	char *out;

	*data = NULL;
	*len = 0;
	if (w->oom || w->strs.oom)
		return skep_fail_nomem(err);
	if (sizeof(h) + types + strs > UINT32_MAX || w->at.len > BTF_MAX_TYPE)
		return skep_fail(err, SKEP_E_BTF_INVALID, EFBIG,
				 "BTF: %zu types in %zu bytes are more than the format has room "
				 "for (%u types)",
				 w->at.len, types + strs, BTF_MAX_TYPE);
	out = malloc(sizeof(h) + types + strs);
	if (!out)
		return skep_fail_nomem(err);
	memcpy(out, &h, sizeof(h));
	if (types)
		memcpy(out + sizeof(h), w->words.data, types);
	out[sizeof(h) + types] = '\0';
	if (w->strs.len)
		memcpy(out + sizeof(h) + types, w->strs.data, strs);
	*data = out;
	*len = sizeof(h) + types + strs;
	return 0;
}
