/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a call into libskep costs: a program that does nothing and one that
 * looks at a packet, one by one and in batches, next to a C function that is
 * called through a pointer.  Prints "PROGRAM HOW NANOSECONDS", best of rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "skep/skep.h"

#define BATCH 64
#define CALLS (BATCH * 30) /* short, to fit between two interruptions */

typedef uint64_t native_fn(const uint8_t *ctx, size_t len);

/* IPv4 and UDP to port 53, as the text below. */
static uint64_t packet_native(const uint8_t *ctx, size_t len)
{
	return len >= 42 && ctx[12] == 8 && ctx[13] == 0 && ctx[23] == 17 && ctx[36] == 0 &&
	       ctx[37] == 53;
}

static uint64_t nothing_native(const uint8_t *ctx, size_t len)
{
	return 0;
}

static const struct {
	const char *name, *text;
	native_fn *native;
} programs[] = {
	{"nothing", "r0 = 0\nexit", nothing_native},
	{"packet",
	 "r0 = 0\nif r2 < 42 goto out\nr3 = *(u16 *)(r1 + 12)\nif r3 != 8 goto out\n"
	 "r3 = *(u8 *)(r1 + 23)\nif r3 != 17 goto out\nr3 = *(u16 *)(r1 + 36)\n"
	 "if r3 != 13568 goto out\nr0 = 1\nout:\nexit",
	 packet_native},
};

static const struct {
	const char *name;
	struct skep_engine_opts opts;
} modes[] = {
	{"checked", {.sz = sizeof(struct skep_engine_opts)}},
	{"trusted", {.sz = sizeof(struct skep_engine_opts), .trusted = true}},
	{"interpreted", {.sz = sizeof(struct skep_engine_opts), .jit = SKEP_JIT_OFF}},
};

#define NR_MODES (sizeof(modes) / sizeof(modes[0]))

static uint8_t packets[BATCH][64];
static volatile uint64_t sink;

static double now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static double native(native_fn *volatile fn)
{
	double start = now_ns();
	uint64_t sum = 0;
	int i;

	for (i = 0; i < CALLS; i++)
		sum += fn(packets[i % BATCH], 64);
	sink = sum;
	return (now_ns() - start) / CALLS;
}

static double one_by_one(struct skep_thread *thread, const struct skep_program *program)
{
	double start = now_ns();
	uint64_t r0, sum = 0;
	int i;

	for (i = 0; i < CALLS; i++) {
		skep_run(thread, program, packets[i % BATCH], 64, &r0, NULL);
		sum += r0;
	}
	sink = sum;
	return (now_ns() - start) / CALLS;
}

static double batches(struct skep_thread *thread, const struct skep_program *program)
{
	struct skep_item items[BATCH];
	double start;
	int i;

	for (i = 0; i < BATCH; i++)
		items[i] = (struct skep_item){.ctx = packets[i], .len = 64};
	start = now_ns();
	for (i = 0; i < CALLS / BATCH; i++)
		skep_run_batch(thread, program, items, BATCH, NULL);
	return (now_ns() - start) / CALLS;
}

static void measure(size_t p, int rounds)
{
	struct skep_engine *engine[NR_MODES];
	struct skep_thread *thread[NR_MODES];
	struct skep_program *program[NR_MODES];
	double best[NR_MODES][2], base = 1e18, ns;
	size_t m;

	for (m = 0; m < NR_MODES; m++) {
		if (skep_engine_create(&engine[m], &modes[m].opts, NULL) ||
		    skep_thread_create(&thread[m], engine[m], NULL) ||
		    skep_program_assemble(&program[m], engine[m], programs[p].text, NULL, NULL))
			exit(1);
		best[m][0] = best[m][1] = 1e18;
	}
	for (rounds *= 50; rounds--;) { /* side by side */
		ns = native(programs[p].native);
		base = ns < base ? ns : base;
		for (m = 0; m < NR_MODES; m++) {
			ns = one_by_one(thread[m], program[m]);
			best[m][0] = ns < best[m][0] ? ns : best[m][0];
			ns = batches(thread[m], program[m]);
			best[m][1] = ns < best[m][1] ? ns : best[m][1];
		}
	}
	printf("%s native %.2f\n", programs[p].name, base);
	for (m = 0; m < NR_MODES; m++) {
		printf("%s %s %.2f\n", programs[p].name, modes[m].name, best[m][0]);
		printf("%s %s,batch %.2f\n", programs[p].name, modes[m].name, best[m][1]);
		skep_thread_destroy(thread[m]);
		skep_engine_destroy(engine[m]);
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	size_t p, i;

	for (i = 0; i < BATCH; i++) {
		memcpy(packets[i] + 12, "\x08\x00", 2);
		packets[i][23] = 17;
		packets[i][37] = 53;
	}
	for (p = 0; p < sizeof(programs) / sizeof(programs[0]); p++)
		measure(p, rounds);
	return 0;
}
