/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The waist: everything above asks for BPF through a struct skep_sys, and
 * everything below is an engine behind the ops table.
 *
 * What an op returns is what the kernel would return: >= 0, or -errno; the
 * file descriptors are the engine's own and mean nothing to the system.  When
 * an engine refuses something that the kernel could do, it returns
 * -EOPNOTSUPP and leaves one sentence in skep_sys.why that says what would
 * work instead.
 *
 * A new engine or decorator: fill a struct skep_sys_ops, embed struct
 * skep_sys first in your own struct, and give a skep_sys_NAME_create().
 */
#ifndef SKEP_SYS_SYS_H
#define SKEP_SYS_SYS_H

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/log.h"

struct skep_sys;

enum skep_event_kind {
	/* A tracepoint by category and name (perf event; the fd is LINK_CREATE's target). */
	SKEP_EVENT_TRACEPOINT,
	/* An offset in a file, at entry or at return (perf event). */
	SKEP_EVENT_UPROBE,
	/* A perf counter or timer: type, config, period or frequency. */
	SKEP_EVENT_PERF,
	/* The buffer that bpf_perf_event_output() fills on one CPU; map() it. */
	SKEP_EVENT_OUTPUT,
	/*
	 * The buffer with the lines of bpf_printk() of one CPU, of all programs
	 * and processes; map() it and take its samples apart with
	 * skep_printk_text() of ring.h.
	 */
	SKEP_EVENT_PRINTK,
	/* A buffer of PERF_RECORD_MMAP2, COMM, FORK and EXIT records of `pid`; map() it. */
	SKEP_EVENT_TASKS,
	/* A function of the kernel, at an offset or at return (perf event). */
	SKEP_EVENT_KPROBE,
	/* The packets of a network device for a socket filter program: runs while open. */
	SKEP_EVENT_PACKETS,
	/* Not an event: a text to read(), a line a kernel function that can be probed. */
	SKEP_EVENT_FUNCTIONS,
	/* For want of tcx: what goes into or out of a device, for a tc program; runs while open. */
	SKEP_EVENT_TC,
};

/* What to open.  Strings are borrowed for the call. */
struct skep_event {
	enum skep_event_kind kind;
	pid_t pid; /* only this process and, if `inherit`, its children; -1: all */
	int cpu; /* -1: any (then `pid` must be given) */
	bool inherit;
	union {
		struct {
			const char *category, *name;
		} tracepoint;
		struct {
			const char *path; /* the file, absolute */
			uint64_t offset; /* file offset of the instruction, bytes */
			uint64_t ref_ctr; /* file offset of the USDT semaphore, or 0 */
			bool ret; /* at return */
		} uprobe;
		struct {
			uint32_t type; /* PERF_TYPE_* */
			uint64_t config;
			uint64_t period; /* events, or Hz if `freq` */
			bool freq;
		} perf;
		struct {
			const char *func;
			uint64_t offset; /* of the instruction from the function's start, bytes */
			bool ret; /* at return */
		} kprobe;
		struct {
			int ifindex; /* 0: all devices */
			int prog_fd;
		} packets;
		struct {
			int ifindex, prog_fd;
			bool egress;
		} tc;
	};
};

/*
 * A command that the engine starts and watches.  The caller owns the struct
 * and keeps it at one address until skep_sys_ops.reap.
 */
struct skep_command {
	char *const *argv; /* searched in PATH as execvp(3) does */
	pid_t pid; /* set by spawn */
	/*
	 * Called by release when the engine has done all it does in the held
	 * process: its next system call is the command's execve(2).  May be NULL.
	 */
	void (*ready)(struct skep_command *cmd);
	void *ctx; /* the caller's */
	bool ended; /* set by wait */
	int status; /* as waitpid(2) gives it, once ended */
	int exec_errno; /* why the exec failed, or 0; known once ended */
	void *engine; /* the engine's */
};

struct skep_sys_ops {
	const char *name; /* "kernel", "user" */

	/* bpf(2), to the letter of include/uapi/linux/bpf.h. */
	int (*bpf)(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size);

	/* What bpf(2) lacks: opens an event source.  A file descriptor or -errno. */
	int (*event)(struct skep_sys *sys, const struct skep_event *ev);

	/*
	 * Maps the memory of a map (arrays with BPF_F_MMAPABLE, arenas at their
	 * map_extra, ring buffers: offsets as in the kernel) or of a buffer event.  Its length and
	 * layout are the kernel's.  The address, or a negative errno cast to
	 * a pointer (see skep_sys_is_err).  A mapped ring or buffer is watched
	 * by wait().  Unmapped with munmap(2) before close().
	 */
	void *(*map)(struct skep_sys *sys, int fd, off_t off, size_t len, int prot);

	/*
	 * Waits until a mapped ring or buffer has data, a command ended, a
	 * descriptor given to watch() is readable, a signal arrived (-EINTR) or
	 * @timeout_ms passed (-1: no limit).  > 0: something happened.
	 * The user engine runs its event sources here.
	 */
	int (*wait)(struct skep_sys *sys, int timeout_ms);

	/* Has wait() return also when the system file descriptor @fd is readable. */
	int (*watch)(struct skep_sys *sys, int fd);

	/* Reads from an iterator or a text: bytes, 0 at the end, or -errno. */
	int (*read)(struct skep_sys *sys, int fd, void *buf, size_t len);

	int (*close)(struct skep_sys *sys, int fd);

	/*
	 * Optional.  Says in words what instruction @insn of the loaded program
	 * @fd was to be, for the engine's messages about runs that end there.
	 */
	void (*note)(struct skep_sys *sys, int fd, uint32_t insn, const char *text);

	/*
	 * Runs program @prog_fd at event @event_fd until that is closed: what
	 * LINK_CREATE does since 5.15.  NULL: the engine always has links.
	 */
	int (*set_prog)(struct skep_sys *sys, int event_fd, int prog_fd);

	/*
	 * Starts @cmd and holds it before its exec: no system call of the
	 * command itself has been made yet.  Sets cmd->pid.
	 */
	int (*spawn)(struct skep_sys *sys, struct skep_command *cmd);
	/* Lets a held command go: its first system call is execve(2). */
	int (*release)(struct skep_sys *sys, struct skep_command *cmd);
	/* Ends @cmd if it still runs (SIGKILL to its pid only) and frees what belongs to it. */
	void (*reap)(struct skep_sys *sys, struct skep_command *cmd);

	void (*destroy)(struct skep_sys *sys);
};

struct skep_sys {
	const struct skep_sys_ops *ops;
	struct skep_log *log; /* borrowed, may be NULL */
	/*
	 * A property of the engine: its event sources see the processes it
	 * was told to watch and no others, so that programs need no filter.
	 */
	bool scoped;
	/* Runs of programs that the engine ended (a bad access, no end in sight), or NULL: none. */
	const uint64_t *faults;
	/* The sentence that goes with the last -EOPNOTSUPP or -EPERM, or "". */
	char why[512];
	/* What was asked of it so far, and the answers: bits of feature.h's. */
	uint64_t asked, there;
};

/* NULL-safe. */
void skep_sys_destroy(struct skep_sys *sys);

static inline bool skep_sys_is_err(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)-4095;
}

static inline int skep_sys_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr,
			       unsigned int size)
{
	return sys->ops->bpf(sys, cmd, attr, size);
}

static inline int skep_sys_event(struct skep_sys *sys, const struct skep_event *ev)
{
	return sys->ops->event(sys, ev);
}

static inline void *skep_sys_map(struct skep_sys *sys, int fd, off_t off, size_t len, int prot)
{
	return sys->ops->map(sys, fd, off, len, prot);
}

static inline int skep_sys_wait(struct skep_sys *sys, int timeout_ms)
{
	return sys->ops->wait(sys, timeout_ms);
}

/* -EOPNOTSUPP of an engine that opens nothing to read. */
static inline int skep_sys_read(struct skep_sys *sys, int fd, void *buf, size_t len)
{
	return sys->ops->read ? sys->ops->read(sys, fd, buf, len) : -EOPNOTSUPP;
}

/* Nothing for an engine that has a verifier to complain. */
static inline void skep_sys_note(struct skep_sys *sys, int fd, uint32_t insn, const char *text)
{
	if (sys->ops->note)
		sys->ops->note(sys, fd, insn, text);
}

/* -EOPNOTSUPP of an engine that has links for it. */
static inline int skep_sys_set_prog(struct skep_sys *sys, int event_fd, int prog_fd)
{
	return sys->ops->set_prog ? sys->ops->set_prog(sys, event_fd, prog_fd) : -EOPNOTSUPP;
}

/* Closes an engine's descriptor; does nothing for negative ones. */
static inline void skep_sys_close(struct skep_sys *sys, int fd)
{
	if (fd >= 0)
		sys->ops->close(sys, fd);
}

/* CPUs that per-CPU maps have values for: /sys/devices/system/cpu/possible. */
int skep_nr_cpus(void);

/* The running kernel as LINUX_VERSION_CODE has it; the base release where a vendor counts on. */
uint32_t skep_kernel_version(void);

/* The engines. */
struct skep_sys *skep_sys_kernel_create(struct skep_log *log);
/*
 * Has the kernel engine @sys (no decorator) use a BPF token from the BPF file
 * system at @dir, which an administrator delegated to this user namespace.
 */
int skep_sys_kernel_token(struct skep_sys *sys, const char *dir, struct skep_err *err);

/*
 * Decorators: each wraps @inner and takes it over (destroying the decorator
 * destroys it).  `log` prints every call to @log at info level, as strace
 * would; `inject` makes the @nth call of bpf(2) command @cmd (1 = first;
 * cmd -1: any command, -2: any event()) fail with @err.
 */
struct skep_sys *skep_sys_log_create(struct skep_sys *inner, struct skep_log *log);
struct skep_sys *skep_sys_inject_create(struct skep_sys *inner, int cmd, int nth, int err);
/* Before the first call, of such a @sys: @times calls in a row fail (1). */
void skep_sys_inject_times(struct skep_sys *sys, int times);

#endif
