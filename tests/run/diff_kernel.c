/* SPDX-License-Identifier: BSD-2-Clause */
/* tests/run/diff: the kernel's answer, over maps that are made once. */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oracle.h"
#include "diff.h"
#include "sys/sys.h"

static int maps[GEN_MAPS] = {-1, -1, -1, -1}, btf = -1;

int kernel_open(void)
{
	cpu_set_t one;
	int i;

	/* Per-CPU values are those of the CPU that runs the program: the first. */
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		return -1;
	for (i = 0; i < GEN_MAPS; i++) {
		union bpf_attr attr = gen_maps[i];

		maps[i] = oracle_bpf(BPF_MAP_CREATE, &attr);
		if (maps[i] < 0)
			return -1;
	}
	btf = oracle_btf();
	return btf;
}

void kernel_close(void)
{
	int i;

	for (i = 0; i < GEN_MAPS; i++)
		if (maps[i] >= 0)
			close(maps[i]);
	if (btf >= 0)
		close(btf);
}

static int element(int cmd, int map, uint32_t key, const void *value)
{
	union bpf_attr attr = {.map_fd = (uint32_t)maps[map]};

	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)value;
	return oracle_bpf(cmd, &attr);
}

static void set_world(const struct world *w)
{
	uint8_t room[16 * 256] = {0};
	uint32_t k;

	for (k = 0; k < GEN_KEYS; k++)
		element(BPF_MAP_DELETE_ELEM, MAP_HASH, k, NULL);
	for (k = 0; k < GEN_KEYS; k++)
		if (w->hash[k].there)
			element(BPF_MAP_UPDATE_ELEM, MAP_HASH, k, w->hash[k].value);
	element(BPF_MAP_UPDATE_ELEM, MAP_DIRECT, 0, w->direct);
	for (k = 0; k < 4; k++)
		element(BPF_MAP_UPDATE_ELEM, MAP_ARRAY, k, w->array[k]);
	for (k = 0; k < 2; k++) {
		memcpy(room, w->percpu[k], 16);
		element(BPF_MAP_UPDATE_ELEM, MAP_PERCPU, k, room);
	}
}

static void get_world(struct world *w)
{
	uint8_t room[16 * 256];
	uint32_t k;

	for (k = 0; k < GEN_KEYS; k++) {
		memset(w->hash[k].value, 0, sizeof(w->hash[k].value));
		w->hash[k].there = element(BPF_MAP_LOOKUP_ELEM, MAP_HASH, k, w->hash[k].value) == 0;
	}
	element(BPF_MAP_LOOKUP_ELEM, MAP_DIRECT, 0, w->direct);
	for (k = 0; k < 4; k++)
		element(BPF_MAP_LOOKUP_ELEM, MAP_ARRAY, k, w->array[k]);
	for (k = 0; k < 2; k++) {
		element(BPF_MAP_LOOKUP_ELEM, MAP_PERCPU, k, room);
		memcpy(w->percpu[k], room, 16);
	}
}

int kernel_run(const struct gen *g, struct world *w, char *log, size_t size)
{
	struct bpf_insn insns[GEN_MAX + 64];
	struct bpf_func_info info[8];
	union bpf_attr attr = {0};
	uint32_t i;
	int fd;

	memcpy(insns, g->insns, g->n * sizeof(insns[0]));
	for (i = 0; i < g->n; i++) {
		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_FD ||
		    insns[i].src_reg == BPF_PSEUDO_MAP_VALUE)
			insns[i].imm = maps[insns[i].imm];
		i++;
	}
	for (i = 0; i < g->nr_funcs; i++)
		info[i] = (struct bpf_func_info){.insn_off = g->funcs[i], .type_id = 3};
	attr.prog_type = BPF_PROG_TYPE_SYSCALL;
	attr.prog_flags = BPF_F_SLEEPABLE;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = g->n;
	attr.license = (uintptr_t) "GPL";
	attr.func_info = (uintptr_t)info;
	attr.func_info_cnt = g->nr_funcs;
	attr.func_info_rec_size = sizeof(info[0]);
	attr.prog_btf_fd = (uint32_t)btf;
	fd = oracle_bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0) {
		attr.log_buf = (uintptr_t)log;
		attr.log_size = (uint32_t)size;
		attr.log_level = 1;
		log[0] = 0;
		fd = oracle_bpf(BPF_PROG_LOAD, &attr);
		if (fd >= 0)
			close(fd);
		return 0;
	}
	set_world(w);
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)fd;
	attr.test.ctx_in = (uintptr_t)w->ctx;
	attr.test.ctx_size_in = sizeof(w->ctx);
	i = (uint32_t)oracle_bpf(BPF_PROG_TEST_RUN, &attr);
	close(fd);
	get_world(w);
	return (int)i < 0 ? 0 : 1;
}
