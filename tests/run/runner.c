/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs every case of the .bpf files given in every engine and compares with
 * what the case says.  TAP.  A new engine is a row of `engines`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/tap.h"
#include "base/file.h"
#include "parse.h"

static const struct engine *const engines[] = {
	[ENGINE_CHECKED] = &engine_checked,	    [ENGINE_TRUSTED] = &engine_trusted,
	[ENGINE_JIT_CHECKED] = &engine_jit_checked, [ENGINE_JIT] = &engine_jit,
	[ENGINE_BLINDED] = &engine_blinded,	    [ENGINE_KERNEL] = &engine_kernel,
};

static const char *missing[NR_ENGINES];

void ring_records(const struct test *test, int map, const void *consumer, const void *producer,
		  struct result *result)
{
	const uint8_t *data = (const uint8_t *)producer + 4096;
	uint64_t at = *(const uint64_t *)consumer, end = *(const uint64_t *)producer;
	uint64_t mask = test->maps[map].n - 1;
	int i;

	for (i = 0; i < test->nr_lines; i++) {
		struct bytes *out = &result->out[i];
		uint32_t len;

		if (test->lines[i].what != RING || test->lines[i].map != map)
			continue;
		out->given = true;
		/* Discarded records are no records. */
		for (len = BPF_RINGBUF_DISCARD_BIT; at < end && len & BPF_RINGBUF_DISCARD_BIT;) {
			memcpy(&len, data + (at & mask), sizeof(len));
			out->len = len & ~(uint32_t)BPF_RINGBUF_DISCARD_BIT;
			if (!(len & BPF_RINGBUF_DISCARD_BIT))
				memcpy(out->data, data + (at & mask) + BPF_RINGBUF_HDR_SZ,
				       out->len);
			at += (out->len + BPF_RINGBUF_HDR_SZ + 7) / 8 * 8;
		}
		out->none = len & BPF_RINGBUF_DISCARD_BIT;
	}
}

static void note(char *why, size_t size, const char *what, const struct bytes *got)
{
	size_t i, n = strlen(why);

	n += (size_t)snprintf(why + n, size - n, "%s:", what);
	if (got->none)
		n += (size_t)snprintf(why + n, size - n, " none");
	for (i = 0; i < got->len && n + 8 < size && !got->none; i++)
		n += (size_t)snprintf(why + n, size - n, " %02x", got->data[i]);
	snprintf(why + n, size - n, "; ");
}

static bool same(const struct bytes *want, const struct bytes *got, const char *what, char *why,
		 size_t size)
{
	if (!want->given || (want->none && got->none))
		return true;
	if (want->none == got->none && want->len == got->len &&
	    !memcmp(want->data, got->data, want->len))
		return true;
	note(why, size, what, got);
	return false;
}

/* A run that ended well, against what the case says it gives. */
static bool right_output(const struct test *t, const struct result *r, int engine, char *why,
			 size_t size)
{
	uint64_t want = r->r0_32 ? (uint32_t)t->expect.r0 : t->expect.r0;
	bool good = true;
	int i;

	if (t->expect.r0_given && r->r0 != want) {
		snprintf(why, size, "r0 = 0x%llx, expected 0x%llx; ", (unsigned long long)r->r0,
			 (unsigned long long)want);
		good = false;
	}
	good &= same(&t->mem_out, &r->mem, "mem", why, size);
	good &= same(&t->packet_out, &r->packet, "packet", why, size);
	for (i = 0; i < t->nr_lines; i++)
		if (t->lines[i].what == ELEM_OUT || t->lines[i].what == RING)
			good &= same(&t->lines[i].value, &r->out[i], "map", why, size);
	for (i = 0; i < t->nr_printk && engine != ENGINE_KERNEL; i++) {
		size_t n = strlen(why);

		if (i < r->nr_printk && !strcmp(t->printk[i], r->printk[i]))
			continue;
		snprintf(why + n, size - n, "printk '%s'", i < r->nr_printk ? r->printk[i] : "");
		good = false;
	}
	return good;
}

static bool right(const struct test *t, const struct result *r, int engine, char *why, size_t size)
{
	bool kernel = engine == ENGINE_KERNEL;

	snprintf(why, size, "%s", "");
	if (kernel && (t->kernel_reject || (t->expect.tag[0] && !t->kernel_accept))) {
		if (r->outcome == REJECTED)
			return true;
		snprintf(why, size, "expected the verifier to refuse");
		return false;
	}
	if (kernel && t->kernel_accept && r->outcome == RAN)
		return true;
	if (!t->expect.tag[0]) {
		if (r->outcome == RAN)
			return right_output(t, r, engine, why, size);
		snprintf(why, size, "%s %s: %s",
			 r->outcome == REJECTED	 ? "refused"
			 : r->outcome == FAULTED ? "ended"
						 : "broken",
			 r->tag, r->why);
		return false;
	}
	if (r->outcome == (t->expect.fault ? FAULTED : REJECTED) &&
	    !strcmp(r->tag, t->expect.tag) && (t->expect.insn < 0 || t->expect.insn == r->insn))
		return true;
	snprintf(why, size, "outcome %d %s insn %d: %s", r->outcome, r->tag, r->insn, r->why);
	return false;
}

/* SKEP_RUN_ENGINE=kernel: only that one, where the others would do what they do everywhere. */
static bool asked_for(const char *engine)
{
	const char *only = getenv("SKEP_RUN_ENGINE");

	return !only || !strcmp(only, engine);
}

static void run_case(struct test *t)
{
	static struct result result;
	char why[4096 + 256];
	size_t i;

	for (i = 0; i < NR_ENGINES; i++) {
		const char *skip = t->skip[i];

		if (!asked_for(engines[i]->name))
			continue;
		/* Trusted means that somebody proved what checked mode would have found. */
		if ((i == ENGINE_TRUSTED || i == ENGINE_JIT) && t->expect.fault &&
		    !strcmp(t->expect.tag, "E_RUN_ACCESS"))
			continue;
		if (!skip)
			skip = missing[i];
		if (!skip && engines[i]->lacks)
			skip = engines[i]->lacks(t);
		if (skip) {
			ok(true, "%s: %s # SKIP %s", t->name, engines[i]->name, skip);
			continue;
		}
		memset(&result, 0, sizeof(result));
		result.outcome = BROKEN;
		result.insn = -1;
		engines[i]->run(t, &result);
		if (!ok(right(t, &result, (int)i, why, sizeof(why)), "%s: %s", t->name,
			engines[i]->name)) {
			char *line, *save = NULL;

			for (line = strtok_r(why, "\n", &save); line;
			     line = strtok_r(NULL, "\n", &save))
				printf("# %s\n", line);
			if (result.outcome == RAN || !result.why[0])
				continue;
		}
		if (getenv("VERBOSE") && result.why[0])
			printf("# %s\n", result.why);
	}
}

/* `runner --seeds DIR FILE...`: each main program as an input of tests/fuzz/fuzz_vm.c. */
static const char *seed_dir;

static void write_seed(struct test *t)
{
	static int count;
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/run-%d", seed_dir, count++);
	f = fopen(path, "w");
	if (!f)
		return;
	fputc(t->packet.given ? 3 : 1, f);
	fwrite(t->progs[0].insns, sizeof(struct bpf_insn), t->progs[0].nr, f);
	fclose(f);
}

int main(int argc, char **argv)
{
	struct test *t = calloc(1, sizeof(*t));
	int i;

	if (argc > 2 && !strcmp(argv[1], "--seeds")) {
		seed_dir = argv[2];
		argc -= 2;
		argv += 2;
	}

	t->lines = calloc(MAX_LINES, sizeof(*t->lines));
	for (i = 0; i < NR_ENGINES; i++)
		missing[i] = engines[i]->unavailable();
	for (i = 1; i < argc; i++) {
		struct parser p = {.file = argv[i]};
		struct skep_file file = {0};
		struct skep_err err = SKEP_ERR_INIT;
		char *text;

		if (!ok(skep_file_open(&file, argv[i], &err) == 0, "%s is read", argv[i])) {
			printf("# %s\n", err.msg);
			continue;
		}
		text = strndup(file.data, file.len);
		if (!ok(parse_file(&p, text, t, seed_dir ? write_seed : run_case),
			"%s is understood", argv[i]))
			printf("# %s\n", p.error);
		free(text);
		skep_file_close(&file);
	}
	parse_reset(t);
	free(t->lines);
	free(t);
	return done();
}
