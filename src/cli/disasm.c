/* SPDX-License-Identifier: BSD-2-Clause */
/* skep disasm: instructions as text, from ELF sections, raw bytes or hex. */
#include "cli/disasm.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/vec.h"
#include "btf/elf.h"
#include "isa/classic.h"

/* clang-format off */
static const char *const helper_names[] = {
#define SKEP_HELPER(number, name, ...) [number] = "bpf_" #name,
#include "helper/helper.def"
};
/* clang-format on */

const char *skep_cli_helper_name(void *ctx, int32_t number)
{
	if (number < 0 || (size_t)number >= SKEP_ARRAY_SIZE(helper_names))
		return NULL;
	return helper_names[number];
}

int skep_cli_helper_number(void *ctx, const char *name)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(helper_names); i++)
		if (helper_names[i] && !strcmp(helper_names[i], name))
			return (int)i;
	return -1;
}

/* The labels and kernel symbols of bytes that came without names. */
struct plain {
	uint32_t *labels; /* number of the label at each slot, or 0 */
	char text[24];
	struct {
		int32_t imm; /* what a call holds: distance from __bpf_call_base */
		char name[128];
	} * calls;
	size_t nr_calls;
};

static const char *plain_label(void *ctx, size_t i)
{
	struct plain *p = ctx;

	if (!p->labels || !p->labels[i])
		return NULL;
	snprintf(p->text, sizeof(p->text), "L%u", p->labels[i]);
	return p->text;
}

static const char *loaded_helper(void *ctx, int32_t number)
{
	const char *name = skep_cli_helper_name(NULL, number);
	struct plain *p = ctx;
	size_t i;

	for (i = 0; !name && i < p->nr_calls; i++)
		if (p->calls[i].imm == number && p->calls[i].name[0])
			return p->calls[i].name;
	return name;
}

static const char *loaded_func(void *ctx, size_t i, const struct skep_insn *in)
{
	return in->kind == SKEP_KIND_CALL_KFUNC ? loaded_helper(ctx, in->imm) : NULL;
}

static int collect_calls(struct plain *p, const struct bpf_insn *insns, size_t n)
{
	size_t i, k;

	p->calls = calloc(n + 1, sizeof(*p->calls));
	if (!p->calls)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		if (insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].src_reg == BPF_PSEUDO_CALL)
			continue;
		for (k = 0; k < p->nr_calls && p->calls[k].imm != insns[i].imm; k++)
			;
		if (k == p->nr_calls)
			p->calls[p->nr_calls++].imm = insns[i].imm;
	}
	return 0;
}

/*
 * A loaded program calls helpers by their distance from __bpf_call_base: looks
 * them up among the kernel's symbols, as bpftool does.  Those that are hidden
 * from the caller or not found stay unnamed.
 */
static void name_calls(struct plain *p)
{
	char line[512], name[128];
	uint64_t base = 0, addr;
	size_t i;
	int pass;
	FILE *f = fopen("/proc/kallsyms", "r");

	if (!f)
		return;
	for (pass = 0; pass < 2 && (!pass || base); pass++) {
		rewind(f);
		while (fgets(line, sizeof(line), f)) {
			if (sscanf(line, "%" SCNx64 " %*c %127s", &addr, name) != 2)
				continue;
			if (!pass && !strcmp(name, "__bpf_call_base"))
				base = addr;
			for (i = 0; pass && i < p->nr_calls; i++)
				if (addr == base + (int64_t)p->calls[i].imm)
					strcpy(p->calls[i].name, name);
		}
	}
	fclose(f);
}

int skep_disasm_plain(struct skep_buf *out, const struct bpf_insn *insns, size_t n,
		      const struct skep_disasm_args *args, struct skep_err *err)
{
	struct plain p = {};
	struct skep_disasm_opts opts = {
		.sz = sizeof(opts),
		.ctx = &p,
		.helper = skep_cli_helper_name,
		.opcodes = args->opcodes,
		.loaded = args->loaded,
	};
	int ret = 0;

	if (args->loaded) {
		ret = collect_calls(&p, insns, n);
		if (!ret)
			name_calls(&p);
		opts.helper = loaded_helper;
		opts.func = loaded_func;
	} else if (!args->raw) {
		ret = skep_disasm_labels(insns, n, false, &p.labels, err);
		opts.label = plain_label;
	}
	if (!ret)
		ret = skep_disasm(out, insns, n, &opts, err);
	free(p.labels);
	free(p.calls);
	return ret;
}

/* Hex digits, blanks, commas and 0x only; at least one digit. */
static bool is_hex_text(const char *text, size_t len)
{
	size_t i, digits = 0;

	for (i = 0; i < len; i++) {
		unsigned char c = text[i];

		if (!isxdigit(c) && !isspace(c) && c != ',' && c != 'x' && c != 'X')
			return false;
		digits += !!isxdigit(c);
	}
	return digits >= 16;
}

static unsigned int hex_digit(int c)
{
	return isdigit(c) ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* "b7 01 ...", "b70100...", "0xb7, 0x01, ..." into bytes. */
static int parse_hex(const char *text, size_t len, void **bytes, size_t *n, struct skep_err *err)
{
	unsigned char *out = malloc(len / 2 + 1);
	size_t i, nr = 0, line = 1;

	if (!out)
		return skep_fail_nomem(err);
	for (i = 0; i < len; i++) {
		if (text[i] == '\n')
			line++;
		if (text[i] == '0' && i + 1 < len && (text[i + 1] | 0x20) == 'x') {
			i++;
			continue;
		}
		if (!isxdigit((unsigned char)text[i]))
			continue;
		if (i + 1 >= len || !isxdigit((unsigned char)text[i + 1])) {
			free(out);
			return skep_fail(err, SKEP_E_TRUNCATED, EINVAL,
					 "line %zu: a byte in hex has two digits", line);
		}
		out[nr++] = hex_digit(text[i]) << 4 | hex_digit(text[i + 1]);
		i++;
	}
	*bytes = out;
	*n = nr;
	return 0;
}

static int disasm_bytes(struct skep_buf *out, const void *data, size_t len,
			const struct skep_disasm_args *args, struct skep_err *err)
{
	SKEP_AUTO_FREE void *bytes = NULL;
	SKEP_AUTO_FREE struct bpf_insn *insns = NULL;
	int ret;

	if (is_hex_text(data, len)) {
		ret = parse_hex(data, len, &bytes, &len, err);
		if (ret)
			return ret;
		data = bytes;
	}
	if (len % sizeof(*insns) || !len)
		return skep_fail(err, SKEP_E_INSN_TRUNCATED, EINVAL,
				 "%zu bytes: neither ELF nor hex, and not a multiple of the "
				 "8 bytes of an instruction",
				 len);
	/* A copy, for the alignment. */
	insns = malloc(len);
	if (!insns)
		return skep_fail_nomem(err);
	memcpy(insns, data, len);
	return skep_disasm_plain(out, insns, len / sizeof(*insns), args, err);
}

static int disasm_classic(struct skep_buf *out, const void *data, size_t len, struct skep_err *err)
{
	SKEP_AUTO_FREE struct sock_filter *insns = NULL;
	size_t n;
	int ret;

	ret = skep_classic_read(data, len, &insns, &n, err);
	if (!ret)
		ret = skep_classic_disasm(out, insns, n, err);
	return ret;
}

static int disasm(struct skep_cli *cli, struct skep_buf *out, const char *path, bool classic,
		  const struct skep_disasm_args *args, struct skep_err *err)
{
	struct skep_file file = {};
	int ret;

	ret = skep_file_open(&file, path, err);
	if (ret)
		return ret;
	if (classic)
		ret = disasm_classic(out, file.data, file.len, err);
	else if (skep_elf_is(file.data, file.len))
		ret = skep_disasm_elf(cli, out, file.data, file.len, args, err);
	else if (args->section)
		ret = skep_fail(err, SKEP_E_USAGE, EINVAL, "no ELF file: it has no sections");
	else
		ret = disasm_bytes(out, file.data, file.len, args, err);
	skep_file_close(&file);
	return ret < 0 ? skep_wrap(err, ret, "%s", strcmp(path, "-") ? path : "standard input")
		       : ret;
}

static const char help[] =
	"usage: skep disasm [OPTION]... FILE|-\n"
	"\n"
	"Prints BPF instructions as `bpftool prog dump xlated` does.  FILE is an ELF\n"
	"object, raw instructions (8 bytes each), or bytes in hex.\n"
	"\n"
	"  -s, --section NAME  only this section of an ELF object\n"
	"  -o, --opcodes       the bytes under each instruction\n"
	"  -r, --raw           only what the bytes say: no labels, names, source lines\n"
	"  -x, --xlated        FILE is a dump of a loaded program (bpftool prog dump\n"
	"                      xlated ... file FILE): helpers are named from kallsyms\n"
	"  -c, --classic       a classic program: text of tcpdump -ddd or -dd, or raw\n"
	"                      struct sock_filter; prints what tcpdump -d prints\n"
	"\n"
	"`skep asm` takes the text back.\n";

int skep_cmd_disasm(struct skep_cli *cli, int argc, char **argv)
{
	static const struct option longs[] = {{"section", required_argument, NULL, 's'},
					      {"opcodes", no_argument, NULL, 'o'},
					      {"raw", no_argument, NULL, 'r'},
					      {"xlated", no_argument, NULL, 'x'},
					      {"classic", no_argument, NULL, 'c'},
					      {"help", no_argument, NULL, 'h'},
					      {}};
	struct skep_disasm_args args = {};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_buf out = SKEP_BUF_INIT;
	int c, ret, status = SKEP_EXIT_OK;
	bool classic = false;

	opterr = 0;
	while ((c = getopt_long(argc, argv, ":s:orxch", longs, NULL)) != -1) {
		switch (c) {
		case 's': args.section = optarg; break;
		case 'o': args.opcodes = true; break;
		case 'r': args.raw = true; break;
		case 'x': args.loaded = true; break;
		case 'c': classic = true; break;
		case 'h': fputs(help, stdout); return skep_cli_end(cli, SKEP_EXIT_OK);
		case ':': return skep_cli_usage(cli, "%s needs an argument", argv[optind - 1]);
		default: return skep_cli_usage(cli, "unknown option '%s'", argv[optind - 1]);
		}
	}
	if (optind + 1 != argc)
		return skep_cli_usage(cli, "needs one FILE, or - for standard input");
	if (classic && (args.section || args.opcodes || args.loaded))
		return skep_cli_usage(cli, "--classic goes with no other option");
	ret = disasm(cli, &out, argv[optind], classic, &args, &err);
	fwrite(skep_buf_str(&out), 1, out.len, stdout);
	skep_buf_deinit(&out);
	if (ret < 0)
		status = skep_cli_fail(cli, &err);
	return skep_cli_end(cli, status);
}
