/* SPDX-License-Identifier: BSD-2-Clause */
/* Running: one machine a thread, and what helpers may ask of it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/int.h"
#include "sys/sys.h"

static int self_read(struct skep_vm_env *env, void *dst, uint64_t addr, size_t len)
{
	const struct skep_engine *engine = ((struct skep_thread *)env)->engine;
	struct iovec to = {dst, len}, from = {(void *)(uintptr_t)addr, len};

	if (!engine->opts.probe_process)
		return -EFAULT;
	/* The system looks whether the bytes are there: no fault, no signal. */
	return process_vm_readv(env->tgid, &to, 1, &from, 1, 0) == (ssize_t)len ? 0 : -EFAULT;
}

static uint64_t self_uid_gid(struct skep_vm_env *env)
{
	return (uint64_t)getgid() << 32 | getuid();
}

static int self_comm(struct skep_vm_env *env, char comm[16])
{
	memset(comm, 0, 16);
	snprintf(comm, 16, "%s", program_invocation_short_name);
	return 0;
}

static void self_printk(struct skep_vm_env *env, const char *text, size_t len)
{
	const struct skep_engine_opts *opts = &((struct skep_thread *)env)->engine->opts;

	if (opts->print)
		opts->print(opts->print_data, text, len);
}

static const struct skep_vm_env_ops env_ops = {
	.read_user = self_read,
	.read_kernel = self_read,
	.uid_gid = self_uid_gid,
	.comm = self_comm,
	.printk = self_printk,
};

static int take_number(struct skep_engine *engine, unsigned int *number)
{
	size_t i;
	int ret = 0;

	pthread_mutex_lock(&engine->lock);
	for (i = 0; i < engine->numbers.len && engine->numbers.data[i]; i++)
		;
	if (i == engine->numbers.len)
		ret = skep_vec_push(&engine->numbers, false);
	if (ret == 0)
		engine->numbers.data[i] = true;
	pthread_mutex_unlock(&engine->lock);
	*number = (unsigned int)i;
	return ret;
}

static void use_regions(struct skep_thread *thread)
{
	thread->run.regions = thread->regions.list.data;
	thread->run.nr_regions = (unsigned int)thread->regions.list.len;
}

static int create(struct skep_thread *thread, struct skep_engine *engine, struct skep_err *err)
{
	const struct skep_vm_region *r;
	int ret = skep_vm_create(&thread->vm, err);

	if (ret < 0)
		return ret;
	skep_vec_each (&engine->regions.list, r)
		if (skep_vec_push(&thread->regions.list, *r) < 0)
			return skep_fail_nomem(err);
	if (take_number(engine, &thread->number) < 0)
		return skep_fail_nomem(err);
	thread->engine = engine;
	thread->own = thread->regions.list.len;
	thread->env.ops = &env_ops;
	thread->env.tgid = getpid();
	thread->env.pid = gettid();
	thread->env.cpu = thread->number % (unsigned int)skep_nr_cpus();
	thread->run.env = &thread->env;
	thread->run.ctx_write = !engine->opts.ctx_read_only;
	use_regions(thread);
	return 0;
}

int skep_thread_create(struct skep_thread **result, struct skep_engine *engine,
		       struct skep_err *err)
{
	struct skep_thread *thread = calloc(1, sizeof(*thread));
	int ret;

	skep_lib_begin(err);
	*result = NULL;
	if (!thread)
		return skep_fail_nomem(err);
	ret = create(thread, engine, err);
	if (ret < 0) {
		skep_thread_destroy(thread);
		return ret;
	}
	*result = thread;
	return 0;
}

void skep_thread_destroy(struct skep_thread *thread)
{
	struct skep_engine *engine;

	if (!thread)
		return;
	engine = thread->engine;
	if (engine) {
		pthread_mutex_lock(&engine->lock);
		engine->numbers.data[thread->number] = false;
		pthread_mutex_unlock(&engine->lock);
	}
	skep_vm_destroy(thread->vm);
	skep_vec_deinit(&thread->regions.list);
	free(thread);
}

unsigned int skep_thread_number(const struct skep_thread *thread)
{
	return thread->number;
}

int skep_thread_region(struct skep_thread *thread, void *addr, size_t len, bool write,
		       struct skep_err *err)
{
	int ret;

	skep_lib_begin(err);
	ret = skep_lib_add_region(&thread->regions, addr, len, write, err);
	use_regions(thread);
	return ret;
}

void skep_thread_no_regions(struct skep_thread *thread)
{
	thread->regions.list.len = thread->own;
	use_regions(thread);
}

int skep_run(struct skep_thread *thread, const struct skep_program *program, void *ctx, size_t len,
	     uint64_t *r0, struct skep_err *err)
{
	skep_lib_begin(err);
	thread->run.prog = program->vm;
	thread->run.ctx = ctx;
	thread->run.ctx_len = len;
	return skep_vm_run(thread->vm, &thread->run, r0, err);
}

size_t skep_run_batch(struct skep_thread *thread, const struct skep_program *program,
		      struct skep_item *items, size_t nr, struct skep_err *err)
{
	size_t i;

	skep_lib_begin(err);
	thread->run.prog = program->vm;
	for (i = 0; i < nr; i++) {
		struct skep_item *item = &items[i];

		thread->run.ctx = item->ctx;
		thread->run.ctx_len = item->len;
		item->status = skep_vm_run(thread->vm, &thread->run, &item->r0, err);
		if (item->status == -ECANCELED)
			return i + 1;
	}
	return nr;
}

void skep_thread_interrupt(struct skep_thread *thread)
{
	skep_vm_interrupt(thread->vm);
}

int skep_thread_grant(struct skep_thread *thread, void *addr, size_t len)
{
	if (skep_vm_reach(thread->vm, (uintptr_t)addr, true) >= len)
		return 0;
	return skep_vm_hold(thread->vm, SKEP_VM_HELD_MEM, NULL, addr, len);
}

uint64_t skep_thread_fail(struct skep_thread *thread, const char *why)
{
	return skep_vm_stop(thread->vm, SKEP_E_RUN_HELPER, "%s", why);
}

int skep_thread_call(struct skep_thread *thread, uint64_t function, const uint64_t arg[5],
		     uint64_t *r0)
{
	return skep_vm_call(thread->vm, function, arg, r0);
}

void *skep_thread_ctx(struct skep_thread *thread, size_t *len)
{
	return skep_vm_ctx(thread->vm, len);
}

void skep_thread_set_data(struct skep_thread *thread, void *data)
{
	thread->data = data;
}

void *skep_thread_data(const struct skep_thread *thread)
{
	return thread->data;
}
