/* SPDX-License-Identifier: BSD-2-Clause */
/* Engines: options, helpers, regions. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "jit/fault.h"
#include "lib/int.h"

#define BUDGET (64u << 20) /* of checked programs, instructions a run: as in the user engine */

_Static_assert(SKEP_PARAM_FUNCTION == 10, "a row of kinds[] for each kind");
static const uint8_t kinds[] = {
	[SKEP_PARAM_NONE] = SKEP_ARG_NONE,
	[SKEP_PARAM_NUMBER] = SKEP_ARG_ANY,
	[SKEP_PARAM_IN] = SKEP_ARG_MEM,
	[SKEP_PARAM_OUT] = SKEP_ARG_MEM_OUT,
	[SKEP_PARAM_SIZE] = SKEP_ARG_SIZE_OR_ZERO,
	[SKEP_PARAM_TEXT] = SKEP_ARG_CONST_STR,
	[SKEP_PARAM_CTX] = SKEP_ARG_CTX,
	[SKEP_PARAM_MAP] = SKEP_ARG_MAP,
	[SKEP_PARAM_KEY] = SKEP_ARG_MAP_KEY,
	[SKEP_PARAM_VALUE] = SKEP_ARG_MAP_VALUE,
	[SKEP_PARAM_FUNCTION] = SKEP_ARG_FUNC,
};

static int check_opts(const struct skep_engine_opts *opts, struct skep_err *err)
{
	if ((unsigned int)opts->jit > SKEP_JIT_OFF)
		return skep_fail(err, SKEP_E_USAGE, EINVAL, "jit %d is no mode", opts->jit);
	if (opts->jit == SKEP_JIT_ON && !skep_jit_arch())
		return skep_fail(
			err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			"skep has no JIT for this processor yet; SKEP_JIT_AUTO interprets");
	if (opts->catch_faults && !opts->trusted)
		return skep_fail(err, SKEP_E_USAGE, EINVAL,
				 "catch_faults is for trusted programs: checked ones do not fault");
	if (opts->catch_faults && (opts->jit == SKEP_JIT_OFF || !skep_jit_arch()))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "catch_faults needs the JIT; interpret in checked mode instead");
	return 0;
}

int skep_engine_create(struct skep_engine **result, const struct skep_engine_opts *opts,
		       struct skep_err *err)
{
	struct skep_engine *engine = calloc(1, sizeof(*engine));
	int ret;

	skep_lib_begin(err);
	*result = NULL;
	if (!engine)
		return skep_fail_nomem(err);
	skep_lib_opts(&engine->opts, opts, sizeof(*opts));
	ret = check_opts(&engine->opts, err);
	if (ret < 0) {
		free(engine);
		return ret;
	}
	engine->budget = engine->opts.budget;
	if (!engine->budget && !engine->opts.trusted)
		engine->budget = BUDGET;
	/* What counts can be interrupted; what has no limit counts to the end of numbers. */
	if (engine->budget == SKEP_NO_BUDGET && engine->opts.trusted)
		engine->budget = 0;
	if (!engine->budget && engine->opts.interruptible)
		engine->budget = SKEP_NO_BUDGET;
	if (engine->opts.catch_faults) {
		ret = skep_fault_acquire(err);
		if (ret < 0) {
			free(engine);
			return ret;
		}
	}
	pthread_mutex_init(&engine->lock, NULL);
	*result = engine;
	return 0;
}

void skep_engine_destroy(struct skep_engine *engine)
{
	struct skep_map **map;
	size_t i;

	if (!engine)
		return;
	/* Arrays of programs hold them, and they their maps. */
	skep_vec_each (&engine->maps, map)
		if ((*map)->ops->release)
			(*map)->ops->release(*map);
	for (i = 0; i < engine->programs.len; i++)
		skep_program_destroy(engine->programs.data[i]);
	skep_vec_each (&engine->maps, map)
		skep_map_put(*map);
	for (i = 0; i < engine->helpers.len; i++) {
		free(engine->helpers.data[i]->name);
		free(engine->helpers.data[i]);
	}
	skep_vec_deinit(&engine->helpers);
	skep_vec_deinit(&engine->regions.list);
	skep_vec_deinit(&engine->maps);
	skep_vec_deinit(&engine->programs);
	skep_vec_deinit(&engine->numbers);
	pthread_mutex_destroy(&engine->lock);
	if (engine->opts.catch_faults)
		skep_fault_release();
	free(engine);
}

struct skep_jit_opts skep_lib_jit_opts(const struct skep_engine *engine)
{
	return (struct skep_jit_opts){
		.sz = sizeof(struct skep_jit_opts),
		.blind = engine->opts.blind,
		.faults = engine->opts.catch_faults,
		.gdb = engine->opts.gdb,
		.perf_map = engine->opts.perf_map,
	};
}

const struct skep_helper *skep_lib_find_helper(void *ctx, uint32_t number)
{
	const struct skep_engine *engine = ctx;
	size_t i;

	for (i = 0; i < engine->helpers.len; i++)
		if (engine->helpers.data[i]->number == number)
			return &engine->helpers.data[i]->row;
	return NULL;
}

static uint64_t call(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_lib_helper *h = (const struct skep_lib_helper *)skep_vm_helper(vm);

	return h->call((struct skep_thread *)skep_vm_env(vm), h->data, a);
}

static int set_params(struct skep_lib_helper *h, const struct skep_helper_opts *o,
		      struct skep_err *err)
{
	int i;

	for (i = 0; i < 5; i++) {
		const struct skep_param *p = &o->params[i];
		bool mem = p->kind == SKEP_PARAM_IN || p->kind == SKEP_PARAM_OUT;

		if ((unsigned int)p->kind > SKEP_PARAM_FUNCTION)
			return skep_fail(err, SKEP_E_USAGE, EINVAL,
					 "helper %u, parameter %d: %d is no kind", o->number, i + 1,
					 p->kind);
		h->row.args[i] = kinds[p->kind];
		if (!mem)
			continue;
		if (p->bytes) {
			h->row.args[i] =
				p->kind == SKEP_PARAM_IN ? SKEP_ARG_FIXED : SKEP_ARG_FIXED_OUT;
			h->row.bytes[i] = p->bytes;
		} else if (i == 4 || o->params[i + 1].kind != SKEP_PARAM_SIZE) {
			return skep_fail(err, SKEP_E_USAGE, EINVAL,
					 "helper %u, parameter %d: memory without `bytes` needs a "
					 "SKEP_PARAM_SIZE after it",
					 o->number, i + 1);
		}
	}
	return 0;
}

int skep_engine_helper(struct skep_engine *engine, const struct skep_helper_opts *opts,
		       struct skep_err *err)
{
	struct skep_lib_helper *h;
	struct skep_helper_opts o;
	int ret;

	skep_lib_begin(err);
	skep_lib_opts(&o, opts, sizeof(o));
	if (!o.number || o.number > INT32_MAX || !o.call)
		return skep_fail(err, SKEP_E_USAGE, EINVAL,
				 "a helper has a number from 1 to %d and a function", INT32_MAX);
	if (skep_lib_find_helper(engine, o.number))
		return skep_fail(err, SKEP_E_USAGE, EEXIST, "the engine has a helper %u already",
				 o.number);
	h = calloc(1, sizeof(*h));
	if (!h)
		return skep_fail_nomem(err);
	h->name = strdup(o.name ? o.name : "helper");
	h->row = (struct skep_helper){.name = h->name, .ret = SKEP_RET_INT, .fn = call};
	h->number = o.number;
	h->call = o.call;
	h->data = o.data;
	ret = h->name ? set_params(h, &o, err) : skep_fail_nomem(err);
	if (ret == 0 && skep_vec_push(&engine->helpers, h) < 0)
		ret = skep_fail_nomem(err);
	if (ret < 0) {
		free(h->name);
		free(h);
	}
	return ret;
}

int skep_lib_add_region(struct skep_lib_regions *regions, void *addr, size_t len, bool write,
			struct skep_err *err)
{
	struct skep_vm_region region = {(uintptr_t)addr, (uintptr_t)addr + len, write};

	if (!len || region.end < region.start)
		return skep_fail(err, SKEP_E_USAGE, EINVAL, "a region of %zu bytes at %p", len,
				 addr);
	return skep_vec_push(&regions->list, region) < 0 ? skep_fail_nomem(err) : 0;
}

int skep_engine_region(struct skep_engine *engine, void *addr, size_t len, bool write,
		       struct skep_err *err)
{
	skep_lib_begin(err);
	return skep_lib_add_region(&engine->regions, addr, len, write, err);
}
