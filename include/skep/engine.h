/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An engine: what all of its programs may call and touch, and how they run.
 *
 * Threads: set an engine up in one thread (create, helpers, regions); then
 * any number of threads may load programs and run them.  It is destroyed when
 * nobody uses it any more.
 */
#ifndef SKEP_ENGINE_H
#define SKEP_ENGINE_H

#include <skep/err.h>

#ifdef __cplusplus
extern "C" {
#endif

struct skep_engine;
struct skep_thread;

enum skep_jit_mode {
	SKEP_JIT_AUTO, /* where there is a JIT for the processor, else interpret */
	SKEP_JIT_ON, /* or loading fails */
	SKEP_JIT_OFF,
};

#define SKEP_NO_BUDGET UINT64_MAX

struct skep_engine_opts {
	size_t sz;
	enum skep_jit_mode jit;
	/*
	 * The default is checked: each access to memory is compared with what
	 * the program may touch, each argument of a helper with the helper's
	 * parameters; a bad one ends the run with E_RUN_ACCESS.
	 *
	 * trusted: no checks.  This is the caller's word that every program
	 * loaded is safe, for instance because a kernel's verifier accepted
	 * it.  A wrong program then reads, writes and crashes this process.
	 */
	bool trusted;
	bool ctx_read_only; /* programs may not write the memory they are run on (checked) */
	bool blind; /* constants of programs do not stand in machine code as they are */
	/*
	 * Instructions of a run, E_RUN_LIMIT beyond.  Machine code counts at
	 * calls and jumps back, so a run may end somewhat earlier or later.
	 * 0: 64 Mi when checked, no limit when trusted.  SKEP_NO_BUDGET: none.
	 */
	uint64_t budget;
	/* Trusted programs count, too, and can be ended by skep_thread_interrupt(). */
	bool interruptible;
	/*
	 * bpf_probe_read*() may read all memory of this process; a bad address
	 * gives -EFAULT.  Else: the program's own memory only.
	 */
	bool probe_process;
	/*
	 * A bad access of a trusted program ends its run with E_RUN_ACCESS
	 * instead of the process with a signal.  Installs handlers of SIGSEGV
	 * and SIGBUS for as long as such an engine exists; faults elsewhere go
	 * to the handlers that were there before.  Machine code only.  This
	 * tells bugs; it does not hold back a program that means harm.
	 */
	bool catch_faults;
	bool perf_map; /* names of functions for perf(1), in /tmp/perf-PID.map */
	bool gdb; /* the same for gdb, by its JIT interface */
	/* Lines of bpf_printk(), without newline, from the thread that runs.  NULL: dropped. */
	void (*print)(void *data, const char *text, size_t len);
	void *print_data;
};

/* @opts NULL: the defaults. */
SKEP_API int skep_engine_create(struct skep_engine **engine, const struct skep_engine_opts *opts,
				struct skep_err *err);
/*
 * With all maps and programs made in it.  Objects and threads must have been
 * destroyed before.  NULL: nothing.
 */
SKEP_API void skep_engine_destroy(struct skep_engine *engine);

/* What a parameter of a helper is: checked before each call, in checked mode. */
enum skep_param_kind {
	SKEP_PARAM_NONE, /* no more parameters */
	SKEP_PARAM_NUMBER,
	SKEP_PARAM_IN, /* address of `bytes` readable bytes; 0: the next parameter says how many */
	SKEP_PARAM_OUT, /* the same, writable */
	SKEP_PARAM_SIZE, /* after IN or OUT with 0 bytes */
	SKEP_PARAM_TEXT, /* address of readable text that ends in NUL */
	SKEP_PARAM_CTX, /* the memory that the program runs on */
	SKEP_PARAM_MAP, /* a map of the program */
	SKEP_PARAM_KEY, /* address of a key of that map */
	SKEP_PARAM_VALUE, /* address of a value of that map */
	SKEP_PARAM_FUNCTION, /* of the program, for skep_thread_call() */
};

struct skep_param {
	enum skep_param_kind kind;
	uint32_t bytes; /* IN and OUT: how many, 0: see the next parameter */
};

/*
 * A helper: gets the program's r1 to r5, as many as it has parameters; what it
 * returns becomes r0.  In checked mode the arguments are what their kinds say.
 * Called in the thread that runs the program; by many at once.
 */
typedef uint64_t skep_helper_call(struct skep_thread *thread, void *data, const uint64_t arg[5]);

struct skep_helper_opts {
	size_t sz;
	uint32_t number; /* what programs call, 1 and more; one of Linux's is replaced */
	const char *name; /* for asm text and messages; copied */
	struct skep_param params[5];
	skep_helper_call *call;
	void *data;
};

/* For programs loaded from then on.  -EEXIST: the number is taken by another of these. */
SKEP_API int skep_engine_helper(struct skep_engine *engine, const struct skep_helper_opts *helper,
				struct skep_err *err);

/*
 * [@addr, @addr + @len) may be read (and written) by all programs of threads
 * created from then on.  The memory stays the caller's.
 */
SKEP_API int skep_engine_region(struct skep_engine *engine, void *addr, size_t len, bool write,
				struct skep_err *err);

#ifdef __cplusplus
}
#endif
#endif
