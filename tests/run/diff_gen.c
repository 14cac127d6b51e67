/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs, structured so that they end: blocks of plain instructions,
 * branches forward, loops with a counter, functions that call later ones only.
 *
 * Conventions that keep the verifier content: r6 is the context (not in
 * callbacks), r7 an address with at least `room` bytes behind it, r9 the
 * counter of a loop; everything else holds numbers, `init` says which are
 * set.  The 64 bytes below r10 hold numbers, the key of a call is below them.
 */
#include <string.h>

#include "diff.h"
#include "isa/insn.h"

#define STACK 64
#define KEY   (-72)
#define POOL  0x33f /* r0 to r5, r8, r9 */

const union bpf_attr gen_maps[GEN_HOSTILE] = {
	{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 64, .max_entries = 1},
	{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 32, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 24, .max_entries = 8},
	{.map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 16, .max_entries = 2},
	/* With one entry, whose value always lies in one place. */
	{.map_type = BPF_MAP_TYPE_LPM_TRIE,
	 .key_size = 8,
	 .value_size = 16,
	 .max_entries = 1,
	 .map_flags = BPF_F_NO_PREALLOC},
	{.map_type = BPF_MAP_TYPE_BLOOM_FILTER, .value_size = 8, .max_entries = 8},
	{.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 3},
};

struct fn {
	struct gen *g;
	uint16_t init; /* registers with numbers */
	uint8_t room; /* bytes at r7 */
	bool ctx; /* r6 is the context */
	bool loop; /* r9 counts */
	bool bare; /* a function that neither calls nor names r10: it has no frame */
	bool hash; /* r7 is in the hash: an update would leave it in memory of no element */
	int depth, index; /* nesting; which function */
	int nr; /* functions of the program */
};

uint64_t gen_random(struct gen *g)
{
	uint64_t x = g->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	g->random = x;
	return x * 0x2545f4914f6cdd1dull;
}

static uint32_t below(struct gen *g, uint32_t n)
{
	return (uint32_t)((gen_random(g) >> 32) * n >> 32);
}

static int32_t number(struct gen *g)
{
	static const int32_t edges[] = {0,   1,	     -1,   2,	      127,	 -128,	 128,	255,
					256, 0x7fff, 4096, INT32_MAX, INT32_MIN, 0xffff, 31,	32,
					63,  64,     -2,   7,	      0x10000,	 1000,	 -4096, 10};

	if (below(g, 2))
		return edges[below(g, sizeof(edges) / sizeof(edges[0]))];
	return (int32_t)((int64_t)gen_random(g) >> (32 + below(g, 32)));
}

static void put(struct gen *g, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	g->insns[g->n++] = (struct bpf_insn){code, dst, src, off, imm};
}

static void put_wide(struct gen *g, uint8_t dst, uint8_t src, int32_t low, int32_t high)
{
	put(g, BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, low);
	put(g, 0, 0, 0, 0, high);
}

static void mov(struct gen *g, uint8_t dst, int32_t imm)
{
	put(g, BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}

static void mov_x(struct gen *g, uint8_t dst, uint8_t src)
{
	put(g, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}

static void add(struct gen *g, uint8_t dst, int32_t imm)
{
	put(g, BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm);
}

static void direct(struct fn *f)
{
	put_wide(f->g, 7, BPF_PSEUDO_MAP_VALUE, MAP_DIRECT, 0);
	f->room = 64;
}

/* Where paths part, r7 has what it has where they meet. */
static void level(struct fn *f)
{
	if (f->room != 64)
		direct(f);
}

/* Gives every register of @want a number that has none. */
static void restore(struct fn *f, uint16_t want)
{
	uint8_t r;

	for (r = 0; r < 10; r++)
		if (want & ~f->init & 1 << r)
			mov(f->g, r, number(f->g));
	f->init = want;
	level(f);
}

static uint8_t pick(struct fn *f, uint16_t from)
{
	uint32_t n = below(f->g, (uint32_t)__builtin_popcount(from));

	while (n--)
		from &= (uint16_t)(from - 1);
	return (uint8_t)__builtin_ctz(from);
}

static uint8_t source(struct fn *f)
{
	return pick(f, f->init & POOL);
}

/* A register to write: with @old, one that has a number already. */
static uint8_t target(struct fn *f, bool old)
{
	uint16_t from = (old ? f->init : 0x3f | 1 << 8 | 1 << 9) & POOL;

	if (f->loop)
		from &= (uint16_t) ~(1 << 9);
	return pick(f, from);
}

static const struct skep_insn_info *row(struct gen *g, uint32_t kinds)
{
	const struct skep_insn_info *r;

	do
		r = &skep_insn_table[below(g, SKEP_OP_MAX)];
	while (!(kinds & 1u << r->kind) || r->group == SKEP_GROUP_KERNEL);
	return r;
}

static int32_t operand(struct fn *f, const struct skep_insn_info *r)
{
	uint8_t op = r->code & 0xf0;
	int32_t imm = number(f->g);

	if (r->imm != SKEP_F_ANY)
		return r->imm;
	if (r->kind == SKEP_KIND_ALU && (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH))
		return imm & (r->width - 1);
	if (r->kind == SKEP_KIND_ALU && (op == BPF_DIV || op == BPF_MOD) && !imm)
		return 3;
	return imm;
}

static void alu(struct fn *f)
{
	const struct skep_insn_info *r = row(f->g, 1 << SKEP_KIND_ALU);
	uint8_t dst = target(f, r->dst != SKEP_F_WRITE);

	put(f->g, r->code, dst, r->src == SKEP_F_READ ? source(f) : (uint8_t)r->src,
	    (int16_t)r->off, operand(f, r));
	f->init |= (uint16_t)(1 << dst);
}

/* An address with room for @len bytes, as register and offset; r1 is lost if it varies. */
static uint8_t place(struct fn *f, uint32_t len, bool aligned, int16_t *off)
{
	struct gen *g = f->g;
	uint32_t kind = below(g, 8 - 3 * f->bare) + 3 * f->bare, room = kind < 3 ? STACK
									: kind < 5 && f->ctx
										? GEN_CTX
										: f->room;
	uint8_t base = kind < 3 ? 10 : kind < 5 && f->ctx ? 6 : 7;
	uint32_t at = below(g, room - len + 1);

	/* The kernel takes unaligned accesses of map values only. */
	if (aligned || (base != 7 && !g->unaligned) || below(g, 2))
		at &= ~(len - 1);
	*off = (int16_t)((int32_t)at - (base == 10 ? STACK : 0));
	if (base != 7 || kind != 7 || aligned || room < 16 || f->init == 1 << 1)
		return base;
	/* r1 = r7 + (a number & 7) */
	mov_x(g, 1, source(f));
	put(g, BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, 7);
	put(g, BPF_ALU64 | BPF_ADD | BPF_X, 1, 7, 0, 0);
	f->init &= (uint16_t) ~(1 << 1);
	*off = (int16_t)below(g, room - 7 - len + 1);
	return 1;
}

static void load(struct fn *f)
{
	const struct skep_insn_info *r = row(f->g, 1 << SKEP_KIND_LDX | 1 << SKEP_KIND_LDSX);
	int16_t off;
	uint8_t base = place(f, r->width / 8, false, &off), dst = target(f, false);

	put(f->g, r->code, dst, base, off, 0);
	f->init |= (uint16_t)(1 << dst);
}

static void store(struct fn *f)
{
	const struct skep_insn_info *r = row(f->g, 1 << SKEP_KIND_ST | 1 << SKEP_KIND_STX);
	int16_t off;
	uint8_t base = place(f, r->width / 8, false, &off);

	if (!(f->init & POOL))
		return;
	if (r->kind == SKEP_KIND_ST)
		put(f->g, r->code, base, 0, off, number(f->g));
	else
		put(f->g, r->code, base, source(f), off, 0);
}

static void atomic(struct fn *f)
{
	const struct skep_insn_info *r =
		row(f->g, 1 << SKEP_KIND_ATOMIC | 1 << SKEP_KIND_CMPXCHG | 1 << SKEP_KIND_LOAD_ACQ |
				  1 << SKEP_KIND_STORE_REL);
	bool was = f->ctx;
	uint8_t base, reg;
	int16_t off;

	f->ctx = false; /* the kernel has no atomics there */
	base = place(f, r->width / 8, true, &off);
	f->ctx = was;
	if (r->kind == SKEP_KIND_LOAD_ACQ) {
		reg = target(f, false);
		put(f->g, r->code, reg, base, off, r->imm);
		f->init |= (uint16_t)(1 << reg);
		return;
	}
	if (r->kind == SKEP_KIND_CMPXCHG && !(f->init & 1)) {
		mov(f->g, 0, number(f->g));
		f->init |= 1;
	}
	put(f->g, r->code, base, target(f, true), off, r->imm);
}

static void block(struct fn *f, uint32_t n);

static void patch(struct gen *g, uint32_t from)
{
	g->insns[from].off = (int16_t)(g->n - from - 1);
}

static void compare(struct fn *f)
{
	const struct skep_insn_info *r = row(f->g, 1 << SKEP_KIND_COND);
	const struct bpf_insn *last = &f->g->insns[f->g->n - 1];

	/* A result with 0: the processor knows already. */
	if (!below(f->g, 4) &&
	    (BPF_CLASS(last->code) == BPF_ALU64 || BPF_CLASS(last->code) == BPF_ALU) &&
	    f->init & POOL & 1 << last->dst_reg) {
		put(f->g,
		    (below(f->g, 2) ? BPF_JMP : BPF_JMP32) | (below(f->g, 2) ? BPF_JEQ : BPF_JNE) |
			    BPF_K,
		    last->dst_reg, 0, 0, 0);
		return;
	}

	put(f->g, r->code, source(f), r->src == SKEP_F_READ ? source(f) : 0, 0, operand(f, r));
}

static void branch(struct fn *f)
{
	uint16_t init = f->init;
	struct gen *g = f->g;
	uint32_t from, over;

	level(f);
	from = g->n;
	compare(f);
	block(f, 1 + below(g, 3));
	restore(f, init);
	if (below(g, 2)) {
		over = g->n;
		put(g, BPF_JMP | (below(g, 4) ? 0 : 1) | BPF_JA, 0, 0, 0, 0);
		patch(g, from);
		block(f, 1 + below(g, 3));
		restore(f, init);
		patch(g, over);
		if (g->insns[over].code == (BPF_JMP32 | BPF_JA)) {
			g->insns[over].imm = g->insns[over].off;
			g->insns[over].off = 0;
		}
	} else {
		patch(g, from);
	}
}

/* A way out of the loop, with code that is not part of it; the jump is returned. */
static uint32_t way_out(struct fn *f, uint16_t init)
{
	struct gen *g = f->g;
	uint32_t stay, out;

	stay = g->n;
	compare(f);
	block(f, 1 + below(g, 3));
	restore(f, init);
	out = g->n;
	put(g, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	patch(g, stay);
	return out;
}

static void loop(struct fn *f)
{
	struct gen *g = f->g;
	uint16_t init;
	uint32_t head, enter = 0, out = 0;

	if (f->loop)
		return;
	mov(g, 9, 1 + (int32_t)below(g, 6));
	f->init |= 1 << 9;
	init = f->init;
	f->loop = true;
	level(f);
	if (!below(g, 3)) { /* at its end */
		add(g, 9, 1);
		enter = g->n;
		put(g, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	}
	head = g->n;
	block(f, 1 + below(g, 5));
	restore(f, init);
	if (below(g, 2)) {
		out = way_out(f, init);
		block(f, 1 + below(g, 2));
		restore(f, init);
	}
	if (enter)
		patch(g, enter);
	add(g, 9, -1);
	put(g, BPF_JMP | BPF_JNE | BPF_K, 9, 0, (int16_t)((int32_t)head - (int32_t)g->n - 1), 0);
	if (out)
		patch(g, out);
	f->loop = false;
}

/* r1 = map, r2 = address of a key. */
static void key(struct fn *f, int map)
{
	static const uint8_t keys[GEN_MAPS] = {2, 6, GEN_KEYS, 3};
	struct gen *g = f->g;

	if (f->init & POOL && below(g, 2)) {
		mov_x(g, 1, source(f));
		put(g, BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, map == MAP_HASH ? GEN_KEYS - 1 : 7);
		put(g, BPF_STX | BPF_MEM | BPF_W, 10, 1, KEY, 0);
	} else {
		put(g, BPF_ST | BPF_MEM | BPF_W, 10, 0, KEY, (int32_t)below(g, keys[map]));
	}
	put_wide(g, 1, BPF_PSEUDO_MAP_FD, map, 0);
	mov_x(g, 2, 10);
	add(g, 2, KEY);
}

static void called(struct fn *f)
{
	f->init = (uint16_t)((f->init & ~0x3f) | 1);
}

static void lookup(struct fn *f)
{
	struct gen *g = f->g;
	int map = (int)below(g, GEN_MAPS);
	uint16_t init;
	uint32_t from;

	if (f->bare)
		return;
	direct(f);
	key(f, map);
	put(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	called(f);
	f->init &= 0x3fe;
	init = f->init;
	from = g->n;
	put(g, BPF_JMP | (below(g, 2) ? BPF_JEQ : BPF_JNE) | BPF_K, 0, 0, 0, 0);
	if (g->insns[from].code == (BPF_JMP | BPF_JNE | BPF_K)) {
		g->insns[from].off = 1; /* over a jump to the end */
		from = g->n;
		put(g, BPF_JMP | BPF_JA, 0, 0, 0, 0);
	}
	mov_x(g, 7, 0);
	f->room = (uint8_t)gen_maps[map].value_size;
	mov(g, 0, number(g));
	f->init |= 1;
	f->hash = map == MAP_HASH;
	block(f, 1 + below(g, 3));
	f->hash = false;
	restore(f, init);
	direct(f);
	patch(g, from);
	mov(g, 0, number(g));
	f->init |= 1;
}

static void update(struct fn *f)
{
	struct gen *g = f->g;
	int map = (int)below(g, GEN_MAPS);

	if (f->hash || f->bare)
		return;
	key(f, map);
	if (map == MAP_HASH && !below(g, 4)) {
		put(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_delete_elem);
	} else {
		mov_x(g, 3, 10);
		add(g, 3, -STACK);
		mov(g, 4, (int32_t)below(g, 3));
		put(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_update_elem);
	}
	called(f);
}

static void call(struct fn *f)
{
	struct gen *g = f->g;
	uint8_t r;

	if (f->bare || !f->ctx || f->index >= f->nr - 1 || f->loop || f->hash)
		return;
	for (r = 2; r < 6; r++)
		if (!(f->init & 1 << r))
			mov(g, r, number(g));
	mov_x(g, 1, 6);
	/* The immediate becomes a distance when all functions are there. */
	put(g, BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, f->index + 1);
	called(f);
}

/* bpf_loop() and bpf_for_each_map_elem() with the last function. */
static void callback(struct fn *f)
{
	struct gen *g = f->g;
	bool each = g->nr_funcs & 8;

	if (f->bare || !f->ctx || f->loop || f->depth > 1 || f->hash)
		return;
	if (each)
		put_wide(g, 1, BPF_PSEUDO_MAP_FD, MAP_ARRAY, 0);
	else
		mov(g, 1, (int32_t)below(g, 9));
	put_wide(g, 2, BPF_PSEUDO_FUNC, f->nr, 0);
	mov_x(g, 3, 10);
	add(g, 3, -STACK);
	mov(g, 4, 0);
	put(g, BPF_JMP | BPF_CALL, 0, 0, 0, each ? BPF_FUNC_for_each_map_elem : BPF_FUNC_loop);
	called(f);
}

/* bpf_tail_call() of a program that is there, or not. */
static void jump_away(struct fn *f)
{
	struct gen *g = f->g;

	if (!g->tails || f->bare || !f->ctx || f->loop)
		return;
	mov_x(g, 1, 6);
	put_wide(g, 2, BPF_PSEUDO_MAP_FD, MAP_PROGS, 0);
	mov(g, 3, (int32_t)below(g, 4));
	put(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_tail_call);
	called(f);
}

static void wide(struct fn *f)
{
	uint8_t dst = target(f, false);

	put_wide(f->g, dst, 0, number(f->g), number(f->g));
	f->init |= (uint16_t)(1 << dst);
}

/* A load or store of 1 to 8 bytes at @base + @off. */
static void access(struct fn *f, uint8_t base, int16_t off, uint32_t log)
{
	static const uint8_t size[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	struct gen *g = f->g;
	uint8_t dst;

	switch (below(g, 4)) {
	case 0: put(g, BPF_ST | BPF_MEM | size[log], base, 0, off, number(g)); break;
	case 1: put(g, BPF_STX | BPF_MEM | size[log], base, source(f), off, 0); break;
	default:
		dst = target(f, true);
		put(g, BPF_LDX | BPF_MEM | size[log], dst, base, off, 0);
		if (below(g, 2))
			alu(f);
	}
}

/* r1 = r7 + (a number below 8, masked or compared) << shift: the parts of an address. */
static void indexed(struct fn *f)
{
	struct gen *g = f->g;
	bool apart = below(g, 2); /* the sum is in r2, r1 stays the index */
	uint32_t shift = below(g, 3), log = below(g, 4), from = 0, n;
	uint8_t w = below(g, 2) ? BPF_ALU64 : BPF_ALU;
	bool compared = below(g, 2);
	uint16_t init;

	if (f->room < 64 || !(f->init & 0x13d))
		return;
	put(g, w | BPF_MOV | BPF_X, 1, f->loop && below(g, 2) ? 9 : source(f), 0, 0);
	f->init &= (uint16_t) ~(1 << 1);
	if (apart)
		f->init &= (uint16_t) ~(1 << 2);
	if (!(f->init & 0x13d)) {
		mov(g, 8, number(g));
		f->init |= 1 << 8;
	}
	init = f->init;
	if (compared) {
		from = g->n;
		put(g, BPF_JMP | (below(g, 2) ? BPF_JGT : BPF_JGE) | BPF_K, 1, 0, 0, 7);
	} else {
		put(g, (below(g, 2) ? BPF_ALU64 : BPF_ALU) | BPF_AND | BPF_K, 1, 0, 0, 7);
	}
	if (shift || below(g, 2))
		put(g, BPF_ALU64 | BPF_LSH | BPF_K, 1, 0, 0, (int32_t)shift);
	if (apart) {
		mov_x(g, 2, 7);
		put(g, BPF_ALU64 | BPF_ADD | BPF_X, 2, 1, 0, 0);
	} else {
		put(g, BPF_ALU64 | BPF_ADD | BPF_X, 1, 7, 0, 0);
	}
	if (below(g, 3) == 0)
		add(g, apart ? 2 : 1, 8);
	if (apart && below(g, 2)) { /* whether the index is read again or not */
		f->init |= 1 << 1;
		init |= 1 << 1;
	}
	for (n = 1 + below(g, 3); n-- && !(f->init & (apart ? 4 : 2));)
		access(f, apart ? 2 : 1, (int16_t)below(g, 64 - 8 - 28 - (1 << log) + 1), log);
	if (compared)
		patch(g, from);
	f->init &= init; /* what is a number on both ways */
}

/* Neighbours: accesses of one place by one address, in some order. */
static void neighbours(struct fn *f)
{
	struct gen *g = f->g;
	uint32_t n = 2 + below(g, 4), log;
	uint8_t base = f->bare || below(g, 3) ? 7 : 10;

	if (f->room < 64 || !(f->init & 0x13d))
		return;
	if (below(g, 2)) {
		mov_x(g, 1, base);
		add(g, 1, base == 10 ? -STACK : 0);
		f->init &= (uint16_t) ~(1 << 1);
		base = 1;
	}
	while (n--) {
		log = base == 7 ? below(g, 4) : 3;
		access(f, base, (int16_t)((int32_t)below(g, 8) * 8 - (base == 10 ? STACK : 0)),
		       log);
		if (f->init & 2 && base == 1)
			return;
	}
}

/* x << n | x >> width - n, in other registers than x. */
static void rotation(struct fn *f, uint8_t w, int32_t bits, int32_t by)
{
	struct gen *g = f->g;
	uint8_t x = source(f), a = target(f, false), b = target(f, false);
	bool first = below(g, 2);

	put(g, (below(g, 2) ? BPF_ALU64 : w) | BPF_MOV | BPF_X, a, x, 0, 0);
	f->init |= (uint16_t)(1 << a);
	put(g, w | (first ? BPF_LSH : BPF_RSH) | BPF_K, a, 0, 0, by);
	if (!below(g, 3))
		alu(f);
	put(g, (below(g, 2) ? BPF_ALU64 : w) | BPF_MOV | BPF_X, b, x, 0, 0);
	f->init |= (uint16_t)(1 << b);
	put(g, w | (first ? BPF_RSH : BPF_LSH) | BPF_K, b, 0, 0, bits - by);
	put(g, w | BPF_OR | BPF_X, a, b, 0, 0);
}

/* What the JIT's passes look for. */
static void idiom(struct fn *f)
{
	struct gen *g = f->g;
	uint8_t a = target(f, true), b = target(f, true), w = below(g, 2) ? BPF_ALU64 : BPF_ALU;
	int32_t bits = w == BPF_ALU64 ? 64 : 32, by = 1 + (int32_t)below(g, (uint32_t)bits - 1);

	switch (below(g, 8)) {
	case 3:
	case 4: indexed(f); break;
	case 5:
	case 6: neighbours(f); break;
	case 7: rotation(f, w, bits, by); break;
	case 0:
		put(g, w | BPF_MOV | BPF_X, a, b, 0, 0);
		put(g, w | BPF_LSH | BPF_K, below(g, 2) ? a : b, 0, 0, by);
		put(g, w | BPF_RSH | BPF_K, g->insns[g->n - 1].dst_reg == a ? b : a, 0, 0,
		    bits - by);
		put(g, w | BPF_OR | BPF_X, a, b, 0, 0);
		if (below(g, 2))
			mov(g, b, number(g));
		break;
	case 1:
		mov_x(g, a, b);
		put(g, BPF_ALU64 | BPF_LSH | BPF_K, a, 0, 0, 32);
		put(g, BPF_ALU64 | (below(g, 2) ? BPF_ARSH : BPF_RSH) | BPF_K, a, 0, 0, 32);
		break;
	case 2:
		mov_x(g, a, b);
		put(g, BPF_ALU64 | (below(g, 2) ? BPF_ADD : BPF_SUB) | BPF_K, a, 0, 0, number(g));
		mov_x(g, b, a);
		put(g, BPF_ALU64 | BPF_ADD | BPF_X, b, source(f), 0, 0);
		break;
	}
}

static void block(struct fn *f, uint32_t n)
{
	f->depth++;
	while (n-- && f->g->n < GEN_MAX - 300) {
		uint32_t what = below(f->g, 44);

		if (!(f->init & 0x13f)) {
			mov(f->g, 8, number(f->g));
			f->init |= 1 << 8;
		}
		if (what < 14 || f->depth > 4)
			alu(f);
		else if (what < 20)
			load(f);
		else if (what < 25)
			store(f);
		else if (what < 28)
			atomic(f);
		else if (what < 32)
			branch(f);
		else if (what < 33)
			loop(f);
		else if (what < 34 && !f->hash)
			lookup(f);
		else if (what < 35)
			update(f);
		else if (what < 36)
			call(f);
		else if (what < 37)
			callback(f);
		else if (what < 38)
			wide(f);
		else if (what < 39 && f->g->tails)
			jump_away(f);
		else
			idiom(f);
	}
	f->depth--;
}

/* Numbers from everywhere, so that the result depends on everything. */
static void fold(struct fn *f, uint8_t into)
{
	uint8_t r;

	restore(f, f->init | (uint16_t)(1 << into));
	for (r = 0; r < 10; r++) {
		if (!(f->init & POOL & 1 << r) || r == into)
			continue;
		put(f->g, BPF_ALU64 | BPF_MUL | BPF_K, into, 0, 0, 1000003);
		put(f->g, BPF_ALU64 | BPF_XOR | BPF_X, into, r, 0, 0);
	}
}

static void function(struct gen *g, int index, int nr, bool cb)
{
	struct fn f = {.g = g, .ctx = !cb, .index = index, .nr = nr, .room = 0};
	int at;

	f.bare = (cb || (index && index + 1 == nr)) && below(g, 2);

	if (cb) {
		mov_x(g, 7, g->nr_funcs & 8 ? 3 : 2);
		f.room = g->nr_funcs & 8 ? 32 : STACK;
		f.init = g->nr_funcs & 8 ? 0 : 2;
	} else {
		mov_x(g, 6, 1);
		direct(&f);
		f.init = index ? 0x3c : 0;
	}
	for (at = -STACK; at < 0 && !f.bare; at += 8)
		put(g, BPF_ST | BPF_MEM | BPF_DW, 10, 0, (int16_t)at, number(g));
	if (!f.init || below(g, 2)) {
		put(g, BPF_LDX | BPF_MEM | BPF_DW, 8, f.ctx ? 6 : 7, 0, 0);
		f.init |= 1 << 8;
	}
	block(&f, cb ? 3 : below(g, 4) ? 1 + below(g, 3) : 3 + below(g, 9));
	if (!cb && index + 1 < nr) /* the kernel wants all functions called */
		call(&f);
	fold(&f, 0);
	if (cb)
		put(g, BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0, 1);
	if (index == 0 && !cb)
		put(g, BPF_STX | BPF_MEM | BPF_DW, 6, 0, GEN_CTX, 0);
	if (index == 0 && !cb)
		mov(g, 0, 0);
	put(g, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* Function numbers become distances.  False: one is called that is not there. */
static void link_calls(struct gen *g)
{
	uint32_t i;

	for (i = 0; i < g->n; i++) {
		struct bpf_insn *in = &g->insns[i];
		bool wide_one = in->code == (BPF_LD | BPF_IMM | BPF_DW);

		if ((in->code == (BPF_JMP | BPF_CALL) && in->src_reg == BPF_PSEUDO_CALL) ||
		    (wide_one && in->src_reg == BPF_PSEUDO_FUNC))
			in->imm = (int32_t)g->funcs[in->imm] - (int32_t)i - 1;
		i += wide_one;
	}
}

static bool uses_callback(const struct gen *g)
{
	uint32_t i;

	for (i = 0; i < g->n; i++)
		if (g->insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) &&
		    g->insns[i].src_reg == BPF_PSEUDO_FUNC)
			return true;
	return false;
}

void gen_program(struct gen *g)
{
	int i, nr = below(g, 3) ? 1 : 1 + (int)below(g, 3);

	g->n = 0;
	g->leaks = false;
	g->unaligned = !below(g, 8);
	g->nr_funcs = below(g, 2) ? 8 : 0; /* which callback */
	for (i = 0; i < nr; i++) {
		g->funcs[i] = g->n;
		function(g, i, nr, false);
		/* A function that nobody calls is no program to the kernel. */
		if (i + 1 < nr && g->n > GEN_MAX - 200)
			nr = i + 1;
	}
	g->funcs[nr] = g->n;
	if (uses_callback(g)) {
		function(g, nr, nr, true);
		nr++;
	}
	link_calls(g);
	g->nr_funcs = (uint32_t)nr;
}

/* Calls of helpers whose results are the same every time. */
static int32_t hostile_helper(struct gen *g)
{
	static const int32_t ids[] = {
		BPF_FUNC_map_lookup_elem,
		BPF_FUNC_map_update_elem,
		BPF_FUNC_map_delete_elem,
		BPF_FUNC_loop,
		BPF_FUNC_for_each_map_elem,
		BPF_FUNC_tail_call,
		BPF_FUNC_strtol,
		BPF_FUNC_csum_diff,
		BPF_FUNC_get_current_pid_tgid,
		BPF_FUNC_get_smp_processor_id,
		BPF_FUNC_get_attach_cookie,
		BPF_FUNC_get_func_arg_cnt,
		BPF_FUNC_strncmp,
		BPF_FUNC_map_push_elem,
	};

	return ids[below(g, sizeof(ids) / sizeof(ids[0]))];
}

/* A program that nearly is one. */
static void gen_mutant(struct gen *g)
{
	uint32_t n = 1 + below(g, 4), i;

	gen_program(g);
	g->leaks = true;
	while (n--) {
		struct bpf_insn *in = &g->insns[i = below(g, g->n)];

		if (in->code == 0 || BPF_CLASS(in->code) == BPF_LD || (in->code & 0xf7) == 0x85)
			continue;
		switch (below(g, 4)) {
		case 0: in->dst_reg = below(g, 10) & 15; break;
		case 1: in->imm = in->imm ? number(g) : 0; break;
		case 2:
			if (BPF_CLASS(in->code) <= BPF_STX)
				in->off = (int16_t)(in->off + (int32_t)below(g, 128) - 64);
			break;
		case 3:
			if (in->src_reg)
				in->src_reg = below(g, 11) & 15;
			break;
		}
	}
}

/* Calls a helper on a map found in a map, or nearly so.  How many instructions that takes. */
static uint32_t gen_inner(struct gen *g)
{
	g->n = 0;
	put(g, BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, (int32_t)below(g, 3));
	put_wide(g, 1, BPF_PSEUDO_MAP_FD, below(g, 8) ? MAP_OUTER : (int32_t)below(g, GEN_HOSTILE),
		 0);
	put(g, BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	put(g, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8);
	put(g, BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	put(g, BPF_ALU64 | BPF_MOV | BPF_X, 6, 0, 0, 0);
	put(g, BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0);
	if (!below(g, 4))
		put(g, BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, number(g));
	put(g, BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	put(g, BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8);
	put(g, BPF_ALU64 | BPF_MOV | BPF_X, 3, 10, 0, 0);
	put(g, BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -(int32_t)below(g, 5) * 8);
	put(g, BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, (int32_t)below(g, 3));
	put(g, BPF_JMP | BPF_CALL, 0, 0, 0,
	    below(g, 2) ? BPF_FUNC_map_lookup_elem : hostile_helper(g));
	return g->n;
}

void gen_hostile(struct gen *g)
{
	uint32_t n = 4 + below(g, 60), i;

	if (below(g, 2)) {
		gen_mutant(g);
		return;
	}
	g->nr_funcs = 1;
	g->leaks = true;
	i = below(g, 2) ? 0 : gen_inner(g);
	n += i;
	for (; i < n; i++) {
		const struct skep_insn_info *r = &skep_insn_table[below(g, SKEP_OP_MAX)];
		struct bpf_insn *in = &g->insns[i];

		*in = (struct bpf_insn){.code = r->code};
		in->dst_reg = r->dst >= SKEP_F_READ ? below(g, r->dst == SKEP_F_READ ? 11 : 10) & 15
						    : r->dst & 15;
		in->src_reg = r->src >= SKEP_F_READ ? below(g, r->src == SKEP_F_READ ? 11 : 10) & 15
						    : r->src & 15;
		in->off = r->off == SKEP_F_ANY
				  ? (int16_t)(below(g, 4) ? -(int32_t)below(g, 80) : number(g))
			  : r->off == SKEP_F_JUMP ? (int16_t)(below(g, n + 1) - i - 1)
						  : (int16_t)r->off;
		in->imm = r->imm == SKEP_F_ANY	  ? number(g)
			  : r->imm == SKEP_F_JUMP ? (int32_t)(below(g, n + 1) - i - 1)
						  : r->imm;
		if (r->kind == SKEP_KIND_CALL)
			in->imm = hostile_helper(g);
		if (r->kind == SKEP_KIND_LDX && !below(g, 3))
			in->src_reg = 1;
		if (r->kind != SKEP_KIND_LDDW)
			continue;
		if (i + 1 == n) {
			*in = (struct bpf_insn){.code = BPF_JMP | BPF_JA};
			break;
		}
		if (in->src_reg && in->src_reg != BPF_PSEUDO_FUNC)
			in->imm = (int32_t)below(g, GEN_HOSTILE);
		g->insns[++i] = (struct bpf_insn){.imm = in->src_reg ? 0 : number(g)};
	}
	g->insns[n] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	g->n = n + 1;
}

void gen_world(struct gen *g, struct world *w)
{
	uint8_t *p = (uint8_t *)w;
	size_t i;

	memset(w, 0, sizeof(*w));
	for (i = 0; i < offsetof(struct world, hash); i += 4) {
		int32_t v = number(g);

		memcpy(p + i, &v, 4);
	}
	for (i = 0; i < GEN_KEYS; i += 3)
		w->hash[i].there = 1;
	memset(w->ctx + GEN_CTX, 0, 8);
}
