/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled objects, kept by content.
 *
 * A cache file is a list of the files that the object was made from, then the
 * object.  A hit reads those files again and compares hashes of what is in
 * them: touching a header costs nothing, changing it costs a compilation.
 * Files above 1 MiB (vmlinux.h, which is never edited) are known by inode, size
 * and time of change instead.
 *
 *	skep-cc 1
 *	c HASH SIZE PATH	(content)
 *	s HASH SIZE PATH	(stat: the hash is of inode and ctime)
 *	<empty line, padding with newlines to a multiple of 64>
 *	<ELF>
 */
#include "cc/cc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/hash.h"

#define MAGIC	    "skep-cc 1\n"
#define BY_STAT	    (1 << 20) /* bytes from which on a file is not read again */
#define HEADER_UNIT 64

/* What identifies the content of a file now.  False if there is no such file. */
static bool fingerprint(const char *path, char *how, uint64_t *hash, uint64_t *size)
{
	SKEP_AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	SKEP_AUTO_FREE char *data = NULL;
	uint64_t id[3];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	*size = (uint64_t)st.st_size;
	if (st.st_size >= BY_STAT) {
		id[0] = st.st_ino;
		id[1] = (uint64_t)st.st_ctim.tv_sec;
		id[2] = (uint64_t)st.st_ctim.tv_nsec;
		*how = 's';
		*hash = skep_hash_bytes(id, sizeof(id), *size);
		return true;
	}
	/* read(2), not mmap(2): a page fault costs more than copying a page. */
	data = malloc((size_t)st.st_size + 1);
	n = data ? read(fd, data, (size_t)st.st_size + 1) : -1;
	if (n != st.st_size)
		return false;
	*how = 'c';
	*hash = skep_hash_bytes(data, (size_t)n, *size);
	return true;
}

static bool cache_path(char *path, size_t size, const char *cache, uint64_t key)
{
	return snprintf(path, size, "%s/%016" PRIx64 ".o", cache, key) < (int)size;
}

/* Checks one line "c HASH SIZE PATH" of @len bytes against the file it names. */
static bool line_holds(const char *line, size_t len)
{
	char text[PATH_MAX + 64], how, now;
	uint64_t hash, size, now_hash, now_size;
	int at = 0;

	if (len >= sizeof(text))
		return false;
	memcpy(text, line, len);
	text[len] = '\0';
	if (sscanf(text, "%c %" SCNx64 " %" SCNu64 " %n", &how, &hash, &size, &at) != 3 || !at)
		return false;
	return fingerprint(text + at, &now, &now_hash, &now_size) && now == how &&
	       now_size == size && now_hash == hash;
}

/* True if the header holds; *off is where the object starts. */
static bool header_holds(const char *data, size_t len, size_t *off)
{
	const char *p = data + strlen(MAGIC), *end = data + len, *nl;

	if (len < strlen(MAGIC) || memcmp(data, MAGIC, strlen(MAGIC)))
		return false;
	for (; (nl = memchr(p, '\n', (size_t)(end - p))) && nl != p; p = nl + 1) {
		if (!line_holds(p, (size_t)(nl - p)))
			return false;
	}
	if (!nl)
		return false;
	*off = ((size_t)(nl - data) / HEADER_UNIT + 1) * HEADER_UNIT;
	return *off < len;
}

bool skep_cc_cache_get(struct skep_cc_object *object, const char *cache, uint64_t key)
{
	struct skep_file file;
	char path[PATH_MAX];
	size_t off;

	if (!cache_path(path, sizeof(path), cache, key) || skep_file_open(&file, path, NULL) < 0)
		return false;
	if (!header_holds(file.data, file.len, &off)) {
		skep_file_close(&file);
		return false;
	}
	object->file = file;
	object->data = (const char *)file.data + off;
	object->len = file.len - off;
	object->cached = true;
	return true;
}

/*
 * The next file name of a make rule: names are separated by blanks, "\" before
 * a line's end continues the rule, "\ " is a blank in a name, "$$" a dollar.
 */
static bool next_name(const char **rule, char *name, size_t size)
{
	const char *p = *rule;
	size_t n = 0;

	while (isspace((unsigned char)*p) || (p[0] == '\\' && p[1] == '\n'))
		p++;
	for (; *p && !isspace((unsigned char)*p) && n + 1 < size; p++) {
		if (p[0] == '\\' && p[1] == '\n')
			break;
		if ((p[0] == '\\' && (p[1] == ' ' || p[1] == '#' || p[1] == '\\')) ||
		    (p[0] == '$' && p[1] == '$'))
			p++;
		name[n++] = *p;
	}
	name[n] = '\0';
	*rule = p;
	return n > 0;
}

int skep_cc_cache_put(const char *cache, uint64_t key, const char *deps, const void *elf,
		      size_t len, struct skep_err *err)
{
	struct skep_buf buf = SKEP_BUF_INIT;
	char name[PATH_MAX], path[PATH_MAX], how;
	const char *rule = strchr(deps, ':');
	uint64_t hash, size;
	int ret;

	if (!rule || !cache_path(path, sizeof(path), cache, key))
		return skep_fail(err, SKEP_E_SYSTEM, EINVAL, "%s: no rule from clang", cache);
	skep_buf_puts(&buf, MAGIC);
	for (rule++; next_name(&rule, name, sizeof(name));) {
		/* What cannot be checked later must not be kept. */
		if (strchr(name, '\n') || !fingerprint(name, &how, &hash, &size)) {
			skep_buf_deinit(&buf);
			return 0;
		}
		skep_buf_printf(&buf, "%c %" PRIx64 " %" PRIu64 " %s\n", how, hash, size, name);
	}
	do {
		skep_buf_putc(&buf, '\n');
	} while (buf.len % HEADER_UNIT && !buf.oom);
	skep_buf_add(&buf, elf, len);
	ret = buf.oom ? skep_fail_nomem(err) : skep_file_write(path, buf.data, buf.len, err);
	skep_buf_deinit(&buf);
	return ret;
}
