/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The types of the result: those of all objects in a row, a variable or
 * function that is one thing by name described once - by the object that
 * defines it -, DATASECs made anew from where the variables went; then
 * deduplicated.  .BTF.ext follows its instructions.
 *
 * Until deduplication `ids` lead from an object's ids to those of the row.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "btf/dedup.h"
#include "btf/words.h"
#include "obj/merge_int.h"

#define MAX_VLEN 0xffff

static bool is_named(const struct btf_type *t)
{
	if (skep_btf_kind(t) == BTF_KIND_VAR)
		return skep_btf_var(t)->linkage != BTF_VAR_STATIC;
	return skep_btf_kind(t) == BTF_KIND_FUNC && skep_btf_vlen(t) != BTF_FUNC_STATIC;
}

static bool is_extern(const struct btf_type *t)
{
	if (skep_btf_kind(t) == BTF_KIND_VAR)
		return skep_btf_var(t)->linkage == BTF_VAR_GLOBAL_EXTERN;
	return skep_btf_vlen(t) == BTF_FUNC_EXTERN;
}

/* Of two descriptions of a name in one object the one that is no declaration counts. */
static int add_decl(struct skep_merge *m, struct merge_in *in, uint32_t id,
		    const struct btf_type *t)
{
	const char *name = skep_btf_str(merge_btf(in), t->name_off);
	struct merge_decl *decl = skep_hash_gets(&in->decls, name);

	if (decl) {
		if (is_extern(skep_btf_type(merge_btf(in), decl->id)))
			decl->id = id;
		return 0;
	}
	decl = skep_arena_new(&m->arena, struct merge_decl);
	if (!decl)
		return -ENOMEM;
	decl->id = id;
	return skep_hash_sets(&in->decls, name, decl);
}

int skep_merge_read_decls(struct skep_merge *m, struct merge_in *in, struct skep_err *err)
{
	const struct skep_btf *btf = merge_btf(in);
	struct skep_btf_iter it = {.btf = btf};
	const struct btf_var_secinfo *vs;
	struct merge_decl *decl;
	uint32_t i;

	if (!btf)
		return 0;
	while (skep_btf_next(&it))
		if (is_named(it.t) && add_decl(m, in, it.id, it.t))
			return skep_fail_nomem(err);
	it = (struct skep_btf_iter){.btf = btf};
	while (skep_btf_next(&it)) {
		if (skep_btf_kind(it.t) != BTF_KIND_DATASEC)
			continue;
		vs = skep_btf_secinfos(it.t);
		for (i = 0; i < skep_btf_vlen(it.t); i++) {
			decl = skep_hash_gets(&in->decls, skep_btf_name(btf, vs[i].type));
			if (!decl || decl->id != vs[i].type)
				continue;
			decl->datasec = it.id;
			decl->info = vs[i];
		}
	}
	return 0;
}

/* -- the row */

/* The result's symbol that VAR or FUNC @t of @in describes, or NULL: it has none. */
static const struct merge_sym *symbol(const struct skep_merge *m, const struct merge_in *in,
				      uint32_t id, const struct btf_type *t)
{
	const char *name = skep_btf_str(merge_btf(in), t->name_off);
	const struct merge_decl *decl;
	uintptr_t at;

	if (!is_named(t))
		return NULL;
	decl = skep_hash_gets(&in->decls, name);
	at = (uintptr_t)skep_hash_gets(&m->globals, name);
	return at && decl && decl->id == id ? &m->syms.data[at - 1] : NULL;
}

/* The type id of @in for @sec: where its variables went; NULL if they are left out. */
static bool is_left_out(const struct merge_in *in, const char *sec)
{
	uint32_t i = skep_elf_find_sec(&in->elf, sec);

	return i && in->secs[i].sec == SKEP_NONE;
}

/* Appends what @in has that is described nowhere else. */
static int append(struct skep_merge *m, uint32_t nr, struct skep_btf_writer *row)
{
	struct merge_in *in = m->ins.data[nr];
	const struct skep_btf *btf = merge_btf(in);
	struct skep_btf_iter it = {.btf = btf};
	const struct merge_decl *decl;
	const struct merge_sym *sym;

	in->ids = skep_arena_array(&m->arena, skep_btf_nr(btf), sizeof(*in->ids));
	if (!in->ids)
		return -ENOMEM;
	while (skep_btf_next(&it)) {
		if (skep_btf_kind(it.t) == BTF_KIND_DATASEC)
			continue;
		sym = symbol(m, in, it.id, it.t);
		if (sym && sym->decl && sym->in != nr)
			continue;
		decl = is_named(it.t) ? skep_hash_gets(&in->decls, skep_btf_name(btf, it.id))
				      : NULL;
		if (decl && decl->datasec && is_left_out(in, skep_btf_name(btf, decl->datasec)))
			continue;
		in->ids[it.id] = skep_btf_writer_copy(row, btf, it.t, NULL);
	}
	return row->oom ? -ENOMEM : 0;
}

/* What another object describes gets that one's id. */
static void redirect(struct skep_merge *m, struct merge_in *in)
{
	struct skep_btf_iter it = {.btf = merge_btf(in)};
	const struct merge_sym *sym;

	while (skep_btf_next(&it)) {
		sym = in->ids[it.id] ? NULL : symbol(m, in, it.id, it.t);
		if (sym && sym->decl && m->ins.data[sym->in] != in)
			in->ids[it.id] = m->ins.data[sym->in]->ids[sym->decl];
	}
}

/* The row's types of @in refer to each other by ids of @in: until now. */
static void renumber(struct merge_in *in, struct skep_btf_writer *row, uint32_t from, uint32_t to)
{
	struct skep_btf_words w;

	for (; from < to; from++)
		for (w = skep_btf_words(skep_btf_writer_type(row, from)); skep_btf_word(&w);)
			if (w.role == 'i')
				*(uint32_t *)w.word = in->ids[*w.word];
}

static int make_row(struct skep_merge *m, struct skep_btf_writer *row)
{
	uint32_t *first = skep_arena_array(&m->arena, m->ins.len + 1, sizeof(*first)), i;

	if (!first)
		return -ENOMEM;
	for (i = 0; i < m->ins.len; i++) {
		first[i] = skep_btf_writer_nr(row);
		if (merge_btf(m->ins.data[i]) && append(m, i, row))
			return -ENOMEM;
	}
	first[i] = skep_btf_writer_nr(row);
	for (i = 0; i < m->ins.len; i++) {
		if (!merge_btf(m->ins.data[i]))
			continue;
		redirect(m, m->ins.data[i]);
		renumber(m->ins.data[i], row, first[i], first[i + 1]);
	}
	return 0;
}

/* -- sections of variables */

/* What is listed for the kernel to provide, or for another object: no section has it. */
struct outside {
	const char *name;
	SKEP_VEC(struct btf_var_secinfo) vars;
};

struct outsides {
	SKEP_VEC(struct outside) all;
};

static struct outside *find_outside(const struct outsides *outs, const char *name)
{
	struct outside *out;

	skep_vec_each (&outs->all, out)
		if (!strcmp(out->name, name))
			return out;
	return NULL;
}

static struct outside *outside(struct outsides *outs, const char *name)
{
	struct outside *out = find_outside(outs, name);

	if (out)
		return out;
	out = skep_vec_add(&outs->all);
	if (out)
		out->name = name;
	return out;
}

/* Variable @vs of DATASEC @name of object @nr, if it is this object's to describe. */
static int place_var(struct skep_merge *m, uint32_t nr, const char *name,
		     const struct btf_var_secinfo *vs, struct outsides *outs)
{
	struct merge_in *in = m->ins.data[nr];
	const struct btf_type *t = skep_btf_type(merge_btf(in), vs->type);
	struct btf_var_secinfo to = {in->ids[vs->type], vs->offset, vs->size};
	const struct merge_sym *sym = symbol(m, in, vs->type, t);
	uint32_t sec = skep_elf_find_sec(&in->elf, name);
	struct outside *out;

	if (!to.type || (sym && sym->in != nr) || (is_named(t) && !is_extern(t) && !sym))
		return 0;
	if ((sym && sym->sec == SKEP_NONE) || is_extern(t)) {
		out = outside(outs, name);
		to.offset = 0;
		return out ? skep_vec_push(&out->vars, to) : -ENOMEM;
	}
	if (!sec || in->secs[sec].sec == SKEP_NONE || skep_merge_is_dead(in, sec, vs->offset))
		return 0;
	to.offset = sym ? (uint32_t)sym->value : vs->offset + (uint32_t)in->secs[sec].off;
	sec = sym ? sym->sec : in->secs[sec].sec;
	return skep_vec_push(&m->secs.data[sec].vars, to);
}

static int place_vars(struct skep_merge *m, uint32_t nr, struct outsides *outs)
{
	const struct skep_btf *btf = merge_btf(m->ins.data[nr]);
	struct skep_btf_iter it = {.btf = btf};
	const struct btf_var_secinfo *vs;
	uint32_t i;

	while (skep_btf_next(&it)) {
		if (skep_btf_kind(it.t) != BTF_KIND_DATASEC)
			continue;
		vs = skep_btf_secinfos(it.t);
		for (i = 0; i < skep_btf_vlen(it.t); i++)
			if (place_var(m, nr, skep_btf_str(btf, it.t->name_off), &vs[i], outs))
				return -ENOMEM;
	}
	return 0;
}

static int cmp_var(const void *a, const void *b)
{
	const struct btf_var_secinfo *x = a, *y = b;

	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return x->type < y->type ? -1 : x->type > y->type;
}

/* The kernel and who links again measure them; what is only declared has no place. */
static int check_vars(const char *name, uint64_t size, const struct btf_var_secinfo *vars, size_t n,
		      struct skep_err *err)
{
	size_t i;

	for (i = 0; size && i < n; i++)
		if (vars[i].offset > size || vars[i].size > size - vars[i].offset)
			return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL,
					 "a variable at %u of section '%s' has %u bytes, but the "
					 "section ends at %llu",
					 vars[i].offset, name, vars[i].size,
					 (unsigned long long)size);
	return 0;
}

static int add_datasec(struct skep_btf_writer *row, const char *name, uint64_t size,
		       struct btf_var_secinfo *vars, size_t n, struct skep_err *err)
{
	SKEP_AUTO_FREE uint32_t *words = NULL;

	if (!n)
		return 0;
	if (n > MAX_VLEN)
		return skep_fail(err, SKEP_E_BTF_INVALID, EFBIG,
				 "section '%s' has %zu variables; %u are the most that BTF can "
				 "describe",
				 name, n, MAX_VLEN);
	if (check_vars(name, size, vars, n, err))
		return -EINVAL;
	words = malloc(12 + n * sizeof(*vars));
	if (!words)
		return skep_fail_nomem(err);
	qsort(vars, n, sizeof(*vars), cmp_var);
	words[0] = skep_btf_writer_str(row, name);
	words[1] = BTF_KIND_DATASEC << 24 | (uint32_t)n;
	words[2] = (uint32_t)size;
	memcpy(words + 3, vars, n * sizeof(*vars));
	return skep_btf_writer_add(row, words, 3 + 3 * (uint32_t)n) ? 0 : skep_fail_nomem(err);
}

static int add_datasecs(struct skep_merge *m, struct skep_btf_writer *row, struct outsides *outs,
			struct skep_err *err)
{
	struct merge_sec *sec;
	struct outside *out;
	uint32_t i;
	int ret = 0;

	for (i = 0; i < m->ins.len; i++)
		if (merge_btf(m->ins.data[i]) && place_vars(m, i, outs))
			return skep_fail_nomem(err);
	skep_vec_each (&m->secs, sec) {
		/* A map that is only declared is listed with those that are there. */
		out = find_outside(outs, sec->name);
		for (i = 0; out && i < out->vars.len; i++) {
			if (sec->size && out->vars.data[i].size > sec->size)
				out->vars.data[i].size = (uint32_t)sec->size;
			if (skep_vec_push(&sec->vars, out->vars.data[i]))
				return skep_fail_nomem(err);
		}
		if (out)
			out->vars.len = 0;
		ret = add_datasec(row, sec->name, sec->size, sec->vars.data, sec->vars.len, err);
		if (ret)
			return ret;
	}
	skep_vec_each (&outs->all, out) {
		ret = add_datasec(row, out->name, 0, out->vars.data, out->vars.len, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* -- .BTF.ext */

static void move_record(const struct skep_merge *m, const struct merge_in *in,
			const struct skep_btf_ext_iter *it, struct skep_btf_writer *types,
			struct skep_btf_ext_writer *ext)
{
	uint32_t sec = skep_elf_find_sec(&in->elf, it->sec_name), name, n;
	const struct skep_btf *btf = merge_btf(in);
	struct bpf_core_relo core = it->core;
	struct bpf_func_info func = it->func;
	struct bpf_line_info line = it->line;
	const struct merge_place *place = &in->secs[sec];

	/* All kinds begin with the offset. */
	if (!sec || place->sec == SKEP_NONE || func.insn_off >= in->elf.secs.data[sec].size ||
	    skep_merge_is_dead(in, sec, func.insn_off))
		return;
	name = skep_btf_writer_str(types, m->secs.data[place->sec].name);
	n = skep_btf_nr(btf);
	switch (it->kind) {
	case SKEP_EXT_FUNC:
		func.insn_off += (uint32_t)place->off;
		func.type_id = func.type_id < n ? in->ids[func.type_id] : 0;
		if (func.type_id)
			skep_btf_ext_writer_add(ext, it->kind, name, &func);
		break;
	case SKEP_EXT_LINE:
		line.insn_off += (uint32_t)place->off;
		line.file_name_off =
			skep_btf_writer_str(types, skep_btf_str(btf, line.file_name_off));
		line.line_off = skep_btf_writer_str(types, skep_btf_str(btf, line.line_off));
		skep_btf_ext_writer_add(ext, it->kind, name, &line);
		break;
	default:
		core.insn_off += (uint32_t)place->off;
		core.type_id = core.type_id < n ? in->ids[core.type_id] : 0;
		core.access_str_off =
			skep_btf_writer_str(types, skep_btf_str(btf, core.access_str_off));
		skep_btf_ext_writer_add(ext, SKEP_EXT_CORE, name, &core);
	}
}

static int move_records(const struct skep_merge *m, const struct merge_in *in,
			struct skep_btf_writer *types, struct skep_btf_ext_writer *out,
			struct skep_err *err)
{
	const struct skep_elf_sec *sec =
		&in->elf.secs.data[skep_elf_find_sec(&in->elf, ".BTF.ext")];
	struct skep_btf_ext ext;
	int ret, kind;

	if (!sec->data || !merge_btf(in))
		return 0;
	ret = skep_btf_ext_open(&ext, sec->data, sec->size, merge_btf(in), err);
	if (ret)
		return skep_wrap(err, ret, "%s", in->name);
	for (kind = 0; kind < SKEP_EXT_NR; kind++) {
		struct skep_btf_ext_iter it = {.ext = &ext, .kind = kind};

		while (skep_btf_ext_next(&it))
			move_record(m, in, &it, types, out);
	}
	return 0;
}

/* -- the whole */

/* The row, deduplicated into @types; then `ids` lead there. */
static int dedup(struct skep_merge *m, const struct skep_btf_writer *row,
		 struct skep_btf_writer *types, struct skep_err *err)
{
	SKEP_AUTO_FREE uint32_t *map = NULL;
	struct skep_btf *btf = NULL;
	struct merge_in **in;
	void *data;
	size_t len;
	uint32_t i;
	int ret;

	ret = skep_btf_writer_finish(row, &data, &len, err);
	if (!ret)
		ret = skep_btf_open_raw(&btf, data, len, SKEP_BTF_TAKE, NULL, err);
	if (ret)
		return ret;
	map = calloc(skep_btf_nr(btf), sizeof(*map));
	ret = map ? skep_btf_dedup(btf, types, map, err) : skep_fail_nomem(err);
	skep_btf_destroy(btf);
	skep_vec_each (&m->ins, in)
		for (i = 0; !ret && (*in)->ids && i < skep_btf_nr(merge_btf(*in)); i++)
			(*in)->ids[i] = map[(*in)->ids[i]];
	return ret;
}

static int make_types(struct skep_merge *m, struct skep_btf_writer *row,
		      struct skep_btf_writer *types, struct skep_btf_ext_writer *ext,
		      struct outsides *outs, struct skep_err *err)
{
	struct merge_in **in;
	int ret;

	if (make_row(m, row))
		return skep_fail_nomem(err);
	ret = add_datasecs(m, row, outs, err);
	if (!ret)
		ret = dedup(m, row, types, err);
	skep_vec_each (&m->ins, in)
		if (!ret)
			ret = move_records(m, *in, types, ext, err);
	if (!ret && skep_btf_writer_nr(types) > 1)
		ret = skep_btf_writer_finish(types, &m->btf, &m->btf_len, err);
	if (!ret && m->btf)
		ret = skep_btf_ext_writer_finish(ext, &m->ext, &m->ext_len, err);
	return ret;
}

int skep_merge_types(struct skep_merge *m, struct skep_err *err)
{
	struct skep_btf_writer row = {0}, types = {0};
	struct skep_btf_ext_writer ext = {0};
	struct outsides outs = {0};
	struct outside *out;
	int ret;

	ret = make_types(m, &row, &types, &ext, &outs, err);
	skep_btf_writer_deinit(&row);
	skep_btf_writer_deinit(&types);
	skep_btf_ext_writer_deinit(&ext);
	skep_vec_each (&outs.all, out)
		skep_vec_deinit(&out->vars);
	skep_vec_deinit(&outs.all);
	return ret;
}
