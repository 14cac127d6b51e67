/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decorator `inject`: makes the nth call of one kind, or some from that on,
 * fail with a chosen errno, without the engine hearing of it.  All other calls pass.
 */
#include <stdlib.h>
#include <string.h>

#include "sys/sys.h"

struct injector {
	struct skep_sys sys;
	struct skep_sys_ops ops;
	struct skep_sys *inner;
	int cmd; /* bpf(2) command, -1: any; -2: event() */
	int left; /* calls until the first one that fails, it included; 0: it has failed */
	int more; /* how many fail after it */
	int err; /* positive errno */
};

/* True for a call that has to fail. */
static bool hit(struct injector *in)
{
	in->sys.why[0] = '\0';
	if (in->left > 0)
		return --in->left == 0;
	return in->more > 0 && in->more--;
}

static int passed(struct injector *in, int ret)
{
	memcpy(in->sys.why, in->inner->why, sizeof(in->sys.why));
	return ret;
}

static int inject_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	struct injector *in = (struct injector *)sys;

	if ((in->cmd == cmd || in->cmd == -1) && hit(in))
		return -in->err;
	return passed(in, in->inner->ops->bpf(in->inner, cmd, attr, size));
}

static int inject_event(struct skep_sys *sys, const struct skep_event *ev)
{
	struct injector *in = (struct injector *)sys;

	if (in->cmd == -2 && hit(in))
		return -in->err;
	return passed(in, in->inner->ops->event(in->inner, ev));
}

static void *inject_map(struct skep_sys *sys, int fd, off_t off, size_t len, int prot)
{
	struct injector *in = (struct injector *)sys;
	void *p = in->inner->ops->map(in->inner, fd, off, len, prot);

	passed(in, 0);
	return p;
}

static int inject_wait(struct skep_sys *sys, int timeout_ms)
{
	struct injector *in = (struct injector *)sys;

	return passed(in, in->inner->ops->wait(in->inner, timeout_ms));
}

static void inject_note(struct skep_sys *sys, int fd, uint32_t insn, const char *text)
{
	skep_sys_note(((struct injector *)sys)->inner, fd, insn, text);
}

static int inject_watch(struct skep_sys *sys, int fd)
{
	struct injector *in = (struct injector *)sys;

	return passed(in, in->inner->ops->watch(in->inner, fd));
}

static int inject_read(struct skep_sys *sys, int fd, void *data, size_t len)
{
	struct injector *in = (struct injector *)sys;

	return passed(in, skep_sys_read(in->inner, fd, data, len));
}

static int inject_close(struct skep_sys *sys, int fd)
{
	struct injector *in = (struct injector *)sys;

	return passed(in, in->inner->ops->close(in->inner, fd));
}

static int inject_set_prog(struct skep_sys *sys, int event_fd, int prog_fd)
{
	struct injector *in = (struct injector *)sys;

	return passed(in, skep_sys_set_prog(in->inner, event_fd, prog_fd));
}

static int inject_spawn(struct skep_sys *sys, struct skep_command *cmd)
{
	struct injector *in = (struct injector *)sys;

	return passed(in, in->inner->ops->spawn(in->inner, cmd));
}

static int inject_release(struct skep_sys *sys, struct skep_command *cmd)
{
	struct injector *in = (struct injector *)sys;

	return passed(in, in->inner->ops->release(in->inner, cmd));
}

static void inject_reap(struct skep_sys *sys, struct skep_command *cmd)
{
	struct injector *in = (struct injector *)sys;

	in->inner->ops->reap(in->inner, cmd);
}

static void inject_destroy(struct skep_sys *sys)
{
	struct injector *in = (struct injector *)sys;

	skep_sys_destroy(in->inner);
	free(in);
}

static const struct skep_sys_ops inject_ops = {
	.bpf = inject_bpf,
	.event = inject_event,
	.map = inject_map,
	.wait = inject_wait,
	.watch = inject_watch,
	.note = inject_note,
	.read = inject_read,
	.close = inject_close,
	.set_prog = inject_set_prog,
	.spawn = inject_spawn,
	.release = inject_release,
	.reap = inject_reap,
	.destroy = inject_destroy,
};

struct skep_sys *skep_sys_inject_create(struct skep_sys *inner, int cmd, int nth, int err)
{
	struct injector *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->ops = inject_ops;
	in->ops.name = inner->ops->name;
	in->sys.ops = &in->ops;
	in->sys.log = inner->log;
	in->sys.scoped = inner->scoped;
	in->sys.faults = inner->faults;
	in->inner = inner;
	in->cmd = cmd;
	in->left = nth;
	in->err = err;
	return &in->sys;
}

void skep_sys_inject_times(struct skep_sys *sys, int times)
{
	((struct injector *)sys)->more = times - 1;
}
