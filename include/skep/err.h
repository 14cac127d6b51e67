/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Version and errors.
 *
 * A struct skep_err belongs to the caller and to one thread at a time.  Each
 * function that takes one empties it first: it always speaks of the last call.
 * Every function accepts NULL for it.
 */
#ifndef SKEP_ERR_H
#define SKEP_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SKEP_API __attribute__((visibility("default")))

#define SKEP_VERSION_MAJOR 0
#define SKEP_VERSION_MINOR 1
#define SKEP_VERSION_PATCH 0

/* Of the library that runs: "0.1.0". */
SKEP_API const char *skep_version(void);

struct skep_err;

/* NULL: out of memory, which every other function accepts. */
SKEP_API struct skep_err *skep_err_create(void);
SKEP_API void skep_err_destroy(struct skep_err *err);

/* The sentence, without a full stop; "" when nothing failed.  Until the next use of @err. */
SKEP_API const char *skep_err_text(const struct skep_err *err);

/*
 * The kind, for programs: "E_RUN_ACCESS", "E_RUN_LIMIT", "E_RUN_STOPPED",
 * "E_RUN_HELPER", "E_ASM_SYNTAX", "E_ELF_INVALID" and so on; "E_NONE".
 * docs/embed.md has the list.
 */
SKEP_API const char *skep_err_kind(const struct skep_err *err);

/* The errno that was returned, positive; 0: nothing failed. */
SKEP_API int skep_err_errno(const struct skep_err *err);

/* The instruction of the program that it is about, or -1. */
SKEP_API int skep_err_insn(const struct skep_err *err);

/*
 * E_RUN_ACCESS: which access the program was ended for.  True when known; the
 * results that are not NULL are set.  @len: bytes.
 */
SKEP_API bool skep_err_access(const struct skep_err *err, uint64_t *addr, uint32_t *len,
			      bool *write);

#ifdef __cplusplus
}
#endif
#endif
