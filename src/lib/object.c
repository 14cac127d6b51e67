/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Compiled objects: opened by the reader of objects, loaded by the loader into
 * a user engine of their own, whose maps and programs are then used directly.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "lib/int.h"
#include "map/map.h"
#include "obj/load.h"
#include "user/user.h"

struct skep_object {
	struct skep_engine *engine;
	struct skep_obj *obj;
	struct skep_sys *sys;
	struct skep_loaded *loaded; /* NULL: not loaded */
	struct skep_program *programs;
	uint32_t nr;
};

const void *skep_lib_maker(const struct skep_program *program)
{
	return program->object ? (const void *)program->object->sys : program->engine;
}

/* The sections of a process that is no kernel: any name will do, and any helper. */
static void take_sections(struct skep_obj *obj)
{
	uint32_t i;

	for (i = 0; i < obj->nr_funcs; i++) {
		struct skep_obj_func *f = &obj->funcs[i];

		if (!f->is_prog)
			continue;
		f->autoload = true;
		if (!f->event)
			f->prog_type = BPF_PROG_TYPE_UNSPEC;
	}
}

int skep_object_open_memory(struct skep_object **result, struct skep_engine *engine,
			    const void *bytes, size_t len, const char *name, struct skep_err *err)
{
	struct skep_object *object;
	int ret;

	skep_lib_begin(err);
	*result = NULL;
	object = calloc(1, sizeof(*object));
	if (!object)
		return skep_fail_nomem(err);
	object->engine = engine;
	ret = skep_obj_open(&object->obj, bytes, len, name, NULL, err);
	if (ret < 0) {
		free(object);
		return ret;
	}
	take_sections(object->obj);
	*result = object;
	return 0;
}

int skep_object_open(struct skep_object **result, struct skep_engine *engine, const char *path,
		     struct skep_err *err)
{
	struct skep_file file = {0};
	int ret;

	skep_lib_begin(err);
	*result = NULL;
	ret = skep_file_open(&file, path, err);
	if (ret < 0)
		return ret;
	ret = skep_object_open_memory(result, engine, file.data, file.len, path, err);
	skep_file_close(&file);
	return ret;
}

int skep_object_set(struct skep_object *object, const char *variable, const char *value,
		    struct skep_err *err)
{
	skep_lib_begin(err);
	if (object->loaded)
		return skep_fail(err, SKEP_E_USAGE, EBUSY,
				 "%s: '%s' is set before skep_object_load(); afterwards write to "
				 "its map",
				 object->obj->name, variable);
	return skep_obj_set_global(object->obj, variable, value, err);
}

static struct skep_sys *create_sys(struct skep_engine *engine)
{
	struct skep_user_opts opts = {
		.sz = sizeof(opts),
		.no_jit = engine->opts.jit == SKEP_JIT_OFF,
		.jit = skep_lib_jit_opts(engine),
		.trusted = engine->opts.trusted,
		.budget = engine->budget,
		.any_type = true,
		.helper = skep_lib_find_helper,
		.helper_ctx = engine,
	};

	return skep_sys_user_create(NULL, &opts);
}

static int take_programs(struct skep_object *object, struct skep_err *err)
{
	const struct skep_loaded *loaded = object->loaded;
	uint32_t i;

	object->programs = calloc(loaded->nr_progs + 1, sizeof(*object->programs));
	if (!object->programs)
		return skep_fail_nomem(err);
	for (i = 0; i < loaded->nr_progs; i++) {
		const struct skep_loaded_prog *from = &loaded->progs[i];
		struct skep_program *p = &object->programs[object->nr++];

		p->engine = object->engine;
		p->object = object;
		p->vm = skep_sys_user_prog(object->sys, from->fd);
		p->fd = from->fd;
		snprintf(p->name, sizeof(p->name), "%s", from->spec->name);
		if ((object->engine->opts.jit == SKEP_JIT_ON ||
		     object->engine->opts.catch_faults) &&
		    !skep_program_is_native(p))
			return skep_fail(err, SKEP_E_PERMISSION, EACCES,
					 "%s: program '%s': the system allows no executable memory",
					 object->obj->name, p->name);
	}
	return 0;
}

static void unload(struct skep_object *object)
{
	skep_loaded_destroy(object->loaded);
	skep_sys_destroy(object->sys);
	free(object->programs);
	object->loaded = NULL;
	object->sys = NULL;
	object->programs = NULL;
	object->nr = 0;
}

int skep_object_load(struct skep_object *object, struct skep_err *err)
{
	struct skep_load_opts opts = {.sz = sizeof(opts), .all_or_nothing = true};
	int ret;

	skep_lib_begin(err);
	if (object->loaded)
		return skep_fail(err, SKEP_E_USAGE, EBUSY, "%s is loaded already",
				 object->obj->name);
	object->sys = create_sys(object->engine);
	if (!object->sys)
		return skep_fail_nomem(err);
	ret = skep_load(&object->loaded, object->obj, object->sys, &opts, err);
	if (ret == 0)
		ret = take_programs(object, err);
	if (ret < 0)
		unload(object);
	return ret;
}

struct skep_program *skep_object_program(const struct skep_object *object, const char *name)
{
	uint32_t i;

	for (i = 0; i < object->nr; i++)
		if (!name || !strcmp(object->loaded->progs[i].spec->name, name))
			return &object->programs[i];
	return NULL;
}

struct skep_map *skep_object_map(const struct skep_object *object, const char *name)
{
	uint32_t i;

	for (i = 0; object->loaded && i < object->loaded->nr_maps; i++)
		if (!strcmp(object->loaded->maps[i].spec->name, name))
			return skep_sys_user_map(object->sys, object->loaded->maps[i].fd);
	return NULL;
}

void skep_object_destroy(struct skep_object *object)
{
	if (!object)
		return;
	unload(object);
	skep_obj_destroy(object->obj);
	free(object);
}
