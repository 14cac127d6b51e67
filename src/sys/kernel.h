/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the kernel engine share; private to src/sys. */
#ifndef SKEP_SYS_KERNEL_H
#define SKEP_SYS_KERNEL_H

#include <linux/perf_event.h>

#include "base/vec.h"
#include "sys/command.h"
#include "sys/guard.h"
#include "sys/sys.h"

struct skep_kernel_cmd {
	struct skep_held held;
	struct skep_command *cmd;
};

/* An event in tracefs: kernel_probe.c. */
enum { SKEP_PROBE_NEW = -1, SKEP_PROBE_CLOSED = -2 };
struct skep_kernel_probe {
	int fd; /* the perf event on it, or one of the above */
	bool uprobe;
	unsigned int number; /* the end of its name */
};

struct skep_kernel {
	struct skep_sys sys;
	int epoll; /* -1 until something is watched */
	int tracefs; /* a folder: 0 unopened, < 0 -errno */
	bool memlock_raised;
	int token; /* goes with all that is created, 0: none */
	SKEP_VEC(int) watched; /* descriptors in epoll that close() must take out */
	SKEP_VEC(struct skep_kernel_cmd *) cmds;
	int printk_link, printk_map; /* printk.c's program and its buffers, -1: not running */
	SKEP_VEC(int) printk_fds; /* the buffers' descriptors: the last one closed ends it */
	SKEP_VEC(struct skep_guard) guards; /* of tc filters: their descriptors are the events' */
	SKEP_VEC(struct skep_kernel_probe) probes;
	struct skep_guard probe_guard;
	char probe_names[64]; /* what their names begin with */
	unsigned int probe_count;
};

/* The descriptor of tracefs's top folder, opened on first use; or -errno with why. */
int skep_kernel_tracefs(struct skep_kernel *k);
/* The id of a tracepoint, or -errno with why (near names when it does not exist). */
int skep_kernel_tracepoint_id(struct skep_kernel *k, const char *category, const char *name);

/* Leaves the sentence for a raw tracepoint that does not exist, with near names. */
void skep_kernel_why_raw_tracepoint(struct skep_kernel *k, const char *name);

/* bpf(2), with the token if there is one and @cmd takes it; sets errno. */
long skep_kernel_bpf_token(struct skep_kernel *k, int cmd, union bpf_attr *attr, unsigned int size);

int skep_kernel_event(struct skep_sys *sys, const struct skep_event *ev);

/*
 * Makes a k- or uprobe in tracefs and has @attr open it.  0 or -errno, with
 * why; -ENXIO: this kernel has none.  Then _opened with the perf event's
 * descriptor or -errno, and _closed after it was closed.
 */
int skep_kernel_probe_add(struct skep_kernel *k, const struct skep_event *ev,
			  struct perf_event_attr *attr);
void skep_kernel_probe_opened(struct skep_kernel *k, int fd);
void skep_kernel_probe_closed(struct skep_kernel *k, int fd);
void skep_kernel_probe_deinit(struct skep_kernel *k);

/* Places a tc program at a device: a descriptor, or -errno with why. */
int skep_kernel_tc_add(struct skep_kernel *k, const struct skep_event *ev);
/* Closes @fd if it is one of those, and takes the program away; false: it is not. */
bool skep_kernel_tc_close(struct skep_kernel *k, int fd);

/* Has bpf_printk()'s lines of @cpu come to buffer @fd; until _del of all.  0 or -errno. */
int skep_kernel_printk_add(struct skep_kernel *k, int cpu, int fd);
void skep_kernel_printk_del(struct skep_kernel *k, int fd);
void skep_kernel_printk_deinit(struct skep_kernel *k);

/* Leaves the sentence for a refused bpf(2) or perf_event_open(2); returns @ret. */
int skep_kernel_why_bpf(struct skep_kernel *k, int cmd, const union bpf_attr *attr,
			unsigned int size, int ret);
int skep_kernel_why_event(struct skep_kernel *k, const struct skep_event *ev, int ret);
void skep_kernel_why(struct skep_kernel *k, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/*
 * The mode in force of a line of /sys/kernel/security/lockdown, which stands
 * in brackets: "none [integrity] confidentiality".  False: none, or no such line.
 */
bool skep_lockdown_mode(const char *line, char *mode, size_t size);
/* True when this process has capability @cap (CAP_*) now. */
bool skep_kernel_has_cap(int cap);

#endif
