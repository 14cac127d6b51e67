/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to src/obj/merge*.c: objects while they become one.
 *
 * Sections and symbols of the result are numbered as they are found; where
 * those of an object went stands in its `secs` and `syms`.  Numbers of the
 * finished file's tables are given by elf_write.c.
 */
#ifndef SKEP_OBJ_MERGE_INT_H
#define SKEP_OBJ_MERGE_INT_H

#include <linux/btf.h>

#include "base/buf.h"
#include "base/hash.h"
#include "btf/write.h"
#include "obj/elf.h"
#include "obj/merge.h"

/* A relocation of a section of the result. */
struct merge_rel {
	uint64_t off;
	uint32_t type;
	uint32_t sym; /* index of the result's symbol */
};

struct merge_sec {
	const char *name;
	uint32_t type;
	uint64_t flags, align, size;
	struct skep_buf data; /* size bytes; none for SHT_NOBITS */
	SKEP_VEC(struct merge_rel) rels;
	SKEP_VEC(struct btf_var_secinfo) vars; /* its DATASEC: ids of the result */
	uint32_t sym; /* its own symbol */
	uint32_t first; /* the object that has it first */
};

struct merge_sym {
	const char *name;
	uint8_t bind, type, vis;
	uint32_t sec; /* of the result, or SKEP_NONE: only declared */
	bool absolute; /* in no section: `value` is a number */
	uint64_t value, size;
	uint32_t in; /* the object that defines it, or declares it first */
	uint32_t decl; /* its VAR or FUNC in that object's types; 0: none */
	const char *from; /* the kernel's: ".kconfig" or ".ksyms"; NULL */
	uint32_t index; /* in the finished table */
};

/* The VAR or FUNC that describes a symbol of an object. */
struct merge_decl {
	uint32_t id;
	uint32_t datasec; /* id of the DATASEC that lists it; 0: none does */
	struct btf_var_secinfo info; /* what that says */
};

/* Bytes of a section of an object that lost against another definition. */
struct merge_dead {
	uint32_t sec;
	uint64_t from, to;
};

struct merge_place {
	uint32_t sec; /* of the result; SKEP_NONE: left out */
	uint64_t off;
};

struct merge_in {
	const char *name;
	struct skep_elf elf;
	struct merge_place *secs; /* by section index */
	uint32_t *syms; /* by symbol index: of the result, or SKEP_NONE */
	uint32_t *ids; /* by type id: of the result, 0: left out */
	struct skep_hash decls; /* name -> struct merge_decl */
	SKEP_VEC(struct merge_dead) dead;
};

struct skep_merge {
	struct skep_arena arena;
	struct skep_log *log;
	SKEP_VEC(struct merge_in *) ins;
	SKEP_VEC(struct merge_sec) secs;
	SKEP_VEC(struct merge_sym) syms;
	struct skep_hash by_name; /* section name -> index + 1 */
	struct skep_hash globals; /* symbol name -> index + 1 */
	uint32_t flags; /* of the ELF header */
	void *btf, *ext; /* the finished sections, malloc'ed; NULL */
	size_t btf_len, ext_len;
};

static inline const struct skep_btf *merge_btf(const struct merge_in *in)
{
	return in->elf.obj->btf;
}

/* True if the bytes at @off of section @sec of @in lost. */
bool skep_merge_is_dead(const struct merge_in *in, uint32_t sec, uint64_t off);

/* merge_sym.c: adds the symbols of object @nr, the last one. */
int skep_merge_symbols(struct skep_merge *m, uint32_t nr, struct skep_err *err);
/* merge_sym.c: what lost but is still used under another name did not lose. */
void skep_merge_bury(struct skep_merge *m);

/*
 * merge_match.c: 0 if types @a of @x and @b of @y describe one variable or function; -EINVAL
 * with a sentence that names @name and both files.
 */
int skep_merge_match(struct merge_in *x, uint32_t a, struct merge_in *y, uint32_t b,
		     const char *name, struct skep_err *err);
/* merge_match.c: the same for two definitions or declarations of a map. */
int skep_merge_match_map(struct merge_in *x, uint32_t a, struct merge_in *y, uint32_t b,
			 const char *name, struct skep_err *err);

/* merge_btf.c: finds the declarations of @in by name. */
int skep_merge_read_decls(struct skep_merge *m, struct merge_in *in, struct skep_err *err);
/* merge_btf.c: m->btf and m->ext. */
int skep_merge_types(struct skep_merge *m, struct skep_err *err);

/* merge_relo.c: the relocations of all objects. */
int skep_merge_relocations(struct skep_merge *m, struct skep_err *err);

/* elf_write.c: the file. */
int skep_merge_write(struct skep_merge *m, void **data, size_t *len, struct skep_err *err);

#endif
