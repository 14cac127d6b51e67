/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is loaded already and the user names: a program whose function is to
 * be replaced or observed, a map to walk.
 *
 * Ids and pins are looked up in the engine; the program's own BTF tells which
 * of its functions there are.
 */
#include <ctype.h>
#include <errno.h>
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/near.h"
#include "btf/btf.h"
#include "obj/load_int.h"
#include "sys/uapi.h"

#define BTF_MAX (64u << 20) /* of one program, bytes */

/* The descriptor of number or pin @text: what @by_id gets, or -errno. */
static int open_named(struct skep_sys *sys, int by_id, const char *text)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	if (isdigit((unsigned char)text[0]) && !text[strspn(text, "0123456789")]) {
		attr.prog_id = (uint32_t)strtoul(text, NULL, 10);
		return skep_sys_bpf(sys, by_id, &attr, offsetof(union bpf_attr, open_flags) + 4);
	}
	attr.pathname = (uintptr_t)text;
	return skep_sys_bpf(sys, BPF_OBJ_GET, &attr, offsetof(union bpf_attr, file_flags) + 4);
}

static int info_of(struct skep_sys *sys, int fd, void *info, uint32_t size)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = size;
	attr.info.info = (uintptr_t)info;
	return skep_sys_bpf(sys, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr.info));
}

/* The types of BTF @id, read from the engine.  NULL: there are none to be had. */
static struct skep_btf *read_types(struct skep_sys *sys, uint32_t id)
{
	struct bpf_btf_info info = {0};
	struct skep_btf *btf = NULL;
	union bpf_attr attr;
	void *bytes = NULL;
	uint32_t size;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.btf_id = id;
	fd = skep_sys_bpf(sys, BPF_BTF_GET_FD_BY_ID, &attr, offsetof(union bpf_attr, open_flags));
	if (fd < 0)
		return NULL;
	size = info_of(sys, fd, &info, sizeof(info)) < 0 ? 0 : info.btf_size;
	if (size && size <= BTF_MAX)
		bytes = malloc(size);
	memset(&info, 0, sizeof(info));
	info.btf = (uintptr_t)bytes;
	info.btf_size = size;
	if (bytes && info_of(sys, fd, &info, sizeof(info)) == 0) {
		if (skep_btf_open_raw(&btf, bytes, size, SKEP_BTF_TAKE, NULL, NULL) < 0)
			btf = NULL;
		bytes = NULL;
	}
	free(bytes);
	skep_sys_close(sys, fd);
	return btf;
}

/* The BTF id of function @func among @btf's. */
static int find_function(const struct skep_btf *btf, const char *what, const char *func,
			 struct skep_err *err)
{
	struct skep_btf_iter it = {.btf = btf};
	struct skep_near near;
	char text[320];
	int id = skep_btf_find(btf, func, BTF_KIND_FUNC, 0);

	if (id > 0)
		return id;
	skep_near_init(&near, func);
	while (skep_btf_next(&it))
		if (skep_btf_kind(it.t) == BTF_KIND_FUNC)
			skep_near_add(&near, skep_btf_name(btf, it.id));
	return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "program %s has no function '%s'%s", what,
			 func, skep_near_text(&near, text, sizeof(text)));
}

/* --target: "ID", "PATH", or either with ":FUNCTION" behind it. */
int skep_load_prog_target(struct skep_load *load, const struct skep_obj_func *f, int *btf_id,
			  struct skep_err *err)
{
	const char *text = load->opts.target, *colon = text ? strrchr(text, ':') : NULL;
	const char *func = colon ? colon + 1 : f->args;
	SKEP_AUTO_FREE char *what = NULL;
	struct bpf_prog_info info = {0};
	struct skep_btf *btf = NULL;
	int fd;

	if (!text)
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "SEC(\"%s\") replaces a function of a program that is loaded; "
				 "name that program: --target ID, or --target PIN:FUNCTION "
				 "(`bpftool prog` lists them)",
				 f->sec);
	if (!func[0])
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "SEC(\"%s\") names no function, and neither does --target %s; "
				 "write --target %s:FUNCTION",
				 f->sec, text, text);
	what = colon ? strndup(text, (size_t)(colon - text)) : strdup(text);
	if (!what)
		return skep_fail_nomem(err);
	fd = open_named(load->sys, BPF_PROG_GET_FD_BY_ID, what);
	if (fd < 0)
		return skep_fail(err, SKEP_E_NOT_FOUND, -fd, "--target %s: %s", text,
				 *load->sys->why ? load->sys->why
				 : fd == -ENOENT ? "there is no such program (`bpftool prog` lists "
						   "those that are loaded)"
						 : strerror(-fd));
	if (info_of(load->sys, fd, &info, sizeof(info)) == 0 && info.btf_id)
		btf = read_types(load->sys, info.btf_id);
	*btf_id = btf ? find_function(btf, what, func, err)
		      : skep_fail(err, SKEP_E_BTF_MISSING, ENOENT,
				  "program %s was loaded without types, so that its functions "
				  "cannot be attached to; compile it with -g",
				  what);
	skep_btf_destroy(btf);
	if (*btf_id >= 0)
		return fd;
	skep_sys_close(load->sys, fd);
	return *btf_id;
}

/* A map by its name in the object, by id, or by pin. */
int skep_load_named_map(struct skep_load *load, const char *text, bool *take, struct skep_err *err)
{
	const struct skep_loaded *loaded = load->loaded;
	struct skep_near near;
	char more[320];
	uint32_t i;
	int fd;

	skep_near_init(&near, text);
	*take = false;
	for (i = 0; i < loaded->nr_maps; i++) {
		if (loaded->maps[i].spec->kind == SKEP_OBJ_MAP_INTERNAL || loaded->maps[i].fd < 0)
			continue;
		if (!strcmp(loaded->maps[i].spec->name, text))
			return loaded->maps[i].fd;
		skep_near_add(&near, loaded->maps[i].spec->name);
	}
	*take = true;
	fd = open_named(load->sys, BPF_MAP_GET_FD_BY_ID, text);
	if (fd >= 0)
		return fd;
	return skep_fail(err, SKEP_E_NOT_FOUND, -fd,
			 "--iter map=%s: no map of the object, and as an id or a pin: %s%s", text,
			 *load->sys->why ? load->sys->why : strerror(-fd),
			 skep_near_text(&near, more, sizeof(more)));
}
