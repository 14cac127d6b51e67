/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several compiled objects linked into one, as `bpftool gen object` does it.
 *
 * Sections of one name are laid one behind the other; a symbol that one
 * object declares and another defines becomes one; types are deduplicated
 * and must agree.  What the kernel is to provide (.kconfig, .ksyms) stays
 * extern, and so does what no object defines.  Debug information that is not
 * BTF is left out: nobody who loads programs reads it, and its sections refer
 * to each other.
 */
#ifndef SKEP_OBJ_MERGE_H
#define SKEP_OBJ_MERGE_H

#include <stddef.h>

#include "base/err.h"
#include "base/log.h"

struct skep_merge;

/* @log is told of declarations without a definition; may be NULL.  0 or -ENOMEM. */
int skep_merge_create(struct skep_merge **merge, struct skep_log *log, struct skep_err *err);
/* NULL-safe. */
void skep_merge_destroy(struct skep_merge *merge);

/*
 * Adds the object of @len bytes of @data, called @name in messages.  Both are
 * borrowed until the merge is destroyed.  0 or -errno (E_ELF_INVALID, E_BTF_INVALID,
 * E_OBJ_*); after a failure only skep_merge_destroy() is allowed.
 */
int skep_merge_add(struct skep_merge *merge, const void *data, size_t len, const char *name,
		   struct skep_err *err);

/* The malloc'ed ELF file of all that was added.  Once. */
int skep_merge_finish(struct skep_merge *merge, void **data, size_t *len, struct skep_err *err);

#endif
