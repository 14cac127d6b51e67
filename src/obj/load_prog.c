/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gives one program to the engine.
 *
 * The first try carries everything the kernel may want to know and no log
 * buffer; only a refusal is repeated with one, to tell why.  A kernel too old
 * for part of it gets what it knows (adapt.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/target.h"
#include "isa/uapi.h"
#include "obj/load_int.h"
#include "sys/feature.h"
#include "sys/uapi.h"

#define LOG_FIRST (64u << 10)
#define LOG_MAX	  (16u << 20)

/* union bpf_attr of Debian 12's headers ends before what 6.4 added. */
union load_attr {
	union bpf_attr a;
	char bytes[256];
};

#define LOG_TRUE_SIZE (offsetof(union bpf_attr, core_relo_rec_size) + 4)

struct log {
	char *text;
	uint32_t size;
};

struct attempt {
	struct skep_load *load;
	const struct skep_obj_func *func;
	struct skep_image *image;
	int attach_btf_id, attach_btf_fd;
	int prog_fd; /* of the program attached to, -1: none */
	uint32_t attach_type;
	unsigned int log_level;
	struct log log;
	uint32_t true_size; /* what the log would have needed, 0: not told */
};

static int try_load(struct attempt *t)
{
	struct skep_load *load = t->load;
	const struct skep_image *image = t->image;
	union load_attr u;
	union bpf_attr *attr = &u.a;
	int i, fd;

	for (i = 0; i < 5; i++) {
		memset(&u, 0, sizeof(u));
		attr->prog_type = t->func->prog_type;
		attr->insns = (uintptr_t)image->insns.data;
		attr->insn_cnt = image->insns.len;
		attr->license = (uintptr_t)load->obj->license;
		attr->kern_version = load->obj->kern_version;
		/* Kernels before 5.0, which have no types of functions, want theirs at kprobes. */
		if (!attr->kern_version && load->drop & SKEP_DROP_TYPES)
			attr->kern_version = skep_kernel_version();
		attr->prog_flags = t->func->prog_flags;
		if (t->func->prog_type == BPF_PROG_TYPE_XDP)
			attr->prog_ifindex = (uint32_t)load->opts.offload;
		if (!(load->drop & SKEP_DROP_ATTACH_TYPE))
			attr->expected_attach_type = t->attach_type;
		attr->attach_btf_id = (uint32_t)t->attach_btf_id;
		attr->attach_btf_obj_fd = (uint32_t)t->attach_btf_fd;
		attr->fd_array = (uintptr_t)load->fd_array.data;
		if (!(load->drop & SKEP_DROP_NAMES))
			skep_load_name(attr->prog_name, t->func->name);
		if (load->btf_fd >= 0 && image->func_info.len && !(load->drop & SKEP_DROP_TYPES)) {
			attr->prog_btf_fd = (uint32_t)load->btf_fd;
			attr->func_info = (uintptr_t)image->func_info.data;
			attr->func_info_cnt = image->func_info.len;
			attr->func_info_rec_size = sizeof(*image->func_info.data);
			if (image->line_info.len && !(load->drop & SKEP_DROP_LINES)) {
				attr->line_info = (uintptr_t)image->line_info.data;
				attr->line_info_cnt = image->line_info.len;
				attr->line_info_rec_size = sizeof(*image->line_info.data);
			}
		}
		if (t->log.text) {
			t->log.text[0] = '\0';
			attr->log_buf = (uintptr_t)t->log.text;
			attr->log_size = t->log.size;
			attr->log_level = t->log_level ? t->log_level : 1;
		}
		fd = skep_sys_bpf(load->sys, BPF_PROG_LOAD, attr, LOG_TRUE_SIZE + 4);
		memcpy(&t->true_size, u.bytes + LOG_TRUE_SIZE, sizeof(t->true_size));
		if (fd != -EAGAIN) /* the verifier was interrupted by a signal */
			break;
	}
	return fd;
}

/* Loads with a log that holds all the engine has to say, or 16 MiB of it. */
static int try_logged(struct attempt *t)
{
	uint64_t want = LOG_FIRST;
	char *text;
	int fd;

	for (;;) {
		text = realloc(t->log.text, want);
		if (!text)
			return -ENOMEM;
		t->log = (struct log){text, (uint32_t)want};
		fd = try_load(t);
		t->log.text[t->log.size - 1] = '\0';
		if (fd != -ENOSPC || want >= LOG_MAX)
			return fd;
		/* It will not fit whole; since 6.4 its end is there, where the reason stands. */
		if (t->true_size > LOG_MAX && !t->log_level)
			return fd;
		want = t->true_size > want ? t->true_size : 2 * want;
		if (want > LOG_MAX)
			want = LOG_MAX;
	}
}

/* Complaints about the description of a program, if it was sent, not about the program. */
static bool is_about_info(const struct attempt *t)
{
	static const char *const words[] = {"func_info", "line_info", "bpf_func_info",
					    "bpf_line_info", "Invalid insn_off in func"};
	size_t i;

	if (!t->log.text || t->load->btf_fd < 0 || !t->image->func_info.len ||
	    t->load->drop & SKEP_DROP_TYPES)
		return false;
	for (i = 0; i < SKEP_ARRAY_SIZE(words); i++)
		if (strstr(t->log.text, words[i]))
			return true;
	return false;
}

/* Leaves one more thing about the program away; false: there is nothing left. */
static bool drop_info(struct attempt *t)
{
	struct skep_load *load = t->load;
	unsigned int drop = load->drop & SKEP_DROP_LINES ? SKEP_DROP_TYPES : SKEP_DROP_LINES;

	if (!is_about_info(t))
		return false;
	load->drop |= drop;
	skep_debug(load->sys->log, "%s: program '%s': trying without %s information",
		   load->obj->name, t->func->name, drop == SKEP_DROP_LINES ? "line" : "function");
	return true;
}

/* What was refused with @ret is fitted to an older kernel; true: it looks different now. */
static bool adapt(struct attempt *t, int ret)
{
	bool said = t->log.text && t->log.text[0] && !is_about_info(t);

	if (!said)
		return (ret == -EINVAL || ret == -E2BIG) && skep_adapt(t->load);
	return strstr(t->log.text, "func") &&
	       skep_adapt_insns(t->load, t->image->insns.data, t->image->insns.len);
}

/* A refusal without a log: of the call, not of the verifier. */
static int fail_load(struct skep_load *load, const struct skep_obj_func *func,
		     const struct skep_image *image, int ret, struct skep_err *err)
{
	const char *why = load->sys->why, *file = load->obj->name;
	const struct skep_feature_prog prog = {.type = func->prog_type};

	if (load->opts.offload && func->prog_type == BPF_PROG_TYPE_XDP && !*why &&
	    (ret == -EINVAL || ret == -EOPNOTSUPP))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "%s: program '%s': the network device does not run programs "
				 "itself; --xdp-mode native has its driver run them",
				 file, func->name);
	switch (-ret) {
	case EPERM:
	case EACCES:
		return skep_fail(err, SKEP_E_PERMISSION, -ret, "%s: program '%s': %s", file,
				 func->name,
				 *why ? why
				      : "loading programs needs CAP_BPF, and CAP_PERFMON or "
					"CAP_NET_ADMIN for its kind");
	case EOPNOTSUPP:
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "%s: program '%s': %s", file,
				 func->name, *why ? why : "this kind of program is not supported");
	case E2BIG:
		return skep_fail(err, SKEP_E_PROG_LOAD, E2BIG,
				 "%s: program '%s' is too large: %zu instructions (the kernel "
				 "takes 1000000, and 4096 from users without CAP_BPF)",
				 file, func->name, image->insns.len);
	case EINVAL:
		if (!skep_feature_prog_type(load->sys, &prog))
			return skep_fail(
				err, SKEP_E_UNSUPPORTED, EINVAL,
				"%s: program '%s': this kernel has no programs of the kind "
				"'%s'",
				file, func->name, func->sec);
		return skep_fail(err, SKEP_E_PROG_LOAD, EINVAL,
				 "%s: program '%s': the kernel refuses programs of the kind '%s' "
				 "as they stand, without saying more",
				 file, func->name, func->sec);
	default:
		return skep_fail(err, SKEP_E_PROG_LOAD, -ret, "%s: program '%s': %s", file,
				 func->name, *why ? why : strerror(-ret));
	}
}

/* One sentence for what is in the log, or for the refusal @ret itself. */
static void fail_image(struct attempt *t, int ret, struct skep_err *err)
{
	struct skep_load *load = t->load;
	bool said = t->log.text && t->log.text[0] && !is_about_info(t);

	if (said && strstr(t->log.text, "ld_imm64") &&
	    skep_adapt_needs_globals(load, t->image->insns.data, t->image->insns.len))
		skep_fail_globals(load, t->func->name, err);
	else if (said)
		skep_load_explain(load, t->image, t->func, ret, t->log.text, err);
	else
		fail_load(load, t->func, t->image, ret, err);
}

/* Loads @t's program: a descriptor, or -errno with the reason in @err. */
static int load_image(struct attempt *t, struct skep_err *err)
{
	struct skep_load *load = t->load;
	unsigned int had;
	int fd;

	for (;;) {
		fd = t->log_level ? try_logged(t) : try_load(t);
		if (fd == -EPERM && skep_load_raise_rlimit(load))
			continue;
		if (fd < 0 && !t->log_level && fd != -EPERM && fd != -EOPNOTSUPP)
			fd = try_logged(t);
		if (fd >= 0 || !adapt(t, fd))
			break;
	}
	had = load->drop;
	while (fd < 0 && drop_info(t))
		fd = try_logged(t);
	if (fd >= 0)
		return fd;
	fail_image(t, fd, err);
	/* It was not the description: other programs get all of theirs. */
	load->drop = had;
	return fd;
}

/* The whole log for -v: all of it, whether the program was loaded or not. */
static void keep_log(struct skep_loaded_prog *prog, struct attempt *t)
{
	if (t->log.text && t->log.text[0])
		prog->log = SKEP_TAKE(t->log.text);
	free(t->log.text);
}

/* Attaches to a function of a program, not of the kernel. */
static bool wants_prog(const struct skep_load *load, const struct skep_obj_func *f)
{
	return f->prog_type == BPF_PROG_TYPE_EXT ||
	       (load->opts.target && f->prog_type == BPF_PROG_TYPE_TRACING &&
		(f->attach_type == BPF_TRACE_FENTRY || f->attach_type == BPF_TRACE_FEXIT ||
		 f->attach_type == BPF_MODIFY_RETURN));
}

/* What the program attaches to, if that is a type. */
static int find_target(struct attempt *t, struct skep_err *err)
{
	const struct skep_obj_func *func = t->func;
	const char *file = t->load->obj->name;
	int ret;

	if (func->prog_type == BPF_PROG_TYPE_STRUCT_OPS) {
		t->attach_btf_id = skep_load_ops_target(t->load, (uint32_t)(func - t->load->funcs),
							&t->attach_btf_fd, err);
		return t->attach_btf_id < 0 ? t->attach_btf_id : 0;
	}
	if (wants_prog(t->load, func)) {
		/* The same place in bpf_attr: attach_prog_fd, attach_btf_obj_fd. */
		t->prog_fd = skep_load_prog_target(t->load, func, &t->attach_btf_id, err);
		t->attach_btf_fd = t->prog_fd;
		return t->prog_fd >= 0
			       ? 0
			       : skep_wrap(err, t->prog_fd, "%s: program '%s'", file, func->name);
	}
	if (!func->event || !(func->event->flags & SKEP_EV_BTF_ID))
		return 0;
	ret = skep_ktypes_open(&t->load->types, err);
	if (ret < 0)
		return skep_wrap(err, ret, "%s: program '%s' needs the kernel's types", file,
				 func->name);
	t->attach_btf_id =
		skep_event_target(func->event, func->args, &t->load->types, &t->attach_btf_fd, err);
	if (t->attach_btf_id < 0)
		return skep_wrap(err, t->attach_btf_id, "%s: program '%s'", file, func->name);
	return 0;
}

int skep_load_prog(struct skep_load *load, struct skep_loaded_prog *prog, uint32_t func,
		   struct skep_err *err)
{
	struct attempt t = {.load = load, .func = &load->funcs[func], .prog_fd = -1};
	SKEP_AUTO(skep_image_deinit) struct skep_image image = {0};
	int ret;

	t.image = &image;
	t.log_level = load->opts.log_level;
	ret = skep_image_link(load, func, &image, err);
	if (!ret)
		ret = skep_image_resolve(load, &image, err);
	if (ret)
		return skep_wrap(err, ret, "%s: program '%s'", load->obj->name, t.func->name);
	prog->insns = skep_arena_dup(&load->arena, image.insns.data,
				     image.insns.len * sizeof(*image.insns.data));
	prog->nr_insns = image.insns.len;
	t.attach_type = t.func->attach_type;
	if (t.func->event &&
	    (t.attach_type == BPF_TRACE_KPROBE_MULTI || t.attach_type == BPF_TRACE_UPROBE_MULTI))
		t.attach_type = skep_event_attach_type(t.func->event, &load->types);
	prog->attach_type = t.attach_type;
	if (!prog->insns)
		return skep_fail_nomem(err);
	ret = find_target(&t, err);
	if (ret < 0)
		return ret;
	ret = load_image(&t, err);
	skep_sys_close(load->sys, t.prog_fd);
	/* What the engine was given in the end. */
	memcpy(prog->insns, image.insns.data, image.insns.len * sizeof(*image.insns.data));
	keep_log(prog, &t);
	if (ret < 0)
		return ret;
	prog->fd = ret;
	skep_load_note(load, &image, ret);
	return 0;
}
