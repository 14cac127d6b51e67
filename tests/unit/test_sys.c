/* SPDX-License-Identifier: BSD-2-Clause */
/* src/sys: the decorators log and inject over an engine that answers by script. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/buf.h"
#include "sys/names.h"
#include "sys/sys.h"
#include "sys/uapi.h"
#include "tap.h"

struct fake {
	struct skep_sys sys;
	int ret, calls;
	bool *destroyed;
	const char *why;
};

static int answer(struct skep_sys *sys)
{
	struct fake *f = (struct fake *)sys;

	f->calls++;
	snprintf(sys->why, sizeof(sys->why), "%s", f->why ? f->why : "");
	return f->ret;
}

static int fake_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	return answer(sys);
}

static int fake_event(struct skep_sys *sys, const struct skep_event *ev)
{
	return answer(sys);
}

static void *fake_map(struct skep_sys *sys, int fd, off_t off, size_t len, int prot)
{
	int ret = answer(sys);

	return ret < 0 ? (void *)(intptr_t)ret : (void *)0x1000;
}

static int fake_int(struct skep_sys *sys, int n)
{
	return answer(sys);
}

static int fake_command(struct skep_sys *sys, struct skep_command *cmd)
{
	cmd->pid = 77;
	return answer(sys);
}

static void fake_reap(struct skep_sys *sys, struct skep_command *cmd)
{
	answer(sys);
}

static void fake_destroy(struct skep_sys *sys)
{
	struct fake *f = (struct fake *)sys;

	*f->destroyed = true;
}

static const struct skep_sys_ops fake_ops = {
	.name = "fake",
	.bpf = fake_bpf,
	.event = fake_event,
	.map = fake_map,
	.wait = fake_int,
	.watch = fake_int,
	.close = fake_int,
	.spawn = fake_command,
	.release = fake_command,
	.reap = fake_reap,
	.destroy = fake_destroy,
};

static void collect(struct skep_log *log, enum skep_log_level level, const char *msg)
{
	struct skep_buf *buf = log->ctx;

	skep_buf_reset(buf);
	skep_buf_puts(buf, msg);
}

static void test_log_bpf(struct skep_sys *sys, struct fake *f, struct skep_buf *out)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = 4;
	attr.value_size = 8;
	attr.max_entries = 10;
	memcpy(attr.map_name, "hi\"ts", 6);
	f->ret = 5;
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, 128), 5,
	       "the engine's result goes through");
	is_str(skep_buf_str(out),
	       "bpf(BPF_MAP_CREATE, {map_type=BPF_MAP_TYPE_HASH, key_size=4, value_size=8, "
	       "max_entries=10, map_flags=0, map_name=\"hi\\\"ts\"}, 128) = 5",
	       "MAP_CREATE");
	f->ret = -E2BIG;
	skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, 16);
	is_str(skep_buf_str(out),
	       "bpf(BPF_MAP_CREATE, {map_type=BPF_MAP_TYPE_HASH, key_size=4, value_size=8, "
	       "max_entries=10}, 16) = -1 E2BIG (Argument list too long)",
	       "fields beyond the size are not told");
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_KPROBE;
	attr.insn_cnt = 2;
	attr.insns = 0x1000;
	attr.license = (uintptr_t) "GPL";
	attr.expected_attach_type = BPF_TRACE_UPROBE_MULTI;
	f->ret = -EPERM;
	f->why = "that needs CAP_BPF";
	is_int(skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, 72), -EPERM, "so does its failure");
	is_str(skep_buf_str(out),
	       "bpf(BPF_PROG_LOAD, {prog_type=BPF_PROG_TYPE_KPROBE, insn_cnt=2, insns=0x1000, "
	       "license=\"GPL\", log_level=0, log_size=0, log_buf=NULL, prog_flags=0, "
	       "prog_name=\"\", "
	       "expected_attach_type=BPF_TRACE_UPROBE_MULTI}, 72) = -1 EPERM (Operation not "
	       "permitted): that needs CAP_BPF",
	       "PROG_LOAD with the engine's sentence");
	is_str(sys->why, "that needs CAP_BPF", "the sentence reaches the caller");
	f->why = NULL;
	f->ret = 9;
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = 3;
	attr.link_create.target_fd = 4;
	attr.link_create.attach_type = BPF_PERF_EVENT;
	skep_sys_bpf(sys, BPF_LINK_CREATE, &attr, sizeof(attr.link_create));
	ok(!strncmp(skep_buf_str(out),
		    "bpf(BPF_LINK_CREATE, {link_create={prog_fd=3, target_fd=4, "
		    "attach_type=BPF_PERF_EVENT, flags=0}}, ",
		    98),
	   "LINK_CREATE: %s", skep_buf_str(out));
	skep_sys_bpf(sys, 99, &attr, 8);
	is_str(skep_buf_str(out), "bpf(99, {}, 8) = 9", "a command that nobody knows");
}

static void test_log_others(struct skep_sys *sys, struct fake *f, struct skep_buf *out)
{
	struct skep_event ev = {.kind = SKEP_EVENT_TRACEPOINT, .pid = -1, .cpu = 2};
	char *argv[] = {"ls", "/a b", NULL};
	struct skep_command cmd = {.argv = argv};

	ev.tracepoint.category = "sched";
	ev.tracepoint.name = "sched_switch";
	f->ret = 4;
	skep_sys_event(sys, &ev);
	is_str(skep_buf_str(out),
	       "event(TRACEPOINT, {category=\"sched\", name=\"sched_switch\", pid=-1, cpu=2, "
	       "inherit=0}) = 4",
	       "an event");
	f->ret = 0;
	ok(skep_sys_map(sys, 4, 4096, 8192, PROT_READ | PROT_WRITE) == (void *)0x1000, "map");
	is_str(skep_buf_str(out), "map(4, 0x1000, 8192, PROT_READ|PROT_WRITE) = 0", "map is told");
	f->ret = -ENOMEM;
	ok(skep_sys_is_err(skep_sys_map(sys, 4, 0, 4096, PROT_READ)), "a failed map");
	is_str(skep_buf_str(out), "map(4, 0, 4096, PROT_READ) = -1 ENOMEM (Cannot allocate memory)",
	       "is told");
	f->ret = 0;
	skep_sys_close(sys, 4);
	is_str(skep_buf_str(out), "close(4) = 0", "close");
	sys->ops->spawn(sys, &cmd);
	is_str(skep_buf_str(out), "spawn([\"ls\", \"/a b\"]) = 77", "spawn");
	sys->ops->release(sys, &cmd);
	is_str(skep_buf_str(out), "release(77) = 0", "release");
	cmd.status = 0x100;
	sys->ops->reap(sys, &cmd);
	is_str(skep_buf_str(out), "reap(77): status 0x100", "reap");
}

static void test_log(void)
{
	struct skep_buf out = SKEP_BUF_INIT;
	struct skep_log log = {.fn = collect, .level = SKEP_LOG_INFO, .ctx = &out};
	bool destroyed = false;
	struct fake f = {.sys = {.ops = &fake_ops, .scoped = true}, .destroyed = &destroyed};
	struct skep_sys *sys = skep_sys_log_create(&f.sys, &log);

	is_str(sys->ops->name, "fake", "the decorator carries its engine's name");
	ok(sys->scoped, "and its properties");
	test_log_bpf(sys, &f, &out);
	test_log_others(sys, &f, &out);
	skep_sys_destroy(sys);
	ok(destroyed, "destroying it destroys the engine");
	skep_buf_deinit(&out);
}

static void test_inject(void)
{
	bool destroyed = false;
	struct fake f = {.sys = {.ops = &fake_ops}, .destroyed = &destroyed};
	struct skep_event ev = {.kind = SKEP_EVENT_OUTPUT};
	union bpf_attr attr = {0};
	struct skep_sys *sys = skep_sys_inject_create(&f.sys, BPF_MAP_CREATE, 2, ENOMEM);

	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, 8), 0, "the first MAP_CREATE passes");
	is_int(skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, 8), 0, "others do not count");
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, 8), -ENOMEM, "the second fails");
	is_int(f.calls, 2, "and the engine does not hear of it");
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, 8), 0, "the third passes");
	skep_sys_destroy(sys);
	ok(destroyed, "destroying it destroys the engine");
	sys = skep_sys_inject_create(&f.sys, -2, 1, EMFILE);
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, 8), 0, "-2: bpf(2) passes");
	is_int(skep_sys_event(sys, &ev), -EMFILE, "event() fails");
	is_int(skep_sys_event(sys, &ev), 0, "once");
	skep_sys_destroy(sys);
	sys = skep_sys_inject_create(&f.sys, -1, 2, EBUSY);
	is_int(skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, 8), 0, "-1: any command counts");
	is_int(skep_sys_bpf(sys, BPF_BTF_LOAD, &attr, 8), -EBUSY, "the second of any kind fails");
	skep_sys_destroy(sys);
}

int main(void)
{
	test_log();
	test_inject();
	is_str(skep_name(SKEP_NAME_MAP_TYPE, BPF_MAP_TYPE_RINGBUF), "RINGBUF", "names: a map type");
	is_str(skep_name(SKEP_NAME_LINK_TYPE, 6), "XDP", "names: a link type");
	ok(!skep_name(SKEP_NAME_CMD, 12345), "names: nothing for an unknown number");
	return done();
}
