/* SPDX-License-Identifier: BSD-2-Clause */
/* src/sys without any privilege: every refusal is a sentence that says what is missing. */
#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/kernel.h"
#include "sys/ring.h"
#include "sys/sys.h"
#include "tap.h"

static struct skep_err err = SKEP_ERR_INIT;

static bool drop(void)
{
	if (getuid() != 0)
		return true;
	return setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 &&
	       setresuid(65534, 65534, 65534) == 0;
}

static void test_event(struct skep_sys *sys, enum skep_event_kind kind, int ret, const char *part)
{
	struct skep_event ev = {.kind = kind, .pid = -1, .cpu = 0};

	if (kind == SKEP_EVENT_TRACEPOINT) {
		ev.tracepoint.category = "sched";
		ev.tracepoint.name = "sched_switch";
	} else if (kind == SKEP_EVENT_UPROBE) {
		ev.uprobe.path = "/bin/sh";
		ev.uprobe.offset = 4096;
	}
	is_int(skep_sys_event(sys, &ev), ret, "an event is refused");
	if (!ok(strstr(sys->why, part), "with a sentence: %s", sys->why))
		printf("# wanted: %s\n", part);
}

static void test_bpf(struct skep_sys *sys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr)), -EPERM, "MAP_CREATE");
	ok(strstr(sys->why, "CAP_BPF") && strstr(sys->why, "--engine user"), "%s", sys->why);
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_TRACEPOINT;
	is_int(skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, sizeof(attr)), -EPERM, "PROG_LOAD");
	ok(strstr(sys->why, "CAP_BPF and CAP_PERFMON"), "%s", sys->why);
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_XDP;
	is_int(skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, sizeof(attr)), -EPERM, "PROG_LOAD of XDP");
	ok(strstr(sys->why, "CAP_BPF and CAP_NET_ADMIN"), "%s", sys->why);
}

static void test_command(struct skep_sys *sys)
{
	char *argv[] = {"sh", "-c", "exit 5", NULL}, *missing[] = {"no-such-command-xyz", NULL};
	struct skep_command cmd = {.argv = argv}, none = {.argv = missing};

	is_int(sys->ops->spawn(sys, &cmd), 0, "commands need no privilege");
	sys->ops->release(sys, &cmd);
	while (!cmd.ended && skep_sys_wait(sys, 5000) > 0)
		;
	ok(cmd.ended && WEXITSTATUS(cmd.status) == 5, "and end as they do");
	sys->ops->reap(sys, &cmd);
	is_int(sys->ops->spawn(sys, &none), -ENOENT, "a missing command");
	is_str(sys->why, "'no-such-command-xyz': there is no such command in PATH", "is told");
}

/* No machine at hand is locked down: the file is read from lines of its own. */
static void test_lockdown(void)
{
	char mode[32];

	ok(!skep_lockdown_mode("[none] integrity confidentiality", mode, sizeof(mode)),
	   "lockdown: none is in force");
	ok(skep_lockdown_mode("none [integrity] confidentiality", mode, sizeof(mode)) &&
		   !strcmp(mode, "integrity"),
	   "lockdown: %s is in force", mode);
	ok(skep_lockdown_mode("none integrity [confidentiality]", mode, sizeof(mode)) &&
		   !strcmp(mode, "confidentiality"),
	   "lockdown: %s is in force", mode);
	ok(!skep_lockdown_mode("?", mode, sizeof(mode)) &&
		   !skep_lockdown_mode("none [integ", mode, sizeof(mode)),
	   "lockdown: no such file, or half of it");
}

int main(void)
{
	struct skep_event ev = {.kind = SKEP_EVENT_OUTPUT, .pid = -1};
	struct skep_perf perf;
	struct skep_sys *sys;
	char value[8] = "2";
	FILE *f = fopen("/proc/sys/kernel/unprivileged_bpf_disabled", "r");

	if (f && !fgets(value, sizeof(value), f))
		value[0] = '2';
	if (f)
		fclose(f);
	if (value[0] == '0' || !drop()) {
		printf("1..0 # SKIP this system lets everybody use bpf(2), or root cannot be "
		       "left\n");
		return 0;
	}
	sys = skep_sys_kernel_create(NULL);
	test_lockdown();
	test_bpf(sys);
	test_event(sys, SKEP_EVENT_TRACEPOINT, -EPERM, "tracefs");
	test_event(sys, SKEP_EVENT_OUTPUT, -EACCES, "CAP_PERFMON");
	test_event(sys, SKEP_EVENT_UPROBE, -EACCES, "CAP_PERFMON");
	ok(skep_perf_open(&perf, sys, &ev, -1, 0, &err) < 0 && err.tag == SKEP_E_PERMISSION &&
		   strstr(err.msg, "kernel.perf_event_paranoid is "),
	   "%s", err.msg);
	skep_err_deinit(&err);
	test_command(sys);
	skep_sys_destroy(sys);
	return done();
}
