/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep btf dump: the types of a kernel, module or object, as bpftool prints
 * them.  skep btf core is btf_core.c's.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "btf/btf.h"
#include "btf/dump.h"
#include "cli/btf_core.h"
#include "cli/cli.h"

struct args {
	const char *path, *base, *format;
	bool json;
};

static const char help[] =
	"usage: skep btf dump file FILE [format raw|c] [--base-btf FILE] [--json]\n"
	"\n"
	"Prints the types in FILE: raw BTF (/sys/kernel/btf/vmlinux, a module's) or an\n"
	"ELF file with a .BTF section.\n"
	"\n"
	"  format raw    each type on a line of its own, with its id (the default)\n"
	"  format c      a C header: `skep btf dump file /sys/kernel/btf/vmlinux format c`\n"
	"                is a vmlinux.h for this kernel\n"
	"  -B, --base-btf FILE\n"
	"                FILE is a module's BTF, which goes on where this one ends; for\n"
	"                modules in /sys/kernel/btf the kernel's, without being told\n"
	"  --json        raw: one JSON object a line, with bpftool's names\n"
	"\n";

static int fail_write(struct skep_err *err)
{
	return skep_fail(err, SKEP_E_SYSTEM, EIO, "standard output cannot be written");
}

static int dump_raw(const struct skep_btf *btf, struct skep_err *err)
{
	struct skep_btf_iter it = {.btf = btf, .own = true};
	struct skep_buf buf = SKEP_BUF_INIT;
	int ret = 0;

	while (ret == 0 && skep_btf_next(&it)) {
		skep_btf_dump_raw(&buf, btf, it.id);
		if (buf.oom)
			ret = skep_fail_nomem(err);
		if (buf.len < 65536)
			continue;
		if (fwrite(buf.data, 1, buf.len, stdout) != buf.len)
			ret = fail_write(err);
		skep_buf_reset(&buf);
	}
	if (ret == 0 && buf.len)
		fwrite(buf.data, 1, buf.len, stdout);
	skep_buf_deinit(&buf);
	return ret;
}

static int dump_json(const struct skep_btf *btf, struct skep_err *err)
{
	struct skep_btf_iter it = {.btf = btf, .own = true};
	struct json_object *o;

	while (skep_btf_next(&it)) {
		o = skep_btf_dump_json(btf, it.id);
		if (!o)
			return skep_fail_nomem(err);
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							       JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(o);
		if (ferror(stdout))
			return fail_write(err);
	}
	return 0;
}

static int dump_c(const struct skep_btf *btf, struct skep_err *err)
{
	struct skep_buf buf = SKEP_BUF_INIT;
	int ret = skep_btf_dump_c(&buf, btf, NULL, err);

	if (ret == 0)
		fwrite(skep_buf_str(&buf), 1, buf.len, stdout);
	skep_buf_deinit(&buf);
	return ret;
}

/* What @path's types go on from if nobody says: a module's from the kernel's. */
static const char *base_of(const char *path)
{
	static const char dir[] = "/sys/kernel/btf/";

	return !strncmp(path, dir, sizeof(dir) - 1) && strcmp(path + sizeof(dir) - 1, "vmlinux")
		       ? "/sys/kernel/btf/vmlinux"
		       : NULL;
}

static int dump(const struct args *a, struct skep_err *err)
{
	const char *base_path = a->base ? a->base : base_of(a->path);
	struct skep_btf *btf = NULL, *base = NULL;
	int ret = 0;

	if (base_path)
		ret = skep_btf_open_file(&base, base_path, NULL, err);
	if (ret == 0)
		ret = skep_btf_open_file(&btf, a->path, base, err);
	/* Nearly every type is looked at: what it points to should be found at once. */
	if (ret == 0 && skep_btf_index(btf) < 0)
		ret = skep_fail_nomem(err);
	if (ret == 0)
		ret = a->json			? dump_json(btf, err)
		      : !strcmp(a->format, "c") ? dump_c(btf, err)
						: dump_raw(btf, err);
	skep_btf_destroy(btf);
	skep_btf_destroy(base);
	return ret;
}

/* `dump file FILE [format F] [options]`, options anywhere.  NULL, or what is wrong. */
static const char *parse(int argc, char **argv, struct args *a, const char **what)
{
	const char *words[8] = {0};
	int i, n = 0;

	a->format = "raw";
	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j"))
			a->json = true;
		else if ((!strcmp(argv[i], "--base-btf") || !strcmp(argv[i], "--base") ||
			  !strcmp(argv[i], "-B")) &&
			 i + 1 < argc)
			a->base = argv[++i];
		else if (argv[i][0] == '-' && argv[i][1]) {
			*what = argv[i];
			return "unknown option (or one that lacks its value)";
		} else if (n < 8)
			words[n++] = argv[i];
	}
	if (n < 3 || strcmp(words[0], "dump") || strcmp(words[1], "file"))
		return "expected: dump file FILE, or core OBJECT";
	a->path = words[2];
	if (n == 5 && !strcmp(words[3], "format"))
		a->format = words[4];
	else if (n != 3)
		return "expected: format raw|c";
	if (strcmp(a->format, "raw") && strcmp(a->format, "c"))
		return "the format is raw or c";
	if (a->json && strcmp(a->format, "raw"))
		return "--json goes with format raw";
	return NULL;
}

/* `core OBJECT [PROGRAM[:INSN]] [options]`. */
static const char *parse_core(int argc, char **argv, struct btf_core_args *a, const char **what)
{
	int i;

	for (i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--json") || !strcmp(argv[i], "-j"))
			a->json = true;
		else if (!strcmp(argv[i], "--btf") && i + 1 < argc)
			a->btf = argv[++i];
		else if (argv[i][0] == '-' && argv[i][1]) {
			*what = argv[i];
			return "unknown option (or one that lacks its value)";
		} else if (!a->path)
			a->path = argv[i];
		else if (!a->which)
			a->which = argv[i];
		else
			return "expected: core OBJECT [PROGRAM[:INSN]]";
	}
	return a->path ? NULL : "expected: core OBJECT [PROGRAM[:INSN]]";
}

int skep_cmd_btf(struct skep_cli *cli, int argc, char **argv)
{
	bool is_core = argc > 1 && !strcmp(argv[1], "core");
	struct skep_err err = SKEP_ERR_INIT;
	const char *wrong, *what = NULL;
	struct btf_core_args core = {0};
	struct args a = {0};
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			if (!is_core)
				fputs(help, stdout);
			fputs(is_core || argc == 2 ? btf_core_help : "", stdout);
			return skep_cli_end(cli, SKEP_EXIT_OK);
		}
	}
	wrong = is_core ? parse_core(argc, argv, &core, &what) : parse(argc, argv, &a, &what);
	if (wrong)
		return skep_cli_usage(cli, "%s%s%s", wrong, what ? ": " : "", what ? what : "");
	if ((is_core ? btf_core(cli, &core, &err) : dump(&a, &err)) < 0)
		return skep_cli_fail(cli, &err);
	return skep_cli_end(cli, SKEP_EXIT_OK);
}
