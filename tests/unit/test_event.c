/* SPDX-License-Identifier: BSD-2-Clause */
/* src/event: the table of section names (against libbpf's own) and nearest names. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "base/near.h"
#include "event/event.h"
#include "sys/uapi.h"
#include "tap.h"

static struct skep_err err = SKEP_ERR_INIT;

/* Row by row: does libbpf mean the same by the name? */
static void test_oracle(void)
{
	int (*by_name)(const char *name, int *prog_type, int *attach_type);
	void (*set_print)(void *fn);
	void *lib = dlopen("libbpf.so.1", RTLD_NOW);
	const struct skep_event_def *def;
	int prog, attach, same = 0, differ = 0, unknown = 0;
	char name[128];
	size_t i;

	if (!lib) {
		ok(true, "table against libbpf # SKIP no libbpf.so.1");
		return;
	}
	*(void **)&by_name = dlsym(lib, "libbpf_prog_type_by_name");
	*(void **)&set_print = dlsym(lib, "libbpf_set_print");
	set_print(NULL);
	for (i = 0; (def = skep_event_at(i)); i++) {
		snprintf(name, sizeof(name), "%s%s", def->sec, def->args ? "/x" : "");
		if (by_name(name, &prog, &attach) < 0) {
			unknown++;
			printf("# %s: not known to this libbpf\n", name);
		} else if (prog == (int)def->prog_type && attach == (int)def->attach_type) {
			same++;
		} else {
			differ++;
			printf("# %s: libbpf says type %d, attach %d; the row %u, %u\n", name, prog,
			       attach, def->prog_type, def->attach_type);
		}
	}
	ok(same >= 80 && !differ, "%d rows as in libbpf, %d differ, %d newer than it", same, differ,
	   unknown);
	dlclose(lib);
}

static void test_find(const char *sec, const char *want, const char *want_args)
{
	const char *args = NULL;
	const struct skep_event_def *def = skep_event_find(sec, &args, &err);

	ok(def && !strcmp(def->sec, want) && !strcmp(args, want_args), "%s: row %s, args \"%s\"",
	   sec, want, want_args);
	skep_err_deinit(&err);
}

static void test_unknown(const char *sec, const char *want)
{
	const char *args;

	ok(!skep_event_find(sec, &args, &err) && err.tag == SKEP_E_OBJ_SECTION, "%s is unknown",
	   sec);
	is_str(err.msg, want, "and the sentence helps");
	skep_err_deinit(&err);
}

/* Each name finds its own row and no earlier one. */
static void test_unique(void)
{
	const struct skep_event_def *def;
	const char *args;
	int bad = 0;
	size_t i;

	for (i = 0; (def = skep_event_at(i)); i++)
		if (skep_event_find(def->sec, &args, NULL) != def || args[0])
			bad++;
	is_int(bad, 0, "every row is found by its name");
}

static void test_near(void)
{
	struct skep_near near;
	char text[400];

	skep_near_init(&near, "open");
	skep_near_add(&near, "close");
	skep_near_add(&near, "openat");
	skep_near_add(&near, "openat");
	skep_near_add(&near, "opne");
	is_str(skep_near_text(&near, text, sizeof(text)), "; did you mean openat or opne?",
	       "near names, each once");
	skep_near_init(&near, "xyzzy");
	skep_near_add(&near, "open");
	is_str(skep_near_text(&near, text, sizeof(text)), "", "nothing near: nothing said");
}

static void test_attach_null(void)
{
	const char *args;
	const struct skep_event_def *def = skep_event_find("sk_reuseport", &args, NULL);
	struct skep_attach a = {.def = def, .args = args, .prog = "p"};
	struct skep_links links = {0};

	ok(skep_attach_prog(&a, &links, &err) == -EOPNOTSUPP && err.tag == SKEP_E_UNSUPPORTED,
	   "a kind that cannot be attached is unsupported, not wrong");
	is_str(err.msg,
	       "program 'p': a SEC(\"sk_reuseport\") program is attached by the process that owns "
	       "the sockets, with setsockopt(SO_ATTACH_REUSEPORT_EBPF)",
	       "and says who can");
	skep_err_deinit(&err);
}

int main(void)
{
	test_unique();
	test_oracle();
	test_find("tracepoint/syscalls/sys_enter_openat", "tracepoint",
		  "syscalls/sys_enter_openat");
	test_find("?tp/sched/sched_switch", "tp", "sched/sched_switch");
	test_find("xdp", "xdp", "");
	test_find("xdp/devmap", "xdp/devmap", "");
	test_find("uprobe.multi.s/a:b", "uprobe.multi.s", "a:b");
	test_find("tracepoint", "tracepoint", "");
	test_unknown("xdp/eth0", "SEC(\"xdp/eth0\"): nothing may follow \"xdp\"");
	test_unknown(
		"tracepoints/sched/sched_switch",
		"SEC(\"tracepoints/sched/sched_switch\") is no kind of program that is known; did "
		"you mean tracepoint, raw_tracepoint or raw_tracepoint.w?");
	test_unknown("cgroup/bnd4",
		     "SEC(\"cgroup/bnd4\") is no kind of program that is known; did you "
		     "mean cgroup/bind4, cgroup/bind6 or cgroup/dev?");
	test_unknown("", "SEC(\"\") is no kind of program that is known");
	test_near();
	test_attach_null();
	return done();
}
