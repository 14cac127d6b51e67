/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why the kernel refused: a bare EPERM becomes the capability, sysctl or
 * lockdown that stands in the way, and what would help.
 */
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/near.h"
#include "sys/kernel.h"
#include "sys/uapi.h"

void skep_kernel_why(struct skep_kernel *k, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(k->sys.why, sizeof(k->sys.why), fmt, ap);
	va_end(ap);
}

bool skep_kernel_has_cap(int cap)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(__NR_capget, &head, data) < 0)
		return false;
	return data[cap / 32].effective >> (cap % 32) & 1;
}

/* The one-line file @path, without its newline, or "?". */
static const char *first_line(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");

	if (!f || !fgets(buf, (int)size, f))
		snprintf(buf, size, "?");
	if (f)
		fclose(f);
	buf[strcspn(buf, "\n")] = '\0';
	return buf;
}

/* Lockdown forbids root, too; the mode in force stands in brackets. */
static bool locked_down(struct skep_kernel *k)
{
	char line[128];

	first_line("/sys/kernel/security/lockdown", line, sizeof(line));
	if (strstr(line, "[none]") || line[0] == '?')
		return false;
	skep_kernel_why(k, "kernel lockdown (%s) forbids it, also to root", line);
	return true;
}

/* Which capability the program type wants besides CAP_BPF. */
static int prog_cap(const union bpf_attr *attr)
{
	switch (attr->prog_type) {
	case BPF_PROG_TYPE_KPROBE:
	case BPF_PROG_TYPE_TRACEPOINT:
	case BPF_PROG_TYPE_PERF_EVENT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_LSM: return CAP_PERFMON;
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_SYSCALL: return -1;
	default: return CAP_NET_ADMIN;
	}
}

/* Which capability a kind of link wants besides CAP_BPF. */
static int link_cap(uint32_t attach_type)
{
	switch (attach_type) {
	case BPF_PERF_EVENT:
	case BPF_TRACE_KPROBE_MULTI:
	case BPF_TRACE_KPROBE_SESSION:
	case BPF_TRACE_UPROBE_MULTI:
	case BPF_TRACE_UPROBE_SESSION:
	case BPF_TRACE_ITER: return CAP_PERFMON;
	default: return CAP_NET_ADMIN; /* networks and control groups */
	}
}

static const char *cap_name(int cap)
{
	return cap == CAP_PERFMON     ? "CAP_PERFMON"
	       : cap == CAP_NET_ADMIN ? "CAP_NET_ADMIN"
	       : cap == CAP_SYS_ADMIN ? "CAP_SYS_ADMIN"
				      : "CAP_BPF";
}

int skep_kernel_why_bpf(struct skep_kernel *k, int cmd, const union bpf_attr *attr, int ret)
{
	char value[32];
	int second = -1;

	if (ret == -ENOSYS)
		skep_kernel_why(k, "this kernel was built without bpf(2) (CONFIG_BPF_SYSCALL)");
	if (ret == -ENOENT && cmd == BPF_RAW_TRACEPOINT_OPEN && attr->raw_tracepoint.name)
		skep_kernel_why_raw_tracepoint(k, (char *)(uintptr_t)attr->raw_tracepoint.name);
	if (ret != -EPERM)
		return ret;
	if (cmd == BPF_PROG_LOAD)
		second = prog_cap(attr);
	else if (cmd == BPF_LINK_CREATE)
		second = link_cap(attr->link_create.attach_type);
	else if (cmd == BPF_PROG_ATTACH)
		second = CAP_NET_ADMIN;
	else if (cmd == BPF_RAW_TRACEPOINT_OPEN)
		second = CAP_PERFMON;
	else if (cmd >= BPF_PROG_GET_NEXT_ID && cmd <= BPF_MAP_GET_FD_BY_ID)
		second = CAP_SYS_ADMIN;
	if (skep_kernel_has_cap(CAP_SYS_ADMIN) ||
	    (skep_kernel_has_cap(CAP_BPF) && (second < 0 || skep_kernel_has_cap(second)))) {
		if (!locked_down(k) && cmd != BPF_MAP_UPDATE_ELEM && cmd != BPF_MAP_FREEZE)
			skep_kernel_why(k, "the kernel forbids it although the capabilities are "
					   "there: a security module or the container's seccomp "
					   "filter may stand in the way");
		return ret;
	}
	if (second < 0 || second == CAP_BPF)
		skep_kernel_why(k,
				"that needs CAP_BPF, which this process lacks "
				"(kernel.unprivileged_bpf_disabled is %s); run as root, or use "
				"--engine user",
				first_line("/proc/sys/kernel/unprivileged_bpf_disabled", value,
					   sizeof(value)));
	else
		skep_kernel_why(k,
				"that needs CAP_BPF and %s, and this process lacks %s; run as "
				"root, or use --engine user",
				cap_name(second),
				skep_kernel_has_cap(CAP_BPF)  ? cap_name(second)
				: skep_kernel_has_cap(second) ? "CAP_BPF"
							      : "both");
	return ret;
}

static const char *event_name(const struct skep_event *ev)
{
	switch (ev->kind) {
	case SKEP_EVENT_TRACEPOINT: return "a tracepoint";
	case SKEP_EVENT_UPROBE: return "a uprobe";
	case SKEP_EVENT_PERF: return "a perf event";
	case SKEP_EVENT_OUTPUT: return "a perf buffer";
	case SKEP_EVENT_PRINTK: return "the bpf_printk buffer";
	case SKEP_EVENT_TASKS: return "a buffer of process records";
	case SKEP_EVENT_KPROBE: return "a kprobe";
	case SKEP_EVENT_PACKETS: return "a packet socket";
	case SKEP_EVENT_FUNCTIONS: return "the list of functions";
	}
	return "an event";
}

static void why_permission(struct skep_kernel *k, const struct skep_event *ev)
{
	char value[32];

	if (skep_kernel_has_cap(CAP_PERFMON) || skep_kernel_has_cap(CAP_SYS_ADMIN)) {
		if (!locked_down(k))
			skep_kernel_why(k,
					"the kernel forbids %s although the capabilities are "
					"there: a security module or the container's seccomp "
					"filter may stand in the way",
					event_name(ev));
		return;
	}
	skep_kernel_why(k,
			"opening %s needs CAP_PERFMON, which this process lacks "
			"(kernel.perf_event_paranoid is %s); run as root, or use --engine user",
			event_name(ev),
			first_line("/proc/sys/kernel/perf_event_paranoid", value, sizeof(value)));
}

/* Reads the name out of a line "ADDRESS TYPE NAME [MODULE]" of kallsyms; NULL: no function. */
static const char *function_name(char *line)
{
	char *p = strchr(line, ' ');

	if (!p || !strchr("tTwW", p[1]) || p[2] != ' ')
		return NULL;
	p += 3;
	p[strcspn(p, "\t\n ")] = '\0';
	return p;
}

static void why_no_function(struct skep_kernel *k, const char *func)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[640], text[320];
	bool parts = false, there = false;
	struct skep_near near;
	size_t len = strlen(func);
	const char *name;

	skep_near_init(&near, func);
	while (f && fgets(line, sizeof(line), f)) {
		name = function_name(line);
		if (!name)
			continue;
		there |= !strcmp(name, func);
		if (strncmp(name, func, len) == 0 && name[len] == '.')
			parts = true;
		skep_near_add(&near, name);
	}
	if (f)
		fclose(f);
	if (there)
		skep_kernel_why(k, "the kernel finds no single function '%s' to probe", func);
	else
		skep_kernel_why(k, "this kernel has no function '%s'%s%s", func,
				parts ? " (the compiler left only parts of it)"
				      : " (it may have been inlined into its callers)",
				skep_near_text(&near, text, sizeof(text)));
}

int skep_kernel_why_event(struct skep_kernel *k, const struct skep_event *ev, int ret)
{
	switch (ret) {
	case -EPERM:
	case -EACCES: why_permission(k, ev); break;
	case -ESRCH: skep_kernel_why(k, "there is no process %d", ev->pid); break;
	case -EMFILE: skep_kernel_why(k, "too many open files; raise the limit (ulimit -n)"); break;
	case -ENODEV: skep_kernel_why(k, "CPU %d is not online", ev->cpu); break;
	case -EOPNOTSUPP:
	case -ENOENT:
		if (ev->kind == SKEP_EVENT_PERF)
			skep_kernel_why(k,
					"this machine has no such counter (type %u, config %llu); "
					"virtual machines often lack hardware counters, and the "
					"software clock (cpu-clock) is there on each",
					ev->perf.type, (unsigned long long)ev->perf.config);
		else if (ev->kind == SKEP_EVENT_UPROBE)
			skep_kernel_why(k, "%s: %s", ev->uprobe.path, strerror(-ret));
		else if (ev->kind == SKEP_EVENT_KPROBE)
			why_no_function(k, ev->kprobe.func);
		break;
	case -EINVAL:
	case -EILSEQ:
	case -EADDRNOTAVAIL:
	case -EIO:
		if (ev->kind == SKEP_EVENT_KPROBE)
			skep_kernel_why(k,
					"the kernel lets nobody probe %s+%#llx: no instruction "
					"starts there, or the function is one that probes need "
					"themselves (kprobes/blacklist in debugfs)",
					ev->kprobe.func, (unsigned long long)ev->kprobe.offset);
		if (ev->kind == SKEP_EVENT_UPROBE)
			skep_kernel_why(k, "%s: no instruction can be probed at file offset %#llx",
					ev->uprobe.path, (unsigned long long)ev->uprobe.offset);
		break;
	}
	return ret;
}
