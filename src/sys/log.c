/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The decorator `log`: every call through the waist in strace's manner.
 *
 * bpf(2)'s attributes are told by the table attr.def; fields beyond the size
 * that the caller gave do not exist.  The decorator owns the engine below it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/cleanup.h"
#include "sys/names.h"
#include "sys/sys.h"
#include "sys/uapi.h"

struct logger {
	struct skep_sys sys;
	struct skep_sys_ops ops;
	struct skep_sys *inner;
	struct skep_log *log;
};

enum kind { F_DEC, F_HEX, F_PTR, F_STR, F_NAME, F_MAP_TYPE, F_PROG_TYPE, F_ATTACH_TYPE };

static const struct {
	int cmd;
	const char *member; /* "link_create.prog_fd": group and field */
	size_t off, size;
	enum kind kind;
	bool always;
} fields[] = {
#define SKEP_ATTR(cmd, member, kind, always) \
	{BPF_##cmd, \
	 #member, \
	 offsetof(union bpf_attr, member), \
	 sizeof(((union bpf_attr *)0)->member), \
	 F_##kind, \
	 always},
#include "sys/attr.def"
#undef SKEP_ATTR
};

static void put_string(struct skep_buf *buf, const char *s, size_t max)
{
	size_t i;

	skep_buf_putc(buf, '"');
	for (i = 0; i < max && s[i]; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			skep_buf_printf(buf, "\\%c", c);
		else if (c < ' ' || c > '~')
			skep_buf_printf(buf, "\\x%02x", c);
		else
			skep_buf_putc(buf, s[i]);
	}
	skep_buf_putc(buf, '"');
}

static void put_name(struct skep_buf *buf, enum skep_name_set set, const char *prefix, uint64_t n)
{
	const char *name = skep_name(set, (uint32_t)n);

	if (name)
		skep_buf_printf(buf, "%s%s", prefix, name);
	else
		skep_buf_printf(buf, "%" PRIu64, n);
}

static void put_value(struct skep_buf *buf, enum kind kind, const void *p, size_t size, uint64_t n)
{
	switch (kind) {
	case F_DEC: skep_buf_printf(buf, "%" PRIu64, n); return;
	case F_HEX: skep_buf_printf(buf, n ? "%#" PRIx64 : "%" PRIx64, n); return;
	case F_NAME: put_string(buf, p, size); return;
	case F_MAP_TYPE: put_name(buf, SKEP_NAME_MAP_TYPE, "BPF_MAP_TYPE_", n); return;
	case F_PROG_TYPE: put_name(buf, SKEP_NAME_PROG_TYPE, "BPF_PROG_TYPE_", n); return;
	case F_ATTACH_TYPE: put_name(buf, SKEP_NAME_ATTACH_TYPE, "BPF_", n); return;
	case F_STR:
		if (n) {
			put_string(buf, (const char *)(uintptr_t)n, 256);
			return;
		}
		break;
	case F_PTR: break;
	}
	skep_buf_printf(buf, n ? "%#" PRIx64 : "NULL", n);
}

static uint64_t number(const void *p, size_t size)
{
	uint32_t n32 = 0;
	uint64_t n64 = 0;

	if (size == 4)
		memcpy(&n32, p, 4);
	else if (size == 8)
		memcpy(&n64, p, 8);
	return size == 4 ? n32 : n64;
}

static void put_attr(struct skep_buf *buf, int cmd, const union bpf_attr *attr, unsigned int size)
{
	const char *dot, *comma = "", *group = NULL;
	const char *p;
	uint64_t n;
	size_t i;

	skep_buf_putc(buf, '{');
	for (i = 0; i < SKEP_ARRAY_SIZE(fields); i++) {
		if (fields[i].cmd != cmd || fields[i].off + fields[i].size > size)
			continue;
		p = (const char *)attr + fields[i].off;
		n = number(p, fields[i].size);
		if (!fields[i].always && !n)
			continue;
		dot = strchr(fields[i].member, '.');
		if (dot && !group)
			skep_buf_printf(buf, "%.*s={", (int)(dot - fields[i].member),
					fields[i].member);
		group = dot;
		skep_buf_printf(buf, "%s%s=", comma, dot ? dot + 1 : fields[i].member);
		put_value(buf, fields[i].kind, p, fields[i].size, n);
		comma = ", ";
	}
	skep_buf_puts(buf, group ? "}}" : "}");
}

/* Takes over what the engine said, and tells the call with its result. */
static long told(struct logger *l, struct skep_buf *buf, long ret)
{
	memcpy(l->sys.why, l->inner->why, sizeof(l->sys.why));
	if (ret < 0)
		skep_buf_printf(buf, " = -1 %s (%s)%s%s", skep_errno_name((int)-ret),
				strerror((int)-ret), l->sys.why[0] ? ": " : "", l->sys.why);
	else
		skep_buf_printf(buf, " = %ld", ret);
	skep_info(l->log, "%s", skep_buf_str(buf));
	skep_buf_deinit(buf);
	return ret;
}

static int log_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;
	const char *name = skep_name(SKEP_NAME_CMD, (uint32_t)cmd);
	int ret;

	if (name)
		skep_buf_printf(&buf, "bpf(BPF_%s, ", name);
	else
		skep_buf_printf(&buf, "bpf(%d, ", cmd);
	/* Before the call: what was asked, not what was answered into it. */
	put_attr(&buf, cmd, attr, size);
	skep_buf_printf(&buf, ", %u)", size);
	ret = l->inner->ops->bpf(l->inner, cmd, attr, size);
	return (int)told(l, &buf, ret);
}

static void put_event(struct skep_buf *buf, const struct skep_event *ev)
{
	static const char *const names[] = {"TRACEPOINT", "UPROBE", "PERF",   "OUTPUT",
					    "PRINTK",	  "TASKS",  "KPROBE", "PACKETS",
					    "FUNCTIONS",  "TC"};

	skep_buf_printf(buf, "event(%s, {",
			ev->kind < SKEP_ARRAY_SIZE(names) ? names[ev->kind] : "?");
	if (ev->kind == SKEP_EVENT_TRACEPOINT)
		skep_buf_printf(buf, "category=\"%s\", name=\"%s\", ", ev->tracepoint.category,
				ev->tracepoint.name);
	if (ev->kind == SKEP_EVENT_UPROBE)
		skep_buf_printf(
			buf, "path=\"%s\", offset=%#" PRIx64 ", ref_ctr=%#" PRIx64 ", ret=%d, ",
			ev->uprobe.path, ev->uprobe.offset, ev->uprobe.ref_ctr, ev->uprobe.ret);
	if (ev->kind == SKEP_EVENT_PERF)
		skep_buf_printf(buf, "type=%u, config=%" PRIu64 ", %s=%" PRIu64 ", ", ev->perf.type,
				ev->perf.config, ev->perf.freq ? "freq" : "period",
				ev->perf.period);
	if (ev->kind == SKEP_EVENT_KPROBE)
		skep_buf_printf(buf, "func=\"%s\", offset=%#" PRIx64 ", ret=%d, ", ev->kprobe.func,
				ev->kprobe.offset, ev->kprobe.ret);
	if (ev->kind == SKEP_EVENT_PACKETS)
		skep_buf_printf(buf, "ifindex=%d, prog_fd=%d, ", ev->packets.ifindex,
				ev->packets.prog_fd);
	if (ev->kind == SKEP_EVENT_TC)
		skep_buf_printf(buf, "ifindex=%d, prog_fd=%d, egress=%d, ", ev->tc.ifindex,
				ev->tc.prog_fd, ev->tc.egress);
	skep_buf_printf(buf, "pid=%d, cpu=%d, inherit=%d})", ev->pid, ev->cpu, ev->inherit);
}

static int log_event(struct skep_sys *sys, const struct skep_event *ev)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;

	put_event(&buf, ev);
	return (int)told(l, &buf, l->inner->ops->event(l->inner, ev));
}

static void *log_map(struct skep_sys *sys, int fd, off_t off, size_t len, int prot)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;
	void *p = l->inner->ops->map(l->inner, fd, off, len, prot);

	skep_buf_printf(&buf, "map(%d, %#llx, %zu, PROT_READ%s)", fd, (long long)off, len,
			prot & PROT_WRITE ? "|PROT_WRITE" : "");
	told(l, &buf, skep_sys_is_err(p) ? (long)(intptr_t)p : 0);
	return p;
}

static int log_wait(struct skep_sys *sys, int timeout_ms)
{
	struct logger *l = (struct logger *)sys;
	int ret = l->inner->ops->wait(l->inner, timeout_ms);

	memcpy(sys->why, l->inner->why, sizeof(sys->why));
	skep_debug(l->log, "wait(%d) = %d", timeout_ms, ret);
	return ret;
}

static void log_note(struct skep_sys *sys, int fd, uint32_t insn, const char *text)
{
	skep_sys_note(((struct logger *)sys)->inner, fd, insn, text);
}

static int log_watch(struct skep_sys *sys, int fd)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;

	skep_buf_printf(&buf, "watch(%d)", fd);
	return (int)told(l, &buf, l->inner->ops->watch(l->inner, fd));
}

static int log_read(struct skep_sys *sys, int fd, void *data, size_t len)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;

	skep_buf_printf(&buf, "read(%d, %zu)", fd, len);
	return (int)told(l, &buf, skep_sys_read(l->inner, fd, data, len));
}

static int log_close(struct skep_sys *sys, int fd)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;

	skep_buf_printf(&buf, "close(%d)", fd);
	return (int)told(l, &buf, l->inner->ops->close(l->inner, fd));
}

static int log_set_prog(struct skep_sys *sys, int event_fd, int prog_fd)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;

	skep_buf_printf(&buf, "set_prog(%d, %d)", event_fd, prog_fd);
	return (int)told(l, &buf, skep_sys_set_prog(l->inner, event_fd, prog_fd));
}

static int log_spawn(struct skep_sys *sys, struct skep_command *cmd)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;
	int i, ret = l->inner->ops->spawn(l->inner, cmd);

	skep_buf_puts(&buf, "spawn([");
	for (i = 0; cmd->argv[i]; i++) {
		skep_buf_puts(&buf, i ? ", " : "");
		put_string(&buf, cmd->argv[i], 256);
	}
	skep_buf_puts(&buf, "])");
	told(l, &buf, ret < 0 ? ret : cmd->pid);
	return ret;
}

static int log_release(struct skep_sys *sys, struct skep_command *cmd)
{
	struct logger *l = (struct logger *)sys;
	struct skep_buf buf = SKEP_BUF_INIT;

	skep_buf_printf(&buf, "release(%d)", cmd->pid);
	return (int)told(l, &buf, l->inner->ops->release(l->inner, cmd));
}

static void log_reap(struct skep_sys *sys, struct skep_command *cmd)
{
	struct logger *l = (struct logger *)sys;

	l->inner->ops->reap(l->inner, cmd);
	skep_info(l->log, "reap(%d): status %#x", cmd->pid, (unsigned int)cmd->status);
}

static void log_destroy(struct skep_sys *sys)
{
	struct logger *l = (struct logger *)sys;

	skep_sys_destroy(l->inner);
	free(l);
}

static const struct skep_sys_ops log_ops = {
	.bpf = log_bpf,
	.event = log_event,
	.map = log_map,
	.wait = log_wait,
	.watch = log_watch,
	.note = log_note,
	.read = log_read,
	.close = log_close,
	.set_prog = log_set_prog,
	.spawn = log_spawn,
	.release = log_release,
	.reap = log_reap,
	.destroy = log_destroy,
};

struct skep_sys *skep_sys_log_create(struct skep_sys *inner, struct skep_log *log)
{
	struct logger *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->ops = log_ops;
	/* Who asks for the engine's name means the engine. */
	l->ops.name = inner->ops->name;
	l->sys.ops = &l->ops;
	l->sys.log = inner->log;
	l->sys.scoped = inner->scoped;
	l->sys.faults = inner->faults;
	l->inner = inner;
	l->log = log;
	return &l->sys;
}
