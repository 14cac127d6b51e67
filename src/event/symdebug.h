/* SPDX-License-Identifier: BSD-2-Clause */
/* The names that were stripped from a file: where they were put.  Private to symfile.c. */
#ifndef SKEP_EVENT_SYMDEBUG_H
#define SKEP_EVENT_SYMDEBUG_H

#include "event/symfile.h"

/*
 * Opens the separate debug file of @f, which lies at @path: by build id under
 * /usr/lib/debug/.build-id, or as .gnu_debuglink says, in the same folder, its
 * .debug, or /usr/lib/debug with the folder behind it.  None: f->debug stays NULL.
 */
void skep_symdebug_open(struct skep_symfile *f, const char *path);

/* The ELF file in .gnu_debugdata, unpacked when first asked for; NULL: none, or no liblzma. */
Elf *skep_symdebug_mini(struct skep_symfile *f);

#endif
