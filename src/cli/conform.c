/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep conform: which conformance groups of RFC 9669 (section 2.4) hold, by
 * engine.  skep conform --plugin [MEMORY]: runs one program given as hex.
 */
#include "cli/conform.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cli/cli.h"
#include "jit/jit.h"
#include "sys/sys.h"
#include "vm/vm.h"

enum { CHECKED, TRUSTED, JIT, JIT_CHECKED, BLINDED, KERNEL, NR_ENGINES };
static const char *const engine_names[NR_ENGINES] = {"checked",	    "trusted", "jit",
						     "jit-checked", "blinded", "kernel"};
static const char *const group_names[CONFORM_GROUPS] = {
	"base32", "base64", "atomic32", "atomic64", "divmul32", "divmul64", "packet"};

struct tally {
	unsigned int good, bad, skipped;
};

struct conform {
	struct skep_cli *cli;
	struct skep_sys *kernel; /* NULL: not to be had */
	struct skep_vm *vm;
	uint8_t *packet; /* below 4 GiB */
	struct tally tally[NR_ENGINES][CONFORM_GROUPS];
	bool verbose;
};

/* The program in one of skep's own engines, or NULL with @err. */
static struct skep_vm_prog *create(int engine, const struct bpf_insn *insns, uint32_t n,
				   uint32_t type, struct skep_err *err)
{
	struct skep_vm_prog_opts opts = {
		.sz = sizeof(opts),
		.name = "conform",
		.type = type,
		.gpl = true,
		.trusted = engine == TRUSTED || engine == JIT,
		.budget = 1u << 30,
	};
	struct skep_jit_opts jit = {.sz = sizeof(jit), .blind = engine == BLINDED};
	struct skep_vm_prog *prog = NULL;

	if (skep_vm_prog_create(&prog, insns, n, &opts, err) < 0)
		return NULL;
	if (engine >= JIT && skep_jit_compile(prog, &jit, err) < 0) {
		skep_vm_prog_put(prog);
		return NULL;
	}
	return prog;
}

static int run_own(struct conform *c, struct skep_vm_prog *prog, const struct conform_prog *p,
		   struct conform_io *io, struct skep_err *err)
{
	struct skep_vm_packet packet = {
		.head = c->packet,
		.tail = c->packet + CONFORM_PACKET,
		.meta = c->packet,
		.data = c->packet,
		.data_end = c->packet + CONFORM_PACKET,
		.mac = c->packet,
		.net = c->packet + 14,
	};
	struct __sk_buff skb = {.len = CONFORM_PACKET};
	struct skep_vm_run run = {
		.prog = prog, .ctx = io, .ctx_len = sizeof(*io), .ctx_write = true};
	uint64_t r0;
	int ret;

	if (p->packet) {
		run.packet = &packet;
		run.ctx = &skb;
		run.ctx_len = sizeof(skb);
	}
	ret = skep_vm_run(c->vm, &run, &r0, err);
	if (p->packet)
		io->out[0] = (uint32_t)r0;
	return ret;
}

static int load_kernel(struct conform *c, const struct conform_prog *p)
{
	union bpf_attr attr = {
		.prog_type = p->packet ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_SYSCALL,
		.insns = (uintptr_t)p->insns,
		.insn_cnt = p->n,
		.license = (uintptr_t) "GPL",
		.prog_flags = p->packet ? 0 : BPF_F_SLEEPABLE,
	};

	return skep_sys_bpf(c->kernel, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int run_kernel(struct conform *c, int fd, const struct conform_prog *p,
		      struct conform_io *io)
{
	union bpf_attr attr = {.test = {.prog_fd = (uint32_t)fd}};
	int ret;

	if (p->packet) {
		attr.test.data_in = (uintptr_t)conform_packet;
		attr.test.data_size_in = CONFORM_PACKET;
	} else {
		attr.test.ctx_in = (uintptr_t)io;
		attr.test.ctx_size_in = sizeof(*io);
	}
	ret = skep_sys_bpf(c->kernel, BPF_PROG_TEST_RUN, &attr, sizeof(attr.test));
	if (p->packet)
		io->out[0] = attr.test.retval;
	return ret;
}

static void judge(struct conform *c, int engine, const struct conform_prog *p, bool good)
{
	struct tally *t = &c->tally[engine][p->group];

	if (good)
		t->good++;
	else
		t->bad++;
	if (!good && c->verbose)
		fprintf(stderr, "skep: conform: %s: %s does not what RFC 9669 says\n",
			engine_names[engine], p->row);
}

static bool right(const struct conform_prog *p, const struct conform_io *want,
		  const struct conform_io *got)
{
	return p->packet ? want->out[0] == got->out[0] : !memcmp(want, got, sizeof(*want));
}

static void check_own(struct conform *c, int engine, const struct conform_prog *p)
{
	uint32_t type = p->packet ? BPF_PROG_TYPE_SOCKET_FILTER : BPF_PROG_TYPE_SYSCALL;
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_vm_prog *prog = create(engine, p->insns, p->n, type, &err);
	struct conform_io io, want;
	unsigned int i;

	if (!prog)
		judge(c, engine, p, false);
	for (i = 0; prog && conform_operands(p, i, &io); i++) {
		want = io;
		conform_rfc(p, &want);
		judge(c, engine, p, run_own(c, prog, p, &io, &err) == 0 && right(p, &want, &io));
	}
	if (err.msg[0] && c->verbose)
		fprintf(stderr, "skep: conform: %s\n", err.msg);
	skep_vm_prog_put(prog);
	skep_err_deinit(&err);
}

static void check_kernel(struct conform *c, const struct conform_prog *p)
{
	struct conform_io io, want;
	unsigned int i;
	int fd;

	if (p->unaligned) {
		c->tally[KERNEL][p->group].skipped++;
		return;
	}
	fd = load_kernel(c, p);
	if (fd < 0)
		judge(c, KERNEL, p, false);
	for (i = 0; fd >= 0 && conform_operands(p, i, &io); i++) {
		want = io;
		conform_rfc(p, &want);
		judge(c, KERNEL, p, run_kernel(c, fd, p, &io) == 0 && right(p, &want, &io));
	}
	if (fd >= 0)
		skep_sys_close(c->kernel, fd);
}

static int check(void *arg, const struct conform_prog *p)
{
	struct conform *c = arg;
	int engine;

	for (engine = 0; engine < KERNEL; engine++)
		if (engine < JIT || skep_jit_arch())
			check_own(c, engine, p);
	if (c->kernel)
		check_kernel(c, p);
	return 0;
}

/* Whether the kernel takes a program from us. */
static bool kernel_allowed(struct conform *c)
{
	static const struct conform_prog p = {
		.insns = {{.code = BPF_ALU64 | BPF_MOV | BPF_K}, {.code = BPF_JMP | BPF_EXIT}},
		.n = 2};
	int fd = load_kernel(c, &p);

	if (fd >= 0)
		skep_sys_close(c->kernel, fd);
	return fd >= 0;
}

static int print(const struct conform *c)
{
	int status = SKEP_EXIT_OK, engine, group;

	printf("%-10s", "group");
	for (engine = 0; engine < NR_ENGINES; engine++)
		printf(" %-16s", engine_names[engine]);
	for (group = 0; group < CONFORM_GROUPS; group++) {
		printf("\n%-10s", group_names[group]);
		for (engine = 0; engine < NR_ENGINES; engine++) {
			const struct tally *t = &c->tally[engine][group];
			char text[48];

			if (t->bad)
				snprintf(text, sizeof(text), "no: %u of %u", t->bad,
					 t->bad + t->good);
			else if (t->good)
				snprintf(text, sizeof(text), "yes (%u)", t->good);
			else
				snprintf(text, sizeof(text), "not here");
			printf(" %-16s", text);
			if (t->bad)
				status = SKEP_EXIT_FAILED;
		}
	}
	printf("\n");
	return status;
}

static int report(struct skep_cli *cli, bool verbose)
{
	struct conform c = {.cli = cli, .verbose = verbose};
	struct skep_err err = SKEP_ERR_INIT;
	int status;

	if (skep_vm_create(&c.vm, &err) < 0)
		return skep_cli_fail(cli, &err);
	c.packet = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
			-1, 0);
	c.kernel = skep_sys_kernel_create(NULL);
	if (c.packet == MAP_FAILED) {
		skep_vm_destroy(c.vm);
		skep_fail_nomem(&err);
		return skep_cli_fail(cli, &err);
	}
	memcpy(c.packet, conform_packet, CONFORM_PACKET);
	if (c.kernel && !kernel_allowed(&c)) {
		skep_sys_destroy(c.kernel);
		c.kernel = NULL;
	}
	conform_each(check, &c);
	status = print(&c);
	if (c.kernel)
		skep_sys_destroy(c.kernel);
	munmap(c.packet, 4096);
	skep_vm_destroy(c.vm);
	return skep_cli_end(cli, status);
}

/* Bytes from hexadecimal text; the number, or -1 with a digit missing or too many. */
static ssize_t unhex(const char *text, size_t len, uint8_t *out)
{
	ssize_t n = 0;
	int half = -1;
	size_t i;

	for (i = 0; i < len; i++) {
		int v = isdigit((unsigned char)text[i]) ? text[i] - '0' : (text[i] | 32) - 'a' + 10;

		if (isspace((unsigned char)text[i]))
			continue;
		if (!isxdigit((unsigned char)text[i]))
			return -1;
		if (half >= 0)
			out[n++] = (uint8_t)(half << 4 | v);
		half = half >= 0 ? -1 : v;
	}
	return half >= 0 ? -1 : n;
}

static int run_plugin(struct skep_cli *cli, int engine, struct skep_vm_prog *prog, uint8_t *mem,
		      size_t len, struct skep_err *err)
{
	struct skep_vm_run run = {
		.prog = prog, .ctx = len ? mem : NULL, .ctx_len = len, .ctx_write = true};
	struct skep_vm *vm = NULL;
	uint64_t r0 = 0;
	int ret = skep_vm_create(&vm, err);

	if (ret == 0)
		ret = skep_vm_run(vm, &run, &r0, err);
	skep_vm_destroy(vm);
	if (ret < 0)
		return skep_cli_fail(cli, err);
	printf("%llx\n", (unsigned long long)r0);
	return skep_cli_end(cli, SKEP_EXIT_OK);
}

static int plugin(struct skep_cli *cli, int engine, const char *memory)
{
	SKEP_AUTO_FREE uint8_t *mem = malloc(strlen(memory) / 2 + 1), *code = NULL;
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_vm_prog *prog;
	struct skep_file in = {0};
	ssize_t len, n;
	int status;

	if (skep_file_open(&in, "-", &err) < 0)
		return skep_cli_fail(cli, &err);
	code = malloc(in.len / 2 + 1);
	len = mem ? unhex(memory, strlen(memory), mem) : -1;
	n = code ? unhex(in.data, in.len, code) : -1;
	skep_file_close(&in);
	if (len < 0)
		return skep_cli_usage(cli, "the memory '%s' is no row of hexadecimal bytes",
				      memory);
	if (n <= 0 || n % (ssize_t)sizeof(struct bpf_insn))
		return skep_cli_usage(cli, "standard input is no program in hexadecimal: "
					   "8 bytes an instruction");
	prog = create(engine, (const void *)code, (uint32_t)(n / 8), 0, &err);
	if (!prog)
		return skep_cli_fail(cli, &err);
	status = run_plugin(cli, engine, prog, mem, (size_t)len, &err);
	skep_vm_prog_put(prog);
	return status;
}

static const char help[] =
	"usage: skep conform [-v]\n"
	"       skep conform --plugin [--engine NAME] [MEMORY]\n"
	"\n"
	"Prints which conformance groups of RFC 9669 hold in which engine: each\n"
	"instruction, on edge values, against what the RFC says.  \"yes (N)\": all N\n"
	"checks did.\n"
	"\n"
	"  -v, --verbose  name the instructions that fail\n"
	"  --plugin       run the program that stands as hexadecimal bytes on standard\n"
	"                 input, with r1 = the address of MEMORY (hexadecimal bytes),\n"
	"                 r2 = its length; prints r0 in hexadecimal\n"
	"  --engine NAME  checked, trusted, jit, jit-checked (default) or blinded\n";

int skep_cmd_conform(struct skep_cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"plugin", no_argument, NULL, 'p'},
						{"engine", required_argument, NULL, 'e'},
						{"verbose", no_argument, NULL, 'v'},
						{"help", no_argument, NULL, 'h'},
						{}};
	int engine = skep_jit_arch() ? JIT_CHECKED : CHECKED, opt;
	bool is_plugin = false, verbose = false;

	while ((opt = getopt_long(argc, argv, "+:vh", options, NULL)) >= 0) {
		switch (opt) {
		case 'p': is_plugin = true; break;
		case 'v': verbose = true; break;
		case 'e':
			for (engine = 0; engine < KERNEL; engine++)
				if (!strcmp(engine_names[engine], optarg))
					break;
			if (engine == KERNEL)
				return skep_cli_usage(cli, "no engine '%s' here", optarg);
			break;
		case 'h': fputs(help, stdout); return skep_cli_end(cli, SKEP_EXIT_OK);
		case ':': return skep_cli_usage(cli, "%s needs an argument", argv[optind - 1]);
		default: return skep_cli_usage(cli, "no option '%s'", argv[optind - 1]);
		}
	}
	if (argc - optind > is_plugin)
		return skep_cli_usage(cli, "too many arguments");
	if (is_plugin)
		return plugin(cli, engine, optind < argc ? argv[optind] : "");
	return report(cli, verbose);
}
