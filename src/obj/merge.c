/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Linking objects: the order of things, and the sections.
 *
 * "license" and "version" are not joined but must be the same in all objects
 * that have them.
 */
#include "obj/merge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "obj/merge_int.h"

/* No compiler wants more for a section; it bounds what padding costs. */
#define MAX_ALIGN (1u << 20)
#define FLAGS	  (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR)

int skep_merge_create(struct skep_merge **merge, struct skep_log *log, struct skep_err *err)
{
	*merge = calloc(1, sizeof(**merge));
	if (!*merge)
		return skep_fail_nomem(err);
	(*merge)->log = log;
	return 0;
}

static void destroy_in(struct merge_in *in)
{
	skep_elf_close(&in->elf);
	skep_hash_deinit(&in->decls);
	skep_vec_deinit(&in->dead);
}

void skep_merge_destroy(struct skep_merge *m)
{
	struct merge_sec *sec;
	struct merge_in **in;

	if (!m)
		return;
	skep_vec_each (&m->ins, in)
		destroy_in(*in);
	skep_vec_each (&m->secs, sec) {
		skep_buf_deinit(&sec->data);
		skep_vec_deinit(&sec->rels);
		skep_vec_deinit(&sec->vars);
	}
	skep_vec_deinit(&m->ins);
	skep_vec_deinit(&m->secs);
	skep_vec_deinit(&m->syms);
	skep_hash_deinit(&m->by_name);
	skep_hash_deinit(&m->globals);
	skep_arena_deinit(&m->arena);
	free(m->btf);
	free(m->ext);
	free(m);
}

bool skep_merge_is_dead(const struct merge_in *in, uint32_t sec, uint64_t off)
{
	const struct merge_dead *d;

	skep_vec_each (&in->dead, d)
		if (d->sec == sec && off >= d->from && off < d->to)
			return true;
	return false;
}

/* What programs consist of; types are written anew, all else is for debuggers. */
static bool is_kept(const struct skep_elf_sec *sec)
{
	return (sec->type == SHT_PROGBITS || sec->type == SHT_NOBITS) &&
	       (sec->flags & (SHF_ALLOC | SHF_EXECINSTR)) && strcmp(sec->name, ".eh_frame") != 0;
}

static bool is_shared(const char *name)
{
	return !strcmp(name, "license") || !strcmp(name, "version");
}

static int match_section(struct skep_merge *m, const struct merge_sec *to, struct merge_in *in,
			 const struct skep_elf_sec *sec, struct skep_err *err)
{
	const char *first = m->ins.data[to->first]->name;
	const char *what = (to->flags ^ sec->flags) & SHF_EXECINSTR ? "instructions"
			   : to->type != sec->type		    ? "initial values"
								    : NULL;
	bool has = what && (*what == 'i' && what[2] == 's' ? to->flags & SHF_EXECINSTR
							   : to->type == SHT_PROGBITS);

	if (what)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "section '%s' holds %s in %s, but not in %s; give one of them "
				 "another name",
				 sec->name, what, has ? first : in->name, has ? in->name : first);
	return 0;
}

static int match_shared(struct skep_merge *m, const struct merge_sec *to, struct merge_in *in,
			const struct skep_elf_sec *sec, struct skep_err *err)
{
	const char *first = m->ins.data[to->first]->name;
	size_t a = strnlen(skep_buf_str(&to->data), to->data.len);
	size_t b = sec->data ? strnlen((const char *)sec->data, sec->size) : 0;

	if (!strcmp(sec->name, "license")) {
		if (a == b && (!a || !memcmp(to->data.data, sec->data, a)))
			return 0;
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "the license is '%.*s' in %s and '%.*s' in %s; programs of one "
				 "object have one license",
				 (int)(a < 64 ? a : 64), skep_buf_str(&to->data), first,
				 (int)(b < 64 ? b : 64), b ? (const char *)sec->data : "",
				 in->name);
	}
	if (to->size == sec->size && sec->data && !memcmp(to->data.data, sec->data, sec->size))
		return 0;
	return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
			 "section 'version' of %s is not the one of %s", in->name, first);
}

static int add_data(struct merge_sec *to, const struct skep_elf_sec *sec, uint64_t off,
		    struct skep_err *err)
{
	if (sec->type == SHT_PROGBITS) {
		while (to->data.len < off && !to->data.oom)
			skep_buf_putc(&to->data, '\0');
		if (sec->size)
			skep_buf_add(&to->data, sec->data, sec->size);
		if (to->data.oom)
			return skep_fail_nomem(err);
	}
	to->size = off + sec->size;
	return 0;
}

static struct merge_sec *find_section(struct skep_merge *m, const struct skep_elf_sec *sec,
				      uint32_t nr)
{
	uintptr_t at = (uintptr_t)skep_hash_gets(&m->by_name, sec->name);
	struct merge_sec *to;

	if (at)
		return &m->secs.data[at - 1];
	to = skep_vec_add(&m->secs);
	if (!to || skep_hash_sets(&m->by_name, sec->name, (void *)m->secs.len))
		return NULL;
	*to = (struct merge_sec){
		.name = sec->name, .type = sec->type, .align = 1, .sym = SKEP_NONE, .first = nr};
	to->flags = sec->flags & FLAGS;
	return to;
}

static int add_section(struct skep_merge *m, uint32_t nr, const struct skep_elf_sec *sec,
		       struct merge_place *place, struct skep_err *err)
{
	struct merge_in *in = m->ins.data[nr];
	uint64_t align = sec->align ? sec->align : 1, off;
	struct merge_sec *to;
	int ret;

	if (align & (align - 1) || align > MAX_ALIGN)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: section '%s' wants to be aligned to %llu bytes", in->name,
				 sec->name, (unsigned long long)align);
	if ((sec->flags & SHF_EXECINSTR) && sec->size % 8)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: section '%s' ends within an instruction", in->name,
				 sec->name);
	to = find_section(m, sec, nr);
	if (!to)
		return skep_fail_nomem(err);
	ret = match_section(m, to, in, sec, err);
	if (!ret && is_shared(sec->name) && to->size)
		return match_shared(m, to, in, sec, err);
	/* To the largest alignment so far: that is where bpftool puts it. */
	to->align = align > to->align ? align : to->align;
	off = (to->size + to->align - 1) & ~(to->align - 1);
	if (!ret && (off > INT32_MAX || sec->size > INT32_MAX - off))
		ret = skep_fail(err, SKEP_E_OBJ_INVALID, EFBIG,
				"%s: section '%s' of all objects together is larger than 2 GiB",
				in->name, sec->name);
	if (!ret)
		ret = add_data(to, sec, off, err);
	to->flags |= sec->flags & SHF_WRITE;
	*place = (struct merge_place){(uint32_t)(to - m->secs.data), off};
	return ret;
}

static int add_sections(struct skep_merge *m, uint32_t nr, struct skep_err *err)
{
	struct merge_in *in = m->ins.data[nr];
	size_t i;
	int ret = 0;

	in->secs = skep_arena_array(&m->arena, in->elf.secs.len, sizeof(*in->secs));
	if (!in->secs)
		return skep_fail_nomem(err);
	for (i = 0; i < in->elf.secs.len; i++)
		in->secs[i].sec = SKEP_NONE;
	for (i = 1; !ret && i < in->elf.secs.len; i++)
		if (is_kept(&in->elf.secs.data[i]))
			ret = add_section(m, nr, &in->elf.secs.data[i], &in->secs[i], err);
	return ret;
}

int skep_merge_add(struct skep_merge *m, const void *data, size_t len, const char *name,
		   struct skep_err *err)
{
	struct merge_in *in = skep_arena_new(&m->arena, struct merge_in);
	uint32_t nr = (uint32_t)m->ins.len;
	int ret;

	if (!in || skep_vec_push(&m->ins, in))
		return skep_fail_nomem(err);
	in->name = name;
	ret = skep_elf_open(&in->elf, data, len, name, m->log, err);
	if (!ret)
		ret = skep_elf_read_types(&in->elf, err);
	if (!ret)
		ret = add_sections(m, nr, err);
	if (!ret)
		ret = skep_merge_read_decls(m, in, err);
	if (!ret)
		ret = skep_merge_symbols(m, nr, err);
	if (in->elf.flags > m->flags)
		m->flags = in->elf.flags;
	return ret;
}

/* What nobody defined: it may be that another link does, so it is no failure. */
static void warn_undefined(const struct skep_merge *m)
{
	const struct merge_sym *sym;

	skep_vec_each (&m->syms, sym)
		if (sym->sec == SKEP_NONE && !sym->absolute && !sym->from &&
		    sym->bind == STB_GLOBAL)
			skep_warn(m->log, "'%s' is declared in %s, but no object defines it",
				  sym->name, m->ins.data[sym->in]->name);
}

int skep_merge_finish(struct skep_merge *m, void **data, size_t *len, struct skep_err *err)
{
	int ret;

	*data = NULL;
	*len = 0;
	skep_merge_bury(m);
	ret = skep_merge_relocations(m, err);
	if (!ret)
		ret = skep_merge_types(m, err);
	if (!ret)
		ret = skep_merge_write(m, data, len, err);
	if (!ret)
		warn_undefined(m);
	return ret;
}
