/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arenas: variables of address space 1 are in memory that the program and this
 * process share, at the address that the object asks for, and what can be wrong
 * with one is told.  Compiled with clang-19: those before know no address
 * spaces.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "obj/load.h"
#include "sys/uapi.h"
#include "tap.h"
#include "user/user.h"

#define ADDRESS 0x300000000000ull

static char tmp[] = "/tmp/skep-arena-XXXXXX";

static struct skep_obj *open_arena(const char *opts, struct skep_err *err)
{
	struct skep_obj *obj = NULL;
	struct skep_file file = {0};
	char cmd[512], path[64];

	snprintf(path, sizeof(path), "%s/arena.o", tmp);
	snprintf(cmd, sizeof(cmd),
		 "clang-19 -O2 -g -target bpf -mcpu=v3 -I/usr/include/$(uname -m)-linux-gnu %s -c "
		 "tests/obj/arena.bpf.c -o %s 2>&1",
		 opts, path);
	if (!ok(system(cmd) == 0 && skep_file_open(&file, path, err) == 0, "compiles %s", opts))
		return NULL;
	skep_obj_open(&obj, file.data, file.len, "arena", NULL, err);
	skep_file_close(&file);
	return obj;
}

static int run(struct skep_sys *sys, const struct skep_loaded *loaded)
{
	union bpf_attr attr;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)loaded->progs[0].fd;
	ret = skep_sys_bpf(sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr.test));
	return ret < 0 ? ret : (int)attr.test.retval;
}

static const struct skep_loaded_map *find(const struct skep_loaded *loaded, const char *name)
{
	uint32_t i;

	for (i = 0; i < loaded->nr_maps; i++)
		if (!strcmp(loaded->maps[i].spec->name, name))
			return &loaded->maps[i];
	return NULL;
}

/* `before`, `sum` and `page`, wherever the compiler put them. */
static void check_bss(struct skep_sys *sys, const struct skep_loaded *loaded, const char *want)
{
	const struct skep_loaded_map *bss = find(loaded, ".bss");
	long v[3] = {0};
	union bpf_attr attr;
	char got[96];
	uint32_t key = 0;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)bss->fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)v;
	ok(bss->spec->value_size == sizeof(v) &&
		   skep_sys_bpf(sys, BPF_MAP_LOOKUP_ELEM, &attr,
				offsetof(union bpf_attr, flags) + 8) == 0,
	   "the program's own variables can be read");
	snprintf(got, sizeof(got), "%ld %ld %ld", v[0], v[1], v[2]);
	is_str(got, want, "the program sees what was put there");
}

static void test_use(struct skep_sys *sys, const char *opts, uintptr_t address)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_arena(opts, &err);
	struct skep_loaded *loaded = NULL;
	const struct skep_loaded_map *arena;

	if (!ok(obj != NULL, "opens: %s", err.msg))
		return;
	ok(skep_obj_set_global(obj, "counter", "50", &err) == 0, "sets an __arena variable: %s",
	   err.msg);
	ok(skep_load(&loaded, obj, sys, NULL, &err) == 0 && loaded->progs[0].fd >= 0, "loads: %s%s",
	   err.msg, loaded ? loaded->progs[0].err.msg : "");
	arena = loaded ? find(loaded, "arena") : NULL;
	if (arena && arena->mem && loaded->progs[0].fd >= 0) {
		is_int(run(sys, loaded), 0, "runs");
		check_bss(sys, loaded, "50 10 77");
		is_int(*(const int *)arena->mem, 52, "what it wrote is seen here");
		ok(!address || (uintptr_t)arena->mem == address, "it lies at map_extra");
	}
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_err_deinit(&err);
}

static void test_taken(struct skep_sys *sys)
{
	void *p = mmap((void *)ADDRESS, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_arena("-DADDRESS=0x300000000000", &err);
	struct skep_loaded *loaded = NULL;

	ok(p == (void *)ADDRESS, "the address is taken");
	ok(obj && skep_load(&loaded, obj, sys, NULL, &err) == -EEXIST &&
		   strstr(err.msg, "map_extra 0x300000000000, is taken in this process"),
	   "an address that is taken: %s", err.msg);
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_err_deinit(&err);
	munmap(p, 4096);
}

/* Opening or loading @opts fails, with these words. */
static void test_mistake(struct skep_sys *sys, const char *opts, const char *words)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_arena(opts, &err);
	struct skep_loaded *loaded = NULL;
	int ret = obj ? skep_load(&loaded, obj, sys, NULL, &err) : -err.err;

	ok(ret < 0 && strstr(err.msg, words), "%s: %s", opts, err.msg);
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_err_deinit(&err);
}

/* Does this kernel make arenas? */
static bool has_arena(struct skep_sys *sys)
{
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARENA;
	attr.max_entries = 1;
	attr.map_flags = BPF_F_MMAPABLE;
	fd = skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr));
	skep_sys_close(sys, fd);
	return fd >= 0;
}

int main(void)
{
	struct skep_sys *sys = skep_sys_kernel_create(NULL), *user;
	char path[64];

	if (!sys || geteuid() != 0 || system("clang-19 --version >/dev/null 2>&1")) {
		printf("1..0 # SKIP needs root and clang-19\n");
		skep_sys_destroy(sys);
		return 0;
	}
	if (!mkdtemp(tmp))
		return 1;
	user = skep_sys_user_create(NULL, NULL);
	if (has_arena(sys)) {
		test_use(sys, "", 0);
		test_use(sys, "-DADDRESS=0x300000000000", ADDRESS);
		test_taken(sys);
	} else {
		test_mistake(sys, "", "the engine has no arenas (Linux has them since 6.9)");
	}
	test_mistake(user, "", "arena");
	test_mistake(sys, "-DNO_ARENA", "no map of type BPF_MAP_TYPE_ARENA to hold them");
	test_mistake(sys, "-DTWO_ARENAS", "'arena' is an arena already");
	test_mistake(sys, "-DPAGES=1 -DPADDING=5000",
		     "max_entries is 1 pages of 4096; make it larger");
	test_mistake(sys, "-DFLAGS='(1<<10|1<<30)'", "Linux has them since 6.9");
	test_mistake(sys, "-DFLAGS=0", "an arena needs __uint(map_flags, BPF_F_MMAPABLE)");
	test_mistake(sys, "-DBARE -DPAGES=2000000",
		     "2000000 pages are more than an arena can have (4 GiB)");
	skep_sys_destroy(user);
	skep_sys_destroy(sys);
	snprintf(path, sizeof(path), "%s/arena.o", tmp);
	unlink(path);
	rmdir(tmp);
	return done();
}
