/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf(2): the attributes come in, a command's handler runs, results go out.
 *
 * attr is versioned by its size: what is missing counts as zero, what is more
 * than we know must be zero (E2BIG), and what a command does not use must be
 * zero (EINVAL).  Pointers inside are this process's and trusted; NULL gives
 * EFAULT.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "user/engine.h"

static const struct command {
	const char *name;
	int (*fn)(struct skep_user *user, struct skep_call *call);
	size_t end; /* of the last known field */
	const char *why;
} commands[] = {
#define SKEP_BPF(number, name, last) \
	[number] = {#name, skep_bpf_##name, \
		    offsetof(union bpf_attr, last) + sizeof(((union bpf_attr *)0)->last), NULL},
#define SKEP_BPF_NO(number, name, why) [number] = {#name, NULL, 0, why},
#include "user/bpf.def"
#undef SKEP_BPF
#undef SKEP_BPF_NO
};

_Static_assert(SKEP_ARRAY_SIZE(commands) == BPF_TOKEN_CREATE + 1, "a row for every command");

#define PAGE 4096u

static bool all_zero(const void *data, size_t len)
{
	const char *p = data;

	for (; len; p++, len--) {
		if (*p)
			return false;
	}
	return true;
}

void skep_call_put(struct skep_call *call, size_t off, const void *value, size_t len)
{
	if (off + len <= call->size)
		memcpy(call->user + off, value, len);
}

/* Fields that commands got after this header was made, and that may be set. */
static size_t newer_end(int cmd, size_t end)
{
	if (cmd == BPF_PROG_LOAD)
		return 152; /* log_true_size, prog_token_fd, fd_array_cnt */
	if (cmd == BPF_BTF_LOAD)
		return 40; /* btf_log_true_size, btf_flags, btf_token_fd */
	if (cmd == BPF_MAP_CREATE)
		return 80; /* value_type_btf_obj_fd, map_token_fd */
	if (cmd == BPF_RAW_TRACEPOINT_OPEN)
		return 24; /* cookie */
	if (cmd == BPF_LINK_CREATE)
		return 64; /* uprobe_multi and its like */
	return end;
}

static int run(struct skep_user *user, int cmd, struct skep_call *call)
{
	const struct command *c = &commands[cmd];
	size_t end, all = sizeof(call->attr) + sizeof(call->more);

	if (!c->fn)
		return skep_fail(call->err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "bpf(%s): %s", c->name,
				 c->why);
	end = newer_end(cmd, c->end);
	if (!all_zero((char *)&call->attr + end, all - end))
		return skep_fail(call->err, SKEP_E_SYSTEM, EINVAL,
				 "bpf(%s): bytes after the last field that it uses are not zero",
				 c->name);
	return c->fn(user, call);
}

int skep_user_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	struct skep_user *user = (struct skep_user *)sys;
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_call call = {.user = (char *)attr, .size = size, .err = &err};
	size_t known = sizeof(call.attr) + sizeof(call.more);
	int ret;

	_Static_assert(offsetof(struct skep_call, more) == sizeof(union bpf_attr), "in a row");
	sys->why[0] = '\0';
	if (!attr && size)
		return -EFAULT;
	if (size > PAGE)
		return -E2BIG;
	if (size > known && !all_zero((char *)attr + known, size - known))
		return -E2BIG;
	memcpy(&call.attr, attr, size < known ? size : known);
	if (cmd < 0 || cmd >= (int)SKEP_ARRAY_SIZE(commands))
		return -EINVAL;
	ret = run(user, cmd, &call);
	if (ret < 0 && err.tag != SKEP_E_NONE)
		snprintf(sys->why, sizeof(sys->why), "%.*s", (int)sizeof(sys->why) - 1, err.msg);
	skep_err_deinit(&err);
	skep_user_sweep(user);
	return ret;
}
