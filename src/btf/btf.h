/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BTF, the kernel's type format, read in place.
 *
 * A struct skep_btf is a checked view of the bytes: opening it looks at the
 * header only, a look-up by name walks type headers and compares one integer
 * each, and the way from an id to its place is noted down as far as somebody
 * asked.  Invariant: what skep_btf_type() returns lies in bounds with all that
 * follows it (members, values, parameters); ids and string offsets inside are
 * the file's and are checked when they are followed.
 * Format: the kernel's Documentation/bpf/btf.rst.
 */
#ifndef SKEP_BTF_BTF_H
#define SKEP_BTF_BTF_H

#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* Chains of typedefs, qualifiers and arrays longer than this are malformed. */
#define SKEP_BTF_DEPTH 32

struct skep_btf;

enum skep_btf_own {
	SKEP_BTF_BORROW, /* the bytes stay the caller's and outlive the BTF */
	SKEP_BTF_COPY, /* copied; the caller may drop them */
	SKEP_BTF_TAKE, /* malloc'ed; freed with the BTF, also when opening fails */
};

/*
 * Opens @len bytes of raw BTF.  @base: the BTF that this one continues (a
 * module's the kernel's), borrowed, must outlive it; or NULL.  Checks the
 * header only; see skep_btf_check().  0, or -EINVAL with E_BTF_INVALID,
 * -EOPNOTSUPP for the other byte order, -ENOMEM.
 */
int skep_btf_open_raw(struct skep_btf **btf, const void *data, size_t len, enum skep_btf_own own,
		      const struct skep_btf *base, struct skep_err *err);

/*
 * Opens @path: raw BTF, or an ELF file with a .BTF section (on top of its
 * .BTF.base, if it has one and @base is NULL), and checks it whole.  -ENOENT
 * with E_BTF_MISSING: an ELF file without.
 */
int skep_btf_open_file(struct skep_btf **btf, const char *path, const struct skep_btf *base,
		       struct skep_err *err);

/* Opens the running kernel's types, trusting that the kernel's own are well-formed. */
int skep_btf_open_kernel(struct skep_btf **btf, struct skep_err *err);

/* Opens the types of a module, which continue @kernel's, from @path, trusting them, too. */
int skep_btf_open_module(struct skep_btf **btf, const char *path, const struct skep_btf *kernel,
			 struct skep_err *err);

/* NULL-safe. */
void skep_btf_destroy(struct skep_btf *btf);

/*
 * Checks all of @btf (not its base): every type's shape, every id, every
 * string, every chain.  0, or -EINVAL with a sentence that names the type.
 * All functions here are safe on BTF that would fail it.
 */
int skep_btf_check(const struct skep_btf *btf, struct skep_err *err);

const struct skep_btf *skep_btf_base(const struct skep_btf *btf);
/* The raw bytes, for BPF_BTF_LOAD. */
const void *skep_btf_raw(const struct skep_btf *btf, size_t *len);
/* Ids are 0 (void) up to but not including this; counts the base's.  Walks all headers once. */
uint32_t skep_btf_nr(const struct skep_btf *btf);
/* False if the type section holds more than could be read as types. */
bool skep_btf_whole(const struct skep_btf *btf);
/* The first id that is not the base's: 1 without a base. */
uint32_t skep_btf_first(const struct skep_btf *btf);
/* Bytes of a pointer: 8. */
uint32_t skep_btf_ptr_size(const struct skep_btf *btf);
/*
 * Notes down the place of every single type (4 bytes a type; without it of
 * every 64th): for walks that jump about.  0 or -ENOMEM.
 */
int skep_btf_index(const struct skep_btf *btf);

/* The type of @id, or NULL: no such type.  Id 0 is a type of kind BTF_KIND_UNKN: void. */
const struct btf_type *skep_btf_type(const struct skep_btf *btf, uint32_t id);
/* A string; "" for offsets outside.  Lives as long as the bytes. */
const char *skep_btf_str(const struct skep_btf *btf, uint32_t off);
/* True if @off is inside of the string section of @btf or of a base of it. */
bool skep_btf_str_ok(const struct skep_btf *btf, uint32_t off);
/* The name of type @id; "" if it has none. */
const char *skep_btf_name(const struct skep_btf *btf, uint32_t id);

static inline uint32_t skep_btf_kind(const struct btf_type *t)
{
	return BTF_INFO_KIND(t->info);
}

static inline uint32_t skep_btf_vlen(const struct btf_type *t)
{
	return BTF_INFO_VLEN(t->info);
}

static inline bool skep_btf_kflag(const struct btf_type *t)
{
	return BTF_INFO_KFLAG(t->info);
}

/* What follows a type; only for the kinds that have it. */
static inline uint32_t skep_btf_int(const struct btf_type *t) /* INT: BTF_INT_* take it apart */
{
	return *(const uint32_t *)(t + 1);
}

static inline const struct btf_array *skep_btf_array(const struct btf_type *t)
{
	return (const struct btf_array *)(t + 1);
}

static inline const struct btf_member *skep_btf_members(const struct btf_type *t)
{
	return (const struct btf_member *)(t + 1);
}

static inline const struct btf_enum *skep_btf_enums(const struct btf_type *t)
{
	return (const struct btf_enum *)(t + 1);
}

static inline const struct btf_enum64 *skep_btf_enums64(const struct btf_type *t)
{
	return (const struct btf_enum64 *)(t + 1);
}

static inline const struct btf_param *skep_btf_params(const struct btf_type *t)
{
	return (const struct btf_param *)(t + 1);
}

static inline const struct btf_var *skep_btf_var(const struct btf_type *t)
{
	return (const struct btf_var *)(t + 1);
}

static inline const struct btf_var_secinfo *skep_btf_secinfos(const struct btf_type *t)
{
	return (const struct btf_var_secinfo *)(t + 1);
}

static inline const struct btf_decl_tag *skep_btf_decl_tag(const struct btf_type *t)
{
	return (const struct btf_decl_tag *)(t + 1);
}

static inline bool skep_btf_is_composite(const struct btf_type *t)
{
	return skep_btf_kind(t) == BTF_KIND_STRUCT || skep_btf_kind(t) == BTF_KIND_UNION;
}

static inline bool skep_btf_is_enum(const struct btf_type *t)
{
	return skep_btf_kind(t) == BTF_KIND_ENUM || skep_btf_kind(t) == BTF_KIND_ENUM64;
}

/* "STRUCT" for BTF_KIND_STRUCT: the word of the raw dump. */
const char *skep_btf_kind_name(uint32_t kind);

/* Walks types in order of their ids without an index: zero, set .btf, call until false. */
struct skep_btf_iter {
	const struct skep_btf *btf;
	uint32_t id; /* of `t` */
	const struct btf_type *t;
	uint32_t next_id, next_off; /* private */
	bool own; /* true: the base's types are left out */
};

bool skep_btf_next(struct skep_btf_iter *it);

/*
 * The first type named @name of @kind (0: any kind) after id @after (0: from
 * the start).  Its id, or -ENOENT.
 */
int skep_btf_find(const struct skep_btf *btf, const char *name, uint32_t kind, uint32_t after);

/*
 * Follows qualifiers and type tags - and typedefs, if @typedefs - from @id.
 * The id where it ends (0: void), or -EINVAL: no such type, or a chain of more
 * than SKEP_BTF_DEPTH.
 */
int skep_btf_skip(const struct skep_btf *btf, uint32_t id, bool typedefs);

/* skep_btf_skip() with typedefs, and the type there; NULL if malformed.  @id_out may be NULL. */
const struct btf_type *skep_btf_resolve(const struct skep_btf *btf, uint32_t id, uint32_t *id_out);

/* Bytes of a value of @id; -EINVAL for what has no size (void, functions) or malformed types. */
int64_t skep_btf_sizeof(const struct skep_btf *btf, uint32_t id);
/* Natural alignment in bytes of @id in C on a 64-bit machine; packed structs: 1.  -EINVAL. */
int skep_btf_alignof(const struct skep_btf *btf, uint32_t id);

/*
 * Where member @i of struct or union @t lies: bits from its start, and bits
 * wide if it is a bit field, else 0.  False if there is no such member.
 */
bool skep_btf_member(const struct skep_btf *btf, const struct btf_type *t, uint32_t i,
		     uint32_t *bit_off, uint32_t *bit_size);

/*
 * The member of struct or union @id called @name, also inside its nameless
 * structs and unions: its type, and its place in @bit_off and @bit_size as
 * above.  -ENOENT.
 */
int skep_btf_field(const struct skep_btf *btf, uint32_t id, const char *name, uint32_t *bit_off,
		   uint32_t *bit_size);

/* Value @i of an ENUM or ENUM64, sign- or zero-extended as its type says, and its name. */
int64_t skep_btf_enum_value(const struct skep_btf *btf, const struct btf_type *t, uint32_t i,
			    const char **name);
static inline bool skep_btf_enum_signed(const struct btf_type *t)
{
	return skep_btf_kflag(t);
}
/* The name that enum @t gives @value, or NULL. */
const char *skep_btf_enum_name(const struct skep_btf *btf, const struct btf_type *t, int64_t value);

/* True for signed integers and enums, and for what resolves to them. */
bool skep_btf_is_signed(const struct skep_btf *btf, uint32_t id);
/* True for `char`, and what resolves to it: arrays of it hold text. */
bool skep_btf_is_char(const struct skep_btf *btf, uint32_t id);

/*
 * The length of @name without its flavour: "task_struct___old" names a local
 * variant of the kernel's task_struct (CO-RE).
 */
size_t skep_btf_essential_len(const char *name);

#endif
