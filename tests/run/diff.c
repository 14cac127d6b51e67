/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs in every engine: the same result, memory and maps, or the
 * seed is printed and the run fails.
 *
 * usage: diff [--seconds N] [--programs N] [--kernel PERCENT] [--hostile] [--seed N [-v]]
 * A program is compared with the checked interpreter's answer; the JIT runs it
 * with all passes, none, one at a time and random sets.  --hostile takes any
 * instructions instead: the interpreter and the JIT must agree in checked
 * mode, errors included.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "diff.h"
#include "jit/jit.h"
#include "vm/run.h"

#define TAILS 8 /* one program of so many may jump into others */

struct state {
	struct skep_vm *vm;
	struct skep_map *maps[GEN_HOSTILE], *inner;
	struct skep_vm_prog *targets[2]; /* of tail calls */
	struct gen g;
	struct world start;
	struct world now; /* what the maps hold */
	uint64_t seed, runs, agreed, ended, kernel, refused, failures;
	bool verbose;
};

struct answer {
	int ret;
	enum skep_tag tag;
	int insn;
	uint64_t r0;
	struct world w;
};

/* Empties the hash so that the next elements lie where they lay the last time. */
static void clear_hash(struct skep_map *map)
{
	const uint32_t n = gen_maps[MAP_HASH].max_entries, first = 1000;
	uint8_t value[24] = {0};
	uintptr_t last = UINTPTR_MAX;
	uint32_t k, i;

	while (skep_map_sys_next_key(map, NULL, &k) == 0)
		skep_map_delete(map, &k);
	for (k = first; k < first + n; k++)
		skep_map_update(map, &k, value, 0, 0);
	/* Free elements are a stack: from the highest address to the lowest. */
	for (i = 0; i < n; i++) {
		uintptr_t high = 0;
		uint32_t which = 0;

		for (k = first; k < first + n; k++) {
			uintptr_t at = (uintptr_t)skep_map_lookup(map, &k, 0);

			if (at < last && at > high) {
				high = at;
				which = k;
			}
		}
		last = high;
		skep_map_delete(map, &which);
	}
}

/* What only hostile programs have: the same before each run. */
static void set_hostile(struct state *s)
{
	uint8_t key[8] = {32}, zero[32] = {0};
	uint32_t k;

	while (skep_map_sys_next_key(s->maps[MAP_TRIE], NULL, key) == 0)
		skep_map_delete(s->maps[MAP_TRIE], key);
	memset(key, 0, sizeof(key));
	skep_map_update(s->maps[MAP_TRIE], key, zero, 0, 0);
	for (k = 0; k < 2; k++)
		memset(skep_map_lookup(s->inner, &k, 0), 0, 24);
}

static void set_world(struct state *s, const struct world *w)
{
	uint32_t k;

	/* Who sees addresses sees where an element lies, or makes keys of them. */
	if (s->g.leaks)
		clear_hash(s->maps[MAP_HASH]);
	if (s->g.leaks)
		set_hostile(s);
	for (k = 0; k < GEN_KEYS; k++)
		if (!s->g.leaks && (s->now.hash[k].there && !w->hash[k].there))
			skep_map_delete(s->maps[MAP_HASH], &k);
	for (k = GEN_KEYS; k-- > 0;)
		if (w->hash[k].there &&
		    (s->g.leaks || memcmp(&s->now.hash[k], &w->hash[k], sizeof(w->hash[k]))))
			skep_map_update(s->maps[MAP_HASH], &k, w->hash[k].value, 0, 0);
	k = 0;
	memcpy(skep_map_lookup(s->maps[MAP_DIRECT], &k, 0), w->direct, sizeof(w->direct));
	for (k = 0; k < 4; k++)
		memcpy(skep_map_lookup(s->maps[MAP_ARRAY], &k, 0), w->array[k], 32);
	for (k = 0; k < 2; k++)
		memcpy(skep_map_lookup(s->maps[MAP_PERCPU], &k, 0), w->percpu[k], 16);
}

static void get_world(struct state *s, struct world *w)
{
	uint32_t k;

	for (k = 0; k < GEN_KEYS; k++) {
		void *v = skep_map_lookup(s->maps[MAP_HASH], &k, 0);

		w->hash[k].there = v != NULL;
		memset(w->hash[k].value, 0, sizeof(w->hash[k].value));
		if (v)
			memcpy(w->hash[k].value, v, sizeof(w->hash[k].value));
	}
	k = 0;
	memcpy(w->direct, skep_map_lookup(s->maps[MAP_DIRECT], &k, 0), sizeof(w->direct));
	for (k = 0; k < 4; k++)
		memcpy(w->array[k], skep_map_lookup(s->maps[MAP_ARRAY], &k, 0), 32);
	for (k = 0; k < 2; k++)
		memcpy(w->percpu[k], skep_map_lookup(s->maps[MAP_PERCPU], &k, 0), 16);
}

static void run(struct state *s, const struct skep_vm_prog *prog, struct answer *a)
{
	static uint8_t ctx[GEN_CTX + 8] __attribute__((aligned(16)));
	static const struct skep_vm_env_ops ops;
	struct skep_vm_env env = {.ops = &ops, .tgid = 1, .pid = 1};
	struct skep_vm_run r = {
		.prog = prog, .env = &env, .ctx = ctx, .ctx_len = sizeof(ctx), .ctx_write = true};
	struct skep_err err = SKEP_ERR_INIT;

	memcpy(ctx, s->start.ctx, sizeof(ctx));
	set_world(s, &s->start);
	memset(a, 0, sizeof(*a));
	a->ret = skep_vm_run(s->vm, &r, &a->r0, &err);
	if (a->ret < 0 && s->verbose)
		printf("# %s\n", err.msg);
	if (a->ret < 0) {
		a->tag = err.tag;
		a->insn = err.insn;
	}
	skep_err_deinit(&err);
	memcpy(a->w.ctx, ctx, sizeof(ctx));
	get_world(s, &a->w);
	s->now = a->w;
	s->runs++;
}

static struct skep_vm_prog *create(struct state *s, bool trusted)
{
	struct skep_vm_prog_opts opts = {
		.sz = sizeof(opts),
		.name = "diff",
		.gpl = true,
		.trusted = trusted,
		.budget = s->g.leaks ? 4000 : 0,
		.maps = s->maps,
		.nr_maps = s->g.leaks || s->g.tails ? GEN_HOSTILE : GEN_MAPS,
	};
	struct bpf_insn insns[GEN_MAX + 64];
	struct skep_vm_prog *prog = NULL;
	struct skep_err err = SKEP_ERR_INIT;
	uint32_t i;

	memcpy(insns, s->g.insns, s->g.n * sizeof(insns[0]));
	for (i = 0; i < s->g.n; i++) {
		if (insns[i].code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		if (insns[i].src_reg == BPF_PSEUDO_MAP_FD)
			insns[i].src_reg = BPF_PSEUDO_MAP_IDX;
		else if (insns[i].src_reg == BPF_PSEUDO_MAP_VALUE)
			insns[i].src_reg = BPF_PSEUDO_MAP_IDX_VALUE;
		i++;
	}
	if (skep_vm_prog_create(&prog, insns, s->g.n, &opts, s->g.leaks ? NULL : &err) < 0 &&
	    !s->g.leaks)
		printf("# seed %llu: %s\n", (unsigned long long)s->seed, err.msg);
	skep_err_deinit(&err);
	return prog;
}

static const char *row_name(const struct bpf_insn *in)
{
	struct bpf_insn two[2] = {*in};
	struct skep_insn out;

	return skep_insn_decode(two, 2, 0, &out, NULL) > 0 ? skep_insn_table[out.op].name : "";
}

static void show(const struct state *s)
{
	uint32_t i;

	for (i = 0; i < s->g.n; i++) {
		const struct bpf_insn *in = &s->g.insns[i];

		printf("# %4u: %-18s r%d r%d off %d imm %d\n", i, row_name(in), in->dst_reg,
		       in->src_reg, in->off, in->imm);
	}
}

static void differ(struct state *s, const char *who, const struct answer *want,
		   const struct answer *got)
{
	const uint8_t *a = (const uint8_t *)&want->w, *b = (const uint8_t *)&got->w;
	size_t i;

	s->failures++;
	printf("# seed %llu: %s differs from the interpreter: %d insn %d r0 %llx, "
	       "not %d insn %d r0 %llx\n",
	       (unsigned long long)s->seed, who, got->ret, got->insn, (unsigned long long)got->r0,
	       want->ret, want->insn, (unsigned long long)want->r0);
	for (i = 0; i < sizeof(want->w); i++)
		if (a[i] != b[i]) {
			printf("# first different byte of the world: %zu: %02x, not %02x\n", i,
			       b[i], a[i]);
			break;
		}
	for (i = 0; i < GEN_KEYS && s->verbose; i++)
		if (memcmp(&want->w.hash[i], &got->w.hash[i], sizeof(want->w.hash[i])))
			printf("# key %zu: there %u, not %u; %llx, not %llx\n", i,
			       got->w.hash[i].there, want->w.hash[i].there,
			       *(const unsigned long long *)got->w.hash[i].value,
			       *(const unsigned long long *)want->w.hash[i].value);
	fflush(stdout);
}

static bool same(const struct state *s, const struct answer *want, const struct answer *got)
{
	/* The budget is counted at different places. */
	if (s->g.leaks && (want->tag == SKEP_E_RUN_LIMIT || got->tag == SKEP_E_RUN_LIMIT))
		return true;
	return want->ret == got->ret && want->tag == got->tag && want->insn == got->insn &&
	       want->r0 == got->r0 && !memcmp(&want->w, &got->w, sizeof(want->w));
}

static void check(struct state *s, const char *who, const struct answer *want,
		  const struct answer *got)
{
	if (same(s, want, got))
		s->agreed++;
	else
		differ(s, who, want, got);
}

static void jit(struct state *s, struct skep_vm_prog *prog, unsigned int passes,
		const struct answer *want)
{
	struct skep_jit_opts opts = {.sz = sizeof(opts), .without = ~passes};
	struct skep_err err = SKEP_ERR_INIT;
	struct answer got;
	char who[64];

	opts.blind = gen_random(&s->g) >> 33 & 1;
	snprintf(who, sizeof(who), "jit %s%s passes %x", prog->checked ? "checked" : "trusted",
		 opts.blind ? " blinded" : "", passes);
	if (skep_jit_compile(prog, &opts, &err) < 0) {
		s->failures++;
		printf("# seed %llu: %s: %s\n", (unsigned long long)s->seed, who, err.msg);
		skep_err_deinit(&err);
		return;
	}
	run(s, prog, &got);
	check(s, who, want, &got);
	prog->native->destroy(prog->native);
	prog->native = NULL;
}

static unsigned int some_passes(struct state *s, uint64_t n)
{
	uint64_t x = gen_random(&s->g) >> 32;

	if (n % 4 == 0)
		return 0;
	if (n % 4 == 1)
		return 1u << x % (unsigned int)__builtin_popcount(SKEP_JIT_PASS_ALL);
	return (unsigned int)x & SKEP_JIT_PASS_ALL;
}

/* Programs to jump into, one of them without checks unless anybody may come: in any engine. */
static void make_targets(struct state *s, bool hostile)
{
	struct gen g = s->g;
	uint32_t k;
	int fd;

	for (k = 0; k < 2; k++) {
		s->g.random = gen_random(&g) | 1;
		s->g.tails = gen_random(&g) >> 33 & 1;
		gen_program(&s->g);
		s->targets[k] = create(s, k && !hostile);
		if (gen_random(&g) >> 33 & 1)
			s->failures += skep_jit_compile(s->targets[k], NULL, NULL) < 0;
		fd = (int)k;
		s->failures += skep_map_sys_update(s->maps[MAP_PROGS], &k, &fd, 0) < 0;
	}
	s->g = g;
}

static void drop_targets(struct state *s)
{
	uint32_t k;

	for (k = 0; k < 2; k++) {
		skep_map_delete(s->maps[MAP_PROGS], &k);
		skep_vm_prog_put(s->targets[k]);
	}
}

static void ask_kernel(struct state *s, const struct answer *want)
{
	static char log[1 << 16];
	struct answer got = {.w = s->start};
	int ret = kernel_run(&s->g, &got.w, log, sizeof(log));

	if (ret > 0) {
		s->kernel++;
		check(s, "kernel", want, &got);
	} else {
		s->refused++;
		if (s->verbose)
			printf("%s\n", log);
	}
}

/* The program that has been generated, in every engine. */
static void compare(struct state *s, uint64_t seed, bool hostile, unsigned int kernel)
{
	struct skep_vm_prog *checked, *trusted;
	struct answer want, got;
	unsigned int i;

	checked = create(s, false);
	if (!checked) {
		s->failures += !hostile;
		return;
	}
	run(s, checked, &want);
	s->ended += want.ret == 0;
	/* Programs that jump into others may call deeper than there are frames. */
	if (!hostile && want.ret < 0 && !(s->g.tails && want.tag == SKEP_E_RUN_LIMIT))
		differ(s, "a program that must end well", &want, &want);
	jit(s, checked, seed % 2 ? SKEP_JIT_PASS_ALL : some_passes(s, seed / 2), &want);
	skep_vm_prog_put(checked);
	if (hostile || want.ret < 0)
		return;
	trusted = create(s, true);
	run(s, trusted, &got);
	check(s, "trusted", &want, &got);
	jit(s, trusted, seed % 2 ? some_passes(s, seed / 2) : SKEP_JIT_PASS_ALL, &want);
	for (i = 0; i <= SKEP_JIT_PASS_ALL && s->verbose; i++)
		jit(s, trusted, i, &want);
	skep_vm_prog_put(trusted);
	if (kernel && !s->g.tails && gen_random(&s->g) % 100 < kernel)
		ask_kernel(s, &want);
}

static void one(struct state *s, uint64_t seed, bool hostile, unsigned int kernel)
{
	s->seed = seed;
	s->g.random = seed * 0x9e3779b97f4a7c15ull | 1;
	gen_random(&s->g);
	s->g.tails = seed % TAILS == 0;
	if (s->g.tails)
		make_targets(s, hostile);
	gen_world(&s->g, &s->start);
	if (hostile)
		gen_hostile(&s->g);
	else
		gen_program(&s->g);
	if (s->verbose)
		show(s);
	compare(s, seed, hostile, kernel);
	if (s->g.tails)
		drop_targets(s);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The one map that has a descriptor. */
static struct skep_map *inner_map(void *ctx, int fd, int *ret)
{
	return ((struct state *)ctx)->inner;
}

/* A descriptor in MAP_PROGS is which of the targets. */
static void *target(void *ctx, int fd)
{
	return skep_vm_prog_get(((struct state *)ctx)->targets[fd]);
}

static void put_target(void *prog)
{
	skep_vm_prog_put(prog);
}

static uint32_t no_id(const void *prog)
{
	return 0;
}

static bool make_maps(struct state *s)
{
	static const struct skep_map_prog_ops ops = {
		.map = inner_map, .get = target, .put = put_target, .id = no_id};
	const union bpf_attr inner = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 24, .max_entries = 2};
	uint32_t i;
	int fd = 0;

	if (skep_map_create(&s->inner, &inner, NULL, NULL, NULL, NULL) < 0)
		return false;
	for (i = 0; i < GEN_HOSTILE; i++)
		if (skep_map_create(&s->maps[i], &gen_maps[i], &ops, s, NULL, NULL) < 0)
			return false;
	for (i = 0; i < 2; i++)
		if (skep_map_sys_update(s->maps[MAP_OUTER], &i, &fd, 0) < 0)
			return false;
	return true;
}

int main(int argc, char **argv)
{
	uint64_t first = 0, programs = UINT64_MAX, n = 0;
	static struct state s;
	unsigned int kernel = 0;
	bool hostile = false;
	double end = 0, start;
	int i;

	for (i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "0";

		if (!strcmp(argv[i], "--hostile"))
			hostile = true;
		else if (!strcmp(argv[i], "-v"))
			s.verbose = true;
		else if (!strcmp(argv[i], "--seconds"))
			end = strtod(value, NULL), i++;
		else if (!strcmp(argv[i], "--programs"))
			programs = strtoull(value, NULL, 10), i++;
		else if (!strcmp(argv[i], "--kernel"))
			kernel = (unsigned int)strtoul(value, NULL, 10), i++;
		else if (!strcmp(argv[i], "--seed"))
			first = strtoull(value, NULL, 10), i++;
		else
			return 2;
	}
	start = now();
	if (skep_vm_create(&s.vm, NULL) < 0)
		return 1;
	if (!make_maps(&s))
		return 1;
	if (kernel && kernel_open() < 0) {
		printf("# no kernel to compare with: bpf(2) is not allowed here\n");
		kernel = 0;
	}
	for (n = 0; n < programs && s.failures < 20; n++) {
		one(&s, first + n, hostile, kernel);
		if (end && !(n & 63) && now() - start > end)
			break;
	}
	kernel_close();
	for (i = 0; i < GEN_HOSTILE; i++)
		skep_map_put(s.maps[i]);
	skep_map_put(s.inner);
	skep_vm_destroy(s.vm);
	printf("# %llu programs (%.0f a second), %llu ended well, %llu runs, %llu comparisons "
	       "agree; kernel ran %llu, refused %llu\n",
	       (unsigned long long)n, (double)n / (now() - start), (unsigned long long)s.ended,
	       (unsigned long long)s.runs, (unsigned long long)s.agreed,
	       (unsigned long long)s.kernel, (unsigned long long)s.refused);
	printf("%sok 1 - %s programs: every engine gives the same\n1..1\n",
	       s.failures || !s.agreed ? "not " : "", hostile ? "hostile" : "random");
	return s.failures || !s.agreed;
}
