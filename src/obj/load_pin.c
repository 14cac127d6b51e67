/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps that are pinned by name: who comes first makes and pins the map, who
 * comes later shares it, if it is what the object expects.  A pin that is not
 * is never replaced: somebody else may be using it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "obj/load_int.h"
#include "sys/uapi.h"

#define PIN_ROOT "/sys/fs/bpf"

static void pin_path(const struct skep_load *load, const struct skep_obj_map *map, char *path,
		     size_t size)
{
	size_t at = (size_t)snprintf(path, size, "%s/",
				     load->opts.pin_root ? load->opts.pin_root : PIN_ROOT);

	if (at >= size)
		return;
	snprintf(path + at, size - at, "%s", map->name);
	/* The kernel's file system takes no dots. */
	for (; path[at]; at++)
		if (path[at] == '.')
			path[at] = '_';
}

static int fail_pin(struct skep_load *load, const struct skep_obj_map *map, const char *path,
		    bool pinning, int ret, struct skep_err *err)
{
	const char *what = strerror(-ret);

	if (ret == -EPERM && !pinning)
		return skep_fail(err, SKEP_E_PERMISSION, EPERM, "%s: map '%s': %s", load->obj->name,
				 map->name,
				 load->sys->why[0] ? load->sys->why : "pins need CAP_BPF");
	/* EPERM, EINVAL: what a directory of another file system answers to who could make maps. */
	if (ret == -EPERM || ret == -EINVAL)
		what = "is not on a BPF file system: mount -t bpf bpf " PIN_ROOT;
	else if (ret == -EACCES)
		what = "may not be opened by this user (see its permissions)";
	else if (ret == -ENOENT)
		what = "is in no directory that exists: mount -t bpf bpf " PIN_ROOT
		       ", or name another (--pin-root)";
	return skep_fail(err, SKEP_E_MAP_CREATE, -ret, "%s: map '%s': its pin %s: %s",
			 load->obj->name, map->name, path, what);
}

/* Is the pinned map what the object wants? */
static int check_pinned(struct skep_load *load, const struct skep_obj_map *map, uint32_t entries,
			const char *path, int fd, struct skep_err *err)
{
	struct bpf_map_info info;
	union bpf_attr attr;
	int ret;

	memset(&info, 0, sizeof(info));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	ret = skep_sys_bpf(load->sys, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr.info));
	if (ret < 0)
		return skep_fail(err, SKEP_E_MAP_CREATE, -ret, "%s: map '%s': its pin %s is no map",
				 load->obj->name, map->name, path);
	if (info.type == map->type && info.key_size == map->key_size &&
	    info.value_size == map->value_size && info.max_entries == entries &&
	    info.map_flags == map->flags)
		return 0;
	return skep_fail(err, SKEP_E_MAP_CREATE, EEXIST,
			 "%s: map '%s': %s is pinned by somebody with another layout (%s, "
			 "key %u, value %u bytes, %u entries, flags %u; this object has %s, %u, "
			 "%u, %u, %u): if it is stale, rm %s",
			 load->obj->name, map->name, path, skep_load_map_type(info.type),
			 info.key_size, info.value_size, info.max_entries, info.map_flags,
			 skep_load_map_type(map->type), map->key_size, map->value_size, entries,
			 map->flags, path);
}

int skep_load_pinned(struct skep_load *load, const struct skep_obj_map *map, uint32_t entries,
		     struct skep_err *err)
{
	union bpf_attr attr;
	char path[512];
	int fd, ret;

	pin_path(load, map, path, sizeof(path));
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	fd = skep_sys_bpf(load->sys, BPF_OBJ_GET, &attr,
			  offsetof(union bpf_attr, file_flags) + sizeof(attr.file_flags));
	if (fd == -ENOENT || fd == -EOPNOTSUPP)
		return -ENOENT;
	if (fd < 0)
		return fail_pin(load, map, path, false, fd, err);
	ret = check_pinned(load, map, entries, path, fd, err);
	if (!ret)
		return fd;
	skep_sys_close(load->sys, fd);
	/* -ENOENT is the caller's sign to make the map. */
	return ret == -ENOENT ? -EEXIST : ret;
}

int skep_load_pin(struct skep_load *load, const struct skep_obj_map *map, int fd,
		  struct skep_err *err)
{
	union bpf_attr attr;
	char path[512];
	int ret;

	pin_path(load, map, path, sizeof(path));
	memset(&attr, 0, sizeof(attr));
	attr.pathname = (uintptr_t)path;
	attr.bpf_fd = (uint32_t)fd;
	ret = skep_sys_bpf(load->sys, BPF_OBJ_PIN, &attr,
			   offsetof(union bpf_attr, file_flags) + sizeof(attr.file_flags));
	if (ret == -EOPNOTSUPP) {
		skep_warn(load->sys->log,
			  "%s: map '%s' is not pinned: this engine's maps end with the process",
			  load->obj->name, map->name);
		return 0;
	}
	return ret < 0 ? fail_pin(load, map, path, true, ret, err) : 0;
}
