/* SPDX-License-Identifier: BSD-2-Clause */
#include "btf/words.h"

/* The roles of a kind's words: of its header and what follows once, and of each element. */
static const struct {
	const char *once, *each;
} roles[NR_BTF_KINDS] = {
	[BTF_KIND_UNKN] = {"snn", ""},	    [BTF_KIND_INT] = {"snnn", ""},
	[BTF_KIND_PTR] = {"sni", ""},	    [BTF_KIND_ARRAY] = {"snniin", ""},
	[BTF_KIND_STRUCT] = {"snn", "sin"}, [BTF_KIND_UNION] = {"snn", "sin"},
	[BTF_KIND_ENUM] = {"snn", "sn"},    [BTF_KIND_FWD] = {"snn", ""},
	[BTF_KIND_TYPEDEF] = {"sni", ""},   [BTF_KIND_VOLATILE] = {"sni", ""},
	[BTF_KIND_CONST] = {"sni", ""},	    [BTF_KIND_RESTRICT] = {"sni", ""},
	[BTF_KIND_FUNC] = {"sni", ""},	    [BTF_KIND_FUNC_PROTO] = {"sni", "si"},
	[BTF_KIND_VAR] = {"snin", ""},	    [BTF_KIND_DATASEC] = {"snn", "inn"},
	[BTF_KIND_FLOAT] = {"snn", ""},	    [BTF_KIND_DECL_TAG] = {"snin", ""},
	[BTF_KIND_TYPE_TAG] = {"sni", ""},  [BTF_KIND_ENUM64] = {"snn", "snn"},
};

static uint32_t length(const char *s)
{
	uint32_t n = 0;

	while (s[n])
		n++;
	return n;
}

uint32_t skep_btf_nr_words(const struct btf_type *t)
{
	uint32_t kind = skep_btf_kind(t);
	/* A number of elements on a kind that has none means something else (FUNC: linkage). */
	uint32_t each = length(roles[kind].each);

	return length(roles[kind].once) + (each ? each * skep_btf_vlen(t) : 0);
}

struct skep_btf_words skep_btf_words(const struct btf_type *t)
{
	const uint32_t *w = (const uint32_t *)t;
	uint32_t kind = skep_btf_kind(t);

	return (struct skep_btf_words){
		.word = w - 1,
		.end = w + skep_btf_nr_words(t),
		.next = roles[kind].once,
		.each = roles[kind].each,
	};
}
