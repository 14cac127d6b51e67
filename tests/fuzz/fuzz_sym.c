/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of anybody's making whose symbols and static probes are asked for:
 * the input is an ELF file, or, if it is none, the text of a probe's arguments.
 */
#include <gelf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "event/sym.h"
#include "event/usdt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find(void *ctx, const char *symbol, uint64_t *addr)
{
	*addr = strlen(symbol);
	return symbol[0] & 1;
}

static void read_text(const uint8_t *data, size_t size)
{
	struct skep_usdt_site site = {.addr = 64, .find = find};
	char *text = strndup((const char *)data, size), unread[80];
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_usdt_spec spec;
	unsigned int machine;
	int i;

	for (machine = EM_X86_64; text; machine = EM_AARCH64) {
		if (skep_usdt_spec_parse(text, machine, &site, &spec, unread, sizeof(unread),
					 &err) < 0 &&
		    !err.msg[0])
			__builtin_trap();
		for (i = 0; i < spec.nr_args; i++)
			if (spec.args[i].reg_off < 0 || spec.args[i].reg_off > 256)
				__builtin_trap();
		skep_err_deinit(&err);
		if (machine == EM_AARCH64)
			break;
	}
	free(text);
}

static void read_file(const char *path)
{
	struct skep_usdt_places places = {0};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_symtab *tab = skep_symtab_create();
	char text[256];
	uint64_t off;

	if (skep_sym_offset(path, "main", &off, &err) < 0 && !err.msg[0])
		__builtin_trap();
	skep_err_deinit(&err);
	skep_sym_offset(path, "f@VERS_1", &off, NULL);
	if (skep_usdt_find(path, "probes", "plain", &places, &err) < 0 && !err.msg[0])
		__builtin_trap();
	skep_err_deinit(&err);
	skep_vec_deinit(&places.v);
	if (tab && skep_symtab_map(tab, 1, 0, UINT32_MAX, 0, path) == 0)
		skep_symtab_text(tab, 1, 0x1234, text, sizeof(text));
	skep_symtab_destroy(tab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[64];
	int fd;

	if (size < 4 || memcmp(data, ELFMAG, SELFMAG) != 0) {
		read_text(data, size);
		return 0;
	}
	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, data, size) == (ssize_t)size) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		read_file(path);
	}
	if (fd >= 0)
		close(fd);
	return 0;
}
