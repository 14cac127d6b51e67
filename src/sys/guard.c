/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Closes @first and on to @last; before Linux 5.9 one by one, up to the limit. */
static void close_range_of(unsigned int first, unsigned int last)
{
	struct rlimit lim = {.rlim_cur = 1024};

	if (first > last || syscall(__NR_close_range, first, last, 0) == 0)
		return;
	getrlimit(RLIMIT_NOFILE, &lim);
	for (; first <= last && first < lim.rlim_cur; first++)
		close((int)first);
}

static void close_others(int a, int b)
{
	unsigned int low = (unsigned int)(a < b ? a : b), high = (unsigned int)(a < b ? b : a);

	if (low)
		close_range_of(0, low - 1);
	if (high > low + 1)
		close_range_of(low + 1, high - 1);
	close_range_of(high + 1, UINT32_MAX);
}

__attribute__((noreturn)) static void guard(int fd, void (*undo)(void *ctx), void *ctx, int keep)
{
	char byte;

	close_others(fd, keep < 0 ? fd : keep);
	setsid();
	prctl(PR_SET_NAME, "skep-guard");
	/* It must not keep a file system from being unmounted. */
	(void)!chdir("/");
	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
	undo(ctx);
	_exit(0);
}

int skep_guard_start(struct skep_guard *g, void (*undo)(void *ctx), void *ctx, int keep)
{
	sigset_t all, before;
	int fds[2], ret;
	long pid;

	g->fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	/* fork(2) without a signal at the end, and without what libc does at a fork. */
	pid = syscall(__NR_clone, 0, 0, 0, 0, 0);
	if (pid == 0)
		guard(fds[1], undo, ctx, keep);
	ret = pid < 0 ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	close(fds[1]);
	if (ret < 0) {
		close(fds[0]);
		return ret;
	}
	g->fd = fds[0];
	g->pid = (pid_t)pid;
	return 0;
}

void skep_guard_end(struct skep_guard *g)
{
	if (g->fd < 0)
		return;
	/* Also when a process that was forked since has the descriptor, too. */
	shutdown(g->fd, SHUT_WR);
	while (waitpid(g->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	close(g->fd);
	g->fd = -1;
}
