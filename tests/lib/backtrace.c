/* SPDX-License-Identifier: BSD-2-Clause */
/* For gdb.t and valgrind.t: a helper called two BPF functions deep. */
#include <stdio.h>

#include "skep/skep.h"

void here(void);

__attribute__((noinline)) void here(void)
{
	__asm__ volatile("" ::: "memory");
}

static uint64_t stop(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	here();
	return arg[0];
}

int main(void)
{
	struct skep_engine_opts o = {.sz = sizeof(o), .gdb = true};
	struct skep_program_opts p = {.sz = sizeof(p), .name = "outer"};
	struct skep_helper_opts h = {.sz = sizeof(h),
				     .number = 1000,
				     .name = "stop",
				     .params = {{SKEP_PARAM_NUMBER}},
				     .call = stop};
	struct skep_err *err = skep_err_create();
	struct skep_engine *engine = NULL;
	struct skep_thread *thread = NULL;
	struct skep_program *program, *other;
	uint64_t r0 = 0;

	if (skep_engine_create(&engine, &o, err) || skep_engine_helper(engine, &h, err) ||
	    skep_thread_create(&thread, engine, err) ||
	    skep_program_assemble(&other, engine, "r0 = 0\nexit", NULL, err) ||
	    skep_program_assemble(&program, engine,
				  "r6 = 1\ncall pc+1\nexit\nr7 = 41\nr8 = r7\nr1 = r7\ncall stop\n"
				  "r0 += 1\nexit",
				  &p, err))
		goto out;
	skep_program_destroy(other);
	skep_run(thread, program, NULL, 0, &r0, err);
out:
	printf("%llu %s\n", (unsigned long long)r0, skep_err_text(err));
	skep_thread_destroy(thread);
	skep_engine_destroy(engine);
	skep_err_destroy(err);
	return r0 != 42;
}
