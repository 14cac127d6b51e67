/* SPDX-License-Identifier: BSD-2-Clause */
/* skep link: several objects into one, as bpftool gen object does it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "obj/merge.h"

struct args {
	const char *out;
	char **files; /* nr of them */
	int nr;
};

static const char help[] =
	"usage: skep link FILE.o... -o OUT.o\n"
	"\n"
	"Links BPF objects into one: functions, variables and maps that one file\n"
	"declares extern and another defines become one, sections are joined, types\n"
	"deduplicated.  Of one file it makes one without debug information other than BTF.\n"
	"\n"
	"  -o, --output OUT  write to OUT, - for standard output\n"
	"\n"
	"What is static stays with its file; a strong definition replaces __weak ones;\n"
	"a function that is __hidden in any file is verified with its callers.  What the\n"
	"kernel provides (__kconfig, __ksym) stays extern.\n";

static int add_files(struct skep_merge *merge, const struct args *args, struct skep_file *files,
		     struct skep_err *err)
{
	int i, ret = 0;

	for (i = 0; !ret && i < args->nr; i++) {
		ret = skep_file_open(&files[i], args->files[i], err);
		if (!ret)
			ret = skep_merge_add(merge, files[i].data, files[i].len, args->files[i],
					     err);
	}
	return ret;
}

static int link_files(struct skep_cli *cli, const struct args *args, struct skep_err *err)
{
	struct skep_file *files = calloc((size_t)args->nr, sizeof(*files));
	struct skep_merge *merge = NULL;
	void *data = NULL;
	size_t len = 0;
	int i, ret;

	ret = files ? skep_merge_create(&merge, &cli->log, err) : skep_fail_nomem(err);
	if (!ret)
		ret = add_files(merge, args, files, err);
	if (!ret)
		ret = skep_merge_finish(merge, &data, &len, err);
	if (!ret && strcmp(args->out, "-"))
		ret = skep_file_write(args->out, data, len, err);
	else if (!ret)
		fwrite(data, 1, len, stdout);
	free(data);
	skep_merge_destroy(merge);
	for (i = 0; files && i < args->nr; i++)
		skep_file_close(&files[i]);
	free(files);
	return ret;
}

/* 0: go on, else 1 + exit status. */
static int parse(struct skep_cli *cli, struct args *args, int argc, char **argv)
{
	static const struct option longs[] = {
		{"output", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'}, {}};
	int c;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":o:h", longs, NULL)) != -1) {
		switch (c) {
		case 'o': args->out = optarg; break;
		case 'h': fputs(help, stdout); return 1 + skep_cli_end(cli, SKEP_EXIT_OK);
		case ':': return 1 + skep_cli_usage(cli, "%s needs an argument", argv[optind - 1]);
		default: return 1 + skep_cli_usage(cli, "unknown option '%s'", argv[optind - 1]);
		}
	}
	if (optind == argc)
		return 1 + skep_cli_usage(cli, "needs at least one FILE.o");
	if (!args->out)
		return 1 + skep_cli_usage(cli, "needs -o OUT.o");
	args->files = argv + optind;
	args->nr = argc - optind;
	return 0;
}

int skep_cmd_link(struct skep_cli *cli, int argc, char **argv)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct args args = {};
	int status = parse(cli, &args, argc, argv);

	if (status == 0 && link_files(cli, &args, &err) < 0)
		status = 1 + skep_cli_fail(cli, &err);
	skep_err_deinit(&err);
	return skep_cli_end(cli, status ? status - 1 : SKEP_EXIT_OK);
}
