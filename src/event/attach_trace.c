/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to tracepoints: as perf events, raw, and typed by BTF. */
#include "event/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "sys/uapi.h"

int skep_attach_to_event(const struct skep_attach *a, const struct skep_event *ev,
			 struct skep_links *links, const char *what, struct skep_err *err)
{
	union bpf_attr attr;
	int event, link, ret;

	event = skep_sys_event(a->sys, ev);
	if (event < 0)
		return skep_attach_refused(a, event, what, err);
	ret = skep_links_add(links, event);
	if (ret < 0) {
		skep_sys_close(a->sys, event);
		return skep_fail_nomem(err);
	}
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)a->prog_fd;
	attr.link_create.target_fd = (uint32_t)event;
	attr.link_create.attach_type = BPF_PERF_EVENT;
	link = skep_sys_bpf(a->sys, BPF_LINK_CREATE, &attr, sizeof(attr.link_create));
	if (link == -EINVAL && !a->sys->why[0])
		return skep_fail(
			err, SKEP_E_ATTACH, EINVAL,
			"program '%s': %s: the kernel refuses the link; it has to be 5.15 or "
			"newer, and the program of a type for this event",
			a->prog, what);
	if (link < 0)
		return skep_attach_refused(a, link, what, err);
	ret = skep_links_add(links, link);
	if (ret < 0) {
		skep_sys_close(a->sys, link);
		return skep_fail_nomem(err);
	}
	return 0;
}

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
	if (skep_links_add(links, link) == 0)
		return 0;
	skep_sys_close(a->sys, link);
	return skep_fail_nomem(err);
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
	if (link == -ENOENT && !a->sys->why[0])
		return skep_fail(err, SKEP_E_ATTACH, ENOENT,
				 "program '%s': there is no raw tracepoint '%s' in this kernel",
				 a->prog, a->args);
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
	return add_link(a, link, links, what, err);
}
