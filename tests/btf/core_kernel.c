/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core-kernel kernel|user LIBRARY: runs the kernel's own test of CO-RE, its
 * prog_tests/core_reloc.c compiled as LIBRARY against core_kernel/test_progs.h,
 * with skep in libbpf's place; core_kernel.t compiles it and the objects.
 *
 * Instead of being attached to everybody's system calls a program is run once
 * by BPF_PROG_TEST_RUN.  Each case ends as a line of TAP.  A case that is to
 * fail must fail with a message that names program, source line and type, in
 * the engine without a verifier as soon as it is run.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/file.h"
#include "obj/load.h"
#include "shim.h"
#include "sys/sys.h"
#include "user/user.h"

struct shim {
	struct skep_file file;
	struct skep_obj *obj;
	struct skep_loaded *loaded;
	struct skep_loaded_prog *prog;
	bool direct; /* tp_btf: reads its arguments, and is not run by TEST_RUN */
	char btf[256], name[64];
};

static struct {
	struct skep_sys *sys;
	bool user;
	struct shim *cur; /* the kernel's test has one object at a time */
	char name[64], bad[256], said[1024], heard[1024];
	const char *why; /* it was skipped */
	bool skipped;
	int nr, nr_bad, nr_skipped, nr_refused;
} st;

static void end_case(void)
{
	if (!*st.name)
		return;
	st.nr++;
	st.nr_bad += *st.bad != 0;
	st.nr_skipped += st.skipped;
	printf("%sok %d - %s: %s%s\n", *st.bad ? "not " : "", st.nr, st.user ? "user" : "kernel",
	       st.name, st.skipped ? st.why : "");
	if (*st.bad)
		printf("# %s\n# %s\n", st.bad, st.said);
}

#define EXPORT __attribute__((visibility("default")))

EXPORT bool shim_start(const char *name)
{
	end_case();
	snprintf(st.name, sizeof(st.name), "%s", name);
	st.bad[0] = st.said[0] = '\0';
	st.skipped = false;
	return true;
}

static void skip(const char *why)
{
	st.skipped = true;
	st.why = why;
}

EXPORT void shim_skip(void)
{
	skip(" # SKIP needs the kernel's module bpf_testmod");
}

EXPORT void shim_bad(const char *tag)
{
	size_t n = strlen(st.bad);

	if (st.skipped)
		return;
	snprintf(st.bad + n, sizeof(st.bad) - n, "%s%s", n ? ", " : "", tag);
}

EXPORT struct shim *shim_open(const char *path, const char *btf)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct shim *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	snprintf(s->btf, sizeof(s->btf), "%s", btf ? btf : "");
	if (!skep_file_open(&s->file, path, &err) &&
	    !skep_obj_open(&s->obj, s->file.data, s->file.len, path, NULL, &err))
		return st.cur = s;
	snprintf(st.said, sizeof(st.said), "%s", err.msg);
	skep_err_deinit(&err);
	shim_close(s);
	return NULL;
}

EXPORT struct shim *shim_prog(struct shim *s, const char *name)
{
	snprintf(s->name, sizeof(s->name), "%s", name);
	return skep_obj_find_prog(s->obj, name) ? s : NULL;
}

static void heard(struct skep_log *log, enum skep_log_level level, const char *msg)
{
	snprintf(st.heard, sizeof(st.heard), "%s", msg);
}

static struct skep_log sink = {.fn = heard, .level = SKEP_LOG_WARN};

/* Programs that TEST_RUN does not run are attached, for this process only, to its system calls. */
static int run_attached(struct shim *s)
{
	struct skep_attach how = {.pid = -1};
	int ret;

	ret = skep_loaded_scope_add(s->loaded, getpid(), NULL);
	if (!ret)
		ret = skep_loaded_attach(s->loaded, s->prog, &how, NULL);
	if (!ret)
		getppid();
	skep_links_deinit(&s->prog->links, st.sys);
	return ret;
}

static int run(struct shim *s)
{
	union bpf_attr attr;

	if (s->direct)
		return run_attached(s);
	st.heard[0] = '\0';
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)s->prog->fd;
	return skep_sys_bpf(st.sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr));
}

/* A name as the program's is cut in what the kernel keeps. */
#define NAME_KEPT 15

/* Does the refusal say what a person can act on? */
static void judge(const struct shim *s, const char *said)
{
	char name[NAME_KEPT + 1];
	static const char *const kinds[] = {"struct ", "union ", "enum ", "typedef ", "CORE_READ"};
	bool type = false;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		type |= strstr(said, kinds[i]) != NULL;
	snprintf(st.said, sizeof(st.said), "%s", said);
	snprintf(name, sizeof(name), "%.*s", NAME_KEPT, s->name);
	if (!strstr(said, name) || !strstr(said, ".c:") || !type)
		shim_bad("the message lacks program, line or type");
	else
		st.nr_refused++;
}

EXPORT int shim_load(struct shim *s)
{
	struct skep_load_opts opts = {.sz = sizeof(opts)};
	struct skep_err err = SKEP_ERR_INIT;
	const char *said = err.msg;
	uint32_t i;
	int ret;

	opts.btf = *s->btf ? s->btf : NULL;
	s->direct = !strncmp(skep_obj_find_prog(s->obj, s->name)->sec, "tp_btf", 6);
	opts.scope_tasks = s->direct;
	ret = skep_load(&s->loaded, s->obj, st.sys, &opts, &err);
	for (i = 0; !ret && i < s->loaded->nr_progs; i++)
		if (!strcmp(s->loaded->progs[i].spec->name, s->name))
			s->prog = &s->loaded->progs[i];
	if (!ret && s->prog->fd < 0)
		ret = s->prog->err.err ? -s->prog->err.err : -1;
	if (s->prog)
		said = s->prog->err.msg;
	if (!ret && st.user && s->direct) {
		skip(" # SKIP tp_btf runs here only for processes that the engine starts");
		return -1;
	}
	/* Without a verifier the run is the test; a second one will be compared. */
	if (!ret && st.user && (ret = run(s)) < 0)
		said = *st.heard ? st.heard : st.sys->why;
	if (ret && strstr(said, "hands out the kernel's struct task_struct"))
		skip(" # SKIP only the kernel has a struct task_struct");
	else if (ret)
		judge(s, said);
	skep_err_deinit(&err);
	return ret;
}

EXPORT void *shim_map(size_t len)
{
	const struct skep_loaded *loaded = st.cur->loaded;
	uint32_t i;
	void *p;

	for (i = 0; i < loaded->nr_maps; i++) {
		if (strcmp(loaded->maps[i].spec->name, ".bss") != 0)
			continue;
		p = skep_sys_map(st.sys, loaded->maps[i].fd, 0, len, 3 /* read, write */);
		return skep_sys_is_err(p) ? (void *)-1 : p;
	}
	return (void *)-1;
}

EXPORT int shim_unmap(void *p, size_t len)
{
	int munmap(void *, size_t);

	return munmap(p, len);
}

EXPORT void shim_run(void)
{
	if (run(st.cur))
		shim_bad("run");
}

EXPORT void shim_close(struct shim *s)
{
	if (!s)
		return;
	skep_loaded_destroy(s->loaded);
	skep_obj_destroy(s->obj);
	skep_file_close(&s->file);
	free(s);
	st.cur = NULL;
}

int main(int argc, char **argv)
{
	void (*test)(void);
	void *lib;

	if (argc != 3)
		return 2;
	st.user = !strcmp(argv[1], "user");
	st.sys = st.user ? skep_sys_user_create(&sink, NULL) : skep_sys_kernel_create(&sink);
	lib = dlopen(argv[2], RTLD_NOW);
	if (!st.sys || !lib) {
		fprintf(stderr, "%s\n", lib ? "no engine" : dlerror());
		return 1;
	}
	/* The name by which the case "kernel" knows itself. */
	prctl(PR_SET_NAME, "test_progs");
	*(void **)&test = dlsym(lib, "test_core_reloc");
	test();
	end_case();
	printf("# %s: %d cases as the kernel's test expects, %d of them refusals, %d skipped, "
	       "%d not\n",
	       argv[1], st.nr - st.nr_bad - st.nr_skipped, st.nr_refused, st.nr_skipped, st.nr_bad);
	skep_sys_destroy(st.sys);
	dlclose(lib);
	return st.nr_bad != 0;
}
