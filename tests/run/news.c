/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the cases use and older kernels lack, found by loading and running the
 * shortest program that uses it; never by the kernel's version.  A case that
 * this kernel cannot have is skipped there, with the reason.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "oracle.h"
#include "run.h"

enum { V4, ACQUIRE, MAY_GOTO, CSUM, PADS, FRAMES, LONG_HELPERS, SLEEPABLE_MAPS, NR_NEWS };

static const char *const why[NR_NEWS] = {
	[V4] = "this kernel has no instructions of -mcpu=v4",
	[ACQUIRE] = "this kernel has no load_acquire",
	[MAY_GOTO] = "this kernel has no may_goto",
	[CSUM] = "this kernel's csum_diff does not fold its sum",
	[PADS] = "this kernel's get_current_comm leaves what stands behind the name",
	[FRAMES] = "this kernel takes a caller without a stack for one of 32 bytes",
	[SLEEPABLE_MAPS] = "this kernel's sleepable programs may not use such a map",
};

static int make_map(uint32_t type, uint32_t key_size)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = key_size, .value_size = 8, .max_entries = 1};

	return oracle_bpf(BPF_MAP_CREATE, &attr);
}

/* Loads and runs: r0, or -errno. */
static int64_t answer(const struct bpf_insn *insns, size_t nr, bool sleepable)
{
	static uint8_t packet[64];
	union bpf_attr attr = {
		.prog_type = sleepable ? BPF_PROG_TYPE_SYSCALL : BPF_PROG_TYPE_SCHED_CLS,
		.insns = (uintptr_t)insns,
		.insn_cnt = (uint32_t)nr,
		.license = (uintptr_t) "GPL",
		.prog_flags = sleepable ? BPF_F_SLEEPABLE : 0,
	};
	int fd = oracle_bpf(BPF_PROG_LOAD, &attr), ret;

	if (fd < 0)
		return fd;
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)fd;
	if (!sleepable) {
		attr.test.data_in = (uintptr_t)packet;
		attr.test.data_size_in = sizeof(packet);
	}
	ret = oracle_bpf(BPF_PROG_TEST_RUN, &attr);
	close(fd);
	return ret < 0 ? ret : (int64_t)attr.test.retval;
}

#define SET(reg, value) \
	{ \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (reg), .imm = (value) \
	}
#define CALL(name) \
	{ \
		.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_##name \
	}
#define EXIT \
	{ \
		.code = BPF_JMP | BPF_EXIT \
	}
#define ASK(sleepable, ...) \
	answer((const struct bpf_insn[]){__VA_ARGS__}, \
	       sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn), \
	       sleepable)
/* clang-format off */
#define MAP(reg, fd) {.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = (reg), \
		      .src_reg = BPF_PSEUDO_MAP_FD, .imm = (fd)}, {0}
#define STORE_8 {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8}

static bool ask(int which)
{
	int64_t ret = 0;
	int fd = -1;

	switch (which) {
	case V4: /* r0 = (s8)r0 */
		ret = ASK(false, SET(0, 1), {.code = BPF_ALU64 | BPF_MOV | BPF_X, .off = 8}, EXIT);
		break;
	case ACQUIRE:
		ret = ASK(false, STORE_8, {.code = BPF_STX | BPF_ATOMIC | BPF_DW, .src_reg = 10,
			  .off = -8, .imm = 0x100}, SET(0, 1), EXIT);
		break;
	case MAY_GOTO:
		ret = ASK(false, SET(0, 1), {.code = BPF_JMP | 0xe0}, EXIT);
		break;
	case CSUM: /* of nothing, added to 0x10000: folded it is 1 */
		ret = ASK(false, SET(1, 0), SET(2, 0), SET(3, 0), SET(4, 0), SET(5, 0x10000),
			  CALL(csum_diff), EXIT);
		break;
	case PADS: /* 24 bytes of ones: the 23rd is behind every name */
		ret = ASK(true, SET(6, -1), {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10,
			  .src_reg = 6, .off = -8}, {.code = BPF_STX | BPF_MEM | BPF_DW,
			  .dst_reg = 10, .src_reg = 6, .off = -16},
			  {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 6,
			  .off = -24}, {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 1,
			  .src_reg = 10}, {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 1,
			  .imm = -24}, SET(2, 24), CALL(get_current_comm),
			  {.code = BPF_LDX | BPF_MEM | BPF_B, .dst_reg = 6, .src_reg = 10,
			  .off = -2}, SET(0, 1), {.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 6,
			  .off = 1}, SET(0, 0), EXIT);
		break;
	case FRAMES: /* no stack here, all of it in a function */
		ret = ASK(true, {.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 2},
			  SET(0, 1), EXIT, {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10,
			  .off = -512}, SET(0, 0), EXIT);
		break;
	case LONG_HELPERS: /* an array's elements cannot be deleted: the sign of -EINVAL */
		fd = make_map(BPF_MAP_TYPE_ARRAY, 4);
		ret = ASK(false, STORE_8, MAP(1, fd),
			  {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
			  {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -8},
			  CALL(map_delete_elem), {.code = BPF_ALU64 | BPF_RSH | BPF_K, .imm = 63},
			  EXIT);
		break;
	case SLEEPABLE_MAPS:
		fd = make_map(BPF_MAP_TYPE_QUEUE, 0);
		ret = ASK(true, MAP(1, fd), SET(0, 1), EXIT);
		break;
	}
	if (fd >= 0)
		close(fd);
	return ret == 1;
}
/* clang-format on */

static bool has(int which)
{
	static int known[NR_NEWS]; /* 1: has it, -1: lacks it */

	if (!known[which])
		known[which] = ask(which) ? 1 : -1;
	return known[which] > 0;
}

static int newness(const struct bpf_insn *i)
{
	uint8_t op = BPF_OP(i->code);

	switch (BPF_CLASS(i->code)) {
	case BPF_ALU64:
		if (op == BPF_END)
			return V4;
		/* fallthrough */
	case BPF_ALU: return (op == BPF_MOV || op == BPF_DIV || op == BPF_MOD) && i->off ? V4 : -1;
	case BPF_LDX: return BPF_MODE(i->code) == 0x80 ? V4 : -1; /* sign-extending */
	case BPF_ST: return i->dst_reg == 10 && i->off == -512 ? FRAMES : -1;
	case BPF_STX:
		if (i->dst_reg == 10 && i->off == -512)
			return FRAMES;
		return BPF_MODE(i->code) == BPF_ATOMIC && (i->imm & ~0x10) == 0x100 ? ACQUIRE : -1;
	case BPF_JMP32: return op == BPF_JA ? V4 : -1;
	case BPF_JMP:
		if (op == BPF_CALL && !i->src_reg && i->imm == BPF_FUNC_csum_diff)
			return CSUM;
		if (op == BPF_CALL && !i->src_reg && i->imm == BPF_FUNC_get_current_comm)
			return PADS;
		return op == 0xe0 ? MAY_GOTO : -1;
	default: return -1;
	}
}

static bool calls_map_helper(const struct bpf_insn *i)
{
	return i->code == (BPF_JMP | BPF_CALL) && !i->src_reg &&
	       (i->imm == BPF_FUNC_map_update_elem || i->imm == BPF_FUNC_map_delete_elem ||
		i->imm == BPF_FUNC_map_push_elem || i->imm == BPF_FUNC_map_pop_elem ||
		i->imm == BPF_FUNC_map_peek_elem);
}

bool kernel_r0_is_int(const struct test *test)
{
	size_t i;
	int p;

	for (p = 0; p < test->nr_progs; p++)
		for (i = 0; i < test->progs[p].nr; i++)
			if (calls_map_helper(&test->progs[p].insns[i]))
				return !has(LONG_HELPERS);
	return false;
}

/* Queues and stacks in programs that are run as sleepable ones. */
static bool sleepable_queue(const struct test *test)
{
	int i;

	if (test->type != BPF_PROG_TYPE_SYSCALL)
		return false;
	for (i = 0; i < test->nr_maps; i++)
		if (test->maps[i].type == BPF_MAP_TYPE_QUEUE ||
		    test->maps[i].type == BPF_MAP_TYPE_STACK)
			return true;
	return false;
}

const char *kernel_lacks(const struct test *test)
{
	size_t i;
	int p, n;

	if (sleepable_queue(test) && !has(SLEEPABLE_MAPS))
		return why[SLEEPABLE_MAPS];
	for (p = 0; p < test->nr_progs; p++) {
		const struct prog_text *text = &test->progs[p];

		for (i = 0; i < text->nr;
		     i += text->insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) ? 2 : 1) {
			n = newness(&text->insns[i]);
			if (n >= 0 && !has(n))
				return why[n];
		}
	}
	return NULL;
}
