/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The JIT's passes, one at a time: a program that the pass is for gets shorter
 * by it, or another, one that only looks like it does not, and both compute what
 * the interpreter computes, for several inputs.  Random programs are tests/run/diff's.
 */
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jit/jit.h"
#include "map/map.h"
#include "tap.h"
#include "vm/vm.h"

#define ALU64(op, dst, src) \
	{ \
		BPF_ALU64 | (op) | BPF_X, (dst), (src), 0, 0 \
	}
#define ALU64_K(op, dst, imm) \
	{ \
		BPF_ALU64 | (op) | BPF_K, (dst), 0, 0, (imm) \
	}
#define ALU32(op, dst, src) \
	{ \
		BPF_ALU | (op) | BPF_X, (dst), (src), 0, 0 \
	}
#define ALU32_K(op, dst, imm) \
	{ \
		BPF_ALU | (op) | BPF_K, (dst), 0, 0, (imm) \
	}
#define LOAD(size, dst, src, off) \
	{ \
		BPF_LDX | BPF_MEM | (size), (dst), (src), (off), 0 \
	}
#define STORE(size, dst, off, src) \
	{ \
		BPF_STX | BPF_MEM | (size), (dst), (src), (off), 0 \
	}
#define JUMP_K(op, dst, imm, off) \
	{ \
		BPF_JMP | (op) | BPF_K, (dst), 0, (off), (imm) \
	}
#define VALUE(dst) \
	{BPF_LD | BPF_IMM | BPF_DW, (dst), BPF_PSEUDO_MAP_IDX_VALUE, 0, 0}, \
	{ \
		0, 0, 0, 0, 0 \
	}
#define MAP(dst) \
	{BPF_LD | BPF_IMM | BPF_DW, (dst), BPF_PSEUDO_MAP_IDX, 0, 0}, \
	{ \
		0, 0, 0, 0, 0 \
	}
#define FUNC(dst, n) \
	{BPF_LD | BPF_IMM | BPF_DW, (dst), BPF_PSEUDO_FUNC, 0, (n)}, \
	{ \
		0, 0, 0, 0, 0 \
	}
#define CALL(n) \
	{ \
		BPF_JMP | BPF_CALL, 0, 0, 0, (n) \
	}
#define EXIT \
	{ \
		BPF_JMP | BPF_EXIT, 0, 0, 0, 0 \
	}

#define BOUND (SKEP_JIT_PASS_BOUND | SKEP_JIT_PASS_PROVE)

struct test {
	const char *name;
	unsigned int pass;
	bool checked;
	enum { SAME, SHORTER, OTHER } code;
	struct bpf_insn insns[24]; /* up to the last EXIT */
};

/* r1 is a context of eight 64-bit numbers; the map is an array of one value of 64 bytes. */
static const struct test tests[] = {
	{"move and add",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 0), ALU64(BPF_MOV, 0, 2), ALU64_K(BPF_ADD, 0, 5), ALU64(BPF_MUL, 0, 2),
	  EXIT}},
	{"move and add of another",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 0), ALU64(BPF_MOV, 0, 2), ALU64_K(BPF_ADD, 2, 5), ALU64(BPF_MUL, 0, 2),
	  EXIT}},
	{"shifts that extend",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 8), ALU64_K(BPF_LSH, 0, 32), ALU64_K(BPF_ARSH, 0, 32), EXIT}},
	{"shifts that extend bytes",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 8), ALU32(BPF_MOV, 0, 2), ALU64_K(BPF_LSH, 0, 56),
	  ALU64_K(BPF_ARSH, 0, 56), ALU64(BPF_MOV, 3, 2), ALU32_K(BPF_LSH, 3, 24),
	  ALU32_K(BPF_ARSH, 3, 24), ALU64(BPF_ADD, 0, 3), ALU32_K(BPF_LSH, 2, 16),
	  ALU32_K(BPF_RSH, 2, 16), ALU64(BPF_MUL, 0, 2), EXIT}},
	{"shifts of which one goes further",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 8), ALU64_K(BPF_LSH, 0, 56), ALU64_K(BPF_ARSH, 0, 48),
	  ALU64_K(BPF_LSH, 0, 24), ALU64_K(BPF_ARSH, 0, 24), ALU32_K(BPF_LSH, 0, 24),
	  ALU64_K(BPF_RSH, 0, 24), EXIT}},
	{"rotation by two copies",
	 SKEP_JIT_PASS_ROTATE | SKEP_JIT_PASS_DEAD,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 8), ALU32(BPF_MOV, 3, 2), ALU32_K(BPF_RSH, 3, 28),
	  ALU32(BPF_MOV, 0, 2), ALU32_K(BPF_LSH, 0, 4), ALU32(BPF_OR, 0, 3), ALU64(BPF_ADD, 0, 2),
	  EXIT}},
	{"shifts that are no rotation",
	 SKEP_JIT_PASS_ROTATE | SKEP_JIT_PASS_DEAD,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 8), ALU32(BPF_MOV, 3, 2), ALU32_K(BPF_RSH, 3, 27),
	  ALU32(BPF_MOV, 0, 2), ALU32_K(BPF_LSH, 0, 4), ALU32(BPF_OR, 0, 3), ALU64(BPF_ADD, 0, 2),
	  EXIT}},
	{"rotation of a value that changed",
	 SKEP_JIT_PASS_ROTATE | SKEP_JIT_PASS_DEAD,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 8), ALU64(BPF_MOV, 3, 2), ALU64_K(BPF_RSH, 3, 60),
	  ALU64_K(BPF_ADD, 2, 1), ALU64(BPF_MOV, 0, 2), ALU64_K(BPF_LSH, 0, 4), ALU64(BPF_OR, 0, 3),
	  EXIT}},
	{"constants",
	 SKEP_JIT_PASS_CONST | SKEP_JIT_PASS_DEAD,
	 false,
	 SHORTER,
	 {ALU64_K(BPF_MOV, 2, 77), ALU64_K(BPF_MOV, 3, -5), ALU64(BPF_MUL, 2, 3),
	  ALU64_K(BPF_RSH, 2, 7), ALU32(BPF_XOR, 2, 3), LOAD(BPF_DW, 0, 1, 0), ALU64(BPF_ADD, 0, 2),
	  EXIT}},
	{"a constant where two ways meet",
	 SKEP_JIT_PASS_CONST,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_MOV, 2, 3), JUMP_K(BPF_JSGT, 0, 5, 1),
	  ALU64_K(BPF_MOV, 2, 3), JUMP_K(BPF_JEQ, 2, 3, 1), ALU64_K(BPF_MUL, 0, 77), EXIT}},
	{"two constants where two ways meet",
	 SKEP_JIT_PASS_CONST,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_MOV, 2, 3), JUMP_K(BPF_JSGT, 0, 5, 1),
	  ALU64_K(BPF_MOV, 2, 4), JUMP_K(BPF_JEQ, 2, 3, 1), ALU64_K(BPF_MUL, 0, 77), EXIT}},
	{"a constant that a loop keeps",
	 SKEP_JIT_PASS_CONST,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_MOV, 2, 3), ALU64_K(BPF_MOV, 3, 9),
	  ALU64(BPF_ADD, 0, 3), JUMP_K(BPF_JNE, 2, 3, 2), ALU64_K(BPF_ADD, 3, -1),
	  JUMP_K(BPF_JNE, 3, 0, -4), EXIT}},
	{"a constant that a loop changes",
	 SKEP_JIT_PASS_CONST,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_MOV, 2, 3), ALU64_K(BPF_MOV, 3, 9),
	  ALU64(BPF_ADD, 0, 3), JUMP_K(BPF_JSGT, 2, 7, 3), ALU64_K(BPF_ADD, 2, 1),
	  ALU64_K(BPF_ADD, 3, -1), JUMP_K(BPF_JNE, 3, 0, -5), EXIT}},
	{"what a comparison says of a register",
	 SKEP_JIT_PASS_CONST | SKEP_JIT_PASS_DEAD,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 2, 1, 16), JUMP_K(BPF_JNE, 2, 7, 3),
	  ALU64_K(BPF_MUL, 2, 1000), ALU64_K(BPF_RSH, 2, 2), ALU64(BPF_ADD, 0, 2), EXIT}},
	{"results that nobody reads",
	 SKEP_JIT_PASS_DEAD,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64(BPF_MOV, 3, 0), ALU64_K(BPF_MUL, 3, 77),
	  ALU64(BPF_ADD, 3, 0), EXIT}},
	{"results that are read",
	 SKEP_JIT_PASS_DEAD,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64(BPF_MOV, 3, 0), ALU64_K(BPF_MUL, 3, 77),
	  ALU64(BPF_ADD, 0, 3), EXIT}},
	{"address with index",
	 SKEP_JIT_PASS_ADDRESS | SKEP_JIT_PASS_DEAD,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 7), ALU64(BPF_MOV, 3, 2),
	  ALU64_K(BPF_LSH, 3, 3), ALU64(BPF_ADD, 3, 1), LOAD(BPF_DW, 0, 3, 0), EXIT}},
	{"address whose index changed",
	 SKEP_JIT_PASS_ADDRESS | SKEP_JIT_PASS_DEAD,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 7), ALU64(BPF_MOV, 3, 2),
	  ALU64_K(BPF_LSH, 3, 3), ALU64(BPF_ADD, 3, 1), ALU64_K(BPF_MUL, 2, 3),
	  ALU64_K(BPF_MUL, 1, 0), LOAD(BPF_DW, 0, 3, 0), ALU64(BPF_ADD, 0, 2), ALU64(BPF_ADD, 0, 1),
	  EXIT}},
	{"index that is shifted for addresses only",
	 SKEP_JIT_PASS_ADDRESS | SKEP_JIT_PASS_DEAD,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 3), ALU64_K(BPF_LSH, 2, 3),
	  ALU64(BPF_MOV, 3, 1), ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0), LOAD(BPF_DW, 4, 3, 8),
	  STORE(BPF_DW, 3, 16, 4), EXIT}},
	{"index that is shifted for more than addresses",
	 SKEP_JIT_PASS_ADDRESS | SKEP_JIT_PASS_DEAD,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 3), ALU64_K(BPF_LSH, 2, 3),
	  ALU64(BPF_MOV, 3, 1), ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0), ALU64(BPF_ADD, 0, 2),
	  EXIT}},
	{"index that is shifted and stored",
	 SKEP_JIT_PASS_ADDRESS | SKEP_JIT_PASS_DEAD,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 3), ALU64_K(BPF_LSH, 2, 1),
	  ALU64(BPF_MOV, 3, 1), ALU64(BPF_ADD, 3, 2), STORE(BPF_DW, 3, 0, 2), LOAD(BPF_DW, 0, 1, 0),
	  LOAD(BPF_DW, 2, 1, 8), ALU64(BPF_ADD, 0, 2), EXIT}},
	{"index that is shifted and used behind a jump",
	 SKEP_JIT_PASS_ADDRESS | SKEP_JIT_PASS_DEAD,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 3), ALU64_K(BPF_LSH, 2, 3),
	  ALU64(BPF_MOV, 3, 1), ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0),
	  JUMP_K(BPF_JSGT, 0, 0, 1), ALU64(BPF_ADD, 0, 2), EXIT}},
	{"index that is shifted and used where two ways meet",
	 SKEP_JIT_PASS_ADDRESS | SKEP_JIT_PASS_DEAD,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 3), LOAD(BPF_DW, 4, 1, 0),
	  ALU64_K(BPF_MOV, 0, 0), JUMP_K(BPF_JSGT, 4, 0, 4), ALU64_K(BPF_LSH, 2, 3),
	  ALU64(BPF_MOV, 3, 1), ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0), ALU64(BPF_ADD, 0, 2),
	  EXIT}},
	{"32-bit moves and additions, and masks",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 0), ALU32(BPF_MOV, 0, 2), ALU32_K(BPF_ADD, 0, -16),
	  ALU64(BPF_MOV, 3, 2), ALU32_K(BPF_SUB, 3, 5), ALU64(BPF_XOR, 0, 3), ALU32(BPF_MOV, 3, 2),
	  ALU32(BPF_ADD, 3, 0), ALU64(BPF_MOV, 4, 3), ALU64_K(BPF_AND, 4, 0xff),
	  ALU64(BPF_MOV, 5, 3), ALU32_K(BPF_AND, 5, 0xffff), ALU64(BPF_MUL, 4, 5),
	  ALU64(BPF_XOR, 0, 4), EXIT}},
	{"32-bit move and addition to itself",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 0), ALU32(BPF_MOV, 0, 2), ALU32(BPF_ADD, 0, 0), EXIT}},
	{"a result that is compared with 0",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 16),
	  ALU64_K(BPF_MOV, 2, 7),
	  ALU32_K(BPF_ADD, 0, 1),
	  {BPF_JMP32 | BPF_JNE | BPF_K, 0, 0, 1, 0},
	  ALU64_K(BPF_MOV, 2, 9),
	  ALU64(BPF_SUB, 0, 2),
	  JUMP_K(BPF_JEQ, 0, 0, 1),
	  ALU64(BPF_MUL, 0, 2),
	  EXIT}},
	{"a result that is compared with 0 where two ways meet",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 16), LOAD(BPF_DW, 2, 1, 0), JUMP_K(BPF_JSGT, 2, 0, 1),
	  ALU64_K(BPF_ADD, 0, 1), JUMP_K(BPF_JEQ, 0, 0, 1), ALU64_K(BPF_XOR, 0, 77), EXIT}},
	{"the same, with nothing to do where they meet",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 16),
	  LOAD(BPF_DW, 2, 1, 0),
	  JUMP_K(BPF_JSGT, 2, 0, 1),
	  ALU64_K(BPF_ADD, 0, 1),
	  {BPF_ALU | BPF_END | BPF_TO_LE, 0, 0, 0, 64},
	  JUMP_K(BPF_JEQ, 0, 0, 1),
	  ALU64_K(BPF_XOR, 0, 77),
	  EXIT}},
	{"a result whose other half is compared with 0",
	 SKEP_JIT_PASS_FUSE,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 16),
	  ALU64_K(BPF_MOV, 2, 7),
	  ALU64_K(BPF_ADD, 0, 1),
	  {BPF_JMP32 | BPF_JNE | BPF_K, 0, 0, 1, 0},
	  ALU64_K(BPF_MOV, 2, 9),
	  ALU64(BPF_MUL, 0, 2),
	  EXIT}},
	{"a loop with a way out in its middle",
	 SKEP_JIT_PASS_LAYOUT,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 16), ALU64_K(BPF_MOV, 2, 9), ALU64_K(BPF_ADD, 0, 3),
	  JUMP_K(BPF_JEQ, 2, 0, 1), JUMP_K(BPF_JA, 0, 0, 2), ALU64_K(BPF_XOR, 0, 5), EXIT,
	  ALU64_K(BPF_ADD, 2, -1), JUMP_K(BPF_JA, 0, 0, -7), EXIT}},
	{"a loop without",
	 SKEP_JIT_PASS_LAYOUT,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 16), ALU64_K(BPF_MOV, 2, 9), ALU64_K(BPF_ADD, 0, 3),
	  ALU64_K(BPF_ADD, 2, -1), JUMP_K(BPF_JNE, 2, 0, -3), EXIT}},
	{"a small loop, an even or odd number of times",
	 SKEP_JIT_PASS_UNROLL,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 15), ALU64_K(BPF_ADD, 2, 1),
	  LOAD(BPF_DW, 0, 1, 0), VALUE(3), LOAD(BPF_DW, 4, 3, 0), ALU64(BPF_ADD, 0, 4),
	  ALU64_K(BPF_XOR, 0, 0x55), STORE(BPF_DW, 3, 8, 0), ALU64_K(BPF_ADD, 2, -1),
	  JUMP_K(BPF_JNE, 2, 0, -6), ALU64_K(BPF_MUL, 0, 3), EXIT}},
	{"a small loop with another way out",
	 SKEP_JIT_PASS_UNROLL,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_MOV, 2, 9), ALU64_K(BPF_XOR, 0, 0x55),
	  JUMP_K(BPF_JSGT, 0, 0, 2), ALU64_K(BPF_ADD, 2, -1), JUMP_K(BPF_JNE, 2, 0, -4), EXIT}},
	{"a small loop that calls",
	 SKEP_JIT_PASS_UNROLL,
	 false,
	 SAME,
	 {ALU64_K(BPF_MOV, 6, 9), CALL(BPF_FUNC_get_numa_node_id), ALU64_K(BPF_ADD, 6, -1),
	  JUMP_K(BPF_JNE, 6, 0, -3), EXIT}},
	{"a small loop that is counted",
	 SKEP_JIT_PASS_UNROLL,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 0, 9), ALU64_K(BPF_ADD, 0, -1), JUMP_K(BPF_JNE, 0, 0, -2), EXIT}},
	{"one value or another",
	 SKEP_JIT_PASS_SELECT,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 0),
	  LOAD(BPF_DW, 0, 1, 8),
	  LOAD(BPF_DW, 3, 1, 16),
	  {BPF_JMP | BPF_JSGT | BPF_X, 0, 2, 2, 0},
	  ALU64(BPF_MOV, 0, 2),
	  ALU64_K(BPF_RSH, 0, 3),
	  ALU64(BPF_XOR, 0, 3),
	  EXIT}},
	{"1 or 0",
	 SKEP_JIT_PASS_SELECT,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_MOV, 0, 1), ALU64_K(BPF_MOV, 3, 0),
	  JUMP_K(BPF_JSGT, 2, 7, 1), ALU32_K(BPF_MOV, 0, 0), JUMP_K(BPF_JGT, 2, 56, 1),
	  ALU64_K(BPF_MOV, 3, 1), ALU64_K(BPF_LSH, 3, 1), ALU64(BPF_OR, 0, 3), EXIT}},
	{"1 or 0, and the comparison is of it",
	 SKEP_JIT_PASS_SELECT,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16),
	  ALU64_K(BPF_MOV, 0, 1),
	  {BPF_JMP | BPF_JGE | BPF_X, 2, 0, 1, 0},
	  ALU64_K(BPF_MOV, 0, 0),
	  EXIT}},
	{"1 or 0 or what it was",
	 SKEP_JIT_PASS_SELECT,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), LOAD(BPF_DW, 0, 1, 0), JUMP_K(BPF_JEQ, 2, 1, 1),
	  ALU64_K(BPF_MOV, 0, 1), JUMP_K(BPF_JEQ, 2, 7, 1), ALU64_K(BPF_MOV, 0, 0), EXIT}},
	{"a copy, or that shifted",
	 SKEP_JIT_PASS_SELECT,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64(BPF_MOV, 0, 2), JUMP_K(BPF_JGT, 2, 56, 1),
	  ALU64_K(BPF_RSH, 0, 3), ALU64(BPF_MOV, 3, 0), LOAD(BPF_DW, 4, 1, 0),
	  JUMP_K(BPF_JSGT, 4, 56, 2), ALU64_K(BPF_SUB, 3, 3), ALU64(BPF_XOR, 3, 0),
	  ALU64(BPF_ADD, 0, 3), EXIT}},
	{"a copy of what changes, or that shifted",
	 SKEP_JIT_PASS_SELECT,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64(BPF_MOV, 0, 2), ALU64_K(BPF_ADD, 2, 1),
	  JUMP_K(BPF_JGT, 2, 56, 1), ALU64_K(BPF_RSH, 0, 3), EXIT}},
	{"two results behind a jump",
	 SKEP_JIT_PASS_SELECT,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 0),
	  LOAD(BPF_DW, 0, 1, 8),
	  LOAD(BPF_DW, 3, 1, 16),
	  {BPF_JMP | BPF_JSGT | BPF_X, 0, 2, 2, 0},
	  ALU64(BPF_MOV, 0, 2),
	  ALU64(BPF_MOV, 3, 2),
	  ALU64(BPF_XOR, 0, 3),
	  EXIT}},
	{"masked index into a value",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 7), ALU64_K(BPF_LSH, 2, 3), VALUE(3),
	  ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0), STORE(BPF_DW, 3, 0, 2), EXIT}},
	{"index that may be too large",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_AND, 2, 15), ALU64_K(BPF_LSH, 2, 3), VALUE(3),
	  ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0), EXIT}},
	{"index of a loop",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SHORTER,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 0), VALUE(3), ALU64(BPF_ADD, 3, 2),
	  LOAD(BPF_W, 4, 3, 0), ALU64(BPF_ADD, 0, 4), ALU64_K(BPF_ADD, 2, 4),
	  JUMP_K(BPF_JNE, 2, 64, -7), EXIT}},
	{"index of a loop that goes too far",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 0), VALUE(3), ALU64(BPF_ADD, 3, 2),
	  LOAD(BPF_W, 4, 3, 0), ALU64(BPF_ADD, 0, 4), ALU64_K(BPF_ADD, 2, 4),
	  JUMP_K(BPF_JNE, 2, 68, -7), EXIT}},
	{"address that a loop carries along",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SHORTER,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 0), VALUE(3), LOAD(BPF_DW, 4, 3, 0),
	  ALU64(BPF_ADD, 0, 4), ALU64_K(BPF_ADD, 3, 8), ALU64_K(BPF_ADD, 2, 1),
	  JUMP_K(BPF_JNE, 2, 8, -5), EXIT}},
	{"address that a loop carries too far",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 0), VALUE(3), LOAD(BPF_DW, 4, 3, 0),
	  ALU64(BPF_ADD, 0, 4), ALU64_K(BPF_ADD, 3, 8), ALU64_K(BPF_ADD, 2, 1),
	  JUMP_K(BPF_JNE, 2, 9, -5), EXIT}},
	{"address beside a counter of odd steps",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SHORTER,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 0), VALUE(3), LOAD(BPF_DW, 4, 3, 0),
	  ALU64(BPF_ADD, 0, 4), ALU64_K(BPF_ADD, 3, 8), ALU64_K(BPF_ADD, 2, -77777),
	  JUMP_K(BPF_JNE, 2, -622216, -5), EXIT}},
	{"address beside a counter of odd steps, too far",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 0), VALUE(3), LOAD(BPF_DW, 4, 3, 0),
	  ALU64(BPF_ADD, 0, 4), ALU64_K(BPF_ADD, 3, 8), ALU64_K(BPF_ADD, 2, -77777),
	  JUMP_K(BPF_JNE, 2, -699993, -5), EXIT}},
	{"address that a loop sometimes carries along",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 0), VALUE(3), LOAD(BPF_DW, 4, 3, 0),
	  ALU64(BPF_ADD, 0, 4), JUMP_K(BPF_JSET, 4, 1, 1), ALU64_K(BPF_ADD, 3, 8),
	  ALU64_K(BPF_ADD, 2, 1), JUMP_K(BPF_JNE, 2, 8, -6), EXIT}},
	{"index that was compared",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_MOV, 0, 1), JUMP_K(BPF_JGT, 2, 56, 4), VALUE(3),
	  ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0), EXIT}},
	{"index that was compared with too much",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_MOV, 0, 1), JUMP_K(BPF_JGT, 2, 57, 4), VALUE(3),
	  ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0), EXIT}},
	{"index that was compared as signed",
	 SKEP_JIT_PASS_PROVE,
	 true,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 16), ALU64_K(BPF_MOV, 0, 1), JUMP_K(BPF_JSGT, 2, 56, 4), VALUE(3),
	  ALU64(BPF_ADD, 3, 2), LOAD(BPF_DW, 0, 3, 0), EXIT}},
	{"neighbours",
	 SKEP_JIT_PASS_GROUP,
	 true,
	 OTHER,
	 {LOAD(BPF_W, 0, 1, 8), LOAD(BPF_DW, 2, 1, 40), LOAD(BPF_B, 3, 1, 0), ALU64(BPF_ADD, 0, 2),
	  ALU64(BPF_ADD, 0, 3), EXIT}},
	{"no neighbours: the base changes",
	 SKEP_JIT_PASS_GROUP,
	 true,
	 SAME,
	 {LOAD(BPF_W, 0, 1, 8), ALU64_K(BPF_ADD, 1, 8), LOAD(BPF_DW, 2, 1, 40),
	  ALU64(BPF_ADD, 0, 2), EXIT}},
	{"neighbours that fail",
	 SKEP_JIT_PASS_GROUP,
	 true,
	 OTHER,
	 {LOAD(BPF_W, 0, 1, 8), LOAD(BPF_DW, 2, 1, 64), EXIT}},
	{"look-up in a known map",
	 SKEP_JIT_PASS_LOOKUP,
	 false,
	 SHORTER,
	 {{BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0},
	  MAP(1),
	  ALU64(BPF_MOV, 2, 10),
	  ALU64_K(BPF_ADD, 2, -4),
	  CALL(BPF_FUNC_map_lookup_elem),
	  JUMP_K(BPF_JEQ, 0, 0, 1),
	  LOAD(BPF_DW, 0, 0, 8),
	  EXIT}},
	{"look-up without proof",
	 SKEP_JIT_PASS_LOOKUP | SKEP_JIT_PASS_PROVE,
	 true,
	 SHORTER,
	 {{BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0},
	  MAP(1),
	  ALU64(BPF_MOV, 2, 10),
	  ALU64_K(BPF_ADD, 2, -4),
	  CALL(BPF_FUNC_map_lookup_elem),
	  JUMP_K(BPF_JEQ, 0, 0, 1),
	  LOAD(BPF_DW, 0, 0, 8),
	  EXIT}},
	{"look-up in an array without a call",
	 SKEP_JIT_PASS_LOOKUP | SKEP_JIT_PASS_INLINE,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 3, 1, 16), STORE(BPF_W, 10, -4, 3), MAP(1), ALU64(BPF_MOV, 2, 10),
	  ALU64_K(BPF_ADD, 2, -4), CALL(BPF_FUNC_map_lookup_elem), JUMP_K(BPF_JEQ, 0, 0, 1),
	  LOAD(BPF_DW, 0, 0, 8), EXIT}},
	{"the same without proof",
	 SKEP_JIT_PASS_LOOKUP | SKEP_JIT_PASS_INLINE | SKEP_JIT_PASS_PROVE,
	 true,
	 SHORTER,
	 {LOAD(BPF_DW, 3, 1, 16), STORE(BPF_W, 10, -4, 3), MAP(1), ALU64(BPF_MOV, 2, 10),
	  ALU64_K(BPF_ADD, 2, -4), CALL(BPF_FUNC_map_lookup_elem), JUMP_K(BPF_JEQ, 0, 0, 1),
	  LOAD(BPF_DW, 0, 0, 8), ALU64(BPF_ADD, 0, 3), EXIT}},
	{"helpers that ask the machine",
	 SKEP_JIT_PASS_INLINE,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 6, 1, 0), CALL(BPF_FUNC_get_current_pid_tgid), ALU64(BPF_ADD, 6, 0),
	  ALU64_K(BPF_MUL, 6, 31), CALL(BPF_FUNC_get_smp_processor_id), ALU64(BPF_ADD, 6, 0),
	  ALU64_K(BPF_MUL, 6, 31), CALL(BPF_FUNC_get_attach_cookie), ALU64(BPF_ADD, 6, 0),
	  ALU64_K(BPF_MUL, 6, 31), CALL(BPF_FUNC_get_func_arg_cnt), ALU64(BPF_ADD, 0, 6), EXIT}},
	{"helpers that ask the machine, without proof",
	 SKEP_JIT_PASS_INLINE,
	 true,
	 SHORTER,
	 {CALL(BPF_FUNC_get_current_pid_tgid), ALU64(BPF_MOV, 6, 0),
	  CALL(BPF_FUNC_get_smp_processor_id), ALU64(BPF_ADD, 0, 6), LOAD(BPF_DW, 1, 1, 0),
	  ALU64(BPF_XOR, 0, 1), EXIT}},
	{"helpers that ask others",
	 SKEP_JIT_PASS_INLINE,
	 false,
	 SAME,
	 {CALL(BPF_FUNC_get_numa_node_id), ALU64_K(BPF_AND, 0, 0), EXIT}},
	{"stores that nobody reads",
	 SKEP_JIT_PASS_STACK,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 0), STORE(BPF_DW, 10, -8, 2), LOAD(BPF_DW, 3, 1, 8),
	  STORE(BPF_DW, 10, -8, 3), LOAD(BPF_W, 0, 10, -4), STORE(BPF_W, 10, -16, 2), EXIT}},
	{"stores that are read on one way",
	 SKEP_JIT_PASS_STACK,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 0), LOAD(BPF_DW, 3, 1, 16), STORE(BPF_DW, 10, -8, 2),
	  JUMP_K(BPF_JSGT, 3, 5, 1), STORE(BPF_DW, 10, -8, 3), LOAD(BPF_B, 0, 10, -3), EXIT}},
	{"stores that are read the next time",
	 SKEP_JIT_PASS_STACK,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 0), ALU64_K(BPF_MOV, 0, 0), ALU64_K(BPF_MOV, 3, 5),
	  STORE(BPF_DW, 10, -8, 0), LOAD(BPF_DW, 4, 10, -8), ALU64(BPF_ADD, 0, 4),
	  ALU64(BPF_ADD, 2, 0), STORE(BPF_DW, 10, -8, 2), ALU64_K(BPF_ADD, 3, -1),
	  JUMP_K(BPF_JNE, 3, 0, -6), EXIT}},
	{"half a word that is written over",
	 SKEP_JIT_PASS_STACK,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 0), STORE(BPF_DW, 10, -8, 2), LOAD(BPF_DW, 3, 1, 8),
	  STORE(BPF_W, 10, -8, 3), LOAD(BPF_DW, 0, 10, -8), EXIT}},
	{"stores that are read by another address",
	 SKEP_JIT_PASS_STACK,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 2, 1, 0), ALU64(BPF_MOV, 3, 10), STORE(BPF_DW, 10, -8, 2),
	  LOAD(BPF_W, 0, 3, -8), EXIT}},
	{"stores that a look-up reads",
	 SKEP_JIT_PASS_STACK,
	 true,
	 SAME,
	 {{BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 0},
	  MAP(1),
	  ALU64(BPF_MOV, 2, 10),
	  ALU64_K(BPF_ADD, 2, -4),
	  CALL(BPF_FUNC_map_lookup_elem),
	  ALU64_K(BPF_MOV, 0, 1),
	  EXIT}},
	{"division by a constant",
	 SKEP_JIT_PASS_DIVIDE,
	 false,
	 OTHER,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 2, 1, 8), ALU64_K(BPF_DIV, 0, 7),
	  ALU64_K(BPF_MOD, 2, 1000), ALU64(BPF_XOR, 0, 2), ALU32_K(BPF_MOD, 2, 13),
	  ALU64(BPF_ADD, 0, 2), EXIT}},
	{"division by a power of two",
	 SKEP_JIT_PASS_DIVIDE,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_DIV, 0, 64), ALU32_K(BPF_MOD, 0, 8), EXIT}},
	{"a load that one addition uses",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 2, 1, 8), ALU64_K(BPF_MUL, 0, 77),
	  ALU64(BPF_ADD, 0, 2), EXIT}},
	{"loads with 64 bits, of which 32 are used",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SHORTER,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 2, 1, 8), LOAD(BPF_DW, 3, 1, 24),
	  ALU32(BPF_MUL, 0, 2), ALU32(BPF_SUB, 0, 3), EXIT}},
	{"a load with 32 bits, of which 64 are used",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_W, 2, 1, 8), ALU64(BPF_ADD, 0, 2), EXIT}},
	{"a load that is used twice",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 2, 1, 8), ALU64(BPF_XOR, 0, 2),
	  ALU64_K(BPF_ADD, 0, 3), ALU64(BPF_MUL, 0, 2), EXIT}},
	{"a load that is used behind a jump, too",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 2, 1, 8), ALU64(BPF_XOR, 0, 2),
	  JUMP_K(BPF_JSGT, 0, 5, 1), ALU64(BPF_MUL, 0, 2), EXIT}},
	{"a load whose address changes",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 2, 1, 8), ALU64_K(BPF_ADD, 1, 8), ALU64(BPF_OR, 0, 2),
	  EXIT}},
	{"a load of its own address",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 1, 1, 8), ALU64(BPF_AND, 0, 1), EXIT}},
	{"a load of what is written",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), STORE(BPF_DW, 10, -8, 0), LOAD(BPF_DW, 2, 10, -8),
	  STORE(BPF_W, 10, -4, 1), ALU32(BPF_AND, 0, 2), EXIT}},
	{"loads without proof that two additions use",
	 SKEP_JIT_PASS_OPERAND,
	 true,
	 SHORTER,
	 {VALUE(3), LOAD(BPF_DW, 0, 1, 0), LOAD(BPF_DW, 2, 3, 8), LOAD(BPF_W, 4, 1, 16),
	  ALU64(BPF_ADD, 0, 2), ALU32(BPF_SUB, 0, 4), EXIT}},
	{"a load that fails before what would use it",
	 SKEP_JIT_PASS_OPERAND,
	 true,
	 SHORTER,
	 {LOAD(BPF_DW, 2, 1, 64), LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_MUL, 0, 77),
	  ALU64(BPF_ADD, 0, 2), EXIT}},
	{"neighbours that are used at once",
	 SKEP_JIT_PASS_OPERAND | SKEP_JIT_PASS_GROUP,
	 true,
	 OTHER,
	 {LOAD(BPF_DW, 0, 1, 8), LOAD(BPF_DW, 2, 1, 40), ALU64(BPF_ADD, 0, 2),
	  LOAD(BPF_DW, 2, 1, 64), ALU64_K(BPF_MUL, 0, 3), ALU64(BPF_ADD, 0, 2), EXIT}},
	{"memory that is changed",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SHORTER,
	 {VALUE(3), LOAD(BPF_DW, 2, 3, 8), ALU64_K(BPF_ADD, 2, 1000), STORE(BPF_DW, 3, 8, 2),
	  LOAD(BPF_DW, 4, 1, 0), LOAD(BPF_B, 2, 3, 2), ALU32(BPF_XOR, 2, 4), STORE(BPF_B, 3, 2, 2),
	  LOAD(BPF_DW, 0, 3, 0), EXIT}},
	{"memory that is changed without proof",
	 SKEP_JIT_PASS_OPERAND,
	 true,
	 OTHER,
	 {VALUE(3), LOAD(BPF_W, 2, 3, 8), ALU32_K(BPF_AND, 2, 0x1234), STORE(BPF_W, 3, 8, 2),
	  LOAD(BPF_H, 2, 3, 62), LOAD(BPF_DW, 4, 1, 0), ALU32_K(BPF_SUB, 2, 7),
	  STORE(BPF_H, 3, 62, 2), LOAD(BPF_DW, 2, 3, 60), ALU64(BPF_OR, 2, 4),
	  STORE(BPF_DW, 3, 60, 2), LOAD(BPF_DW, 0, 3, 0), EXIT}},
	{"memory that is changed, and read",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {VALUE(3), LOAD(BPF_DW, 0, 3, 8), ALU64_K(BPF_ADD, 0, 5), STORE(BPF_DW, 3, 8, 0), EXIT}},
	{"memory that is changed by what changes, too",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {VALUE(3), LOAD(BPF_DW, 4, 1, 0), ALU64(BPF_MOV, 0, 4), LOAD(BPF_DW, 2, 3, 8),
	  ALU64(BPF_ADD, 2, 4), ALU64_K(BPF_MUL, 4, 5), STORE(BPF_DW, 3, 8, 2),
	  ALU64(BPF_ADD, 0, 4), EXIT}},
	{"other memory that is written",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {VALUE(3), LOAD(BPF_DW, 2, 3, 8), ALU64_K(BPF_ADD, 2, 5), STORE(BPF_DW, 3, 16, 2),
	  LOAD(BPF_W, 2, 3, 8), ALU64_K(BPF_ADD, 2, 5), STORE(BPF_DW, 3, 24, 2),
	  ALU64_K(BPF_MOV, 0, 5), EXIT}},
	{"bytes and what does not go into one",
	 SKEP_JIT_PASS_OPERAND,
	 false,
	 SAME,
	 {VALUE(3), LOAD(BPF_B, 2, 3, 8), ALU64_K(BPF_AND, 2, 0xf0), STORE(BPF_B, 3, 8, 2),
	  LOAD(BPF_H, 2, 3, 8), ALU64_K(BPF_MUL, 2, 5), STORE(BPF_H, 3, 8, 2),
	  LOAD(BPF_DW, 2, 3, 0), ALU32_K(BPF_ADD, 2, 5), STORE(BPF_DW, 3, 0, 2),
	  ALU64_K(BPF_MOV, 0, 5), EXIT}},
	{"loop that ends soon",
	 BOUND,
	 true,
	 OTHER,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 1), ALU64(BPF_ADD, 0, 1),
	  ALU64_K(BPF_ADD, 2, 4), JUMP_K(BPF_JNE, 2, 64, -3), EXIT}},
	{"loop that counts down with 32 bits",
	 BOUND,
	 true,
	 OTHER,
	 {ALU32_K(BPF_MOV, 2, 9), ALU64_K(BPF_MOV, 0, 1), ALU64(BPF_ADD, 0, 1),
	  ALU32_K(BPF_ADD, 2, -1), JUMP_K(BPF_JNE, 2, 0, -3), EXIT}},
	{"loop with several jumps back, and its end elsewhere",
	 BOUND,
	 true,
	 OTHER,
	 {LOAD(BPF_DW, 0, 1, 0),
	  ALU64_K(BPF_MOV, 2, 0),
	  {BPF_JMP | BPF_JA, 0, 0, 2, 0},
	  ALU64_K(BPF_ADD, 2, 1),
	  JUMP_K(BPF_JEQ, 2, 20, 6),
	  ALU64_K(BPF_MUL, 0, 77),
	  JUMP_K(BPF_JSGT, 0, 5, -4),
	  ALU64_K(BPF_ADD, 0, 3),
	  JUMP_K(BPF_JSET, 0, 4, -6),
	  ALU64_K(BPF_ADD, 0, 1),
	  {BPF_JMP | BPF_JA, 0, 0, -8, 0},
	  EXIT}},
	{"loop that may be long",
	 BOUND,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 2, 0), ALU64_K(BPF_MOV, 0, 1), ALU64(BPF_ADD, 0, 1),
	  ALU64_K(BPF_ADD, 2, 1), JUMP_K(BPF_JNE, 2, 50000, -3), EXIT}},
	{"loop with a way around that does not count",
	 BOUND,
	 true,
	 SAME,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_MOV, 2, 0), STORE(BPF_DW, 10, -8, 2),
	  LOAD(BPF_DW, 3, 10, -8), ALU64_K(BPF_ADD, 3, 1), STORE(BPF_DW, 10, -8, 3),
	  ALU64_K(BPF_MUL, 0, 77), JUMP_K(BPF_JSET, 3, 1, 1), ALU64_K(BPF_ADD, 2, 1),
	  JUMP_K(BPF_JLT, 2, 20, -7), EXIT}},
	{"loop that starts its counter anew",
	 BOUND,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 0, 1), STORE(BPF_DW, 10, -8, 0), ALU64_K(BPF_MOV, 2, 0),
	  LOAD(BPF_DW, 3, 10, -8), ALU64_K(BPF_ADD, 3, 1), STORE(BPF_DW, 10, -8, 3),
	  ALU64_K(BPF_ADD, 2, 1), JUMP_K(BPF_JSET, 3, 8, -6), ALU64(BPF_ADD, 0, 3),
	  JUMP_K(BPF_JSLT, 3, 24, -7), EXIT}},
	{"loop that goes both ways",
	 BOUND,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 0, 1), STORE(BPF_DW, 10, -8, 0), ALU64_K(BPF_MOV, 2, 5),
	  LOAD(BPF_DW, 3, 10, -8), ALU64_K(BPF_ADD, 3, 1), STORE(BPF_DW, 10, -8, 3),
	  ALU64_K(BPF_ADD, 2, 1), JUMP_K(BPF_JSET, 3, 1, 1), ALU64_K(BPF_ADD, 2, -2),
	  JUMP_K(BPF_JGT, 2, 8, 2), ALU64_K(BPF_MOV, 0, 7), JUMP_K(BPF_JSLT, 3, 24, -9), EXIT}},
	{"loop of a loop",
	 BOUND,
	 true,
	 OTHER,
	 {LOAD(BPF_DW, 0, 1, 0), ALU64_K(BPF_MOV, 3, 0), ALU64_K(BPF_MOV, 2, 0),
	  ALU64_K(BPF_MUL, 0, 77), ALU64_K(BPF_ADD, 2, 1), JUMP_K(BPF_JNE, 2, 8, -3),
	  ALU64_K(BPF_ADD, 3, 1), JUMP_K(BPF_JNE, 3, 8, -6), EXIT}},
	{"loop that a helper is called in",
	 BOUND,
	 true,
	 OTHER,
	 {ALU64_K(BPF_MOV, 6, 0), CALL(BPF_FUNC_ktime_get_ns), ALU64_K(BPF_ADD, 6, 1),
	  JUMP_K(BPF_JNE, 6, 8, -3), ALU64_K(BPF_MOV, 0, 3), EXIT}},
	{"loop whose counter a helper changes",
	 BOUND,
	 true,
	 SAME,
	 {ALU64_K(BPF_MOV, 6, 0), ALU64_K(BPF_MOV, 0, 0), STORE(BPF_DW, 10, -8, 6),
	  LOAD(BPF_DW, 6, 10, -8), ALU64_K(BPF_ADD, 6, 1), STORE(BPF_DW, 10, -8, 6),
	  CALL(BPF_FUNC_get_smp_processor_id), ALU64_K(BPF_ADD, 0, 1), JUMP_K(BPF_JGT, 0, 60, 1),
	  JUMP_K(BPF_JSLT, 6, 24, -7), EXIT}},
	{"look-up with a bad key",
	 SKEP_JIT_PASS_LOOKUP | SKEP_JIT_PASS_PROVE,
	 true,
	 SAME,
	 {MAP(1), ALU64(BPF_MOV, 2, 10), ALU64_K(BPF_ADD, 2, -2), CALL(BPF_FUNC_map_lookup_elem),
	  ALU64_K(BPF_MOV, 0, 1), EXIT}},
};

static struct skep_map *map;

static uint32_t length(const struct test *t)
{
	uint32_t n = 24;

	while (n && t->insns[n - 1].code != (BPF_JMP | BPF_EXIT))
		n--;
	return n;
}

/* Compiled with @passes; NULL passes: not compiled. */
static struct skep_vm_prog *create(const struct test *t, const unsigned int *passes)
{
	struct skep_vm_prog_opts o = {.sz = sizeof(o),
				      .name = "pass",
				      .gpl = true,
				      .trusted = !t->checked,
				      .maps = &map,
				      .nr_maps = 1};
	struct skep_jit_opts jit = {.sz = sizeof(jit), .without = passes ? ~*passes : 0};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_vm_prog *prog = NULL;

	if (skep_vm_prog_create(&prog, t->insns, length(t), &o, &err) < 0 ||
	    (passes && skep_jit_compile(prog, &jit, &err) < 0))
		printf("# %s: %s\n", t->name, err.msg);
	skep_err_deinit(&err);
	return prog;
}

struct answer {
	int ret, insn;
	uint64_t r0, value[8];
};

static void run(struct skep_vm *vm, const struct skep_vm_prog *prog, uint64_t seed,
		struct answer *a)
{
	static const uint64_t edge[] = {
		0, 1, 7, 56, 57, UINT64_MAX, 64, 0x8000000000000000ull, INT32_MIN, 12};
	struct skep_vm_env env = {
		.tgid = 77, .pid = -2, .cpu = 1, .cookie = 1ull << 40, .nr_args = 3};
	static const struct skep_vm_env_ops ops;
	uint64_t ctx[8];
	struct skep_vm_run r = {.prog = prog, .env = &env, .ctx = ctx, .ctx_len = sizeof(ctx)};
	struct skep_err err = SKEP_ERR_INIT;
	uint32_t key = 0;
	int i;

	env.ops = &ops;
	if (seed % 5 == 4)
		r.env = NULL;
	for (i = 0; i < 8; i++)
		ctx[i] = i == 2 ? edge[seed % 10] : (seed + 1) * 0x9e3779b97f4a7c15ull >> i * 7;
	skep_map_update(map, &key, ctx, 0, 0);
	memset(a, 0, sizeof(*a));
	a->ret = skep_vm_run(vm, &r, &a->r0, &err);
	a->insn = a->ret < 0 ? err.insn : 0;
	skep_err_deinit(&err);
	memcpy(a->value, skep_map_lookup(map, &key, 0), sizeof(a->value));
}

static void check(struct skep_vm *vm, const struct test *t)
{
	unsigned int none = 0;
	struct skep_vm_prog *by_hand = create(t, NULL), *with = create(t, &t->pass);
	struct skep_vm_prog *without = create(t, &none);
	const void *code;
	size_t a = skep_jit_code(with, &code), b = skep_jit_code(without, &code);
	bool agree = true;
	uint64_t i;

	if (!ok(t->code == SAME ? a == b : t->code == SHORTER ? a < b : a != b, "%s", t->name))
		printf("# %zu bytes with the pass, %zu without\n", a, b);
	for (i = 0; i < 40; i++) {
		struct answer want, got;

		run(vm, by_hand, i, &want);
		run(vm, with, i, &got);
		agree &= !memcmp(&want, &got, sizeof(want));
	}
	ok(agree, "it computes what the interpreter computes");
	skep_vm_prog_put(by_hand);
	skep_vm_prog_put(with);
	skep_vm_prog_put(without);
}

/* A division of r0 by @by, of the operation @op and both widths, over inputs near its multiples. */
static bool divides(struct skep_vm *vm, uint8_t op, int32_t by)
{
	static const uint64_t near[] = {0, 1, 2, 1u << 31, UINT32_MAX, 1ull << 63, UINT64_MAX};
	struct bpf_insn insns[] = {LOAD(BPF_DW, 0, 1, 0),
				   {(uint8_t)(op | BPF_K), 0, 0, 0, by},
				   ALU64_K(BPF_MUL, 0, 1),
				   EXIT};
	struct skep_vm_prog_opts o = {.sz = sizeof(o), .trusted = true};
	struct skep_vm_prog *prog[2] = {0};
	uint64_t d = BPF_CLASS(op) == BPF_ALU64 ? (uint64_t)(int64_t)by : (uint32_t)by, r0[2] = {0};
	bool good = true;
	int i, k, delta;

	for (i = 0; i < 2; i++)
		if (skep_vm_prog_create(&prog[i], insns, 4, &o, NULL) < 0)
			return false;
	good &= skep_jit_compile(prog[1], NULL, NULL) == 0;
	for (k = 0; k < 7 * 5 && good; k++) {
		uint64_t n = d ? near[k / 5] / d * d : near[k / 5];

		delta = k % 5 - 2;
		n = delta == 2 ? near[k / 5] : n + (uint64_t)delta;
		for (i = 0; i < 2; i++) {
			struct skep_vm_run r = {.prog = prog[i], .ctx = &n, .ctx_len = sizeof(n)};

			good &= skep_vm_run(vm, &r, &r0[i], NULL) == 0;
		}
		good &= r0[0] == r0[1];
		if (!good)
			printf("# %llu by %d, op %02x: %llu, not %llu\n", (unsigned long long)n, by,
			       op, (unsigned long long)r0[1], (unsigned long long)r0[0]);
	}
	for (i = 0; i < 2; i++)
		skep_vm_prog_put(prog[i]);
	return good;
}

static void test_division(struct skep_vm *vm)
{
	static const uint8_t ops[] = {BPF_ALU64 | BPF_DIV, BPF_ALU64 | BPF_MOD, BPF_ALU | BPF_DIV,
				      BPF_ALU | BPF_MOD};
	uint32_t i, k, by = 0;
	bool good = true;

	for (i = 0; i < 3000 && good; i++) {
		if (i < 300)
			by = i; /* the small ones, */
		else if (i < 364)
			by = (1u << (i - 300) / 2) +
			     (i % 2 ? 1 : UINT32_MAX); /* near powers of 2, */
		else
			by = by * 1664525 + 1013904223; /* and any */
		for (k = 0; k < 4; k++)
			good &= divides(vm, ops[k], (int32_t)by);
	}
	ok(good, "division by constants of all sizes");
}

int main(void)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 64, .max_entries = 1};
	struct skep_vm *vm = NULL;
	size_t i;

	if (!skep_jit_arch()) {
		printf("1..0 # SKIP no JIT for this processor\n");
		return 0;
	}
	if (skep_map_create(&map, &attr, NULL, NULL, NULL, NULL) < 0 ||
	    skep_vm_create(&vm, NULL) < 0)
		return 1;
	for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		check(vm, &tests[i]);
	test_division(vm);
	skep_vm_destroy(vm);
	skep_map_put(map);
	return done();
}
