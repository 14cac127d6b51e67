/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching a loaded program: its section's row, with what its object brings. */
#include <linux/btf.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "obj/load_int.h"
#include "sys/feature.h"

static const int *only_sockmap(const struct skep_loaded *loaded)
{
	const int *found = NULL;
	uint32_t i;

	for (i = 0; i < loaded->nr_maps; i++) {
		uint32_t type = loaded->maps[i].spec->type;

		if (type != BPF_MAP_TYPE_SOCKMAP && type != BPF_MAP_TYPE_SOCKHASH)
			continue;
		if (found || loaded->maps[i].fd < 0)
			return NULL;
		found = &loaded->maps[i].fd;
	}
	return found;
}

/* Is BPF_USDT_ARG_SIB among the ways that the object's usdt.bpf.h has? */
static bool knows_sib(const struct skep_btf *btf)
{
	int id = btf ? skep_btf_find(btf, "__bpf_usdt_arg_type", BTF_KIND_ENUM, 0) : -1;
	const struct btf_type *t = id > 0 ? skep_btf_type(btf, (uint32_t)id) : NULL;
	uint32_t i;

	for (i = 0; t && i < skep_btf_vlen(t); i++)
		if (skep_btf_enums(t)[i].val == SKEP_USDT_SIB)
			return true;
	return false;
}

static int find_map(const struct skep_loaded *loaded, const char *name, uint32_t key_size,
		    uint32_t value_size)
{
	uint32_t i;

	for (i = 0; i < loaded->nr_maps; i++) {
		const struct skep_obj_map *spec = loaded->maps[i].spec;

		if (!strcmp(spec->name, name) && spec->key_size == key_size &&
		    spec->value_size == value_size && loaded->maps[i].fd >= 0)
			return (int)i;
	}
	return -1;
}

/* What bpf/usdt.bpf.h brought into the object. */
static struct skep_usdt *usdt_maps(struct skep_load *load)
{
	const struct skep_loaded *loaded = load->loaded;
	int specs = find_map(loaded, "__bpf_usdt_specs", 4, sizeof(struct skep_usdt_spec));
	int ips = find_map(loaded, "__bpf_usdt_ip_to_spec_id", 8, 4);

	if (specs < 0)
		return NULL;
	load->usdt.specs_fd = loaded->maps[specs].fd;
	load->usdt.max = loaded->maps[specs].spec->max_entries;
	/* As the program was told by LINUX_HAS_BPF_COOKIE. */
	load->usdt.ips_fd =
		ips < 0 || skep_feature(load->sys, SKEP_FEATURE_COOKIE) ? -1 : loaded->maps[ips].fd;
	load->usdt.has_sib = knows_sib(load->obj->btf);
	return &load->usdt;
}

/* Attaches; a probe that nothing stood in for says why. */
static int attach(struct skep_load *load, size_t func, struct skep_loaded_prog *prog,
		  const struct skep_attach *a, struct skep_err *err)
{
	struct skep_err why = SKEP_ERR_INIT;
	int ret;

	if (!load->no_stand_in[func])
		return skep_attach_prog(a, &prog->links, err);
	ret = skep_attach_prog(a, &prog->links, &why);
	if (ret < 0)
		skep_fail(err, why.tag, -ret, "%s; nothing stands in for this one: %s", why.msg,
			  load->no_stand_in[func]);
	skep_err_deinit(&why);
	return ret;
}

int skep_loaded_attach(struct skep_loaded *loaded, struct skep_loaded_prog *prog,
		       const struct skep_attach *how, struct skep_err *err)
{
	struct skep_load *load = loaded->priv;
	size_t func = (size_t)(prog->spec - loaded->obj->funcs);
	struct skep_attach a = *how;
	bool take = false;
	int map_fd, ret;

	a.sys = loaded->sys;
	/* As loaded, which may be another kind than the section says: standin.c. */
	a.def = load->funcs[func].event;
	a.args = load->funcs[func].args;
	a.prog = prog->spec->name;
	a.prog_fd = prog->fd;
	a.filtered = load->scope_map != SKEP_NO_MAP && a.def->flags & SKEP_EV_TASK;
	a.sockmap_fd = only_sockmap(loaded);
	a.usdt = usdt_maps(load);
	if (a.iter && a.iter->map && a.def->attach_type == BPF_TRACE_ITER) {
		map_fd = skep_load_named_map(load, a.iter->map, &take, err);
		if (map_fd < 0)
			return skep_wrap(err, map_fd, "program '%s'", a.prog);
		a.iter_map_fd = &map_fd;
	}
	ret = attach(load, func, prog, &a, err);
	if (take)
		skep_sys_close(load->sys, map_fd);
	return ret;
}
