/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names and numbers of system calls.  Looked up when a probe is opened, never
 * at an event, so a walk of the table will do.
 */
#include "user/syscall.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"

static const struct {
	int nr;
	const char *name;
} calls[] = {
#define SKEP_SYSCALL(nr, name) {nr, #name},
#include SKEP_SYSCALL_DEF
#undef SKEP_SYSCALL
};

int skep_syscall_nr(const char *name)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].nr;
	return -ENOENT;
}

const char *skep_syscall_name(long nr)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(calls); i++)
		if (calls[i].nr == nr)
			return calls[i].name;
	return NULL;
}
