/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing BTF and .BTF.ext: types are appended, every string is kept once,
 * and the bytes come out at the end.
 *
 * Running out of memory is sticky: ids and offsets are then 0, and finishing
 * returns -ENOMEM.  Nothing is checked that skep_btf_check() would check.
 * Format: the kernel's Documentation/bpf/btf.rst.
 */
#ifndef SKEP_BTF_WRITE_H
#define SKEP_BTF_WRITE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/vec.h"
#include "btf/btf.h"
#include "btf/ext.h"

struct skep_btf_writer {
	SKEP_VEC(uint32_t) words; /* the type section */
	SKEP_VEC(uint32_t) at; /* by id - 1: the type's first word */
	struct skep_buf strs;
	struct skep_hash offs; /* string -> offset in strs */
	struct skep_arena arena; /* the keys of offs */
	bool oom;
};

/* A zeroed writer is valid and empty. */
void skep_btf_writer_deinit(struct skep_btf_writer *w);

/* The offset of string @s (copied); 0: "". */
uint32_t skep_btf_writer_str(struct skep_btf_writer *w, const char *s);

/* Appends a type of @n words; its strings are offsets of this writer's.  Its id. */
uint32_t skep_btf_writer_add(struct skep_btf_writer *w, const void *type, uint32_t n);

/*
 * Appends type @t of @btf: with its strings, and with the ids of @btf, each
 * to be replaced by the caller or through @map (NULL: kept) by old id.  Its id.
 */
uint32_t skep_btf_writer_copy(struct skep_btf_writer *w, const struct skep_btf *btf,
			      const struct btf_type *t, const uint32_t *map);

/* Type @id, to be changed in place; valid until the next one is appended.  NULL: no such type. */
struct btf_type *skep_btf_writer_type(struct skep_btf_writer *w, uint32_t id);
/* Ids are 1 up to but not including this. */
uint32_t skep_btf_writer_nr(const struct skep_btf_writer *w);

/* The malloc'ed file.  0, -ENOMEM, or -EFBIG. */
int skep_btf_writer_finish(const struct skep_btf_writer *w, void **data, size_t *len,
			   struct skep_err *err);

struct skep_ext_record {
	uint32_t sec; /* offset of the ELF section's name */
	uint32_t words[4]; /* as in .BTF.ext: the first is the instruction's offset in bytes */
};

/* Records of .BTF.ext with the ids and offsets of one writer. */
struct skep_btf_ext_writer {
	SKEP_VEC(struct skep_ext_record) recs[SKEP_EXT_NR];
	bool oom;
};

void skep_btf_ext_writer_deinit(struct skep_btf_ext_writer *w);

/* Adds a record of @kind, in any order; @rec as `struct bpf_func_info` and so on. */
void skep_btf_ext_writer_add(struct skep_btf_ext_writer *w, enum skep_ext_kind kind, uint32_t sec,
			     const void *rec);

/* The malloc'ed section, records by section and offset.  NULL and length 0: there are none. */
int skep_btf_ext_writer_finish(struct skep_btf_ext_writer *w, void **data, size_t *len,
			       struct skep_err *err);

#endif
