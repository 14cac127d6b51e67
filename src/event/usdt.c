/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notes of static probes.
 * https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation
 */
#include "event/usdt.h"

#include <errno.h>
#include <gelf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/near.h"
#include "base/reader.h"
#include "event/symfile.h"

#define NOTE_TYPE 3

struct search {
	struct skep_symfile *file;
	const char *path, *provider, *name;
	unsigned int machine;
	bool relocatable;
	uint64_t base; /* of .stapsdt.base, 0: none */
	struct skep_usdt_places *places;
	struct skep_near near;
	struct skep_err *err;
};

/* A string with its NUL out of the note; NULL if it does not end in it. */
static const char *take_string(struct skep_reader *r)
{
	const char *s = (const char *)r->data + r->pos;
	size_t len = strnlen(s, skep_reader_left(r));

	return skep_reader_take(r, len + 1) ? s : NULL;
}

static bool find_symbol(void *ctx, const char *name, uint64_t *addr)
{
	struct search *s = ctx;

	return skep_symfile_addr_of(s->file, name, addr);
}

static int add_note(struct search *s, const void *desc, size_t len)
{
	struct skep_reader r = skep_reader_init(desc, len);
	const void *p = skep_reader_take(&r, 24);
	const char *provider = take_string(&r), *name, *args;
	struct skep_usdt_place place = {0};
	struct skep_usdt_site site;
	uint64_t at[3]; /* instruction, base, semaphore */
	char both[192];

	name = provider ? take_string(&r) : NULL;
	args = name ? take_string(&r) : NULL;
	if (!p || !args)
		return skep_fail(s->err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: a note in .note.stapsdt is cut short", s->path);
	snprintf(both, sizeof(both), "%s:%s", provider, name);
	skep_near_add(&s->near, both);
	if (strcmp(provider, s->provider) || strcmp(name, s->name))
		return 0;
	memcpy(at, p, sizeof(at));
	/* What prelinking moved. */
	if (s->base) {
		at[0] += s->base - at[1];
		at[2] += at[2] ? s->base - at[1] : 0;
	}
	place.addr = at[0];
	place.relocatable = s->relocatable;
	if (!skep_symfile_offset(s->file, at[0], &place.offset) ||
	    (at[2] && !skep_symfile_offset(s->file, at[2], &place.semaphore)))
		return skep_fail(s->err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: probe %s is at an address that is not in the file", s->path,
				 both);
	site = (struct skep_usdt_site){at[0], s->relocatable, find_symbol, s};
	if (skep_usdt_spec_parse(args, s->machine, &site, &place.spec, place.unread,
				 sizeof(place.unread), s->err) < 0)
		return skep_wrap(s->err, -EOPNOTSUPP, "%s: %s", s->path, both);
	return skep_vec_push(&s->places->v, place) < 0 ? skep_fail_nomem(s->err) : 0;
}

static int each_note(struct search *s, Elf_Scn *scn)
{
	Elf_Data *d = elf_getdata(scn, NULL);
	size_t pos = 0, name_off, desc_off;
	GElf_Nhdr nh;
	int ret = 0;

	while (d && ret == 0 && (pos = gelf_getnote(d, pos, &nh, &name_off, &desc_off)) > 0)
		if (nh.n_type == NOTE_TYPE && nh.n_namesz == sizeof("stapsdt") &&
		    !memcmp((char *)d->d_buf + name_off, "stapsdt", sizeof("stapsdt")))
			ret = add_note(s, (char *)d->d_buf + desc_off, nh.n_descsz);
	return ret;
}

static int search(struct search *s, Elf *elf)
{
	Elf_Scn *scn = NULL, *notes = NULL;
	const char *name;
	GElf_Ehdr eh;
	GElf_Shdr sh;
	size_t names;

	if (!gelf_getehdr(elf, &eh) || elf_getshdrstrndx(elf, &names) < 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64)
		return skep_fail(s->err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "%s: static probes are read from 64-bit ELF files", s->path);
	s->machine = eh.e_machine;
	s->relocatable = eh.e_type == ET_DYN;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || !(name = elf_strptr(elf, names, sh.sh_name)))
			continue;
		if (!strcmp(name, ".stapsdt.base"))
			s->base = sh.sh_addr;
		else if (!strcmp(name, ".note.stapsdt") && sh.sh_type == SHT_NOTE)
			notes = scn;
	}
	if (!notes)
		return skep_fail(s->err, SKEP_E_NOT_FOUND, ENOENT,
				 "%s: has no static probes (no .note.stapsdt)", s->path);
	return each_note(s, notes);
}

int skep_usdt_find(const char *path, const char *provider, const char *name,
		   struct skep_usdt_places *places, struct skep_err *err)
{
	struct skep_symfile file = {0};
	struct search s = {.file = &file,
			   .path = path,
			   .provider = provider,
			   .name = name,
			   .places = places,
			   .err = err};
	char both[192], text[400];
	int ret;

	snprintf(both, sizeof(both), "%s:%s", provider, name);
	skep_near_init(&s.near, both);
	ret = skep_symfile_open(&file, path, err);
	if (ret == 0)
		ret = search(&s, file.elf);
	skep_symfile_close(&file);
	if (ret == 0 && !places->v.len)
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "%s: no static probe %s%s", path,
				 both, skep_near_text(&s.near, text, sizeof(text)));
	return ret;
}
