/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links: what every attach function ends with.
 *
 * A refusal names the program and the place; EINVAL, which the kernel gives
 * for kinds of link that it does not know, becomes the version that does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "event/attach.h"
#include "sys/feature.h"
#include "sys/uapi.h"

int skep_attach_refused(const struct skep_attach *a, int ret, const char *what,
			struct skep_err *err)
{
	enum skep_tag tag = ret == -EOPNOTSUPP || ret == -ENOTSUPP ? SKEP_E_UNSUPPORTED
			    : ret == -EPERM || ret == -EACCES	   ? SKEP_E_PERMISSION
								   : SKEP_E_ATTACH;
	const char *why = a->sys->why;

	if (ret == -ENOTSUPP && !why[0])
		why = "this kernel cannot do that on this machine (ENOTSUPP)";
	/* The engine's sentence may name the thing itself. */
	if (strstr(why, what))
		return skep_fail(err, tag, -ret, "program '%s': %s", a->prog, why);
	return skep_fail(err, tag, -ret, "program '%s': %s: %s", a->prog, what,
			 why[0] ? why : strerror(-ret));
}

int skep_attach_keep(const struct skep_attach *a, int fd, struct skep_links *links,
		     struct skep_err *err)
{
	if (skep_links_add(links, fd) == 0)
		return 0;
	skep_sys_close(a->sys, fd);
	return skep_fail_nomem(err);
}

/* True if the running kernel is older than @version, "6.6". */
static bool is_older(const char *release, const char *version)
{
	unsigned int have[2] = {0}, want[2] = {0};

	if (sscanf(release, "%u.%u", &have[0], &have[1]) != 2 ||
	    sscanf(version, "%u.%u", &want[0], &want[1]) != 2)
		return false;
	return have[0] != want[0] ? have[0] < want[0] : have[1] < want[1];
}

int skep_attach_link(const struct skep_attach *a, struct skep_link_create *lc, const char *since,
		     const char *config, struct skep_links *links, const char *what,
		     struct skep_err *err)
{
	struct utsname uts;
	union {
		union bpf_attr attr;
		struct skep_link_create lc;
	} u;
	int link;

	lc->prog_fd = (uint32_t)a->prog_fd;
	memset(&u, 0, sizeof(u));
	u.lc = *lc;
	link = skep_sys_bpf(a->sys, BPF_LINK_CREATE, &u.attr, sizeof(u.lc));
	if (link >= 0)
		return skep_attach_keep(a, link, links, err);
	if ((link != -EINVAL && link != -EOPNOTSUPP) || a->sys->why[0])
		return skep_attach_refused(a, link, what, err);
	if (uname(&uts) == 0 && is_older(uts.release, since))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EINVAL,
				 "program '%s': %s: that takes Linux %s or newer, and this is %s",
				 a->prog, what, since, uts.release);
	if (link == -EOPNOTSUPP)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "program '%s': %s: this kernel was built without %s", a->prog,
				 what, config);
	return skep_fail(err, SKEP_E_ATTACH, EINVAL,
			 "program '%s': %s: the kernel refuses the link: the program is of another "
			 "type than the place takes, or the kernel was built without %s",
			 a->prog, what, config);
}

/* Kernels before 5.15: the event holds the program, and no cookie. */
static int set_prog(const struct skep_attach *a, int event, uint64_t cookie, const char *what,
		    struct skep_err *err)
{
	int ret;

	if (cookie)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "program '%s': %s: this kernel has no cookies for programs, which "
				 "came with Linux 5.15",
				 a->prog, what);
	ret = skep_sys_set_prog(a->sys, event, a->prog_fd);
	return ret < 0 ? skep_attach_refused(a, ret, what, err) : 0;
}

int skep_attach_with_cookie(const struct skep_attach *a, const struct skep_event *ev,
			    uint64_t cookie, struct skep_links *links, const char *what,
			    struct skep_err *err)
{
	struct skep_link_create lc = {.attach_type = BPF_PERF_EVENT};
	int event, ret;

	event = skep_sys_event(a->sys, ev);
	if (event < 0)
		return skep_attach_refused(a, event, what, err);
	ret = skep_attach_keep(a, event, links, err);
	if (ret < 0)
		return ret;
	lc.target = (uint32_t)event;
	lc.perf_event.cookie = cookie;
	ret = skep_attach_link(a, &lc, "5.15", "CONFIG_PERF_EVENTS", links, what, err);
	if (ret != -EINVAL || skep_feature(a->sys, SKEP_FEATURE_PERF_LINK))
		return ret;
	skep_err_deinit(err);
	return set_prog(a, event, cookie, what, err);
}

int skep_attach_to_event(const struct skep_attach *a, const struct skep_event *ev,
			 struct skep_links *links, const char *what, struct skep_err *err)
{
	return skep_attach_with_cookie(a, ev, 0, links, what, err);
}
