/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Notes of static probes and where their arguments are.
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

enum { ARG_CONST, ARG_REG, ARG_DEREF };

/* Names by width, and the place in the kernel's struct pt_regs. */
static const struct {
	const char *names[4];
	int16_t off;
} x86_regs[] = {
	{{"r15", "r15d", "r15w", "r15b"}, 0},  {{"r14", "r14d", "r14w", "r14b"}, 8},
	{{"r13", "r13d", "r13w", "r13b"}, 16}, {{"r12", "r12d", "r12w", "r12b"}, 24},
	{{"rbp", "ebp", "bp", "bpl"}, 32},     {{"rbx", "ebx", "bx", "bl"}, 40},
	{{"r11", "r11d", "r11w", "r11b"}, 48}, {{"r10", "r10d", "r10w", "r10b"}, 56},
	{{"r9", "r9d", "r9w", "r9b"}, 64},     {{"r8", "r8d", "r8w", "r8b"}, 72},
	{{"rax", "eax", "ax", "al"}, 80},      {{"rcx", "ecx", "cx", "cl"}, 88},
	{{"rdx", "edx", "dx", "dl"}, 96},      {{"rsi", "esi", "si", "sil"}, 104},
	{{"rdi", "edi", "di", "dil"}, 112},    {{"rip", "eip", "ip", ""}, 128},
	{{"rsp", "esp", "sp", "spl"}, 152},
};

static int x86_reg(const char *name, size_t len)
{
	size_t i, j;

	for (i = 0; i < SKEP_ARRAY_SIZE(x86_regs); i++)
		for (j = 0; j < 4; j++)
			if (strlen(x86_regs[i].names[j]) == len && len &&
			    !memcmp(x86_regs[i].names[j], name, len))
				return x86_regs[i].off;
	return -1;
}

static int arm64_reg(const char *name, size_t len)
{
	char *end, number[8];
	long n;

	if (len == 2 && !memcmp(name, "sp", 2))
		return 31 * 8;
	if (len < 2 || len > 3 || (name[0] != 'x' && name[0] != 'w'))
		return -1;
	snprintf(number, sizeof(number), "%.*s", (int)len - 1, name + 1);
	n = strtol(number, &end, 10);
	return *end || n < 0 || n > 30 ? -1 : (int)n * 8;
}

/* A whole number; false if anything else follows before @stop. */
static bool number(const char *p, const char *stop, uint64_t *out)
{
	char *end;

	if (p == stop)
		return false;
	*out = (uint64_t)strtoll(p, &end, 0);
	return end == stop;
}

/* "$7", "%rdi", "8(%rdi)": what @p up to @end says. */
static bool x86_operand(const char *p, const char *end, struct skep_usdt_arg *arg)
{
	const char *open = memchr(p, '(', (size_t)(end - p));
	int off;

	if (*p == '$') {
		arg->type = ARG_CONST;
		return number(p + 1, end, &arg->val_off);
	}
	if (*p == '%') {
		arg->type = ARG_REG;
		off = x86_reg(p + 1, (size_t)(end - p - 1));
		arg->reg_off = (int16_t)off;
		return off >= 0;
	}
	if (!open || end - open < 4 || open[1] != '%' || end[-1] != ')')
		return false;
	arg->type = ARG_DEREF;
	off = x86_reg(open + 2, (size_t)(end - open - 3));
	arg->reg_off = (int16_t)off;
	return off >= 0 && (open == p || number(p, open, &arg->val_off));
}

/* "7", "x0", "[x0]", "[sp, 16]". */
static bool arm64_operand(const char *p, const char *end, struct skep_usdt_arg *arg)
{
	const char *comma;
	int off;

	if (*p != '[') {
		off = arm64_reg(p, (size_t)(end - p));
		arg->type = off < 0 ? ARG_CONST : ARG_REG;
		arg->reg_off = (int16_t)(off < 0 ? 0 : off);
		return off >= 0 || number(p, end, &arg->val_off);
	}
	if (end[-1] != ']')
		return false;
	arg->type = ARG_DEREF;
	comma = memchr(p, ',', (size_t)(end - p));
	off = arm64_reg(p + 1, (size_t)((comma ? comma : end - 1) - p - 1));
	arg->reg_off = (int16_t)off;
	return off >= 0 &&
	       (!comma || number(comma + 1 + strspn(comma + 1, " "), end - 1, &arg->val_off));
}

/* Where the argument that begins at @p ends: brackets may hold blanks. */
static const char *arg_end(const char *p)
{
	bool inside = false;

	for (; *p && (inside || *p != ' '); p++)
		inside = *p == '[' || (inside && *p != ']');
	return p;
}

int skep_usdt_spec_parse(const char *text, unsigned int machine, struct skep_usdt_spec *spec,
			 struct skep_err *err)
{
	const char *p = text + strspn(text, " "), *end;
	char *at;
	bool good;
	long size;

	memset(spec, 0, sizeof(*spec));
	for (; *p; p = end + strspn(end, " ")) {
		struct skep_usdt_arg *arg = &spec->args[spec->nr_args];

		if (spec->nr_args == SKEP_USDT_ARGS)
			return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
					 "the probe has more than %d arguments", SKEP_USDT_ARGS);
		end = arg_end(p);
		size = strtol(p, &at, 10);
		good = *at == '@' && at + 1 < end &&
		       (labs(size) == 1 || labs(size) == 2 || labs(size) == 4 || labs(size) == 8);
		if (good)
			good = machine == EM_X86_64    ? x86_operand(at + 1, end, arg)
			       : machine == EM_AARCH64 ? arm64_operand(at + 1, end, arg)
						       : false;
		if (!good)
			return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
					 "argument %d of the probe is at '%.*s', which usdt.bpf.h "
					 "cannot read",
					 spec->nr_args, (int)(end - p), p);
		arg->is_signed = size < 0;
		arg->bitshift = (int8_t)(64 - 8 * labs(size));
		spec->nr_args++;
	}
	return 0;
}

struct search {
	const struct skep_symfile *file;
	const char *path, *provider, *name;
	unsigned int machine;
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

static int add_note(struct search *s, const void *desc, size_t len)
{
	struct skep_reader r = skep_reader_init(desc, len);
	const void *p = skep_reader_take(&r, 24);
	const char *provider = take_string(&r), *name, *args;
	struct skep_usdt_place place = {0};
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
	if (!skep_symfile_offset(s->file, at[0], &place.offset) ||
	    (at[2] && !skep_symfile_offset(s->file, at[2], &place.semaphore)))
		return skep_fail(s->err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: probe %s is at an address that is not in the file", s->path,
				 both);
	if (skep_usdt_spec_parse(args, s->machine, &place.spec, s->err) < 0)
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
