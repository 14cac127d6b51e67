/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Types at load time: the object's own go into the engine, and CO-RE records
 * are resolved against those of the kernel it is to run on.
 *
 * The kernel's BTF is opened only when a program to be loaded needs it: that
 * is half of the time and memory of starting.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "btf/core.h"
#include "obj/load_int.h"
#include "sys/feature.h"
#include "sys/uapi.h"

/* The kernel wants names on the parameters of functions, and none extern. */
static void fix_func(const struct skep_btf *btf, char *copy, struct btf_type *func)
{
	const struct btf_type *proto = skep_btf_type(btf, func->type);
	struct btf_param *param;
	size_t len;
	uint32_t i;

	func->info = func->info & ~0xffffu;
	func->info |= BTF_FUNC_GLOBAL;
	if (!proto || skep_btf_kind(proto) != BTF_KIND_FUNC_PROTO)
		return;
	param = (struct btf_param *)(copy +
				     ((const char *)proto - (const char *)skep_btf_raw(btf, &len)) +
				     sizeof(*proto));
	for (i = 0; i < skep_btf_vlen(proto); i++)
		if (!param[i].name_off && param[i].type)
			param[i].name_off = func->name_off;
}

/*
 * A DATASEC of what the kernel provides has no place the kernel would accept.
 * A struct with as many members is as long and means nothing to it.
 */
static void fix_datasec(struct btf_type *t, uint32_t int_id)
{
	uint32_t i, n = BTF_INFO_VLEN(t->info);
	struct btf_member *m = (struct btf_member *)(t + 1);

	t->name_off = 0;
	t->info = (BTF_KIND_STRUCT << 24) | n;
	t->size = 4 * n;
	for (i = 0; i < n; i++)
		m[i] = (struct btf_member){.type = int_id, .offset = 32 * i};
}

/* Nor are there extern variables, of types without a size even. */
static void fix_var(struct btf_type *t, uint32_t int_id)
{
	t->type = int_id;
	((struct btf_var *)(t + 1))->linkage = BTF_VAR_GLOBAL_ALLOCATED;
}

static void fix_types(struct skep_load *load, char *copy)
{
	const struct skep_btf *btf = load->obj->btf;
	struct skep_btf_iter it = {.btf = btf};
	uint32_t i, int_id = 0;
	struct btf_type *t;
	const char *raw;
	size_t len;

	raw = skep_btf_raw(btf, &len);
	while (!int_id && skep_btf_next(&it))
		if (skep_btf_kind(it.t) == BTF_KIND_INT && it.t->size == 4)
			int_id = it.id;
	it = (struct skep_btf_iter){.btf = btf};
	while (skep_btf_next(&it)) {
		t = (struct btf_type *)(copy + ((const char *)it.t - raw));
		if (skep_btf_kind(it.t) == BTF_KIND_FUNC && skep_btf_vlen(it.t) == BTF_FUNC_EXTERN)
			fix_func(btf, copy, t);
		else if (skep_btf_kind(it.t) == BTF_KIND_DATASEC && !it.t->size && int_id)
			fix_datasec(t, int_id);
		else if (skep_btf_kind(it.t) == BTF_KIND_VAR && int_id &&
			 skep_btf_var(it.t)->linkage == BTF_VAR_GLOBAL_EXTERN)
			fix_var(t, int_id);
	}
	/* Hidden functions are verified with their callers, as static ones. */
	for (i = 0; i < load->obj->nr_funcs; i++) {
		const struct skep_obj_func *func = &load->obj->funcs[i];
		const struct btf_type *ft = func->type ? skep_btf_type(btf, func->type) : NULL;

		if (!ft || func->global || skep_btf_vlen(ft) != BTF_FUNC_GLOBAL)
			continue;
		t = (struct btf_type *)(copy + ((const char *)ft - raw));
		t->info &= ~0xffffu;
	}
}

static int try_types(struct skep_load *load, const char *types, size_t len)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)types;
	attr.btf_size = len;
	return skep_sys_bpf(load->sys, BPF_BTF_LOAD, &attr,
			    offsetof(union bpf_attr, btf_log_level) + sizeof(attr.btf_log_level));
}

/* Not having types in the engine costs explanations, never the program. */
void skep_load_types(struct skep_load *load)
{
	SKEP_AUTO_FREE char *copy = NULL;
	const void *raw;
	size_t len;
	int fd;

	load->btf_fd = -1;
	if (!load->obj->btf)
		return;
	raw = skep_btf_raw(load->obj->btf, &len);
	copy = malloc(len);
	if (!copy)
		return;
	memcpy(copy, raw, len);
	fix_types(load, copy);
	fd = try_types(load, copy, len);
	if (fd == -EPERM && skep_load_raise_rlimit(load))
		fd = try_types(load, copy, len);
	load->btf_fd = fd < 0 ? -1 : fd;
	/* Without permission the programs do not load either, and say why. */
	if (fd >= 0 || fd == -EPERM || fd == -EOPNOTSUPP)
		return;
	if (!skep_feature(load->sys, SKEP_FEATURE_BTF)) {
		skep_debug(load->sys->log, "%s: this kernel takes no types", load->obj->name);
		return;
	}
	if (skep_adapt_btf(load, copy))
		fd = try_types(load, copy, len);
	load->btf_fd = fd < 0 ? -1 : fd;
	if (fd < 0)
		skep_warn(load->sys->log,
			  "%s: the kernel does not take the object's types (%s): programs load "
			  "without function and line information",
			  load->obj->name, skep_errno_name(-fd));
}

/* The types that CO-RE goes by: a given file's, else the kernel's and its modules'. */
static int open_core(struct skep_load *load, struct skep_core **core, struct skep_err *err)
{
	const struct skep_btf *local = load->obj->btf;
	int ret;

	ret = load->opts.btf ? skep_btf_open_file(&load->custom, load->opts.btf, NULL, err)
			     : skep_ktypes_open(&load->types, err);
	if (ret < 0)
		return skep_wrap(err, ret, "%s: CO-RE needs the kernel's types", load->obj->name);
	*core = skep_core_create(local, load->custom ? load->custom : load->types.kernel, err);
	if (!*core)
		return -ENOMEM;
	if (!load->custom)
		skep_core_set_more(*core, skep_ktypes_module, &load->types);
	return 0;
}

static int apply(struct skep_load *load, struct skep_core *core, struct skep_obj_func *func,
		 const struct skep_obj_relo *relo, struct skep_err *err)
{
	const struct bpf_core_relo *rec = &load->obj->core[relo->target];
	struct skep_core_result res;
	const char *file, *text, *base;
	uint32_t line, col;
	char what[256];
	int ret;

	ret = skep_core_resolve(core, rec, &res, err);
	if (!ret) {
		ret = skep_core_patch(&func->insns[relo->insn], func->nr_insns - relo->insn,
				      relo->insn, relo->target, &res, err);
		if (ret)
			skep_wrap(err, ret, "%s",
				  skep_core_describe(core, rec, what, sizeof(what)));
	}
	if (!ret)
		return 0;
	if (skep_obj_source(load->obj, func, relo->insn, &file, &text, &line, &col)) {
		base = strrchr(file, '/');
		skep_wrap(err, ret, "%s:%u", base ? base + 1 : file, line);
	}
	/* The program names itself. */
	return func->is_prog ? ret : skep_wrap(err, ret, "function '%s'", func->name);
}

static int count_core(const struct skep_load *load)
{
	uint32_t i, k;
	int n = 0;

	for (i = 0; i < load->obj->nr_funcs; i++)
		for (k = 0; load->needed[i] && k < load->funcs[i].nr_relos; k++)
			n += load->funcs[i].relos[k].kind == SKEP_RELO_CORE;
	return n;
}

int skep_load_core(struct skep_load *load, struct skep_err *err)
{
	const struct skep_obj *obj = load->obj;
	struct skep_core *core = NULL;
	uint32_t i, k;
	int ret;

	if (!obj->nr_core || !count_core(load))
		return 0;
	ret = open_core(load, &core, err);
	if (ret < 0)
		return ret;
	ret = skep_core_prepare(core, obj->core, obj->nr_core, err);
	for (i = 0; !ret && i < obj->nr_funcs; i++) {
		struct skep_obj_func *func = &load->funcs[i];

		/* One function that does not fit this kernel is no reason to refuse the rest. */
		for (k = 0; load->needed[i] && k < func->nr_relos; k++)
			if (func->relos[k].kind == SKEP_RELO_CORE &&
			    apply(load, core, func, &func->relos[k], &load->func_errs[i]))
				break;
	}
	skep_core_destroy(core);
	return ret;
}
