/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults: those of trusted programs are errors if the engine was asked for it;
 * those of anybody else stay what they were.  Probe reads fail, never fault.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "skep/skep.h"
#include "tap.h"

#define PAGE 4096

static struct skep_err *err;

static struct skep_engine *open_engine(void)
{
	struct skep_engine_opts o = {.sz = sizeof(o), .trusted = true, .catch_faults = true};
	struct skep_engine *engine = NULL;

	skep_engine_create(&engine, &o, err);
	return engine;
}

static int run(struct skep_engine *engine, struct skep_thread *thread, const char *text, void *ctx)
{
	struct skep_program *program;
	uint64_t r0 = 1;
	int ret;

	if (skep_program_assemble(&program, engine, text, NULL, err) < 0) {
		printf("# %s\n", skep_err_text(err));
		return -ENOEXEC;
	}
	ret = skep_run(thread, program, ctx, 8, &r0, err);
	skep_program_destroy(program);
	return ret < 0 ? ret : (int)r0;
}

static void faults(struct skep_engine *engine, struct skep_thread *thread, const char *text,
		   void *ctx, int insn, bool writes, const char *what)
{
	uint64_t addr = 0;
	bool write = !writes;

	is_int(run(engine, thread, text, ctx), -EFAULT, what);
	is_str(skep_err_kind(err), "E_RUN_ACCESS", skep_err_text(err));
	is_int(skep_err_insn(err), insn, "... of that instruction");
	if ((uintptr_t)ctx >> 47 == 0)
		ok(skep_err_access(err, &addr, NULL, &write) && addr == (uintptr_t)ctx &&
			   write == writes,
		   "... and that access");
}

static uint64_t calls_back(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	uint64_t r0 = 0, args[5] = {arg[1]};

	*(int *)data = skep_thread_call(thread, arg[0], args, &r0);
	return 7;
}

static void test_faults(void)
{
	struct skep_engine *engine = open_engine();
	uint8_t *mem = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *cut;
	int fd = memfd_create("empty", 0), status = 0;
	struct skep_helper_opts h = {.sz = sizeof(h),
				     .number = 1000,
				     .name = "calls_back",
				     .params = {{SKEP_PARAM_FUNCTION}, {SKEP_PARAM_NUMBER}},
				     .call = calls_back,
				     .data = &status};
	struct skep_thread *thread = NULL;
	uint64_t word = 5;

	is_int(skep_engine_helper(engine, &h, err), 0, "a helper");
	skep_thread_create(&thread, engine, err);
	cut = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	faults(engine, thread, "r0 = *(u64 *)(r1 + 0)\nexit", (void *)64, 0, false,
	       "a low address");
	faults(engine, thread, "r0 = 0\n*(u8 *)(r1 + 0) = 1\nexit", mem, 1, true,
	       "read-only memory");
	faults(engine, thread, "r2 = 1\nlock *(u64 *)(r1 + 0) += r2\nr0 = 0\nexit", mem, 1, true,
	       "an atomic operation there");
	faults(engine, thread, "r0 = *(u16 *)(r1 + 0)\nexit", cut, 0, false, "SIGBUS, not SIGSEGV");
	faults(engine, thread, "r0 = *(u8 *)(r1 + 0)\nexit", (void *)0x1234567890abcdef, 0, false,
	       "an address that none has");
	faults(engine, thread, "call pc+1\nexit\nr6 = r1\nr0 = *(u32 *)(r6 + 0)\nexit", (void *)64,
	       3, false, "in a function");
	is_int(run(engine, thread,
		   "r2 = r1\nr1 = code_addr pc+3\ncall calls_back\nexit\n"
		   "r0 = *(u64 *)(r1 + 0)\nexit",
		   (void *)64),
	       -EFAULT, "in a callback");
	is_int(status, -EFAULT, "... that tells its helper");
	is_int(run(engine, thread, "r0 = *(u64 *)(r1 + 0)\nexit", &word), 5, "all is well again");
	is_int(run(engine, thread,
		   "r3 = 64\nr1 = r10\nr1 += -8\nr2 = 8\ncall probe_read_kernel\nr0 = -r0\nexit",
		   NULL),
	       ERANGE, "a probe read fails in words");
	skep_thread_destroy(thread);
	skep_engine_destroy(engine);
	munmap(mem, PAGE);
	munmap(cut, PAGE);
	close(fd);
}

static void test_probe(void)
{
	struct skep_engine_opts o = {.sz = sizeof(o), .probe_process = true};
	static const char text[] = "r1 = r10\nr1 += -8\nr2 = 8\ncall probe_read\n"
				   "if r0 != 0 goto +1\nr0 = *(u64 *)(r10 - 8)\nexit";
	struct skep_engine *engine = NULL;
	struct skep_thread *thread = NULL;
	uint64_t word = 6;
	char where[256];

	skep_engine_create(&engine, &o, err);
	skep_thread_create(&thread, engine, err);
	snprintf(where, sizeof(where), "r3 = 0x%llx ll\n%s", (unsigned long long)(uintptr_t)&word,
		 text);
	is_int(run(engine, thread, where, NULL), 6, "with probe_process all memory can be read");
	snprintf(where, sizeof(where), "r3 = 64\n%s", text);
	is_int(run(engine, thread, where, NULL), -EFAULT, "... that is there");
	is_int(skep_err_errno(err), 0, "... which the program is told, not us");
	skep_thread_destroy(thread);
	skep_engine_destroy(engine);
}

static struct skep_engine *shared;

static void *fault_often(void *arg)
{
	struct skep_thread *thread = NULL;
	struct skep_program *program = arg;
	uint64_t r0, word = 3;
	intptr_t bad = 0;
	int i;

	skep_thread_create(&thread, shared, NULL);
	for (i = 0; i < 2000; i++) {
		bad += skep_run(thread, program, (void *)(uintptr_t)(8 + i), 8, &r0, NULL) !=
		       -EFAULT;
		bad += skep_run(thread, program, &word, 8, &r0, NULL) != 0 || r0 != 3;
	}
	skep_thread_destroy(thread);
	return (void *)bad;
}

static void test_threads(void)
{
	struct skep_program *program = NULL, *other;
	pthread_t threads[4];
	intptr_t bad = 0;
	void *ret;
	int i;

	shared = open_engine();
	skep_program_assemble(&program, shared, "r0 = *(u64 *)(r1 + 0)\nexit", NULL, err);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, fault_often, program);
	for (i = 0; i < 500; i++) { /* others come and go in the list meanwhile */
		skep_program_assemble(&other, shared, "r0 = 0\nexit", NULL, err);
		skep_program_destroy(other);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &ret);
		bad += (intptr_t)ret;
	}
	is_int(bad, 0, "four threads fault at once, each for itself");
	skep_engine_destroy(shared);
}

static volatile uintptr_t nowhere = 72;

static void on_segv(int sig, siginfo_t *info, void *context)
{
	_exit(info->si_addr == (void *)72 ? 42 : 43);
}

/* How a child ends that itself faults, after @prepare and with an engine or one that was. */
static int child(bool handler, bool gone, bool sent)
{
	struct sigaction sa = {.sa_sigaction = on_segv, .sa_flags = SA_SIGINFO};
	struct skep_engine *engine;
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		if (!freopen("/dev/null", "w", stderr)) /* a sanitizer's report */
			_exit(44);
		if (handler)
			sigaction(SIGSEGV, &sa, NULL);
		else
			signal(SIGSEGV, SIG_DFL);
		engine = open_engine();
		if (gone)
			skep_engine_destroy(engine);
		if (sent)
			raise(SIGSEGV);
		else
			*(volatile int *)nowhere = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static void test_others(void)
{
	int status = child(false, false, false);

	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
	   "a fault elsewhere ends the process");
	status = child(true, false, false);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 42, "... or goes to who handled it before");
	status = child(false, false, true);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "a signal that was sent, too");
	status = child(false, true, false);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "without engine all is as before");
	status = child(true, true, false);
	ok(WIFEXITED(status) && WEXITSTATUS(status) == 42, "... for a handler as well");
}

int main(void)
{
	struct skep_engine *engine;

	err = skep_err_create();
	engine = open_engine();
	if (!engine) {
		printf("1..0 # SKIP %s\n", skep_err_text(err));
		return 0;
	}
	skep_engine_destroy(engine);
	test_faults();
	test_probe();
	test_threads();
	test_others();
	skep_err_destroy(err);
	return done();
}
