/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep cc: compiles a program as skep run would, and writes the object to a
 * file, for bpftool, libbpf's loader or another machine.
 */
#include "cc/cc.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/vec.h"
#include "cli/cli.h"

struct args {
	const char *source, *out;
	bool no_cache;
	SKEP_VEC(const char *) flags;
};

/* As clang -c names it: dir/prog.bpf.c becomes prog.bpf.o in this folder. */
static bool default_out(char *out, size_t size, const char *source)
{
	const char *slash = strrchr(source, '/'), *base = slash ? slash + 1 : source;
	size_t len = strlen(base);

	if (len > 2 && strcmp(base + len - 2, ".c") == 0)
		len -= 2;
	return snprintf(out, size, "%.*s.o", (int)len, base) < (int)size;
}

static int compile(struct skep_cli *cli, const struct args *args, struct skep_err *err)
{
	struct skep_cc_opts opts = {
		.sz = sizeof(opts),
		.flags = args->flags.data,
		.no_cache = args->no_cache,
		.color = isatty(2) && !getenv("NO_COLOR"),
	};
	struct skep_cc_object object;
	int ret;

	ret = skep_cc_compile(&object, args->source, &opts, &cli->log, err);
	if (ret < 0)
		return ret;
	if (object.warnings)
		fputs(object.warnings, stderr);
	if (strcmp(args->out, "-"))
		ret = skep_file_write(args->out, object.data, object.len, err);
	else
		fwrite(object.data, 1, object.len, stdout);
	skep_cc_object_deinit(&object);
	return ret;
}

static const char help[] =
	"usage: skep cc [OPTION]... FILE.bpf.c\n"
	"\n"
	"Compiles a BPF program with clang, as `skep run` does: with a vmlinux.h made\n"
	"from this kernel's types, for BPF instructions of version 3, with types.\n"
	"\n"
	"  -o, --output OUT  write to OUT, - for standard output; without it\n"
	"                    dir/prog.bpf.c becomes prog.bpf.o in this folder\n"
	"  -X, --flag FLAG   one more argument for clang; repeatable\n"
	"  --no-cache        compile even if an object is kept\n"
	"\n"
	"SKEP_CLANG names the compiler (clang, else the newest clang-N).\n";

/* 0: go on, else 1 + exit status. */
static int parse(struct skep_cli *cli, struct args *args, int argc, char **argv)
{
	static const struct option longs[] = {{"output", required_argument, NULL, 'o'},
					      {"flag", required_argument, NULL, 'X'},
					      {"no-cache", no_argument, NULL, 'n'},
					      {"help", no_argument, NULL, 'h'},
					      {}};
	int c, oom = 0;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":o:X:h", longs, NULL)) != -1) {
		switch (c) {
		case 'o': args->out = optarg; break;
		case 'X': oom |= skep_vec_push(&args->flags, optarg); break;
		case 'n': args->no_cache = true; break;
		case 'h': fputs(help, stdout); return 1 + skep_cli_end(cli, SKEP_EXIT_OK);
		case ':': return 1 + skep_cli_usage(cli, "%s needs an argument", argv[optind - 1]);
		default: return 1 + skep_cli_usage(cli, "unknown option '%s'", argv[optind - 1]);
		}
	}
	oom |= args->flags.len ? skep_vec_push(&args->flags, NULL) : 0;
	if (oom)
		return 1 + skep_cli_usage(cli, "out of memory");
	if (optind + 1 != argc)
		return 1 + skep_cli_usage(cli, "needs one FILE of C source");
	args->source = argv[optind];
	return 0;
}

int skep_cmd_cc(struct skep_cli *cli, int argc, char **argv)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct args args = {};
	char out[PATH_MAX];
	int status;

	status = parse(cli, &args, argc, argv);
	if (status == 0 && !args.out) {
		args.out = out;
		if (!default_out(out, sizeof(out), args.source))
			status = 1 + skep_cli_usage(cli, "the name of FILE is too long; use -o");
	}
	if (status == 0 && compile(cli, &args, &err) < 0)
		status = 1 + skep_cli_fail(cli, &err);
	skep_vec_deinit(&args.flags);
	skep_err_deinit(&err);
	return skep_cli_end(cli, status ? status - 1 : SKEP_EXIT_OK);
}
