/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The programs of `skep conform`: a frame that fetches operands from the
 * context, the instruction of one row of isa.def, and stores of what came out.
 * Immediates and operands are the edges: 0, 1, -1, least, greatest, shift
 * counts around the width.
 */
#include "cli/conform.h"

#include <string.h>

#include "base/cleanup.h"
#include "isa/insn.h"

static const int32_t imms[] = {0,  1,  -1, 2,  3,   7,	  10,	  31,	 32,	    33,
			       63, 64, 65, -2, 127, -128, 0xffff, 65536, INT32_MAX, INT32_MIN};
static const uint64_t edges[] = {
	0,
	1,
	2,
	7,
	31,
	32,
	63,
	64,
	0x7f,
	0x80,
	0x8000,
	0x7fffffff,
	0x80000000,
	0xffffffff,
	0x100000000,
	0x0123456789abcdef,
	0x7fffffffffffffff,
	0x8000000000000000,
	0xffffffff80000000,
	0xfffffffffffffffe,
	UINT64_MAX,
};
#define NR_EDGES (sizeof(edges) / sizeof(edges[0]))
#define NR_IMMS	 (sizeof(imms) / sizeof(imms[0]))

const uint8_t conform_packet[CONFORM_PACKET] = {0x80, 0xff, 0x7f, 0x01, 0x00, 0xfe, 0x81, 0x02,
						0x03, 0xfd, 0x82, 0x04, 0x88, 0xb5, 0x45, 0x00,
						0x00, 0x12, 0xab, 0xcd, 0x40, 0x00, 0x40, 0x11,
						0xff, 0xff, 0x80, 0x00, 0x00, 0x01, 0x7f, 0x80};

#define IO(field) ((int16_t)offsetof(struct conform_io, field))

struct each {
	int (*fn)(void *arg, const struct conform_prog *p);
	void *arg;
};

static void put(struct conform_prog *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off,
		int32_t imm)
{
	p->insns[p->n++] = (struct bpf_insn){code, dst, src, off, imm};
}

static void load(struct conform_prog *p, uint8_t dst, int16_t off)
{
	put(p, BPF_LDX | BPF_MEM | BPF_DW, dst, 6, off, 0);
}

static void store(struct conform_prog *p, int16_t off, uint8_t src)
{
	put(p, BPF_STX | BPF_MEM | BPF_DW, 6, src, off, 0);
}

static void subject(struct conform_prog *p)
{
	p->at = p->n;
	p->insns[p->n++] = p->subject;
}

/* r1, r2, r0: the operands; r3: memory, on the stack, where it may be accessed in any way. */
static void begin(struct conform_prog *p)
{
	p->n = 0;
	put(p, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	load(p, 1, IO(a));
	load(p, 2, IO(b));
	load(p, 0, IO(c));
	load(p, 3, IO(mem));
	put(p, BPF_STX | BPF_MEM | BPF_DW, 10, 3, -16, 0);
	load(p, 3, IO(mem) + 8);
	put(p, BPF_STX | BPF_MEM | BPF_DW, 10, 3, -8, 0);
	put(p, BPF_ALU64 | BPF_MOV | BPF_X, 3, 10, 0, 0);
	put(p, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -16);
}

static int end(const struct each *e, struct conform_prog *p)
{
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	return e->fn(e->arg, p);
}

static int alu(const struct each *e, struct conform_prog *p)
{
	begin(p);
	p->subject.dst_reg = 1;
	subject(p);
	store(p, IO(out[0]), 1);
	return end(e, p);
}

static int cond(const struct each *e, struct conform_prog *p)
{
	begin(p);
	p->subject.dst_reg = 1;
	p->subject.off = 1;
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 1);
	subject(p);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0);
	store(p, IO(out[0]), 4);
	return end(e, p);
}

/* Forward over a piece that is reached by a jump back. */
static int jump(const struct each *e, struct conform_prog *p)
{
	begin(p);
	if (BPF_CLASS(p->subject.code) == BPF_JMP)
		p->subject.off = 2;
	else
		p->subject.imm = 2;
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0);
	subject(p);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 1);
	put(p, BPF_JMP | BPF_JA, 0, 0, 1, 0);
	put(p, BPF_JMP | BPF_JA, 0, 0, -3, 0);
	store(p, IO(out[0]), 4);
	return end(e, p);
}

/* A function that gives 1, and keeps r6 although it writes it. */
static int call(const struct each *e, struct conform_prog *p)
{
	int ret;

	begin(p);
	p->subject =
		(struct bpf_insn){.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 3};
	subject(p);
	store(p, IO(out[0]), 0);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 6, 0, 0, 77);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
	put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	ret = e->fn(e->arg, p);
	return ret;
}

static int helper(const struct each *e, struct conform_prog *p)
{
	begin(p);
	p->subject.imm = BPF_FUNC_ktime_get_ns;
	subject(p);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 1);
	put(p, BPF_JMP | BPF_JNE | BPF_K, 0, 0, 1, 0);
	put(p, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0);
	store(p, IO(out[0]), 4);
	return end(e, p);
}

static int memory(const struct each *e, struct conform_prog *p, unsigned int width)
{
	static const int16_t offs[] = {0, 8, 1, 3};
	bool is_load = BPF_CLASS(p->subject.code) == BPF_LDX;
	unsigned int i;
	int ret = 0;

	p->subject.dst_reg = is_load ? 1 : 3;
	if (is_load)
		p->subject.src_reg = 3;
	for (i = 0; i < SKEP_ARRAY_SIZE(offs) && !ret; i++) {
		begin(p);
		p->subject.off = offs[i];
		p->unaligned = offs[i] % (width / 8);
		subject(p);
		if (is_load)
			store(p, IO(out[0]), 1);
		put(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -16, 0);
		store(p, IO(mem), 1);
		put(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -8, 0);
		store(p, IO(mem) + 8, 1);
		ret = end(e, p);
	}
	p->unaligned = false;
	return ret;
}

static int atomic(const struct each *e, struct conform_prog *p)
{
	begin(p);
	p->subject.dst_reg = 3;
	put(p, BPF_STX | BPF_MEM | BPF_DW, 10, 1, -16, 0);
	subject(p);
	put(p, BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -16, 0);
	store(p, IO(out[0]), 1);
	store(p, IO(out[1]), 2);
	store(p, IO(out[2]), 0);
	return end(e, p);
}

static int lddw(const struct each *e, struct conform_prog *p)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < NR_EDGES && !ret; i++) {
		begin(p);
		p->subject.dst_reg = 1;
		p->subject.imm = (int32_t)edges[i];
		subject(p);
		put(p, 0, 0, 0, 0, (int32_t)(edges[i] >> 32));
		store(p, IO(out[0]), 1);
		ret = end(e, p);
	}
	return ret;
}

/* From the packet's first bytes to behind its last. */
static int packet(const struct each *e, struct conform_prog *p)
{
	static const int32_t at[] = {0, 1, 12, 28, 30, 31, 32, 100000};
	size_t i;
	int ret = 0;

	p->packet = true;
	for (i = 0; i < SKEP_ARRAY_SIZE(at) && !ret; i++) {
		p->n = 0;
		put(p, BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
		/* Registers for conform_operands() to know: r2 is 5. */
		put(p, BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 5);
		p->subject.imm = at[i];
		subject(p);
		put(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
		ret = e->fn(e->arg, p);
	}
	p->packet = false;
	return ret;
}

static int one(const struct each *e, const struct skep_insn_info *row, int32_t imm)
{
	struct conform_prog p = {
		.row = row->name,
		.group = row->group,
		.subject = {.code = row->code, .off = (int16_t)row->off, .imm = imm},
	};

	p.subject.src_reg = row->src == SKEP_F_READ || row->src == SKEP_F_RDWR ? 2 : row->src & 15;
	if (row->off >= SKEP_F_READ)
		p.subject.off = 0;
	switch ((enum skep_kind)row->kind) {
	case SKEP_KIND_ALU: return alu(e, &p);
	case SKEP_KIND_COND: return cond(e, &p);
	case SKEP_KIND_JA: return jump(e, &p);
	case SKEP_KIND_CALL_PC:
	case SKEP_KIND_EXIT: return call(e, &p);
	case SKEP_KIND_CALL: return helper(e, &p);
	case SKEP_KIND_LDX:
	case SKEP_KIND_LDSX:
	case SKEP_KIND_ST:
	case SKEP_KIND_STX: return memory(e, &p, row->width);
	case SKEP_KIND_ATOMIC:
	case SKEP_KIND_CMPXCHG: return atomic(e, &p);
	case SKEP_KIND_LDDW: return row->src ? 0 : lddw(e, &p);
	case SKEP_KIND_LD_ABS:
	case SKEP_KIND_LD_IND: return packet(e, &p);
	default: return 0;
	}
}

/* Immediates that an implementation may refuse: division by 0, shifts by the width or more. */
static bool refusable(const struct skep_insn_info *row, int32_t imm)
{
	uint8_t op = row->code & 0xf0;

	if (row->kind != SKEP_KIND_ALU)
		return false;
	if (op == BPF_DIV || op == BPF_MOD)
		return imm == 0;
	if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH)
		return imm < 0 || imm >= row->width;
	return false;
}

int conform_each(int (*fn)(void *arg, const struct conform_prog *p), void *arg)
{
	struct each e = {fn, arg};
	int op, ret = 0;
	size_t i;

	for (op = 0; op < SKEP_OP_MAX && !ret; op++) {
		const struct skep_insn_info *row = &skep_insn_table[op];
		bool wide = row->kind == SKEP_KIND_ALU || row->kind == SKEP_KIND_COND ||
			    row->kind == SKEP_KIND_ST;

		if (row->group >= CONFORM_GROUPS)
			continue;
		if (!wide || row->imm != SKEP_F_ANY) {
			ret = one(&e, row, row->imm >= SKEP_F_READ ? 0 : row->imm);
			continue;
		}
		for (i = 0; i < NR_IMMS && !ret; i++)
			if (!refusable(row, imms[i]))
				ret = one(&e, row, imms[i]);
	}
	return ret;
}

bool conform_operands(const struct conform_prog *p, unsigned int i, struct conform_io *io)
{
	uint8_t class = BPF_CLASS(p->subject.code);
	bool pairs = p->subject.src_reg == 2 && class != BPF_LDX;
	size_t k;

	memset(io, 0, sizeof(*io));
	io->b = 5;
	if (p->packet || class == BPF_LD ||
	    (class == BPF_JMP && p->subject.code == (BPF_JMP | BPF_CALL)))
		return i == 0;
	if (i >= (pairs ? NR_EDGES * NR_EDGES : NR_EDGES))
		return false;
	io->a = edges[i % NR_EDGES];
	io->b = edges[pairs ? i / NR_EDGES : (i + 3) % NR_EDGES];
	io->c = i % 2 ? edges[(i * 5 + 1) % NR_EDGES] : io->a;
	for (k = 0; k < sizeof(io->mem); k++)
		io->mem[k] =
			(uint8_t)(edges[(i + k / 8) % NR_EDGES] >> k % 8 * 8) ^ (uint8_t)(k * 0x91);
	return true;
}
