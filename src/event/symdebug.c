/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Separate debug files and mini debug info.
 * https://sourceware.org/gdb/current/onlinedocs/gdb.html/Separate-Debug-Files.html
 *
 * All of it is optional: what is missing, broken or not the file's own is left
 * alone, and the names of the file itself must do.
 */
#include "event/symdebug.h"

#include <dlfcn.h>
#include <gelf.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/cleanup.h"

#define DEBUG_ROOT "/usr/lib/debug"
#define MINI_MAX   (64u << 20) /* what .gnu_debugdata may unpack to, bytes */

/* The build id's bytes, or NULL. */
static const unsigned char *build_id(Elf *elf, size_t *len)
{
	size_t name_off, desc_off, pos;
	Elf_Scn *scn = NULL;
	GElf_Shdr sh;
	GElf_Nhdr nh;
	Elf_Data *d;

	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type != SHT_NOTE)
			continue;
		d = elf_getdata(scn, NULL);
		for (pos = 0; d && (pos = gelf_getnote(d, pos, &nh, &name_off, &desc_off)) > 0;) {
			if (nh.n_type != NT_GNU_BUILD_ID || nh.n_namesz != 4 ||
			    memcmp((char *)d->d_buf + name_off, "GNU", 4))
				continue;
			*len = nh.n_descsz;
			return (const unsigned char *)d->d_buf + desc_off;
		}
	}
	return NULL;
}

static bool open_by_id(struct skep_symfile *f)
{
	char path[sizeof(DEBUG_ROOT) + 160];
	const unsigned char *id;
	size_t len = 0, i, at;

	id = build_id(f->elf, &len);
	if (!id || len < 2 || len > 64)
		return false;
	at = (size_t)snprintf(path, sizeof(path), DEBUG_ROOT "/.build-id/%02x/", id[0]);
	for (i = 1; i < len; i++)
		at += (size_t)snprintf(path + at, sizeof(path) - at, "%02x", id[i]);
	snprintf(path + at, sizeof(path) - at, ".debug");
	return skep_file_open(&f->debug_file, path, NULL) == 0;
}

/* The bytes of section @name, or NULL. */
static Elf_Data *section(Elf *elf, const char *name)
{
	Elf_Scn *scn = NULL;
	const char *have;
	GElf_Shdr sh;
	size_t names;

	if (elf_getshdrstrndx(elf, &names) < 0)
		return NULL;
	while ((scn = elf_nextscn(elf, scn))) {
		if (!gelf_getshdr(scn, &sh) || sh.sh_type == SHT_NOBITS)
			continue;
		have = elf_strptr(elf, names, sh.sh_name);
		if (have && !strcmp(have, name))
			return elf_rawdata(scn, NULL);
	}
	return NULL;
}

/* A file of the right name may be another version's: the checksum tells. */
static bool open_checked(struct skep_symfile *f, const char *path, uint32_t crc)
{
	if (skep_file_open(&f->debug_file, path, NULL) < 0)
		return false;
	if (crc32_z(0, f->debug_file.data, f->debug_file.len) == crc)
		return true;
	skep_file_close(&f->debug_file);
	return false;
}

static bool open_by_link(struct skep_symfile *f, const char *path)
{
	static const char *const ways[] = {"%s/%s", "%s/.debug/%s", DEBUG_ROOT "%s/%s"};
	SKEP_AUTO_FREE char *real = NULL;
	Elf_Data *d = section(f->elf, ".gnu_debuglink");
	const char *name = d ? d->d_buf : NULL;
	size_t len, i;
	uint32_t crc;
	char *slash;

	len = name ? strnlen(name, d->d_size) : 0;
	/* The name, its NUL, padding to four bytes, the checksum. */
	if (!len || len == d->d_size || (len & ~(size_t)3) + 8 > d->d_size || strchr(name, '/'))
		return false;
	memcpy(&crc, name + (len & ~(size_t)3) + 4, sizeof(crc));
	real = realpath(path, NULL);
	slash = real ? strrchr(real, '/') : NULL;
	if (!slash)
		return false;
	*slash = '\0';
	for (i = 0; i < SKEP_ARRAY_SIZE(ways); i++) {
		char *where;
		bool good;

		if (asprintf(&where, ways[i], real, name) < 0)
			return false;
		good = open_checked(f, where, crc);
		free(where);
		if (good)
			return true;
	}
	return false;
}

void skep_symdebug_open(struct skep_symfile *f, const char *path)
{
	if (open_by_id(f) || open_by_link(f, path))
		f->debug = elf_memory(f->debug_file.data, f->debug_file.len);
}

/* lzma_stream_buffer_decode() of liblzma, 0: done, 10: more room. */
typedef int decode_fn(uint64_t *memlimit, uint32_t flags, const void *allocator, const uint8_t *in,
		      size_t *in_pos, size_t in_size, uint8_t *out, size_t *out_pos,
		      size_t out_size);

#define LZMA_NEEDS_ROOM 10

static void *unpack(decode_fn *decode, const Elf_Data *d, size_t *len)
{
	uint64_t memory = MINI_MAX;
	size_t size = 4 * d->d_size + 4096, in, out;
	uint8_t *data = NULL, *more;
	int ret = LZMA_NEEDS_ROOM;

	for (; ret == LZMA_NEEDS_ROOM && size <= MINI_MAX; size *= 2) {
		more = realloc(data, size);
		if (!more)
			break;
		data = more;
		in = out = 0;
		ret = decode(&memory, 0, NULL, d->d_buf, &in, d->d_size, data, &out, size);
	}
	if (ret == 0) {
		*len = out;
		return data;
	}
	free(data);
	return NULL;
}

Elf *skep_symdebug_mini(struct skep_symfile *f)
{
	Elf_Data *d = f->mini_tried ? NULL : section(f->elf, ".gnu_debugdata");
	decode_fn *decode;
	void *lib;
	size_t len = 0;

	f->mini_tried = true;
	if (!d || !d->d_buf || d->d_size > MINI_MAX / 4)
		return f->mini;
	lib = dlopen("liblzma.so.5", RTLD_NOW | RTLD_LOCAL);
	decode = lib ? (decode_fn *)dlsym(lib, "lzma_stream_buffer_decode") : NULL;
	if (decode)
		f->mini_data = unpack(decode, d, &len);
	if (f->mini_data)
		f->mini = elf_memory(f->mini_data, len);
	if (lib)
		dlclose(lib);
	return f->mini;
}
