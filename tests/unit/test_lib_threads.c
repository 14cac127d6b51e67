/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * include/skep from many threads: one program, shared maps, exact sums; runs
 * without end that another thread or a signal handler ends; programs that
 * change places in an array meanwhile.  tests/lib/tsan.t builds this with TSan.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "skep/skep.h"
#include "tap.h"

#define THREADS 4
#define RUNS	20000
#define KEYS	16

static struct skep_engine *engine;
static struct skep_map *maps[4]; /* hits, sums, each, jumps */
static struct skep_program *count, *spin, *jump, *targets[2];
static uint64_t called; /* by helper, with atomics */

static uint64_t note(struct skep_thread *thread, void *data, const uint64_t arg[5])
{
	__atomic_fetch_add((uint64_t *)data, arg[0], __ATOMIC_RELAXED);
	return 0;
}

static struct skep_map *make(uint32_t type, const char *name, uint32_t value_size, uint32_t n)
{
	struct skep_map_opts o = {.sz = sizeof(o),
				  .name = name,
				  .type = type,
				  .key_size = 4,
				  .value_size = value_size,
				  .max_entries = n};
	struct skep_map *map = NULL;

	skep_map_make(&map, engine, &o, NULL);
	return map;
}

static struct skep_program *assemble(const char *text)
{
	struct skep_program_opts p = {.sz = sizeof(p), .maps = maps, .nr_maps = 4};
	struct skep_err *err = skep_err_create();
	struct skep_program *program = NULL;

	if (skep_program_assemble(&program, engine, text, &p, err) < 0)
		printf("# %s\n", skep_err_text(err));
	skep_err_destroy(err);
	return program;
}

/* The context is a key: hits[key] is made or counted, sums[0] += key, each[0]++ without atomics. */
static const char count_text[] =
	"r6 = r1\nr7 = *(u32 *)(r1 + 0)\n"
	"r2 = r1\nr1 = map_fd hits\ncall map_lookup_elem\nif r0 != 0 goto found\n"
	"*(u64 *)(r10 - 8) = 0\nr1 = map_fd hits\nr2 = r6\nr3 = r10\nr3 += -8\nr4 = 1\n"
	"call map_update_elem\n"
	"r1 = map_fd hits\nr2 = r6\ncall map_lookup_elem\nif r0 == 0 goto none\n"
	"found:\nr1 = 1\nlock *(u64 *)(r0 + 0) += r1\n"
	"*(u32 *)(r10 - 4) = 0\nr1 = map_fd sums\nr2 = r10\nr2 += -4\ncall map_lookup_elem\n"
	"if r0 == 0 goto none\nlock *(u64 *)(r0 + 0) += r7\n"
	"r1 = map_fd each\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nif r0 == 0 goto none\n"
	"r1 = *(u64 *)(r0 + 0)\nr1 += 1\n*(u64 *)(r0 + 0) = r1\n"
	"r1 = r7\ncall note\nr0 = r7\nexit\n"
	"none:\nr0 = -1\nexit";

static void setup(const struct skep_engine_opts *opts)
{
	struct skep_helper_opts h = {.sz = sizeof(h),
				     .number = 1000,
				     .name = "note",
				     .params = {{SKEP_PARAM_NUMBER}},
				     .call = note,
				     .data = &called};

	called = 0;
	skep_engine_create(&engine, opts, NULL);
	skep_engine_helper(engine, &h, NULL);
	maps[0] = make(BPF_MAP_TYPE_HASH, "hits", 8, KEYS);
	maps[1] = make(BPF_MAP_TYPE_ARRAY, "sums", 8, 1);
	maps[2] = make(BPF_MAP_TYPE_PERCPU_ARRAY, "each", 8, 1);
	maps[3] = make(BPF_MAP_TYPE_PROG_ARRAY, "jumps", 4, 1);
	count = assemble(count_text);
	spin = assemble("goto -1");
	jump = assemble("r2 = map_fd jumps\nr3 = 0\ncall tail_call\nr0 = 3\nexit");
	targets[0] = assemble("r0 = 1\nexit");
	targets[1] = assemble("r0 = 2\nexit");
}

static void *work(void *arg)
{
	struct skep_thread *thread = NULL;
	uint64_t r0, bad = 0;
	uint32_t i, key;

	if (skep_thread_create(&thread, engine, NULL) < 0)
		return (void *)-1;
	for (i = 0; i < RUNS; i++) {
		key = i % KEYS;
		bad += skep_run(thread, count, &key, sizeof(key), &r0, NULL) < 0 || r0 != key;
		if (i % 4 == 0)
			bad += skep_run(thread, jump, NULL, 0, &r0, NULL) < 0 || r0 - 1 > 2;
	}
	skep_thread_destroy(thread);
	return (void *)(uintptr_t)bad;
}

static void test_sums(void)
{
	uint64_t value, want = 0, hits = 0, values[1024] = {0}, sum = 0;
	pthread_t threads[THREADS];
	struct timespec nap = {.tv_nsec = 100000};
	uint32_t key, zero = 0;
	uintptr_t bad = 0;
	void *ret;
	int i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (i = 0; i < 200; i++) { /* meanwhile */
		skep_map_set_program(maps[3], 0, i % 3 ? targets[i % 2] : NULL, NULL);
		key = (uint32_t)i % KEYS;
		skep_map_lookup_elem(maps[0], &key, &value);
		nanosleep(&nap, NULL);
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &ret);
		bad += (uintptr_t)ret;
	}
	for (i = 0; i < RUNS; i++)
		want += (uint64_t)THREADS * ((uint64_t)i % KEYS);
	for (key = 0; key < KEYS; key++)
		if (skep_map_lookup_elem(maps[0], &key, &value) == 0)
			hits += value;
	is_int((long long)bad, 0, "every run gives what it should");
	is_int((long long)hits, (long long)THREADS * RUNS, "the hash map counts every run");
	ok(skep_map_lookup_elem(maps[1], &zero, &value) == 0 && value == want,
	   "the array sums every key");
	is_int((long long)called, (long long)want, "the helper was called each time");
	if (ok(skep_map_value_size(maps[2]) <= sizeof(values), "room for a value a CPU"))
		skep_map_lookup_elem(maps[2], &zero, values);
	for (i = 0; i < 1024; i++)
		sum += values[i];
	/* With a CPU for each thread nothing is lost, atomics or not. */
	if (skep_map_value_size(maps[2]) / 8 >= THREADS)
		is_int((long long)sum, (long long)THREADS * RUNS, "per-CPU values count every run");
}

static void *endless(void *arg)
{
	struct skep_thread *thread = arg;
	uint64_t r0;

	return (void *)(intptr_t)skep_run(thread, spin, NULL, 0, &r0, NULL);
}

static struct skep_thread *alarmed;

static void on_alarm(int sig)
{
	skep_thread_interrupt(alarmed);
}

static void test_interrupt(void)
{
	struct itimerval soon = {.it_value = {.tv_usec = 20000}};
	struct timespec nap = {.tv_nsec = 20000000};
	struct skep_thread *thread = NULL;
	struct skep_err *err = skep_err_create();
	pthread_t id;
	uint64_t r0;
	void *ret;

	skep_thread_create(&thread, engine, NULL);
	pthread_create(&id, NULL, endless, thread);
	nanosleep(&nap, NULL);
	skep_thread_interrupt(thread);
	pthread_join(id, &ret);
	is_int((intptr_t)ret, -ECANCELED, "another thread ends a loop");

	alarmed = thread;
	signal(SIGALRM, on_alarm);
	setitimer(ITIMER_REAL, &soon, NULL);
	is_int(skep_run(thread, spin, NULL, 0, &r0, err), -ECANCELED, "so does a signal handler");
	is_str(skep_err_kind(err), "E_RUN_STOPPED", "... of its kind");
	skep_thread_destroy(thread);
	skep_err_destroy(err);
}

int main(void)
{
	struct skep_engine_opts o = {.sz = sizeof(o), .interruptible = true};

	for (int jit = SKEP_JIT_AUTO; jit <= SKEP_JIT_OFF; jit += SKEP_JIT_OFF) {
		for (int trusted = 0; trusted < 2; trusted++) {
			o.jit = jit;
			o.trusted = trusted;
			o.budget = SKEP_NO_BUDGET;
			printf("# jit %d, trusted %d\n", jit, trusted);
			setup(&o);
			test_sums();
			test_interrupt();
			skep_engine_destroy(engine);
		}
	}
	return done();
}
