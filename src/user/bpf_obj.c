/* SPDX-License-Identifier: BSD-2-Clause */
/* Ids, BTF and links: the commands of bpf(2) about objects.  Infos are in info.c. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "btf/btf.h"
#include "user/engine.h"

static int next_id(struct skep_user *user, struct skep_call *call, enum skep_user_kind kind)
{
	uint32_t id = call->attr.start_id, found;
	size_t i;

	if (id >= INT_MAX)
		return -EINVAL;
	for (i = 0; i < user->ids[kind].len; i++) {
		found = skep_obj_id(kind, user->ids[kind].data[i]);
		if (found <= id)
			continue;
		skep_call_set(call, next_id, found);
		return 0;
	}
	return -ENOENT;
}

int skep_bpf_prog_get_next_id(struct skep_user *user, struct skep_call *call)
{
	return next_id(user, call, SKEP_USER_PROG);
}

int skep_bpf_map_get_next_id(struct skep_user *user, struct skep_call *call)
{
	return next_id(user, call, SKEP_USER_MAP);
}

int skep_bpf_btf_get_next_id(struct skep_user *user, struct skep_call *call)
{
	return next_id(user, call, SKEP_USER_BTF);
}

int skep_bpf_link_get_next_id(struct skep_user *user, struct skep_call *call)
{
	return next_id(user, call, SKEP_USER_LINK);
}

static int fd_by_id(struct skep_user *user, enum skep_user_kind kind, uint32_t id)
{
	void *obj = skep_user_by_id(user, kind, id);

	if (!obj)
		return -ENOENT;
	skep_obj_get(kind, obj);
	return skep_user_fd(user, kind, obj);
}

int skep_bpf_prog_get_fd_by_id(struct skep_user *user, struct skep_call *call)
{
	return fd_by_id(user, SKEP_USER_PROG, call->attr.prog_id);
}

int skep_bpf_map_get_fd_by_id(struct skep_user *user, struct skep_call *call)
{
	uint32_t both = BPF_F_RDONLY | BPF_F_WRONLY, flags = call->attr.open_flags;
	struct skep_slot *slot;
	int fd;

	if (flags & ~both || flags == both)
		return -EINVAL;
	fd = fd_by_id(user, SKEP_USER_MAP, call->attr.map_id);
	slot = skep_user_slot(user, fd);
	if (slot) {
		slot->no_write = flags & BPF_F_RDONLY;
		slot->no_read = flags & BPF_F_WRONLY;
	}
	return fd;
}

int skep_bpf_btf_get_fd_by_id(struct skep_user *user, struct skep_call *call)
{
	return fd_by_id(user, SKEP_USER_BTF, call->attr.btf_id);
}

int skep_bpf_link_get_fd_by_id(struct skep_user *user, struct skep_call *call)
{
	if (!call->attr.link_id)
		return -ENOENT;
	return fd_by_id(user, SKEP_USER_LINK, call->attr.link_id);
}

/* The sentence in the caller's log buffer, cut if it must be. */
static int btf_log(struct skep_call *call, int ret)
{
	const union bpf_attr *attr = &call->attr;
	uint32_t len;
	char *to = skep_ptr(attr->btf_log_buf);

	if (!attr->btf_log_level || ret == 0)
		return ret;
	len = (uint32_t)strlen(call->err->msg) + 1;
	skep_call_put(call, 28 /* btf_log_true_size, 6.4 */, &len, sizeof(len));
	if (!to || !attr->btf_log_size)
		return ret;
	memcpy(to, call->err->msg, len < attr->btf_log_size ? len : attr->btf_log_size);
	to[attr->btf_log_size - 1] = len > attr->btf_log_size ? '\0' : to[attr->btf_log_size - 1];
	return len > attr->btf_log_size ? -ENOSPC : ret;
}

int skep_bpf_btf_load(struct skep_user *user, struct skep_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct skep_types *types;
	int ret;

	if (!attr->btf_size)
		return -EINVAL;
	if (attr->btf_size > 16u << 20)
		return -E2BIG;
	if (!attr->btf)
		return -EFAULT;
	if (!attr->btf_log_buf != !attr->btf_log_size ||
	    (attr->btf_log_buf && !attr->btf_log_level))
		return -EINVAL;
	types = calloc(1, sizeof(*types));
	if (!types)
		return skep_fail_nomem(call->err);
	types->refs = 1;
	ret = skep_btf_open_raw(&types->btf, skep_ptr(attr->btf), attr->btf_size, SKEP_BTF_COPY,
				NULL, call->err);
	if (ret == 0)
		ret = skep_btf_check(types->btf, call->err);
	ret = btf_log(call, ret);
	if (ret == 0)
		ret = skep_user_register(user, SKEP_USER_BTF, types);
	if (ret == 0)
		return skep_user_fd(user, SKEP_USER_BTF, types);
	skep_obj_put(SKEP_USER_BTF, types);
	return ret;
}

/* A link in a descriptor; takes nothing of the caller's. */
static int add_link(struct skep_user *user, uint32_t type, struct skep_prog *prog,
		    struct skep_opened *opened, uint64_t cookie, const char *name)
{
	struct skep_link *link = skep_link_create(type, prog, opened, cookie);
	int ret;

	if (!link)
		return -ENOMEM;
	link->tp_name = name ? strdup(name) : NULL;
	ret = skep_user_register(user, SKEP_USER_LINK, link);
	if (ret == 0)
		return skep_user_fd(user, SKEP_USER_LINK, link);
	skep_obj_put(SKEP_USER_LINK, link);
	return ret;
}

/* Does a program of this type belong at this event? */
static bool fits(uint32_t prog_type, enum skep_event_kind kind)
{
	switch (kind) {
	case SKEP_EVENT_TRACEPOINT: return prog_type == BPF_PROG_TYPE_TRACEPOINT;
	case SKEP_EVENT_PERF: return prog_type == BPF_PROG_TYPE_PERF_EVENT;
	case SKEP_EVENT_UPROBE: return prog_type == BPF_PROG_TYPE_KPROBE;
	default: return false;
	}
}

/* Links that only the kernel has, and what works instead. */
static int refuse_kind(uint32_t attach_type, struct skep_err *err)
{
	const char *what;

	switch (attach_type) {
	case BPF_TRACE_ITER: what = "iterators walk the kernel's objects: run as root"; break;
	case BPF_TRACE_KPROBE_MULTI:
	case BPF_TRACE_KPROBE_SESSION:
		what = "functions of the kernel are probed by the kernel only: run as root, or "
		       "observe system calls with SEC(\"tracepoint/syscalls/sys_enter_...\")";
		break;
	case BPF_TRACE_UPROBE_MULTI:
	case BPF_TRACE_UPROBE_SESSION:
		what = "uprobes need the kernel engine: run as root, or with CAP_BPF and "
		       "CAP_PERFMON";
		break;
	default: return 0;
	}
	return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "%s", what);
}

int skep_bpf_link_create(struct skep_user *user, struct skep_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct skep_opened *opened;
	struct skep_prog *prog;
	int ret;

	prog = skep_user_obj(user, (int)attr->link_create.prog_fd, SKEP_USER_PROG, &ret);
	if (!prog)
		return ret;
	ret = refuse_kind(attr->link_create.attach_type, call->err);
	if (ret)
		return ret;
	if (prog->type != BPF_PROG_TYPE_TRACEPOINT && prog->type != BPF_PROG_TYPE_PERF_EVENT &&
	    prog->type != BPF_PROG_TYPE_KPROBE)
		return skep_fail(
			call->err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			"the user engine cannot attach a program of this type: give it its "
			"input with --pcap or as a test run, or run as root on the kernel "
			"engine");
	if (attr->link_create.attach_type != BPF_PERF_EVENT || attr->link_create.flags)
		return -EINVAL;
	opened = skep_user_obj(user, (int)attr->link_create.target_fd, SKEP_USER_EVENT, &ret);
	if (!opened)
		return ret;
	if (!opened->pointed || !fits(prog->type, opened->kind))
		return skep_fail(call->err, SKEP_E_ATTACH, EINVAL,
				 "program '%s' is not for this kind of event", prog->name);
	return add_link(user, 7 /* BPF_LINK_TYPE_PERF_EVENT */, prog, opened,
			attr->link_create.perf_event.bpf_cookie, NULL);
}

/* The tracepoint that a tp_btf program names by the id of the kernel's btf_trace_NAME. */
static int tp_btf_name(const struct skep_prog *prog, char name[128], struct skep_err *err)
{
	static const char prefix[] = "btf_trace_";
	struct skep_btf *btf;
	const char *s;
	int ret = skep_btf_open_kernel(&btf, err);

	if (ret)
		return ret;
	s = skep_btf_name(btf, prog->btf_id);
	if (strncmp(s, prefix, sizeof(prefix) - 1) || strlen(s) >= 128)
		ret = skep_fail(
			err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			"'%s' is a function of the kernel: run as root on the kernel engine", s);
	else
		strcpy(name, s + sizeof(prefix) - 1);
	skep_btf_destroy(btf);
	return ret;
}

int skep_bpf_raw_tracepoint_open(struct skep_user *user, struct skep_call *call)
{
	const struct skep_event ev = {.kind = SKEP_EVENT_TRACEPOINT, .pid = -1, .cpu = -1};
	const char *given = skep_ptr(call->attr.raw_tracepoint.name);
	struct skep_opened *opened;
	struct skep_prog *prog;
	char name[128] = "";
	uint64_t cookie;
	int ret;

	prog = skep_user_obj(user, (int)call->attr.raw_tracepoint.prog_fd, SKEP_USER_PROG, &ret);
	if (!prog)
		return ret;
	switch (prog->type) {
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
		if (!given)
			return -EFAULT;
		strncpy(name, given, sizeof(name) - 1);
		break;
	case BPF_PROG_TYPE_TRACING:
		if (given)
			return -EINVAL;
		ret = tp_btf_name(prog, name, call->err);
		if (ret)
			return ret;
		break;
	case BPF_PROG_TYPE_LSM:
		return skep_fail(call->err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "security hooks are the kernel's: run as root, or observe the "
				 "system call with SEC(\"tracepoint/syscalls/sys_enter_...\")");
	default: return -EINVAL;
	}
	ret = skep_user_event(user, &ev, name, &opened, call->err);
	if (ret)
		return ret;
	memcpy(&cookie, (char *)&call->attr + 16, sizeof(cookie));
	ret = add_link(user, prog->type == BPF_PROG_TYPE_TRACING ? 2 : 1 /* BPF_LINK_TYPE_* */,
		       prog, opened, cookie, name);
	skep_obj_put(SKEP_USER_EVENT, opened); /* the link has its own */
	return ret;
}

/* Neither perf nor raw tracepoint links can be updated or detached but by closing them. */
int skep_bpf_link_update(struct skep_user *user, struct skep_call *call)
{
	const union bpf_attr *attr = &call->attr;
	int ret;

	if (attr->link_update.flags & ~(uint32_t)BPF_F_REPLACE)
		return -EINVAL;
	if (!skep_user_obj(user, (int)attr->link_update.link_fd, SKEP_USER_LINK, &ret))
		return ret;
	if (!skep_user_obj(user, (int)attr->link_update.new_prog_fd, SKEP_USER_PROG, &ret))
		return ret;
	return -EINVAL;
}

int skep_bpf_link_detach(struct skep_user *user, struct skep_call *call)
{
	int ret;

	if (!skep_user_obj(user, (int)call->attr.link_detach.link_fd, SKEP_USER_LINK, &ret))
		return ret;
	return skep_fail(call->err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
			 "links of this kind are detached by closing their descriptors");
}

int skep_bpf_prog_bind_map(struct skep_user *user, struct skep_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct skep_prog *prog;
	struct skep_map *map, **it;
	int ret;

	if (attr->prog_bind_map.flags)
		return -EINVAL;
	prog = skep_user_obj(user, (int)attr->prog_bind_map.prog_fd, SKEP_USER_PROG, &ret);
	if (!prog)
		return ret;
	map = skep_user_obj(user, (int)attr->prog_bind_map.map_fd, SKEP_USER_MAP, &ret);
	if (!map)
		return ret;
	skep_vec_each (&prog->maps, it) {
		if (*it == map)
			return 0;
	}
	if (skep_vec_push(&prog->maps, map))
		return -ENOMEM;
	skep_obj_get(SKEP_USER_MAP, map);
	return 0;
}
