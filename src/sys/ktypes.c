/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/ktypes.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIR_BTF "/sys/kernel/btf"

int skep_ktypes_open(struct skep_ktypes *kt, struct skep_err *err)
{
	return kt->kernel ? 0 : skep_btf_open_kernel(&kt->kernel, err);
}

static int cmp_module(const void *a, const void *b)
{
	return strcmp(((const struct skep_kmodule *)a)->name,
		      ((const struct skep_kmodule *)b)->name);
}

/* One module; only running out of memory is a failure of all. */
static int open_module(struct skep_ktypes *kt, const char *name)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_kmodule m = {.fd = -1};
	char path[sizeof(DIR_BTF) + sizeof(m.name) + 1];
	int ret;

	if (strlen(name) >= sizeof(m.name))
		return 0;
	strcpy(m.name, name);
	snprintf(path, sizeof(path), DIR_BTF "/%s", name);
	ret = skep_btf_open_module(&m.btf, path, kt->kernel, &err);
	if (ret < 0 && ret != -ENOMEM)
		skep_debug(kt->sys ? kt->sys->log : NULL, "types of a module left out: %s",
			   err.msg);
	skep_err_deinit(&err);
	if (ret < 0)
		return ret == -ENOMEM ? ret : 0;
	if (!skep_vec_push(&kt->modules, m))
		return 0;
	skep_btf_destroy(m.btf);
	return -ENOMEM;
}

int skep_ktypes_open_modules(struct skep_ktypes *kt, struct skep_err *err)
{
	struct dirent *e;
	int ret = 0;
	DIR *d;

	if (kt->listed)
		return 0;
	ret = skep_ktypes_open(kt, err);
	if (ret < 0)
		return ret;
	kt->listed = true;
	d = opendir(DIR_BTF);
	if (!d)
		return 0;
	while (!ret && (e = readdir(d)))
		if (e->d_name[0] != '.' && strcmp(e->d_name, "vmlinux") != 0)
			ret = open_module(kt, e->d_name);
	closedir(d);
	if (ret < 0)
		return skep_fail_nomem(err);
	/* A folder has no order; messages and choices should have one. */
	if (kt->modules.len)
		qsort(kt->modules.data, kt->modules.len, sizeof(*kt->modules.data), cmp_module);
	return 0;
}

const struct skep_btf *skep_ktypes_module(void *ctx, size_t i)
{
	struct skep_ktypes *kt = ctx;

	if (skep_ktypes_open_modules(kt, NULL) < 0 || i >= kt->modules.len)
		return NULL;
	return kt->modules.data[i].btf;
}

/* Keeps @fd if it is the BTF of one of our modules. */
static bool keep_fd(struct skep_ktypes *kt, int fd)
{
	struct bpf_btf_info info;
	struct skep_kmodule *m;
	union bpf_attr attr;
	char name[64] = "";

	memset(&info, 0, sizeof(info));
	memset(&attr, 0, sizeof(attr));
	info.name = (uintptr_t)name;
	info.name_len = sizeof(name);
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (skep_sys_bpf(kt->sys, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) < 0 ||
	    !info.kernel_btf)
		return false;
	skep_vec_each (&kt->modules, m) {
		if (m->fd < 0 && !strcmp(m->name, name)) {
			m->fd = fd;
			return true;
		}
	}
	return false;
}

/* All in one walk over the engine's BTF objects: a name has no other way to its id. */
static int open_fds(struct skep_ktypes *kt)
{
	union bpf_attr attr;
	uint32_t id = 0;
	int fd;

	for (;;) {
		memset(&attr, 0, sizeof(attr));
		attr.start_id = id;
		fd = skep_sys_bpf(kt->sys, BPF_BTF_GET_NEXT_ID, &attr, sizeof(attr));
		if (fd < 0)
			return fd == -ENOENT ? 0 : fd;
		id = attr.next_id;
		memset(&attr, 0, sizeof(attr));
		attr.btf_id = id;
		fd = skep_sys_bpf(kt->sys, BPF_BTF_GET_FD_BY_ID, &attr, sizeof(attr));
		if (fd == -ENOENT) /* gone meanwhile */
			continue;
		if (fd < 0)
			return fd;
		if (!keep_fd(kt, fd))
			skep_sys_close(kt->sys, fd);
	}
}

int skep_ktypes_fd(struct skep_ktypes *kt, size_t i, struct skep_err *err)
{
	const struct skep_kmodule *m = &kt->modules.data[i];
	int ret = 0;

	if (m->fd >= 0)
		return m->fd;
	if (!kt->opened_fds)
		ret = open_fds(kt);
	kt->opened_fds = ret >= 0;
	if (ret == -EPERM)
		return skep_fail(err, SKEP_E_PERMISSION, EPERM,
				 "finding the types of the module '%s' needs CAP_SYS_ADMIN",
				 m->name);
	if (m->fd >= 0)
		return m->fd;
	return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			 "the %s engine does not know the kernel's module '%s'; run as root with "
			 "--engine kernel",
			 kt->sys->ops->name, m->name);
}

int skep_ktypes_find(struct skep_ktypes *kt, const char *module, const char *name, uint32_t kind,
		     const struct skep_btf **where, int *index, struct skep_err *err)
{
	int ret = skep_ktypes_open(kt, err);
	size_t i;

	if (ret < 0)
		return ret;
	*index = -1;
	*where = kt->kernel;
	if (!module || !strcmp(module, "vmlinux")) {
		ret = skep_btf_find(kt->kernel, name, kind, 0);
		if (ret > 0 || module)
			return ret;
	}
	ret = skep_ktypes_open_modules(kt, err);
	if (ret < 0)
		return ret;
	for (i = 0; i < kt->modules.len; i++) {
		if (module && strcmp(module, kt->modules.data[i].name) != 0)
			continue;
		*index = (int)i;
		*where = kt->modules.data[i].btf;
		ret = skep_btf_find(*where, name, kind, skep_btf_first(*where) - 1);
		if (ret > 0)
			return ret;
	}
	return -ENOENT;
}

void skep_ktypes_deinit(struct skep_ktypes *kt)
{
	struct skep_kmodule *m;

	skep_vec_each (&kt->modules, m) {
		skep_sys_close(kt->sys, m->fd);
		skep_btf_destroy(m->btf);
	}
	skep_vec_deinit(&kt->modules);
	skep_btf_destroy(kt->kernel);
	kt->kernel = NULL;
	kt->listed = kt->opened_fds = false;
}
