/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attaching to functions of the kernel: kprobes and kretprobes, and system
 * calls by their name, whose entry function is called differently on each
 * architecture (Documentation/trace/kprobes.rst, include/linux/syscalls.h).
 */
#include "event/attach.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"

static int attach_function(const struct skep_attach *a, const char *func, uint64_t offset,
			   bool ret_probe, struct skep_links *links, struct skep_err *err)
{
	struct skep_event ev = {
		.kind = SKEP_EVENT_KPROBE,
		.pid = -1,
		.cpu = -1,
		.kprobe = {.func = func, .offset = offset, .ret = ret_probe},
	};
	char what[320];

	snprintf(what, sizeof(what), "%s/%s", a->def->sec, a->args);
	return skep_attach_to_event(a, &ev, links, what, err);
}

static int attach_kprobe(const struct skep_attach *a, bool ret_probe, struct skep_links *links,
			 struct skep_err *err)
{
	uint64_t offset;
	char func[256];

	if (skep_attach_split(a->args, func, sizeof(func), &offset) < 0 || !func[0])
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': a %s is %s, as in \"%s/do_unlinkat\", not \"%s\"",
				 a->prog, a->def->sec, a->def->args, a->def->sec, a->args);
	return attach_function(a, func, offset, ret_probe, links, err);
}

int skep_attach_kprobe(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	return attach_kprobe(a, false, links, err);
}

int skep_attach_kretprobe(const struct skep_attach *a, struct skep_links *links,
			  struct skep_err *err)
{
	return attach_kprobe(a, true, links, err);
}

/* What stands before a system call's name in that of its function. */
static const char *syscall_prefix(void)
{
	static const struct {
		const char *machine, *prefix;
	} arches[] = {
		{"x86_64", "__x64_"},  {"aarch64", "__arm64_"}, {"riscv64", "__riscv_"},
		{"s390x", "__s390x_"}, {"loongarch64", ""},	{"i686", "__ia32_"},
	};
	struct utsname uts;
	size_t i;

	for (i = 0; uname(&uts) == 0 && i < SKEP_ARRAY_SIZE(arches); i++)
		if (!strcmp(uts.machine, arches[i].machine))
			return arches[i].prefix;
	return "";
}

static int attach_syscall(const struct skep_attach *a, bool ret_probe, struct skep_links *links,
			  struct skep_err *err)
{
	char func[256];

	if (snprintf(func, sizeof(func), "%ssys_%s", syscall_prefix(), a->args) >=
	    (int)sizeof(func))
		return skep_fail(err, SKEP_E_ATTACH, ENAMETOOLONG,
				 "program '%s': no system call has a name that long", a->prog);
	return attach_function(a, func, 0, ret_probe, links, err);
}

int skep_attach_ksyscall(const struct skep_attach *a, struct skep_links *links,
			 struct skep_err *err)
{
	return attach_syscall(a, false, links, err);
}

int skep_attach_kretsyscall(const struct skep_attach *a, struct skep_links *links,
			    struct skep_err *err)
{
	return attach_syscall(a, true, links, err);
}
