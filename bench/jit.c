/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast skep compiles, and how fast it interprets simple code.
 *
 * usage: jit [ROUNDS]
 * Prints "WHAT FIGURE" a line, the best of the rounds: nanoseconds to compile
 * a program of 20 instructions, pages and all; millions of instructions a
 * second of a program of 100,000; nanoseconds an instruction of a loop of
 * arithmetic, loads, stores and branches in the trusted interpreter.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "jit/jit.h"
#include "vm/run.h"

#define LARGE 100000
#define LOOPS 100000

/* Eight instructions of the kinds that programs are made of; r6 is the context. */
static const struct bpf_insn piece[] = {
	{.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = 2, .src_reg = 6, .off = 4},
	{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 2},
	{.code = BPF_ALU | BPF_AND | BPF_K, .dst_reg = 3, .imm = 0xff},
	{.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = 0, .src_reg = 3},
	{.code = BPF_JMP | BPF_JGT | BPF_K, .dst_reg = 3, .off = 1, .imm = 100},
	{.code = BPF_ALU64 | BPF_XOR | BPF_K, .dst_reg = 0, .imm = 0x1234},
	{.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 0, .off = -8},
	{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 0, .imm = 3},
};
#define PIECE (sizeof(piece) / sizeof(piece[0]))

/* Of this thread: what others take of the machine does not count. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void die(const struct skep_err *err)
{
	fprintf(stderr, "jit: %s\n", err->msg);
	exit(1);
}

/* At least @n instructions: a head, pieces, a tail that loops @loops times. */
static struct skep_vm_prog *create(uint32_t n, int32_t loops, uint32_t *made)
{
	struct skep_vm_prog_opts opts = {.sz = sizeof(opts), .name = "bench", .trusted = true};
	struct bpf_insn *insns = calloc(n + PIECE + 8, sizeof(*insns));
	struct skep_vm_prog *prog = NULL;
	struct skep_err err = SKEP_ERR_INIT;
	uint32_t i = 0, head;

	if (!insns)
		exit(1);
	insns[i++] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0};
	insns[i++] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0};
	insns[i++] = (struct bpf_insn){BPF_ALU64 | BPF_MOV | BPF_K, 7, 0, 0, loops};
	for (head = i; i + 3 < n; i += PIECE)
		memcpy(&insns[i], piece, sizeof(piece));
	insns[i++] = (struct bpf_insn){BPF_ALU64 | BPF_ADD | BPF_K, 7, 0, 0, -1};
	if (loops)
		insns[i] = (struct bpf_insn){BPF_JMP | BPF_JNE | BPF_K, 7, 0,
					     (int16_t)(head - i - 1), 0},
		i++;
	insns[i++] = (struct bpf_insn){BPF_JMP | BPF_EXIT, 0, 0, 0, 0};
	if (skep_vm_prog_create(&prog, insns, i, &opts, &err) < 0)
		die(&err);
	free(insns);
	*made = i;
	return prog;
}

/* Nanoseconds of one compilation. */
static double compile(struct skep_vm_prog *prog)
{
	struct skep_err err = SKEP_ERR_INIT;
	double start = now(), took;

	if (skep_jit_compile(prog, NULL, &err) < 0)
		die(&err);
	took = now() - start;
	prog->native->destroy(prog->native);
	prog->native = NULL;
	return took;
}

/* The best of @rounds times of @times compilations each. */
static double best_compile(struct skep_vm_prog *prog, int rounds, int times)
{
	double best = 1e18, sum;
	int i, k;

	for (i = 0; i < rounds; i++) {
		for (sum = 0, k = 0; k < times; k++)
			sum += compile(prog);
		if (sum / times < best)
			best = sum / times;
	}
	return best;
}

static double interpret(const struct skep_vm_prog *prog)
{
	uint32_t ctx[16] = {1, 7, 3};
	struct skep_vm_run run = {.prog = prog, .ctx = ctx, .ctx_len = sizeof(ctx)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_vm *vm = NULL;
	double start;
	uint64_t r0;

	if (skep_vm_create(&vm, &err) < 0)
		die(&err);
	start = now();
	if (skep_vm_run(vm, &run, &r0, &err) < 0)
		die(&err);
	skep_vm_destroy(vm);
	return now() - start;
}

int main(int argc, char **argv)
{
	int i, rounds = argc > 1 ? atoi(argv[1]) : 11;
	uint32_t small, large, loop;
	struct skep_vm_prog *a = create(20, 0, &small), *b = create(LARGE, 0, &large);
	struct skep_vm_prog *c = create(36, LOOPS, &loop);
	double best = 1e18, ns;

	if (skep_jit_arch()) {
		printf("compile_%u_ns %.0f\n", small, best_compile(a, rounds, 50));
		printf("compile_large_mips %.1f\n", large * 1e3 / best_compile(b, rounds, 1));
	}
	for (i = 0; i < rounds; i++) {
		ns = interpret(c) / LOOPS / (loop - 4);
		best = ns < best ? ns : best;
	}
	printf("interpreter_ns_insn %.2f\n", best);
	skep_vm_prog_put(a);
	skep_vm_prog_put(b);
	skep_vm_prog_put(c);
	return 0;
}
