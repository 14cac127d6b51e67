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
#include <sys/resource.h>
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

bool skep_lockdown_mode(const char *line, char *mode, size_t size)
{
	const char *open = strchr(line, '['), *close = open ? strchr(open, ']') : NULL;

	mode[0] = '\0';
	if (!close)
		return false;
	snprintf(mode, size, "%.*s", (int)(close - open - 1), open + 1);
	return strcmp(mode, "none") != 0;
}

/* Lockdown forbids root, too. */
static bool locked_down(struct skep_kernel *k)
{
	char line[128], mode[64];

	first_line("/sys/kernel/security/lockdown", line, sizeof(line));
	if (!skep_lockdown_mode(line, mode, sizeof(mode)))
		return false;
	skep_kernel_why(k,
			"kernel lockdown, in its mode '%s', forbids it, also to root "
			"(/sys/kernel/security/lockdown; lockdown= on the kernel's command line)",
			mode);
	return true;
}

/* Which capability the program type wants besides CAP_BPF (kernel/bpf/syscall.c). */
static int prog_cap(const union bpf_attr *attr)
{
	switch (attr->prog_type) {
	case BPF_PROG_TYPE_KPROBE:
	case BPF_PROG_TYPE_TRACEPOINT:
	case BPF_PROG_TYPE_PERF_EVENT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_STRUCT_OPS:
	case BPF_PROG_TYPE_LSM: return CAP_PERFMON;
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_SK_REUSEPORT:
	case BPF_PROG_TYPE_SK_LOOKUP:
	case BPF_PROG_TYPE_LIRC_MODE2:
	case BPF_PROG_TYPE_SYSCALL: return -1;
	/* Programs that replace parts of any other want both. */
	case BPF_PROG_TYPE_EXT:
		return skep_kernel_has_cap(CAP_PERFMON) ? CAP_NET_ADMIN : CAP_PERFMON;
	default: return CAP_NET_ADMIN;
	}
}

static int map_cap(const union bpf_attr *attr)
{
	switch (attr->map_type) {
	case BPF_MAP_TYPE_SOCKMAP:
	case BPF_MAP_TYPE_SOCKHASH:
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
	case BPF_MAP_TYPE_XSKMAP: return CAP_NET_ADMIN;
	default: return -1;
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

/* Which capability @cmd wants besides CAP_BPF, -1: none. */
static int second_cap(int cmd, const union bpf_attr *attr)
{
	switch (cmd) {
	case BPF_PROG_LOAD: return prog_cap(attr);
	case BPF_MAP_CREATE: return map_cap(attr);
	case BPF_LINK_CREATE: return link_cap(attr->link_create.attach_type);
	case BPF_PROG_ATTACH: return CAP_NET_ADMIN;
	case BPF_RAW_TRACEPOINT_OPEN: return CAP_PERFMON;
	case BPF_PROG_GET_NEXT_ID:
	case BPF_MAP_GET_NEXT_ID:
	case BPF_BTF_GET_NEXT_ID:
	case BPF_LINK_GET_NEXT_ID:
	case BPF_PROG_GET_FD_BY_ID:
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_BTF_GET_FD_BY_ID:
	case BPF_LINK_GET_FD_BY_ID:
	case BPF_ENABLE_STATS: return CAP_SYS_ADMIN;
	default: return -1;
	}
}

/* Whether ids are mapped: then capabilities are those of a user namespace only. */
static bool in_user_namespace(void)
{
	char line[80];
	unsigned int inside, outside, count;

	first_line("/proc/self/uid_map", line, sizeof(line));
	return sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && count != UINT32_MAX;
}

/* The capabilities are there, and yet. */
static void why_forbidden(struct skep_kernel *k, int cmd)
{
	struct rlimit lim = {RLIM_INFINITY, RLIM_INFINITY};
	char memlock[120] = "";

	if (cmd == BPF_MAP_UPDATE_ELEM || cmd == BPF_MAP_FREEZE || locked_down(k))
		return;
	if (k->token > 0) {
		skep_kernel_why(k, "the BPF token does not cover it: it takes delegate_cmds, "
				   "delegate_maps, delegate_progs and delegate_attachs of its file "
				   "system");
		return;
	}
	if (in_user_namespace()) {
		skep_kernel_why(k, "the capabilities of a user namespace do not count for bpf(2) "
				   "without a BPF token (--token FOLDER); run as root, or use "
				   "--engine user");
		return;
	}
	if ((cmd == BPF_MAP_CREATE || cmd == BPF_PROG_LOAD || cmd == BPF_BTF_LOAD) &&
	    getrlimit(RLIMIT_MEMLOCK, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY)
		snprintf(memlock, sizeof(memlock),
			 "; before Linux 5.11 so may RLIMIT_MEMLOCK, which is %llu KiB (ulimit -l)",
			 (unsigned long long)lim.rlim_cur / 1024);
	skep_kernel_why(k,
			"the kernel forbids it although the capabilities are there: a security "
			"module or the container's seccomp filter may stand in the way%s",
			memlock);
}

static void why_capability(struct skep_kernel *k, int second)
{
	bool bpf = skep_kernel_has_cap(CAP_BPF);
	char value[32];

	first_line("/proc/sys/kernel/unprivileged_bpf_disabled", value, sizeof(value));
	if (second == CAP_SYS_ADMIN)
		skep_kernel_why(k,
				"that needs CAP_SYS_ADMIN, which this process lacks; run as root");
	else if (second < 0)
		skep_kernel_why(k,
				"that needs CAP_BPF, which this process lacks "
				"(kernel.unprivileged_bpf_disabled is %s); run as root, or use "
				"--engine user",
				value);
	else
		skep_kernel_why(k,
				"that needs CAP_BPF and %s, and this process lacks %s; run as "
				"root, or use --engine user",
				cap_name(second),
				bpf			      ? cap_name(second)
				: skep_kernel_has_cap(second) ? "CAP_BPF"
							      : "both");
}

/* Some helpers are only for who may read the kernel's memory: the log just says "cannot use". */
static void why_helper(struct skep_kernel *k, const union bpf_attr *attr)
{
	const char *log = (const char *)(uintptr_t)attr->log_buf;

	if (!log || !attr->log_size || !memchr(log, '\0', attr->log_size) ||
	    (!strstr(log, "cannot use helper") && !strstr(log, "unknown func")))
		return;
	if (!skep_kernel_has_cap(CAP_PERFMON) && !skep_kernel_has_cap(CAP_SYS_ADMIN))
		skep_kernel_why(k, "without CAP_PERFMON, which this process lacks, programs may "
				   "not print or read the kernel's memory");
	else
		locked_down(k);
}

int skep_kernel_why_bpf(struct skep_kernel *k, int cmd, const union bpf_attr *attr,
			unsigned int size, int ret)
{
	int second;

	if (ret == -ENOSYS)
		skep_kernel_why(k, "this kernel was built without bpf(2) (CONFIG_BPF_SYSCALL)");
	if (ret == -ENOENT && cmd == BPF_RAW_TRACEPOINT_OPEN && attr->raw_tracepoint.name)
		skep_kernel_why_raw_tracepoint(k, (char *)(uintptr_t)attr->raw_tracepoint.name);
	if (ret == -EINVAL && cmd == BPF_PROG_LOAD &&
	    size >= offsetof(union bpf_attr, kern_version))
		why_helper(k, attr);
	if (ret != -EPERM)
		return ret;
	second = second_cap(cmd, attr);
	if (skep_kernel_has_cap(CAP_SYS_ADMIN) ||
	    (skep_kernel_has_cap(CAP_BPF) && (second < 0 || skep_kernel_has_cap(second))))
		why_forbidden(k, cmd);
	else
		why_capability(k, second);
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
	case SKEP_EVENT_TC: return "a tc filter";
	}
	return "an event";
}

static void why_permission(struct skep_kernel *k, const struct skep_event *ev)
{
	char value[32];

	first_line("/proc/sys/kernel/perf_event_paranoid", value, sizeof(value));
	if (skep_kernel_has_cap(CAP_PERFMON) || skep_kernel_has_cap(CAP_SYS_ADMIN)) {
		/* Debian and Android know a level above the mainline's. */
		if (atoi(value) > 2 && !skep_kernel_has_cap(CAP_SYS_ADMIN))
			skep_kernel_why(
				k,
				"opening %s needs CAP_SYS_ADMIN, because "
				"kernel.perf_event_paranoid is %s: run as root, or set it to 2, "
				"where CAP_PERFMON is enough",
				event_name(ev), value);
		else if (!locked_down(k))
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
			event_name(ev), value);
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
		if (ev->kind == SKEP_EVENT_KPROBE && ev->kprobe.ret && ev->kprobe.offset)
			skep_kernel_why(k,
					"a return probe stands where its function begins, for the "
					"kernel not at %s+%#llx; leave out the offset",
					ev->kprobe.func, (unsigned long long)ev->kprobe.offset);
		else if (ev->kind == SKEP_EVENT_KPROBE)
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
