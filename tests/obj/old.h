/* SPDX-License-Identifier: BSD-2-Clause */
/* A decorator that makes the kernel behave like an older one; see old.c. */
#ifndef SKEP_TESTS_OBJ_OLD_H
#define SKEP_TESTS_OBJ_OLD_H

#include "sys/sys.h"

/* What the old kernel took, and how much of it was described. */
struct old_count {
	unsigned int types, progs, func_info, line_info, prog_names, map_names, set_prog;
};

/* Takes over @inner.  NULL: no such @version ("4.14", "4.18", "5.4", "5.10", "5.15"). */
struct skep_sys *old_create(struct skep_sys *inner, const char *version);
const struct old_count *old_count(const struct skep_sys *sys);

#endif
