/* SPDX-License-Identifier: BSD-2-Clause */
/* The options of skep run: a row of run_opts.def each. */
#include "cli/run.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_link.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct row {
	const char *name, *arg, *help; /* arg NULL: takes none; help NULL: for tests */
	const char *(*set)(struct run_opts *o, void *field, const char *arg);
	size_t field; /* in struct run_opts */
	int letter; /* 0: only by its name */
};

/* What the setters return is NULL, or what is wrong. */
static const char *set_text(struct run_opts *o, void *field, const char *arg)
{
	(void)o;
	*(const char **)field = arg;
	return NULL;
}

static const char *set_flag(struct run_opts *o, void *field, const char *arg)
{
	(void)o;
	(void)arg;
	*(bool *)field = true;
	return NULL;
}

static const char *clear_flag(struct run_opts *o, void *field, const char *arg)
{
	(void)o;
	(void)arg;
	*(bool *)field = false;
	return NULL;
}

static const char *set_json(struct run_opts *o, void *field, const char *arg)
{
	(void)arg;
	return set_text(o, field, "json");
}

static const char *set_engine(struct run_opts *o, void *field, const char *arg)
{
	if (strcmp(arg, "kernel") && strcmp(arg, "user") && strcmp(arg, "both"))
		return "--engine is kernel, user or both";
	return set_text(o, field, arg);
}

/* A positive number of seconds. */
static const char *set_seconds(struct run_opts *o, void *field, const char *arg)
{
	double *seconds = field;
	char *end;

	errno = 0;
	*seconds = strtod(arg, &end);
	if (!errno && end != arg && !*end && *seconds > 0 && *seconds < 1e9)
		return NULL;
	return field == &o->duration ? "--duration takes seconds" : "--interval takes seconds";
}

static bool get_number(const char *text, uint64_t max, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(text, &end, 10);
	return !errno && isdigit((unsigned char)text[0]) && !*end && *n > 0 && *n <= max;
}

static const char *set_pid(struct run_opts *o, void *field, const char *arg)
{
	uint64_t n;

	(void)o;
	if (!get_number(arg, 1 << 22, &n))
		return "-p takes a process id";
	*(pid_t *)field = (pid_t)n;
	return NULL;
}

static const char *set_frequency(struct run_opts *o, void *field, const char *arg)
{
	(void)o;
	return get_number(arg, 100000, field)
		       ? NULL
		       : "--frequency takes samples a second, at most 100000";
}

static const char *set_period(struct run_opts *o, void *field, const char *arg)
{
	(void)o;
	return get_number(arg, INT64_MAX, field) ? NULL : "--period takes a number of events";
}

static const char *set_iter(struct run_opts *o, void *field, const char *arg)
{
	/* BPF_CGROUP_ITER_SELF_ONLY and on, in the kernel's order. */
	static const char *const orders[] = {"self", "pre", "post", "up"};
	static const char usage[] = "--iter takes map=NAME|ID|PIN, tid=N, pid=N or "
				    "order=self|pre|post|up";
	struct skep_iter_opts *it = field;
	const char *value = strchr(arg, '=');
	size_t len = value ? (size_t)(value - arg) : 0, i;
	uint64_t n;

	(void)o;
	if (!value || !*++value)
		return usage;
	if (len == 3 && !memcmp(arg, "map", 3)) {
		it->map = value;
		return NULL;
	}
	for (i = 0; len == 5 && !memcmp(arg, "order", 5) && i < 4; i++)
		if (!strcmp(value, orders[i])) {
			it->order = (unsigned int)i + 1;
			return NULL;
		}
	if (len != 3 || (memcmp(arg, "tid", 3) && memcmp(arg, "pid", 3)) ||
	    !get_number(value, 1 << 22, &n))
		return usage;
	*(arg[0] == 't' ? &it->tid : &it->pid) = (pid_t)n;
	return NULL;
}

/* One more NAME=VALUE. */
static const char *add_pair(void *field, const char *arg, const char *usage)
{
	struct run_pairs *pairs = field;

	if (!strchr(arg, '=') || arg[0] == '=')
		return usage;
	return skep_vec_push(&pairs->v, (char *)arg) ? "out of memory" : NULL;
}

static const char *set_xdp_mode(struct run_opts *o, void *field, const char *arg)
{
	static const struct {
		const char *name;
		uint32_t flag;
	} modes[] = {
		{"native", XDP_FLAGS_DRV_MODE},
		{"generic", XDP_FLAGS_SKB_MODE},
		{"offload", XDP_FLAGS_HW_MODE},
	};
	size_t i;

	(void)o;
	for (i = 0; i < SKEP_ARRAY_SIZE(modes); i++)
		if (!strcmp(arg, modes[i].name)) {
			*(uint32_t *)field = modes[i].flag;
			return NULL;
		}
	return "--xdp-mode is native, generic or offload";
}

static const char *add_set(struct run_opts *o, void *field, const char *arg)
{
	(void)o;
	return add_pair(field, arg, "--set takes NAME=VALUE");
}

static const char *add_attach(struct run_opts *o, void *field, const char *arg)
{
	(void)o;
	return add_pair(field, arg, "--attach takes PROGRAM=SECTION");
}

static const char *add_entries(struct run_opts *o, void *field, const char *arg)
{
	static const char usage[] = "--max-entries takes MAP=N, a number from 1 to 4294967295";
	const char *value = strchr(arg, '=');
	uint64_t n;

	(void)o;
	return value && get_number(value + 1, UINT32_MAX, &n) ? add_pair(field, arg, usage) : usage;
}

static const char *set_inject(struct run_opts *o, void *field, const char *arg)
{
	(void)field;
	o->inject_times = 1;
	if (sscanf(arg, "%d:%d:%d:%d", &o->inject_cmd, &o->inject_nth, &o->inject_errno,
		   &o->inject_times) >= 3 &&
	    o->inject_nth > 0 && o->inject_errno > 0 && o->inject_times > 0)
		return NULL;
	return "--inject takes CMD:NTH:ERRNO[:TIMES]";
}

static const struct row rows[] = {
#define RUN_OPT(name, letter, arg, set, field, help) \
	{name, arg, help, set, offsetof(struct run_opts, field), letter},
#include "cli/run_opts.def"
#undef RUN_OPT
};

#define NR_ROWS	    (sizeof(rows) / sizeof(rows[0]))
#define HELP_COLUMN 29

static void print_row(const struct row *row)
{
	char letter[5] = "";
	const char *line, *end;
	int n;

	if (row->letter)
		snprintf(letter, sizeof(letter), "-%c, ", row->letter);
	n = printf("  %s--%s%s%s", letter, row->name, row->arg ? " " : "",
		   row->arg ? row->arg : "");
	for (line = row->help; *line; line = end + (*end == '\n')) {
		end = strchrnul(line, '\n');
		if (line != row->help || n >= HELP_COLUMN) {
			putchar('\n');
			n = 0;
		}
		printf("%*s%.*s", HELP_COLUMN - n, "", (int)(end - line), line);
		n = HELP_COLUMN;
	}
	putchar('\n');
}

static void print_help(void)
{
	size_t i;

	fputs("skep run [OPTIONS] FILE [-- COMMAND ...]\n"
	      "\n"
	      "Loads the programs of FILE (C source, compiled with clang, or an object), attaches\n"
	      "them, and prints what they produce: bpf_printk() lines and records as they come, "
	      "maps\n"
	      "at the end.  With a COMMAND, only it and its descendants are observed, until it "
	      "ends.\n"
	      "\n",
	      stdout);
	for (i = 0; i < NR_ROWS; i++) {
		if (rows[i].help)
			print_row(&rows[i]);
	}
	fputs("\n"
	      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 a program was rejected by a "
	      "verifier\n(the others run), 4 unsupported.\n",
	      stdout);
}

/* What does not go together. */
static const char *check(const struct run_opts *o)
{
	if (o->pcap_out && !o->pcap)
		return "--pcap-out needs --pcap";
	if (o->pcap && (o->dev || o->command || o->pid))
		return "--pcap feeds the programs by itself: no --dev, -p or command with it";
	if (o->xdp_mode && !o->dev)
		return "--xdp-mode needs --dev";
	if (o->frequency && o->period)
		return "either --frequency or --period";
	if (o->pid && o->command)
		return "either -p or a command";
	if (o->engine && !strcmp(o->engine, "both") && !o->pcap && !o->command)
		return "--engine both compares what ends by itself: give a command or --pcap";
	if (o->pid && kill(o->pid, 0) < 0 && errno == ESRCH)
		return "there is no process of the id given to -p";
	return NULL;
}

/* 0, or 1 + the exit status. */
static int parse_rows(struct run *run, int n, char **argv)
{
	struct option options[NR_ROWS + 2] = {{"help", 0, NULL, 'h'}};
	char letters[2 * NR_ROWS + 3] = ":h", *at = letters + 2;
	const char *wrong;
	size_t i;
	int opt;

	for (i = 0; i < NR_ROWS; i++) {
		options[i + 1] = (struct option){rows[i].name, !!rows[i].arg, NULL, 256 + (int)i};
		if (rows[i].letter) {
			*at++ = (char)rows[i].letter;
			if (rows[i].arg)
				*at++ = ':';
		}
	}
	*at = '\0';
	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(n, argv, letters, options, NULL)) != -1) {
		if (opt == 'h') {
			print_help();
			return 1 + skep_cli_end(run->cli, SKEP_EXIT_OK);
		}
		if (opt == '?')
			return 1 + skep_cli_usage(run->cli, "no option '%s'", argv[optind - 1]);
		if (opt == ':')
			return 1 + skep_cli_usage(run->cli, "'%s' needs a value", argv[optind - 1]);
		for (i = 0; i < NR_ROWS && opt != rows[i].letter && opt != 256 + (int)i;)
			i++;
		wrong = rows[i].set(&run->o, (char *)&run->o + rows[i].field, optarg);
		if (wrong)
			return 1 + skep_cli_usage(run->cli, "%s, not '%s'", wrong, optarg);
	}
	return 0;
}

int run_parse(struct run *run, int argc, char **argv)
{
	struct run_opts *o = &run->o;
	const char *wrong;
	int ret, n = 1;

	o->view = "text";
	while (n < argc && strcmp(argv[n], "--"))
		n++;
	if (n < argc) {
		if (!argv[n + 1])
			return 1 + skep_cli_usage(run->cli, "no command after --");
		o->command = argv + n + 1;
		argv[n] = NULL;
	}
	ret = parse_rows(run, n, argv);
	if (ret)
		return ret;
	if (optind >= n)
		return 1 + skep_cli_usage(run->cli, "which FILE?");
	if (optind + 1 < n)
		return 1 + skep_cli_usage(run->cli, "one FILE only; a command comes after --");
	o->file = argv[optind];
	wrong = check(o);
	return wrong ? 1 + skep_cli_usage(run->cli, "%s", wrong) : 0;
}

void run_opts_deinit(struct run_opts *o)
{
	skep_vec_deinit(&o->sets.v);
	skep_vec_deinit(&o->attaches.v);
	skep_vec_deinit(&o->entries.v);
}
