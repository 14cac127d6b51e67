/* SPDX-License-Identifier: BSD-2-Clause */
#include "event/symfile.h"

#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/symdebug.h"

static int read_loads(struct skep_symfile *f, const char *path, struct skep_err *err)
{
	size_t i, n;
	GElf_Phdr ph;

	if (elf_getphdrnum(f->elf, &n) < 0)
		n = 0;
	for (i = 0; i < n; i++) {
		if (!gelf_getphdr(f->elf, (int)i, &ph) || ph.p_type != PT_LOAD)
			continue;
		if (skep_vec_push(&f->loads,
				  (struct skep_symload){ph.p_offset, ph.p_vaddr, ph.p_filesz}) < 0)
			return skep_fail_nomem(err);
	}
	if (!f->loads.len)
		return skep_fail(err, SKEP_E_ELF_INVALID, ENOEXEC,
				 "%s: neither a program nor a library (nothing is loaded from it)",
				 path);
	return 0;
}

int skep_symfile_open(struct skep_symfile *f, const char *path, struct skep_err *err)
{
	int ret;

	*f = (struct skep_symfile){0};
	elf_version(EV_CURRENT);
	ret = skep_file_open(&f->file, path, err);
	if (ret < 0)
		return ret;
	if (f->file.len >= SELFMAG && !memcmp(f->file.data, ELFMAG, SELFMAG))
		f->elf = elf_memory(f->file.data, f->file.len);
	if (!f->elf || elf_kind(f->elf) != ELF_K_ELF)
		return skep_fail(err, SKEP_E_ELF_INVALID, ENOEXEC, "%s: not an ELF file", path);
	ret = read_loads(f, path, err);
	if (ret == 0)
		skep_symdebug_open(f, path);
	return ret;
}

void skep_symfile_close(struct skep_symfile *f)
{
	elf_end(f->elf);
	elf_end(f->debug);
	elf_end(f->mini);
	free(f->mini_data);
	skep_file_close(&f->file);
	skep_file_close(&f->debug_file);
	skep_vec_deinit(&f->loads);
	f->elf = f->debug = f->mini = NULL;
	f->mini_data = NULL;
}

/* A symbol table with what names its versions. */
struct table {
	Elf *elf;
	Elf_Scn *scn;
	GElf_Shdr sh;
	Elf_Data *versym, *verdef;
	size_t verdef_strings;
};

static Elf_Scn *find_section(Elf *elf, uint32_t type, GElf_Shdr *sh)
{
	Elf_Scn *scn = NULL;

	while ((scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, sh) && sh->sh_type == type)
			return scn;
	return NULL;
}

static void find_versions(struct table *t)
{
	GElf_Shdr sh = {0};
	Elf_Scn *scn;

	scn = find_section(t->elf, SHT_GNU_versym, &sh);
	t->versym = scn ? elf_getdata(scn, NULL) : NULL;
	scn = find_section(t->elf, SHT_GNU_verdef, &sh);
	t->verdef = scn ? elf_getdata(scn, NULL) : NULL;
	t->verdef_strings = sh.sh_link;
}

/* The name of version @index among those the file defines. */
static const char *version_name(const struct table *t, unsigned int index)
{
	GElf_Verdaux aux;
	GElf_Verdef def;
	int off = 0;

	while (t->verdef && gelf_getverdef(t->verdef, off, &def)) {
		if (def.vd_ndx == index)
			return gelf_getverdaux(t->verdef, off + (int)def.vd_aux, &aux)
				       ? elf_strptr(t->elf, t->verdef_strings, aux.vda_name)
				       : NULL;
		/* Only forwards, so that a crafted chain ends. */
		if (!def.vd_next || def.vd_next > INT32_MAX - (uint32_t)off)
			return NULL;
		off += (int)def.vd_next;
	}
	return NULL;
}

static int each_of(struct table *t, int (*fn)(void *ctx, const struct skep_symfile_sym *sym),
		   void *ctx)
{
	Elf_Data *d = elf_getdata(t->scn, NULL);
	size_t i, n = t->sh.sh_entsize ? t->sh.sh_size / t->sh.sh_entsize : 0;
	struct skep_symfile_sym sym;
	GElf_Versym version;
	GElf_Sym es;
	int ret = 0;

	for (i = 1; d && i < n && ret >= 0; i++) {
		if (!gelf_getsym(d, (int)i, &es))
			break;
		sym = (struct skep_symfile_sym){
			.addr = es.st_value,
			.size = es.st_size,
			.bind = GELF_ST_BIND(es.st_info),
			.type = GELF_ST_TYPE(es.st_info),
		};
		if (es.st_shndx == SHN_UNDEF || !es.st_value ||
		    (sym.type != STT_FUNC && sym.type != STT_GNU_IFUNC))
			continue;
		sym.name = elf_strptr(t->elf, t->sh.sh_link, es.st_name);
		if (!sym.name || !sym.name[0])
			continue;
		if (t->versym && gelf_getversym(t->versym, (int)i, &version)) {
			sym.hidden = version & 0x8000;
			/* 0 and 1: local and global without a version. */
			if ((version & 0x7fff) > 1)
				sym.version = version_name(t, version & 0x7fff);
		}
		ret = fn(ctx, &sym);
	}
	return ret;
}

/* The table with all names: the file's own, or what was put aside when it was stripped. */
static bool find_full(struct skep_symfile *f, struct table *t)
{
	Elf *const places[] = {f->elf, f->debug};
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(places); i++) {
		*t = (struct table){.elf = places[i]};
		t->scn = t->elf ? find_section(t->elf, SHT_SYMTAB, &t->sh) : NULL;
		if (t->scn)
			return true;
	}
	*t = (struct table){.elf = skep_symdebug_mini(f)};
	t->scn = t->elf ? find_section(t->elf, SHT_SYMTAB, &t->sh) : NULL;
	return t->scn != NULL;
}

int skep_symfile_each(struct skep_symfile *f,
		      int (*fn)(void *ctx, const struct skep_symfile_sym *sym), void *ctx)
{
	struct table t = {.elf = f->elf};
	int ret = 0;

	t.scn = find_section(t.elf, SHT_DYNSYM, &t.sh);
	if (t.scn) {
		find_versions(&t);
		ret = each_of(&t, fn, ctx);
	}
	if (ret >= 0 && find_full(f, &t))
		ret = each_of(&t, fn, ctx);
	return ret;
}

static bool find_name(struct table *t, const char *want, uint64_t *addr)
{
	Elf_Data *d = elf_getdata(t->scn, NULL);
	size_t i, n = t->sh.sh_entsize ? t->sh.sh_size / t->sh.sh_entsize : 0;
	const char *name;
	GElf_Sym es;

	for (i = 1; d && i < n && gelf_getsym(d, (int)i, &es); i++) {
		if (es.st_shndx == SHN_UNDEF || !es.st_value ||
		    (GELF_ST_TYPE(es.st_info) != STT_OBJECT &&
		     GELF_ST_TYPE(es.st_info) != STT_FUNC))
			continue;
		name = elf_strptr(t->elf, t->sh.sh_link, es.st_name);
		if (name && !strcmp(name, want)) {
			*addr = es.st_value;
			return true;
		}
	}
	return false;
}

bool skep_symfile_addr_of(struct skep_symfile *f, const char *name, uint64_t *addr)
{
	struct table t;

	if (find_full(f, &t) && find_name(&t, name, addr))
		return true;
	t = (struct table){.elf = f->elf};
	t.scn = find_section(t.elf, SHT_DYNSYM, &t.sh);
	return t.scn && find_name(&t, name, addr);
}

bool skep_symfile_offset(const struct skep_symfile *f, uint64_t addr, uint64_t *offset)
{
	const struct skep_symload *l;

	skep_vec_each (&f->loads, l) {
		if (addr < l->vaddr || addr - l->vaddr >= l->size)
			continue;
		*offset = addr - l->vaddr + l->offset;
		return true;
	}
	return false;
}

bool skep_symfile_addr(const struct skep_symfile *f, uint64_t offset, uint64_t *addr)
{
	const struct skep_symload *l;

	skep_vec_each (&f->loads, l) {
		if (offset < l->offset || offset - l->offset >= l->size)
			continue;
		*addr = offset - l->offset + l->vaddr;
		return true;
	}
	return false;
}
