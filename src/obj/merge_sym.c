/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Symbols of several objects: what is local stays so, what is global is one
 * thing in all of them.  Rules of the ELF specification ("Symbol Table"): a
 * strong definition beats weak ones, the first weak one beats the others, a
 * declaration is weak only if all are; the visibility is the most constrained
 * one that anybody asked for, losers included.
 */
#include <errno.h>
#include <string.h>

#include "btf/btf.h"
#include "obj/merge_int.h"

static const char *in_name(const struct skep_merge *m, const struct merge_sym *sym)
{
	return m->ins.data[sym->in]->name;
}

static bool is_defined(const struct merge_sym *sym)
{
	return sym->sec != SKEP_NONE || sym->absolute;
}

/* INTERNAL, HIDDEN, PROTECTED, DEFAULT: from most to least constrained. */
static uint8_t constrain(uint8_t a, uint8_t b)
{
	if (a == STV_DEFAULT || b == STV_DEFAULT)
		return a == STV_DEFAULT ? b : a;
	return a < b ? a : b;
}

/* Symbol @i of object @nr as the result would have it; false: it goes with its section. */
static int place_symbol(struct skep_merge *m, uint32_t nr, size_t i, struct merge_sym *sym,
			bool *gone, struct skep_err *err)
{
	struct merge_in *in = m->ins.data[nr];
	const struct skep_elf_sym *es = &in->elf.syms.data[i];
	const struct skep_elf_sec *sec;

	*sym = (struct merge_sym){.name = es->name,
				  .bind = ELF64_ST_BIND(es->info),
				  .type = ELF64_ST_TYPE(es->info),
				  .vis = ELF64_ST_VISIBILITY(es->other),
				  .sec = SKEP_NONE,
				  .value = es->value,
				  .size = es->size,
				  .in = nr};
	*gone = false;
	if (sym->bind > STB_WEAK)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: symbol '%s' is neither local, global nor weak", in->name,
				 es->name);
	sym->absolute = es->shndx == SHN_ABS;
	if (es->shndx == SHN_COMMON)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: variable '%s' has no section; compile with -fno-common",
				 in->name, es->name);
	if (es->shndx == SHN_UNDEF || sym->absolute)
		return 0;
	if (es->shndx >= in->elf.secs.len)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: symbol '%s' is in section %u, which is not there", in->name,
				 es->name, es->shndx);
	sec = &in->elf.secs.data[es->shndx];
	*gone = in->secs[es->shndx].sec == SKEP_NONE;
	if (*gone)
		return 0;
	if (es->value > sec->size || es->size > sec->size - es->value)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: symbol '%s' lies outside of section '%s'", in->name, es->name,
				 sec->name);
	sym->sec = in->secs[es->shndx].sec;
	sym->value += in->secs[es->shndx].off;
	return 0;
}

/* What the types of its object say about @sym. */
static void describe(const struct skep_merge *m, struct merge_sym *sym)
{
	struct merge_in *in = m->ins.data[sym->in];
	const struct merge_decl *decl = skep_hash_gets(&in->decls, sym->name);
	const char *sec;

	if (!decl)
		return;
	sym->decl = decl->id;
	sec = decl->datasec ? skep_btf_name(merge_btf(in), decl->datasec) : "";
	if (!is_defined(sym) && !strcmp(sec, ".kconfig"))
		sym->from = ".kconfig";
	else if (!is_defined(sym) && !strcmp(sec, ".ksyms"))
		sym->from = ".ksyms";
}

static int check_origin(const struct skep_merge *m, const struct merge_sym *a,
			const struct merge_sym *b, struct skep_err *err)
{
	const struct merge_sym *kernels = a->from ? a : b, *other = a->from ? b : a;

	/* An object without types does not say where it expects something to come from. */
	if (a->from == b->from || (!other->decl && !is_defined(other)) ||
	    (a->from && b->from && !strcmp(a->from, b->from)))
		return 0;
	return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
			 "'%s' is the kernel's in %s (%s), but %s in %s", a->name,
			 in_name(m, kernels), kernels->from,
			 is_defined(other) ? "defined"
			 : other->from	   ? other->from
					   : "another object's",
			 in_name(m, other));
}

static bool is_map(const struct merge_in *in, const struct merge_decl *decl)
{
	return decl->datasec && !strcmp(skep_btf_name(merge_btf(in), decl->datasec), ".maps");
}

/* Both are to be the same thing: are they? */
static int check_types(const struct skep_merge *m, const struct merge_sym *a,
		       const struct merge_sym *b, struct skep_err *err)
{
	struct merge_in *x = m->ins.data[a->in], *y = m->ins.data[b->in];
	const struct merge_decl *da, *db;

	if (!a->decl || !b->decl)
		return 0;
	da = skep_hash_gets(&x->decls, a->name);
	db = skep_hash_gets(&y->decls, b->name);
	if (is_map(x, da) && is_map(y, db))
		return skep_merge_match_map(x, da->id, y, db->id, a->name, err);
	if (is_map(x, da) != is_map(y, db))
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "'%s' is a map in %s, but not in %s", a->name,
				 is_map(x, da) ? x->name : y->name,
				 is_map(x, da) ? y->name : x->name);
	return skep_merge_match(x, a->decl, y, b->decl, a->name, err);
}

/* The bytes that @sym, symbol @i of object @nr, defined are not used. */
static int lose(struct skep_merge *m, uint32_t nr, size_t i)
{
	struct merge_in *in = m->ins.data[nr];
	const struct skep_elf_sym *es = &in->elf.syms.data[i];
	struct merge_dead d = {es->shndx, es->value, es->value + es->size};

	return es->shndx < in->elf.secs.len && es->size ? skep_vec_push(&in->dead, d) : 0;
}

/* The symbol of object @nr that became symbol @at of the result. */
static size_t symbol_of(const struct skep_merge *m, uint32_t nr, uint32_t at)
{
	const struct merge_in *in = m->ins.data[nr];
	size_t i;

	for (i = 1; i < in->elf.syms.len; i++)
		if (in->syms[i] == at && in->elf.syms.data[i].shndx != SHN_UNDEF)
			return i;
	return 0;
}

/* Joins @sym, symbol @i of its object, with what the result has under that name. */
static int join(struct skep_merge *m, uint32_t at, struct merge_sym *sym, size_t i,
		struct skep_err *err)
{
	struct merge_sym *known = &m->syms.data[at];
	bool both = is_defined(known) && is_defined(sym);
	int ret;

	if (both && known->bind == STB_GLOBAL && sym->bind == STB_GLOBAL)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EEXIST,
				 "'%s' is defined in both %s and %s; make one of them static or "
				 "__weak, or give it another name",
				 sym->name, in_name(m, known), in_name(m, sym));
	ret = check_origin(m, known, sym, err);
	if (!ret)
		ret = check_types(m, known, sym, err);
	if (ret)
		return ret;
	known->vis = sym->vis = constrain(known->vis, sym->vis);
	if (both && sym->bind == STB_WEAK)
		return lose(m, sym->in, i) ? skep_fail_nomem(err) : 0;
	if (both && lose(m, known->in, symbol_of(m, known->in, at)))
		return skep_fail_nomem(err);
	if (is_defined(sym))
		*known = *sym;
	if (is_defined(known))
		return 0;
	if (sym->bind == STB_GLOBAL)
		known->bind = STB_GLOBAL;
	if (!known->decl) {
		known->decl = sym->decl;
		known->from = sym->from;
		known->in = sym->in;
	}
	return 0;
}

static int add_global(struct skep_merge *m, struct merge_sym *sym, size_t i, uint32_t *out,
		      struct skep_err *err)
{
	uintptr_t at = (uintptr_t)skep_hash_gets(&m->globals, sym->name);

	if (!*sym->name)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: global symbol %zu has no name", in_name(m, sym), i);
	describe(m, sym);
	if (at) {
		*out = (uint32_t)at - 1;
		return join(m, *out, sym, i, err);
	}
	*out = (uint32_t)m->syms.len;
	if (skep_vec_push(&m->syms, *sym) ||
	    skep_hash_sets(&m->globals, sym->name, (void *)m->syms.len))
		return skep_fail_nomem(err);
	return 0;
}

/* One symbol stands for each section. */
static int add_section_symbol(struct skep_merge *m, const struct merge_sym *sym, uint32_t *out)
{
	struct merge_sec *sec = &m->secs.data[sym->sec];
	struct merge_sym own = {
		.name = "", .bind = STB_LOCAL, .type = STT_SECTION, .sec = sym->sec, .in = sym->in};

	if (sec->sym == SKEP_NONE) {
		sec->sym = (uint32_t)m->syms.len;
		if (skep_vec_push(&m->syms, own))
			return -ENOMEM;
	}
	*out = sec->sym;
	return 0;
}

int skep_merge_symbols(struct skep_merge *m, uint32_t nr, struct skep_err *err)
{
	struct merge_in *in = m->ins.data[nr];
	struct merge_sym sym;
	bool gone;
	size_t i;
	int ret;

	in->syms = skep_arena_array(&m->arena, in->elf.syms.len, sizeof(*in->syms));
	if (!in->syms)
		return skep_fail_nomem(err);
	for (i = 0; i < in->elf.syms.len; i++)
		in->syms[i] = SKEP_NONE;
	for (i = 1; i < in->elf.syms.len; i++) {
		ret = place_symbol(m, nr, i, &sym, &gone, err);
		if (ret)
			return ret;
		if (gone || sym.type == STT_FILE)
			continue;
		if (sym.bind != STB_LOCAL) {
			ret = add_global(m, &sym, i, &in->syms[i], err);
			if (ret)
				return ret;
			continue;
		}
		if (!is_defined(&sym))
			continue;
		if (sym.type == STT_SECTION) {
			if (add_section_symbol(m, &sym, &in->syms[i]))
				return skep_fail_nomem(err);
			continue;
		}
		in->syms[i] = (uint32_t)m->syms.len;
		if (skep_vec_push(&m->syms, sym))
			return skep_fail_nomem(err);
	}
	return 0;
}

/* Symbol @i of @in is what the result has under its name. */
static bool is_alive(const struct skep_merge *m, uint32_t nr, size_t i)
{
	const struct merge_in *in = m->ins.data[nr];
	const struct skep_elf_sym *es = &in->elf.syms.data[i];
	uint8_t type = ELF64_ST_TYPE(es->info);

	if (type != STT_FUNC && type != STT_OBJECT)
		return false;
	return ELF64_ST_BIND(es->info) == STB_LOCAL ||
	       (in->syms[i] != SKEP_NONE && m->syms.data[in->syms[i]].in == nr);
}

static bool is_used(const struct skep_merge *m, uint32_t nr, const struct merge_dead *d)
{
	const struct merge_in *in = m->ins.data[nr];
	const struct skep_elf_sym *es;
	size_t i;

	for (i = 1; i < in->elf.syms.len; i++) {
		es = &in->elf.syms.data[i];
		if (es->shndx == d->sec && es->value < d->to && es->value + es->size > d->from &&
		    is_alive(m, nr, i))
			return true;
	}
	return false;
}

void skep_merge_bury(struct skep_merge *m)
{
	struct merge_in *in;
	uint32_t nr;
	size_t i, n;

	for (nr = 0; nr < m->ins.len; nr++) {
		in = m->ins.data[nr];
		for (i = n = 0; i < in->dead.len; i++)
			if (!is_used(m, nr, &in->dead.data[i]))
				in->dead.data[n++] = in->dead.data[i];
		in->dead.len = n;
	}
}
