/* SPDX-License-Identifier: BSD-2-Clause */
/* .BTF.ext out of single records; see write.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf/write.h"

static const uint32_t rec_words[SKEP_EXT_NR] = {
	[SKEP_EXT_FUNC] = sizeof(struct bpf_func_info) / 4,
	[SKEP_EXT_LINE] = sizeof(struct bpf_line_info) / 4,
	[SKEP_EXT_CORE] = sizeof(struct bpf_core_relo) / 4,
};

void skep_btf_ext_writer_deinit(struct skep_btf_ext_writer *w)
{
	int kind;

	for (kind = 0; kind < SKEP_EXT_NR; kind++)
		skep_vec_deinit(&w->recs[kind]);
}

void skep_btf_ext_writer_add(struct skep_btf_ext_writer *w, enum skep_ext_kind kind, uint32_t sec,
			     const void *rec)
{
	struct skep_ext_record r = {.sec = sec};

	memcpy(r.words, rec, rec_words[kind] * 4);
	if (skep_vec_push(&w->recs[kind], r))
		w->oom = true;
}

static int cmp_record(const void *a, const void *b)
{
	const struct skep_ext_record *x = a, *y = b;

	if (x->sec != y->sec)
		return x->sec < y->sec ? -1 : 1;
	return x->words[0] < y->words[0] ? -1 : x->words[0] > y->words[0];
}

/* The records of one kind: their size, then a head for each section. */
static void put_kind(const struct skep_btf_ext_writer *w, int kind, struct skep_buf *out)
{
	const struct skep_ext_record *r = w->recs[kind].data;
	size_t i, k, n = w->recs[kind].len;
	uint32_t size = rec_words[kind] * 4, head[2];

	if (!n)
		return;
	skep_buf_add(out, &size, sizeof(size));
	for (i = 0; i < n; i = k) {
		for (k = i + 1; k < n && r[k].sec == r[i].sec; k++)
			;
		head[0] = r[i].sec;
		head[1] = (uint32_t)(k - i);
		skep_buf_add(out, head, sizeof(head));
		for (; i < k; i++)
			skep_buf_add(out, r[i].words, size);
	}
}

int skep_btf_ext_writer_finish(struct skep_btf_ext_writer *w, void **data, size_t *len,
			       struct skep_err *err)
{
	/* Magic, version and flags; the header's length; offset and length of each kind. */
	uint32_t header[2 + 2 * SKEP_EXT_NR] = {BTF_MAGIC | BTF_VERSION << 16, sizeof(header)};
	struct skep_buf out = SKEP_BUF_INIT;
	size_t any = 0, from;
	int kind;

	*data = NULL;
	*len = 0;
	skep_buf_add(&out, header, sizeof(header));
	for (kind = 0; kind < SKEP_EXT_NR; kind++) {
		any += w->recs[kind].len;
		if (w->recs[kind].len)
			qsort(w->recs[kind].data, w->recs[kind].len, sizeof(struct skep_ext_record),
			      cmp_record);
		from = out.len;
		put_kind(w, kind, &out);
		header[2 + 2 * kind] = (uint32_t)(from - sizeof(header));
		header[3 + 2 * kind] = (uint32_t)(out.len - from);
	}
	/* Its header has 32 bits for sizes. */
	if (w->oom || out.oom || out.len > UINT32_MAX) {
		skep_buf_deinit(&out);
		return skep_fail_nomem(err);
	}
	if (any) {
		memcpy(out.data, header, sizeof(header));
		*len = out.len;
		*data = skep_buf_take(&out);
	}
	skep_buf_deinit(&out);
	return 0;
}
