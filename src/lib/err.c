/* SPDX-License-Identifier: BSD-2-Clause */
/* The errors of the house as the library shows them: opaque, emptied by each call. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/int.h"

const char *skep_version(void)
{
	return SKEP_VERSION;
}

struct skep_err *skep_err_create(void)
{
	struct skep_err *err = malloc(sizeof(*err));

	if (err)
		*err = (struct skep_err)SKEP_ERR_INIT;
	return err;
}

void skep_err_destroy(struct skep_err *err)
{
	skep_err_deinit(err);
	free(err);
}

void skep_lib_begin(struct skep_err *err)
{
	if (err && err->tag != SKEP_E_NONE)
		skep_err_deinit(err);
}

void skep_lib_opts(void *to, const void *from, size_t size)
{
	size_t given = 0;

	memset(to, 0, size);
	if (!from)
		return;
	memcpy(&given, from, sizeof(given));
	memcpy(to, from, given < size ? given : size);
}

const char *skep_err_text(const struct skep_err *err)
{
	return err ? err->msg : "out of memory";
}

const char *skep_err_kind(const struct skep_err *err)
{
	return skep_tag_name(err ? err->tag : SKEP_E_NOMEM);
}

int skep_err_errno(const struct skep_err *err)
{
	return err ? err->err : ENOMEM;
}

int skep_err_insn(const struct skep_err *err)
{
	return err ? err->insn : -1;
}

bool skep_err_access(const struct skep_err *err, uint64_t *addr, uint32_t *len, bool *write)
{
	if (!err || err->tag != SKEP_E_RUN_ACCESS || !err->len)
		return false;
	if (addr)
		*addr = err->addr;
	if (len)
		*len = err->len;
	if (write)
		*write = err->write;
	return true;
}
