/* SPDX-License-Identifier: BSD-2-Clause */
/* src/event/usdt: operands as assemblers write them, and notes of anybody's making. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "event/usdt.h"
#include "tap.h"

static struct skep_err err = SKEP_ERR_INIT;

#define SIB(index, shift) (SKEP_USDT_SIB | (index) << 8 | (shift) << 20)
#define BAD		  SKEP_USDT_UNREADABLE

/* A probe at 0x1000 beside the variables counter, 0x4010, and .hidden$1, 0x800. */
static bool find(void *ctx, const char *symbol, uint64_t *addr)
{
	*addr = !strcmp(symbol, "counter") ? 0x4010 : !strcmp(symbol, ".hidden$1") ? 0x800 : 0;
	return *addr != 0;
}

struct operand {
	const char *text;
	uint32_t type;
	uint64_t val;
	int16_t reg;
	bool is_signed;
	int8_t shift;
};

static const struct operand x86[] = {
	{"8@%rax", SKEP_USDT_REG, 0, 80, false, 0},
	{"-8@%r15", SKEP_USDT_REG, 0, 0, true, 0},
	{"4@%edi", SKEP_USDT_REG, 0, 112, false, 32},
	{"-4@%r10d", SKEP_USDT_REG, 0, 56, true, 32},
	{"2@%si", SKEP_USDT_REG, 0, 104, false, 48},
	{"1@%al", SKEP_USDT_REG, 0, 80, false, 56},
	{"-1@%r8b", SKEP_USDT_REG, 0, 72, true, 56},
	{"1@%ah", SKEP_USDT_REG, 0, 81, false, 56},
	{"1@%bpl", SKEP_USDT_REG, 0, 32, false, 56},
	{"%rbx", SKEP_USDT_REG, 0, 40, false, 0},
	{"-4@$5", SKEP_USDT_CONST, 5, 0, true, 32},
	{"8@$-1", SKEP_USDT_CONST, UINT64_MAX, 0, false, 0},
	{"8@$0xff", SKEP_USDT_CONST, 255, 0, false, 0},
	{"8@$0xffffffffffffffff", SKEP_USDT_CONST, UINT64_MAX, 0, false, 0},
	{"4@(%rsp)", SKEP_USDT_DEREF, 0, 152, false, 32},
	{"-4@-20(%rbp)", SKEP_USDT_DEREF, (uint64_t)-20, 32, true, 32},
	{"8@0x10(%rdi)", SKEP_USDT_DEREF, 16, 112, false, 0},
	{"8@+8(%rdi)", SKEP_USDT_DEREF, 8, 112, false, 0},
	{"8@(%rdi,%rax)", SIB(80, 0), 0, 112, false, 0},
	{"8@(%rdi,%rax,1)", SIB(80, 0), 0, 112, false, 0},
	{"4@16(%rbp,%rcx,4)", SIB(88, 2), 16, 32, false, 32},
	{"-2@-8( %r15 , %r8 , 8 )", SIB(72, 3), (uint64_t)-8, 0, true, 48},
	{"4@counter(%rip)", SKEP_USDT_DEREF, 0x3010, 128, false, 32},
	{"4@counter+4(%rip)", SKEP_USDT_DEREF, 0x3014, 128, false, 32},
	{"4@4+counter(%rip)", SKEP_USDT_DEREF, 0x3014, 128, false, 32},
	{"4@counter-16(%rip)", SKEP_USDT_DEREF, 0x3000, 128, false, 32},
	{"8@.hidden$1(%rip)", SKEP_USDT_DEREF, (uint64_t)-0x800, 128, false, 0},
	{"4@counter", SKEP_USDT_DEREF, 0x3010, 128, false, 32},
	{"8@$counter", BAD, 0, 0, false, 0}, /* known at link time only if not moved */
	{"8@unknown(%rip)", BAD, 0, 0, false, 0},
	{"8@counter(%rax)", BAD, 0, 0, false, 0},
	{"8@(,%rax,8)", BAD, 0, 0, false, 0},
	{"8@8(%rax,%rip,8)", BAD, 0, 0, false, 0},
	{"8@(%rdi,%rax,3)", BAD, 0, 0, false, 0},
	{"8@(%rdi,%rax,0)", BAD, 0, 0, false, 0},
	{"8@(%rdi,%rax,)", BAD, 0, 0, false, 0},
	{"8@(%rdi", BAD, 0, 0, false, 0},
	{"8@()", BAD, 0, 0, false, 0},
	{"8@%xmm0", BAD, 0, 0, false, 0},
	{"8f@%rax", BAD, 0, 0, false, 0},
	{"16@%rax", BAD, 0, 0, false, 0},
	{"3@%rax", BAD, 0, 0, false, 0},
	{"@%rax", BAD, 0, 0, false, 0},
	{"8@", BAD, 0, 0, false, 0},
	{"8@%", BAD, 0, 0, false, 0},
	{"8@$", BAD, 0, 0, false, 0},
	{"8@$-", BAD, 0, 0, false, 0},
	{"8@$99999999999999999999", BAD, 0, 0, false, 0},
	{"8@%raxx", BAD, 0, 0, false, 0},
	{"8@%rax)", BAD, 0, 0, false, 0},
	{"8@7", BAD, 0, 0, false, 0},
	{"-", BAD, 0, 0, false, 0},
	{"8@12345678901234567890123456789012345678901234567890(%rax)", BAD, 0, 0, false, 0},
};

static const struct operand arm64[] = {
	{"8@x0", SKEP_USDT_REG, 0, 0, false, 0},
	{"-4@w30", SKEP_USDT_REG, 0, 240, true, 32},
	{"8@sp", SKEP_USDT_REG, 0, 248, false, 0},
	{"4@5", SKEP_USDT_CONST, 5, 0, false, 32},
	{"-4@-5", SKEP_USDT_CONST, (uint64_t)-5, 0, true, 32},
	{"8@#7", SKEP_USDT_CONST, 7, 0, false, 0},
	{"4@wzr", SKEP_USDT_CONST, 0, 0, false, 32},
	{"8@[x0]", SKEP_USDT_DEREF, 0, 0, false, 0},
	{"-4@[sp,12]", SKEP_USDT_DEREF, 12, 248, true, 32},
	{"4@[sp, 12]", SKEP_USDT_DEREF, 12, 248, false, 32},
	{"8@[x29, #-8]", SKEP_USDT_DEREF, (uint64_t)-8, 232, false, 0},
	{"8@[x1, x2]", SIB(16, 0), 0, 8, false, 0},
	{"8@[x1, x2, lsl 3]", SIB(16, 3), 0, 8, false, 0},
	{"8@[x1, x2, lsl #2]", SIB(16, 2), 0, 8, false, 0},
	{"8@[x1, w2, sxtw 3]", BAD, 0, 0, false, 0},
	{"8@[x1, 8]!", BAD, 0, 0, false, 0},
	{"8@[x1", BAD, 0, 0, false, 0},
	{"8@[]", BAD, 0, 0, false, 0},
	{"8@x31", BAD, 0, 0, false, 0},
	{"8@x", BAD, 0, 0, false, 0},
	{"8@d0", BAD, 0, 0, false, 0},
	{"8@%rax", BAD, 0, 0, false, 0},
};

/* One by one, and between two others, which must not change what they are. */
static void test_operand(const struct operand *o, unsigned int machine)
{
	struct skep_usdt_site site = {.addr = 0x1000, .relocatable = true, .find = find};
	const char *plain = machine == EM_X86_64 ? "8@%rdx" : "8@x12";
	struct skep_usdt_spec spec;
	char unread[80], text[256];
	bool good = true;
	int i;

	for (i = 0; i < 2; i++) {
		const struct skep_usdt_arg *a = &spec.args[i];

		snprintf(text, sizeof(text), i ? "%2$s %1$s %2$s" : "%1$s", o->text, plain);
		good &= skep_usdt_spec_parse(text, machine, &site, &spec, unread, sizeof(unread),
					     &err) == 0;
		good &= spec.nr_args == 1 + 2 * i && a->type == o->type && a->val_off == o->val &&
			a->reg_off == o->reg && a->is_signed == o->is_signed &&
			a->bitshift == o->shift && !!unread[0] == (o->type == BAD);
		if (i && (spec.args[0].reg_off != 96 || spec.args[2].reg_off != 96))
			good = false;
		if (!good) {
			printf("# type %#x value %#llx reg %d signed %d shift %d of %d; %s\n",
			       a->type, (unsigned long long)a->val_off, a->reg_off, a->is_signed,
			       a->bitshift, spec.nr_args, unread);
			break;
		}
	}
	ok(good, "%s: %s", o->text, unread[0] ? unread : "read");
	skep_err_deinit(&err);
}

static void test_lists(void)
{
	struct skep_usdt_spec spec;
	char unread[80], many[256] = "";
	int i;

	ok(!skep_usdt_spec_parse("", EM_X86_64, NULL, &spec, unread, 80, &err) && !spec.nr_args,
	   "a probe without arguments");
	ok(!skep_usdt_spec_parse("  8@%rdi   4@$1 ", EM_X86_64, NULL, &spec, unread, 80, &err) &&
		   spec.nr_args == 2,
	   "blanks");
	ok(!skep_usdt_spec_parse("4@counter(%rip)", EM_X86_64, NULL, &spec, unread, 80, &err) &&
		   spec.args[0].type == BAD,
	   "no symbols at hand: a symbol is not readable");
	ok(!skep_usdt_spec_parse("8@%r3", EM_S390, NULL, &spec, unread, 80, &err) &&
		   spec.args[0].type == BAD,
	   "another machine: nothing is readable");
	for (i = 0; i < 13; i++)
		strcat(many, "8@%rdi ");
	ok(skep_usdt_spec_parse(many, EM_X86_64, NULL, &spec, unread, 80, &err) == -EOPNOTSUPP,
	   "thirteen: %s", err.msg);
	skep_err_deinit(&err);
}

/* -- a file made by hand: headers, a note section, names */

struct file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	Elf64_Shdr sh[4];
	char names[48];
	unsigned char notes[256];
	uint32_t notes_len;
};

static void add_note(struct file *f, const char *name, uint32_t type, const void *desc,
		     uint32_t len)
{
	uint32_t head[3] = {(uint32_t)strlen(name) + 1, len, type};
	unsigned char *p = f->notes + f->notes_len;

	memcpy(p, head, sizeof(head));
	memcpy(p + 12, name, head[0]);
	memcpy(p + 12 + (head[0] + 3) / 4 * 4, desc, len);
	f->notes_len += 12 + (head[0] + 3) / 4 * 4 + (len + 3) / 4 * 4;
}

/* The description of a probe at @at: three addresses and three strings. */
static uint32_t probe(unsigned char *out, uint64_t at, uint64_t base, uint64_t sem,
		      const char *strings, uint32_t len)
{
	uint64_t where[3] = {at, base, sem};

	memcpy(out, where, sizeof(where));
	memcpy(out + 24, strings, len);
	return 24 + len;
}

static void make_file(struct file *f, uint64_t base)
{
	static const char names[] = "\0.note.stapsdt\0.stapsdt.base\0.shstrtab";

	memset(f, 0, sizeof(*f));
	memcpy(f->eh.e_ident, ELFMAG "\2\1\1", 7);
	f->eh.e_type = ET_DYN;
	f->eh.e_machine = EM_X86_64;
	f->eh.e_version = 1;
	f->eh.e_ehsize = sizeof(f->eh);
	f->eh.e_phoff = offsetof(struct file, ph);
	f->eh.e_phentsize = sizeof(f->ph);
	f->eh.e_phnum = 1;
	f->eh.e_shoff = offsetof(struct file, sh);
	f->eh.e_shentsize = sizeof(f->sh[0]);
	f->eh.e_shnum = 4;
	f->eh.e_shstrndx = 3;
	f->ph = (Elf64_Phdr){.p_type = PT_LOAD, .p_vaddr = 0x1000, .p_filesz = 0x800, .p_flags = 5};
	f->sh[1] = (Elf64_Shdr){.sh_name = 1,
				.sh_type = SHT_NOTE,
				.sh_offset = offsetof(struct file, notes),
				.sh_addralign = 4};
	f->sh[2] = (Elf64_Shdr){.sh_name = 15, .sh_type = SHT_PROGBITS, .sh_addr = base};
	f->sh[3] = (Elf64_Shdr){.sh_name = 29,
				.sh_type = SHT_STRTAB,
				.sh_offset = offsetof(struct file, names),
				.sh_size = sizeof(f->names)};
	memcpy(f->names, names, sizeof(names));
}

static char path[] = "/tmp/skep-usdt-XXXXXX";

static int find_in(struct file *f, const char *provider, const char *name,
		   struct skep_usdt_places *places)
{
	int fd = open(path, O_WRONLY | O_TRUNC);
	bool good;

	f->sh[1].sh_size = f->notes_len;
	good = write(fd, f, sizeof(*f)) == sizeof(*f);
	close(fd);
	return good ? skep_usdt_find(path, provider, name, places, &err) : -EIO;
}

#define STRINGS(s) s, sizeof(s)

static void test_notes(void)
{
	struct skep_usdt_places places = {0};
	unsigned char desc[128];
	struct file f;
	uint32_t len;

	make_file(&f, 0x2000);
	/* Prelinked by 0x100 since, so that everything has moved. */
	len = probe(desc, 0x1010, 0x1f00, 0x1100,
		    STRINGS("p\0n\0"
			    "8@%rdi 8@%xmm1"));
	add_note(&f, "stapsdt", 3, desc, len);
	len = probe(desc, 0x1020, 0x2000, 0, STRINGS("p\0n\0"));
	add_note(&f, "stapsdt", 3, desc, len);
	len = probe(desc, 0x1030, 0x2000, 0, STRINGS("p\0other\0"));
	add_note(&f, "stapsdt", 3, desc, len);
	add_note(&f, "GNU", 3, "\1\2\3", 3);
	add_note(&f, "stapsdt", 9, "\1\2\3", 3);
	is_int(find_in(&f, "p", "n", &places), 0, "two places of one probe, foreign notes between");
	ok(places.v.len == 2 && places.v.data[0].offset == 0x110 &&
		   places.v.data[0].semaphore == 0x200 && places.v.data[1].offset == 0x20 &&
		   !places.v.data[1].semaphore,
	   "their offsets in the file, moved as the file was");
	is_str(places.v.len ? places.v.data[0].unread : "", "1 is at '8@%xmm1'",
	       "what cannot be read is told");
	skep_vec_deinit(&places.v);
	ok(find_in(&f, "p", "nn", &places) == -ENOENT && strstr(err.msg, "did you mean p:n"),
	   "near names: %s", err.msg);
	skep_err_deinit(&err);
}

static void test_hostile(const char *what, uint64_t at, uint64_t sem, const char *strings,
			 uint32_t len, const char *message)
{
	struct skep_usdt_places places = {0};
	unsigned char desc[128];
	struct file f;

	make_file(&f, 0);
	add_note(&f, "stapsdt", 3, desc, probe(desc, at, 0, sem, strings, len));
	ok(find_in(&f, "p", "n", &places) < 0 && strstr(err.msg, message), "%s: %s", what, err.msg);
	skep_err_deinit(&err);
	skep_vec_deinit(&places.v);
}

/* Every length cut, every byte of the headers changed: sentences, never a crash. */
static void test_broken(void)
{
	struct skep_usdt_places places = {0};
	unsigned char desc[128];
	unsigned int i, bad = 0;
	struct file f, g;
	uint32_t len;

	make_file(&f, 0);
	len = probe(desc, 0x1010, 0, 0,
		    STRINGS("p\0n\0"
			    "8@%rdi"));
	add_note(&f, "stapsdt", 3, desc, len);
	for (i = 0; i < sizeof(f) * 3; i++) {
		static const unsigned char flips[] = {0xff, 0x80, 0x01};

		g = f;
		((unsigned char *)&g)[i / 3] ^= flips[i % 3];
		if (find_in(&g, "p", "n", &places) < 0)
			bad += !err.msg[0];
		skep_err_deinit(&err);
		skep_vec_deinit(&places.v);
	}
	ok(!bad, "%u changed files, each read or refused with a sentence", i);
	for (i = bad = 0; i < sizeof(f); i += 3) {
		f.sh[1].sh_size = f.notes_len;
		if (truncate(path, 0) < 0 || find_in(&f, "p", "n", &places) < 0 ||
		    truncate(path, (off_t)i) < 0)
			break;
		skep_vec_deinit(&places.v);
		if (skep_usdt_find(path, "p", "n", &places, &err) < 0)
			bad += !err.msg[0];
		skep_err_deinit(&err);
		skep_vec_deinit(&places.v);
	}
	ok(!bad && i >= sizeof(f), "cut files");
}

int main(void)
{
	struct file f;
	int fd = mkstemp(path);
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(x86); i++)
		test_operand(&x86[i], EM_X86_64);
	for (i = 0; i < SKEP_ARRAY_SIZE(arm64); i++)
		test_operand(&arm64[i], EM_AARCH64);
	test_lists();
	close(fd);
	test_notes();
	test_hostile("no end of a string", 0x1010, 0,
		     "p\0n\0"
		     "8@%rdi",
		     10, "cut short");
	test_hostile("no strings", 0x1010, 0, "", 0, "cut short");
	test_hostile("an address of nothing", 0x9000, 0, STRINGS("p\0n\0"), "not in the file");
	test_hostile("a semaphore of nothing", 0x1010, 0x9000, STRINGS("p\0n\0"),
		     "not in the file");
	test_hostile("too many arguments", 0x1010, 0,
		     STRINGS("p\0n\0"
			     "1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 "
			     "1@$1"),
		     "more than 12 arguments");
	make_file(&f, 0);
	f.sh[1].sh_name = 29;
	ok(find_in(&f, "p", "n", &(struct skep_usdt_places){0}) == -ENOENT &&
		   strstr(err.msg, "has no static probes"),
	   "%s", err.msg);
	skep_err_deinit(&err);
	make_file(&f, 0);
	f.eh.e_ident[EI_CLASS] = ELFCLASS32;
	ok(find_in(&f, "p", "n", &(struct skep_usdt_places){0}) < 0, "%s", err.msg);
	skep_err_deinit(&err);
	test_broken();
	unlink(path);
	return done();
}
