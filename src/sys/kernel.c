/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel engine: bpf(2) and perf_event_open(2) of the kernel that runs us.
 *
 * Descriptors are the system's own.  What wait() watches stands in one epoll
 * set: mapped ring and perf buffers, commands (pidfds), and what the caller
 * gave to watch().  Events live in kernel_event.c, sentences in why.c.
 */
#include "sys/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/uapi.h"

#define MAX_EVENTS 32

static long call_bpf(struct skep_kernel *k, int cmd, union bpf_attr *attr, unsigned int size)
{
	int tries = 5;
	long ret;

	do {
		ret = skep_kernel_bpf_token(k, cmd, attr, size);
		/* The verifier gives up with EAGAIN when a signal is pending. */
	} while (ret < 0 && errno == EAGAIN && cmd == BPF_PROG_LOAD && --tries);
	return ret < 0 ? -errno : ret;
}

/* Kernels before 5.11 charge maps and programs to RLIMIT_MEMLOCK. */
static bool raise_memlock(struct skep_kernel *k)
{
	struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};

	if (k->memlock_raised)
		return false;
	k->memlock_raised = true;
	return setrlimit(RLIMIT_MEMLOCK, &all) == 0;
}

static int kernel_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;
	long ret;

	sys->why[0] = '\0';
	ret = call_bpf(k, cmd, attr, size);
	if (ret == -EPERM && (cmd == BPF_MAP_CREATE || cmd == BPF_PROG_LOAD) && raise_memlock(k))
		ret = call_bpf(k, cmd, attr, size);
	if (ret < 0)
		return skep_kernel_why_bpf(k, cmd, attr, size, (int)ret);
	return (int)ret;
}

static int epoll_add(struct skep_kernel *k, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};

	if (k->epoll < 0)
		k->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (k->epoll < 0)
		return -errno;
	if (epoll_ctl(k->epoll, EPOLL_CTL_ADD, fd, &ev) == 0)
		return 1;
	return errno == EEXIST ? 0 : -errno;
}

static int watch_fd(struct skep_kernel *k, int fd)
{
	int ret = epoll_add(k, fd);

	if (ret <= 0)
		return ret;
	if (skep_vec_push(&k->watched, fd) == 0)
		return 0;
	epoll_ctl(k->epoll, EPOLL_CTL_DEL, fd, NULL);
	return -ENOMEM;
}

static int kernel_watch(struct skep_sys *sys, int fd)
{
	return watch_fd((struct skep_kernel *)sys, fd);
}

/* False: @fd is no map. */
static bool map_info(struct skep_kernel *k, int fd, struct bpf_map_info *info)
{
	union bpf_attr attr;

	memset(info, 0, sizeof(*info));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(*info);
	attr.info.info = (uintptr_t)info;
	return call_bpf(k, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr.info)) >= 0;
}

/* Ring buffers and perf events can be waited for; other maps' poll() is always ready. */
static bool can_wait(struct skep_kernel *k, int fd)
{
	struct bpf_map_info info;

	return !map_info(k, fd, &info) || info.type == BPF_MAP_TYPE_RINGBUF;
}

/* An arena with an address of its own can be mapped there only: programs keep such pointers. */
static void *map_arena(struct skep_kernel *k, int fd, size_t len, int prot)
{
	struct bpf_map_info info;
	void *p, *at;

	if (!map_info(k, fd, &info) || info.type != BPF_MAP_TYPE_ARENA || !info.map_extra) {
		errno = EINVAL;
		return MAP_FAILED;
	}
	at = (void *)(uintptr_t)info.map_extra;
	p = mmap(at, len, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0);
	if (p == MAP_FAILED && errno == EEXIST)
		skep_kernel_why(k,
				"its address, map_extra %#llx, is taken in this process; leave "
				"map_extra out, and one is found",
				(unsigned long long)info.map_extra);
	return p;
}

static void *kernel_map(struct skep_sys *sys, int fd, off_t off, size_t len, int prot)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;
	void *p;
	int ret;

	sys->why[0] = '\0';
	p = mmap(NULL, len, prot, MAP_SHARED, fd, off);
	if (p == MAP_FAILED && errno == EINVAL && off == 0)
		p = map_arena(k, fd, len, prot);
	if (p == MAP_FAILED) {
		ret = -errno;
		if (ret == -EPERM && !skep_kernel_has_cap(14 /* CAP_IPC_LOCK */))
			skep_kernel_why(
				k,
				"%zu bytes of buffer are more than kernel.perf_event_mlock_kb and "
				"RLIMIT_MEMLOCK allow; use a smaller buffer or run with "
				"CAP_IPC_LOCK",
				len);
		return (void *)(intptr_t)ret;
	}
	ret = off == 0 && can_wait(k, fd) ? watch_fd(k, fd) : 0;
	if (ret == 0)
		return p;
	munmap(p, len);
	return (void *)(intptr_t)ret;
}

/* True when descriptor @fd was a command's pidfd; the command is then reaped. */
static bool command_ended(struct skep_kernel *k, int fd)
{
	struct skep_kernel_cmd **it;

	skep_vec_each (&k->cmds, it) {
		struct skep_kernel_cmd *kc = *it;

		if (kc->held.pidfd != fd)
			continue;
		if (!skep_held_reap(&kc->held))
			return true;
		kc->cmd->ended = true;
		kc->cmd->status = kc->held.status;
		kc->cmd->exec_errno = skep_held_exec_errno(&kc->held);
		epoll_ctl(k->epoll, EPOLL_CTL_DEL, fd, NULL);
		return true;
	}
	return false;
}

static int kernel_wait(struct skep_sys *sys, int timeout_ms)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;
	struct epoll_event evs[MAX_EVENTS];
	int i, n;

	if (k->epoll < 0)
		k->epoll = epoll_create1(EPOLL_CLOEXEC);
	n = epoll_wait(k->epoll, evs, MAX_EVENTS, timeout_ms);
	if (n < 0)
		return -errno;
	for (i = 0; i < n; i++)
		command_ended(k, evs[i].data.fd);
	return n;
}

static int kernel_read(struct skep_sys *sys, int fd, void *data, size_t len)
{
	ssize_t n;

	sys->why[0] = '\0';
	do {
		n = read(fd, data, len);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

static int kernel_close(struct skep_sys *sys, int fd)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;
	size_t i;
	int ret;

	if (skep_kernel_tc_close(k, fd))
		return 0;
	for (i = 0; i < k->watched.len; i++) {
		if (k->watched.data[i] != fd)
			continue;
		/* The file may live on in a map, and epoll would go on telling of it. */
		epoll_ctl(k->epoll, EPOLL_CTL_DEL, fd, NULL);
		k->watched.data[i] = k->watched.data[--k->watched.len];
		break;
	}
	skep_kernel_printk_del(k, fd);
	ret = close(fd) < 0 ? -errno : 0;
	if (k->probes.len)
		skep_kernel_probe_closed(k, fd);
	return ret;
}

static int start(struct skep_kernel_cmd *kc, struct skep_err *err)
{
	int ret = skep_held_start(&kc->held, kc->cmd->argv, NULL, NULL, err);

	if (ret == 0)
		ret = skep_held_arm(&kc->held, NULL, 0, err);
	if (ret == 0)
		ret = skep_held_freeze(&kc->held, err);
	return ret;
}

static int kernel_spawn(struct skep_sys *sys, struct skep_command *cmd)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_kernel_cmd *kc = calloc(1, sizeof(*kc));
	int ret;

	sys->why[0] = '\0';
	if (!kc)
		return -ENOMEM;
	kc->cmd = cmd;
	cmd->ended = false;
	cmd->exec_errno = 0;
	ret = start(kc, &err);
	if (ret == 0)
		ret = epoll_add(k, kc->held.pidfd);
	if (ret >= 0)
		ret = skep_vec_push(&k->cmds, kc);
	if (ret < 0) {
		skep_held_deinit(&kc->held);
		free(kc);
		skep_kernel_why(k, "%s", err.msg);
		skep_err_deinit(&err);
		return ret;
	}
	cmd->pid = kc->held.pid;
	cmd->engine = kc;
	return 0;
}

static int kernel_release(struct skep_sys *sys, struct skep_command *cmd)
{
	struct skep_kernel_cmd *kc = cmd->engine;

	if (cmd->ready)
		cmd->ready(cmd);
	skep_held_release(&kc->held);
	return 0;
}

static void kernel_reap(struct skep_sys *sys, struct skep_command *cmd)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;
	struct skep_kernel_cmd *kc = cmd->engine;
	size_t i;

	if (!kc)
		return;
	for (i = 0; i < k->cmds.len && k->cmds.data[i] != kc; i++)
		;
	if (i < k->cmds.len)
		k->cmds.data[i] = k->cmds.data[--k->cmds.len];
	/* Its last exec error would go with the shared page. */
	if (!cmd->ended)
		cmd->exec_errno = skep_held_exec_errno(&kc->held);
	skep_held_deinit(&kc->held);
	if (!cmd->ended)
		cmd->status = kc->held.status;
	cmd->ended = true;
	cmd->engine = NULL;
	free(kc);
}

static void kernel_destroy(struct skep_sys *sys)
{
	struct skep_kernel *k = (struct skep_kernel *)sys;

	while (k->cmds.len)
		kernel_reap(sys, k->cmds.data[0]->cmd);
	skep_vec_deinit(&k->cmds);
	skep_vec_deinit(&k->watched);
	skep_kernel_printk_deinit(k);
	skep_kernel_probe_deinit(k);
	while (k->guards.len)
		skep_kernel_tc_close(k, k->guards.data[0].fd);
	skep_vec_deinit(&k->guards);
	if (k->epoll >= 0)
		close(k->epoll);
	if (k->tracefs > 0)
		close(k->tracefs);
	if (k->token > 0)
		close(k->token);
	free(k);
}

static int kernel_set_prog(struct skep_sys *sys, int event_fd, int prog_fd)
{
	sys->why[0] = '\0';
	return ioctl(event_fd, PERF_EVENT_IOC_SET_BPF, prog_fd) < 0 ? -errno : 0;
}

static const struct skep_sys_ops kernel_ops = {
	.name = "kernel",
	.bpf = kernel_bpf,
	.event = skep_kernel_event,
	.map = kernel_map,
	.wait = kernel_wait,
	.watch = kernel_watch,
	.read = kernel_read,
	.close = kernel_close,
	.set_prog = kernel_set_prog,
	.spawn = kernel_spawn,
	.release = kernel_release,
	.reap = kernel_reap,
	.destroy = kernel_destroy,
};

struct skep_sys *skep_sys_kernel_create(struct skep_log *log)
{
	struct skep_kernel *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->sys.ops = &kernel_ops;
	k->sys.log = log;
	k->epoll = k->printk_link = k->printk_map = k->probe_guard.fd = -1;
	return &k->sys;
}
