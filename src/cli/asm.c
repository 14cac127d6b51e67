/* SPDX-License-Identifier: BSD-2-Clause */
/* skep asm: the text of skep disasm back into instructions; classic programs into eBPF. */
#include "isa/asm.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/disasm.h"
#include "isa/classic.h"

struct args {
	const char *out;
	bool hex, unchecked, classic;
};

static int assemble(const char *path, const struct args *args, struct bpf_insn **insns, size_t *n,
		    struct skep_err *err)
{
	struct skep_asm_opts opts = {
		.sz = sizeof(opts),
		.helper = skep_cli_helper_number,
		.unchecked = args->unchecked,
	};
	SKEP_AUTO_FREE struct sock_filter *filter = NULL;
	struct skep_file file = {};
	size_t len;
	int ret;

	ret = skep_file_open(&file, path, err);
	if (ret)
		return ret;
	if (args->classic) {
		ret = skep_classic_read(file.data, file.len, &filter, &len, err);
		if (!ret)
			ret = skep_classic_to_ebpf(filter, len, insns, n, err);
	} else {
		ret = skep_asm(file.data, file.len, &opts, insns, n, err);
	}
	skep_file_close(&file);
	return ret < 0 ? skep_wrap(err, ret, "%s", strcmp(path, "-") ? path : "standard input")
		       : ret;
}

static void put_hex(struct skep_buf *out, const struct bpf_insn *insns, size_t n)
{
	const unsigned char *p = (const void *)insns;
	size_t i;

	for (i = 0; i < n * sizeof(*insns); i++)
		skep_buf_printf(out, "%02x%c", p[i], i % 8 == 7 ? '\n' : ' ');
}

static int write_out(const struct args *args, const struct bpf_insn *insns, size_t n,
		     struct skep_err *err)
{
	struct skep_buf hex = SKEP_BUF_INIT;
	const void *data = insns;
	size_t len = n * sizeof(*insns);
	int ret = 0;

	if (args->hex) {
		put_hex(&hex, insns, n);
		data = skep_buf_str(&hex);
		len = hex.len;
	}
	if (hex.oom)
		ret = skep_fail_nomem(err);
	else if (args->out && strcmp(args->out, "-"))
		ret = skep_file_write(args->out, data, len, err);
	else
		fwrite(data, 1, len, stdout);
	skep_buf_deinit(&hex);
	return ret;
}

static const char help[] =
	"usage: skep asm [OPTION]... FILE|-\n"
	"\n"
	"Assembles the text that `skep disasm` and `bpftool prog dump xlated` print\n"
	"into raw instructions of 8 bytes each.\n"
	"\n"
	"  -o, --output OUT  write to OUT instead of standard output\n"
	"  -x, --hex         bytes in hex, a line an instruction\n"
	"  -n, --no-check    do not check that jumps stay within the program\n"
	"  -c, --classic     FILE is a classic program (text of tcpdump -ddd or -dd, or\n"
	"                    raw struct sock_filter); converts it to an eBPF socket\n"
	"                    filter\n";

int skep_cmd_asm(struct skep_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {
		{"output", required_argument, NULL, 'o'}, {"hex", no_argument, NULL, 'x'},
		{"no-check", no_argument, NULL, 'n'},	  {"classic", no_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},	  {}};
	SKEP_AUTO_FREE struct bpf_insn *insns = NULL;
	struct skep_err err = SKEP_ERR_INIT;
	struct args args = {};
	int c, ret, status = SKEP_EXIT_OK;
	size_t n;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":o:xnch", longs, NULL)) != -1) {
		switch (c) {
		case 'o': args.out = optarg; break;
		case 'x': args.hex = true; break;
		case 'n': args.unchecked = true; break;
		case 'c': args.classic = true; break;
		case 'h': fputs(help, stdout); return skep_cli_end(cli, SKEP_EXIT_OK);
		case ':': return skep_cli_usage(cli, "%s needs an argument", argv[optind - 1]);
		default: return skep_cli_usage(cli, "unknown option '%s'", argv[optind - 1]);
		}
	}
	if (optind + 1 != argc)
		return skep_cli_usage(cli, "needs one FILE, or - for standard input");
	ret = assemble(argv[optind], &args, &insns, &n, &err);
	if (!ret)
		ret = write_out(&args, insns, n, &err);
	if (ret < 0)
		status = skep_cli_fail(cli, &err);
	return skep_cli_end(cli, status);
}
