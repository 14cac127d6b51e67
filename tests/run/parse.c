/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads the cases of a .bpf file; the format is README.md's. */
#include "parse.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helper/helper.h"
#include "isa/asm.h"

static bool bad(struct parser *p, const char *what)
{
	snprintf(p->error, sizeof(p->error), "%s, case '%s': %s", p->file, p->name, what);
	return false;
}

static bool parse_bytes(const char *s, struct bytes *b)
{
	b->given = true;
	if (!strncmp(s, "none", 4)) {
		b->none = true;
		return true;
	}
	for (;;) {
		unsigned int v;
		int n;

		while (isspace((unsigned char)*s))
			s++;
		if (!*s)
			return true;
		if (*s == '*') {
			unsigned long k = strtoul(s + 1, (char **)&s, 10);

			while (--k && b->len && b->len < MAX_BYTES) {
				b->data[b->len] = b->data[b->len - 1];
				b->len++;
			}
			continue;
		}
		if (sscanf(s, "%2x%n", &v, &n) != 1 || n != 2 || b->len == MAX_BYTES)
			return false;
		b->data[b->len++] = (uint8_t)v;
		s += n;
	}
}

static const struct {
	const char *name;
	uint32_t type;
} map_types[] = {
	{"array", BPF_MAP_TYPE_ARRAY},
	{"hash", BPF_MAP_TYPE_HASH},
	{"percpu_array", BPF_MAP_TYPE_PERCPU_ARRAY},
	{"percpu_hash", BPF_MAP_TYPE_PERCPU_HASH},
	{"prog_array", BPF_MAP_TYPE_PROG_ARRAY},
	{"perf_event_array", BPF_MAP_TYPE_PERF_EVENT_ARRAY},
	{"ringbuf", BPF_MAP_TYPE_RINGBUF},
	{"queue", BPF_MAP_TYPE_QUEUE},
	{"stack", BPF_MAP_TYPE_STACK},
	{"lpm_trie", BPF_MAP_TYPE_LPM_TRIE},
	{"array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS},
	{"hash_of_maps", BPF_MAP_TYPE_HASH_OF_MAPS},
	{"bloom_filter", BPF_MAP_TYPE_BLOOM_FILTER},
};

static const struct {
	const char *name;
	uint32_t type;
} prog_types[] = {
	{"syscall", BPF_PROG_TYPE_SYSCALL},
	{"xdp", BPF_PROG_TYPE_XDP},
	{"socket_filter", BPF_PROG_TYPE_SOCKET_FILTER},
	{"sched_cls", BPF_PROG_TYPE_SCHED_CLS},
};

int test_map(const struct test *t, const char *name)
{
	int i;

	for (i = 0; i < t->nr_maps; i++)
		if (!strcmp(t->maps[i].name, name))
			return i;
	return -1;
}

static bool parse_map(struct test *t, const char *s)
{
	struct map_def *d = &t->maps[t->nr_maps];
	char kind[32], *end;
	const char *p;
	size_t i;

	if (t->nr_maps == MAX_MAPS || sscanf(s, "%15s %31s", d->name, kind) != 2)
		return false;
	for (i = 0; i < sizeof(map_types) / sizeof(map_types[0]); i++)
		if (!strcmp(map_types[i].name, kind))
			d->type = map_types[i].type;
	for (p = strchr(s, '='); p; p = strchr(end, '=')) {
		uint32_t v = (uint32_t)strtoul(p + 1, &end, 0);

		if (!strncmp(p - 3, "key", 3))
			d->key = v;
		else if (!strncmp(p - 5, "value", 5))
			d->value = v;
		else if (!strncmp(p - 5, "flags", 5))
			d->flags = v;
		else if (!strncmp(p - 5, "extra", 5))
			d->extra = v;
		else if (!strncmp(p - 5, "inner", 5))
			d->inner = (int)v;
		else if (p[-1] == 'n')
			d->n = v;
		else
			return false;
	}
	t->nr_maps++;
	return d->type != 0;
}

static bool parse_line(struct test *t, int what, const char *s)
{
	struct map_line *l = &t->lines[t->nr_lines];
	char map[16], key[256];
	const char *eq = strchr(s, '=');
	int n;

	if (t->nr_lines == MAX_LINES || !eq || sscanf(s, "%15s%n", map, &n) != 1)
		return false;
	memset(l, 0, sizeof(*l));
	l->what = what;
	l->map = test_map(t, map);
	if (l->map < 0)
		return false;
	snprintf(key, sizeof(key), "%.*s", (int)(eq - s - n), s + n);
	eq++;
	t->nr_lines++;
	if (what == SLOT) {
		l->slot = (uint32_t)strtoul(key, NULL, 0);
		return sscanf(eq, "%31s", l->prog) == 1;
	}
	if (what != RING && !parse_bytes(key, &l->key))
		return false;
	while (*eq == ' ')
		eq++;
	return parse_bytes(eq, &l->value);
}

static bool parse_expect(struct test *t, const char *key, const char *s)
{
	char tag[40];
	int insn = -1;

	if (!strcmp(key, "fault") && sscanf(s, "%39s insn %d", tag, &insn) < 1)
		return false;
	if (!strcmp(key, "reject") && sscanf(s, "%39s", tag) != 1)
		return false;
	snprintf(t->expect.tag, sizeof(t->expect.tag), "%s", tag);
	t->expect.fault = !strcmp(key, "fault");
	t->expect.insn = insn;
	return true;
}

static bool parse_engine(struct test *t, int engine, const char *s, char *keep)
{
	if (!strncmp(s, "reject", 6) && engine == ENGINE_KERNEL)
		t->kernel_reject = true;
	else if (!strncmp(s, "accept", 6) && engine == ENGINE_KERNEL)
		t->kernel_accept = true;
	else if (!strncmp(s, "skip ", 5))
		t->skip[engine] = keep + 5;
	else
		return false;
	return true;
}

static uint64_t parse_number(const char *s)
{
	return *s == '-' ? 0 - strtoull(s + 1, NULL, 0) : strtoull(s, NULL, 0);
}

static bool parse_key(struct test *t, const char *key, char *s)
{
	size_t i;

	if (!strcmp(key, "type")) {
		for (i = 0; i < sizeof(prog_types) / sizeof(prog_types[0]); i++)
			if (!strcmp(prog_types[i].name, s))
				t->type = prog_types[i].type;
		return t->type != 0;
	}
	if (!strcmp(key, "mem"))
		return parse_bytes(s, &t->mem);
	if (!strcmp(key, "mem-out"))
		return parse_bytes(s, &t->mem_out);
	if (!strcmp(key, "packet"))
		return parse_bytes(s, &t->packet);
	if (!strcmp(key, "packet-out"))
		return parse_bytes(s, &t->packet_out);
	if (!strcmp(key, "r0")) {
		t->expect.r0_given = true;
		t->expect.r0 = parse_number(s);
		return true;
	}
	if (!strcmp(key, "budget"))
		return (t->budget = parse_number(s)) > 0;
	if (!strcmp(key, "gpl"))
		return t->gpl = strcmp(s, "no") != 0, true;
	if (!strcmp(key, "printk"))
		return t->nr_printk < 8 &&
		       snprintf(t->printk[t->nr_printk++], sizeof(t->printk[0]), "%s", s) >= 0;
	if (!strcmp(key, "reject") || !strcmp(key, "fault"))
		return parse_expect(t, key, s);
	if (!strcmp(key, "map"))
		return parse_map(t, s);
	if (!strcmp(key, "elem") || !strcmp(key, "elem-out"))
		return parse_line(t, key[4] ? ELEM_OUT : ELEM, s);
	if (!strcmp(key, "slot"))
		return parse_line(t, SLOT, s);
	if (!strcmp(key, "ring"))
		return parse_line(t, RING, s);
	if (!strcmp(key, "kernel"))
		return parse_engine(t, ENGINE_KERNEL, s, s);
	if (!strcmp(key, "trusted"))
		return parse_engine(t, ENGINE_TRUSTED, s, s) && parse_engine(t, ENGINE_JIT, s, s);
	if (!strcmp(key, "checked"))
		return parse_engine(t, ENGINE_CHECKED, s, s) &&
		       parse_engine(t, ENGINE_JIT_CHECKED, s, s) &&
		       parse_engine(t, ENGINE_BLINDED, s, s);
	return false;
}

static int helper_number(void *ctx, const char *name)
{
	uint32_t i;

	for (i = 1; i < SKEP_HELPER_MAX; i++) {
		const char *full = skep_helper_find(i)->name;

		if (!strcmp(full, name) || !strcmp(full + 4, name))
			return (int)i;
	}
	return -1;
}

static int map_number(void *ctx, const char *name)
{
	return test_map(ctx, name);
}

static bool assemble(struct parser *p, struct test *t)
{
	struct skep_asm_opts opts = {
		.sz = sizeof(opts),
		.ctx = t,
		.helper = helper_number,
		.map = map_number,
		.unchecked = true,
	};
	int i;

	for (i = 0; i < t->nr_progs; i++) {
		struct skep_err err = SKEP_ERR_INIT;

		if (skep_asm(t->progs[i].text, t->progs[i].len, &opts, &t->progs[i].insns,
			     &t->progs[i].nr, &err) < 0)
			return bad(p, err.msg);
	}
	return true;
}

/* "# key = value" or "# key value": false when the line is none. */
static bool split_line(char *line, char **key, char **value)
{
	char *s = line + 1;

	if (line[0] != '#')
		return false;
	while (*s == ' ')
		s++;
	*key = s;
	while (*s && *s != ' ')
		s++;
	if (s == *key)
		return false;
	if (*s)
		*s++ = 0;
	while (*s == ' ')
		s++;
	if (*s == '=')
		s++;
	while (*s == ' ')
		s++;
	*value = s;
	return true;
}

/* @text: the case's lines, NUL-terminated, changed and kept. */
static bool parse_case(struct parser *p, struct test *t, char *text)
{
	char *line, *next, *key, *value;
	struct prog_text *prog = &t->progs[0];
	char *copy = strdup(text);
	ptrdiff_t shift = text - copy;

	p->owned[p->nr_owned++] = copy;
	t->nr_progs = 1;
	snprintf(prog->name, sizeof(prog->name), "main");
	prog->text = text;
	for (line = copy; *line; line = next) {
		char *end = strchr(line, '\n');

		next = end ? end + 1 : line + strlen(line);
		if (end)
			*end = 0;
		if (!split_line(line, &key, &value) || !strcmp(key, "each") || !strcmp(key, "case"))
			continue;
		if (!strcmp(key, "prog") && t->nr_progs < MAX_PROGS) {
			prog->len = (size_t)(line + shift - prog->text);
			prog = &t->progs[t->nr_progs++];
			snprintf(prog->name, sizeof(prog->name), "%s", value);
			prog->text = line + shift;
		} else if (islower((unsigned char)*key) && !parse_key(t, key, value)) {
			char what[160];

			snprintf(what, sizeof(what), "bad line '# %s %s'", key, value);
			return bad(p, what);
		}
	}
	prog->len = strlen(prog->text);
	return assemble(p, t);
}

/* Replaces $1 and $2. */
static char *expand(const char *text, const char *a, const char *b)
{
	size_t size = strlen(text) * 2 + 4096, n = 0;
	char *out = malloc(size);

	for (; *text && n + 64 < size; text++) {
		if (text[0] == '$' && (text[1] == '1' || text[1] == '2'))
			n += (size_t)snprintf(out + n, size - n, "%s", *++text == '1' ? a : b);
		else
			out[n++] = *text;
	}
	out[n] = 0;
	return out;
}

void parse_reset(struct test *t)
{
	struct map_line *lines = t->lines;
	int i;

	for (i = 0; i < t->nr_progs; i++)
		free(t->progs[i].insns);
	memset(t, 0, sizeof(*t));
	t->lines = lines;
	t->type = BPF_PROG_TYPE_SYSCALL;
	t->gpl = true;
}

static bool one(struct parser *p, struct test *t, char *text, const char *suffix)
{
	parse_reset(t);
	p->owned[p->nr_owned++] = text;
	t->file = p->file;
	snprintf(t->name, sizeof(t->name), "%.60s%s", p->name, suffix);
	return parse_case(p, t, text);
}

bool parse_file(struct parser *p, char *text, struct test *t, void (*each)(struct test *t))
{
	char *at = strstr(text, "# case "), *next;
	bool good = true;
	int i;

	for (; at && good; at = next) {
		char a[32], b[32], r[32], suffix[80];
		char *line = at;
		bool any = false;

		next = strstr(at + 7, "# case ");
		if (next)
			next[-1] = 0;
		sscanf(at, "# case %79[^\n]", p->name);
		while (good && (line = strstr(line, "\n# each "))) {
			if (sscanf(++line, "# each %31s %31s = %31s", a, b, r) != 3)
				return bad(p, "bad line '# each'");
			snprintf(suffix, sizeof(suffix), ": %.24s, %.24s", a, b);
			good = one(p, t, expand(at, a, b), suffix);
			t->expect.r0_given = true;
			t->expect.r0 = parse_number(r);
			if (good)
				each(t);
			any = true;
			for (i = 0; i < p->nr_owned; i++)
				free(p->owned[i]);
			p->nr_owned = 0;
		}
		if (any || !good)
			continue;
		good = one(p, t, strdup(at), "");
		if (good)
			each(t);
		for (i = 0; i < p->nr_owned; i++)
			free(p->owned[i]);
		p->nr_owned = 0;
	}
	return good;
}
