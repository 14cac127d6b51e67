/* SPDX-License-Identifier: BSD-2-Clause */
/* The options of skep run. */
#include "cli/run.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPT_ENGINE = 256,
	OPT_JSON,
	OPT_DURATION,
	OPT_INTERVAL,
	OPT_DEV,
	OPT_CGROUP,
	OPT_HOOK,
	OPT_PCAP,
	OPT_PCAP_OUT,
	OPT_SET,
	OPT_FREQUENCY,
	OPT_LOG_BPF,
	OPT_INJECT,
	OPT_NO_LOSSES,
	OPT_NO_CACHE,
	OPT_NO_JIT,
	OPT_JIT,
	OPT_PER_CPU,
	OPT_IGNORE,
};

static const struct option options[] = {
	{"engine", 1, NULL, OPT_ENGINE},
	{"json", 0, NULL, OPT_JSON},
	{"duration", 1, NULL, OPT_DURATION},
	{"interval", 1, NULL, OPT_INTERVAL},
	{"pid", 1, NULL, 'p'},
	{"dev", 1, NULL, OPT_DEV},
	{"cgroup", 1, NULL, OPT_CGROUP},
	{"hook", 1, NULL, OPT_HOOK},
	{"pcap", 1, NULL, OPT_PCAP},
	{"pcap-out", 1, NULL, OPT_PCAP_OUT},
	{"set", 1, NULL, OPT_SET},
	{"frequency", 1, NULL, OPT_FREQUENCY},
	{"per-cpu", 0, NULL, OPT_PER_CPU},
	{"ignore", 1, NULL, OPT_IGNORE},
	{"log-bpf", 0, NULL, OPT_LOG_BPF},
	{"inject", 1, NULL, OPT_INJECT},
	{"no-count-losses", 0, NULL, OPT_NO_LOSSES},
	{"no-cache", 0, NULL, OPT_NO_CACHE},
	{"jit", 0, NULL, OPT_JIT},
	{"no-jit", 0, NULL, OPT_NO_JIT},
	{"verbose", 0, NULL, 'v'},
	{"help", 0, NULL, 'h'},
	{0},
};

static void print_help(void)
{
	fputs("skep run [OPTIONS] FILE [-- COMMAND ...]\n"
	      "\n"
	      "Loads the programs of FILE (C source, compiled with clang, or an object), attaches\n"
	      "them, and prints what they produce: bpf_printk() lines and records as they come, "
	      "maps\n"
	      "at the end.  With a COMMAND, only it and its descendants are observed, until it "
	      "ends.\n"
	      "\n"
	      "  --engine kernel|user|both  who runs the programs; both: each, and compare\n"
	      "  --json                     one JSON object a line\n"
	      "  --duration SECONDS         stop after that time\n"
	      "  --interval SECONDS         print the maps again and again\n"
	      "  -p, --pid PID              observe this process and what it starts from now on\n"
	      "  --dev INTERFACE            network device for XDP, tc and socket filter programs\n"
	      "  --cgroup FOLDER            control group for cgroup, sockops and lsm_cgroup "
	      "programs\n"
	      "  --hook PLACE               prerouting, input, forward, output or postrouting: "
	      "for\n"
	      "                             netfilter programs\n"
	      "  --pcap FILE                run the packet programs on each packet of FILE\n"
	      "  --pcap-out FILE            write the packets that were passed, as modified\n"
	      "  --set NAME=VALUE           a global variable's value before loading; repeatable\n"
	      "  --frequency HZ             samples a second of perf_event programs (99)\n"
	      "  --per-cpu                  show per-CPU values one by one instead of their sum\n"
	      "  --ignore FIELD,...         fields that --engine both does not compare\n"
	      "  --no-count-losses          do not count what full maps and buffers refuse\n"
	      "  --no-jit                   skep's own engine interprets (default --jit: machine "
	      "code)\n"
	      "  --no-cache                 compile even if an object is kept\n"
	      "  --log-bpf                  print each bpf(2) call on stderr\n"
	      "  -v, --verbose              print the verifier's log\n"
	      "\n"
	      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 rejected by a verifier, 4 "
	      "unsupported.\n",
	      stdout);
}

/* A positive number of seconds. */
static bool get_seconds(const char *text, double *seconds)
{
	char *end;

	errno = 0;
	*seconds = strtod(text, &end);
	return !errno && end != text && !*end && *seconds > 0 && *seconds < 1e9;
}

static bool get_number(const char *text, uint64_t max, uint64_t *n)
{
	char *end;

	errno = 0;
	*n = strtoull(text, &end, 10);
	return !errno && isdigit((unsigned char)text[0]) && !*end && *n > 0 && *n <= max;
}

static bool get_inject(const char *text, struct run_opts *o)
{
	return sscanf(text, "%d:%d:%d", &o->inject_cmd, &o->inject_nth, &o->inject_errno) == 3 &&
	       o->inject_nth > 0 && o->inject_errno > 0;
}

/* Options that take a value which can be wrong.  NULL, or what is wrong. */
static const char *set_value(struct run_opts *o, int opt, const char *arg)
{
	uint64_t n;

	switch (opt) {
	case OPT_ENGINE:
		o->engine = arg;
		return !strcmp(arg, "kernel") || !strcmp(arg, "user") || !strcmp(arg, "both")
			       ? NULL
			       : "--engine is kernel, user or both";
	case OPT_DURATION:
		return get_seconds(arg, &o->duration) ? NULL : "--duration takes seconds";
	case OPT_INTERVAL:
		return get_seconds(arg, &o->interval) ? NULL : "--interval takes seconds";
	case 'p':
		if (!get_number(arg, 1 << 22, &n))
			return "-p takes a process id";
		o->pid = (pid_t)n;
		return NULL;
	case OPT_SET:
		if (!strchr(arg, '='))
			return "--set takes NAME=VALUE";
		return skep_vec_push(&o->sets, (char *)arg) ? "out of memory" : NULL;
	case OPT_FREQUENCY:
		return get_number(arg, 100000, &o->frequency)
			       ? NULL
			       : "--frequency takes samples a second, at most 100000";
	case OPT_INJECT: return get_inject(arg, o) ? NULL : "--inject takes CMD:NTH:ERRNO";
	default: return "unknown option";
	}
}

static const char *set_option(struct run_opts *o, int opt, const char *arg)
{
	switch (opt) {
	case OPT_JSON: o->view = "json"; return NULL;
	case OPT_DEV: o->dev = arg; return NULL;
	case OPT_CGROUP: o->cgroup = arg; return NULL;
	case OPT_HOOK: o->hook = arg; return NULL;
	case OPT_PCAP: o->pcap = arg; return NULL;
	case OPT_PCAP_OUT: o->pcap_out = arg; return NULL;
	case OPT_PER_CPU: o->per_cpu = true; return NULL;
	case OPT_IGNORE: o->ignore = arg; return NULL;
	case OPT_LOG_BPF: o->log_bpf = true; return NULL;
	case OPT_NO_LOSSES: o->no_losses = true; return NULL;
	case OPT_NO_CACHE: o->no_cache = true; return NULL;
	case OPT_NO_JIT: o->no_jit = true; return NULL;
	case OPT_JIT: o->no_jit = false; return NULL;
	case 'v': o->verbose = true; return NULL;
	default: return set_value(o, opt, arg);
	}
}

/* What does not go together. */
static const char *check(const struct run_opts *o)
{
	if (o->pcap_out && !o->pcap)
		return "--pcap-out needs --pcap";
	if (o->pcap && (o->dev || o->command || o->pid))
		return "--pcap feeds the programs by itself: no --dev, -p or command with it";
	if (o->pid && o->command)
		return "either -p or a command";
	if (o->engine && !strcmp(o->engine, "both") && !o->pcap && !o->command)
		return "--engine both compares what ends by itself: give a command or --pcap";
	if (o->pid && kill(o->pid, 0) < 0 && errno == ESRCH)
		return "there is no process of the id given to -p";
	return NULL;
}

int run_parse(struct run *run, int argc, char **argv)
{
	struct run_opts *o = &run->o;
	const char *wrong;
	int opt, n = 1;

	o->view = "text";
	while (n < argc && strcmp(argv[n], "--"))
		n++;
	if (n < argc) {
		if (!argv[n + 1])
			return 1 + skep_cli_usage(run->cli, "no command after --");
		o->command = argv + n + 1;
		argv[n] = NULL;
	}
	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(n, argv, ":p:vh", options, NULL)) != -1) {
		if (opt == 'h') {
			print_help();
			return 1 + skep_cli_end(run->cli, SKEP_EXIT_OK);
		}
		if (opt == '?')
			return 1 + skep_cli_usage(run->cli, "no option '%s'", argv[optind - 1]);
		if (opt == ':')
			return 1 + skep_cli_usage(run->cli, "'%s' needs a value", argv[optind - 1]);
		wrong = set_option(o, opt, optarg);
		if (wrong)
			return 1 + skep_cli_usage(run->cli, "%s, not '%s'", wrong, optarg);
	}
	if (optind >= n)
		return 1 + skep_cli_usage(run->cli, "which FILE?");
	if (optind + 1 < n)
		return 1 + skep_cli_usage(run->cli, "one FILE only; a command comes after --");
	o->file = argv[optind];
	wrong = check(o);
	return wrong ? 1 + skep_cli_usage(run->cli, "%s", wrong) : 0;
}
