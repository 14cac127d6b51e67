/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs in checked mode: whatever skep_vm_prog_create() accepts
 * runs to its end or to an error, in the interpreter and then as machine code,
 * and never touches what is not its own.
 * Input: a byte of flags, then instructions of 8 bytes.  Register numbers and
 * offsets are folded into ranges that give long runs; map numbers and helper
 * numbers too, so that most calls exist.
 */
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "helper/helper.h"
#include "jit/jit.h"
#include "sys/sys.h"
#include "vm/vm.h"

#define NR_MAPS 4
#define MAX	256

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const union bpf_attr kinds[NR_MAPS] = {
	{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 24, .max_entries = 3},
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 13, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096},
	{.map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2},
};

static int no_memory(struct skep_vm_env *env, void *dst, uint64_t addr, size_t len)
{
	return -14;
}

static const struct skep_vm_env_ops env_ops = {.read_user = no_memory, .read_kernel = no_memory};

/* Makes a random instruction more likely to be one. */
static void fold(struct bpf_insn *insn, size_t i, size_t n)
{
	insn->dst_reg %= 11;
	insn->src_reg %= 11;
	if (insn->code == (BPF_LD | BPF_IMM | BPF_DW)) {
		if (insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg > BPF_PSEUDO_MAP_IDX_VALUE)
			insn->src_reg = BPF_PSEUDO_MAP_IDX;
		if (insn->src_reg == BPF_PSEUDO_MAP_VALUE)
			insn->src_reg = BPF_PSEUDO_MAP_IDX_VALUE;
		if (insn->src_reg >= BPF_PSEUDO_MAP_IDX)
			insn->imm = (int32_t)((uint32_t)insn->imm % NR_MAPS);
		insn->off = 0;
		return;
	}
	if (insn->code == (BPF_JMP | BPF_CALL)) {
		insn->off = 0;
		insn->dst_reg = 0;
		insn->src_reg %= 2;
		insn->imm = insn->src_reg ? insn->imm % (int32_t)n
					  : (int32_t)((uint32_t)insn->imm % 212);
		return;
	}
	if (BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32)
		insn->off = (int16_t)(insn->off % (int16_t)n);
	else if (BPF_CLASS(insn->code) != BPF_ALU && BPF_CLASS(insn->code) != BPF_ALU64)
		insn->off = (int16_t)(insn->off % 530);
	if (BPF_CLASS(insn->code) == BPF_LDX || BPF_CLASS(insn->code) == BPF_STX)
		insn->imm = BPF_MODE(insn->code) == BPF_ATOMIC ? insn->imm & 0xf1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct bpf_insn insns[MAX];
	struct skep_map *maps[NR_MAPS] = {0};
	struct skep_vm_prog_opts opts = {
		.sz = sizeof(opts),
		.name = "fuzz",
		.gpl = true,
		.budget = 4000,
		.maps = maps,
		.nr_maps = NR_MAPS,
	};
	struct skep_vm_env env = {.ops = &env_ops, .tgid = 1, .pid = 1};
	uint8_t *ctx = malloc(32), *room = malloc(128);
	struct skep_vm_packet packet = {
		.head = room,
		.tail = room + 128,
		.meta = room + 32,
		.data = room + 32,
		.data_end = room + 96,
		.mac = room + 32,
		.net = room + 46,
		.write = true,
	};
	struct skep_vm_run run = {.env = &env, .ctx = ctx, .ctx_len = 32};
	struct skep_vm_prog *prog = NULL;
	struct skep_vm *vm = NULL;
	uint64_t ret;
	size_t n, i;

	if (len < 9)
		goto out;
	run.ctx_write = data[0] & 1;
	run.packet = data[0] & 2 ? &packet : NULL;
	n = (len - 1) / sizeof(insns[0]);
	n = n > MAX - 1 ? MAX - 1 : n;
	memcpy(insns, data + 1, n * sizeof(insns[0]));
	for (i = 0; i < n; i++) {
		fold(&insns[i], i, n);
		if (insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) && i + 1 < n) {
			i++;
			insns[i] = (struct bpf_insn){.imm = insns[i].imm % 64};
		}
	}
	insns[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	memset(ctx, 0, 32);
	memset(room, 0, 128);
	for (i = 0; i < NR_MAPS; i++)
		if (skep_map_create(&maps[i], &kinds[i], NULL, NULL, NULL, NULL) < 0)
			abort();
	run.prog = NULL;
	if (skep_vm_create(&vm, NULL) == 0 &&
	    skep_vm_prog_create(&prog, insns, (uint32_t)n, &opts, NULL) == 0) {
		run.prog = prog;
		skep_vm_run(vm, &run, &ret, NULL);
		if (skep_jit_arch() && skep_jit_compile(prog, NULL, NULL) < 0)
			abort();
		skep_vm_run(vm, &run, &ret, NULL);
	}
	skep_vm_prog_put(prog);
	skep_vm_destroy(vm);
	for (i = 0; i < NR_MAPS; i++)
		skep_map_put(maps[i]);
out:
	free(ctx);
	free(room);
	return 0;
}
