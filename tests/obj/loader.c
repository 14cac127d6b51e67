/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What skep hands to the kernel for an object, in the words of oracle.c, for
 * corpus.t to compare.  The kernel's answers are the real ones, except that a
 * map whose size the tool sets before loading gets TOOLS_ENTRIES and TOOLS_STACK,
 * and one that it refuses all the same becomes a placeholder.  XDP programs go to
 * $CORPUS_DEVICE.  With
 *   -q           nothing is printed: bench/run's job "corpus"
 *   -n           nothing is attached
 *   -b FILE      neither, and objects are relocated for the kernel of that BTF
 *   -p VERSION PID
 *                one object attaches to a process until there is input: usdt_ip.t
 *   -k VERSION   (4.14 to 5.15, or 6.18: any) the kernel behaves like that one: old.t
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/vec.h"
#include "isa/uapi.h"
#include "obj/load.h"
#include "old.h"
#include "sys/sys.h"

#define TOOLS_ENTRIES 64
#define TOOLS_STACK   (127 * 8) /* bytes: the kernel's own limit of depth */

struct lenient {
	struct skep_sys sys;
	struct skep_sys_ops ops;
	struct skep_sys *inner;
};

static int lenient_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	struct lenient *l = (struct lenient *)sys;
	int ret = l->inner->ops->bpf(l->inner, cmd, attr, size);

	if (ret == -EINVAL && cmd == BPF_MAP_CREATE && (!attr->max_entries || !attr->value_size)) {
		union bpf_attr sized = *attr;

		if (!sized.max_entries)
			sized.max_entries = TOOLS_ENTRIES;
		if (sized.map_type == BPF_MAP_TYPE_STACK_TRACE && !sized.value_size)
			sized.value_size = TOOLS_STACK;
		ret = l->inner->ops->bpf(l->inner, cmd, &sized, size);
	}
	memcpy(sys->why, l->inner->why, sizeof(sys->why));
	if (ret >= 0)
		return ret;
	/* Only what the smallest description of the map does not mend. */
	if (cmd == BPF_MAP_CREATE && !attr->btf_fd)
		return memfd_create("placeholder", MFD_CLOEXEC);
	if (cmd == BPF_MAP_UPDATE_ELEM || cmd == BPF_MAP_FREEZE)
		return 0;
	return ret;
}

static int lenient_event(struct skep_sys *sys, const struct skep_event *ev)
{
	struct lenient *l = (struct lenient *)sys;
	int ret = l->inner->ops->event(l->inner, ev);

	memcpy(sys->why, l->inner->why, sizeof(sys->why));
	return ret;
}

static int lenient_close(struct skep_sys *sys, int fd)
{
	return ((struct lenient *)sys)->inner->ops->close(((struct lenient *)sys)->inner, fd);
}

static const char *map_name(const struct skep_loaded *loaded, int fd)
{
	static char name[BPF_OBJ_NAME_LEN];
	const char *dot;
	uint32_t i;

	for (i = 0; i < loaded->nr_maps; i++) {
		if (loaded->maps[i].fd != fd)
			continue;
		memset(name, 0, sizeof(name));
		dot = strchr(loaded->maps[i].spec->name, '.');
		strncpy(name, loaded->maps[i].spec->name, dot ? 7 : sizeof(name) - 1);
		return name;
	}
	return NULL;
}

static void print_prog(const struct skep_loaded *loaded, const struct skep_loaded_prog *p)
{
	const struct bpf_insn *in = p->insns;
	const char *name;
	uint32_t i;

	printf("prog %.15s type %u attach %u flags %u: %s\n", p->spec->name, p->spec->prog_type,
	       p->attach_type, p->spec->prog_flags, p->fd >= 0 ? "loaded" : p->err.msg);
	for (i = 0; i < p->nr_insns; i++) {
		name = NULL;
		if (in[i].code == (BPF_LD | BPF_IMM | BPF_DW) &&
		    (in[i].src_reg == BPF_PSEUDO_MAP_FD || in[i].src_reg == BPF_PSEUDO_MAP_VALUE))
			name = map_name(loaded, in[i].imm);
		printf("%02x%02x %d", in[i].code, in[i].src_reg << 4 | in[i].dst_reg, in[i].off);
		if (name)
			printf(" %s\n", name);
		else
			printf(" %08x\n", (unsigned int)in[i].imm);
	}
}

static void attach(struct skep_loaded *loaded, struct skep_loaded_prog *p)
{
	const char *dev = getenv("CORPUS_DEVICE");
	struct skep_attach how = {.pid = -1, .ifindex = dev ? (int)if_nametoindex(dev) : 0};
	struct skep_err err = SKEP_ERR_INIT;

	printf("attach %s: %s\n", p->spec->name,
	       skep_loaded_attach(loaded, p, &how, &err) ? err.msg : "done");
	skep_links_deinit(&p->links, loaded->sys);
	skep_err_deinit(&err);
}

/* The next object shall find its own maps: the caller has a bpffs of its own for this. */
static void unpin(const struct skep_loaded *loaded)
{
	char path[256];
	uint32_t i;

	for (i = 0; i < loaded->nr_maps; i++) {
		if (!loaded->maps[i].spec->pin)
			continue;
		snprintf(path, sizeof(path), "/sys/fs/bpf/%s", loaded->maps[i].spec->name);
		unlink(path);
	}
}

static int load(struct skep_sys *sys, const char *path, const char *btf, bool quiet, bool attached)
{
	struct skep_load_opts opts = {.sz = sizeof(opts), .btf = btf};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_loaded *loaded = NULL;
	struct skep_obj *obj = NULL;
	struct skep_file file = {0};
	uint32_t i;
	int ret;

	ret = skep_file_open(&file, path, &err);
	if (!ret)
		ret = skep_obj_open(&obj, file.data, file.len, path, sys->log, &err);
	if (ret && !quiet)
		printf("open: %s\n", err.msg);
	if (!ret) {
		ret = skep_load(&loaded, obj, sys, &opts, &err);
		if (!quiet)
			printf("load: %s\n", ret ? err.msg : "done");
	}
	for (i = 0; loaded && i < loaded->nr_progs; i++) {
		ret |= loaded->progs[i].err.err;
		if (!quiet && (loaded->progs[i].insns || loaded->progs[i].err.err))
			print_prog(loaded, &loaded->progs[i]);
	}
	for (i = 0; loaded && attached && i < loaded->nr_progs; i++)
		if (loaded->progs[i].fd >= 0)
			attach(loaded, &loaded->progs[i]);
	if (loaded && !quiet)
		unpin(loaded);
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_file_close(&file);
	skep_err_deinit(&err);
	return ret;
}

/* What this program took at most: getrusage(2) counts what was there before the exec, too. */
static long peak_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f) && sscanf(line, "VmHWM: %ld", &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib;
}

static void tell(const struct old_count *c)
{
	printf("given: types %u programs %u functions %u lines %u names %u maps %u events %u\n",
	       c->types, c->progs, c->func_info, c->line_info, c->prog_names, c->map_names,
	       c->set_prog);
}

/*
 * loader -k VERSION OBJECT: a kernel like VERSION, whose refusals come before
 * the placeholders; -K does not attach.
 */
static int load_old(struct skep_sys *lenient, const char *version, const char *path, bool attached)
{
	struct skep_sys *old = old_create(lenient, version);

	if (!old)
		return 1;
	load(old, path, NULL, false, attached);
	tell(old_count(old));
	skep_sys_destroy(old);
	return 0;
}

static void print_words(struct skep_sys *sys, const struct skep_loaded_map *map)
{
	uint32_t key = 0, size = map->spec->value_size, i;
	uint64_t *words = calloc(1, size + 8);
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map->fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)words;
	printf("out");
	if (words && skep_sys_bpf(sys, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)) == 0)
		for (i = 0; i < size / 8; i++)
			printf(" %lld", (long long)words[i]);
	printf("\n");
	free(words);
}

/* Attached to process @pid (-1: to none) until there is input; then .bss is printed. */
static void observe(struct skep_loaded *loaded, pid_t pid)
{
	struct skep_attach how = {.pid = pid, .running = pid > 0};
	struct skep_err err = SKEP_ERR_INIT;
	uint32_t i;

	for (i = 0; i < loaded->nr_progs; i++) {
		struct skep_loaded_prog *p = &loaded->progs[i];
		int ret = p->fd < 0 ? -EINVAL : skep_loaded_attach(loaded, p, &how, &err);

		printf("attach %s: %s\n", p->spec->name,
		       !ret	   ? "done"
		       : p->fd < 0 ? p->err.msg
				   : err.msg);
		skep_err_deinit(&err);
	}
	printf("attached\n");
	fflush(stdout);
	getchar();
	for (i = 0; i < loaded->nr_maps; i++)
		if (!strcmp(loaded->maps[i].spec->name, ".bss"))
			print_words(loaded->sys, &loaded->maps[i]);
}

/* loader -p VERSION PID OBJECT */
static int load_observing(struct skep_sys *lenient, const char *version, pid_t pid,
			  const char *path)
{
	struct skep_sys *old = old_create(lenient, version);
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_loaded *loaded = NULL;
	struct skep_obj *obj = NULL;
	struct skep_file file = {0};
	int ret = old ? skep_file_open(&file, path, &err) : 1;

	if (!ret)
		ret = skep_obj_open(&obj, file.data, file.len, path, NULL, &err);
	if (!ret)
		ret = skep_load(&loaded, obj, old, &opts, &err);
	if (ret)
		printf("load: %s\n", err.msg);
	else
		observe(loaded, pid);
	skep_loaded_destroy(loaded);
	skep_obj_destroy(obj);
	skep_file_close(&file);
	skep_err_deinit(&err);
	skep_sys_destroy(old);
	return ret != 0;
}

static void lenient_destroy(struct skep_sys *sys)
{
	skep_sys_destroy(((struct lenient *)sys)->inner);
}

static int lenient_set_prog(struct skep_sys *sys, int event_fd, int prog_fd)
{
	return skep_sys_set_prog(((struct lenient *)sys)->inner, event_fd, prog_fd);
}

int main(int argc, char **argv)
{
	bool quiet = argc > 1 && !strcmp(argv[1], "-q");
	const char *btf = argc > 2 && !strcmp(argv[1], "-b") ? argv[2] : NULL;
	bool still = btf || (argc > 1 && !strcmp(argv[1], "-n"));
	struct skep_sys *kernel = skep_sys_kernel_create(NULL);
	struct lenient lenient = {.inner = kernel};
	struct timespec from, to;
	int i, bad = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	if (!kernel)
		return 1;
	lenient.ops = *kernel->ops;
	lenient.ops.bpf = lenient_bpf;
	lenient.ops.event = lenient_event;
	lenient.ops.close = lenient_close;
	lenient.ops.set_prog = lenient_set_prog;
	lenient.ops.destroy = lenient_destroy;
	lenient.sys.ops = &lenient.ops;
	if (argc == 4 && !strcasecmp(argv[1], "-k"))
		return load_old(&lenient.sys, argv[2], argv[3], argv[1][1] == 'k');
	if (argc == 5 && !strcmp(argv[1], "-p"))
		return load_observing(&lenient.sys, argv[2], (pid_t)atoi(argv[3]), argv[4]);
	for (i = 1 + quiet + still + !!btf; i < argc; i++) {
		if (!quiet)
			printf("object %s\n", argv[i]);
		bad += load(quiet ? kernel : &lenient.sys, argv[i], btf, quiet, !quiet && !still) !=
		       0;
		fflush(stdout);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (quiet)
		printf("%d objects, %d not loaded, peak %ld KiB, %.3f ms\n", argc - 2, bad,
		       peak_kib(),
		       (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6);
	skep_sys_destroy(kernel);
	return 0;
}
