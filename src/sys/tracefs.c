/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tracefs without mounting anything: where the system has it mounted it is
 * used, else a mount is made that is attached to no folder and dies with its
 * descriptor (fsopen(2), fsmount(2); Linux 5.2).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/near.h"
#include "sys/kernel.h"

static int mount_detached(void)
{
	SKEP_AUTO_CLOSE int fs = (int)syscall(__NR_fsopen, "tracefs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return -errno;
	if (syscall(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = (int)syscall(__NR_fsmount, fs, FSMOUNT_CLOEXEC,
			  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The mounted one at @path, if it is tracefs and its events can be read. */
static int open_mounted(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;
	struct statfs st;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &st) == 0 && st.f_type == TRACEFS_MAGIC &&
	    faccessat(fd, "events", R_OK | X_OK, AT_EACCESS) == 0)
		return fd;
	ret = st.f_type == TRACEFS_MAGIC ? -errno : -ENOENT;
	close(fd);
	return ret;
}

int skep_kernel_tracefs(struct skep_kernel *k)
{
	static const char *const paths[] = {"/sys/kernel/tracing", "/sys/kernel/debug/tracing"};
	int fd = -ENOENT;
	size_t i;

	if (k->tracefs > 0)
		return k->tracefs;
	for (i = 0; i < SKEP_ARRAY_SIZE(paths) && fd < 0; i++)
		fd = open_mounted(paths[i]);
	if (fd < 0)
		fd = mount_detached();
	if (fd < 0) {
		skep_kernel_why(k,
				"tracefs, which names the kernel's tracepoints, cannot be read "
				"(%s): that needs root or CAP_SYS_ADMIN; SEC(\"raw_tp/...\") and "
				"SEC(\"tp_btf/...\") find theirs without",
				strerror(-fd));
		return fd;
	}
	k->tracefs = fd;
	return fd;
}

static void near_names(struct skep_kernel *k, int dir, const char *category, const char *name)
{
	char path[300], text[400];
	struct skep_near near;
	struct dirent *ent;
	int fd;
	DIR *d;

	snprintf(path, sizeof(path), "events/%s", category);
	fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	skep_near_init(&near, fd < 0 ? category : name);
	if (fd < 0)
		fd = openat(dir, "events", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (ent = readdir(d)))
		if (ent->d_type == DT_DIR && ent->d_name[0] != '.')
			skep_near_add(&near, ent->d_name);
	if (d)
		closedir(d);
	skep_kernel_why(k, "this kernel has no tracepoint %s/%s%s", category, name,
			skep_near_text(&near, text, sizeof(text)));
}

/* Offers what stands in @category of tracefs' folder @events. */
static void add_names(int events, const char *category, struct skep_near *near)
{
	int fd = openat(events, category, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;

	while (d && (ent = readdir(d)))
		if (ent->d_type == DT_DIR && ent->d_name[0] != '.')
			skep_near_add(near, ent->d_name);
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
}

void skep_kernel_why_raw_tracepoint(struct skep_kernel *k, const char *name)
{
	int dir = skep_kernel_tracefs(k), fd;
	struct skep_near near;
	struct dirent *ent;
	char text[400];
	DIR *d;

	skep_near_init(&near, name);
	fd = dir < 0 ? -1 : openat(dir, "events", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d && (ent = readdir(d)))
		if (ent->d_type == DT_DIR && ent->d_name[0] != '.')
			add_names(fd, ent->d_name, &near);
	if (d)
		closedir(d);
	skep_kernel_why(k, "this kernel has no raw tracepoint %s%s", name,
			skep_near_text(&near, text, sizeof(text)));
}

int skep_kernel_tracepoint_id(struct skep_kernel *k, const char *category, const char *name)
{
	int dir = skep_kernel_tracefs(k);
	SKEP_AUTO_CLOSE int fd = -1;
	char path[400], number[32];
	ssize_t n;

	if (dir < 0)
		return dir;
	if (strchr(category, '/') || strchr(name, '/') || category[0] == '.' || name[0] == '.' ||
	    snprintf(path, sizeof(path), "events/%s/%s/id", category, name) >= (int)sizeof(path)) {
		skep_kernel_why(k, "'%s/%s' is no tracepoint's name", category, name);
		return -ENOENT;
	}
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		near_names(k, dir, category, name);
		return -ENOENT;
	}
	n = fd < 0 ? -1 : read(fd, number, sizeof(number) - 1);
	if (n <= 0) {
		int ret = n < 0 ? -errno : -EIO;

		skep_kernel_why(k, "tracefs: %s: %s", path, strerror(-ret));
		return ret;
	}
	number[n] = '\0';
	return atoi(number);
}
