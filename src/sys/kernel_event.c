/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel engine's events: perf_event_open(2), and what it lacks.
 *
 * Events run from the moment they are opened; programs come to them by
 * LINK_CREATE.  Buffers' times are CLOCK_MONOTONIC, as bpf_ktime_get_ns().
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "sys/kernel.h"
#include "sys/ring.h"

#define PMU "/sys/bus/event_source/devices/"

static int read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	int n = -1;

	if (!f)
		return -ENOENT;
	if (fscanf(f, "%d", &n) != 1)
		n = -ENOENT;
	fclose(f);
	return n;
}

/* The bit that asks a probe's PMU for return probes: "config:0". */
static int return_bit(const char *path)
{
	FILE *f = fopen(path, "re");
	int bit = -1;

	if (!f)
		return -ENOENT;
	if (fscanf(f, "config:%d", &bit) != 1 || bit < 0 || bit > 63)
		bit = -ENOENT;
	fclose(f);
	return bit;
}

static int set_uprobe(struct skep_kernel *k, const struct skep_event *ev,
		      struct perf_event_attr *attr)
{
	int type = read_number(PMU "uprobe/type");
	int bit = ev->uprobe.ret ? return_bit(PMU "uprobe/format/retprobe") : 0, ret;

	if (type < 0 || bit < 0) {
		ret = skep_kernel_probe_add(k, ev, attr);
		if (ret != -ENXIO)
			return ret;
		skep_kernel_why(k, "this kernel has no uprobes (it was built without "
				   "CONFIG_UPROBE_EVENTS, or is older than 4.17 and "
				   "shows its tracefs to root only)");
		return -EOPNOTSUPP;
	}
	attr->type = (uint32_t)type;
	if (ev->uprobe.ret)
		attr->config |= 1ull << bit;
	attr->config |= ev->uprobe.ref_ctr << 32;
	attr->config1 = (uintptr_t)ev->uprobe.path;
	attr->config2 = ev->uprobe.offset;
	return 0;
}

static int set_kprobe(struct skep_kernel *k, const struct skep_event *ev,
		      struct perf_event_attr *attr)
{
	int type = read_number(PMU "kprobe/type");
	int bit = ev->kprobe.ret ? return_bit(PMU "kprobe/format/retprobe") : 0, ret;

	if (type < 0 || bit < 0) {
		ret = skep_kernel_probe_add(k, ev, attr);
		if (ret != -ENXIO)
			return ret;
		skep_kernel_why(k, "this kernel has no kprobes (it was built without "
				   "CONFIG_KPROBE_EVENTS); SEC(\"fentry/...\") and "
				   "SEC(\"fexit/...\") see the same calls, and for system calls "
				   "SEC(\"tracepoint/syscalls/sys_enter_...\")");
		return -EOPNOTSUPP;
	}
	attr->type = (uint32_t)type;
	if (ev->kprobe.ret)
		attr->config |= 1ull << bit;
	attr->config1 = (uintptr_t)ev->kprobe.func;
	attr->config2 = ev->kprobe.offset;
	return 0;
}

/* A packet socket with the program as its filter; nobody reads it. */
static int open_packets(struct skep_kernel *k, const struct skep_event *ev)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_protocol = htons(ETH_P_ALL),
				 .sll_ifindex = ev->packets.ifindex};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), ret, one = 1;

	/* Only after the program is there are packets let in. */
	if (fd >= 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &ev->packets.prog_fd, sizeof(int)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &one, sizeof(one)) == 0 &&
	    bind(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return fd;
	ret = -errno;
	if (fd >= 0)
		close(fd);
	if (ret == -EPERM)
		skep_kernel_why(k, "a packet socket needs CAP_NET_RAW, which this process lacks; "
				   "run as root, or use --pcap with the user engine");
	return ret;
}

static int open_functions(struct skep_kernel *k)
{
	int dir = skep_kernel_tracefs(k), fd;

	if (dir < 0)
		return dir;
	fd = openat(dir, "available_filter_functions", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	fd = -errno;
	skep_kernel_why(k, "tracefs: available_filter_functions: %s%s", strerror(-fd),
			fd == -ENOENT ? " (this kernel was built without CONFIG_DYNAMIC_FTRACE)"
				      : "");
	return fd;
}

static void set_buffer(struct perf_event_attr *attr)
{
	attr->sample_type = SKEP_PERF_SAMPLE;
	attr->sample_id_all = 1;
	attr->use_clockid = 1;
	attr->clockid = CLOCK_MONOTONIC;
	attr->sample_period = 1;
	attr->wakeup_events = 1;
}

static int set_tracepoint(struct skep_kernel *k, const char *category, const char *name,
			  struct perf_event_attr *attr)
{
	int id = skep_kernel_tracepoint_id(k, category, name);

	if (id < 0)
		return id;
	attr->type = PERF_TYPE_TRACEPOINT;
	attr->config = (uint64_t)id;
	return 0;
}

static int set_attr(struct skep_kernel *k, const struct skep_event *ev,
		    struct perf_event_attr *attr)
{
	switch (ev->kind) {
	case SKEP_EVENT_TRACEPOINT:
		return set_tracepoint(k, ev->tracepoint.category, ev->tracepoint.name, attr);
	case SKEP_EVENT_UPROBE: return set_uprobe(k, ev, attr);
	case SKEP_EVENT_KPROBE: return set_kprobe(k, ev, attr);
	case SKEP_EVENT_PERF:
		attr->type = ev->perf.type;
		attr->config = ev->perf.config;
		attr->sample_period = ev->perf.period;
		attr->freq = ev->perf.freq;
		return 0;
	case SKEP_EVENT_OUTPUT:
	case SKEP_EVENT_PRINTK:
		set_buffer(attr);
		attr->type = PERF_TYPE_SOFTWARE;
		attr->config = PERF_COUNT_SW_BPF_OUTPUT;
		return 0;
	case SKEP_EVENT_TASKS:
		set_buffer(attr);
		attr->type = PERF_TYPE_SOFTWARE;
		attr->config = PERF_COUNT_SW_DUMMY;
		/* The sentinel period keeps the records but takes no samples. */
		attr->sample_period = 0;
		attr->exclude_kernel = 1;
		attr->mmap = attr->mmap2 = attr->comm = attr->comm_exec = attr->task = 1;
		return 0;
	case SKEP_EVENT_PACKETS:
	case SKEP_EVENT_FUNCTIONS:
	case SKEP_EVENT_TC: break; /* no perf events */
	}
	skep_kernel_why(k, "unknown kind of event");
	return -EOPNOTSUPP;
}

int skep_kernel_event(struct skep_sys *sys, const struct skep_event *ev)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;
	struct perf_event_attr attr = {.size = sizeof(attr)};
	int cpu = ev->cpu, ret;
	long fd;

	sys->why[0] = '\0';
	if (ev->kind == SKEP_EVENT_PACKETS)
		return open_packets(k, ev);
	if (ev->kind == SKEP_EVENT_FUNCTIONS)
		return open_functions(k);
	if (ev->kind == SKEP_EVENT_TC)
		return skep_kernel_tc_add(k, ev);
	attr.inherit = ev->inherit;
	ret = set_attr(k, ev, &attr);
	if (ret < 0)
		return ret;
	if (ev->kind == SKEP_EVENT_PRINTK && ev->pid >= 0) {
		skep_kernel_why(k, "bpf_printk()'s lines come from all processes or none; the "
				   "program has to choose");
		return -EOPNOTSUPP;
	}
	/* A program on a tracepoint or probe runs on all CPUs, whichever its event names. */
	if (cpu < 0 && ev->pid < 0)
		cpu = 0;
	fd = syscall(__NR_perf_event_open, &attr, ev->pid < 0 ? -1 : ev->pid, cpu, -1,
		     PERF_FLAG_FD_CLOEXEC);
	ret = fd < 0 ? -errno : 0;
	skep_kernel_probe_opened(k, ret ? ret : (int)fd);
	if (fd < 0)
		return skep_kernel_why_event(k, ev, ret);
	ret = ev->kind == SKEP_EVENT_PRINTK ? skep_kernel_printk_add(k, cpu, (int)fd) : 0;
	if (ret == 0)
		return (int)fd;
	close((int)fd);
	return ret;
}
