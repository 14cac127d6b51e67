/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a .bpf.c file to a BPF object by the machine's clang.
 *
 * clang writes into memory (memfd), never to disk; what is worth keeping is
 * kept in the cache folder: vmlinux.h made from this kernel's types, and
 * objects together with the hashes of every file they were made from, so that
 * an unchanged program starts without clang.  Invariant: a cache that cannot be
 * read, written or trusted costs time, never correctness.
 */
#ifndef SKEP_CC_CC_H
#define SKEP_CC_CC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"

struct skep_cc_opts {
	size_t sz; /* sizeof(struct skep_cc_opts) */
	const char *clang; /* the compiler; NULL: $SKEP_CLANG, clang, clang-N */
	const char *const *flags; /* added to the command line, NULL-terminated, or NULL */
	bool no_cache; /* compile in any case, keep nothing but vmlinux.h */
	bool color; /* clang's diagnostics with colours */
};

struct skep_cc_object {
	const void *data; /* the ELF object, aligned to 8 bytes */
	size_t len;
	bool cached; /* true: clang was not run */
	char *warnings; /* what clang said though it succeeded, or NULL */
	struct skep_file file; /* owns `data` */
};

/*
 * Compiles @path.  0, or -errno: E_CC_MISSING (no clang; tells what to
 * install), E_CC_FAILED with clang's own words in err->detail.  What
 * fails about the cache only is told to @log.  Release with skep_cc_object_deinit().
 */
int skep_cc_compile(struct skep_cc_object *object, const char *path,
		    const struct skep_cc_opts *opts, struct skep_log *log, struct skep_err *err);
void skep_cc_object_deinit(struct skep_cc_object *object);

/*
 * The folder for what can be made again: $XDG_CACHE_HOME/skep, ~/.cache/skep,
 * or a folder of the user's own below $TMPDIR (/tmp), created as needed.  It is
 * used only if it belongs to this user and nobody else can write to it.
 * 0, or -errno with the reason of the last candidate.
 */
int skep_cc_cache_dir(char *path, size_t size, struct skep_err *err);

/* Makes the last part of @path if it is missing, and checks that only this user can write to it. */
int skep_cc_private_dir(const char *path, struct skep_err *err);

/*
 * The folder that holds (or will hold) vmlinux.h of the running kernel below
 * @cache: its name changes with the kernel's build.  0 or -errno.
 */
int skep_cc_vmlinux_dir(char *path, size_t size, const char *cache, struct skep_err *err);

/*
 * The kept object of the command line hashed as @key: true with @object filled
 * if every file that it was made from still has the content it had.  store()
 * keeps @elf, made from the files that the make rule @deps names.  0 or -errno.
 */
bool skep_cc_cache_get(struct skep_cc_object *object, const char *cache, uint64_t key);
int skep_cc_cache_put(const char *cache, uint64_t key, const char *deps, const void *elf,
		      size_t len, struct skep_err *err);

/* Makes vmlinux.h in @dir from the running kernel's BTF unless it is there.  0 or -errno. */
int skep_cc_vmlinux_make(const char *dir, struct skep_err *err);

#endif
