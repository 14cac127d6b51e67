/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which instructions of an object wait for something: the relocations of its
 * code sections, calls that the compiler resolved itself, and the records of
 * .BTF.ext.  All are kept by function, because functions are moved: a
 * subprogram is appended to each program that calls it.
 * The kernel's Documentation/bpf/llvm_reloc.rst has the relocation types.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "btf/ext.h"
#include "isa/uapi.h"
#include "obj/elf.h"

#define CODE_LDDW (BPF_LD | BPF_IMM | BPF_DW)
#define CODE_CALL (BPF_JMP | BPF_CALL)

struct found {
	uint32_t func;
	struct skep_obj_relo relo;
};

struct found_vec {
	SKEP_VEC(struct found) v;
};

static int cmp_found(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->func != y->func)
		return x->func < y->func ? -1 : 1;
	if (x->relo.insn != y->relo.insn)
		return x->relo.insn < y->relo.insn ? -1 : 1;
	return (int)x->relo.kind - (int)y->relo.kind;
}

/* Gives each function its slice of @found, sorted, joined with what it has. */
static int store_relos(struct skep_obj *obj, struct found_vec *found, struct skep_err *err)
{
	struct skep_obj_relo *all;
	size_t i, n = found->v.len;

	if (n)
		qsort(found->v.data, n, sizeof(*found->v.data), cmp_found);
	all = skep_arena_array(&obj->arena, n, sizeof(*all));
	if (!all)
		return skep_fail_nomem(err);
	for (i = 0; i < n; i++) {
		struct skep_obj_func *func = &obj->funcs[found->v.data[i].func];

		all[i] = found->v.data[i].relo;
		if (i == 0 || found->v.data[i - 1].func != found->v.data[i].func) {
			func->relos = &all[i];
			func->nr_relos = 0;
		}
		func->nr_relos++;
	}
	return 0;
}

/* Puts what @obj's functions already have back into @found. */
static int take_relos(struct skep_obj *obj, struct found_vec *found)
{
	uint32_t i, k;

	for (i = 0; i < obj->nr_funcs; i++) {
		for (k = 0; k < obj->funcs[i].nr_relos; k++) {
			struct found f = {i, obj->funcs[i].relos[k]};

			if (skep_vec_push(&found->v, f))
				return -ENOMEM;
		}
	}
	return 0;
}

/* How the object declares @ext: as a variable or function of .kconfig or .ksyms. */
static void read_extern(const struct skep_elf *elf, struct skep_obj_extern *ext)
{
	static const char *const secs[] = {
		[SKEP_EXTERN_KCONFIG] = ".kconfig", [SKEP_EXTERN_KSYM] = ".ksyms"};
	const struct skep_btf *btf = elf->obj->btf;
	const struct btf_var_secinfo *vs;
	const struct btf_type *t, *sec;
	unsigned int kind;
	uint32_t i;
	int id;

	for (kind = SKEP_EXTERN_KCONFIG; btf && kind <= SKEP_EXTERN_KSYM; kind++) {
		id = skep_btf_find(btf, secs[kind], BTF_KIND_DATASEC, 0);
		sec = id > 0 ? skep_btf_type(btf, (uint32_t)id) : NULL;
		vs = sec ? skep_btf_secinfos(sec) : NULL;
		for (i = 0; sec && i < skep_btf_vlen(sec); i++) {
			t = skep_btf_type(btf, vs[i].type);
			if (!t || strcmp(skep_btf_str(btf, t->name_off), ext->name) != 0)
				continue;
			ext->kind = kind;
			ext->func = skep_btf_kind(t) == BTF_KIND_FUNC;
			ext->type = t->type;
			return;
		}
	}
}

static int find_extern(struct skep_elf *elf, const struct skep_elf_sym *sym, uint32_t *target,
		       struct skep_err *err)
{
	struct skep_obj_extern *ext;

	skep_vec_each (&elf->externs, ext) {
		if (!strcmp(ext->name, sym->name)) {
			*target = ext - elf->externs.data;
			return 0;
		}
	}
	*target = elf->externs.len;
	ext = skep_vec_add(&elf->externs);
	if (ext)
		ext->name = skep_arena_strdup(&elf->obj->arena, sym->name);
	if (!ext || !ext->name)
		return skep_fail_nomem(err);
	ext->weak = ELF64_ST_BIND(sym->info) == STB_WEAK;
	read_extern(elf, ext);
	return 0;
}

/* The function that starts at instruction @at of section @sec. */
static int find_target(const struct skep_elf *elf, uint32_t sec, int64_t at, uint32_t *target,
		       struct skep_err *err)
{
	const struct skep_elf_func *f = at < 0 ? NULL : skep_elf_func_at(elf, sec, at);

	if (!f || f->start != at)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "calls instruction %lld of section '%s', where no function starts",
				 (long long)at, elf->secs.data[sec].name);
	*target = f->func;
	return 0;
}

static int relo_map(const struct skep_elf *elf, uint32_t sec, uint64_t off, const char *name,
		    struct skep_obj_relo *relo, struct skep_err *err)
{
	const struct skep_elf_map *at;

	skep_vec_each (&elf->maps_at, at) {
		if (at->sec == sec && at->off == off) {
			relo->kind = SKEP_RELO_MAP;
			relo->target = at->map;
			return 0;
		}
	}
	return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
			 "refers to '%s' at %llu of section '%s', where no map is", name,
			 (unsigned long long)off, elf->secs.data[sec].name);
}

static int relo_data(const struct skep_elf *elf, const struct skep_elf_sym *sym, int32_t imm,
		     struct skep_obj_relo *relo, struct skep_err *err)
{
	const struct skep_elf_sec *sec = &elf->secs.data[sym->shndx];
	uint64_t off = sym->value + imm;

	/* One past the end is an address C code may form. */
	if (off > sec->size)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "refers to '%s' at %llu, outside of section '%s'", sym->name,
				 (unsigned long long)off, sec->name);
	relo->kind = SKEP_RELO_DATA;
	if (elf->values) {
		relo->kind = SKEP_RELO_VALUE;
		if (sec->size < 4 || off > sec->size - 4)
			return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
					 "takes the value of '%s', which has no 4 bytes",
					 sym->name);
	}
	relo->target = sec->map;
	relo->addend = off;
	return 0;
}

static int relo_address(struct skep_elf *elf, const struct skep_elf_sym *sym, int32_t imm,
			struct skep_obj_relo *relo, struct skep_err *err)
{
	const struct skep_elf_sec *sec;

	if (sym->shndx == SHN_UNDEF || sym->shndx >= elf->secs.len)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "refers to symbol '%s', which is in no section", sym->name);
	sec = &elf->secs.data[sym->shndx];
	if (sym->shndx == elf->maps_sec || sym->shndx == elf->legacy_sec)
		return relo_map(elf, sym->shndx, sym->value + imm, sym->name, relo, err);
	if (sec->map != SKEP_NONE)
		return relo_data(elf, sym, imm, relo, err);
	if (!skep_elf_is_code(sec))
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "refers to '%s' in section '%s', which is neither data nor code",
				 sym->name, sec->name);
	relo->kind = SKEP_RELO_FUNC;
	if ((sym->value + imm) % 8)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "takes the address of the middle of an instruction of '%s'",
				 sym->name);
	return find_target(elf, sym->shndx, (int64_t)(sym->value + imm) / 8, &relo->target, err);
}

static int relo_one(struct skep_elf *elf, const struct skep_elf_sym *sym,
		    const struct bpf_insn *insn, struct skep_obj_relo *relo, struct skep_err *err)
{
	bool call = insn->code == CODE_CALL;

	if (!call && insn->code != CODE_LDDW)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "is relocated, but neither a call nor a 64-bit immediate");
	if (sym->shndx == SHN_UNDEF && *sym->name) {
		relo->kind = SKEP_RELO_EXTERN;
		return find_extern(elf, sym, &relo->target, err);
	}
	if (!call)
		return relo_address(elf, sym, insn->imm, relo, err);
	if (insn->src_reg != BPF_PSEUDO_CALL || sym->shndx == SHN_UNDEF ||
	    sym->shndx >= elf->secs.len || !skep_elf_is_code(&elf->secs.data[sym->shndx]))
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "calls '%s', which is no function of this object", sym->name);
	relo->kind = SKEP_RELO_CALL;
	/* The compiler counts from the instruction after the call, as in the finished code. */
	return find_target(elf, sym->shndx, (int64_t)(sym->value / 8) + insn->imm + 1,
			   &relo->target, err);
}

static int read_rel(struct skep_elf *elf, const struct skep_elf_sec *sec, struct skep_elf_rel rel,
		    struct found_vec *found, struct skep_err *err)
{
	const struct skep_elf_sec *code = &elf->secs.data[sec->info];
	const struct skep_elf_func *f;
	struct skep_obj_func *func;
	struct found one = {0};
	struct bpf_insn *insn;
	int ret;

	if (rel.off % 8 || rel.off >= code->size)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "relocation at offset %llu, which is no instruction",
				 (unsigned long long)rel.off);
	if (rel.type != SKEP_R_BPF_64_64 && rel.type != SKEP_R_BPF_64_32)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "relocation of unknown type %u at offset %llu", rel.type,
				 (unsigned long long)rel.off);
	if (rel.sym >= elf->syms.len)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "relocation at offset %llu against symbol %u, which is not there",
				 (unsigned long long)rel.off, rel.sym);
	f = skep_elf_func_at(elf, sec->info, rel.off / 8);
	if (!f)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "relocation at offset %llu, which belongs to no function",
				 (unsigned long long)rel.off);
	func = &elf->obj->funcs[f->func];
	one.func = f->func;
	one.relo.insn = rel.off / 8 - f->start;
	insn = &func->insns[one.relo.insn];
	if (rel.rela && !skep_elf_put_addend(insn, rel.addend))
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "relocation at offset %llu with an addend of %lld, for which the "
				 "instruction has no room",
				 (unsigned long long)rel.off, (long long)rel.addend);
	ret = relo_one(elf, &elf->syms.data[rel.sym], insn, &one.relo, err);
	if (ret)
		return skep_wrap(err, ret, "function '%s': instruction %u", func->name,
				 one.relo.insn);
	return skep_vec_push(&found->v, one) ? skep_fail_nomem(err) : 0;
}

static int read_rel_section(struct skep_elf *elf, const struct skep_elf_sec *sec,
			    struct found_vec *found, struct skep_err *err)
{
	struct skep_elf_rel rel;
	uint64_t i;
	int ret = 0;

	for (i = 0; !ret && skep_elf_rel_at(sec, i, &rel); i++)
		ret = read_rel(elf, sec, rel, found, err);
	return ret;
}

/* Calls within a section come without a relocation. */
static int add_plain_calls(struct skep_elf *elf, struct found_vec *found, struct skep_err *err)
{
	size_t known = found->v.len, k = 0;
	const struct skep_elf_func *f;
	struct found one;
	uint32_t i;
	int ret;

	if (known)
		qsort(found->v.data, known, sizeof(one), cmp_found);
	skep_vec_each (&elf->funcs, f) {
		struct skep_obj_func *func = &elf->obj->funcs[f->func];

		for (i = 0; i < func->nr_insns; i++) {
			if (func->insns[i].code == CODE_LDDW) {
				i++;
				continue;
			}
			if (func->insns[i].code != CODE_CALL ||
			    func->insns[i].src_reg != BPF_PSEUDO_CALL)
				continue;
			one = (struct found){f->func, {.insn = i}};
			while (k < known && cmp_found(&found->v.data[k], &one) < 0)
				k++;
			if (k < known && found->v.data[k].func == f->func &&
			    found->v.data[k].relo.insn == i)
				continue;
			one.relo.kind = SKEP_RELO_CALL;
			ret = find_target(elf, f->sec,
					  (int64_t)f->start + i + 1 + func->insns[i].imm,
					  &one.relo.target, err);
			if (ret)
				return skep_wrap(err, ret, "%s: function '%s': instruction %u",
						 elf->obj->name, func->name, i);
			if (skep_vec_push(&found->v, one))
				return skep_fail_nomem(err);
		}
	}
	return 0;
}

static int check_twice(const struct skep_obj *obj, struct skep_err *err)
{
	uint32_t i, k;

	for (i = 0; i < obj->nr_funcs; i++) {
		const struct skep_obj_func *func = &obj->funcs[i];

		for (k = 1; k < func->nr_relos; k++)
			if (func->relos[k].insn == func->relos[k - 1].insn)
				return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
						 "%s: function '%s': instruction %u is relocated "
						 "twice",
						 obj->name, func->name, func->relos[k].insn);
	}
	return 0;
}

static void warn_pointers(struct skep_elf *elf, const struct skep_elf_sec *sec)
{
	const struct skep_elf_sec *to = &elf->secs.data[sec->info];

	if (to->map != SKEP_NONE && sec->size)
		skep_warn(elf->obj->log,
			  "%s: section '%s' holds pointers, which BPF cannot fill in: they are 0 "
			  "(use an array of char arrays)",
			  elf->obj->name, to->name);
}

int skep_elf_read_relos(struct skep_elf *elf, struct skep_err *err)
{
	struct found_vec found = {0};
	const struct skep_elf_sec *sec;
	int ret = 0;

	skep_vec_each (&elf->secs, sec) {
		if (sec->type != SHT_REL && sec->type != SHT_RELA)
			continue;
		if (sec->info >= elf->secs.len) {
			ret = skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
					"%s: section '%s' relocates section %u, which is not there",
					elf->obj->name, sec->name, sec->info);
			break;
		}
		if (!skep_elf_is_code(&elf->secs.data[sec->info])) {
			warn_pointers(elf, sec);
			continue;
		}
		ret = read_rel_section(elf, sec, &found, err);
		if (ret) {
			skep_wrap(err, ret, "%s: section '%s'", elf->obj->name,
				  elf->secs.data[sec->info].name);
			break;
		}
	}
	if (!ret)
		ret = add_plain_calls(elf, &found, err);
	if (!ret)
		ret = store_relos(elf->obj, &found, err);
	if (!ret)
		ret = check_twice(elf->obj, err);
	skep_vec_deinit(&found.v);
	return ret;
}

static const struct skep_elf_func *place_of(const struct skep_elf *elf, const char *sec,
					    uint32_t off)
{
	uint32_t i = skep_elf_find_sec(elf, sec);

	return i && off % 8 == 0 ? skep_elf_func_at(elf, i, off / 8) : NULL;
}

static void read_func_info(struct skep_elf *elf, const struct skep_btf_ext *ext)
{
	struct skep_btf_ext_iter it = {.ext = ext, .kind = SKEP_EXT_FUNC};
	const struct skep_elf_func *f;
	const struct btf_type *t;

	while (skep_btf_ext_next(&it)) {
		f = place_of(elf, it.sec_name, it.func.insn_off);
		t = skep_btf_type(elf->obj->btf, it.func.type_id);
		if (f && f->start == it.func.insn_off / 8 && t && skep_btf_kind(t) == BTF_KIND_FUNC)
			elf->obj->funcs[f->func].type = it.func.type_id;
	}
}

struct found_line {
	uint32_t func;
	struct skep_obj_line line;
};

static int cmp_line(const void *a, const void *b)
{
	const struct found_line *x = a, *y = b;

	if (x->func != y->func)
		return x->func < y->func ? -1 : 1;
	return x->line.insn < y->line.insn ? -1 : x->line.insn > y->line.insn;
}

static int read_line_info(struct skep_elf *elf, const struct skep_btf_ext *ext)
{
	struct skep_btf_ext_iter it = {.ext = ext, .kind = SKEP_EXT_LINE};
	SKEP_VEC(struct found_line) found = {0};
	struct skep_obj_line *all;
	struct skep_obj_func *func;
	const struct skep_elf_func *f;
	size_t i;

	while (skep_btf_ext_next(&it)) {
		f = place_of(elf, it.sec_name, it.line.insn_off);
		if (f && skep_vec_push(&found,
				       (struct found_line){f->func,
							   {it.line.insn_off / 8 - f->start,
							    it.line.file_name_off, it.line.line_off,
							    it.line.line_col}})) {
			skep_vec_deinit(&found);
			return -ENOMEM;
		}
	}
	if (found.len)
		qsort(found.data, found.len, sizeof(*found.data), cmp_line);
	all = skep_arena_array(&elf->obj->arena, found.len, sizeof(*all));
	for (i = 0; all && i < found.len; i++) {
		func = &elf->obj->funcs[found.data[i].func];
		if (!func->nr_lines)
			func->lines = &all[i];
		else if (func->lines[func->nr_lines - 1].insn == found.data[i].line.insn)
			continue; /* the kernel wants one for each instruction at most */
		func->lines[func->nr_lines++] = found.data[i].line;
	}
	skep_vec_deinit(&found);
	return all ? 0 : -ENOMEM;
}

static int read_core(struct skep_elf *elf, const struct skep_btf_ext *ext, struct skep_err *err)
{
	struct skep_btf_ext_iter it = {.ext = ext, .kind = SKEP_EXT_CORE};
	SKEP_VEC(struct bpf_core_relo) recs = {0};
	struct skep_obj *obj = elf->obj;
	struct found_vec found = {0};
	const struct skep_elf_func *f;
	struct found one;
	int ret = 0;

	if (take_relos(obj, &found))
		ret = skep_fail_nomem(err);
	while (!ret && skep_btf_ext_next(&it)) {
		f = place_of(elf, it.sec_name, it.core.insn_off);
		if (!f) {
			ret = skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
					"CO-RE record %u of section '%s' is at offset %u, where no "
					"function is",
					it.index, it.sec_name, it.core.insn_off);
			break;
		}
		one = (struct found){
			f->func,
			{.kind = SKEP_RELO_CORE,
			 .insn = it.core.insn_off / 8 - f->start,
			 .target = recs.len},
		};
		if (skep_vec_push(&recs, it.core) || skep_vec_push(&found.v, one))
			ret = skep_fail_nomem(err);
	}
	if (!ret && recs.len) {
		obj->core = skep_arena_dup(&obj->arena, recs.data, recs.len * sizeof(*recs.data));
		obj->nr_core = recs.len;
		ret = obj->core ? store_relos(obj, &found, err) : skep_fail_nomem(err);
	}
	skep_vec_deinit(&recs);
	skep_vec_deinit(&found.v);
	return ret;
}

int skep_elf_read_ext(struct skep_elf *elf, const void *data, size_t len, struct skep_err *err)
{
	struct skep_btf_ext ext;
	int ret;

	ret = skep_btf_ext_open(&ext, data, len, elf->obj->btf, err);
	if (ret)
		return ret;
	read_func_info(elf, &ext);
	if (read_line_info(elf, &ext))
		return skep_fail_nomem(err);
	return read_core(elf, &ext, err);
}
