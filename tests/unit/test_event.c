/* SPDX-License-Identifier: BSD-2-Clause */
/* src/event: the table of section names (against libbpf's own) and nearest names. */
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/near.h"
#include "event/event.h"
#include "sys/uapi.h"
#include "tap.h"

static struct skep_err err = SKEP_ERR_INIT;

/* What libbpf 1.5 says of names that Debian 12's 1.1 does not know. */
static const struct {
	const char *sec;
	uint32_t prog, attach;
} newer[] = {
	{"kprobe.session", BPF_PROG_TYPE_KPROBE, 56},
	{"uprobe.session", BPF_PROG_TYPE_KPROBE, 57},
	{"uprobe.session.s", BPF_PROG_TYPE_KPROBE, 57},
	{"uprobe.multi", BPF_PROG_TYPE_KPROBE, 48},
	{"uprobe.multi.s", BPF_PROG_TYPE_KPROBE, 48},
	{"uretprobe.multi", BPF_PROG_TYPE_KPROBE, 48},
	{"uretprobe.multi.s", BPF_PROG_TYPE_KPROBE, 48},
	{"usdt.s", BPF_PROG_TYPE_KPROBE, 0},
	{"struct_ops.s", BPF_PROG_TYPE_STRUCT_OPS, 0},
	{"tc/ingress", BPF_PROG_TYPE_SCHED_CLS, 46},
	{"tc/egress", BPF_PROG_TYPE_SCHED_CLS, 47},
	{"tcx/ingress", BPF_PROG_TYPE_SCHED_CLS, 46},
	{"tcx/egress", BPF_PROG_TYPE_SCHED_CLS, 47},
	{"netkit/primary", BPF_PROG_TYPE_SCHED_CLS, 54},
	{"netkit/peer", BPF_PROG_TYPE_SCHED_CLS, 55},
	{"netfilter", 32, 45},
	{"sk_skb/verdict", BPF_PROG_TYPE_SK_SKB, 38},
	{"cgroup/connect_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 49},
	{"cgroup/sendmsg_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 50},
	{"cgroup/recvmsg_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 51},
	{"cgroup/getpeername_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 52},
	{"cgroup/getsockname_unix", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, 53},
	/* and of what 1.0 gave up */
	{"xdp_devmap", BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP},
	{"xdp_cpumap", BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP},
};

static bool is_newer(const struct skep_event_def *def)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(newer); i++)
		if (!strcmp(newer[i].sec, def->sec))
			return newer[i].prog == def->prog_type &&
			       newer[i].attach == def->attach_type;
	return false;
}

/* Row by row: does libbpf mean the same by the name? */
static void test_oracle(void)
{
	int (*by_name)(const char *name, int *prog_type, int *attach_type);
	void (*set_print)(void *fn);
	void *lib = dlopen("libbpf.so.1", RTLD_NOW);
	const struct skep_event_def *def;
	int prog, attach, same = 0, differ = 0, listed = 0;
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
		/* Of lirc_mode2 skep takes more than libbpf does (src/obj/legacy.c). */
		if (!strcmp(def->sec, "lirc_mode2"))
			strcpy(name, def->sec);
		if (by_name(name, &prog, &attach) < 0 && is_newer(def)) {
			listed++;
		} else if (by_name(name, &prog, &attach) >= 0 && prog == (int)def->prog_type &&
			   attach == (int)def->attach_type) {
			same++;
		} else {
			differ++;
			printf("# %s: the row has %u, %u\n", name, def->prog_type,
			       def->attach_type);
		}
	}
	ok(same >= 80 && !differ && same + listed == 105,
	   "%d rows as in libbpf, %d differ, %d newer or older than it and as listed here", same,
	   differ, listed);
	dlclose(lib);
}

static bool ends_in(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);

	return n >= m && !strcmp(s + n - m, end);
}

/* Flags of PROG_LOAD follow from the name. */
static void test_flags(void)
{
	const struct skep_event_def *def;
	int bad = 0;
	size_t i;

	for (i = 0; (def = skep_event_at(i)); i++) {
		bool sleepable = ends_in(def->sec, ".s") || !strcmp(def->sec, "syscall");
		bool typed = def->prog_type == BPF_PROG_TYPE_TRACING ||
			     def->prog_type == BPF_PROG_TYPE_LSM;

		if (sleepable != !!(def->flags & SKEP_EV_SLEEPABLE) ||
		    !strncmp(def->sec, "xdp.frags", 9) != !!(def->flags & SKEP_EV_FRAGS) ||
		    typed != !!(def->flags & SKEP_EV_BTF_ID) ||
		    typed != (def->btf_prefix != NULL)) {
			bad++;
			printf("# %s: flags %#x\n", def->sec, def->flags);
		}
	}
	is_int(bad, 0, "sleepable, frags and typed by name");
}

/* As libbpf 0.x: the longest name that it starts with. */
static void test_old(const char *sec, const char *want)
{
	const char *args = NULL;
	const struct skep_event_def *def = skep_event_find(sec, &args, &err);

	ok(def && !strcmp(def->sec, want) && skep_event_is_old(def, sec), "%s: row %s, an old name",
	   sec, want);
	skep_err_deinit(&err);
}

static void test_find(const char *sec, const char *want, const char *want_args)
{
	const char *args = NULL;
	const struct skep_event_def *def = skep_event_find(sec, &args, &err);

	ok(def && !strcmp(def->sec, want) && !strcmp(args, want_args) &&
		   !skep_event_is_old(def, sec),
	   "%s: row %s, args \"%s\"", sec, want, want_args);
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
	test_flags();
	test_find("tracepoint/syscalls/sys_enter_openat", "tracepoint",
		  "syscalls/sys_enter_openat");
	test_find("?tp/sched/sched_switch", "tp", "sched/sched_switch");
	test_find("xdp", "xdp", "");
	test_find("xdp/devmap", "xdp/devmap", "");
	test_find("uprobe.multi.s/a:b", "uprobe.multi.s", "a:b");
	test_find("tracepoint", "tracepoint", "");
	test_old("xdp/eth0", "xdp");
	test_old("?xdp_pass", "xdp");
	test_old("socket1", "socket");
	test_old("classifier/ingress", "classifier");
	test_old("cgroup/sock_create_foo", "cgroup/sock_create");
	test_old("sk_skb/stream_verdict1", "sk_skb/stream_verdict");
	test_old("xdp_devmap/out", "xdp_devmap");
	test_unknown("netfilter/in", "SEC(\"netfilter/in\"): nothing may follow \"netfilter\"");
	test_unknown("xdpp",
		     "SEC(\"xdpp\") is no kind of program that is known; did you mean xdp?");
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
