/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What runs without an event: iterators, which run when their text is read
 * (Documentation/bpf/bpf_iterators.rst), and syscall programs, run once.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/attach.h"
#include "sys/uapi.h"

/* union bpf_iter_link_info as of 6.1. */
union iter_info {
	struct {
		uint32_t map_fd;
	} map;
	struct {
		uint32_t order, cgroup_fd;
		uint64_t cgroup_id;
	} cgroup;
	struct {
		uint32_t tid, pid, pid_fd;
	} task;
	char size[16];
};

#define DESCENDANTS 2 /* BPF_CGROUP_ITER_DESCENDANTS_PRE */

int skep_attach_iter(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	struct skep_link_create lc = {.attach_type = BPF_TRACE_ITER};
	SKEP_AUTO_CLOSE int cgroup = -1;
	const struct skep_iter_opts none = {0}, *o = a->iter ? a->iter : &none;
	bool map = !strcmp(a->args, "bpf_map_elem") || !strcmp(a->args, "bpf_sk_storage_map");
	bool task = !strncmp(a->args, "task", 4);
	union iter_info info;
	char what[320];

	memset(&info, 0, sizeof(info));
	if (!strcmp(a->args, "cgroup")) {
		cgroup = open(a->cgroup ? a->cgroup : "/sys/fs/cgroup",
			      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		info.cgroup.order = o->order ? o->order : DESCENDANTS;
		info.cgroup.cgroup_fd = cgroup < 0 ? 0 : (uint32_t)cgroup;
	} else if (task && o->tid > 0) {
		info.task.tid = (uint32_t)o->tid;
	} else if (task && (o->pid > 0 || a->pid > 0)) {
		info.task.pid = (uint32_t)(o->pid > 0 ? o->pid : a->pid);
	} else if (map && a->iter_map_fd) {
		info.map.map_fd = (uint32_t)*a->iter_map_fd;
	} else if (map) {
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': iter/%s walks a map; name it (--iter map=NAME of "
				 "the object, or the id or pin of another)",
				 a->prog, a->args);
	}
	if (info.cgroup.order || info.task.tid || info.task.pid || map) {
		lc.iter.info = (uintptr_t)&info;
		lc.iter.info_len = sizeof(info);
	}
	snprintf(what, sizeof(what), "%s/%s", a->def->sec, a->args);
	return skep_attach_link(a, &lc, task && lc.iter.info ? "6.1" : "5.8", "this iterator",
				links, what, err);
}

int skep_iter_read(struct skep_sys *sys, int link, void (*put)(void *ctx, const char *, size_t),
		   void *ctx, struct skep_err *err)
{
	union bpf_attr attr;
	char text[8192];
	int fd, n;

	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)link;
	fd = skep_sys_bpf(sys, BPF_ITER_CREATE, &attr, sizeof(attr.iter_create));
	if (fd < 0)
		return skep_fail(err, SKEP_E_ATTACH, -fd, "starting an iterator: %s",
				 sys->why[0] ? sys->why : strerror(-fd));
	while ((n = skep_sys_read(sys, fd, text, sizeof(text))) > 0)
		put(ctx, text, (size_t)n);
	skep_sys_close(sys, fd);
	return n < 0 ? skep_fail(err, SKEP_E_SYSTEM, -n, "reading an iterator: %s",
				 n == -E2BIG ? "the program wrote more than 32 KiB at one step"
					     : strerror(-n))
		     : 0;
}

int skep_attach_syscall(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	union bpf_attr attr;
	int ret;

	(void)links;
	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)a->prog_fd;
	ret = skep_sys_bpf(a->sys, BPF_PROG_TEST_RUN, &attr, sizeof(attr.test));
	if (ret < 0)
		return skep_attach_refused(a, ret, "running it once, without a context", err);
	skep_info(a->log, "program '%s' ran and returned %d", a->prog, (int)attr.test.retval);
	return 0;
}
