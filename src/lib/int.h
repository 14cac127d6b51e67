/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library face: include/skep over the machine, the maps and the loader.
 *
 * An object is loaded by a user engine of its own, which serves one thread;
 * what comes out, a struct skep_vm_prog and maps, is run past it, by a struct
 * skep_vm for each thread.  Objects, programs and threads borrow their engine.
 */
#ifndef SKEP_LIB_INT_H
#define SKEP_LIB_INT_H

#include <pthread.h>

#include "base/err.h"
#include "base/vec.h"
#include "helper/helper.h"
#include "jit/jit.h"
#include "skep/skep.h"
#include "vm/vm.h"

struct skep_lib_helper {
	struct skep_helper row; /* first: what the machine knows */
	uint32_t number;
	char *name;
	skep_helper_call *call;
	void *data;
};

struct skep_lib_regions {
	SKEP_VEC(struct skep_vm_region) list;
};

struct skep_engine {
	struct skep_engine_opts opts;
	uint64_t budget; /* as the machine takes it: 0: none */
	SKEP_VEC(struct skep_lib_helper *) helpers;
	struct skep_lib_regions regions;
	pthread_mutex_t lock; /* of what follows */
	SKEP_VEC(struct skep_map *) maps; /* of skep_map_make() */
	SKEP_VEC(struct skep_program *) programs; /* by descriptor: NULL: free */
	SKEP_VEC(bool) numbers; /* of threads: taken */
};

struct skep_program {
	struct skep_engine *engine;
	struct skep_vm_prog *vm; /* a reference, or borrowed from `object` */
	struct skep_object *object; /* NULL: of skep_program_load() */
	int fd; /* in the engine's programs, or in the object's user engine */
	char name[64];
};

struct skep_thread {
	struct skep_vm_env env; /* first: what helpers are given */
	struct skep_engine *engine;
	struct skep_vm *vm;
	struct skep_vm_run run;
	struct skep_lib_regions regions;
	size_t own; /* index of the first region that is not the engine's */
	unsigned int number;
	void *data;
};

/* Empties @err.  Every function of the face that takes one begins with it. */
void skep_lib_begin(struct skep_err *err);

/* Copies what the caller knows of a struct of options; the rest is zero. */
void skep_lib_opts(void *to, const void *from, size_t size);

/* For struct skep_vm_prog_opts and struct skep_user_opts; @ctx is the engine. */
const struct skep_helper *skep_lib_find_helper(void *ctx, uint32_t number);

struct skep_jit_opts skep_lib_jit_opts(const struct skep_engine *engine);

/* To machine code, as the engine's options want it. */
int skep_lib_compile(const struct skep_engine *engine, struct skep_vm_prog *vm,
		     struct skep_err *err);

/* Who gave @program its descriptor: its engine, or the user engine of its object. */
const void *skep_lib_maker(const struct skep_program *program);

int skep_lib_add_region(struct skep_lib_regions *regions, void *addr, size_t len, bool write,
			struct skep_err *err);

#endif
