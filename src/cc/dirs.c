/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where skep keeps what it can make again, and vmlinux.h in it.
 *
 * Objects in the cache are loaded into the kernel by whoever finds them there,
 * root too: a folder counts only if it is this user's and closed to others.
 */
#include "cc/cc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "btf/btf.h"
#include "btf/dump.h"

#define KERNEL_BTF   "/sys/kernel/btf/vmlinux"
#define KERNEL_NOTES "/sys/kernel/notes"

int skep_cc_private_dir(const char *path, struct skep_err *err)
{
	struct stat st;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "%s: %s", path, strerror(errno));
	if (lstat(path, &st) < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022))
		return skep_fail(err, SKEP_E_PERMISSION, EPERM,
				 "%s: not a folder that only this user can write to", path);
	if (access(path, W_OK | X_OK) < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "%s: %s", path, strerror(errno));
	return 0;
}

static bool set_path(char *path, size_t size, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static bool set_path(char *path, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, size, fmt, ap);
	va_end(ap);
	return n > 0 && (size_t)n < size && path[0] == '/';
}

int skep_cc_cache_dir(char *path, size_t size, struct skep_err *err)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	const char *tmp = getenv("TMPDIR");
	char parent[PATH_MAX];

	if (xdg && set_path(path, size, "%s/skep", xdg) && skep_cc_private_dir(path, NULL) == 0)
		return 0;
	if (home && set_path(parent, sizeof(parent), "%s/.cache", home)) {
		/* An existing home gets its .cache; a missing one is not made up. */
		mkdir(parent, 0700);
		if (set_path(path, size, "%s/skep", parent) && skep_cc_private_dir(path, NULL) == 0)
			return 0;
	}
	if (!set_path(path, size, "%s/skep-%u", tmp && tmp[0] ? tmp : "/tmp", geteuid()))
		return skep_fail(err, SKEP_E_SYSTEM, ENAMETOOLONG, "TMPDIR: no usable path");
	return skep_cc_private_dir(path, err);
}

/*
 * The kernel's build: its build id (in the notes, which every kernel shows),
 * release and version, and the size of its types.
 */
static int kernel_key(uint64_t *key, struct skep_err *err)
{
	SKEP_AUTO_CLOSE int fd = -1;
	struct utsname uts;
	struct stat st;
	char notes[4096];
	ssize_t n = 0;

	if (stat(KERNEL_BTF, &st) < 0)
		return skep_fail(err, SKEP_E_BTF_MISSING, errno,
				 "vmlinux.h is made from the kernel's types (%s: %s), which need a "
				 "kernel with CONFIG_DEBUG_INFO_BTF; or put a vmlinux.h beside the "
				 "program",
				 KERNEL_BTF, strerror(errno));
	fd = open(KERNEL_NOTES, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, notes, sizeof(notes));
	*key = skep_hash_bytes(notes, n > 0 ? (size_t)n : 0, (uint64_t)st.st_size);
	if (uname(&uts) == 0) {
		*key = skep_hash_bytes(uts.release, strlen(uts.release), *key);
		*key = skep_hash_bytes(uts.version, strlen(uts.version), *key);
	}
	*key = skep_hash_bytes(SKEP_VERSION, strlen(SKEP_VERSION), *key);
	return 0;
}

int skep_cc_vmlinux_dir(char *path, size_t size, const char *cache, struct skep_err *err)
{
	uint64_t key;
	int ret = kernel_key(&key, err);

	if (ret < 0)
		return ret;
	if (!set_path(path, size, "%s/vmlinux-%016llx", cache, (unsigned long long)key))
		return skep_fail(err, SKEP_E_SYSTEM, ENAMETOOLONG, "%s: path too long", cache);
	return 0;
}

int skep_cc_vmlinux_make(const char *dir, struct skep_err *err)
{
	struct skep_buf text = SKEP_BUF_INIT;
	struct skep_btf *btf = NULL;
	char path[PATH_MAX];
	int ret;

	if (!set_path(path, sizeof(path), "%s/vmlinux.h", dir))
		return skep_fail(err, SKEP_E_SYSTEM, ENAMETOOLONG, "%s: path too long", dir);
	ret = skep_cc_private_dir(dir, err);
	if (ret == 0 && access(path, R_OK) == 0)
		return 0;
	if (ret == 0)
		ret = skep_btf_open_kernel(&btf, err);
	if (ret == 0)
		ret = skep_btf_dump_c(&text, btf, NULL, err);
	if (ret == 0 && text.oom)
		ret = skep_fail_nomem(err);
	if (ret == 0)
		ret = skep_file_write(path, text.data, text.len, err);
	skep_btf_destroy(btf);
	skep_buf_deinit(&text);
	return ret;
}
