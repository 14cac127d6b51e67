/* SPDX-License-Identifier: BSD-2-Clause */
/* One section's bytes out of an ELF image in memory: where BTF lives in objects. */
#ifndef SKEP_BTF_ELF_H
#define SKEP_BTF_ELF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* True if @data starts like an ELF file. */
bool skep_elf_is(const void *data, size_t len);

/*
 * A malloc'ed copy, aligned to 16 bytes, of the first section called @name of
 * the ELF image @data (uncompressed if it is compressed).  -ENOENT without a
 * record in @err: there is none; -EINVAL with E_ELF_INVALID.
 */
int skep_elf_section(const void *data, size_t len, const char *name, void **out, size_t *out_len,
		     struct skep_err *err);

#endif
