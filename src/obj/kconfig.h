/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel's configuration, for externs of .kconfig and for `skep feature`. */
#ifndef SKEP_OBJ_KCONFIG_H
#define SKEP_OBJ_KCONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

struct skep_kconfig {
	struct skep_hash values; /* "CONFIG_HZ" -> "1000", as written in the file */
	char *text; /* what the hash points into */
};

/*
 * Reads @path, or the first there is of /proc/config.gz and
 * /boot/config-RELEASE; gzip'ed or not.  0, or -ENOENT with what was tried.
 */
int skep_kconfig_open(struct skep_kconfig *config, const char *path, struct skep_err *err);
void skep_kconfig_deinit(struct skep_kconfig *config);
/* The value as written ("y", "m", "1000", "\"text\""), or NULL: not set. */
const char *skep_kconfig_get(const struct skep_kconfig *config, const char *name);

#endif
