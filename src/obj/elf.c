/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a compiled object: sections, symbols, functions, licence, types.
 *
 * The bytes are untrusted.  libelf finds sections and strings; whatever it
 * hands out is measured again against what the section header claims, and
 * nothing of the file is followed by pointer.  A function is what a STT_FUNC
 * symbol in an executable section covers; those in a program's section that
 * are not static are programs.
 */
#include "obj/elf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "isa/uapi.h"

#define EM_BPF_NR 247

bool skep_elf_is_code(const struct skep_elf_sec *sec)
{
	return sec->type == SHT_PROGBITS && (sec->flags & SHF_EXECINSTR);
}

uint32_t skep_elf_find_sec(const struct skep_elf *elf, const char *name)
{
	uint32_t i;

	for (i = 1; i < elf->secs.len; i++)
		if (!strcmp(elf->secs.data[i].name, name))
			return i;
	return 0;
}

const struct skep_elf_func *skep_elf_func_at(const struct skep_elf *elf, uint32_t sec,
					     uint64_t insn)
{
	size_t lo = 0, hi = elf->funcs.len, mid;
	const struct skep_elf_func *f;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		f = &elf->funcs.data[mid];
		if (f->sec < sec || (f->sec == sec && (uint64_t)f->start + f->nr <= insn))
			lo = mid + 1;
		else
			hi = mid;
	}
	f = lo < elf->funcs.len ? &elf->funcs.data[lo] : NULL;
	return f && f->sec == sec && f->start <= insn ? f : NULL;
}

bool skep_elf_rel_at(const struct skep_elf_sec *sec, uint64_t i, struct skep_elf_rel *rel)
{
	bool rela = sec->type == SHT_RELA;
	uint64_t size = rela ? sizeof(Elf64_Rela) : sizeof(Elf64_Rel);
	Elf64_Rela r = {0};

	if (!sec->data || i >= sec->size / size)
		return false;
	memcpy(&r, sec->data + i * size, size);
	*rel = (struct skep_elf_rel){r.r_offset, ELF64_R_TYPE(r.r_info), ELF64_R_SYM(r.r_info),
				     rela, r.r_addend};
	return true;
}

bool skep_elf_put_addend(struct bpf_insn *insn, int64_t addend)
{
	/* llvm_reloc.rst: a call's field is (S + A) / 8 - 1. */
	if (insn->code == (BPF_JMP | BPF_CALL)) {
		if (addend % 8)
			return false;
		addend = addend / 8 - 1;
	}
	insn->imm = (int32_t)addend;
	return insn->imm == addend;
}

static int check_header(Elf *elf, const char *name, uint32_t *flags, struct skep_err *err)
{
	size_t len;
	const char *ident = elf_rawfile(elf, &len);
	Elf64_Ehdr eh;

	if (elf_kind(elf) != ELF_K_ELF || !ident || len < sizeof(eh))
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL, "%s: is not an ELF object", name);
	if (ident[EI_CLASS] != ELFCLASS64)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: is a 32-bit ELF file; BPF objects are 64-bit", name);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: is big-endian; compile with -target bpfel", name);
	memcpy(&eh, ident, sizeof(eh));
	if (eh.e_type != ET_REL || (eh.e_machine != EM_BPF_NR && eh.e_machine != EM_NONE))
		return skep_fail(
			err, SKEP_E_ELF_INVALID, EINVAL,
			"%s: is a program for another kind of machine (ELF machine %u), not a BPF "
			"object (compile one with `skep cc`, or clang -target bpf -g -O2 -c)",
			name, eh.e_machine);
	*flags = eh.e_flags;
	return 0;
}

/* The bytes of @sec, all of them or an error. */
static int read_data(struct skep_elf *elf, struct skep_elf_sec *sec, struct skep_err *err)
{
	Elf_Data *data;

	if (sec->type == SHT_NOBITS || sec->type == SHT_NULL || !sec->size)
		return 0;
	data = elf_rawdata(sec->scn, NULL);
	if (!data || !data->d_buf || data->d_size < sec->size)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: section '%s' reaches beyond the end of the file",
				 elf->obj->name, sec->name);
	sec->data = data->d_buf;
	return 0;
}

/* Debug information is neither needed nor touched: most of a file is never read. */
static bool is_wanted(const struct skep_elf_sec *sec)
{
	if (sec->type == SHT_SYMTAB || sec->type == SHT_REL || sec->type == SHT_RELA)
		return true;
	if (!strncmp(sec->name, ".debug_", 7) && !(sec->flags & (SHF_ALLOC | SHF_EXECINSTR)))
		return false;
	return sec->type == SHT_PROGBITS;
}

static int read_sections(struct skep_elf *elf, struct skep_err *err)
{
	struct skep_elf_sec *sec;
	const Elf64_Shdr *at;
	Elf64_Shdr sh = {0};
	Elf_Scn *scn = NULL;
	size_t shstr;
	int ret;

	if (elf_getshdrstrndx(elf->elf, &shstr))
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL, "%s: has no section names",
				 elf->obj->name);
	if (!skep_vec_add(&elf->secs))
		return skep_fail_nomem(err);
	elf->secs.data[0].name = "";
	elf->secs.data[0].map = SKEP_NONE;
	while ((scn = elf_nextscn(elf->elf, scn))) {
		at = elf64_getshdr(scn);
		if (at) /* libelf hands it out where the file has it, at any alignment */
			memcpy(&sh, at, sizeof(sh));
		sec = skep_vec_add(&elf->secs);
		if (!sec)
			return skep_fail_nomem(err);
		sec->name = at ? elf_strptr(elf->elf, shstr, sh.sh_name) : NULL;
		if (!sec->name)
			return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
					 "%s: section %zu has no readable header or name",
					 elf->obj->name, elf->secs.len - 1);
		sec->scn = scn;
		sec->type = sh.sh_type;
		sec->flags = sh.sh_flags;
		sec->link = sh.sh_link;
		sec->info = sh.sh_info;
		sec->size = sh.sh_size;
		sec->align = sh.sh_addralign;
		sec->map = SKEP_NONE;
		if (!is_wanted(sec))
			continue;
		if (sec->flags & SHF_COMPRESSED)
			return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
					 "%s: section '%s' is compressed", elf->obj->name,
					 sec->name);
		ret = read_data(elf, sec, err);
		if (ret)
			return ret;
	}
	return 0;
}

static int read_symbols(struct skep_elf *elf, struct skep_err *err)
{
	const struct skep_elf_sec *tab = NULL;
	struct skep_elf_sym *sym;
	Elf64_Sym es;
	size_t i, n;

	for (i = 1; i < elf->secs.len; i++) {
		if (elf->secs.data[i].type != SHT_SYMTAB)
			continue;
		if (tab)
			return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
					 "%s: has more than one symbol table", elf->obj->name);
		tab = &elf->secs.data[i];
	}
	if (!tab)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: has no symbol table (was it stripped?)", elf->obj->name);
	n = tab->size / sizeof(es);
	if (skep_vec_reserve(&elf->syms, n))
		return skep_fail_nomem(err);
	for (i = 0; i < n; i++) {
		memcpy(&es, tab->data + i * sizeof(es), sizeof(es));
		sym = skep_vec_add(&elf->syms);
		if (!sym)
			return skep_fail_nomem(err);
		sym->name = elf_strptr(elf->elf, tab->link, es.st_name);
		if (!sym->name)
			return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
					 "%s: symbol %zu has no readable name", elf->obj->name, i);
		sym->info = es.st_info;
		sym->other = es.st_other;
		sym->shndx = es.st_shndx;
		sym->value = es.st_value;
		sym->size = es.st_size;
		if (ELF64_ST_TYPE(sym->info) == STT_SECTION && !*sym->name &&
		    sym->shndx < elf->secs.len)
			sym->name = elf->secs.data[sym->shndx].name;
	}
	return 0;
}

static int cmp_func(const void *a, const void *b)
{
	const struct skep_elf_func *x = a, *y = b;

	if (x->sec != y->sec)
		return x->sec < y->sec ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return x->func < y->func ? -1 : x->func > y->func; /* func: the symbol, for now */
}

/* The places of all functions, sorted; `func` is the symbol's index. */
static int find_functions(struct skep_elf *elf, struct skep_err *err)
{
	const struct skep_elf_sym *sym;
	const struct skep_elf_sec *sec;
	struct skep_elf_func f;
	size_t i, n = 0;

	for (i = 1; i < elf->syms.len; i++) {
		sym = &elf->syms.data[i];
		if (ELF64_ST_TYPE(sym->info) != STT_FUNC || sym->shndx == SHN_UNDEF)
			continue;
		sec = sym->shndx < elf->secs.len ? &elf->secs.data[sym->shndx] : NULL;
		if (!sec || !skep_elf_is_code(sec) || !sec->data)
			return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					 "%s: function '%s' is in no section with instructions",
					 elf->obj->name, sym->name);
		/* Instructions have 31-bit numbers. */
		if (!sym->size || sym->size % 8 || sym->value % 8 || sym->value > sec->size ||
		    sym->size > sec->size - sym->value || (sym->value + sym->size) / 8 > INT32_MAX)
			return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					 "%s: function '%s' at %llu, %llu bytes, does not lie in "
					 "section '%s' of %llu bytes",
					 elf->obj->name, sym->name, (unsigned long long)sym->value,
					 (unsigned long long)sym->size, sec->name,
					 (unsigned long long)sec->size);
		f = (struct skep_elf_func){sym->shndx, sym->value / 8, sym->size / 8, i};
		if (skep_vec_push(&elf->funcs, f))
			return skep_fail_nomem(err);
	}
	if (elf->funcs.len)
		qsort(elf->funcs.data, elf->funcs.len, sizeof(f), cmp_func);
	for (i = 0; i < elf->funcs.len; i++) {
		f = elf->funcs.data[i];
		if (n && elf->funcs.data[n - 1].sec == f.sec) {
			const struct skep_elf_func *prev = &elf->funcs.data[n - 1];

			if (prev->start == f.start && prev->nr == f.nr)
				continue; /* an alias */
			if (prev->start + prev->nr > f.start)
				return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
						 "%s: functions '%s' and '%s' overlap",
						 elf->obj->name, elf->syms.data[prev->func].name,
						 elf->syms.data[f.func].name);
		}
		elf->funcs.data[n++] = f;
	}
	elf->funcs.len = n;
	return 0;
}

static const char *modern_name(const struct skep_event_def *def)
{
	if (!(def->flags & SKEP_EV_OLD))
		return def->sec;
	return def->attach_type == BPF_XDP_DEVMAP ? "xdp/devmap" : "xdp/cpumap";
}

/* What the section's name says about a program. */
static void set_program(struct skep_obj *obj, struct skep_obj_func *func)
{
	struct skep_err err = SKEP_ERR_INIT;
	const char *sec = func->sec;

	func->args = "";
	if (skep_obj_use_section(&obj->arena, func, sec, &err) < 0)
		skep_warn(obj->log, "%s: program '%s' is skipped: %s", obj->name, func->name,
			  err.msg);
	else if (skep_event_is_old(func->event, sec))
		skep_info(obj->log,
			  "%s: program '%s': SEC(\"%s\") is a name of libbpf before 1.0, "
			  "which now wants SEC(\"%s\")",
			  obj->name, func->name, sec + (sec[0] == '?'), modern_name(func->event));
	skep_err_deinit(&err);
}

/* A 64-bit immediate cut in half at the end of a function would be read beyond it later. */
static int check_halves(const struct skep_obj *obj, const struct skep_obj_func *func,
			struct skep_err *err)
{
	uint32_t i;

	for (i = 0; i < func->nr_insns; i++) {
		if (func->insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (i + 1 == func->nr_insns || func->insns[i + 1].code)
			return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					 "%s: function '%s': instruction %u is half a 64-bit "
					 "immediate",
					 obj->name, func->name, i);
		i++;
	}
	return 0;
}

static int read_functions(struct skep_elf *elf, struct skep_err *err)
{
	struct skep_obj *obj = elf->obj;
	const struct skep_elf_sym *sym;
	const struct skep_elf_sec *sec;
	struct skep_obj_func *func;
	struct skep_elf_func *place;
	int ret;

	obj->funcs = skep_arena_array(&obj->arena, elf->funcs.len, sizeof(*func));
	if (!obj->funcs)
		return skep_fail_nomem(err);
	skep_vec_each (&elf->funcs, place) {
		sym = &elf->syms.data[place->func];
		sec = &elf->secs.data[place->sec];
		place->func = obj->nr_funcs;
		func = &obj->funcs[obj->nr_funcs++];
		func->name = skep_arena_strdup(&obj->arena, sym->name);
		func->sec = skep_arena_strdup(&obj->arena, sec->name);
		func->insns = skep_arena_dup(&obj->arena, sec->data + place->start * 8ull,
					     place->nr * 8ull);
		if (!func->name || !func->sec || !func->insns)
			return skep_fail_nomem(err);
		func->nr_insns = place->nr;
		func->args = "";
		func->global = ELF64_ST_BIND(sym->info) != STB_LOCAL &&
			       ELF64_ST_VISIBILITY(sym->other) == STV_DEFAULT;
		func->is_prog =
			strcmp(sec->name, ".text") != 0 && ELF64_ST_BIND(sym->info) != STB_LOCAL;
		ret = check_halves(obj, func, err);
		if (ret)
			return ret;
		if (func->is_prog)
			set_program(obj, func);
	}
	return 0;
}

static int read_license(struct skep_elf *elf, struct skep_err *err)
{
	const struct skep_elf_sec *sec = &elf->secs.data[skep_elf_find_sec(elf, "license")];
	struct skep_obj *obj = elf->obj;
	size_t len;

	if (sec->data) {
		len = strnlen((const char *)sec->data, sec->size);
		if (len >= sizeof(obj->license))
			return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					 "%s: the license is longer than %zu characters", obj->name,
					 sizeof(obj->license) - 1);
		memcpy(obj->license, sec->data, len);
	}
	sec = &elf->secs.data[skep_elf_find_sec(elf, "version")];
	if (sec->data && sec->size == 4)
		memcpy(&obj->kern_version, sec->data, 4);
	else if (sec->data)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: section 'version' has %llu bytes instead of 4", obj->name,
				 (unsigned long long)sec->size);
	return 0;
}

int skep_elf_read_types(struct skep_elf *elf, struct skep_err *err)
{
	const struct skep_elf_sec *sec = &elf->secs.data[skep_elf_find_sec(elf, ".BTF")];
	struct skep_obj *obj = elf->obj;
	int ret;

	if (!sec->data)
		return 0;
	obj->btf_bytes = malloc(sec->size);
	if (!obj->btf_bytes)
		return skep_fail_nomem(err);
	memcpy(obj->btf_bytes, sec->data, sec->size);
	ret = skep_btf_open_raw(&obj->btf, obj->btf_bytes, sec->size, SKEP_BTF_BORROW, NULL, err);
	if (!ret)
		ret = skep_btf_check(obj->btf, err);
	if (!ret)
		ret = skep_elf_fix_datasecs(elf, obj->btf_bytes, err);
	return ret ? skep_wrap(err, ret, "%s: section '.BTF'", obj->name) : 0;
}

static int read_ext(struct skep_elf *elf, struct skep_err *err)
{
	const struct skep_elf_sec *sec = &elf->secs.data[skep_elf_find_sec(elf, ".BTF.ext")];
	int ret;

	if (!sec->data || !elf->obj->btf)
		return 0;
	ret = skep_elf_read_ext(elf, sec->data, sec->size, err);
	return ret ? skep_wrap(err, ret, "%s: section '.BTF.ext'", elf->obj->name) : 0;
}

static int read_object(struct skep_elf *elf, struct skep_err *err)
{
	struct skep_obj *obj = elf->obj;
	int ret;

	ret = read_license(elf, err);
	if (!ret)
		ret = skep_elf_read_types(elf, err);
	if (!ret)
		ret = skep_elf_read_maps(elf, err);
	if (!ret)
		ret = find_functions(elf, err);
	if (!ret)
		ret = read_functions(elf, err);
	if (!ret)
		ret = skep_elf_read_relos(elf, err);
	if (!ret)
		ret = skep_elf_read_slots(elf, err);
	if (!ret)
		ret = read_ext(elf, err);
	if (ret)
		return ret;
	skep_elf_read_tags(elf);
	obj->externs = skep_arena_dup(&obj->arena, elf->externs.data,
				      elf->externs.len * sizeof(*elf->externs.data));
	obj->nr_externs = elf->externs.len;
	return obj->externs ? 0 : skep_fail_nomem(err);
}

int skep_elf_open(struct skep_elf *elf, const void *data, size_t len, const char *name,
		  struct skep_log *log, struct skep_err *err)
{
	struct skep_obj *obj;
	int ret;

	*elf = (struct skep_elf){0};
	elf_version(EV_CURRENT);
	obj = elf->obj = calloc(1, sizeof(*obj));
	if (!obj)
		return skep_fail_nomem(err);
	obj->log = log;
	obj->name = skep_arena_strdup(&obj->arena, name);
	if (!obj->name)
		return skep_fail_nomem(err);
	/* libelf reads only: it never writes into memory it was given without ELF_C_RDWR. */
	elf->elf = elf_memory((char *)data, len);
	if (!elf->elf)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL, "%s: is not an ELF object", name);
	ret = check_header(elf->elf, name, &elf->flags, err);
	if (!ret)
		ret = read_sections(elf, err);
	if (!ret)
		ret = read_symbols(elf, err);
	return ret;
}

void skep_elf_close(struct skep_elf *elf)
{
	if (elf->elf)
		elf_end(elf->elf);
	skep_vec_deinit(&elf->secs);
	skep_vec_deinit(&elf->syms);
	skep_vec_deinit(&elf->funcs);
	skep_vec_deinit(&elf->maps_at);
	skep_vec_deinit(&elf->maps);
	skep_vec_deinit(&elf->externs);
	skep_obj_destroy(elf->obj);
	elf->obj = NULL;
}

int skep_obj_open(struct skep_obj **objp, const void *data, size_t len, const char *name,
		  struct skep_log *log, struct skep_err *err)
{
	struct skep_elf elf;
	int ret;

	*objp = NULL;
	ret = skep_elf_open(&elf, data, len, name, log, err);
	if (!ret)
		ret = read_object(&elf, err);
	if (!ret)
		*objp = SKEP_TAKE(elf.obj);
	skep_elf_close(&elf);
	return ret;
}
