/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole files as memory: mapped where the file allows it, read where not. */
#ifndef SKEP_BASE_FILE_H
#define SKEP_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct skep_file {
	void *data; /* len bytes, read-only; not NUL-terminated */
	size_t len;
	bool mapped;
};

/*
 * Opens @path ("-": standard input) whole.  0, or -errno with @err naming the
 * path.  Release with skep_file_close(), which is safe on a zeroed struct.
 */
int skep_file_open(struct skep_file *file, const char *path, struct skep_err *err);
void skep_file_close(struct skep_file *file);

/*
 * Writes @len bytes to @path through a temporary file in the same folder and
 * rename(2), so that readers see the old content or the new, never half.  What
 * is no regular file (/dev/stdout) is written to.
 */
int skep_file_write(const char *path, const void *data, size_t len, struct skep_err *err);

/* mkdir -p.  0 or -errno. */
int skep_mkdirs(const char *path, struct skep_err *err);

#endif
