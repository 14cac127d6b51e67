/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program can attach to.
 *
 * One row of event.def is one form of section name: which program type it
 * means, which expected attach type, and how a loaded program is attached.
 * SEC("tracepoint/...") of an object and `tracepoint:` of a script are the
 * same row.  A new kind: a row, and an attach function if none fits.
 */
#ifndef SKEP_EVENT_EVENT_H
#define SKEP_EVENT_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/vec.h"
#include "sys/sys.h"

struct skep_btf;

enum skep_event_flag {
	SKEP_EV_BTF_ID = 1 << 0, /* needs attach_btf_id at load: tp_btf, fentry, lsm, iter */
	SKEP_EV_SLEEPABLE = 1 << 1, /* BPF_F_SLEEPABLE: sections that end in ".s" */
	SKEP_EV_TASK = 1 << 2, /* runs in the context of the task it is about: can be scoped */
	SKEP_EV_PACKET = 1 << 3, /* gets a packet: test run with --pcap */
	SKEP_EV_NO_AUTO = 1 << 4, /* cannot be attached from its section name alone */
	SKEP_EV_FRAGS = 1 << 5, /* BPF_F_XDP_HAS_FRAGS */
	SKEP_EV_ONCE = 1 << 6, /* waits for no event: iterators, syscall programs */
	SKEP_EV_SLOPPY = 1 << 7, /* libbpf 0.x let more follow: "_NAME", "/NAME", a digit */
	SKEP_EV_OLD = 1 << 8, /* a name that libbpf 1.0 gave up */
};

struct skep_attach;
struct skep_links;
struct skep_usdt;

struct skep_event_def {
	const char *sec; /* "tracepoint": matches "tracepoint", and "tracepoint/..." if args */
	const char *args; /* what follows the slash, for messages: "CATEGORY/NAME"; NULL: nothing */
	uint32_t prog_type; /* BPF_PROG_TYPE_* */
	uint32_t attach_type; /* expected_attach_type of PROG_LOAD, 0: none */
	unsigned int flags; /* enum skep_event_flag */
	const char *btf_prefix; /* of the BTF name attached to: "btf_trace_", "bpf_lsm_", "" */
	/* Attaches and appends the link descriptors to @links.  0 or -errno. */
	int (*attach)(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);
};

/* Row @i of the table, NULL after the last. */
const struct skep_event_def *skep_event_at(size_t i);

/*
 * The row for section name @sec (a leading "?" is skipped); *@args: what
 * follows the row's slash ("" if nothing).  NULL, with E_OBJ_SECTION and the
 * nearest known names, when no row fits.
 */
const struct skep_event_def *skep_event_find(const char *sec, const char **args,
					     struct skep_err *err);

/* True if only libbpf before 1.0 takes @sec, which @def was found for. */
bool skep_event_is_old(const struct skep_event_def *def, const char *sec);

/* What an iterator walks, of all there is. */
struct skep_iter_opts {
	const char *map; /* bpf_map_elem, bpf_sk_storage_map: name, id or pin; NULL: not given */
	pid_t tid; /* task, task_file, task_vma: one thread; 0: all */
	pid_t pid; /* the same, all threads of a process; 0: skep_attach.pid */
	unsigned int order; /* cgroup: BPF_CGROUP_ITER_*; 0: the cgroup and all below */
};

/* How to attach one loaded program. */
struct skep_attach {
	struct skep_sys *sys;
	const struct skep_event_def *def;
	const char *args; /* what followed the slash */
	const char *prog; /* the program's name, for messages */
	int prog_fd;
	/* What the user asked for. */
	pid_t pid; /* uprobes and perf events of this process and its children; -1: all */
	bool running; /* `pid` runs already: names of files are what it means by them */
	/*
	 * The program leaves out other tasks by itself (skep_load_opts.scope_tasks).
	 * Without it a uprobe of @pid sees that process only, not its children.
	 */
	bool filtered;
	int ifindex; /* xdp, tc; 0: not given */
	uint32_t xdp_mode; /* XDP_FLAGS_DRV_MODE, _SKB_MODE or _HW_MODE; 0: the best there is */
	const char *perf; /* perf_event: what counts, "page-faults"; NULL: "cpu-clock" */
	uint64_t frequency; /* perf_event: samples a second; 0: the default (99) */
	uint64_t period; /* perf_event: a sample each so many, instead of a frequency; 0: none */
	const struct skep_iter_opts *iter; /* what iterators walk; NULL: everything */
	const char *cgroup; /* folder of a control group; NULL: not given */
	const char *hook; /* netfilter: "input", "prerouting", ...; NULL: not given */
	/* What the object brings. */
	const int *iter_map_fd; /* of iter->map; NULL: not given */
	const int *sockmap_fd; /* its only SOCKMAP or SOCKHASH; NULL: none, or several */
	struct skep_usdt *usdt; /* NULL: it does not include bpf/usdt.bpf.h */
	struct skep_log *log;
};

/* Descriptors of sys that hold an attachment: links, and the events below them. */
struct skep_links {
	SKEP_VEC(int) fds;
};

int skep_links_add(struct skep_links *links, int fd);
void skep_links_deinit(struct skep_links *links, struct skep_sys *sys);

/* Attaches by the row of @a.  On failure nothing stays attached.  0 or -errno. */
int skep_attach_prog(const struct skep_attach *a, struct skep_links *links, struct skep_err *err);

/*
 * Walks the iterator attached as @link once; @put gets its text piece by
 * piece.  0 or -errno.
 */
int skep_iter_read(struct skep_sys *sys, int link, void (*put)(void *ctx, const char *, size_t),
		   void *ctx, struct skep_err *err);

/*
 * The BTF type id a program of @def, with SKEP_EV_BTF_ID, attaches to ("sched_switch" for
 * "tp_btf/sched_switch"), looked up in @kernel.  > 0 or -errno.
 */
int skep_event_btf_id(const struct skep_event_def *def, const char *args,
		      const struct skep_btf *kernel, struct skep_err *err);

#endif
