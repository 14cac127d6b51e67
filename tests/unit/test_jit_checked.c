/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checked mode's machine code: which sites checks share and where these begin;
 * budgets that loops overdraw; and loops with everything that a proof could get
 * wrong, at random: what the interpreter finds bad must be found.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jit/jit.h"
#include "map/map.h"
#include "tap.h"
#include "vm/run.h"

#define INSN(code, dst, src, off, imm) \
	{ \
		(code), (dst), (src), (off), (imm) \
	}
#define LOAD(size, dst, src, off)  INSN(BPF_LDX | BPF_MEM | (size), dst, src, off, 0)
#define STORE(size, dst, off, src) INSN(BPF_STX | BPF_MEM | (size), dst, src, off, 0)
#define ALU(op, dst, src)	   INSN(BPF_ALU64 | (op) | BPF_X, dst, src, 0, 0)
#define ALU_K(op, dst, imm)	   INSN(BPF_ALU64 | (op) | BPF_K, dst, 0, 0, imm)
#define JUMP_K(op, dst, imm, off)  INSN(BPF_JMP | (op) | BPF_K, dst, 0, off, imm)
#define EXIT			   INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define NR(a)			   ((uint32_t)(sizeof(a) / sizeof((a)[0])))

static struct skep_map *map;

static struct skep_vm_prog *create(const struct bpf_insn *insns, uint32_t nr, uint64_t budget,
				   bool jit)
{
	struct skep_vm_prog_opts o = {
		.sz = sizeof(o), .name = "checked", .budget = budget, .maps = &map, .nr_maps = 1};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_vm_prog *prog = NULL;

	if (skep_vm_prog_create(&prog, insns, nr, &o, &err) < 0 ||
	    (jit && skep_jit_compile(prog, NULL, &err) < 0))
		printf("# %s\n", err.msg);
	skep_err_deinit(&err);
	return prog;
}

/* A context whose first two words are a packet's start and end, as an XDP program's. */
struct world {
	uint32_t data, data_end;
	uint64_t rest[7];
};

static struct skep_vm *vm;

static int run(const struct skep_vm_prog *prog, struct world *w, struct skep_vm_packet *packet,
	       bool write, int *insn)
{
	struct skep_vm_run r = {.prog = prog,
				.ctx = w,
				.ctx_len = sizeof(*w),
				.ctx_write = write,
				.packet = packet};
	struct skep_err err = SKEP_ERR_INIT;
	uint64_t r0;
	int ret = skep_vm_run(vm, &r, &r0, &err);

	*insn = ret < 0 ? err.insn : -1;
	skep_err_deinit(&err);
	return ret;
}

/* Where site @i is after a run that has not missed it. */
static bool site_is(unsigned int i, const void *start, uint64_t len, uint64_t size)
{
	return vm->site[i].start == (uintptr_t)start && vm->site[i].last == size - len;
}

static void test_sites(uint8_t *buffer)
{
	/* Jumps in between: no access is another's neighbour; the packet is only written. */
	static const struct bpf_insn insns[] = {
		LOAD(BPF_W, 2, 1, 0),	  JUMP_K(BPF_JEQ, 2, 0, 5), LOAD(BPF_W, 3, 1, 4),
		JUMP_K(BPF_JEQ, 3, 0, 3), STORE(BPF_W, 2, 0, 3),    JUMP_K(BPF_JEQ, 3, 1, 1),
		STORE(BPF_W, 2, 60, 3),	  ALU_K(BPF_MOV, 0, 0),	    EXIT,
	};
	struct skep_vm_packet packet = {.head = buffer,
					.tail = buffer + 64,
					.meta = buffer,
					.data = buffer,
					.data_end = buffer + 64,
					.write = true};
	struct world w = {.data = (uint32_t)(uintptr_t)buffer, .data_end = 7};
	struct skep_vm_prog *prog = create(insns, NR(insns), 0, true);
	int insn;

	ok(prog && prog->native && prog->native->sites == 2, "what runs once shares two sites");
	ok(run(prog, &w, &packet, false, &insn) == 0, "it runs");
	ok(site_is(0, &w, 4, sizeof(w)), "that of the context is there at once");
	ok(site_is(1, buffer, 4, 64), "and that of the packet");
	packet.data_end = buffer + 63;
	ok(run(prog, &w, &packet, false, &insn) == -EFAULT && insn == 6,
	   "one byte of the packet less is too little");
	packet.write = false;
	ok(run(prog, &w, &packet, false, &insn) == -EFAULT && insn == 4,
	   "one that is not to be written is not");
	ok(run(prog, &w, NULL, false, &insn) == -EFAULT && insn == 4, "nor is none");
	packet.write = true;
	packet.data_end = buffer + 3;
	ok(run(prog, &w, &packet, false, &insn) == -EFAULT && insn == 4,
	   "nor one that is shorter than the access");
	skep_vm_prog_put(prog);
}

static void test_context(void)
{
	static const struct bpf_insn writes[] = {
		LOAD(BPF_DW, 0, 1, 56),
		STORE(BPF_DW, 1, 56, 0),
		LOAD(BPF_DW, 0, 1, 57),
		EXIT,
	};
	/* In a loop each access has its own. */
	static const struct bpf_insn loops[] = {
		ALU_K(BPF_MOV, 2, 0),	  LOAD(BPF_W, 0, 1, 0),
		JUMP_K(BPF_JEQ, 0, 9, 1), LOAD(BPF_W, 0, 1, 8),
		ALU_K(BPF_ADD, 2, 1),	  JUMP_K(BPF_JNE, 2, 4, -5),
		LOAD(BPF_W, 0, 1, 16),	  EXIT,
	};
	struct skep_vm_prog *prog = create(writes, NR(writes), 0, true);
	struct world w = {0};
	int insn;

	ok(run(prog, &w, NULL, true, &insn) == -EFAULT && insn == 2, "a byte behind the context");
	ok(run(prog, &w, NULL, false, &insn) == -EFAULT && insn == 1,
	   "a context that is not to be written");
	skep_vm_prog_put(prog);
	prog = create(loops, NR(loops), 0, true);
	ok(prog && prog->native->sites == 3, "in a loop nobody shares (%u sites)",
	   prog ? prog->native->sites : 0);
	ok(run(prog, &w, NULL, false, &insn) == 0, "it runs");
	skep_vm_prog_put(prog);
}

/* @n times around a loop that looks, then @m times around one that ends soon and does not. */
static int spend(int32_t n, int32_t m, bool jit)
{
	const struct bpf_insn insns[] = {
		STORE(BPF_DW, 10, -8, 0),  LOAD(BPF_DW, 2, 10, -8),
		ALU_K(BPF_ADD, 2, 1),	   STORE(BPF_DW, 10, -8, 2),
		JUMP_K(BPF_JNE, 2, n, -4), ALU_K(BPF_MOV, 3, 0),
		ALU_K(BPF_ADD, 3, 1),	   JUMP_K(BPF_JNE, 3, m, -2),
		ALU_K(BPF_MOV, 0, 0),	   EXIT,
	};
	struct skep_vm_prog *prog = create(insns, NR(insns), 1000, jit);
	struct world w = {0};
	int insn, ret = run(prog, &w, NULL, false, &insn);

	skep_vm_prog_put(prog);
	return ret;
}

/*
 * @n times around a loop that 15 jumps back close, besides its last, which are
 * never taken but charge for all of it.
 */
static int fan(int32_t n, bool jit)
{
	struct bpf_insn insns[128] = {
		ALU_K(BPF_MOV, 2, 0),	   STORE(BPF_DW, 10, -8, 2), LOAD(BPF_DW, 3, 10, -8),
		JUMP_K(BPF_JGE, 2, n, 96), ALU_K(BPF_ADD, 2, 1),
	};
	struct skep_vm_prog *prog;
	struct world w = {0};
	int16_t i;
	int insn, ret;

	for (i = 5; i < 83; i++)
		insns[i] = (struct bpf_insn)ALU_K(BPF_ADD, 4, 1);
	for (; i < 98; i++)
		insns[i] = (struct bpf_insn)JUMP_K(BPF_JEQ, 3, i, (int16_t)(2 - i));
	insns[i] = (struct bpf_insn)JUMP_K(BPF_JA, 0, 0, (int16_t)(2 - i));
	insns[i + 1] = (struct bpf_insn)ALU_K(BPF_MOV, 0, 0);
	insns[i + 2] = (struct bpf_insn)EXIT;
	insns[3].off = (int16_t)(i - 3);
	prog = create(insns, (uint32_t)i + 3, 1u << 23, jit);
	ret = run(prog, &w, NULL, false, &insn);
	skep_vm_prog_put(prog);
	return ret;
}

/* Three times around a loop of more instructions than two slices have. */
static int crawl(uint64_t budget, bool jit)
{
	const uint32_t nr = 3 * SKEP_VM_SLICE;
	struct bpf_insn *insns = calloc(nr, sizeof(*insns));
	struct skep_vm_prog *prog;
	struct world w = {0};
	uint32_t i;
	int insn, ret;

	/* Jumps reach 2^15 slots, those that are long all. */
	for (i = 0; insns && i < nr; i++)
		insns[i] = (struct bpf_insn)ALU_K(BPF_ADD, 4, 1);
	if (!insns)
		return -ENOMEM;
	insns[0] = (struct bpf_insn)ALU_K(BPF_MOV, 0, 0);
	insns[nr - 4] = (struct bpf_insn)ALU_K(BPF_ADD, 0, 1);
	insns[nr - 3] = (struct bpf_insn)JUMP_K(BPF_JEQ, 0, 3, 1);
	insns[nr - 2] = (struct bpf_insn)INSN(BPF_JMP32 | BPF_JA, 0, 0, 0, 2 - (int32_t)nr);
	insns[nr - 1] = (struct bpf_insn)EXIT;
	prog = create(insns, nr, budget, jit);
	ret = run(prog, &w, NULL, false, &insn);
	skep_vm_prog_put(prog);
	free(insns);
	return ret;
}

static void test_budget(void)
{
	ok(spend(200, 20, false) == 0 && spend(200, 20, true) == 0, "a budget that is enough");
	ok(spend(245, 20, false) == -ELOOP && spend(245, 20, true) == -ELOOP,
	   "one that a loop overdraws which ends soon");
	ok(spend(100, 20000, true) == -ELOOP, "one that a longer loop uses up");
	ok(fan(1100, false) == 0 && fan(1100, true) == 0,
	   "a loop that charges many times for each time around");
	ok(crawl(1 << 22, false) == 0 && crawl(1 << 22, true) == 0,
	   "a loop that is longer than two slices of the budget");
	ok(crawl(1 << 20, false) == -ELOOP && crawl(1 << 20, true) == -ELOOP,
	   "it uses up a budget that is too little");
}

/* A loop that only may_goto closes, which jumps for ever once its own count is used up. */
static int spin(int16_t back, bool jit, int *insn)
{
	const struct bpf_insn insns[] = {
		ALU_K(BPF_MOV, 0, 0),
		ALU_K(BPF_MOV, 2, 0),
		ALU_K(BPF_ADD, 2, 1), /* to the next may_goto: this loop looks at the budget */
		INSN(BPF_JMP | BPF_JCOND, 0, 0, 1, 0),
		JUMP_K(BPF_JA, 0, 0, -3),
		ALU_K(BPF_ADD, 0, 1),
		INSN(BPF_JMP | BPF_JCOND, 0, 0, back, 0),
		EXIT,
	};
	struct skep_vm_prog *prog = create(insns, NR(insns), 1u << 26, jit);
	struct world w = {0};
	int ret;

	alarm(20); /* a hang must not be one of all tests */
	ret = run(prog, &w, NULL, false, insn);
	alarm(0);
	skep_vm_prog_put(prog);
	return ret;
}

static void test_may_goto(void)
{
	int insn[2], ret[2];

	ret[0] = spin(-2, false, &insn[0]);
	ret[1] = spin(-2, true, &insn[1]);
	ok(ret[0] == -ELOOP && ret[1] == -ELOOP && insn[0] == 6 && insn[1] == 6,
	   "a may_goto that jumps back for ever uses up the budget");
	ok(spin(-1, true, insn) == -ELOOP && *insn == 6, "and one to itself");
}

static uint64_t seed = 20261129;

static int32_t pick(int32_t n)
{
	seed = seed * 6364136223846793005ull + 1442695040888963407ull;
	return (int32_t)((seed >> 33) % (uint64_t)n);
}

/* A step or start of a counter or of an address: mostly such that all goes well. */
static int32_t some(void)
{
	static const int32_t numbers[] = {0, 1, 1, 2, 4, 4, 8, 8, 16, -1, -4, -8, 7, 56, 60, 64};

	return numbers[pick(16)];
}

/* What may stand in a loop, in some order; the next slot. */
static uint32_t generate_one(struct bpf_insn *p, uint32_t n, uint8_t width)
{
	switch (pick(7)) {
	case 0: p[n++] = (struct bpf_insn)LOAD(BPF_W, 0, 3, 0); break;
	case 1: p[n++] = (struct bpf_insn)STORE(BPF_B, 5, (int16_t)pick(9), 2); break;
	case 2: p[n++] = (struct bpf_insn)INSN(width | BPF_ADD | BPF_K, 2, 0, 0, some()); break;
	case 3: p[n++] = (struct bpf_insn)INSN(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, some()); break;
	case 4: /* on some ways only */
		p[n++] = (struct bpf_insn)JUMP_K(BPF_JSET, (uint8_t)(pick(2) ? 2 : 4), 1 << pick(3),
						 1);
		p[n++] = (struct bpf_insn)ALU_K(BPF_ADD, (uint8_t)(2 + pick(4)), some());
		break;
	case 5: /* a copy, and an address of two parts */
		p[n++] = (struct bpf_insn)ALU(BPF_MOV, 7, 3);
		p[n++] = (struct bpf_insn)ALU(BPF_ADD, 7, 2);
		p[n++] = (struct bpf_insn)STORE(BPF_H, 7, 0, 4);
		break;
	default: p[n++] = (struct bpf_insn)STORE(BPF_DW, 3, (int16_t)(8 * pick(3)), 4);
	}
	return n;
}

/*
 * r2 and r4 count, r3 and r5 are carried along, into a value of 64 bytes; two
 * loops in each other, or one, that end by one of the registers.
 */
static uint32_t generate(struct bpf_insn *p)
{
	static const uint8_t ends[] = {BPF_JNE, BPF_JNE, BPF_JLT, BPF_JSLT, BPF_JGT, BPF_JNE};
	uint8_t width[4];
	uint32_t n = 0, outer, inner, i;
	bool nested = pick(2);

	for (i = 0; i < 4; i++)
		width[i] = pick(4) ? BPF_ALU64 : BPF_ALU;
	for (i = 2; i < 6; i++) {
		if (i % 2 == 0) {
			p[n++] = (struct bpf_insn)ALU_K(BPF_MOV, (uint8_t)i, pick(3) ? 0 : some());
			continue;
		}
		p[n++] = (struct bpf_insn)INSN(BPF_LD | BPF_IMM | BPF_DW, (uint8_t)i,
					       BPF_PSEUDO_MAP_IDX_VALUE, 0, 0);
		p[n++] = (struct bpf_insn){.imm = pick(3) ? 0 : 8 * pick(8)};
	}
	outer = n;
	p[n++] = (struct bpf_insn)ALU_K(BPF_ADD, 5, some());
	if (pick(2))
		p[n++] = (struct bpf_insn)ALU_K(BPF_MOV, 2, pick(2) ? 0 : some());
	if (pick(2))
		p[n++] = (struct bpf_insn)ALU(BPF_MOV, 3, 5);
	inner = n;
	for (i = 0; i < 6; i++)
		n = generate_one(p, n, width[0]);
	p[n++] = (struct bpf_insn)INSN(width[1] | BPF_ADD | BPF_K, 2, 0, 0, pick(4) ? 1 : some());
	p[n] = (struct bpf_insn)INSN((pick(4) ? BPF_JMP : BPF_JMP32) | ends[pick(6)] | BPF_K, 2, 0,
				     (int16_t)((int32_t)inner - (int32_t)n - 1), 1 + pick(17));
	n++;
	if (nested) {
		p[n++] = (struct bpf_insn)INSN(width[2] | BPF_ADD | BPF_K, 4, 0, 0,
					       pick(4) ? 1 : some());
		p[n] = (struct bpf_insn)JUMP_K(ends[pick(6)], 4, 1 + pick(9),
					       (int16_t)((int32_t)outer - (int32_t)n - 1));
		n++;
	}
	p[n++] = (struct bpf_insn)ALU_K(BPF_MOV, 0, 0);
	p[n++] = (struct bpf_insn)EXIT;
	return n;
}

/* What a run did to the value; the budget of both is counted at other places. */
static bool agrees(const struct bpf_insn *insns, uint32_t nr, bool *good)
{
	struct skep_vm_prog *prog[2] = {create(insns, nr, 40000, false),
					create(insns, nr, 40000, true)};
	uint8_t value[2][64], *at;
	int ret[2], insn[2], i;
	struct world w = {0};
	uint32_t key = 0;

	for (i = 0; i < 2; i++) {
		at = skep_map_lookup(map, &key, 0);
		memset(at, 0, 64);
		ret[i] = run(prog[i], &w, NULL, false, &insn[i]);
		memcpy(value[i], at, 64);
		skep_vm_prog_put(prog[i]);
	}
	*good = ret[0] == 0;
	if (ret[0] == -ELOOP || ret[1] == -ELOOP)
		return true;
	return ret[0] == ret[1] && insn[0] == insn[1] && !memcmp(value[0], value[1], 64);
}

static void test_random(void)
{
	struct bpf_insn insns[64];
	unsigned int i, bad = 0, well = 0;
	bool good;

	for (i = 0; i < 20000; i++) {
		uint32_t nr = generate(insns);

		bad += !agrees(insns, nr, &good);
		well += good;
	}
	ok(bad == 0, "of %u loops at random %u are not checked as in the interpreter", i, bad);
	ok(well > 2000, "%u of them end well", well);
}

int main(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 64, .max_entries = 1};
	uint8_t *buffer;

	if (!skep_jit_arch()) {
		printf("1..0 # SKIP no JIT for this processor\n");
		return 0;
	}
	buffer = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
		      -1, 0);
	if (buffer == MAP_FAILED || skep_map_create(&map, &attr, NULL, NULL, NULL, NULL) < 0 ||
	    skep_vm_create(&vm, NULL) < 0)
		return 1;
	test_sites(buffer);
	test_context();
	test_budget();
	test_may_goto();
	test_random();
	skep_vm_destroy(vm);
	skep_map_put(map);
	munmap(buffer, 4096);
	return done();
}
