/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading .bpf files. */
#ifndef TESTS_RUN_PARSE_H
#define TESTS_RUN_PARSE_H

#include "run.h"

enum {
	ENGINE_CHECKED,
	ENGINE_TRUSTED,
	ENGINE_JIT_CHECKED,
	ENGINE_BLINDED,
	ENGINE_JIT,
	ENGINE_KERNEL,
	NR_ENGINES
}; /* indices of test.skip */

struct parser {
	const char *file;
	char name[80];
	char error[2048];
	char *owned[8];
	int nr_owned;
};

void parse_reset(struct test *t);
/* The number of the map, or -1. */
int test_map(const struct test *t, const char *name);

/* Calls @each for every case of @text (changed).  False: p->error. */
bool parse_file(struct parser *p, char *text, struct test *t, void (*each)(struct test *t));

#endif
