/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The list that gdb reads, and the ELF files in it.
 *
 * The two symbols with __jit_debug are what the interface prescribes, weak as
 * other JITs in a process have them, too.  The list is the process's: a lock,
 * and the one global state of skep besides fault.c.
 */
#include "jit/gdb.h"

#include <elf.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct jit_code_entry {
	struct jit_code_entry *next_entry, *prev_entry;
	const char *symfile_addr;
	uint64_t symfile_size;
};

struct jit_descriptor {
	uint32_t version;
	uint32_t action_flag; /* 1: relevant_entry was added, 2: it goes */
	struct jit_code_entry *relevant_entry, *first_entry;
};

#define INTERFACE __attribute__((weak, visibility("protected")))

INTERFACE extern struct jit_descriptor __jit_debug_descriptor;
struct jit_descriptor __jit_debug_descriptor = {.version = 1};

/* gdb has a breakpoint here. */
INTERFACE void __jit_debug_register_code(void);
__attribute__((noinline)) void __jit_debug_register_code(void)
{
	__asm__ volatile("" ::: "memory");
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct skep_gdb {
	struct jit_code_entry entry;
	char elf[];
};

enum { TEXT = 1, EH_FRAME, SYMTAB, STRTAB, SHSTRTAB, NR_SECTIONS };

static const char names[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0.shstrtab";

struct image { /* offsets in the file */
	Elf64_Ehdr *eh;
	Elf64_Shdr *sh;
	char *base;
	size_t end;
};

static Elf64_Shdr *section(struct image *im, int n, uint32_t type, size_t size)
{
	const char *name = names + 1;
	Elf64_Shdr *sh = &im->sh[n];
	int i;

	for (i = 1; i < n; i++)
		name += strlen(name) + 1;
	im->end = (im->end + 7) / 8 * 8;
	sh->sh_name = (uint32_t)(name - names);
	sh->sh_type = type;
	sh->sh_addralign = 8;
	sh->sh_offset = im->end;
	sh->sh_size = size;
	if (type != SHT_NOBITS)
		im->end += size;
	return sh;
}

static void symbols(struct image *im, const struct skep_gdb_code *code)
{
	Elf64_Shdr *sh = section(im, SYMTAB, SHT_SYMTAB, (code->nr + 1) * sizeof(Elf64_Sym));
	Elf64_Sym *sym = (Elf64_Sym *)(im->base + sh->sh_offset);
	size_t len = 1;
	uint32_t i;
	char *str;

	sh->sh_entsize = sizeof(*sym);
	sh->sh_link = STRTAB;
	sh->sh_info = 1;
	for (i = 0; i < code->nr; i++)
		len += strlen(code->funcs[i].name) + 1;
	str = im->base + section(im, STRTAB, SHT_STRTAB, len)->sh_offset;
	for (i = 0, len = 1; i < code->nr; i++) {
		const struct skep_gdb_func *f = &code->funcs[i];

		sym[i + 1].st_name = (uint32_t)len;
		sym[i + 1].st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
		sym[i + 1].st_shndx = TEXT;
		sym[i + 1].st_value = f->start;
		sym[i + 1].st_size = f->end - f->start;
		memcpy(str + len, f->name, strlen(f->name) + 1);
		len += strlen(f->name) + 1;
	}
}

static void header(struct image *im)
{
	Elf64_Ehdr *eh = im->eh;

	memcpy(eh->e_ident, ELFMAG, SELFMAG);
	eh->e_ident[EI_CLASS] = ELFCLASS64;
	eh->e_ident[EI_DATA] = ELFDATA2LSB;
	eh->e_ident[EI_VERSION] = EV_CURRENT;
	eh->e_type = ET_REL;
	eh->e_machine = EM_X86_64;
	eh->e_version = EV_CURRENT;
	eh->e_ehsize = sizeof(*eh);
	eh->e_shoff = sizeof(*eh);
	eh->e_shentsize = sizeof(Elf64_Shdr);
	eh->e_shnum = NR_SECTIONS;
	eh->e_shstrndx = SHSTRTAB;
}

/* Writes the file into @gdb, which has room for it. */
static size_t build(char *elf, const struct skep_gdb_code *code, const uint8_t *frames,
		    size_t frames_len)
{
	struct image im = {.eh = (Elf64_Ehdr *)elf,
			   .sh = (Elf64_Shdr *)(elf + sizeof(Elf64_Ehdr)),
			   .base = elf,
			   .end = sizeof(Elf64_Ehdr) + NR_SECTIONS * sizeof(Elf64_Shdr)};
	Elf64_Shdr *sh;

	header(&im);
	sh = section(&im, TEXT, SHT_NOBITS, code->len);
	sh->sh_flags = SHF_ALLOC | SHF_EXECINSTR;
	sh->sh_addr = (uintptr_t)code->start;
	sh->sh_addralign = 16;
	sh = section(&im, EH_FRAME, SHT_PROGBITS, frames_len);
	sh->sh_flags = SHF_ALLOC;
	memcpy(elf + sh->sh_offset, frames, frames_len);
	symbols(&im, code);
	sh = section(&im, SHSTRTAB, SHT_STRTAB, sizeof(names));
	memcpy(elf + sh->sh_offset, names, sizeof(names));
	return im.end;
}

struct skep_gdb *skep_gdb_create(const struct skep_gdb_code *code)
{
	size_t room = code->nr * (SKEP_GDB_FRAME + sizeof(Elf64_Sym) + sizeof(code->funcs->name)) +
		      SKEP_GDB_FRAME + 1024;
	uint8_t *frames = malloc((code->nr + 1) * SKEP_GDB_FRAME);
	struct skep_gdb *gdb = calloc(1, sizeof(*gdb) + room);
	struct jit_descriptor *list = &__jit_debug_descriptor;

	if (!frames || !gdb) {
		free(frames);
		free(gdb);
		return NULL;
	}
	gdb->entry.symfile_addr = gdb->elf;
	gdb->entry.symfile_size = build(gdb->elf, code, frames, skep_gdb_frames(code, frames));
	free(frames);
	pthread_mutex_lock(&lock);
	gdb->entry.next_entry = list->first_entry;
	if (list->first_entry)
		list->first_entry->prev_entry = &gdb->entry;
	list->first_entry = list->relevant_entry = &gdb->entry;
	list->action_flag = 1;
	__jit_debug_register_code();
	pthread_mutex_unlock(&lock);
	return gdb;
}

void skep_gdb_destroy(struct skep_gdb *gdb)
{
	struct jit_descriptor *list = &__jit_debug_descriptor;

	if (!gdb)
		return;
	pthread_mutex_lock(&lock);
	if (gdb->entry.next_entry)
		gdb->entry.next_entry->prev_entry = gdb->entry.prev_entry;
	if (gdb->entry.prev_entry)
		gdb->entry.prev_entry->next_entry = gdb->entry.next_entry;
	else
		list->first_entry = gdb->entry.next_entry;
	list->relevant_entry = &gdb->entry;
	list->action_flag = 2;
	__jit_debug_register_code();
	pthread_mutex_unlock(&lock);
	free(gdb);
}
