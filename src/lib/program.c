/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs from instructions and from text. */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "isa/asm.h"
#include "lib/int.h"
#include "map/map.h"

/* Gives @program a place in the engine, which arrays of programs know it by. */
static int enter(struct skep_engine *engine, struct skep_program *program, struct skep_err *err)
{
	size_t i;
	int ret = 0;

	pthread_mutex_lock(&engine->lock);
	for (i = 0; i < engine->programs.len && engine->programs.data[i]; i++)
		;
	if (i == engine->programs.len)
		ret = skep_vec_push(&engine->programs, NULL);
	if (ret == 0)
		engine->programs.data[i] = program;
	pthread_mutex_unlock(&engine->lock);
	program->fd = (int)i;
	return ret < 0 ? skep_fail_nomem(err) : 0;
}

int skep_lib_compile(const struct skep_engine *engine, struct skep_vm_prog *vm,
		     struct skep_err *err)
{
	struct skep_jit_opts opts = skep_lib_jit_opts(engine);

	if (engine->opts.jit == SKEP_JIT_OFF || !skep_jit_arch())
		return 0;
	/* A system that allows no executable memory: interpreting gives the same, later. */
	if (engine->opts.jit == SKEP_JIT_AUTO && !engine->opts.catch_faults)
		return skep_jit_compile(vm, &opts, NULL) == -ENOMEM ? skep_fail_nomem(err) : 0;
	return skep_jit_compile(vm, &opts, err);
}

int skep_program_load(struct skep_program **result, struct skep_engine *engine, const void *insns,
		      size_t nr, const struct skep_program_opts *opts, struct skep_err *err)
{
	struct skep_program *program;
	struct skep_program_opts o;
	struct skep_vm_prog_opts vm;
	int ret;

	skep_lib_begin(err);
	skep_lib_opts(&o, opts, sizeof(o));
	*result = NULL;
	if (nr > UINT32_MAX)
		return skep_fail(err, SKEP_E_PROG_LOAD, E2BIG, "%zu instructions", nr);
	program = calloc(1, sizeof(*program));
	if (!program)
		return skep_fail_nomem(err);
	snprintf(program->name, sizeof(program->name), "%s", o.name ? o.name : "program");
	program->engine = engine;
	program->fd = -1;
	vm = (struct skep_vm_prog_opts){
		.sz = sizeof(vm),
		.name = program->name,
		.type = o.type,
		.gpl = true,
		.trusted = engine->opts.trusted,
		.budget = engine->budget,
		.maps = o.maps,
		.nr_maps = o.nr_maps,
		.helper = skep_lib_find_helper,
		.helper_ctx = engine,
	};
	ret = skep_vm_prog_create(&program->vm, insns, (uint32_t)nr, &vm, err);
	if (ret == 0)
		ret = skep_lib_compile(engine, program->vm, err);
	if (ret == 0)
		ret = enter(engine, program, err);
	if (ret < 0) {
		skep_vm_prog_put(program->vm);
		free(program);
		return skep_wrap(err, ret, "program '%s'", o.name ? o.name : "program");
	}
	*result = program;
	return 0;
}

void skep_program_destroy(struct skep_program *program)
{
	struct skep_engine *engine;

	if (!program || program->object)
		return;
	engine = program->engine;
	pthread_mutex_lock(&engine->lock);
	engine->programs.data[program->fd] = NULL;
	pthread_mutex_unlock(&engine->lock);
	skep_vm_prog_put(program->vm);
	free(program);
}

struct names {
	const struct skep_engine *engine;
	const struct skep_program_opts *opts;
};

static int helper_by_name(void *ctx, const char *name)
{
	const struct skep_engine *engine = ((const struct names *)ctx)->engine;
	const struct skep_helper *h;
	uint32_t i;
	size_t n;

	for (n = 0; n < engine->helpers.len; n++)
		if (!strcmp(engine->helpers.data[n]->name, name))
			return (int)engine->helpers.data[n]->number;
	for (i = 1; (h = skep_helper_find(i)); i++)
		if (!strcmp(h->name, name) || !strcmp(h->name + strlen("bpf_"), name))
			return (int)i;
	return -1;
}

static int map_by_name(void *ctx, const char *name)
{
	const struct skep_program_opts *opts = ((const struct names *)ctx)->opts;
	uint32_t i;

	for (i = 0; i < opts->nr_maps; i++)
		if (!strcmp(opts->maps[i]->name, name))
			return (int)i;
	return -1;
}

int skep_program_assemble(struct skep_program **result, struct skep_engine *engine,
			  const char *text, const struct skep_program_opts *opts,
			  struct skep_err *err)
{
	SKEP_AUTO_FREE struct bpf_insn *insns = NULL;
	struct skep_program_opts o;
	struct names names = {engine, &o};
	struct skep_asm_opts as = {
		.sz = sizeof(as), .ctx = &names, .helper = helper_by_name, .map = map_by_name};
	size_t n = 0, i;
	int ret;

	skep_lib_begin(err);
	skep_lib_opts(&o, opts, sizeof(o));
	*result = NULL;
	ret = skep_asm(text, strlen(text), &as, &insns, &n, err);
	if (ret < 0)
		return skep_wrap(err, ret, "program '%s'", o.name ? o.name : "program");
	/* The assembler writes descriptors; here a map's descriptor is its place in the list. */
	for (i = 0; i + 1 < n; i++) {
		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_FD)
			insns[i].src_reg = BPF_PSEUDO_MAP_IDX;
		else if (insns[i].src_reg == BPF_PSEUDO_MAP_VALUE)
			insns[i].src_reg = BPF_PSEUDO_MAP_IDX_VALUE;
		i++;
	}
	return skep_program_load(result, engine, insns, n, &o, err);
}

const char *skep_program_name(const struct skep_program *program)
{
	return program->name;
}

bool skep_program_is_native(const struct skep_program *program)
{
	const void *code;

	return skep_jit_code(program->vm, &code) > 0;
}
