/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the target's types a local one may stand for: all of a fitting kind
 * whose names are equal but for flavours.  One walk of the target's headers
 * answers for all types asked so far; a bit for each pair of first characters
 * spares most comparisons of names.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf/core.h"
#include "btf/core_int.h"

struct skep_core *skep_core_create(const struct skep_btf *local, const struct skep_btf *target,
				   struct skep_err *err)
{
	struct skep_core *core = calloc(1, sizeof(*core));

	if (!core) {
		skep_fail_nomem(err);
		return NULL;
	}
	core->local = local;
	core->target = target;
	return core;
}

void skep_core_set_more(struct skep_core *core, const struct skep_btf *(*more)(void *ctx, size_t i),
			void *ctx)
{
	core->more = more;
	core->more_ctx = ctx;
}

void skep_core_destroy(struct skep_core *core)
{
	struct skep_core_cands *c;

	if (!core)
		return;
	skep_vec_each (&core->cands, c)
		skep_vec_deinit(&c->v);
	skep_vec_deinit(&core->cands);
	free(core);
}

bool skep_core_kinds_fit(const struct btf_type *a, const struct btf_type *b)
{
	return skep_btf_kind(a) == skep_btf_kind(b) || (skep_btf_is_enum(a) && skep_btf_is_enum(b));
}

bool skep_core_names_match(const char *local, const char *target)
{
	size_t len = skep_btf_essential_len(local);

	return skep_btf_essential_len(target) == len && !memcmp(local, target, len);
}

struct skep_core_cands *skep_core_cands(struct skep_core *core, uint32_t local_id)
{
	struct skep_core_cands *c;

	skep_vec_each (&core->cands, c) {
		if (c->local_id == local_id)
			return c;
	}
	return NULL;
}

/* What one walk looks for; first[] has a bit for each pair of first characters. */
struct search {
	struct skep_core *core;
	bool more; /* in the modules */
	uint32_t kinds; /* a bit each */
	uint8_t first[65536 / 8];
};

/* Modules are asked for what the kernel itself has nothing of. */
static bool is_open(const struct search *s, const struct skep_core_cands *c)
{
	return s->more ? c->walked && !c->walked_more : !c->walked;
}

static void search_add(struct search *s, const struct skep_core_cands *c)
{
	uint8_t a = (uint8_t)c->name[0], b = (uint8_t)(a ? c->name[1] : 0);

	s->kinds |= 1u << skep_btf_kind(c->type);
	if (skep_btf_is_enum(c->type))
		s->kinds |= 1u << BTF_KIND_ENUM | 1u << BTF_KIND_ENUM64;
	s->first[a << 5 | b >> 3] |= (uint8_t)(1 << (b & 7));
	/* "a" stands for "a___x" as well, and the other way round. */
	if (c->len == 1) {
		s->first[a << 5] |= 1;
		s->first[a << 5 | '_' >> 3] |= 1 << ('_' & 7);
	}
}

static int search_type(struct search *s, const struct skep_btf_iter *it)
{
	const char *name = skep_btf_str(it->btf, it->t->name_off);
	uint8_t a = (uint8_t)name[0], b;
	struct skep_core_cands *c;

	if (!a)
		return 0;
	b = (uint8_t)name[1];
	if (!(s->first[a << 5 | b >> 3] & (1 << (b & 7))))
		return 0;
	skep_vec_each (&s->core->cands, c) {
		/* The prefix first: it turns nearly all away, and costs least. */
		if (!is_open(s, c) || strncmp(name, c->name, c->len) ||
		    !skep_core_kinds_fit(c->type, it->t) || skep_btf_essential_len(name) != c->len)
			continue;
		if (skep_vec_push(&c->v, (struct skep_core_cand){it->btf, it->id}))
			return -ENOMEM;
		c->nr++;
	}
	return 0;
}

static int search_btf(struct search *s, const struct skep_btf *btf, struct skep_err *err)
{
	struct skep_btf_iter it = {.btf = btf, .own = s->more};

	while (skep_btf_next(&it)) {
		if (!it.t->name_off || !(s->kinds & 1u << skep_btf_kind(it.t)))
			continue;
		if (search_type(s, &it) < 0)
			return skep_fail_nomem(err);
	}
	return 0;
}

/* One walk for all lists that are still open. */
static int walk(struct skep_core *core, bool more, struct skep_err *err)
{
	struct search s = {.core = core, .more = more};
	const struct skep_btf *btf;
	struct skep_core_cands *c;
	bool any = false;
	int ret = 0;
	size_t i;

	skep_vec_each (&core->cands, c) {
		/* Without a name no type is anybody's counterpart. */
		if (more && (c->v.len || !c->len))
			c->walked_more = true;
		if (!is_open(&s, c))
			continue;
		search_add(&s, c);
		any = true;
	}
	if (!more && core->target)
		ret = search_btf(&s, core->target, err);
	for (i = 0; more && any && !ret && (btf = core->more(core->more_ctx, i)); i++)
		ret = search_btf(&s, btf, err);
	skep_vec_each (&core->cands, c) {
		c->walked = true;
		c->walked_more |= more;
	}
	return ret;
}

static int add_cands(struct skep_core *core, uint32_t local_id, struct skep_err *err)
{
	struct skep_core_cands c = {.local_id = local_id};

	if (skep_core_cands(core, local_id))
		return 0;
	c.type = skep_btf_type(core->local, local_id);
	if (!c.type)
		return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL,
				 "CO-RE relocation of type [%u], which does not exist", local_id);
	c.name = skep_btf_str(core->local, c.type->name_off);
	c.len = skep_btf_essential_len(c.name);
	if (skep_vec_push(&core->cands, c))
		return skep_fail_nomem(err);
	return 1;
}

int skep_core_prepare(struct skep_core *core, const struct bpf_core_relo *relos, size_t n,
		      struct skep_err *err)
{
	int ret = 0, found = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (relos[i].kind == BPF_CORE_TYPE_ID_LOCAL)
			continue;
		ret = add_cands(core, relos[i].type_id, err);
		if (ret < 0)
			return ret;
		found += ret;
	}
	if (!found)
		return 0;
	ret = walk(core, false, err);
	return ret == 0 && core->more ? walk(core, true, err) : ret;
}
