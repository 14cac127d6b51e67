/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static int read_all(struct skep_file *file, int fd, size_t hint)
{
	size_t cap = hint + 1 < 4096 ? 4096 : hint + 1, len = 0;
	char *data = malloc(cap), *p;
	ssize_t n;

	if (!data)
		return -ENOMEM;
	for (;;) {
		n = read(fd, data + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len < cap)
			continue;
		p = realloc(data, cap * 2);
		if (!p) {
			free(data);
			return -ENOMEM;
		}
		data = p;
		cap *= 2;
	}
	if (n < 0) {
		n = -errno;
		free(data);
		return (int)n;
	}
	*file = (struct skep_file){.data = data, .len = len};
	return 0;
}

int skep_file_open(struct skep_file *file, const char *path, struct skep_err *err)
{
	SKEP_AUTO_CLOSE int fd = -1;
	struct stat st;
	void *p;
	int ret;

	*file = (struct skep_file){0};
	fd = strcmp(path, "-") == 0 ? dup(0) : open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return skep_fail(err, errno == ENOENT ? SKEP_E_NOT_FOUND : SKEP_E_SYSTEM, errno,
				 "%s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode) && st.st_size > 0) {
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (p != MAP_FAILED) {
			*file = (struct skep_file){p, (size_t)st.st_size, true};
			return 0;
		}
	}
	ret = read_all(file, fd, S_ISREG(st.st_mode) ? (size_t)st.st_size : 0);
	if (ret < 0)
		return skep_fail(err, SKEP_E_SYSTEM, -ret, "%s: %s", path, strerror(-ret));
	return 0;
}

void skep_file_close(struct skep_file *file)
{
	if (file->mapped)
		munmap(file->data, file->len);
	else
		free(file->data);
	*file = (struct skep_file){0};
}

static int write_all(int fd, const char *data, size_t len)
{
	ssize_t n;

	for (; len; data += n, len -= (size_t)n) {
		n = write(fd, data, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			return -errno;
	}
	return 0;
}

/* Devices and pipes have no old content to keep, and must not be replaced by a file. */
static int write_special(const char *path, const void *data, size_t len, struct skep_err *err)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret;

	ret = fd < 0 ? -errno : write_all(fd, data, len);
	if (fd >= 0 && close(fd) < 0 && ret == 0)
		ret = -errno;
	return ret < 0 ? skep_fail(err, SKEP_E_SYSTEM, -ret, "%s: %s", path, strerror(-ret)) : 0;
}

int skep_file_write(const char *path, const void *data, size_t len, struct skep_err *err)
{
	char tmp[PATH_MAX];
	struct stat st;
	int fd, ret;

	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return write_special(path, data, len, err);
	if (snprintf(tmp, sizeof(tmp), "%s.XXXXXX", path) >= (int)sizeof(tmp))
		return skep_fail(err, SKEP_E_SYSTEM, ENAMETOOLONG, "%s: path too long", path);
	fd = mkostemp(tmp, O_CLOEXEC);
	if (fd < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "%s: %s", path, strerror(errno));
	ret = write_all(fd, data, len);
	if (ret == 0 && fchmod(fd, 0644) < 0)
		ret = -errno;
	if (close(fd) < 0 && ret == 0)
		ret = -errno;
	if (ret == 0 && rename(tmp, path) < 0)
		ret = -errno;
	if (ret < 0) {
		unlink(tmp);
		return skep_fail(err, SKEP_E_SYSTEM, -ret, "%s: %s", path, strerror(-ret));
	}
	return 0;
}

int skep_mkdirs(const char *path, struct skep_err *err)
{
	char part[PATH_MAX];
	size_t i, len = strlen(path);

	if (len >= sizeof(part))
		return skep_fail(err, SKEP_E_SYSTEM, ENAMETOOLONG, "%s: path too long", path);
	for (i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return skep_fail(err, SKEP_E_SYSTEM, errno, "%s: %s", part,
					 strerror(errno));
	}
	return 0;
}
