/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sections with code of an ELF object as text.
 *
 * Relocations are applied to a copy just far enough to say what they mean: a
 * reference to a map becomes `r1 = map[NAME]`, to data `r1 = map[.bss][0]+8`,
 * a call the function's name.  With --raw nothing of this happens.
 */
#include "cli/disasm.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/cleanup.h"
#include "btf/btf.h"
#include "btf/elf.h"
#include "btf/ext.h"

struct image {
	struct skep_cli *cli;
	const struct skep_disasm_args *args;
	Elf *elf;
	size_t shstrs;
	Elf_Data *syms; /* NULL: none */
	size_t symstrs; /* section with their names */
	struct skep_btf *btf; /* NULL: no source lines */
	void *ext_data;
	struct skep_btf_ext ext;
	uint32_t nr_labels; /* of the sections so far */
};

/* What is known about one slot. */
struct slot {
	const char *func; /* a function starts here */
	const char *lines; /* source lines that start here */
	const char *name; /* what a relocation refers to */
	const char *note;
	uint32_t label;
};

struct section {
	struct image *img;
	const char *name;
	size_t index;
	struct bpf_insn *insns; /* a copy */
	size_t n;
	struct slot *slots;
	struct skep_arena arena;
	char text[40];
};

static const char *section_name(struct image *img, size_t index)
{
	Elf_Scn *scn = elf_getscn(img->elf, index);
	GElf_Shdr shdr;
	const char *name;

	if (!scn || !gelf_getshdr(scn, &shdr))
		return "";
	name = elf_strptr(img->elf, img->shstrs, shdr.sh_name);
	return name ? name : "";
}

static const char *symbol_name(struct image *img, const GElf_Sym *sym)
{
	const char *name;

	if (GELF_ST_TYPE(sym->st_info) == STT_SECTION)
		return section_name(img, sym->st_shndx);
	name = elf_strptr(img->elf, img->symstrs, sym->st_name);
	return name ? name : "";
}

static void find_functions(struct section *sec)
{
	GElf_Sym sym;
	int i;

	for (i = 0; sec->img->syms && gelf_getsym(sec->img->syms, i, &sym); i++) {
		if (sym.st_shndx != sec->index || GELF_ST_TYPE(sym.st_info) != STT_FUNC)
			continue;
		if (sym.st_value % 8 || sym.st_value / 8 >= sec->n)
			continue;
		sec->slots[sym.st_value / 8].func = symbol_name(sec->img, &sym);
	}
}

/* A 64-bit immediate at @i that refers to @sym. */
static void relocate_load(struct section *sec, size_t i, const GElf_Sym *sym)
{
	const char *in = sym->st_shndx == SHN_UNDEF ? "" : section_name(sec->img, sym->st_shndx);
	struct bpf_insn *insn = &sec->insns[i];
	struct slot *slot = &sec->slots[i];

	if (i + 1 >= sec->n || insn->code != (BPF_LD | BPF_IMM | BPF_DW) || insn->src_reg)
		return;
	if (!strcmp(in, ".maps") || !strcmp(in, "maps")) {
		insn->src_reg = BPF_PSEUDO_MAP_FD;
		slot->name = symbol_name(sec->img, sym);
	} else if (!strncmp(in, ".data", 5) || !strncmp(in, ".rodata", 7) ||
		   !strncmp(in, ".bss", 4)) {
		insn->src_reg = BPF_PSEUDO_MAP_VALUE;
		insn[1].imm = insn->imm + (int32_t)sym->st_value;
		insn->imm = 0;
		slot->name = in;
		if (GELF_ST_TYPE(sym->st_info) != STT_SECTION)
			slot->note = symbol_name(sec->img, sym);
	} else {
		slot->note = symbol_name(sec->img, sym);
	}
}

/* The function at byte @value of section @shndx, or NULL. */
static const char *function_at(struct image *img, size_t shndx, uint64_t value)
{
	GElf_Sym sym;
	int i;

	for (i = 0; img->syms && gelf_getsym(img->syms, i, &sym); i++)
		if (sym.st_shndx == shndx && sym.st_value == value &&
		    GELF_ST_TYPE(sym.st_info) == STT_FUNC)
			return symbol_name(img, &sym);
	return NULL;
}

static void relocate_call(struct section *sec, size_t i, const GElf_Sym *sym)
{
	struct bpf_insn *insn = &sec->insns[i];
	int64_t at = (int64_t)(sym->st_value / 8);

	if (insn->src_reg != BPF_PSEUDO_CALL)
		return;
	if (sym->st_shndx == SHN_UNDEF) {
		insn->src_reg = BPF_PSEUDO_KFUNC_CALL;
		sec->slots[i].name = symbol_name(sec->img, sym);
		return;
	}
	/* The distance in the file counts from the symbol, less the one of the call itself. */
	if (GELF_ST_TYPE(sym->st_info) == STT_SECTION)
		at += (int64_t)insn->imm + 1;
	if (sym->st_shndx == sec->index) {
		if (at >= 0 && at < (int64_t)sec->n)
			insn->imm = (int32_t)(at - (int64_t)i - 1);
		return;
	}
	sec->slots[i].name = function_at(sec->img, sym->st_shndx, (uint64_t)at * 8);
}

static void apply_relocations(struct section *sec)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;
	GElf_Rel rel;
	GElf_Sym sym;
	Elf_Data *d;
	int i;

	while ((scn = elf_nextscn(sec->img->elf, scn))) {
		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type != SHT_REL ||
		    shdr.sh_info != sec->index || !(d = elf_getdata(scn, NULL)))
			continue;
		for (i = 0; gelf_getrel(d, i, &rel); i++) {
			size_t at = rel.r_offset / 8;

			if (rel.r_offset % 8 || at >= sec->n || !sec->img->syms ||
			    !gelf_getsym(sec->img->syms, (int)GELF_R_SYM(rel.r_info), &sym))
				continue;
			if (BPF_CLASS(sec->insns[at].code) == BPF_JMP)
				relocate_call(sec, at, &sym);
			else
				relocate_load(sec, at, &sym);
		}
	}
}

static void find_lines(struct section *sec)
{
	struct skep_btf_ext_iter it = {
		.ext = &sec->img->ext,
		.kind = SKEP_EXT_LINE,
		.sec = sec->name,
	};

	while (sec->img->btf && skep_btf_ext_next(&it)) {
		size_t at = it.line.insn_off / 8;
		const char *text = skep_btf_str(sec->img->btf, it.line.line_off);
		struct slot *slot;

		if (at >= sec->n)
			continue;
		slot = &sec->slots[at];
		while (text && (*text == ' ' || *text == '\t'))
			text++;
		slot->lines = skep_arena_printf(&sec->arena, "%s; %s\n",
						slot->lines ? slot->lines : "", text ? text : "");
	}
}

static void find_labels(struct section *sec)
{
	SKEP_AUTO_FREE uint32_t *labels = NULL;
	uint32_t last = 0;
	size_t i;

	if (skep_disasm_labels(sec->insns, sec->n, false, &labels, NULL))
		return;
	for (i = 0; i < sec->n; i++)
		if (labels[i]) {
			last = labels[i];
			sec->slots[i].label = sec->img->nr_labels + last;
		}
	sec->img->nr_labels += last;
}

static const char *before(void *ctx, size_t i)
{
	struct section *sec = ctx;
	struct slot *slot = &sec->slots[i];

	if (slot->func)
		return skep_arena_printf(&sec->arena, "%s:\n%s", slot->func,
					 slot->lines ? slot->lines : "");
	return slot->lines;
}

static const char *label(void *ctx, size_t i)
{
	struct section *sec = ctx;

	if (!sec->slots[i].label)
		return NULL;
	snprintf(sec->text, sizeof(sec->text), "L%u", sec->slots[i].label);
	return sec->text;
}

static const char *map_name(void *ctx, size_t i, const struct skep_insn *in)
{
	struct section *sec = ctx;

	return sec->slots[i].name;
}

static const char *func_name(void *ctx, size_t i, const struct skep_insn *in)
{
	struct section *sec = ctx;

	if (sec->slots[i].name)
		return sec->slots[i].name;
	return in->target >= 0 && in->target < (int64_t)sec->n ? sec->slots[in->target].func : NULL;
}

static const char *note(void *ctx, size_t i)
{
	struct section *sec = ctx;

	return sec->slots[i].note;
}

static int print_section(struct skep_buf *out, struct section *sec, struct skep_err *err)
{
	const struct skep_disasm_args *args = sec->img->args;
	struct skep_disasm_opts opts = {
		.sz = sizeof(opts),
		.ctx = sec,
		.helper = skep_cli_helper_name,
		.opcodes = args->opcodes,
	};

	if (!args->raw) {
		opts.map = map_name;
		opts.func = func_name;
		opts.label = label;
		opts.before = before;
		opts.note = note;
		skep_buf_printf(out, "%s; section %s\n", out->len ? "\n" : "", sec->name);
		find_functions(sec);
		apply_relocations(sec);
		find_lines(sec);
		find_labels(sec);
	}
	return skep_disasm(out, sec->insns, sec->n, &opts, err);
}

static int disasm_section(struct image *img, struct skep_buf *out, Elf_Scn *scn, const char *name,
			  struct skep_err *err)
{
	struct section sec = {.img = img, .name = name, .index = elf_ndxscn(scn)};
	Elf_Data *d = elf_rawdata(scn, NULL);
	int ret;

	if (!d || !d->d_size)
		return 0;
	if (d->d_size % 8)
		return skep_fail(err, SKEP_E_INSN_TRUNCATED, EINVAL,
				 "section %s: %zu bytes are not a multiple of 8", name, d->d_size);
	sec.n = d->d_size / 8;
	sec.insns = malloc(d->d_size);
	sec.slots = calloc(sec.n, sizeof(*sec.slots));
	if (!sec.insns || !sec.slots) {
		ret = skep_fail_nomem(err);
	} else {
		memcpy(sec.insns, d->d_buf, d->d_size);
		ret = print_section(out, &sec, err);
	}
	free(sec.insns);
	free(sec.slots);
	skep_arena_deinit(&sec.arena);
	return ret < 0 ? skep_wrap(err, ret, "section %s", name) : ret;
}

static void find_symbols(struct image *img)
{
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;

	while ((scn = elf_nextscn(img->elf, scn))) {
		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type != SHT_SYMTAB)
			continue;
		img->syms = elf_getdata(scn, NULL);
		img->symstrs = shdr.sh_link;
	}
}

/* Source lines, if there are any; what is wrong with them is a warning. */
static void open_lines(struct image *img, const void *data, size_t len)
{
	struct skep_err err = SKEP_ERR_INIT;
	size_t size;
	void *bytes;
	int ret;

	ret = skep_elf_section(data, len, ".BTF", &bytes, &size, &err);
	if (!ret)
		ret = skep_btf_open_raw(&img->btf, bytes, size, SKEP_BTF_TAKE, NULL, &err);
	if (!ret)
		ret = skep_elf_section(data, len, ".BTF.ext", &img->ext_data, &size, &err);
	if (!ret)
		ret = skep_btf_ext_open(&img->ext, img->ext_data, size, img->btf, &err);
	if (ret < 0) {
		if (ret != -ENOENT)
			skep_warn(&img->cli->log, "no source lines: %s", err.msg);
		skep_btf_destroy(img->btf);
		img->btf = NULL;
	}
	skep_err_deinit(&err);
}

static int check_header(Elf *elf, struct skep_err *err)
{
	GElf_Ehdr ehdr;

	if (!gelf_getehdr(elf, &ehdr))
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL, "ELF: %s", elf_errmsg(-1));
	if (ehdr.e_ident[EI_CLASS] != ELFCLASS64 ||
	    (ehdr.e_machine != EM_BPF && ehdr.e_machine != EM_NONE))
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL, "an ELF file, but not for BPF");
	if ((ehdr.e_ident[EI_DATA] == ELFDATA2LSB) != (__BYTE_ORDER == __LITTLE_ENDIAN))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "built for the other byte order");
	return 0;
}

static int each_section(struct image *img, struct skep_buf *out, struct skep_err *err)
{
	const char *want = img->args->section;
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;
	int ret, first = 0, nr = 0;

	while ((scn = elf_nextscn(img->elf, scn))) {
		const char *name = section_name(img, elf_ndxscn(scn));

		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type != SHT_PROGBITS ||
		    !(shdr.sh_flags & SHF_EXECINSTR) || !shdr.sh_size ||
		    (want && strcmp(want, name)))
			continue;
		nr++;
		ret = disasm_section(img, out, scn, name, err);
		if (ret < 0 && !first)
			first = ret;
	}
	if (!nr && want)
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "no section '%s' with code", want);
	if (!nr)
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "no section with code");
	return first;
}

int skep_disasm_elf(struct skep_cli *cli, struct skep_buf *out, const void *data, size_t len,
		    const struct skep_disasm_args *args, struct skep_err *err)
{
	struct image img = {.cli = cli, .args = args};
	int ret;

	elf_version(EV_CURRENT);
	/* libelf reads the image only; its interface has no const. */
	img.elf = elf_memory((char *)data, len);
	if (!img.elf)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL, "ELF: %s", elf_errmsg(-1));
	ret = check_header(img.elf, err);
	if (!ret && elf_getshdrstrndx(img.elf, &img.shstrs))
		ret = skep_fail(err, SKEP_E_ELF_INVALID, EINVAL, "ELF: %s", elf_errmsg(-1));
	if (!ret) {
		find_symbols(&img);
		if (!args->raw)
			open_lines(&img, data, len);
		ret = each_section(&img, out, err);
	}
	skep_btf_destroy(img.btf);
	free(img.ext_data);
	elf_end(img.elf);
	return ret;
}
