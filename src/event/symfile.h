/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The functions of one ELF file: from .dynsym (with versions) and .symtab;
 * if it was stripped, from the .symtab of its separate debug file (by build
 * id or .gnu_debuglink) or of the compressed one that it carries
 * (.gnu_debugdata, for which liblzma is loaded).  Private to src/event.
 */
#ifndef SKEP_EVENT_SYMFILE_H
#define SKEP_EVENT_SYMFILE_H

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "base/vec.h"

/* Where a piece of the file lies in memory before relocation. */
struct skep_symload {
	uint64_t offset, vaddr, size; /* bytes in the file */
};

struct skep_symfile {
	struct skep_file file, debug_file;
	Elf *elf, *debug, *mini;
	void *mini_data; /* what mini reads, malloc'ed */
	bool mini_tried;
	SKEP_VEC(struct skep_symload) loads;
};

struct skep_symfile_sym {
	const char *name; /* as in the string table: may end in "@VERSION" */
	const char *version; /* of .gnu.version*, or NULL */
	bool hidden; /* not the default version of its name */
	uint64_t addr, size; /* addr: before relocation */
	unsigned char bind, type; /* STB_*, STT_FUNC or STT_GNU_IFUNC */
};

/* 0 or -errno (E_NOT_FOUND, E_ELF_INVALID).  Close also after a failure. */
int skep_symfile_open(struct skep_symfile *f, const char *path, struct skep_err *err);
void skep_symfile_close(struct skep_symfile *f); /* safe on a zeroed struct */

/* Hands every defined function to @fn; names live as long as @f.  A negative return ends it. */
int skep_symfile_each(struct skep_symfile *f,
		      int (*fn)(void *ctx, const struct skep_symfile_sym *sym), void *ctx);

/* The address before relocation of a function or variable; false: there is none. */
bool skep_symfile_addr_of(struct skep_symfile *f, const char *name, uint64_t *addr);

/* Between address before relocation and file offset; false: in no loaded piece. */
bool skep_symfile_offset(const struct skep_symfile *f, uint64_t addr, uint64_t *offset);
bool skep_symfile_addr(const struct skep_symfile *f, uint64_t offset, uint64_t *addr);

#endif
