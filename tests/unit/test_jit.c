/* SPDX-License-Identifier: BSD-2-Clause */
/* src/jit beside what programs compute (tests/run): blinding, perf's map, pages. */
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jit/jit.h"
#include "map/map.h"
#include "tap.h"
#include "vm/run.h"

#define MARK 0x3c0fa5e1

/* Each instruction that takes an immediate of the program's choice. */
static const struct bpf_insn marks[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = MARK},
	{.code = BPF_ALU64 | BPF_ADD | BPF_X,
	 .dst_reg = 0,
	 .src_reg = 1}, /* no constant any more */
	{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 0, .imm = MARK},
	{.code = BPF_ALU | BPF_XOR | BPF_K, .dst_reg = 0, .imm = MARK},
	{.code = BPF_ALU64 | BPF_MUL | BPF_K, .dst_reg = 0, .imm = MARK},
	{.code = BPF_ALU64 | BPF_DIV | BPF_K, .dst_reg = 0, .imm = MARK},
	{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 10},
	{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = MARK},
	{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = MARK},
	{.code = BPF_JMP | BPF_JSGT | BPF_K, .dst_reg = 0, .off = 0, .imm = MARK},
	{.code = BPF_JMP32 | BPF_JSET | BPF_K, .dst_reg = 0, .off = 0, .imm = MARK},
	{.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 2, .imm = MARK},
	{.imm = MARK},
	{.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = 0, .src_reg = 2},
	{.code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = 0, .src_reg = 3},
	{.code = BPF_ALU64 | BPF_SUB | BPF_X, .dst_reg = 0, .src_reg = 10},
	{.code = BPF_JMP | BPF_EXIT},
};

static struct skep_vm_prog *create(const struct skep_jit_opts *opts)
{
	struct skep_vm_prog_opts o = {.sz = sizeof(o), .name = "marks", .trusted = true};
	struct skep_vm_prog *prog = NULL;
	struct skep_err err = SKEP_ERR_INIT;

	if (skep_vm_prog_create(&prog, marks, sizeof(marks) / sizeof(marks[0]), &o, &err) < 0 ||
	    (opts && skep_jit_compile(prog, opts, &err) < 0))
		printf("# %s\n", err.msg);
	return prog;
}

static uint64_t result(struct skep_vm_prog *prog)
{
	static uint64_t ctx[100];
	struct skep_vm_run run = {.prog = prog, .ctx = ctx, .ctx_len = 77};
	struct skep_vm *vm = NULL;
	uint64_t r0 = 0;

	ok(skep_vm_create(&vm, NULL) == 0 && skep_vm_run(vm, &run, &r0, NULL) == 0, "it runs");
	skep_vm_destroy(vm);
	return r0;
}

static unsigned int count(const struct skep_vm_prog *prog)
{
	const void *code = NULL;
	size_t len = skep_jit_code(prog, &code), i;
	uint32_t mark = MARK;
	unsigned int n = 0;

	for (i = 0; i + sizeof(mark) <= len; i++)
		n += !memcmp((const uint8_t *)code + i, &mark, sizeof(mark));
	return n;
}

static void test_blinding(void)
{
	struct skep_jit_opts plain = {.sz = sizeof(plain), .without = SKEP_JIT_PASS_ALL};
	struct skep_jit_opts blind = {.sz = sizeof(blind), .blind = true};
	struct skep_vm_prog *a = create(&plain), *b = create(&blind), *c = create(&blind);
	struct skep_vm_prog *d = create(NULL);
	const void *bc = NULL, *cc = NULL;
	size_t len = skep_jit_code(b, &bc);

	ok(count(a) >= 9, "without blinding the immediates stand in the code");
	ok(count(b) == 0, "with it none does");
	ok(skep_jit_code(c, &cc) != len || memcmp(bc, cc, len), "each time in another way");
	ok(result(a) == result(d), "plain code computes what the interpreter computes");
	ok(result(b) == result(d), "blinded code, too");
	skep_vm_prog_put(a);
	skep_vm_prog_put(b);
	skep_vm_prog_put(c);
	skep_vm_prog_put(d);
}

/* Large programs are emitted in one pass, on guesses: here one is wrong, if @wrong. */
static void test_large(bool wrong)
{
	static struct bpf_insn insns[5000];
	struct skep_vm_prog_opts o = {.sz = sizeof(o), .name = "large", .trusted = true};
	const uint32_t nr = sizeof(insns) / sizeof(insns[0]);
	struct skep_vm_prog *prog[2] = {0};
	uint64_t r0[2] = {0};
	const void *code;
	uint32_t i;

	for (i = 0; i + 1 < nr; i++)
		insns[i] = (struct bpf_insn){.code = BPF_ALU64 | BPF_ADD | BPF_X, .src_reg = 1};
	insns[0] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X, .src_reg = 2};
	insns[nr - 1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	for (i = 100; i + 100 < nr; i += 100)
		insns[i] = (struct bpf_insn){.code = BPF_JMP | BPF_JGT | BPF_K,
					     .dst_reg = 1,
					     .off = 6,
					     .imm = (int32_t)i};
	for (i = 101; i < 107 && wrong; i++)
		insns[i] = (struct bpf_insn){.code = BPF_ALU64 | BPF_DIV | BPF_X, .src_reg = 1};
	for (i = 0; i < 2; i++) {
		skep_vm_prog_create(&prog[i], insns, nr, &o, NULL);
		if (i && skep_jit_compile(prog[i], NULL, NULL) < 0)
			printf("# not compiled\n");
		r0[i] = result(prog[i]);
	}
	ok(skep_jit_code(prog[1], &code) > nr && r0[0] == r0[1], "a large program%s",
	   wrong ? " with a jump that is longer than it looks" : "");
	skep_vm_prog_put(prog[0]);
	skep_vm_prog_put(prog[1]);
}

static void test_perf(void)
{
	struct skep_jit_opts opts = {.sz = sizeof(opts), .perf_map = true};
	struct skep_vm_prog *prog = create(&opts);
	unsigned long long start = 0, size = 0;
	char path[64], name[64] = "";
	const void *code = NULL;
	size_t len = skep_jit_code(prog, &code);
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	f = fopen(path, "r");
	ok(f && fscanf(f, "%llx %llx %63s", &start, &size, name) == 3, "perf's map has a line");
	ok(start > (uintptr_t)code && start + size == (uintptr_t)code + len,
	   "that covers the function up to the end of the code");
	ok(!strcmp(name, "bpf_prog_marks"), "and names it");
	if (f)
		fclose(f);
	unlink(path);
	skep_vm_prog_put(prog);
}

/* What may be written may not be executed: "r-xp" or the like of the mapping that holds @at. */
static void permissions(const void *at, char perms[8])
{
	unsigned long long start, end;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	perms[0] = 0;
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%llx-%llx %7s", &start, &end, perms) == 3 &&
		    (uintptr_t)at >= start && (uintptr_t)at < end)
			break;
	if (f)
		fclose(f);
}

static bool is_entry(const void *at)
{
	return !memcmp(at, "\xf3\x0f\x1e\xfa", 4); /* endbr64 */
}

/* Where indirect jumps may lead: both stubs, and all functions, which perf's map lists. */
static void test_entries(void)
{
	static const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 2,
		 .src_reg = BPF_PSEUDO_FUNC,
		 .imm = 3},
		{0},
		{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 3},
		{.code = BPF_JMP | BPF_EXIT},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8},
		{.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 0, .src_reg = 10, .off = -8},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct skep_vm_prog_opts o = {.sz = sizeof(o), .name = "entries", .trusted = true};
	struct skep_jit_opts opts = {.sz = sizeof(opts), .perf_map = true};
	struct skep_vm_prog *prog = NULL;
	unsigned long long start;
	const void *code = NULL, *at;
	char path[64], perms[8];
	bool all = true;
	FILE *f;
	int n = 0;

	ok(skep_vm_prog_create(&prog, insns, sizeof(insns) / sizeof(insns[0]), &o, NULL) == 0 &&
		   skep_jit_compile(prog, &opts, NULL) == 0 && skep_jit_code(prog, &code) > 0,
	   "three functions");
	permissions(code, perms);
	ok(!strcmp(perms, "r-xp"), "their pages cannot be written (%s)", perms);
	memcpy(&at, &prog->native->enter, sizeof(at));
	ok(is_entry(code) && is_entry(at), "C enters by endbr64");
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	f = fopen(path, "re");
	for (; f && fscanf(f, "%llx %*s %*s", &start) == 1; n++)
		all &= is_entry((const void *)(uintptr_t)start);
	ok(n == 3 && all, "and so does who calls one of the %d functions", n);
	if (f)
		fclose(f);
	unlink(path);
	skep_vm_prog_put(prog);
}

#if defined(__x86_64__)
/* fn(a, b, c); bits of rbx, r13, r14 and r15 say which of them it has not given back. */
int lost_registers(const void *fn, const void *a, const void *b, const void *c);
__asm__(".text\n"
	"lost_registers:\n"
	"push %rbx; push %r13; push %r14; push %r15; sub $8, %rsp\n"
	"mov %rdi, %rax; mov %rsi, %rdi; mov %rdx, %rsi; mov %rcx, %rdx\n"
	"mov $1, %ebx; mov $2, %r13d; mov $4, %r14d; mov $8, %r15d\n"
	"call *%rax\n"
	"xor $1, %rbx; setne %al; movzx %al, %eax\n"
	"xor $2, %r13; setne %cl; movzx %cl, %ecx; lea (%rax,%rcx,2), %eax\n"
	"xor $4, %r14; setne %cl; movzx %cl, %ecx; lea (%rax,%rcx,4), %eax\n"
	"xor $8, %r15; setne %cl; movzx %cl, %ecx; lea (%rax,%rcx,8), %eax\n"
	"add $8, %rsp; pop %r15; pop %r14; pop %r13; pop %rbx; ret\n");

/* The start of the program: behind both stubs. */
static const void *entry_of(const uint8_t *code, size_t len)
{
	size_t i;
	int n = 0;

	for (i = 0; i + 4 < len; i++)
		if (!memcmp(code + i, "\xf3\x0f\x1e\xfa", 4) && ++n == 3)
			return code + i;
	return NULL;
}

/* Both stubs give C's registers back, whatever the program names. */
static void test_registers(uint8_t reg)
{
	struct bpf_insn insns[] = {
		{BPF_ALU64 | BPF_MOV | BPF_K, reg, 0, 0, 77},
		{BPF_ALU64 | BPF_MOV | BPF_X, 0, reg, 0, 0},
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
	};
	struct skep_vm_prog_opts o = {.sz = sizeof(o), .name = "registers", .trusted = true};
	struct skep_vm_prog *prog = NULL;
	uint64_t r[11] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
	struct skep_vm *vm = NULL;
	const void *code = NULL, *enter;
	size_t len;

	ok(skep_vm_create(&vm, NULL) == 0 && skep_vm_prog_create(&prog, insns, 3, &o, NULL) == 0 &&
		   skep_jit_compile(prog, NULL, NULL) == 0,
	   "a program that names r%d", reg);
	len = skep_jit_code(prog, &code);
	ok(lost_registers(code, vm, r, entry_of(code, len)) == 0 && r[0] == 77,
	   "C has its registers back when it is entered at a function");
	memcpy(&enter, &prog->native->enter, sizeof(enter));
	ok(lost_registers(enter, vm, r, NULL) == 0, "and as a whole");
	skep_vm_prog_put(prog);
	skep_vm_destroy(vm);
}
#endif

static struct skep_vm_prog *jumped_to;

static void *prog_of(void *ctx, int fd)
{
	return skep_vm_prog_get(jumped_to);
}

static void put(void *prog)
{
	skep_vm_prog_put(prog);
}

static uint32_t no_id(const void *prog)
{
	return 0;
}

/* From what was verified to what was not: by machine code if @jit. */
static void test_tail(bool jit)
{
	static const struct skep_map_prog_ops ops = {.get = prog_of, .put = put, .id = no_id};
	static const struct bpf_insn reads[] = {
		{BPF_LDX | BPF_MEM | BPF_DW, 0, 10, -8, 0},
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
	};
	static const struct bpf_insn jumps[] = {
		{BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 77},
		{BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_IDX, 0, 0},
		{0, 0, 0, 0, 0},
		{BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0},
		{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call},
		{BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
	};
	union bpf_attr attr = {.map_type = BPF_MAP_TYPE_PROG_ARRAY,
			       .key_size = 4,
			       .value_size = 4,
			       .max_entries = 1};
	struct skep_map *map = NULL;
	struct skep_vm_prog_opts o = {
		.sz = sizeof(o), .name = "tail", .maps = &map, .nr_maps = 1, .trusted = true};
	/* The store is not left out, though the verifier would say that nobody reads it. */
	struct skep_jit_opts opts = {.sz = sizeof(opts), .without = SKEP_JIT_PASS_STACK};
	struct skep_vm_prog *prog = NULL;
	uint32_t key = 0, fd = 0;

	ok(skep_map_create(&map, &attr, &ops, NULL, NULL, NULL) == 0 &&
		   skep_vm_prog_create(&prog, jumps, 6, &o, NULL) == 0,
	   "a program that jumps into another");
	o.trusted = false;
	o.nr_maps = 0;
	ok(skep_vm_prog_create(&jumped_to, reads, 2, &o, NULL) == 0 &&
		   (!jit || (skep_jit_compile(prog, &opts, NULL) == 0 &&
			     skep_jit_compile(jumped_to, &opts, NULL) == 0)) &&
		   skep_map_sys_update(map, &key, &fd, 0) == 0,
	   "the other, which nobody has verified");
	ok(result(prog) == 0, "it does not see the stack of the first");
	skep_vm_prog_put(prog);
	skep_map_put(map);
	skep_vm_prog_put(jumped_to);
}

int main(void)
{
	if (!skep_jit_arch()) {
		printf("1..0 # SKIP no JIT for this processor\n");
		return 0;
	}
	test_blinding();
	test_perf();
	test_entries();
	test_large(false);
	test_large(true);
#if defined(__x86_64__)
	test_registers(0);
	test_registers(6);
	test_registers(8);
#endif
	test_tail(false);
	test_tail(true);
	return done();
}
