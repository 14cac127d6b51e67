/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps that hold maps and programs from the start, and maps pinned by name:
 * loaded into the kernel and run there, over a BPF file system of the test's
 * own, and into the user engine.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "obj/load.h"
#include "tap.h"
#include "user/user.h"

static char tmp[] = "/tmp/skep-maps-XXXXXX";
static char root[64];

static struct skep_obj *open_maps(const char *opts, struct skep_err *err)
{
	struct skep_obj *obj = NULL;
	struct skep_file file = {0};
	char cmd[512], path[64];

	snprintf(path, sizeof(path), "%s/maps.o", tmp);
	snprintf(cmd, sizeof(cmd),
		 "clang -O2 -g -target bpf -I/usr/include/$(uname -m)-linux-gnu %s -c "
		 "tests/obj/maps.bpf.c -o %s 2>&1",
		 opts, path);
	if (!ok(system(cmd) == 0 && skep_file_open(&file, path, err) == 0, "compiles %s", opts))
		return NULL;
	skep_obj_open(&obj, file.data, file.len, "maps", NULL, err);
	skep_file_close(&file);
	return obj;
}

static int run(struct skep_sys *sys, const struct skep_loaded *loaded, const char *name)
{
	unsigned char packet[64] = {0};
	union bpf_attr attr;
	uint32_t i;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.test.data_in = (uintptr_t)packet;
	attr.test.data_size_in = sizeof(packet);
	attr.test.repeat = 1;
	for (i = 0; i < loaded->nr_progs; i++)
		if (!strcmp(loaded->progs[i].spec->name, name))
			attr.test.prog_fd = (uint32_t)loaded->progs[i].fd;
	ret = skep_sys_bpf(sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr.test));
	return ret < 0 ? ret : (int)attr.test.retval;
}

static void test_pins(struct skep_sys *sys, const struct skep_load_opts *opts)
{
	struct skep_load_opts nowhere = *opts;
	struct skep_loaded *first = NULL, *again = NULL;
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_maps("-DENTRIES=1", &err);
	char path[96];

	snprintf(path, sizeof(path), "%s/shared", root);
	ok(skep_load(&first, obj, sys, opts, &err) == 0, "loads: %s", err.msg);
	ok(access(path, F_OK) == 0, "the map is pinned by its name");
	is_int(run(sys, first, "first_prog"), 41,
	       "maps and the program are where `values` put them");
	ok(skep_load(&again, obj, sys, opts, &err) == 0, "loads again: %s", err.msg);
	is_int(run(sys, again, "first_prog"), 42,
	       "a second load has maps of its own and shares the pinned one");
	skep_loaded_destroy(first);
	skep_loaded_destroy(again);
	ok(access(path, F_OK) == 0, "the pin stays when all is closed");
	skep_obj_destroy(obj);

	obj = open_maps("-DENTRIES=2", &err);
	first = NULL;
	ok(skep_load(&first, obj, sys, opts, &err) == -EEXIST && err.tag == SKEP_E_MAP_CREATE &&
		   strstr(err.msg, "1 entries") && strstr(err.msg, "rm ") && strstr(err.msg, path),
	   "a stale pin: %s", err.msg);
	skep_err_deinit(&err);
	err = (struct skep_err)SKEP_ERR_INIT;
	nowhere.pin_root = tmp;
	ok(skep_load(&first, obj, sys, &nowhere, &err) < 0 && strstr(err.msg, "mount -t bpf"),
	   "no BPF file system: %s", err.msg);
	skep_err_deinit(&err);
	skep_obj_destroy(obj);
}

/* The same object, the same answer. */
static void test_user_engine(void)
{
	struct skep_load_opts opts = {.sz = sizeof(opts), .all_or_nothing = true};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_maps("-DENTRIES=1", &err);
	struct skep_sys *sys = skep_sys_user_create(NULL, NULL);
	struct skep_loaded *loaded = NULL;
	uint32_t i;

	if (!ok(obj != NULL, "opens: %s", err.msg))
		return;
	for (i = 0; i < obj->nr_maps; i++)
		obj->maps[i].pin = false;
	ok(skep_load(&loaded, obj, sys, &opts, &err) == 0, "the user engine loads it: %s", err.msg);
	is_int(loaded ? run(sys, loaded, "first_prog") : 0, 41,
	       "maps in maps are where `values` put them there, too");
	is_int(loaded ? run(sys, loaded, "first_prog") : 0, 1, "and are the same in the next run");
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_sys_destroy(sys);
	skep_err_deinit(&err);
}

/* Whoever edits an object may have a map left out: who cannot do without it is told. */
static void test_skipped(struct skep_sys *sys)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_obj *obj = open_maps("-DENTRIES=1", &err);
	struct skep_loaded *loaded = NULL;
	uint32_t i;

	if (!ok(obj != NULL, "opens: %s", err.msg))
		return;
	for (i = 0; i < obj->nr_maps; i++)
		obj->maps[i].pin = false;
	skep_obj_find_map(obj, "shared")->skip = true;
	ok(skep_load(&loaded, obj, sys, NULL, &err) == 0, "loads without a map: %s", err.msg);
	for (i = 0; loaded && i < loaded->nr_progs; i++)
		if (loaded->progs[i].fd < 0)
			break;
	ok(loaded && i < loaded->nr_progs &&
		   strstr(loaded->progs[i].err.msg, "uses map 'shared', which is not created"),
	   "a program that uses it: %s",
	   loaded && i < loaded->nr_progs ? loaded->progs[i].err.msg : "none");
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_err_deinit(&err);
}

int main(void)
{
	struct skep_load_opts opts = {.sz = sizeof(opts), .all_or_nothing = true};
	struct skep_sys *sys;

	if (geteuid() || system("command -v clang >/dev/null 2>&1")) {
		printf("1..0 # SKIP needs root and clang\n");
		return 0;
	}
	if (!mkdtemp(tmp))
		return 1;
	snprintf(root, sizeof(root), "%s/bpf", tmp);
	sys = skep_sys_kernel_create(NULL);
	if (ok(!mkdir(root, 0700) && !unshare(CLONE_NEWNS) &&
		       !mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
		       !mount("bpf", root, "bpf", 0, NULL),
	       "a BPF file system")) {
		opts.pin_root = root;
		test_pins(sys, &opts);
		umount2(root, MNT_DETACH);
	}
	test_skipped(sys);
	test_user_engine();
	skep_sys_destroy(sys);
	rmdir(root);
	strcat(strcpy(root, tmp), "/maps.o");
	unlink(root);
	rmdir(tmp);
	return done();
}
