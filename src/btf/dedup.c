/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deduplication by partition refinement.
 *
 * All types whose own words are equal (ids left out) start in one class.  A
 * class whose members refer to different classes is split; the largest part
 * keeps its number and only who refers to the others is looked at again, so
 * that a type is looked at O(log n) times (Hopcroft's argument; the algorithm
 * is the one of Jacobs and Wissmann, "Fast Coalgebraic Bisimilarity
 * Minimization", 2023).  Forward declarations are followed first on the guess
 * that the definitions of their name are one type; where it turns out wrong,
 * they are cut loose, which can only split classes further.
 */
#include "btf/dedup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/words.h"

#define NONE UINT32_MAX
/* Guesses are corrected that often, name by name; then all at once. */
#define ROUNDS 32

struct class
{
	uint32_t start, end; /* its types: order[start..end) */
	uint32_t dirty; /* order[start..dirty) wait to be looked at */
	bool queued;
};

/* The definitions and forward declarations of a name. */
struct group {
	uint32_t def; /* first definition, chained by `next`; NONE */
	uint32_t fwd; /* first declaration, chained by `next`; NONE */
};

struct key {
	uint64_t hash;
	uint32_t id;
};

struct dedup {
	const struct skep_btf *btf;
	struct skep_btf_writer *out;
	struct skep_arena arena;
	uint32_t n; /* types, with void */
	uint32_t *str, nr_str; /* by offset in `btf`: the string's in `out`, 0: not yet asked for */
	uint32_t *eoff, *edge; /* what type i refers to: edge[eoff[i]..eoff[i + 1]) */
	uint32_t *roff, *redge; /* what refers to type i */
	uint32_t *to; /* the type that stands for i: itself, or a declaration's definition */
	uint32_t *next; /* of the same group */
	uint32_t *fwds; /* declarations that i stands for: the first, chained by `next` */
	uint32_t *tag, *next_tag; /* declaration tags of i */
	uint32_t *cls, *order, *pos; /* class of i; types by class; where in it */
	struct key *keys;
	SKEP_VEC(struct class) classes;
	SKEP_VEC(uint32_t) queue;
	SKEP_VEC(uint32_t) label;
	SKEP_VEC(struct group) groups;
};

static uint32_t *numbers(struct dedup *d, size_t n)
{
	return skep_arena_array(&d->arena, n, sizeof(uint32_t));
}

/* Each string is looked up once: structs of many files have the same names. */
static uint32_t string(struct dedup *d, uint32_t off)
{
	if (off >= d->nr_str)
		return 0;
	if (!d->str[off])
		d->str[off] = skep_btf_writer_str(d->out, skep_btf_str(d->btf, off));
	return d->str[off];
}

static int bad_id(struct skep_err *err, uint32_t id)
{
	return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL,
			 "BTF: type [%u] refers to a type that is not there", id);
}

/* The graph, both ways. */
static int build_edges(struct dedup *d, struct skep_err *err)
{
	struct skep_btf_iter it = {.btf = d->btf};
	struct skep_btf_words w;
	uint32_t i, m = 0;

	while (skep_btf_next(&it)) {
		d->eoff[it.id] = m;
		for (w = skep_btf_words(it.t); skep_btf_word(&w);) {
			if (w.role != 'i')
				continue;
			if (*w.word >= d->n)
				return bad_id(err, it.id);
			d->roff[*w.word + 1]++;
			m++;
		}
	}
	d->eoff[d->n] = m;
	d->edge = numbers(d, m);
	d->redge = numbers(d, m);
	if (!d->edge || !d->redge)
		return skep_fail_nomem(err);
	for (i = 0; i < d->n; i++)
		d->roff[i + 1] += d->roff[i];
	it = (struct skep_btf_iter){.btf = d->btf};
	m = 0;
	while (skep_btf_next(&it)) {
		for (w = skep_btf_words(it.t); skep_btf_word(&w);) {
			if (w.role != 'i')
				continue;
			d->redge[d->roff[*w.word] + d->pos[*w.word]++] = it.id;
			d->edge[m++] = *w.word;
		}
		if (skep_btf_kind(it.t) == BTF_KIND_DECL_TAG) {
			d->next_tag[it.id] = d->tag[it.t->type];
			d->tag[it.t->type] = it.id;
		}
	}
	return 0;
}

static int cmp_pair(const void *a, const void *b)
{
	return memcmp(a, b, 2 * sizeof(uint32_t));
}

/* Everything about type @id but what it refers to, into d->label. */
static void make_label(struct dedup *d, uint32_t id, const struct btf_type *t)
{
	struct skep_btf_words w;
	const struct btf_type *tag;
	uint32_t k;
	size_t from;

	d->label.len = 0;
	for (w = skep_btf_words(t); skep_btf_word(&w);) {
		uint32_t val = *w.word;

		if (w.role == 'i')
			continue;
		if (w.role == 's')
			val = string(d, val);
		d->out->oom |= skep_vec_push(&d->label, val) < 0;
	}
	if (skep_btf_kind(t) == BTF_KIND_VAR && skep_btf_var(t)->linkage == BTF_VAR_STATIC)
		d->out->oom |= skep_vec_push(&d->label, id) < 0;
	from = d->label.len;
	for (k = d->tag[id]; k; k = d->next_tag[k]) {
		tag = skep_btf_type(d->btf, k);
		d->out->oom |= skep_vec_push(&d->label, string(d, tag->name_off)) < 0;
		d->out->oom |= skep_vec_push(&d->label,
					     (uint32_t)skep_btf_decl_tag(tag)->component_idx) < 0;
	}
	if (!d->out->oom && d->label.len - from > 2)
		qsort(d->label.data + from, (d->label.len - from) / 2, 8, cmp_pair);
}

/* d->cls: types with the same label. */
static int label_types(struct dedup *d, struct skep_err *err)
{
	SKEP_AUTO(skep_hash_deinit) struct skep_hash known = SKEP_HASH_INIT;
	struct skep_btf_iter it = {.btf = d->btf};
	struct class *c;
	uintptr_t at;
	size_t len;
	void *key;

	/* Class 0 is void's. */
	if (!skep_vec_add(&d->classes))
		return skep_fail_nomem(err);
	while (skep_btf_next(&it)) {
		make_label(d, it.id, it.t);
		if (d->out->oom)
			return skep_fail_nomem(err);
		len = d->label.len * 4;
		at = (uintptr_t)skep_hash_get(&known, d->label.data, len);
		if (!at) {
			at = d->classes.len;
			c = skep_vec_add(&d->classes);
			key = skep_arena_dup(&d->arena, d->label.data, len);
			if (!c || !key || skep_hash_set(&known, key, len, (void *)at))
				return skep_fail_nomem(err);
		}
		d->cls[it.id] = (uint32_t)at;
	}
	return 0;
}

/* Sorts the types by class; every class of more than one waits to be looked at. */
static int order_types(struct dedup *d)
{
	struct class *c;
	uint32_t i, sum = 0;

	for (i = 0; i < d->n; i++)
		d->classes.data[d->cls[i]].end++;
	skep_vec_each (&d->classes, c) {
		c->start = sum;
		sum += c->end;
		c->end = c->start;
	}
	for (i = 0; i < d->n; i++) {
		c = &d->classes.data[d->cls[i]];
		d->pos[i] = c->end;
		d->order[c->end++] = i;
	}
	skep_vec_each (&d->classes, c) {
		c->dirty = c->end - c->start > 1 ? c->end : c->start;
		c->queued = c->dirty != c->start;
		if (c->queued && skep_vec_push(&d->queue, (uint32_t)(c - d->classes.data)))
			return -ENOMEM;
	}
	return 0;
}

static bool is_fwd(const struct btf_type *t)
{
	return skep_btf_kind(t) == BTF_KIND_FWD || (skep_btf_is_enum(t) && !skep_btf_vlen(t));
}

/* What names are shared by: structs, unions, enums.  Other kinds: 0. */
static uint32_t name_space(const struct btf_type *t)
{
	if (skep_btf_kind(t) == BTF_KIND_FWD)
		return skep_btf_kflag(t) ? BTF_KIND_UNION : BTF_KIND_STRUCT;
	if (skep_btf_is_enum(t))
		return BTF_KIND_ENUM;
	return skep_btf_is_composite(t) ? skep_btf_kind(t) : 0;
}

static int group_names(struct dedup *d, struct skep_err *err)
{
	SKEP_AUTO(skep_hash_deinit) struct skep_hash known = SKEP_HASH_INIT;
	struct skep_btf_iter it = {.btf = d->btf};
	struct group *g;
	uint32_t key[2], *head;
	uintptr_t at;
	void *copy;

	while (skep_btf_next(&it)) {
		key[0] = name_space(it.t);
		key[1] = string(d, it.t->name_off);
		if (!key[0] || !key[1])
			continue;
		at = (uintptr_t)skep_hash_get(&known, key, sizeof(key));
		if (!at) {
			copy = skep_arena_dup(&d->arena, key, sizeof(key));
			g = skep_vec_add(&d->groups);
			at = d->groups.len;
			if (!copy || !g || skep_hash_set(&known, copy, sizeof(key), (void *)at))
				return skep_fail_nomem(err);
			g->def = g->fwd = NONE;
		}
		g = &d->groups.data[at - 1];
		head = is_fwd(it.t) ? &g->fwd : &g->def;
		d->next[it.id] = *head;
		*head = it.id;
	}
	return 0;
}

static bool defined_once(const struct dedup *d, const struct group *g)
{
	uint32_t i;

	for (i = g->def; i != NONE; i = d->next[i])
		if (d->cls[i] != d->cls[g->def])
			return false;
	return g->def != NONE;
}

/* Follows the declarations whose definitions look alike. */
static void guess_fwds(struct dedup *d)
{
	struct group *g;
	uint32_t i;

	skep_vec_each (&d->groups, g) {
		if (!defined_once(d, g))
			continue;
		for (i = g->fwd; i != NONE; i = d->next[i])
			d->to[i] = g->def;
		d->fwds[g->def] = g->fwd;
	}
}

static int mark(struct dedup *d, uint32_t id)
{
	struct class *c = &d->classes.data[d->cls[id]];
	uint32_t at = d->pos[id], other;

	if (c->end - c->start == 1 || at < c->dirty)
		return 0;
	other = d->order[c->dirty];
	d->order[at] = other;
	d->pos[other] = at;
	d->order[c->dirty] = id;
	d->pos[id] = c->dirty++;
	if (c->queued)
		return 0;
	c->queued = true;
	return skep_vec_push(&d->queue, d->cls[id]);
}

static int mark_users_of(struct dedup *d, uint32_t id)
{
	uint32_t i;
	int ret = 0;

	for (i = d->roff[id]; !ret && i < d->roff[id + 1]; i++)
		ret = mark(d, d->redge[i]);
	return ret;
}

static int mark_users(struct dedup *d, uint32_t id)
{
	int ret = mark_users_of(d, id);
	uint32_t i;

	for (i = d->fwds[id]; !ret && i != NONE; i = d->next[i])
		ret = mark_users_of(d, i);
	return ret;
}

static uint64_t hash_refs(const struct dedup *d, uint32_t id)
{
	uint64_t h = 0x9e3779b97f4a7c15ull;
	uint32_t i;

	for (i = d->eoff[id]; i < d->eoff[id + 1]; i++) {
		h = (h ^ d->cls[d->to[d->edge[i]]]) * 0xd6e8feb86659fd93ull;
		h ^= h >> 32;
	}
	return h >> 1;
}

/* Types of one class have as many references as each other: that is part of their label. */
static int cmp_refs(const struct dedup *d, uint32_t a, uint32_t b)
{
	uint32_t i, x, y, n = d->eoff[a + 1] - d->eoff[a];

	for (i = 0; i < n; i++) {
		x = d->cls[d->to[d->edge[d->eoff[a] + i]]];
		y = d->cls[d->to[d->edge[d->eoff[b] + i]]];
		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static int cmp_key(const void *a, const void *b, void *ctx)
{
	const struct key *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return cmp_refs(ctx, x->id, y->id);
}

static bool same_key(const struct dedup *d, const struct key *a, const struct key *b)
{
	return a->hash == b->hash && !cmp_refs(d, a->id, b->id);
}

/* Sorts what waits in @c by what it refers to; those like the rest of the class last. */
static void sort_dirty(struct dedup *d, struct class *c)
{
	uint32_t i, n = c->dirty - c->start, rest = c->dirty < c->end ? d->order[c->dirty] : NONE;
	uint64_t hash = rest == NONE ? 0 : hash_refs(d, rest);

	for (i = 0; i < n; i++) {
		struct key *k = &d->keys[i];

		k->id = d->order[c->start + i];
		k->hash = hash_refs(d, k->id);
		if (rest != NONE && k->hash == hash && !cmp_refs(d, k->id, rest))
			k->hash = UINT64_MAX;
	}
	qsort_r(d->keys, n, sizeof(*d->keys), cmp_key, d);
	for (i = 0; i < n; i++) {
		d->order[c->start + i] = d->keys[i].id;
		d->pos[d->keys[i].id] = c->start + i;
	}
}

/* Makes order[from..to) of class @old a class of its own. */
static int split_off(struct dedup *d, uint32_t from, uint32_t to)
{
	uint32_t i, at = (uint32_t)d->classes.len;
	struct class *c = skep_vec_add(&d->classes);

	if (!c)
		return -ENOMEM;
	*c = (struct class){from, to, from, false};
	for (i = from; i < to; i++)
		d->cls[d->order[i]] = at;
	return 0;
}

/* Where the part that starts at @from ends; the last one takes the rest of the class along. */
static uint32_t part_end(const struct dedup *d, const struct class *c, uint32_t from)
{
	uint32_t i, n = c->dirty - c->start;

	for (i = from - c->start + 1; i < n && same_key(d, &d->keys[i - 1], &d->keys[i]); i++)
		;
	if (i == n && d->keys[n - 1].hash == UINT64_MAX)
		return c->end;
	return c->start + i;
}

/*
 * Looks at class @at once.  Parts are told apart before the first of them gets
 * a number: a class may refer to itself.
 */
static int split(struct dedup *d, uint32_t at, uint32_t *ends)
{
	struct class c = d->classes.data[at];
	uint32_t i, k, from, nr = 0, best = 0, size = 0, first = (uint32_t)d->classes.len;
	int ret = 0;

	sort_dirty(d, &c);
	for (from = c.start; from < c.dirty; from = ends[nr++])
		ends[nr] = part_end(d, &c, from);
	if (from < c.end)
		ends[nr++] = c.end;
	for (i = 0, from = c.start; i < nr; from = ends[i++]) {
		if (ends[i] - from > size) {
			size = ends[i] - from;
			best = i;
		}
	}
	for (i = 0, from = c.start; !ret && i < nr; from = ends[i++]) {
		if (i != best)
			ret = split_off(d, from, ends[i]);
		else
			d->classes.data[at] = (struct class){from, ends[i], from, false};
	}
	/* Marking moves types about within their classes: not while walking one of those. */
	for (k = first; !ret && k < d->classes.len; k++) {
		c = d->classes.data[k];
		memcpy(ends, d->order + c.start, (c.end - c.start) * sizeof(*ends));
		for (i = 0; !ret && i < c.end - c.start; i++)
			ret = mark_users(d, ends[i]);
	}
	return ret;
}

static int refine(struct dedup *d)
{
	uint32_t *ends = numbers(d, d->n), at;
	int ret = ends ? 0 : -ENOMEM;

	while (!ret && d->queue.len) {
		at = d->queue.data[--d->queue.len];
		ret = split(d, at, ends);
	}
	return ret;
}

/* Cuts the declarations loose whose definitions differ, or all.  1: there were some. */
static int correct_fwds(struct dedup *d, bool all)
{
	struct group *g;
	int any = 0;
	uint32_t i;

	skep_vec_each (&d->groups, g) {
		if (g->fwd == NONE || d->to[g->fwd] == g->fwd || (!all && defined_once(d, g)))
			continue;
		any = 1;
		for (i = g->fwd; i != NONE; i = d->next[i]) {
			d->to[i] = i;
			if (mark_users_of(d, i))
				return -ENOMEM;
		}
	}
	return any;
}

static int find_classes(struct dedup *d)
{
	int ret = order_types(d), round;

	for (round = 0; !ret; round++) {
		bool wrong = false;
		struct group *g;

		ret = refine(d);
		skep_vec_each (&d->groups, g)
			wrong |= g->fwd != NONE && d->to[g->fwd] != g->fwd && !defined_once(d, g);
		if (ret || !wrong)
			return ret;
		ret = correct_fwds(d, round >= ROUNDS);
		ret = ret < 0 ? ret : 0;
	}
	return ret;
}

static void emit_type(struct dedup *d, const struct btf_type *t, const uint32_t *map)
{
	uint32_t id = skep_btf_writer_add(d->out, t, skep_btf_nr_words(t));
	uint32_t *to = (uint32_t *)skep_btf_writer_type(d->out, id);
	struct skep_btf_words w = skep_btf_words(t);

	for (; to && skep_btf_word(&w); to++) {
		if (w.role == 's')
			*to = string(d, *w.word);
		else if (w.role == 'i')
			*to = map[*w.word];
	}
}

/* Writes the first type of each class. */
static int emit(struct dedup *d, uint32_t *map, struct skep_err *err)
{
	uint32_t i, id = 0, *ids = numbers(d, d->classes.len);
	struct skep_btf_iter it = {.btf = d->btf};

	if (!ids)
		return skep_fail_nomem(err);
	for (i = 1; i < d->n; i++)
		if (d->to[i] == i && !ids[d->cls[i]])
			ids[d->cls[i]] = ++id;
	map[0] = 0;
	for (i = 1; i < d->n; i++)
		map[i] = ids[d->cls[d->to[i]]];
	while (skep_btf_next(&it)) {
		if (d->to[it.id] != it.id || map[it.id] != skep_btf_writer_nr(d->out))
			continue;
		emit_type(d, it.t, map);
	}
	return d->out->oom ? skep_fail_nomem(err) : 0;
}

static int alloc(struct dedup *d)
{
	size_t n = d->n + 1ul, len;
	struct btf_header h;
	uint32_t i;

	memcpy(&h, skep_btf_raw(d->btf, &len), sizeof(h));
	d->nr_str = h.str_len;
	d->str = numbers(d, h.str_len);
	d->eoff = numbers(d, n);
	d->roff = numbers(d, n);
	d->to = numbers(d, n);
	d->next = numbers(d, n);
	d->fwds = numbers(d, n);
	d->tag = numbers(d, n);
	d->next_tag = numbers(d, n);
	d->cls = numbers(d, n);
	d->order = numbers(d, n);
	d->pos = numbers(d, n);
	d->keys = skep_arena_array(&d->arena, n, sizeof(*d->keys));
	if (!d->str || !d->eoff || !d->roff || !d->to || !d->next || !d->fwds || !d->tag ||
	    !d->next_tag || !d->cls || !d->order || !d->pos || !d->keys)
		return -ENOMEM;
	for (i = 0; i < d->n; i++) {
		d->to[i] = i;
		d->fwds[i] = NONE;
	}
	return 0;
}

static int dedup(struct dedup *d, uint32_t *map, struct skep_err *err)
{
	int ret;

	if (alloc(d))
		return skep_fail_nomem(err);
	ret = build_edges(d, err);
	if (!ret)
		ret = label_types(d, err);
	if (!ret)
		ret = group_names(d, err);
	if (ret)
		return ret;
	guess_fwds(d);
	if (find_classes(d))
		return skep_fail_nomem(err);
	return emit(d, map, err);
}

int skep_btf_dedup(const struct skep_btf *btf, struct skep_btf_writer *out, uint32_t *map,
		   struct skep_err *err)
{
	struct dedup d = {.btf = btf, .out = out, .n = skep_btf_nr(btf)};
	int ret;

	if (skep_btf_base(btf) || !skep_btf_whole(btf))
		return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL,
				 "BTF: only whole BTF without a base can be deduplicated");
	ret = skep_btf_index(btf) ? skep_fail_nomem(err) : dedup(&d, map, err);
	skep_vec_deinit(&d.classes);
	skep_vec_deinit(&d.queue);
	skep_vec_deinit(&d.label);
	skep_vec_deinit(&d.groups);
	skep_arena_deinit(&d.arena);
	return ret;
}
