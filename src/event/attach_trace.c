/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to tracepoints: as perf events, raw, and typed by BTF. */
#include "event/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/uapi.h"

int skep_attach_tracepoint(const struct skep_attach *a, struct skep_links *links,
			   struct skep_err *err)
{
	const char *slash = strchr(a->args, '/');
	struct skep_event ev = {
		.kind = SKEP_EVENT_TRACEPOINT,
		/* Tells a scoped engine whom to watch; elsewhere programs do the choosing. */
		.pid = a->sys->scoped ? a->pid : -1,
		.cpu = -1,
	};
	char category[128], what[320];

	if (!slash || slash == a->args || !slash[1] || slash - a->args >= (int)sizeof(category))
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': a tracepoint is CATEGORY/NAME, as in "
				 "\"tracepoint/sched/sched_switch\", not \"%s\"",
				 a->prog, a->args);
	memcpy(category, a->args, (size_t)(slash - a->args));
	category[slash - a->args] = '\0';
	ev.tracepoint.category = category;
	ev.tracepoint.name = slash + 1;
	/* Such an engine sees what it is told to watch, and this is what tells it. */
	if (a->sys->scoped && a->pid > 0) {
		ev.pid = a->pid;
		ev.inherit = true;
	}
	snprintf(what, sizeof(what), "tracepoint %s", a->args);
	return skep_attach_to_event(a, &ev, links, what, err);
}

static int add_link(const struct skep_attach *a, int link, struct skep_links *links,
		    const char *what, struct skep_err *err)
{
	if (link < 0)
		return skep_attach_refused(a, link, what, err);
	return skep_attach_keep(a, link, links, err);
}

/*
 * Raw tracepoints name no process: an engine that sees only what it was told to
 * watch is told by an event beside the link.
 */
static int watch_pid(const struct skep_attach *a, struct skep_links *links, const char *what,
		     struct skep_err *err)
{
	struct skep_event ev = {
		.kind = SKEP_EVENT_TASKS, .pid = a->pid, .cpu = -1, .inherit = true};

	if (!a->sys->scoped || a->pid <= 0)
		return 0;
	return add_link(a, skep_sys_event(a->sys, &ev), links, what, err);
}

int skep_attach_raw_tp(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	union bpf_attr attr;
	char what[320];
	int link, ret;

	snprintf(what, sizeof(what), "raw tracepoint %s", a->args);
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t)a->args;
	attr.raw_tracepoint.prog_fd = (uint32_t)a->prog_fd;
	ret = watch_pid(a, links, what, err);
	if (ret < 0)
		return ret;
	link = skep_sys_bpf(a->sys, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr.raw_tracepoint));
	return add_link(a, link, links, what, err);
}

/* tp_btf: the program was loaded with the type it attaches to. */
int skep_attach_trace(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	union bpf_attr attr;
	char what[320];
	int link, ret;

	snprintf(what, sizeof(what), "%s/%s", a->def->sec, a->args);
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.prog_fd = (uint32_t)a->prog_fd;
	ret = watch_pid(a, links, what, err);
	if (ret < 0)
		return ret;
	link = skep_sys_bpf(a->sys, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr.raw_tracepoint));
	if (link == -EBUSY)
		return skep_fail(
			err, SKEP_E_ATTACH, EBUSY,
			"program '%s': %s: something else is attached there that cannot be "
			"shared (fmod_ret, or a live patch), or there is no place for it: the "
			"function is not in /sys/kernel/tracing/available_filter_functions",
			a->prog, what);
	if (link == -ENOTSUPP)
		return skep_fail(
			err, SKEP_E_UNSUPPORTED, ENOTSUPP,
			"program '%s': %s: this kernel's trampolines do not take the function: "
			"before Linux 6.6 none with more than six arguments; a kprobe does",
			a->prog, what);
	return add_link(a, link, links, what, err);
}

/* LSM_ID_BPF of <linux/lsm.h>, and lsm_list_modules(2), both of Linux 6.8. */
#define LSM_ID_BPF	    109
#define NR_LSM_LIST_MODULES 461

/* False only if the kernel tells that its BPF security module is not in use. */
static bool lsm_may_run(void)
{
	uint64_t ids[64];
	uint32_t size = sizeof(ids);
	long i, n = syscall(NR_LSM_LIST_MODULES, ids, &size, 0);
	char line[256] = "";
	FILE *f;

	for (i = 0; i < n; i++)
		if (ids[i] == LSM_ID_BPF)
			return true;
	if (n >= 0)
		return false;
	f = fopen("/sys/kernel/security/lsm", "re");
	if (!f)
		return true;
	if (!fgets(line, sizeof(line), f))
		line[0] = '\0';
	fclose(f);
	return !line[0] || strstr(line, "bpf");
}

int skep_attach_lsm(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	int ret = skep_attach_trace(a, links, err);

	if (ret == 0 && !lsm_may_run())
		skep_warn(a->log,
			  "program '%s' is attached but will not run: the kernel was booted "
			  "without the BPF security module (add bpf to lsm= on its command line)",
			  a->prog);
	return ret;
}
