/* SPDX-License-Identifier: BSD-2-Clause */
#include "event/symfile.h"

#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define DEBUG_FOLDER "/usr/lib/debug/.build-id"

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

/* The build id's bytes, or NULL. */
static const unsigned char *build_id(Elf *elf, size_t *len)
{
	size_t name_off, desc_off, pos;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	GElf_Nhdr nh;
	Elf_Data *d;

	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_NOTE)
			continue;
		d = elf_getdata(scn, NULL);
		for (pos = 0; d && (pos = gelf_getnote(d, pos, &nh, &name_off, &desc_off)) > 0;) {
			if (nh.n_type != NT_GNU_BUILD_ID || nh.n_namesz != 4 ||
			    memcmp((char *)d->d_buf + name_off, "GNU", 4))
				continue;
			*len = nh.n_descsz;
			return (const unsigned char *)d->d_buf + desc_off;
		}
	}
	return NULL;
}

/* A missing debug file is no failure: the names of the file itself must do. */
static void open_debug(struct skep_symfile *f)
{
	char path[sizeof(DEBUG_FOLDER) + 160];
	const unsigned char *id;
	size_t len = 0, i, at;

	id = build_id(f->elf, &len);
	if (!id || len < 2 || len > 64)
		return;
	at = (size_t)snprintf(path, sizeof(path), "%s/%02x/", DEBUG_FOLDER, id[0]);
	for (i = 1; i < len; i++)
		at += (size_t)snprintf(path + at, sizeof(path) - at, "%02x", id[i]);
	snprintf(path + at, sizeof(path) - at, ".debug");
	if (skep_file_open(&f->debug_file, path, NULL) == 0)
		f->debug = elf_memory(f->debug_file.data, f->debug_file.len);
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
		open_debug(f);
	return ret;
}

void skep_symfile_close(struct skep_symfile *f)
{
	elf_end(f->elf);
	elf_end(f->debug);
	skep_file_close(&f->file);
	skep_file_close(&f->debug_file);
	skep_vec_deinit(&f->loads);
	f->elf = f->debug = NULL;
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
	t = (struct table){.elf = f->elf};
	t.scn = ret < 0 ? NULL : find_section(t.elf, SHT_SYMTAB, &t.sh);
	if (t.scn)
		return each_of(&t, fn, ctx);
	t.elf = f->debug;
	t.scn = ret < 0 || !t.elf ? NULL : find_section(t.elf, SHT_SYMTAB, &t.sh);
	return t.scn ? each_of(&t, fn, ctx) : ret;
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
