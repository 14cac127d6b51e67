/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A linked object as an ELF file: sections, their relocations, types, symbols
 * with the local ones first, names.  libelf writes to descriptors only; the
 * one it gets here is of memory, so that a full disk is met by whoever writes
 * the finished file.
 */
#include <errno.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "obj/merge_int.h"

#define EM_BPF_NR 247

struct out {
	struct skep_merge *m;
	Elf *elf;
	struct skep_buf names; /* of symbols and sections */
	Elf64_Sym *syms;
	uint32_t nr_syms, nr_locals;
	bool *used; /* by symbol of the result: a relocation needs it */
	SKEP_VEC(Elf64_Rel *) rels;
	size_t symtab; /* index of the section */
};

static int fail_file(const char *why, struct skep_err *err)
{
	return skep_fail(err, SKEP_E_SYSTEM, EIO, "the linked object cannot be written: %s", why);
}

static int bad(struct skep_err *err)
{
	return fail_file(elf_errmsg(-1), err);
}

static uint32_t add_name(struct out *o, const char *name)
{
	uint32_t at = (uint32_t)o->names.len;

	if (!*name)
		return 0;
	skep_buf_add(&o->names, name, strlen(name) + 1);
	return at;
}

/* A new section of @size bytes of @data, which stay until the file is written. */
static Elf_Scn *add_section(struct out *o, const Elf64_Shdr *head, const void *data, size_t size,
			    Elf_Type type)
{
	Elf_Scn *scn = elf_newscn(o->elf);
	Elf64_Shdr *sh = scn ? elf64_getshdr(scn) : NULL;
	Elf_Data *d = sh ? elf_newdata(scn) : NULL;

	if (!d)
		return NULL;
	d->d_buf = (void *)data;
	d->d_size = size;
	d->d_type = type;
	d->d_align = head->sh_addralign;
	*sh = *head;
	return scn;
}

/* Labels that nothing refers to are left behind. */
static bool is_wanted(const struct out *o, const struct merge_sym *sym)
{
	return sym->type != STT_NOTYPE || sym->bind != STB_LOCAL || o->used[sym - o->m->syms.data];
}

static void add_symbols(struct out *o, bool local)
{
	struct merge_sym *sym;
	Elf64_Sym *es;

	skep_vec_each (&o->m->syms, sym) {
		if ((sym->bind == STB_LOCAL) != local || !is_wanted(o, sym))
			continue;
		sym->index = o->nr_syms;
		es = &o->syms[o->nr_syms++];
		es->st_name = add_name(o, sym->name);
		es->st_info = ELF64_ST_INFO(sym->bind, sym->type);
		es->st_other = sym->vis;
		es->st_value = sym->value;
		es->st_size = sym->size;
		/* Sections are written in their order, behind the empty one. */
		es->st_shndx = sym->absolute	       ? SHN_ABS
			       : sym->sec == SKEP_NONE ? SHN_UNDEF
						       : (Elf64_Section)(sym->sec + 1);
	}
}

static int make_symbols(struct out *o)
{
	const struct merge_sec *sec;
	const struct merge_rel *r;

	o->syms = calloc(o->m->syms.len + 1, sizeof(*o->syms));
	o->used = calloc(o->m->syms.len + 1, sizeof(*o->used));
	if (!o->syms || !o->used)
		return -ENOMEM;
	skep_vec_each (&o->m->secs, sec)
		skep_vec_each (&sec->rels, r)
			o->used[r->sym] = true;
	o->nr_syms = 1;
	add_symbols(o, true);
	o->nr_locals = o->nr_syms;
	add_symbols(o, false);
	return 0;
}

static int add_contents(struct out *o, struct skep_err *err)
{
	const struct merge_sec *sec;

	skep_vec_each (&o->m->secs, sec) {
		Elf64_Shdr sh = {
			.sh_name = add_name(o, sec->name),
			.sh_type = sec->type,
			.sh_flags = sec->flags,
			.sh_addralign = sec->align,
			.sh_size = sec->size,
		};

		if (!add_section(o, &sh, sec->data.data, sec->size, ELF_T_BYTE))
			return bad(err);
	}
	return 0;
}

static int cmp_rel(const void *a, const void *b)
{
	const Elf64_Rel *x = a, *y = b;

	return x->r_offset < y->r_offset ? -1 : x->r_offset > y->r_offset;
}

static int add_relocations(struct out *o, uint32_t nr, struct skep_err *err)
{
	const struct merge_sec *sec = &o->m->secs.data[nr];
	size_t i, n = sec->rels.len;
	const struct merge_rel *r = sec->rels.data;
	Elf64_Rel *all = calloc(n, sizeof(*all));
	Elf64_Shdr sh = {
		.sh_name = (uint32_t)o->names.len,
		.sh_type = SHT_REL,
		.sh_flags = SHF_INFO_LINK,
		.sh_info = nr + 1,
		.sh_link = (uint32_t)o->symtab,
		.sh_entsize = sizeof(*all),
		.sh_addralign = 8,
	};

	if (!all || skep_vec_push(&o->rels, all)) {
		free(all);
		return skep_fail_nomem(err);
	}
	for (i = 0; i < n; i++)
		all[i] = (Elf64_Rel){
			r[i].off,
			ELF64_R_INFO((uint64_t)o->m->syms.data[r[i].sym].index, r[i].type)};
	qsort(all, n, sizeof(*all), cmp_rel);
	skep_buf_puts(&o->names, ".rel");
	add_name(o, sec->name);
	return add_section(o, &sh, all, n * sizeof(*all), ELF_T_REL) ? 0 : bad(err);
}

static int add_types(struct out *o, const char *name, const void *data, size_t len,
		     struct skep_err *err)
{
	Elf64_Shdr sh = {.sh_type = SHT_PROGBITS, .sh_addralign = 4};

	if (!len)
		return 0;
	sh.sh_name = add_name(o, name);
	return add_section(o, &sh, data, len, ELF_T_BYTE) ? 0 : bad(err);
}

static int add_tables(struct out *o, struct skep_err *err)
{
	Elf64_Shdr sh = {
		.sh_name = add_name(o, ".symtab"),
		.sh_type = SHT_SYMTAB,
		.sh_info = o->nr_locals,
		.sh_link = (uint32_t)o->symtab + 1,
		.sh_entsize = sizeof(*o->syms),
		.sh_addralign = 8,
	};

	if (!add_section(o, &sh, o->syms, o->nr_syms * sizeof(*o->syms), ELF_T_SYM))
		return bad(err);
	sh = (Elf64_Shdr){.sh_type = SHT_STRTAB, .sh_addralign = 1};
	sh.sh_name = add_name(o, ".strtab");
	if (o->names.oom)
		return skep_fail_nomem(err);
	return add_section(o, &sh, o->names.data, o->names.len, ELF_T_BYTE) ? 0 : bad(err);
}

static int make_header(struct out *o, struct skep_err *err)
{
	Elf64_Ehdr *eh = elf64_newehdr(o->elf);

	if (!eh)
		return bad(err);
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_type = ET_REL;
	eh->e_machine = EM_BPF_NR;
	eh->e_version = EV_CURRENT;
	eh->e_flags = o->m->flags;
	eh->e_shstrndx = (Elf64_Half)(o->symtab + 1);
	return 0;
}

/* The number of the symbol table: behind contents, relocations and types. */
static size_t count_sections(const struct skep_merge *m)
{
	size_t n = 1 + m->secs.len + !!m->btf_len + !!m->ext_len;
	const struct merge_sec *sec;

	skep_vec_each (&m->secs, sec)
		n += sec->rels.len != 0;
	return n;
}

static int make_file(struct out *o, struct skep_err *err)
{
	uint32_t i;
	int ret;

	o->symtab = count_sections(o->m);
	if (o->symtab + 1 >= SHN_LORESERVE)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EFBIG,
				 "the objects have more than %u sections together", SHN_LORESERVE);
	skep_buf_putc(&o->names, '\0');
	ret = make_header(o, err);
	if (!ret && make_symbols(o))
		ret = skep_fail_nomem(err);
	if (!ret)
		ret = add_contents(o, err);
	for (i = 0; !ret && i < o->m->secs.len; i++)
		if (o->m->secs.data[i].rels.len)
			ret = add_relocations(o, i, err);
	if (!ret)
		ret = add_types(o, ".BTF", o->m->btf, o->m->btf_len, err);
	if (!ret)
		ret = add_types(o, ".BTF.ext", o->m->ext, o->m->ext_len, err);
	if (!ret)
		ret = add_tables(o, err);
	if (!ret && elf_update(o->elf, ELF_C_WRITE) < 0)
		ret = bad(err);
	return ret;
}

static int read_back(int fd, void **data, size_t *len, struct skep_err *err)
{
	off_t size = lseek(fd, 0, SEEK_END);

	*data = size > 0 ? malloc((size_t)size) : NULL;
	if (!*data)
		return skep_fail_nomem(err);
	*len = (size_t)size;
	if (pread(fd, *data, *len, 0) == size)
		return 0;
	free(*data);
	*data = NULL;
	return fail_file("it is gone from memory", err);
}

int skep_merge_write(struct skep_merge *m, void **data, size_t *len, struct skep_err *err)
{
	SKEP_AUTO_CLOSE int fd = memfd_create("skep link", MFD_CLOEXEC);
	struct out o = {.m = m};
	Elf64_Rel **rel;
	int ret;

	if (fd < 0)
		return fail_file(strerror(errno), err);
	o.elf = elf_begin(fd, ELF_C_WRITE, NULL);
	ret = o.elf ? make_file(&o, err) : bad(err);
	if (o.elf)
		elf_end(o.elf);
	if (!ret)
		ret = read_back(fd, data, len, err);
	skep_vec_each (&o.rels, rel)
		free(*rel);
	skep_vec_deinit(&o.rels);
	skep_buf_deinit(&o.names);
	free(o.syms);
	free(o.used);
	return ret;
}
