/* SPDX-License-Identifier: BSD-2-Clause */
/* The kernel: bpf(2) as it is, without any of skep's loading. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "isa/insn.h"
#include "oracle.h"
#include "parse.h"
#include "sys/sys.h"

#define RESULT_ROOM 8 /* behind mem: r0 of the wrapped program */

struct state {
	const struct test *test;
	struct result *result;
	int maps[MAX_MAPS], progs[MAX_PROGS];
	int btf;
};

static bool broken(struct state *s, const char *what, int ret)
{
	s->result->outcome = BROKEN;
	snprintf(s->result->why, sizeof(s->result->why), "%s: %s", what, strerror(-ret));
	return false;
}

static bool wrapped(const struct state *s)
{
	return s->test->type == BPF_PROG_TYPE_SYSCALL;
}

static size_t ctx_size(const struct test *t)
{
	return (t->mem.len + 7) / 8 * 8 + RESULT_ROOM;
}

static bool make_maps(struct state *s)
{
	int i;

	for (i = 0; i < s->test->nr_maps; i++) {
		const struct map_def *d = &s->test->maps[i];
		union bpf_attr attr = {
			.map_type = d->type,
			.key_size = d->key,
			.value_size = d->value,
			.max_entries = d->n,
			.map_flags = d->flags,
			.map_extra = d->extra,
			.inner_map_fd = (uint32_t)s->maps[d->inner],
		};

		s->maps[i] = oracle_bpf(BPF_MAP_CREATE, &attr);
		if (s->maps[i] < 0)
			return broken(s, "BPF_MAP_CREATE", s->maps[i]);
	}
	return true;
}

/* r0 = the program's function(ctx); stores it behind mem. */
static size_t wrap(const struct test *t, struct bpf_insn *out)
{
	int16_t at = (int16_t)(ctx_size(t) - RESULT_ROOM);
	const struct bpf_insn stub[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 6, .src_reg = 1},
		{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 3},
		{.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 6, .src_reg = 0, .off = at},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};

	memcpy(out, stub, sizeof(stub));
	return sizeof(stub) / sizeof(stub[0]);
}

/* Where functions start, ascending: what calls and code addresses lead to. */
static uint32_t find_funcs(const struct bpf_insn *insns, size_t nr, struct bpf_func_info *info)
{
	uint8_t *is = calloc(nr, 1);
	uint32_t n = 0;
	size_t i;

	is[0] = 1;
	for (i = 0; i < nr; i++) {
		bool call = insns[i].code == (BPF_JMP | BPF_CALL) &&
			    insns[i].src_reg == BPF_PSEUDO_CALL;
		bool addr = insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) &&
			    insns[i].src_reg == BPF_PSEUDO_FUNC;

		if ((call || addr) && i + 1 + insns[i].imm < nr)
			is[i + 1 + insns[i].imm] = 1;
		if (insns[i].code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
	}
	for (i = 0; i < nr && n < 64; i++)
		if (is[i])
			info[n++] = (struct bpf_func_info){.insn_off = (uint32_t)i, .type_id = 3};
	free(is);
	return n;
}

static bool make_prog(struct state *s, int n)
{
	const struct prog_text *text = &s->test->progs[n];
	struct bpf_insn *insns = calloc(text->nr + 8, sizeof(*insns));
	struct bpf_func_info info[64];
	union bpf_attr attr = {0};
	size_t at = wrapped(s) ? wrap(s->test, insns) : 0, i;

	memcpy(insns + at, text->insns, text->nr * sizeof(*insns));
	for (i = at; i + 1 < at + text->nr; i++) {
		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (insns[i].src_reg && insns[i].src_reg <= BPF_PSEUDO_MAP_VALUE &&
		    insns[i].imm >= 0 && insns[i].imm < s->test->nr_maps)
			insns[i].imm = s->maps[insns[i].imm];
		i++;
	}
	attr.prog_type = s->test->type;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = (uint32_t)(at + text->nr);
	attr.license = (uintptr_t)(s->test->gpl ? "GPL" : "none");
	attr.log_buf = (uintptr_t)s->result->why;
	attr.log_size = sizeof(s->result->why);
	attr.log_level = 1;
	if (s->test->type == BPF_PROG_TYPE_SYSCALL)
		attr.prog_flags = BPF_F_SLEEPABLE;
	attr.func_info_cnt = find_funcs(insns, attr.insn_cnt, info);
	if (attr.func_info_cnt > 1 && s->btf >= 0) {
		attr.func_info = (uintptr_t)info;
		attr.func_info_rec_size = sizeof(info[0]);
		attr.prog_btf_fd = (uint32_t)s->btf;
	} else {
		attr.func_info_cnt = 0;
	}
	s->progs[n] = oracle_bpf(BPF_PROG_LOAD, &attr);
	if (s->progs[n] == -ENOSPC) {
		attr.log_level = 0;
		attr.log_buf = 0;
		attr.log_size = 0;
		s->progs[n] = oracle_bpf(BPF_PROG_LOAD, &attr);
	}
	free(insns);
	if (s->progs[n] < 0)
		s->result->outcome = REJECTED;
	return s->progs[n] >= 0;
}

static bool fill(struct state *s)
{
	const struct test *t = s->test;
	int i, j, fd = -1, cpu, ret;

	for (i = 0; i < t->nr_lines; i++) {
		const struct map_line *l = &t->lines[i];
		const struct map_def *d = &t->maps[l->map];
		uint8_t value[MAX_BYTES * 4] = {0};
		union bpf_attr attr = {.map_fd = (uint32_t)s->maps[l->map]};
		size_t size = (d->value + 7) / 8 * 8;

		attr.value = (uintptr_t)value;
		attr.key = (uintptr_t)l->key.data;
		if (l->what == SLOT) {
			for (j = 0; j < t->nr_progs && strcmp(t->progs[j].name, l->prog); j++)
				;
			fd = j < t->nr_progs ? s->progs[j] : -1;
			if (j == t->nr_progs && test_map(t, l->prog) >= 0)
				fd = s->maps[test_map(t, l->prog)];
			attr.key = (uintptr_t)&l->slot;
		} else if (l->what != ELEM) {
			continue;
		}
		memcpy(value, l->value.data, l->what == ELEM ? l->value.len : 0);
		if (l->what == SLOT)
			memcpy(value, &fd, sizeof(int));
		if (d->type == BPF_MAP_TYPE_PERCPU_ARRAY || d->type == BPF_MAP_TYPE_PERCPU_HASH)
			for (cpu = 1; cpu < skep_nr_cpus() && (cpu + 1) * size < sizeof(value);
			     cpu++)
				memcpy(value + cpu * size, value, size);
		ret = oracle_bpf(BPF_MAP_UPDATE_ELEM, &attr);
		if (ret < 0)
			return broken(s, "BPF_MAP_UPDATE_ELEM", ret);
	}
	return true;
}

static void collect(struct state *s)
{
	const struct test *t = s->test;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int i;

	for (i = 0; i < t->nr_lines; i++) {
		const struct map_line *l = &t->lines[i];
		struct bytes *out = &s->result->out[i];
		union bpf_attr attr = {
			.map_fd = (uint32_t)s->maps[l->map],
			.key = (uintptr_t)l->key.data,
			.value = (uintptr_t)out->data,
		};

		if (l->what != ELEM_OUT)
			continue;
		out->len = t->maps[l->map].value;
		out->given = true;
		out->none = oracle_bpf(BPF_MAP_LOOKUP_ELEM, &attr) < 0;
	}
	for (i = 0; i < t->nr_maps; i++) {
		size_t len = page + 2 * (size_t)t->maps[i].n;
		void *consumer, *producer;

		if (t->maps[i].type != BPF_MAP_TYPE_RINGBUF)
			continue;
		consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, s->maps[i], 0);
		producer = mmap(NULL, len, PROT_READ, MAP_SHARED, s->maps[i], (off_t)page);
		if (consumer == MAP_FAILED || producer == MAP_FAILED) {
			broken(s, "mmap", -errno);
			return;
		}
		ring_records(t, i, consumer, producer, s->result);
		munmap(consumer, page);
		munmap(producer, len);
	}
}

static void execute(struct state *s)
{
	const struct test *t = s->test;
	struct result *res = s->result;
	union bpf_attr attr = {0};
	int ret;

	attr.test.prog_fd = (uint32_t)s->progs[0];
	memcpy(res->mem.data, t->mem.data, t->mem.len);
	res->mem.len = t->mem.len;
	res->packet.len = sizeof(res->packet.data);
	if (wrapped(s)) {
		attr.test.ctx_in = (uintptr_t)res->mem.data;
		attr.test.ctx_size_in = (uint32_t)ctx_size(t);
	} else {
		attr.test.data_in = (uintptr_t)t->packet.data;
		attr.test.data_size_in = (uint32_t)t->packet.len;
		attr.test.data_out = (uintptr_t)res->packet.data;
		attr.test.data_size_out = sizeof(res->packet.data);
	}
	ret = oracle_bpf(BPF_PROG_TEST_RUN, &attr);
	if (ret < 0) {
		broken(s, "BPF_PROG_TEST_RUN", ret);
		return;
	}
	res->outcome = RAN;
	res->packet.len = attr.test.data_size_out;
	res->r0 = attr.test.retval;
	res->r0_32 = !wrapped(s) || kernel_r0_is_int(s->test);
	if (wrapped(s))
		memcpy(&res->r0, res->mem.data + ctx_size(t) - RESULT_ROOM, sizeof(res->r0));
}

static void run_kernel(const struct test *test, struct result *result)
{
	struct state s = {.test = test, .result = result, .btf = oracle_btf()};
	bool good;
	int i;

	memset(s.maps, 0xff, sizeof(s.maps));
	memset(s.progs, 0xff, sizeof(s.progs));
	good = make_maps(&s);
	for (i = 0; good && i < test->nr_progs; i++)
		good = make_prog(&s, i);
	if (good && fill(&s)) {
		execute(&s);
		if (result->outcome == RAN)
			collect(&s);
	}
	for (i = 0; i < MAX_MAPS; i++)
		if (s.maps[i] >= 0)
			close(s.maps[i]);
	for (i = 0; i < MAX_PROGS; i++)
		if (s.progs[i] >= 0)
			close(s.progs[i]);
	if (s.btf >= 0)
		close(s.btf);
}

static const char *unavailable(void)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_SYSCALL,
		.insns = (uintptr_t)insns,
		.insn_cnt = 2,
		.license = (uintptr_t) "GPL",
		.prog_flags = BPF_F_SLEEPABLE,
	};
	int fd = oracle_bpf(BPF_PROG_LOAD, &attr);

	if (fd < 0)
		return "bpf(2) does not load programs here; run as root";
	close(fd);
	return NULL;
}

const struct engine engine_kernel = {"kernel", unavailable, run_kernel, kernel_lacks};
