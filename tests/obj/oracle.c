/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What libbpf hands to the kernel for an object, on standard output.
 *
 * libbpf calls bpf(2) through syscall(3); the definition here comes first, so
 * that every call passes by.  Each program's instructions are printed as the
 * kernel gets them, with map descriptors replaced by the maps' names.  Maps whose
 * size the tool sets before loading get TOOLS_ENTRIES and TOOLS_STACK.  What
 * this kernel refuses (no kprobes, say) gets a placeholder descriptor and a
 * line that says so: the other programs shall be seen too.  With -q nothing
 * is printed or replaced: the peer of the benchmark; with -n nothing is attached;
 * with -b FILE neither, and the objects are relocated for the kernel of that BTF.
 */
#define _GNU_SOURCE
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TOOLS_ENTRIES 64 /* as in loader.c */
#define TOOLS_STACK   (127 * 8)

static struct bpf_object *object;
static bool quiet;
static const char *btf;
static char names[4096][BPF_OBJ_NAME_LEN];
/* Of the object's programs, in the order libbpf loads them: got there, printed, in the kernel. */
static unsigned int nr_seen, nr_printed;
static bool in_kernel[1024];
/* Loaded for another function than they name, which this kernel does not have. */
static bool helped[1024];

static int placeholder(off_t size)
{
	int fd = memfd_create("placeholder", MFD_CLOEXEC);

	if (fd >= 0 && ftruncate(fd, size))
		perror("ftruncate");
	return fd;
}

static bool is_objects(const char *name)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, object) if (!strncmp(bpf_program__name(p), name,
							     BPF_OBJ_NAME_LEN - 1)) return true;
	return false;
}

static void print_prog(const union bpf_attr *attr, long ret, int err)
{
	const struct bpf_insn *in = (const void *)(uintptr_t)attr->insns;
	unsigned int i, name;

	if (nr_seen < sizeof(in_kernel))
		in_kernel[nr_seen] = ret >= 0;
	if (nr_seen++ < nr_printed)
		return;
	nr_printed++;
	printf("prog %s type %u attach %u flags %u: %s\n", attr->prog_name, attr->prog_type,
	       attr->expected_attach_type, attr->prog_flags,
	       ret < 0						  ? strerrorname_np(err)
	       : nr_seen <= sizeof(helped) && helped[nr_seen - 1] ? "loaded for another function"
								  : "loaded");
	for (i = 0; i < attr->insn_cnt; i++) {
		printf("%02x%02x %d", in[i].code, in[i].src_reg << 4 | in[i].dst_reg, in[i].off);
		name = (unsigned int)in[i].imm;
		if (in[i].code == (BPF_LD | BPF_IMM | BPF_DW) &&
		    (in[i].src_reg == BPF_PSEUDO_MAP_FD || in[i].src_reg == BPF_PSEUDO_MAP_VALUE) &&
		    name < sizeof(names) / sizeof(*names) && *names[name])
			printf(" %s\n", names[name]);
		else
			printf(" %08x\n", (unsigned int)in[i].imm);
	}
}

static long on_map(long ret, const union bpf_attr *attr)
{
	const char *dot;

	/* Not those of libbpf's probes. */
	if (!attr->map_name[0])
		return ret;
	printf("map %s type %u key %u value %u entries %u flags %u\n", attr->map_name,
	       attr->map_type, attr->key_size, attr->value_size, attr->max_entries,
	       attr->map_flags);
	if (ret < 0)
		ret = placeholder((off_t)attr->value_size * (attr->max_entries + 1));
	if (ret >= 0 && (size_t)ret < sizeof(names) / sizeof(*names)) {
		/* libbpf puts the object's name before those of data sections. */
		dot = strchr(attr->map_name, '.');
		memset(names[ret], 0, sizeof(names[ret]));
		strncpy(names[ret], dot ? dot : attr->map_name, dot ? 7 : BPF_OBJ_NAME_LEN - 1);
	}
	return ret;
}

long syscall(long nr, ...)
{
	static long (*next)(long, ...);
	long a[6], ret;
	va_list ap;
	int i, err;

	va_start(ap, nr);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "syscall");
	ret = next(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	err = errno;
	if (nr != SYS_bpf || quiet || !object)
		return ret;
	if (a[0] == BPF_MAP_CREATE) {
		union bpf_attr sized = {0};

		memcpy(&sized, (void *)a[1],
		       (size_t)a[2] < sizeof(sized) ? (size_t)a[2] : sizeof(sized));
		if (ret < 0 && err == EINVAL && *sized.map_name) {
			if (!sized.max_entries)
				sized.max_entries = TOOLS_ENTRIES;
			if (sized.map_type == BPF_MAP_TYPE_STACK_TRACE && !sized.value_size)
				sized.value_size = TOOLS_STACK;
			ret = next(nr, a[0], &sized, a[2], a[3], a[4], a[5]);
		}
		ret = on_map(ret, (const union bpf_attr *)a[1]);
	} else if (a[0] == BPF_PROG_LOAD) {
		const union bpf_attr *attr = (const union bpf_attr *)a[1];

		if (*attr->prog_name && is_objects(attr->prog_name) && err != EAGAIN) {
			print_prog(attr, ret, err);
			if (ret < 0)
				ret = placeholder(0);
		}
	} else if (ret < 0 && (a[0] == BPF_MAP_UPDATE_ELEM || a[0] == BPF_MAP_FREEZE)) {
		ret = 0;
	}
	errno = err;
	return ret;
}

static int say(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN && !quiet ? vfprintf(stderr, fmt, ap) : 0;
}

/*
 * libbpf gives up at the first program whose function the kernel does not
 * have.  Its instructions do not depend on the function: it gets another one.
 */
static bool help_program(struct bpf_object *obj)
{
	struct bpf_program *p;
	unsigned int i = 0;

	bpf_object__for_each_program(p, obj)
	{
		if (bpf_program__autoload(p) && i++ == nr_seen)
			break;
	}
	if (!p || helped[nr_seen])
		return false;
	switch (bpf_program__expected_attach_type(p)) {
	case BPF_TRACE_RAW_TP: return !bpf_program__set_attach_target(p, 0, "sched_switch");
	case BPF_LSM_MAC: return !bpf_program__set_attach_target(p, 0, "file_open");
	default: return !bpf_program__set_attach_target(p, 0, "bpf_fentry_test1");
	}
}

static void attach_all(struct bpf_object *obj)
{
	struct bpf_program *p;
	struct bpf_link *link;
	unsigned int i = 0;

	bpf_object__for_each_program(p, obj)
	{
		if (!bpf_program__autoload(p))
			continue;
		if (!in_kernel[i++] || helped[i - 1])
			continue;
		link = bpf_program__attach(p);
		printf("attach %s: %s\n", bpf_program__name(p), link ? "done" : "failed");
		bpf_link__destroy(link);
	}
}

/* The object is opened anew for each program that needs help. */
static int dump(const char *path, bool attaching)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .btf_custom_path = btf);
	struct bpf_object *obj;
	unsigned int i, k, tries;
	int ret = -1;

	memset(helped, 0, sizeof(helped));
	nr_printed = 0;
	for (tries = 0; tries < 200; tries++) {
		object = NULL;
		obj = bpf_object__open_file(path, &opts);
		if (!obj) {
			char why[128];

			libbpf_strerror(errno, why, sizeof(why));
			printf("open: %s\n", why);
			return -1;
		}
		for (i = k = 0; i < 1024; i++) {
			nr_seen = i;
			if (helped[i]) {
				helped[i] = false;
				help_program(obj);
				helped[i] = true;
			}
		}
		nr_seen = 0;
		object = obj;
		ret = bpf_object__load(obj);
		if (!ret || nr_seen >= 1024 || helped[nr_seen])
			break;
		helped[nr_seen] = true;
		object = NULL;
		bpf_object__close(obj);
		obj = NULL;
	}
	printf("load: %s\n", ret ? strerrorname_np(-ret) : "done");
	if (!ret && attaching)
		attach_all(obj);
	object = NULL;
	/* The next object shall find its own maps. */
	bpf_object__unpin_maps(obj, NULL);
	bpf_object__close(obj);
	return ret;
}

/* What a user of libbpf does. */
static int plain(const char *path)
{
	struct bpf_object *obj = bpf_object__open_file(path, NULL);
	struct bpf_map *map;
	int ret = -1;

	if (obj) {
		/* As the tool does before loading. */
		bpf_object__for_each_map(map, obj)
		{
			enum bpf_map_type type = bpf_map__type(map);

			if (!bpf_map__max_entries(map) && type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
				bpf_map__set_max_entries(map, TOOLS_ENTRIES);
			if (!bpf_map__value_size(map) && type == BPF_MAP_TYPE_STACK_TRACE)
				bpf_map__set_value_size(map, TOOLS_STACK);
		}
		ret = bpf_object__load(obj);
	}
	bpf_object__close(obj);
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

int main(int argc, char **argv)
{
	struct timespec from, to;
	bool still = argc > 1 && !strcmp(argv[1], "-n");
	int i, bad = 0;

	clock_gettime(CLOCK_MONOTONIC, &from);
	libbpf_set_print(say);
	quiet = argc > 1 && !strcmp(argv[1], "-q");
	if (argc > 2 && !strcmp(argv[1], "-b")) {
		btf = argv[2];
		still = true;
	}
	for (i = 1 + quiet + still + !!btf; i < argc; i++) {
		if (!quiet)
			printf("object %s\n", argv[i]);
		bad += (quiet ? plain(argv[i]) : dump(argv[i], !still)) != 0;
		fflush(stdout);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (quiet)
		printf("%d objects, %d not loaded, peak %ld KiB, %.3f ms\n", argc - 2, bad,
		       peak_kib(),
		       (to.tv_sec - from.tv_sec) * 1e3 + (to.tv_nsec - from.tv_nsec) / 1e6);
	return 0;
}
