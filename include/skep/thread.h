/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running programs.
 *
 * A struct skep_thread is what one run needs: stack, registers, budget.  One
 * thread of the process uses it at a time, for any programs of its engine, one
 * after the other.  About 9 KiB; make one for each thread, not for each run.
 */
#ifndef SKEP_THREAD_H
#define SKEP_THREAD_H

#include <skep/program.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * It gets the lowest free number: which value of per-CPU maps its programs see,
 * modulo the number of CPUs.  With more threads than CPUs some share them.
 */
SKEP_API int skep_thread_create(struct skep_thread **thread, struct skep_engine *engine,
				struct skep_err *err);
SKEP_API void skep_thread_destroy(struct skep_thread *thread); /* NULL: nothing */

/* Its number, 0 and up: what bpf_get_smp_processor_id() gives, modulo the number of CPUs. */
SKEP_API unsigned int skep_thread_number(const struct skep_thread *thread);

/* As skep_engine_region(), for this thread only.  Not while it runs. */
SKEP_API int skep_thread_region(struct skep_thread *thread, void *addr, size_t len, bool write,
				struct skep_err *err);
/* Forgets the regions that were given to this thread, not those of the engine. */
SKEP_API void skep_thread_no_regions(struct skep_thread *thread);

/*
 * Runs @program with r1 = @ctx, which it may read and write, r2 = @len, and
 * puts its r0 into *@r0.  0, or -errno with *@r0 = 0:
 *	-EFAULT		E_RUN_ACCESS: a bad access, see skep_err_access()
 *	-ELOOP		E_RUN_LIMIT: the budget is used up, or calls nest too deep
 *	-ECANCELED	E_RUN_STOPPED: skep_thread_interrupt()
 *	-EPERM		E_RUN_HELPER: a helper ended it with skep_thread_fail()
 *	-EBUSY		@thread is already running (a helper called this)
 * What the program wrote until then stays written.
 */
SKEP_API int skep_run(struct skep_thread *thread, const struct skep_program *program, void *ctx,
		      size_t len, uint64_t *r0, struct skep_err *err);

struct skep_item {
	void *ctx;
	size_t len;
	uint64_t r0; /* result */
	int status; /* result: as skep_run() returns */
};

/*
 * Runs @program on each of @nr items.  A failing item does not end the batch,
 * an interruption does.  How many were run; @err tells of the first that failed.
 */
SKEP_API size_t skep_run_batch(struct skep_thread *thread, const struct skep_program *program,
			       struct skep_item *items, size_t nr, struct skep_err *err);

/*
 * Ends the run that @thread is in or, when it is in none, its next one.  From
 * any thread and from signal handlers, as long as @thread exists.  A run
 * looks every 262,144 instructions, some 100 us in machine code; trusted
 * programs only in engines with `interruptible` or a budget.
 */
SKEP_API void skep_thread_interrupt(struct skep_thread *thread);

/*
 * For helpers, in the thread that calls them:
 */

/* The program may touch [@addr, @addr + @len) until this run ends.  0 or -ENOMEM. */
SKEP_API int skep_thread_grant(struct skep_thread *thread, void *addr, size_t len);
/* Ends the run when the helper returns, with E_RUN_HELPER and @why (copied).  Gives 0. */
SKEP_API uint64_t skep_thread_fail(struct skep_thread *thread, const char *why);
/*
 * Calls the program's function that came as a SKEP_PARAM_FUNCTION.  0, or
 * -errno when the run has to end: the helper then returns at once.
 */
SKEP_API int skep_thread_call(struct skep_thread *thread, uint64_t function, const uint64_t arg[5],
			      uint64_t *r0);
/* What skep_run() was called with. */
SKEP_API void *skep_thread_ctx(struct skep_thread *thread, size_t *len);

/* The caller's own pointer. */
SKEP_API void skep_thread_set_data(struct skep_thread *thread, void *data);
SKEP_API void *skep_thread_data(const struct skep_thread *thread);

#ifdef __cplusplus
}
#endif
#endif
