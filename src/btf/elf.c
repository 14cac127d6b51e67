/* SPDX-License-Identifier: BSD-2-Clause */
#include "btf/elf.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>

bool skep_elf_is(const void *data, size_t len)
{
	return len >= SELFMAG && memcmp(data, ELFMAG, SELFMAG) == 0;
}

static int fail(struct skep_err *err)
{
	const char *why = elf_errmsg(-1);

	return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL, "ELF: %s", why ? why : "malformed");
}

static Elf_Scn *find(Elf *elf, const char *want)
{
	size_t strs;
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;
	const char *name;

	if (elf_getshdrstrndx(elf, &strs))
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &shdr) || shdr.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, strs, shdr.sh_name);
		if (name && !strcmp(name, want))
			return scn;
	}
	return NULL;
}

static int copy_section(Elf *elf, const char *name, void **out, size_t *out_len,
			struct skep_err *err)
{
	Elf_Scn *scn = find(elf, name);
	GElf_Shdr shdr;
	Elf_Data *d;

	if (!scn)
		return -ENOENT;
	if (gelf_getshdr(scn, &shdr) && (shdr.sh_flags & SHF_COMPRESSED) &&
	    elf_compress(scn, 0, 0) < 0)
		return fail(err);
	d = elf_rawdata(scn, NULL);
	if (!d)
		return fail(err);
	*out = malloc(d->d_size ? d->d_size : 1);
	if (!*out)
		return skep_fail_nomem(err);
	if (d->d_size)
		memcpy(*out, d->d_buf, d->d_size);
	*out_len = d->d_size;
	return 0;
}

int skep_elf_section(const void *data, size_t len, const char *name, void **out, size_t *out_len,
		     struct skep_err *err)
{
	Elf *elf;
	int ret;

	elf_version(EV_CURRENT);
	/* libelf reads the image only; its interface has no const. */
	elf = elf_memory((char *)data, len);
	if (!elf)
		return fail(err);
	ret = copy_section(elf, name, out, out_len, err);
	elf_end(elf);
	return ret;
}
