/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One object, one packet, every engine: nanoseconds a run, alternating.
 *
 * usage: engines OBJECT.bpf.o NATIVE.so FUNCTION [ROUNDS [VECTORISED.so]]
 * Prints "ENGINE RESULT NANOSECONDS" a line: of each load the fastest of the
 * rounds, of these the median.  It is loaded several times because the kernel
 * puts code at random places, and loops run at different speeds at them.
 * The .so files are the same source by the native compiler; "-": none.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "obj/load.h"
#include "user/user.h"

#define PACKET 128
#define LOADS  5
#define NR     6
#define NATIVE 4 /* the first of those by the native compiler */

static const char *const names[NR] = {"interpreter", "jit",    "checked",
				      "kernel",	     "native", "vectorised"};

struct engine {
	struct skep_sys *sys;
	struct skep_loaded *loaded;
	uint32_t (*native)(const unsigned char *pkt);
	uint32_t result;
	double best[LOADS];
	unsigned int repeat;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "engines: %s: %s\n", what, why);
	exit(1);
}

static struct skep_sys *create(int n)
{
	struct skep_user_opts opts = {.sz = sizeof(opts), .no_jit = n == 0, .trusted = n != 2};

	return n == 3 ? skep_sys_kernel_create(NULL) : skep_sys_user_create(NULL, &opts);
}

/* Nanoseconds of one run, over e->repeat runs in a row. */
static double measure(struct engine *e, unsigned char *pkt)
{
	union bpf_attr attr = {0};
	struct timespec a, b;
	unsigned int i;

	if (e->native) {
		clock_gettime(CLOCK_MONOTONIC, &a);
		for (i = 0; i < e->repeat; i++)
			e->result = e->native(pkt);
		clock_gettime(CLOCK_MONOTONIC, &b);
		return ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) /
		       e->repeat;
	}
	attr.test.prog_fd = (uint32_t)e->loaded->progs[0].fd;
	attr.test.data_in = (uintptr_t)pkt;
	attr.test.data_size_in = PACKET;
	attr.test.repeat = e->repeat;
	if (skep_sys_bpf(e->sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr.test)) < 0)
		die("test run", strerror(errno));
	e->result = attr.test.retval;
	return attr.test.duration;
}

static void open_engines(struct engine *e, struct skep_obj *obj)
{
	struct skep_load_opts opts = {.sz = sizeof(opts), .all_or_nothing = true};
	struct skep_err err = SKEP_ERR_INIT;
	int i;

	for (i = 0; i < NATIVE; i++) {
		e[i].sys = create(i);
		if (skep_load(&e[i].loaded, obj, e[i].sys, &opts, &err) < 0)
			die(names[i], err.msg);
	}
}

static void open_native(struct engine *e, const char *so, const char *fn)
{
	void *dl, *at;

	if (!strcmp(so, "-"))
		return;
	dl = dlopen(so, RTLD_NOW);
	at = dl ? dlsym(dl, fn) : NULL;
	if (!at)
		die(so, dlerror());
	memcpy(&e->native, &at, sizeof(at));
}

static bool is_there(const struct engine *e)
{
	return e->sys || e->native;
}

static void close_engines(struct engine *e)
{
	int i;

	for (i = 0; i < NATIVE; i++) {
		skep_loaded_destroy(e[i].loaded);
		skep_sys_destroy(e[i].sys);
	}
}

/* About a millisecond a measurement. */
static void choose_repeat(struct engine *e, unsigned char *pkt)
{
	double ns;

	e->repeat = 10;
	ns = measure(e, pkt) + 1;
	e->repeat = ns > 5e5 ? 2 : (unsigned int)(1e6 / ns);
}

static void alternate(struct engine *e, unsigned char *pkt, int load, int rounds)
{
	double ns;
	int i;

	for (i = 0; i < NR; i++) {
		e[i].best[load] = 1e18;
		if (is_there(&e[i]))
			choose_repeat(&e[i], pkt);
	}
	while (rounds--)
		for (i = 0; i < NR; i++) {
			if (!is_there(&e[i]))
				continue;
			ns = measure(&e[i], pkt);
			if (ns < e[i].best[load])
				e[i].best[load] = ns;
		}
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	unsigned char pkt[PACKET];
	struct engine e[NR] = {0};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = NULL;
	struct skep_file file = {0};
	int i, load, rounds = argc > 4 ? atoi(argv[4]) : 15;

	if (argc < 4)
		die("usage", "engines OBJECT NATIVE.so FUNCTION [ROUNDS [VECTORISED.so]]");
	for (i = 0; i < PACKET; i++)
		pkt[i] = (unsigned char)(i * 37 + 11);
	memcpy(pkt + 12, "\x08\x00\x45\x00\x00\x72\x00\x01\x00\x00\x40\x06", 12);
	if (skep_file_open(&file, argv[1], &err) < 0 ||
	    skep_obj_open(&obj, file.data, file.len, argv[1], NULL, &err) < 0)
		die(argv[1], err.msg);
	open_native(&e[NATIVE], argv[2], argv[3]);
	if (argc > 5)
		open_native(&e[NATIVE + 1], argv[5], argv[3]);
	for (load = 0; load < LOADS; load++) {
		open_engines(e, obj);
		alternate(e, pkt, load, (rounds + LOADS - 1) / LOADS);
		close_engines(e);
	}
	for (i = 0; i < NR; i++) {
		if (i >= NATIVE && !e[i].native)
			continue;
		qsort(e[i].best, LOADS, sizeof(e[i].best[0]), by_size);
		printf("%s %u %.1f\n", names[i], e[i].result, e[i].best[LOADS / 2]);
	}
	skep_obj_destroy(obj);
	skep_file_close(&file);
	return 0;
}
