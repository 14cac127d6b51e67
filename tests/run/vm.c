/* SPDX-License-Identifier: BSD-2-Clause */
/* skep's interpreter, in both modes, over skep's maps. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jit/jit.h"
#include "parse.h"
#include "sys/sys.h"
#include "vm/vm.h"

#define PACKET_ROOM 4096

struct state {
	const struct test *test;
	struct result *result;
	bool trusted, jit, blind;
	struct skep_map *maps[MAX_MAPS];
	struct skep_vm_prog *progs[MAX_PROGS];
	struct skep_vm *vm;
};

static void *prog_get(void *ctx, int fd)
{
	struct state *s = ctx;

	return skep_vm_prog_get(s->progs[fd]);
}

static void prog_put(void *prog)
{
	skep_vm_prog_put(prog);
}

static uint32_t prog_id(const void *prog)
{
	return 1;
}

/* The descriptor of a map is its number in the test. */
static struct skep_map *inner_map(void *ctx, int fd, int *ret)
{
	const struct state *s = ctx;

	*ret = -EBADF;
	return fd >= 0 && fd < s->test->nr_maps ? s->maps[fd] : NULL;
}

static const struct skep_map_prog_ops prog_ops = {
	.get = prog_get, .put = prog_put, .id = prog_id, .map = inner_map};

static bool broken(struct state *s, const char *what, const struct skep_err *err)
{
	s->result->outcome = BROKEN;
	snprintf(s->result->why, sizeof(s->result->why), "%s: %s", what, err ? err->msg : "");
	return false;
}

static bool make_maps(struct state *s)
{
	struct skep_err err = SKEP_ERR_INIT;
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
			.inner_map_fd = (uint32_t)d->inner,
		};

		memcpy(attr.map_name, d->name, strlen(d->name));
		if (skep_map_create(&s->maps[i], &attr, &prog_ops, s, NULL, &err) < 0)
			return broken(s, "map", &err);
	}
	return true;
}

/* A program has the maps that it names; in the places of others one of those. */
static void named_maps(const struct state *s, const struct prog_text *text,
		       struct skep_map *maps[MAX_MAPS])
{
	bool named[MAX_MAPS] = {false};
	int i, any = 0;
	size_t at;

	for (at = 0; at + 1 < text->nr; at++) {
		const struct bpf_insn *insn = &text->insns[at];

		if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if ((insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE) &&
		    insn->imm >= 0 && insn->imm < s->test->nr_maps)
			named[any = insn->imm] = true;
		at++;
	}
	for (i = 0; i < s->test->nr_maps; i++)
		maps[i] = s->maps[named[i] || !named[any] ? i : any];
}

static bool make_prog(struct state *s, int n)
{
	const struct prog_text *text = &s->test->progs[n];
	struct skep_map *maps[MAX_MAPS];
	struct skep_vm_prog_opts opts = {
		.sz = sizeof(opts),
		.name = text->name,
		.type = s->test->type,
		.gpl = s->test->gpl,
		.trusted = s->trusted,
		.budget = s->test->budget,
		.maps = maps,
		.nr_maps = (uint32_t)s->test->nr_maps,
	};
	/* Cases are full of constants; one engine computes with them when it runs. */
	unsigned int without = s->trusted || s->blind ? 0 : SKEP_JIT_PASS_CONST;
	struct skep_jit_opts jit = {.sz = sizeof(jit), .blind = s->blind, .without = without};
	struct skep_err err = SKEP_ERR_INIT;
	struct bpf_insn *insns = calloc(text->nr, sizeof(*insns));
	size_t i;
	int ret;

	memcpy(insns, text->insns, text->nr * sizeof(*insns));
	named_maps(s, text, maps);
	for (i = 0; i + 1 < text->nr; i++) {
		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_FD)
			insns[i].src_reg = BPF_PSEUDO_MAP_IDX;
		else if (insns[i].src_reg == BPF_PSEUDO_MAP_VALUE)
			insns[i].src_reg = BPF_PSEUDO_MAP_IDX_VALUE;
		i++;
	}
	ret = skep_vm_prog_create(&s->progs[n], insns, (uint32_t)text->nr, &opts, &err);
	if (ret == 0 && s->jit)
		ret = skep_jit_compile(s->progs[n], &jit, &err);
	free(insns);
	if (ret < 0) {
		s->result->outcome = REJECTED;
		s->result->insn = err.insn;
		snprintf(s->result->tag, sizeof(s->result->tag), "%s", skep_tag_name(err.tag));
		snprintf(s->result->why, sizeof(s->result->why), "%s", err.msg);
		return false;
	}
	return true;
}

/* A value as the system call takes it: the same for each CPU. */
static bool fill(struct state *s)
{
	const struct test *t = s->test;
	int i, j, cpu;

	for (i = 0; i < t->nr_lines; i++) {
		const struct map_line *l = &t->lines[i];
		struct skep_map *map = s->maps[l->map];
		uint8_t value[MAX_BYTES * 4] = {0};
		size_t size = (map->value_size + 7) / 8 * 8;

		if (l->what == SLOT) {
			for (j = 0; j < t->nr_progs && strcmp(t->progs[j].name, l->prog); j++)
				;
			if (j == t->nr_progs)
				j = test_map(t, l->prog);
			if (j < 0 || skep_map_sys_update(map, &l->slot, &j, 0) < 0)
				return broken(s, "slot", NULL);
		}
		if (l->what != ELEM)
			continue;
		if (skep_map_sys_value_size(map) == map->value_size)
			memcpy(value, l->value.data, l->value.len);
		else
			for (cpu = 0; cpu < skep_nr_cpus() && cpu * size < sizeof(value); cpu++)
				memcpy(value + cpu * size, l->value.data, l->value.len);
		if (skep_map_sys_update(map, l->key.data, value, 0) < 0)
			return broken(s, "elem", NULL);
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

		if (l->what == ELEM_OUT) {
			out->len = s->maps[l->map]->value_size;
			out->given = true;
			out->none =
				skep_map_sys_value_size(s->maps[l->map]) > sizeof(out->data) ||
				skep_map_sys_lookup(s->maps[l->map], l->key.data, out->data, 0) < 0;
		}
	}
	for (i = 0; i < t->nr_maps; i++) {
		size_t len = page + 2 * (size_t)t->maps[i].n;
		uint8_t *consumer, *producer;

		if (t->maps[i].type != BPF_MAP_TYPE_RINGBUF)
			continue;
		consumer = skep_map_sys_mmap(s->maps[i], 0, page, PROT_READ | PROT_WRITE);
		producer = skep_map_sys_mmap(s->maps[i], (off_t)page, len, PROT_READ);
		if (skep_sys_is_err(consumer) || skep_sys_is_err(producer)) {
			broken(s, "mmap", NULL);
			return;
		}
		ring_records(t, i, consumer, producer, s->result);
		munmap(consumer, page);
		munmap(producer, len);
	}
}

struct test_env {
	struct skep_vm_env env;
	struct result *result;
};

static void printk(struct skep_vm_env *env, const char *text, size_t len)
{
	struct result *r = ((struct test_env *)env)->result;

	if (r->nr_printk < 8)
		snprintf(r->printk[r->nr_printk++], sizeof(r->printk[0]), "%.*s", (int)len, text);
}

static int comm(struct skep_vm_env *env, char buf[16])
{
	memcpy(buf, "runner", 7);
	return 0;
}

/* "User" memory is this process's own, as for the kernel: only what the test points at. */
static const struct skep_vm_env_ops env_ops = {.printk = printk, .comm = comm};

static void set_context(struct skep_vm_packet *p, void *ctx)
{
	struct xdp_md *xdp = ctx;

	xdp->data = (uint32_t)(uintptr_t)p->data;
	xdp->data_end = (uint32_t)(uintptr_t)p->data_end;
	xdp->data_meta = (uint32_t)(uintptr_t)p->meta;
}

static void set_skb(struct skep_vm_packet *p, void *ctx)
{
	struct __sk_buff *skb = ctx;

	skb->len = (uint32_t)(p->data_end - p->data);
	skb->data = (uint32_t)(uintptr_t)p->data;
	skb->data_end = (uint32_t)(uintptr_t)p->data_end;
}

static void execute(struct state *s)
{
	const struct test *t = s->test;
	struct result *res = s->result;
	struct test_env env = {
		.env = {.ops = &env_ops, .tgid = getpid(), .pid = getpid()},
		.result = res,
	};
	union {
		struct xdp_md xdp;
		struct __sk_buff skb;
	} ctx = {0};
	struct skep_vm_packet packet = {.moved = set_context, .write = true};
	struct skep_vm_run run = {.prog = s->progs[0], .env = &env.env};
	struct skep_err err = SKEP_ERR_INIT;
	uint8_t *room = NULL, *mem = malloc(t->mem.len ? t->mem.len : 1);
	int ret;

	memcpy(mem, t->mem.data, t->mem.len);
	run.ctx = t->mem.len ? mem : NULL;
	run.ctx_len = t->mem.len;
	run.ctx_write = true;
	if (t->type != BPF_PROG_TYPE_SYSCALL) {
		room = mmap(NULL, PACKET_ROOM, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
		packet.head = room;
		packet.tail = room + PACKET_ROOM;
		packet.data = packet.meta = packet.mac = room + 256;
		memcpy(packet.data, t->packet.data, t->packet.len);
		packet.data_end = packet.data + t->packet.len;
		packet.net = packet.data + 14;
		if (t->type == BPF_PROG_TYPE_SOCKET_FILTER)
			packet.data = packet.meta = packet.net;
		if (t->type != BPF_PROG_TYPE_XDP)
			packet.moved = set_skb;
		packet.moved(&packet, &ctx);
		run.packet = &packet;
		run.ctx = &ctx;
		run.ctx_len = t->type == BPF_PROG_TYPE_XDP ? sizeof(ctx.xdp) : sizeof(ctx.skb);
	}
	ret = skep_vm_run(s->vm, &run, &res->r0, &err);
	res->outcome = ret < 0 ? FAULTED : RAN;
	if (ret < 0) {
		res->insn = err.insn;
		snprintf(res->tag, sizeof(res->tag), "%s", skep_tag_name(err.tag));
		snprintf(res->why, sizeof(res->why), "%s", err.msg);
	}
	memcpy(res->mem.data, mem, t->mem.len);
	res->mem.len = t->mem.len;
	if (room) {
		uint8_t *from = t->type == BPF_PROG_TYPE_SOCKET_FILTER ? packet.mac : packet.data;

		res->packet.len = (size_t)(packet.data_end - from);
		memcpy(res->packet.data, from, res->packet.len);
		munmap(room, PACKET_ROOM);
	}
	free(mem);
}

static void run(const struct test *test, struct result *result, bool trusted, bool jit, bool blind)
{
	struct state s = {
		.test = test, .result = result, .trusted = trusted, .jit = jit, .blind = blind};
	struct skep_err err = SKEP_ERR_INIT;
	bool good;
	int i;

	good = skep_vm_create(&s.vm, &err) == 0 && make_maps(&s);
	for (i = 0; good && i < test->nr_progs; i++)
		good = make_prog(&s, i);
	if (good && fill(&s)) {
		execute(&s);
		collect(&s);
	}
	/* A program in an array that it uses holds itself: the last user empties the array. */
	for (i = 0; good && i < test->nr_lines; i++)
		if (test->lines[i].what == SLOT)
			skep_map_sys_delete(s.maps[test->lines[i].map], &test->lines[i].slot);
	for (i = 0; i < test->nr_maps; i++)
		skep_map_put(s.maps[i]);
	for (i = 0; i < test->nr_progs; i++)
		skep_vm_prog_put(s.progs[i]);
	skep_vm_destroy(s.vm);
}

static void run_checked(const struct test *test, struct result *result)
{
	run(test, result, false, false, false);
}

static void run_trusted(const struct test *test, struct result *result)
{
	run(test, result, true, false, false);
}

static void run_jit_checked(const struct test *test, struct result *result)
{
	run(test, result, false, true, false);
}

static void run_jit(const struct test *test, struct result *result)
{
	run(test, result, true, true, false);
}

static void run_blinded(const struct test *test, struct result *result)
{
	run(test, result, false, true, true);
}

static const char *jit_missing(void)
{
	return skep_jit_arch() ? NULL : "no JIT for this processor";
}

static const char *always(void)
{
	return NULL;
}

const struct engine engine_checked = {"checked", always, run_checked, NULL};
const struct engine engine_trusted = {"trusted", always, run_trusted, NULL};
const struct engine engine_jit_checked = {"jit checked", jit_missing, run_jit_checked, NULL};
const struct engine engine_blinded = {"jit blinded", jit_missing, run_blinded, NULL};
const struct engine engine_jit = {"jit", jit_missing, run_jit, NULL};
