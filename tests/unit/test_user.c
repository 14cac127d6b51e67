/* SPDX-License-Identifier: BSD-2-Clause */
/* src/user: the engine through the waist, as a loader uses it. */
#include <errno.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper/helper.h"
#include "sys/sys.h"
#include "tap.h"
#include "user/user.h"
#include "vm/vm.h"

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define MOV(d, i)	 INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define MOVR(d, s)	 INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD(d, i)	 INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LDX(sz, d, s, o) INSN(BPF_LDX | BPF_MEM | (sz), d, s, o, 0)
#define ST(sz, d, o, i)	 INSN(BPF_ST | BPF_MEM | (sz), d, 0, o, i)
#define CALL(i)		 INSN(BPF_JMP | BPF_CALL, 0, 0, 0, i)
#define JEQ0(d, o)	 INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, 0)
#define LDMAP(d, s, f)	 INSN(BPF_LD | BPF_IMM | BPF_DW, d, s, 0, f), INSN(0, 0, 0, 0, 0)
#define EXIT		 INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define N(a)		 (sizeof(a) / sizeof((a)[0]))

static struct skep_sys *sys;
static char logged[8][512];
static int nr_logged;

static void log_fn(struct skep_log *log, enum skep_log_level level, const char *msg)
{
	if (nr_logged < 8)
		snprintf(logged[nr_logged++], sizeof(logged[0]), "%s", msg);
}

static struct skep_log sink = {.fn = log_fn, .level = SKEP_LOG_WARN};

static int map_create(uint32_t type, uint32_t key, uint32_t value, uint32_t max, uint32_t flags)
{
	union bpf_attr attr = {.map_type = type,
			       .key_size = key,
			       .value_size = value,
			       .max_entries = max,
			       .map_flags = flags,
			       .map_name = "hits"};

	return skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static char log_buf[512];

static int load(uint32_t type, const struct bpf_insn *insns, size_t n, const char *name)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = (uint32_t)n;
	attr.license = (uintptr_t) "GPL";
	attr.log_buf = (uintptr_t)log_buf;
	attr.log_size = sizeof(log_buf);
	attr.log_level = 1;
	strcpy(attr.prog_name, name);
	return skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int elem(int cmd, int fd, const void *key, void *value, uint64_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	attr.flags = flags;
	return skep_sys_bpf(sys, cmd, &attr, sizeof(attr));
}

static int next_id(int cmd, uint32_t start)
{
	union bpf_attr attr;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.start_id = start;
	ret = skep_sys_bpf(sys, cmd, &attr, sizeof(attr));
	return ret ? ret : (int)attr.next_id;
}

static int info(int fd, void *to, uint32_t *len)
{
	union bpf_attr attr;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info = (uintptr_t)to;
	attr.info.info_len = *len;
	ret = skep_sys_bpf(sys, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));
	*len = attr.info.info_len;
	return ret;
}

static void test_attr(void)
{
	union {
		union bpf_attr attr;
		char bytes[5000];
	} big;
	int fd;

	memset(&big, 0, sizeof(big));
	big.attr.map_type = BPF_MAP_TYPE_ARRAY;
	big.attr.key_size = big.attr.value_size = 4;
	big.attr.max_entries = 1;
	fd = skep_sys_bpf(sys, BPF_MAP_CREATE, &big.attr, 16);
	ok(fd >= 0, "attributes end after max_entries");
	skep_sys_close(sys, fd);
	fd = skep_sys_bpf(sys, BPF_MAP_CREATE, &big.attr, 4096);
	ok(fd >= 0, "zeroes beyond what is known");
	skep_sys_close(sys, fd);
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &big.attr, 4097), -E2BIG, "more than a page");
	big.bytes[1000] = 1;
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &big.attr, 1001), -E2BIG, "trailing rubbish");
	big.bytes[1000] = 0;
	big.bytes[100] = 1;
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &big.attr, sizeof(big.attr)), -EINVAL,
	       "rubbish that the command does not use");
	is_int(skep_sys_bpf(sys, 999, &big.attr, sizeof(big.attr)), -EINVAL, "unknown command");
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, NULL, 16), -EFAULT, "no attributes");
	big.bytes[100] = 0;
	is_int(skep_sys_bpf(sys, BPF_OBJ_PIN, &big.attr, 16), -EOPNOTSUPP, "pins: not here");
	ok(strstr(sys->why, "kernel engine") != NULL, "and what would work instead");
	is_int(elem(BPF_MAP_LOOKUP_ELEM, 77, NULL, NULL, 0), -EBADF, "no such descriptor");
}

static void test_refs(void)
{
	int map = map_create(BPF_MAP_TYPE_HASH, 4, 8, 10, 0), prog, prog2, arr, key = 1;
	struct bpf_insn insns[] = {LDMAP(1, BPF_PSEUDO_MAP_FD, map), MOV(0, 0), EXIT};
	struct bpf_insn pass[] = {MOV(0, 2), EXIT};
	struct bpf_map_info mi = {0};
	struct bpf_prog_info pi = {0};
	struct bpf_insn dump[4];
	uint32_t len = sizeof(mi), ids[4] = {0}, id;

	prog = load(BPF_PROG_TYPE_XDP, insns, N(insns), "uses_map");
	ok(prog >= 0, "load (%s)", log_buf);
	is_int(info(map, &mi, &len), 0, "map info");
	ok(len == sizeof(mi) && !strcmp(mi.name, "hits") && mi.value_size == 8 && mi.id,
	   "its fields");
	pi.nr_map_ids = 4;
	pi.map_ids = (uintptr_t)ids;
	pi.xlated_prog_len = sizeof(dump);
	pi.xlated_prog_insns = (uintptr_t)dump;
	len = sizeof(pi);
	is_int(info(prog, &pi, &len), 0, "prog info");
	ok(pi.nr_map_ids == 1 && ids[0] == mi.id && !strcmp(pi.name, "uses_map") &&
		   pi.xlated_prog_len == 32 && dump[0].imm == (int)mi.id && pi.gpl_compatible,
	   "its map, name and instructions");
	skep_sys_close(sys, map);
	is_int(elem(BPF_MAP_LOOKUP_ELEM, map, &key, NULL, 0), -EBADF, "a closed descriptor");
	is_int(next_id(BPF_MAP_GET_NEXT_ID, mi.id - 1), mi.id, "the program holds its map");
	skep_sys_close(sys, prog);
	is_int(next_id(BPF_MAP_GET_NEXT_ID, mi.id - 1), -ENOENT, "and lets it go");
	is_int(next_id(BPF_PROG_GET_NEXT_ID, 0), -ENOENT, "no program is left");

	arr = map_create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2, 0);
	prog = load(BPF_PROG_TYPE_XDP, pass, N(pass), "one");
	prog2 = load(BPF_PROG_TYPE_SOCKET_FILTER, pass, N(pass), "two");
	is_int(elem(BPF_MAP_UPDATE_ELEM, arr, &key, &prog, 0), 0, "a program in a prog array");
	is_int(elem(BPF_MAP_UPDATE_ELEM, arr, &key, &prog2, 0), -EINVAL, "not one of another type");
	is_int(elem(BPF_MAP_UPDATE_ELEM, arr, &key, &arr, 0), -EBADF, "not a map");
	elem(BPF_MAP_LOOKUP_ELEM, arr, &key, &id, 0);
	skep_sys_close(sys, prog2);
	skep_sys_close(sys, prog);
	is_int(next_id(BPF_PROG_GET_NEXT_ID, 0), id, "the array holds it");
	skep_sys_close(sys, arr);
	is_int(next_id(BPF_PROG_GET_NEXT_ID, 0), -ENOENT, "until its last descriptor closes");
}

static int run_xdp(int prog, const void *in, uint32_t len, void *out, union bpf_attr *attr)
{
	memset(attr, 0, sizeof(*attr));
	attr->test.prog_fd = (uint32_t)prog;
	attr->test.data_in = (uintptr_t)in;
	attr->test.data_size_in = len;
	attr->test.data_out = (uintptr_t)out;
	attr->test.data_size_out = 4096;
	return skep_sys_bpf(sys, BPF_PROG_TEST_RUN, attr, sizeof(*attr));
}

static void test_xdp(void)
{
	/* Counts, takes 14 bytes off the front, gives the first byte left. */
	int map = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0), prog, key = 0;
	struct bpf_insn insns[] = {
		MOVR(6, 1),
		ST(BPF_W, 10, -4, 0),
		MOVR(2, 10),
		ADD(2, -4),
		LDMAP(1, BPF_PSEUDO_MAP_FD, map),
		CALL(BPF_FUNC_map_lookup_elem),
		JEQ0(0, 3),
		LDX(BPF_DW, 1, 0, 0),
		ADD(1, 1),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 0, 1, 0, 0),
		MOVR(1, 6),
		MOV(2, 14),
		CALL(BPF_FUNC_xdp_adjust_head),
		LDX(BPF_W, 1, 6, 0),
		LDX(BPF_B, 0, 1, 0),
		EXIT,
	};
	unsigned char in[64] = {0}, out[4096];
	union bpf_attr attr;
	uint64_t count = 0;

	in[14] = 0x45;
	prog = load(BPF_PROG_TYPE_XDP, insns, N(insns), "xdp");
	ok(prog >= 0, "XDP program loads (%s)", log_buf);
	is_int(run_xdp(prog, in, 64, out, &attr), 0, "runs");
	ok(attr.test.retval == 0x45 && attr.test.data_size_out == 50 && out[0] == 0x45,
	   "return value and packet (%u, %u)", attr.test.retval, attr.test.data_size_out);
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)prog;
	attr.test.data_in = (uintptr_t)in;
	attr.test.data_size_in = 64;
	attr.test.data_out = (uintptr_t)out;
	attr.test.data_size_out = 20;
	is_int(skep_sys_bpf(sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr)), -ENOSPC, "no room");
	is_int(attr.test.data_size_out, 50, "but how much there would be");
	is_int(run_xdp(prog, in, 13, out, &attr), -EINVAL, "less than an Ethernet header");
	elem(BPF_MAP_LOOKUP_ELEM, map, &key, &count, 0);
	is_int((long long)count, 2, "it counted");
	skep_sys_close(sys, map);
	skep_sys_close(sys, prog);
}

static int of_maps(uint32_t type, uint32_t flags, int inner)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 2;
	attr.map_flags = flags;
	attr.inner_map_fd = (uint32_t)inner;
	strcpy(attr.map_name, "outer");
	return skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info mi = {0};
	uint32_t len = sizeof(mi);

	return info(fd, &mi, &len) ? 0 : mi.id;
}

static void test_inner_refs(uint32_t type)
{
	int in = map_create(BPF_MAP_TYPE_HASH, 4, 8, 10, 0);
	int too = map_create(BPF_MAP_TYPE_HASH, 4, 8, 20, 0), out = of_maps(type, 0, in), key = 1;
	uint32_t id[2] = {map_id(in), map_id(too)}, got = 0;

	is_int(elem(BPF_MAP_UPDATE_ELEM, out, &key, &in, 0), 0, "a map of maps");
	skep_sys_close(sys, in);
	is_int(elem(BPF_MAP_LOOKUP_ELEM, out, &key, &got, 0), 0, "holds a map");
	ok(got == id[0] && next_id(BPF_MAP_GET_NEXT_ID, id[0] - 1) == (int)id[0], "gives its id");
	is_int(elem(BPF_MAP_UPDATE_ELEM, out, &key, &too, 0), 0, "another size is no other kind");
	ok(next_id(BPF_MAP_GET_NEXT_ID, id[0] - 1) == (int)id[1], "what is replaced goes");
	skep_sys_close(sys, too);
	is_int(next_id(BPF_MAP_GET_NEXT_ID, id[0]), id[1], "the other is held now");
	skep_sys_close(sys, out);
	is_int(next_id(BPF_MAP_GET_NEXT_ID, 0), -ENOENT, "all go with the map of maps");
}

static void test_inner_refused(void)
{
	int in = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 2, 0);
	int out = of_maps(BPF_MAP_TYPE_ARRAY_OF_MAPS, 0, in), key = 0;
	int progs = map_create(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 1, 0);
	int longer = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 3, 0);

	is_int(of_maps(BPF_MAP_TYPE_ARRAY_OF_MAPS, 0, out), -EINVAL, "maps of maps do not nest");
	ok(strstr(sys->why, "map 'outer': maps of maps do not nest: 'outer' is one"), "%s",
	   sys->why);
	is_int(of_maps(BPF_MAP_TYPE_HASH_OF_MAPS, 0, progs), -524, "nor hold prog arrays");
	ok(strstr(sys->why, "prog arrays cannot be in other maps"), "%s", sys->why);
	is_int(of_maps(BPF_MAP_TYPE_HASH_OF_MAPS, 0, 4321), -EBADF, "nor what is not there");
	ok(strstr(sys->why, "inner_map_fd 4321 is no map"), "%s", sys->why);
	is_int(elem(BPF_MAP_UPDATE_ELEM, out, &key, &longer, 0), -EINVAL, "an array is longer");
	is_int(elem(BPF_MAP_UPDATE_ELEM, out, &key, &in, 0), 0, "this one fits");
	skep_sys_close(sys, longer);
	skep_sys_close(sys, progs);
	skep_sys_close(sys, in);
	skep_sys_close(sys, out);
}

/* A helper that takes the map away which its program has just found. */
static int outer_fd;
static int taken;

static uint64_t take_away(struct skep_vm *vm, const uint64_t a[5])
{
	int key = 0;

	taken = elem(BPF_MAP_DELETE_ELEM, outer_fd, &key, NULL, 0);
	return 0;
}

static const struct skep_helper *away(void *ctx, uint32_t number)
{
	static const struct skep_helper helper = {.name = "take_away", .fn = take_away};

	return number == 5000 ? &helper : NULL;
}

static void test_inner_lives(bool no_jit, bool trusted)
{
	struct skep_user_opts opts = {
		.sz = sizeof(opts), .no_jit = no_jit, .trusted = trusted, .helper = away};
	struct skep_sys *before = sys;
	unsigned char in[64] = {0}, out[4096];
	union bpf_attr attr;
	uint64_t value = 77;
	int inner, key = 0, prog, id, ret;

	sys = skep_sys_user_create(&sink, &opts);
	inner = map_create(BPF_MAP_TYPE_HASH, 4, 8, 2, 0);
	outer_fd = of_maps(BPF_MAP_TYPE_HASH_OF_MAPS, 0, inner);
	id = (int)map_id(inner);
	elem(BPF_MAP_UPDATE_ELEM, inner, &key, &value, 0);
	elem(BPF_MAP_UPDATE_ELEM, outer_fd, &key, &inner, 0);
	skep_sys_close(sys, inner);
	prog = load(BPF_PROG_TYPE_XDP,
		    (struct bpf_insn[]){ST(BPF_W, 10, -4, 0), LDMAP(1, BPF_PSEUDO_MAP_FD, outer_fd),
					MOVR(2, 10), ADD(2, -4), CALL(1), JEQ0(0, 9), MOVR(6, 0),
					CALL(5000), MOVR(1, 6), MOVR(2, 10), ADD(2, -4), CALL(1),
					JEQ0(0, 2), LDX(BPF_DW, 0, 0, 0), EXIT, MOV(0, 5), EXIT},
		    18, "holds");
	taken = 1;
	ret = run_xdp(prog, in, 64, out, &attr);
	ok(ret == 0 && attr.test.retval == 77 && taken == 0,
	   "a map lives while a run holds it (%d, %u, %s)", ret, attr.test.retval, sys->why);
	is_int(next_id(BPF_MAP_GET_NEXT_ID, (uint32_t)id - 1), map_id(outer_fd), "and not longer");
	ret = run_xdp(prog, in, 64, out, &attr);
	ok(ret == 0 && attr.test.retval == 5, "the next run finds none");
	skep_sys_destroy(sys);
	sys = before;
}

struct runner {
	struct skep_vm_prog *prog;
	long bad;
};

static atomic_bool enough;

static void *run_on(void *arg)
{
	struct runner *r = arg;
	unsigned char ctx[64] = {0};
	struct skep_vm_run run = {.prog = r->prog, .ctx = ctx, .ctx_len = sizeof(ctx)};
	struct skep_vm *vm = NULL;
	uint64_t ret;

	r->bad = skep_vm_create(&vm, NULL) != 0;
	while (!r->bad && !atomic_load(&enough))
		r->bad = skep_vm_run(vm, &run, &ret, NULL) != 0 || ret > 1;
	skep_vm_destroy(vm);
	return NULL;
}

/* Maps come and go under two threads that run a program on them. */
static void test_inner_threads(uint32_t type)
{
	int in = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0), out = of_maps(type, 0, in), key = 0;
	struct bpf_insn insns[] = {ST(BPF_W, 10, -4, 0),
				   LDMAP(1, BPF_PSEUDO_MAP_FD, out),
				   MOVR(2, 10),
				   ADD(2, -4),
				   CALL(1),
				   JEQ0(0, 7),
				   MOVR(1, 0),
				   MOVR(2, 10),
				   ADD(2, -4),
				   CALL(1),
				   JEQ0(0, 2),
				   LDX(BPF_DW, 0, 0, 0),
				   ST(BPF_B, 10, -8, 0),
				   EXIT};
	struct runner r[2];
	pthread_t t[2];
	uint64_t one = 1;
	int prog = load(BPF_PROG_TYPE_SOCKET_FILTER, insns, N(insns), "many"), i, bad = 0;

	atomic_store(&enough, false);
	for (i = 0; i < 2; i++) {
		r[i] = (struct runner){.prog = skep_sys_user_prog(sys, prog)};
		pthread_create(&t[i], NULL, run_on, &r[i]);
	}
	for (i = 0; i < 2000; i++) {
		int next = map_create(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);

		bad += elem(BPF_MAP_UPDATE_ELEM, next, &key, &one, 0) != 0;
		bad += elem(BPF_MAP_UPDATE_ELEM, out, &key, &next, 0) != 0;
		skep_sys_close(sys, next);
		if (i % 3 == 0)
			bad += elem(BPF_MAP_DELETE_ELEM, out, &key, NULL, 0) != 0;
	}
	atomic_store(&enough, true);
	for (i = 0; i < 2; i++) {
		pthread_join(t[i], NULL);
		bad += r[i].bad != 0;
	}
	is_int(bad, 0, "maps come and go under two threads");
	skep_sys_close(sys, prog);
	skep_sys_close(sys, in);
	skep_sys_close(sys, out);
	is_int(next_id(BPF_MAP_GET_NEXT_ID, 0), -ENOENT, "none is left");
}

static void test_bloom(void)
{
	int fd, bad = 0, wrong = 0;
	union bpf_attr attr;
	uint64_t v;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_BLOOM_FILTER;
	attr.value_size = 8;
	attr.max_entries = 1000;
	attr.map_extra = 5;
	strcpy(attr.map_name, "seen");
	fd = skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr));
	for (v = 0; v < 1000; v++)
		bad += elem(BPF_MAP_UPDATE_ELEM, fd, NULL, &v, 0) != 0;
	for (v = 0; v < 1000; v++)
		bad += elem(BPF_MAP_LOOKUP_ELEM, fd, NULL, &v, 0) != 0;
	is_int(bad, 0, "a bloom filter forgets nothing");
	for (v = 1000; v < 11000; v++)
		wrong += elem(BPF_MAP_LOOKUP_ELEM, fd, NULL, &v, 0) != -ENOENT;
	/* 5 hashes, 8192 bits, 1000 values: (1 - e^(-5000/8192))^5 = 2% */
	ok(wrong < 400, "and takes few for others: %d of 10000", wrong);
	is_int(elem(BPF_MAP_LOOKUP_ELEM, fd, NULL, NULL, 0), -EFAULT, "it is asked with a value");
	skep_sys_close(sys, fd);
	attr.map_extra = 16;
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr)), -EINVAL, "16 hashes");
	ok(strstr(sys->why, "map 'seen': map_extra is 16, bloom filters have up to 15"), "%s",
	   sys->why);
}

static void test_bad_access(void)
{
	struct bpf_insn insns[] = {MOV(1, 0), LDX(BPF_DW, 0, 1, 0), EXIT};
	struct bpf_insn jump[] = {MOV(0, 0), INSN(BPF_JMP | BPF_JA, 0, 0, 7, 0), EXIT};
	struct bpf_insn lost[] = {LDMAP(1, BPF_PSEUDO_MAP_FD, 1234), MOV(0, 0), EXIT};
	unsigned char in[64] = {0}, out[4096];
	union bpf_attr attr;
	int prog = load(BPF_PROG_TYPE_XDP, insns, N(insns), "wild");

	nr_logged = 0;
	ok(run_xdp(prog, in, 64, out, &attr) < 0, "a wild read ends the run");
	ok(strstr(sys->why, "wild") && strstr(sys->why, "instruction 1"), "and is explained: %s",
	   sys->why);
	run_xdp(prog, in, 64, out, &attr);
	ok(nr_logged == 1 && strstr(logged[0], "prog 'wild': "), "told once: %s", logged[0]);
	skep_sys_close(sys, prog);
	ok(load(BPF_PROG_TYPE_XDP, jump, N(jump), "jump") < 0 && log_buf[0],
	   "a jump outside is refused: %s", log_buf);
	is_int(load(BPF_PROG_TYPE_XDP, lost, N(lost), "lost"), -EBADF, "no such map");
	ok(strstr(log_buf, "fd 1234") != NULL, "and the log says so");
}

static void test_printk(void)
{
	struct bpf_insn insns[] = {
		ST(BPF_W, 10, -8, 0x6c6c6568), /* "hell" */
		ST(BPF_W, 10, -4, 0x6f), /* "o" */
		MOVR(1, 10),
		ADD(1, -8),
		MOV(2, 6),
		CALL(BPF_FUNC_trace_printk),
		MOV(0, 0),
		EXIT,
	};
	struct skep_event ev = {.kind = SKEP_EVENT_PRINTK, .pid = -1, .cpu = 0};
	union bpf_attr attr;
	int prog = load(BPF_PROG_TYPE_RAW_TRACEPOINT, insns, N(insns), "hello"), fd;
	struct perf_event_mmap_page *page;
	char *raw;

	ok(prog >= 0, "load (%s)", log_buf);
	fd = sys->ops->event(sys, &ev);
	page = skep_sys_map(sys, fd, 0, 3 * 4096, PROT_READ | PROT_WRITE);
	ok(fd >= 0 && !skep_sys_is_err(page), "a buffer of printed lines");
	is_int(skep_sys_wait(sys, 0), 0, "nothing printed yet");
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)prog;
	is_int(skep_sys_bpf(sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr)), 0, "run");
	ok(skep_sys_wait(sys, -1) > 0, "wait tells of data");
	raw = (char *)page + 4096 + 8 + 24 + 4;
	is_str(raw + 12, "hello", "the line");
	munmap(page, 3 * 4096);
	skep_sys_close(sys, fd);
	skep_sys_close(sys, prog);
}

/* Counts the openat(2)s of `cat /dev/null` at its tracepoint, and prints pids to a ring buffer. */
static void test_command(void)
{
	int ring = map_create(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0), prog, ev_fd, link, status;
	struct bpf_insn insns[] = {
		CALL(BPF_FUNC_get_current_pid_tgid),
		INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 0, -8, 0),
		LDMAP(1, BPF_PSEUDO_MAP_FD, ring),
		MOVR(2, 10),
		ADD(2, -8),
		MOV(3, 8),
		MOV(4, 0),
		CALL(BPF_FUNC_ringbuf_output),
		MOV(0, 0),
		EXIT,
	};
	struct skep_event ev = {.kind = SKEP_EVENT_TRACEPOINT,
				.pid = -1,
				.cpu = 0,
				.tracepoint = {"syscalls", "sys_enter_openat"}};
	char *const argv[] = {"cat", "/dev/null", NULL};
	struct skep_command cmd = {.argv = argv};
	union bpf_attr attr;
	uint64_t *cons;
	char *ro;
	int n = 0, waits = 0;

	prog = load(BPF_PROG_TYPE_TRACEPOINT, insns, N(insns), "opens");
	ok(prog >= 0, "load (%s)", log_buf);
	cons = skep_sys_map(sys, ring, 0, 4096, PROT_READ | PROT_WRITE);
	ro = skep_sys_map(sys, ring, 4096, 3 * 4096, PROT_READ);
	is_int(sys->ops->spawn(sys, &cmd), 0, "spawn");
	ev_fd = sys->ops->event(sys, &ev);
	ok(ev_fd >= 0, "tracepoint (%s)", sys->why);
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)prog;
	attr.link_create.target_fd = (uint32_t)ev_fd;
	attr.link_create.attach_type = BPF_PERF_EVENT;
	link = skep_sys_bpf(sys, BPF_LINK_CREATE, &attr, sizeof(attr));
	ok(link >= 0, "link (%s)", sys->why);
	is_int(next_id(BPF_LINK_GET_NEXT_ID, 0), 1, "it has an id");
	is_int(sys->ops->release(sys, &cmd), 0, "release");
	while (!cmd.ended && waits++ < 1000) {
		if (skep_sys_wait(sys, 5000) <= 0)
			break;
		while (*cons < *(volatile uint64_t *)ro) {
			uint64_t *rec = (uint64_t *)(ro + 4096 + *cons % 4096);

			n += (uint32_t)rec[0] == 8 && rec[1] >> 32 == (uint64_t)cmd.pid;
			*cons += 16;
		}
	}
	ok(cmd.ended && WIFEXITED(cmd.status) && !WEXITSTATUS(cmd.status), "cat ran to its end");
	ok(n >= 3, "its opens came through: %d", n);
	status = waits;
	ok(status < 1000, "without a busy loop: %d waits", waits);
	skep_sys_close(sys, link);
	is_int(next_id(BPF_LINK_GET_NEXT_ID, 0), -ENOENT, "no link is left");
	sys->ops->reap(sys, &cmd);
	skep_sys_close(sys, ev_fd);
	skep_sys_close(sys, prog);
	munmap(cons, 4096);
	munmap(ro, 3 * 4096);
	skep_sys_close(sys, ring);
}

static void test_refused_events(void)
{
	struct skep_event ev = {.kind = SKEP_EVENT_UPROBE, .pid = -1, .cpu = 0};

	is_int(sys->ops->event(sys, &ev), -EOPNOTSUPP, "uprobes are refused");
	ok(strstr(sys->why, "kernel engine") != NULL, "with what would work: %s", sys->why);
}

int main(void)
{
	int fds[2];

	sys = skep_sys_user_create(&sink, NULL);
	test_attr();
	test_refs();
	test_xdp();
	test_inner_refs(BPF_MAP_TYPE_ARRAY_OF_MAPS);
	test_inner_refs(BPF_MAP_TYPE_HASH_OF_MAPS);
	test_inner_refused();
	test_inner_lives(false, false);
	test_inner_lives(true, false);
	test_inner_lives(true, true);
	test_inner_lives(false, true);
	test_inner_threads(BPF_MAP_TYPE_ARRAY_OF_MAPS);
	test_inner_threads(BPF_MAP_TYPE_HASH_OF_MAPS);
	test_bloom();
	test_bad_access();
	test_printk();
	test_command();
	test_refused_events();
	if (pipe(fds) == 0) {
		sys->ops->watch(sys, fds[0]);
		is_int(skep_sys_wait(sys, 10), 0, "nothing to read");
		ok(write(fds[1], "x", 1) == 1 && skep_sys_wait(sys, -1) > 0,
		   "a watched descriptor");
	}
	/* What is left open is the engine's to free. */
	map_create(BPF_MAP_TYPE_HASH, 4, 4, 1, 0);
	skep_sys_destroy(sys);
	return done();
}
