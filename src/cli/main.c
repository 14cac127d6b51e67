/* SPDX-License-Identifier: BSD-2-Clause */
/* skep VERB ...: finds the verb in cmd.def and runs it. */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/near.h"

static const struct {
	const char *name, *args, *what;
	int (*run)(struct skep_cli *cli, int argc, char **argv);
} verbs[] = {
#define SKEP_CMD(name, args, what) {#name, args, what, skep_cmd_##name},
#include "cli/cmd.def"
#undef SKEP_CMD
};

#define NR_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_log(struct skep_log *log, enum skep_log_level level, const char *msg)
{
	static const char *const prefix[] = {"error: ", "warning: ", "", ""};

	fflush(stdout);
	fprintf(stderr, "skep: %s%s\n", prefix[level], msg);
}

static void print_help(FILE *out)
{
	size_t i;

	fputs("skep: eBPF in one program: compile, load, run and inspect\n\n", out);
	for (i = 0; i < NR_VERBS; i++)
		fprintf(out, "  skep %-8s %-32s %s\n", verbs[i].name, verbs[i].args, verbs[i].what);
	fputs("\n`skep VERB --help` tells a verb's options.\n", out);
}

int skep_cli_fail(struct skep_cli *cli, struct skep_err *err)
{
	int status = skep_tag_exit(err->tag);

	fflush(stdout);
	fprintf(stderr, "skep: %s\n", err->msg[0] ? err->msg : "failed");
	if (err->detail && err->detail[0])
		fprintf(stderr, "%s%s", err->detail,
			err->detail[strlen(err->detail) - 1] == '\n' ? "" : "\n");
	skep_err_deinit(err);
	return status ? status : SKEP_EXIT_FAILED;
}

int skep_cli_usage(struct skep_cli *cli, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "skep %s: ", cli->verb);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\nskep: `skep %s --help` tells the options\n", cli->verb);
	return SKEP_EXIT_USAGE;
}

int skep_cli_end(struct skep_cli *cli, int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	/* A reader that went away (EPIPE) has what it wanted. */
	if (errno != EPIPE)
		fprintf(stderr, "skep: standard output: %s\n", strerror(errno));
	return status == SKEP_EXIT_OK ? SKEP_EXIT_FAILED : status;
}

int skep_cmd_version(struct skep_cli *cli, int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--help") && strcmp(argv[1], "-h"))
		return skep_cli_usage(cli, "takes no arguments, not '%s'", argv[1]);
	puts("skep " SKEP_VERSION);
	return skep_cli_end(cli, SKEP_EXIT_OK);
}

static int unknown_verb(const char *name)
{
	struct skep_near near;
	char text[400];
	size_t i;

	skep_near_init(&near, name);
	for (i = 0; i < NR_VERBS; i++)
		skep_near_add(&near, verbs[i].name);
	skep_near_text(&near, text, sizeof(text));
	fprintf(stderr, "skep: no verb '%s'%s%s\n", name, text,
		text[0] ? "" : "; `skep --help` lists them");
	return SKEP_EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct skep_cli cli = {
		.log = {.fn = print_log, .level = SKEP_LOG_INFO},
		.color = isatty(1) && !getenv("NO_COLOR"),
	};
	size_t i;

	if (argc < 2) {
		print_help(stderr);
		return SKEP_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "help") && argc == 3) {
		argv[1] = argv[2];
		argv[2] = "--help";
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_help(stdout);
		return skep_cli_end(&cli, SKEP_EXIT_OK);
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		argv[1] = "version";
	for (i = 0; i < NR_VERBS; i++) {
		if (strcmp(argv[1], verbs[i].name))
			continue;
		cli.verb = verbs[i].name;
		return verbs[i].run(&cli, argc - 1, argv + 1);
	}
	return unknown_verb(argv[1]);
}
