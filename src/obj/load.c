/* SPDX-License-Identifier: BSD-2-Clause */
/* The loader as a list of passes, and the end of what it made. */
#include "obj/load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "obj/load_int.h"

/* Own copies of all functions: editing and CO-RE must not touch the object. */
static int copy_functions(struct skep_load *load, struct skep_err *err)
{
	const struct skep_obj *obj = load->obj;
	struct skep_arena *arena = &load->arena;
	struct skep_obj_func *func;
	uint32_t i;

	load->funcs = skep_arena_dup(arena, obj->funcs, obj->nr_funcs * sizeof(*obj->funcs));
	load->func_errs = skep_arena_array(arena, obj->nr_funcs, sizeof(*load->func_errs));
	load->needed = skep_arena_array(arena, obj->nr_funcs, sizeof(*load->needed));
	if (!load->funcs || !load->func_errs || !load->needed)
		return skep_fail_nomem(err);
	for (i = 0; i < obj->nr_funcs; i++) {
		func = &load->funcs[i];
		func->insns =
			skep_arena_dup(arena, func->insns, func->nr_insns * sizeof(*func->insns));
		func->relos =
			skep_arena_dup(arena, func->relos, func->nr_relos * sizeof(*func->relos));
		func->lines =
			skep_arena_dup(arena, func->lines, func->nr_lines * sizeof(*func->lines));
		if (!func->insns || !func->relos || !func->lines)
			return skep_fail_nomem(err);
		load->func_errs[i].insn = -1;
	}
	return 0;
}

struct todo {
	SKEP_VEC(uint32_t) v;
};

static int need(struct skep_load *load, struct todo *todo, uint32_t func)
{
	if (load->needed[func])
		return 0;
	load->needed[func] = true;
	return skep_vec_push(&todo->v, func);
}

/* Marks what the programs to be loaded are made of. */
static int find_needed(struct skep_load *load, struct skep_err *err)
{
	const struct skep_obj_func *func;
	struct todo todo = {0};
	uint32_t i, k;
	int ret = 0;

	for (i = 0; !ret && i < load->obj->nr_funcs; i++)
		if (load->funcs[i].is_prog && load->funcs[i].autoload)
			ret = need(load, &todo, i);
	while (!ret && todo.v.len) {
		func = &load->funcs[todo.v.data[--todo.v.len]];
		if (func->exception_cb)
			ret = need(load, &todo, func->exception_cb - 1);
		for (k = 0; !ret && k < func->nr_relos; k++)
			if (func->relos[k].kind == SKEP_RELO_CALL ||
			    func->relos[k].kind == SKEP_RELO_FUNC)
				ret = need(load, &todo, func->relos[k].target);
	}
	skep_vec_deinit(&todo.v);
	return ret ? skep_fail_nomem(err) : 0;
}

static int prepare_progs(struct skep_load *load, struct skep_err *err)
{
	struct skep_loaded *loaded = load->loaded;
	uint32_t i, n = 0;

	for (i = 0; i < load->obj->nr_funcs; i++)
		loaded->nr_progs += load->obj->funcs[i].is_prog;
	loaded->progs = skep_arena_array(&load->arena, loaded->nr_progs, sizeof(*loaded->progs));
	if (!loaded->progs) {
		loaded->nr_progs = 0;
		return skep_fail_nomem(err);
	}
	for (i = 0; i < load->obj->nr_funcs; i++) {
		if (!load->obj->funcs[i].is_prog)
			continue;
		loaded->progs[n].spec = &load->obj->funcs[i];
		loaded->progs[n].fd = -1;
		loaded->progs[n].err = (struct skep_err)SKEP_ERR_INIT;
		n++;
	}
	return 0;
}

/* @err gets what @from says, and its detail. */
int skep_load_move_err(struct skep_err *err, struct skep_err *from, int ret)
{
	if (err && err->tag == SKEP_E_NONE) {
		*err = *from;
		from->detail = NULL;
	}
	return ret;
}

static int load_progs(struct skep_load *load, struct skep_err *err)
{
	struct skep_loaded *loaded = load->loaded;
	struct skep_loaded_prog *prog;
	uint32_t i, func;
	int ret;

	for (i = 0; i < loaded->nr_progs; i++) {
		prog = &loaded->progs[i];
		func = prog->spec - load->obj->funcs;
		if (!load->funcs[func].autoload)
			continue;
		ret = skep_load_prog(load, prog, func, &prog->err);
		if (ret && load->opts.all_or_nothing)
			return skep_load_move_err(err, &prog->err, ret);
	}
	return 0;
}

static int run_passes(struct skep_load *load, struct skep_err *err)
{
	int ret;

	ret = prepare_progs(load, err);
	if (!ret)
		ret = copy_functions(load, err);
	if (!ret)
		ret = skep_load_ops_prepare(load, err);
	if (!ret)
		ret = find_needed(load, err);
	if (!ret)
		ret = skep_load_core(load, err);
	if (!ret)
		ret = skep_load_externs(load, err);
	if (!ret)
		ret = skep_standin_prepare(load, err);
	if (!ret)
		ret = skep_losses_prepare(load, err);
	if (!ret)
		ret = skep_scope_prepare(load, err);
	if (ret)
		return ret;
	skep_load_types(load);
	ret = skep_load_maps(load, err);
	if (!ret)
		ret = skep_load_slots(load, false, err);
	if (!ret)
		ret = load_progs(load, err);
	if (!ret)
		ret = skep_load_slots(load, true, err);
	if (!ret)
		ret = skep_scope_start(load, err);
	return ret;
}

/* What only loading needs: the types of the kernel, the copies' errors. */
static void drop_scaffolding(struct skep_load *load)
{
	uint32_t i;

	skep_ktypes_deinit(&load->types);
	skep_btf_destroy(load->custom);
	load->custom = NULL;
	skep_vec_deinit(&load->fd_array);
	for (i = 0; load->func_errs && i < load->obj->nr_funcs; i++)
		skep_err_deinit(&load->func_errs[i]);
}

int skep_load(struct skep_loaded **loadedp, struct skep_obj *obj, struct skep_sys *sys,
	      const struct skep_load_opts *opts, struct skep_err *err)
{
	struct skep_loaded *loaded = calloc(1, sizeof(*loaded));
	struct skep_load *load = calloc(1, sizeof(*load));
	int ret;

	*loadedp = NULL;
	if (!loaded || !load) {
		free(loaded);
		free(load);
		return skep_fail_nomem(err);
	}
	if (opts)
		memcpy(&load->opts, opts, opts->sz < sizeof(*opts) ? opts->sz : sizeof(*opts));
	load->loaded = loaded;
	load->obj = obj;
	load->sys = load->types.sys = sys;
	load->btf_fd = -1;
	/* What a device keeps nobody can map. */
	if (load->opts.offload)
		load->drop |= SKEP_DROP_MMAP;
	load->scope_map = SKEP_NO_MAP;
	load->scope_progs[0] = load->scope_progs[1] = -1;
	loaded->sys = sys;
	loaded->obj = obj;
	loaded->priv = load;
	ret = run_passes(load, err);
	drop_scaffolding(load);
	if (ret) {
		skep_loaded_destroy(loaded);
		return ret;
	}
	*loadedp = loaded;
	return 0;
}

void skep_loaded_destroy(struct skep_loaded *loaded)
{
	struct skep_load *load;
	uint32_t i;

	if (!loaded)
		return;
	load = loaded->priv;
	skep_load_ops_deinit(load);
	for (i = 0; i < loaded->nr_progs; i++) {
		skep_links_deinit(&loaded->progs[i].links, loaded->sys);
		skep_sys_close(loaded->sys, loaded->progs[i].fd);
		skep_err_deinit(&loaded->progs[i].err);
		free(loaded->progs[i].log);
	}
	skep_scope_deinit(load);
	skep_vec_deinit(&load->usdt.specs);
	skep_losses_deinit(load);
	for (i = 0; i < loaded->nr_maps; i++) {
		if (loaded->maps[i].mem)
			munmap(loaded->maps[i].mem, loaded->maps[i].mem_size);
		skep_sys_close(loaded->sys, loaded->maps[i].fd);
	}
	skep_sys_close(loaded->sys, load->btf_fd);
	skep_vec_deinit(&load->own_maps);
	skep_arena_deinit(&load->arena);
	free(load);
	free(loaded);
}
