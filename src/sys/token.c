/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF tokens (Linux 6.9): what an administrator delegated to a user namespace
 * through the options of a BPF file system (delegate_cmds, delegate_maps,
 * delegate_progs, delegate_attachs) goes with each map, program and BTF.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/kernel.h"
#include "sys/uapi.h"

#define TOKEN_FLAG (1u << 16) /* BPF_F_TOKEN_FD */

/* Where commands have their flags and their token, and how long they are then (6.9). */
static const struct place {
	int cmd;
	unsigned int flags, token, size;
} places[] = {
	{BPF_MAP_CREATE, offsetof(union bpf_attr, map_flags), 76, 80},
	{BPF_PROG_LOAD, offsetof(union bpf_attr, prog_flags), 144, 148},
	{BPF_BTF_LOAD, 32, 36, 40},
};

long skep_kernel_bpf_token(struct skep_kernel *k, int cmd, union bpf_attr *attr, unsigned int size)
{
	const struct place *p = places;
	char bytes[256] = {0};
	uint32_t flags;
	long ret;

	while (p < places + SKEP_ARRAY_SIZE(places) && p->cmd != cmd)
		p++;
	if (k->token <= 0 || p == places + SKEP_ARRAY_SIZE(places) || size > sizeof(bytes))
		return syscall(__NR_bpf, cmd, attr, size);
	memcpy(bytes, attr, size);
	memcpy(&flags, bytes + p->flags, sizeof(flags));
	flags |= TOKEN_FLAG;
	memcpy(bytes + p->flags, &flags, sizeof(flags));
	memcpy(bytes + p->token, &k->token, sizeof(k->token));
	ret = syscall(__NR_bpf, cmd, bytes, size > p->size ? size : p->size);
	/* What the kernel wrote (log_true_size), and the caller's flags. */
	flags &= ~TOKEN_FLAG;
	memcpy(bytes + p->flags, &flags, sizeof(flags));
	memset(bytes + p->token, 0, sizeof(k->token));
	memcpy(attr, bytes, size);
	return ret;
}

static const char *why_not(int code)
{
	switch (code) {
	case EINVAL:
		return "it is no BPF file system, or this kernel is older than 6.9 and has no "
		       "tokens";
	case EPERM:
		return "this process lacks CAP_BPF in the user namespace that the file system was "
		       "made for";
	case ENOENT: return "nothing is delegated: mount it with delegate_cmds=any and the like";
	case EOPNOTSUPP:
		return "tokens are for user namespaces; outside of one, run as root or with "
		       "CAP_BPF";
	default: return strerror(code);
	}
}

int skep_sys_kernel_token(struct skep_sys *sys, const char *dir, struct skep_err *err)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;
	SKEP_AUTO_CLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t attr[2] = {0};
	long token;

	if (fd < 0)
		return skep_fail(err, SKEP_E_NOT_FOUND, errno, "no BPF token from %s: %s", dir,
				 strerror(errno));
	attr[1] = (uint32_t)fd;
	token = syscall(__NR_bpf, BPF_TOKEN_CREATE, attr, sizeof(attr));
	if (token < 0)
		return skep_fail(err, SKEP_E_PERMISSION, errno, "no BPF token from %s: %s", dir,
				 why_not(errno));
	k->token = (int)token;
	return 0;
}
