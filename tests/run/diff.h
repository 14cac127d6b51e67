/* SPDX-License-Identifier: BSD-2-Clause */
/* A random program that ends, and the world it runs in: for tests/run/diff. */
#ifndef TESTS_RUN_DIFF_H
#define TESTS_RUN_DIFF_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GEN_MAX	 768 /* instructions */
#define GEN_CTX	 64 /* bytes of context that programs use; their r0 is stored behind */
#define GEN_KEYS 16 /* of the hash: 0 to 15 */
#define GEN_MAPS 4
/* Those after GEN_MAPS are for hostile programs only, and the last for who jumps away. */
#define MAP_TRIE    4
#define MAP_BLOOM   5
#define MAP_OUTER   6 /* holds a map at key 0 and 1 that no program has by itself */
#define MAP_PROGS   7 /* programs at key 0 and 1 */
#define GEN_HOSTILE 8
#define MAP_DIRECT  0 /* array of one value: its address is an immediate */
#define MAP_ARRAY   1
#define MAP_HASH    2
#define MAP_PERCPU  3

extern const union bpf_attr gen_maps[GEN_HOSTILE];

struct gen {
	uint64_t random;
	struct bpf_insn insns[GEN_MAX + 64];
	uint32_t n;
	uint32_t funcs[8]; /* where functions start, ascending */
	uint32_t nr_funcs;
	bool tails; /* it may jump into the programs of MAP_PROGS: set by who asks for a program */
	bool unaligned; /* accesses of stack and context that the kernel refuses */
	bool leaks; /* addresses may have become numbers */
};

/* What a run leaves behind, and what it starts from. */
struct world {
	uint8_t ctx[GEN_CTX + 8];
	uint8_t direct[64];
	uint8_t array[4][32];
	uint8_t percpu[2][16];
	struct {
		uint32_t there;
		uint8_t value[24];
	} hash[GEN_KEYS];
};

uint64_t gen_random(struct gen *g);
/* A program that the verifier mostly accepts and whose result depends on no address. */
void gen_program(struct gen *g);
/* Any instructions at all. */
void gen_hostile(struct gen *g);
void gen_world(struct gen *g, struct world *w);

/* The kernel's answer.  1: ran, 0: refused, -1: not to be had here. */
int kernel_open(void);
int kernel_run(const struct gen *g, struct world *w, char *log, size_t size);
void kernel_close(void);

#endif
