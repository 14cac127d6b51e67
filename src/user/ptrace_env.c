/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What helpers may ask about the current task, answered when asked: an event
 * whose program wants neither name nor uid pays for neither.
 *
 * Memory comes by process_vm_readv(2); where that is denied (a sandbox, a
 * program that may not be read) by /proc/PID/mem and then by PTRACE_PEEKDATA,
 * which a tracer always may.
 */
#include "user/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Descriptors of /proc/PID/comm kept open, over all tracees. */
#define COMM_FDS 200
/* Bytes of stack taken at a time when frames are followed. */
#define STACK_WINDOW 1024

static struct skep_tracee *env_tracee(struct skep_vm_env *env)
{
	return env->source;
}

static int proc_mem(pid_t pid, void *buf, uint64_t addr, size_t len, bool write)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, (write ? O_WRONLY : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = write ? pwrite(fd, buf, len, (off_t)addr) : pread(fd, buf, len, (off_t)addr);
	close(fd);
	return n == (ssize_t)len ? 0 : -EFAULT;
}

static int peek_mem(pid_t pid, void *dst, uint64_t addr, size_t len)
{
	uint64_t at = addr & ~UINT64_C(7);
	size_t skip = addr & 7, n;
	char *out = dst;
	long word;

	for (; len; len -= n, out += n, at += 8, skip = 0) {
		errno = 0;
		word = ptrace(PTRACE_PEEKDATA, pid, at, 0);
		if (errno)
			return -EFAULT;
		n = 8 - skip < len ? 8 - skip : len;
		memcpy(out, (char *)&word + skip, n);
	}
	return 0;
}

int skep_trace_read_mem(pid_t pid, void *dst, uint64_t addr, size_t len)
{
	struct iovec local = {dst, len}, remote = {(void *)(uintptr_t)addr, len};
	ssize_t n;

	if (!len)
		return 0;
	n = process_vm_readv(pid, &local, 1, &remote, 1, 0);
	if (n == (ssize_t)len)
		return 0;
	if (n >= 0 || errno == EFAULT || errno == ESRCH)
		return -EFAULT;
	if (proc_mem(pid, dst, addr, len, false) == 0)
		return 0;
	return peek_mem(pid, dst, addr, len);
}

static int read_user(struct skep_vm_env *env, void *dst, uint64_t addr, size_t len)
{
	return skep_trace_read_mem(env_tracee(env)->pid, dst, addr, len);
}

static int write_user(struct skep_vm_env *env, uint64_t addr, const void *src, size_t len)
{
	struct iovec local = {(void *)src, len}, remote = {(void *)(uintptr_t)addr, len};
	pid_t pid = env_tracee(env)->pid;
	ssize_t n;

	if (!len)
		return 0;
	n = process_vm_writev(pid, &local, 1, &remote, 1, 0);
	if (n == (ssize_t)len)
		return 0;
	/* /proc/PID/mem would also write where the program itself may not. */
	if (n >= 0 || errno == EFAULT || errno == ESRCH)
		return -EFAULT;
	return proc_mem(pid, (void *)src, addr, len, true) ? -EFAULT : 0;
}

/* The only kernel memory there is: the registers of this stop. */
static int read_kernel(struct skep_vm_env *env, void *dst, uint64_t addr, size_t len)
{
	const struct skep_tracer *t = env_tracee(env)->tracer;
	uint64_t start = (uintptr_t)&t->regs;

	if (!t->have_regs || addr < start || addr - start > sizeof(t->regs) ||
	    len > sizeof(t->regs) - (addr - start))
		return -EFAULT;
	memcpy(dst, (const char *)&t->regs + (addr - start), len);
	return 0;
}

const struct skep_regs *skep_trace_regs(struct skep_tracee *tracee)
{
	struct skep_tracer *t = tracee->tracer;

	if (!t->have_regs)
		t->have_regs = skep_regs_read(&t->regs, tracee->pid) == 0;
	return t->have_regs ? &t->regs : NULL;
}

/*
 * By frame pointers, as the kernel itself walks user stacks: pairs of the
 * caller's frame pointer and the return address, upwards only.
 */
static int user_stack(struct skep_vm_env *env, uint64_t *ips, unsigned int n)
{
	struct skep_tracee *tracee = env_tracee(env);
	const struct skep_regs *regs = skep_trace_regs(tracee);
	uint64_t window[STACK_WINDOW / 8], start = 0, fp, pair[2];
	unsigned int i = 0;

	if (!regs)
		return -ESRCH;
	fp = skep_regs_fp(regs);
	if (i < n)
		ips[i++] = skep_regs_ip(regs);
	while (i < n && fp && fp % 8 == 0) {
		if (!start || fp < start || fp + 16 > start + sizeof(window)) {
			start = fp;
			if (skep_trace_read_mem(tracee->pid, window, start, sizeof(window)))
				start = 0;
		}
		if (start)
			memcpy(pair, (char *)window + (fp - start), sizeof(pair));
		else if (skep_trace_read_mem(tracee->pid, pair, fp, sizeof(pair)))
			break;
		if (!pair[1])
			break;
		ips[i++] = pair[1];
		if (pair[0] <= fp)
			break;
		fp = pair[0];
	}
	skep_trace_maps_cover(tracee, ips, i);
	return (int)i;
}

void skep_trace_read_uid(struct skep_tracee *tracee)
{
	long gid = skep_trace_status_field(tracee->pid, "Gid:");
	long uid = skep_trace_status_field(tracee->pid, "Uid:");

	if (uid >= 0 && gid >= 0)
		tracee->uid_gid = (uint64_t)(uint32_t)gid << 32 | (uint32_t)uid;
}

static uint64_t uid_gid(struct skep_vm_env *env)
{
	struct skep_tracee *tracee = env_tracee(env);

	if (tracee->tracer->uid_fixed)
		return tracee->tracer->uid_gid;
	skep_trace_read_uid(tracee);
	return tracee->uid_gid;
}

bool skep_trace_read_comm(struct skep_tracee *tracee)
{
	struct skep_tracer *t = tracee->tracer;
	char path[64], name[TRACE_COMM + 1];
	int fd = tracee->comm_fd;
	ssize_t n;

	if (fd < 0) {
		snprintf(path, sizeof(path), "/proc/%d/comm", tracee->pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			return false;
	}
	n = pread(fd, name, sizeof(name), 0);
	if (tracee->comm_fd < 0 && t->nr_comm_fds < COMM_FDS) {
		tracee->comm_fd = fd;
		t->nr_comm_fds++;
	} else if (tracee->comm_fd < 0) {
		close(fd);
	}
	if (n <= 0)
		return false;
	/* A name may hold newlines: only the last one is the file's. */
	name[n - 1] = 0;
	memset(tracee->comm, 0, sizeof(tracee->comm));
	memcpy(tracee->comm, name, strnlen(name, TRACE_COMM - 1));
	return true;
}

static int comm(struct skep_vm_env *env, char name[16])
{
	struct skep_tracee *tracee = env_tracee(env);

	if (!skep_trace_read_comm(tracee) && !tracee->comm[0])
		return -ESRCH;
	memcpy(name, tracee->comm, TRACE_COMM);
	return 0;
}

static void printk(struct skep_vm_env *env, const char *text, size_t len)
{
	struct skep_tracer *t = env_tracee(env)->tracer;

	if (t->opts.printk)
		t->opts.printk(t->opts.user, env, text, len);
}

const struct skep_vm_env_ops skep_trace_env_ops = {
	.read_user = read_user,
	.write_user = write_user,
	.read_kernel = read_kernel,
	.user_stack = user_stack,
	.uid_gid = uid_gid,
	.comm = comm,
	.printk = printk,
};
