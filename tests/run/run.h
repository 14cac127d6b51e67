/* SPDX-License-Identifier: BSD-2-Clause */
/* What a case of tests/run says, and what an engine made of it. */
#ifndef TESTS_RUN_RUN_H
#define TESTS_RUN_RUN_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAX_MAPS  8
#define MAX_PROGS 8
#define MAX_LINES 128
#define MAX_BYTES 4096

struct bytes {
	uint8_t data[MAX_BYTES];
	size_t len;
	bool given, none;
};

struct map_def {
	char name[16];
	uint32_t type, key, value, n, flags, extra;
	int inner; /* the map that shows what this one holds */
};

/* elem, elem-out, slot, ring: one of them a line. */
struct map_line {
	enum { ELEM, ELEM_OUT, SLOT, RING } what;
	int map;
	uint32_t slot;
	char prog[32];
	struct bytes key, value;
};

struct prog_text {
	char name[32];
	const char *text; /* of the expanded case */
	size_t len;
	struct bpf_insn *insns; /* map numbers in the immediates of map loads */
	size_t nr;
};

struct expect {
	bool r0_given;
	uint64_t r0;
	char tag[40]; /* "" : runs */
	bool fault; /* tag is of the run, not of the load */
	int insn;
};

struct test {
	const char *file;
	char name[160];
	uint32_t type;
	struct bytes mem, mem_out, packet, packet_out;
	struct expect expect;
	uint64_t budget;
	bool gpl;
	struct map_def maps[MAX_MAPS];
	int nr_maps;
	struct map_line *lines; /* MAX_LINES */
	int nr_lines;
	struct prog_text progs[MAX_PROGS];
	int nr_progs;
	char printk[8][128];
	int nr_printk;
	const char *skip[8]; /* by engine; why, or NULL */
	bool kernel_reject, kernel_accept;
};

enum outcome { RAN, REJECTED, FAULTED, BROKEN };

struct result {
	enum outcome outcome;
	uint64_t r0;
	bool r0_32; /* only 32 bits are known */
	char tag[40];
	int insn;
	struct bytes mem, packet;
	struct bytes out[MAX_LINES]; /* what ELEM_OUT and RING lines found */
	char printk[8][128];
	int nr_printk;
	char why[4096]; /* for people */
};

struct engine {
	const char *name;
	const char *(*unavailable)(void); /* why, or NULL */
	void (*run)(const struct test *test, struct result *result);
	const char *(*lacks)(const struct test *test); /* what the case uses; may be NULL */
};

extern const struct engine engine_checked, engine_trusted, engine_jit_checked, engine_blinded,
	engine_jit, engine_kernel;

/* Asks the kernel whether it has what the case uses: why not, or NULL. */
const char *kernel_lacks(const struct test *test);

/* Helpers of maps return 32 bits on older kernels; whether the case calls one here. */
bool kernel_r0_is_int(const struct test *test);

/* Reads the records of a mapped ring: @prod is the producer page, data behind it. */
void ring_records(const struct test *test, int map, const void *consumer, const void *producer,
		  struct result *result);

#endif
