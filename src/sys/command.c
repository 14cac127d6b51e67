/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum held_state { HELD_BLOCKED, HELD_SPINNING, HELD_FAILED, HELD_GO };

/* Shared with the child: what it is at, and what went wrong there. */
struct skep_held_page {
	_Atomic int state; /* enum held_state */
	_Atomic int err; /* HELD_FAILED: the hook's negative errno */
	_Atomic int exec_errno;
};

/* What precedes the message on the pipe. */
struct held_head {
	size_t len;
};

static bool executable(const char *path, int *why)
{
	struct stat st;

	/* A folder of PATH that may not be searched is as good as an empty one. */
	if (stat(path, &st) < 0)
		return false;
	if (S_ISREG(st.st_mode) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0)
		return true;
	*why = EACCES;
	return false;
}

char *skep_command_path(const char *name, struct skep_err *err)
{
	const char *path = getenv("PATH"), *end;
	int why = ENOENT;
	char *p;

	if (!path)
		path = "/usr/local/bin:/bin:/usr/bin";
	if (strchr(name, '/')) {
		/* execve(2) itself says what is wrong with a path. */
		p = strdup(name);
		if (!p)
			skep_fail_nomem(err);
		return p;
	}
	for (; *name; path = end + 1) {
		end = strchrnul(path, ':');
		/* An empty part of PATH is the current folder. */
		if (asprintf(&p, "%.*s/%s", end == path ? 1 : (int)(end - path),
			     end == path ? "." : path, name) < 0) {
			skep_fail_nomem(err);
			return NULL;
		}
		if (executable(p, &why))
			return p;
		free(p);
		if (!*end)
			break;
	}
	skep_fail(err, SKEP_E_COMMAND, why,
		  why == ENOENT ? "'%s': there is no such command in PATH"
				: "'%s': found in PATH, but it is not executable",
		  name);
	return NULL;
}

/* Reads exactly @len bytes; false at the end of the pipe: the parent is gone. */
static bool read_exact(int fd, void *to, size_t len)
{
	char *p = to;
	ssize_t n;

	while (len) {
		n = read(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/*
 * From here on the parent's end of the pipe going away kills this process:
 * the kernel sends SIGKILL for "readable" on @fd, and execve(2) closes it.
 * Unlike PR_SET_PDEATHSIG that needs no system call to be taken back.
 */
static int die_with_parent(int fd)
{
	char byte;

	if (fcntl(fd, F_SETOWN, getpid()) < 0 || fcntl(fd, F_SETSIG, SIGKILL) < 0 ||
	    fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
		return -errno;
	/* End of file now means that it happened before we asked for the signal. */
	if (read(fd, &byte, 1) == 0)
		_exit(127);
	return 0;
}

static void reset_signals(const sigset_t *mask)
{
	struct sigaction sa;
	int sig;

	for (sig = 1; sig < NSIG; sig++) {
		if (sigaction(sig, NULL, &sa) < 0 || sa.sa_handler == SIG_DFL ||
		    sa.sa_handler == SIG_IGN)
			continue;
		signal(sig, SIG_DFL);
	}
	sigprocmask(SIG_SETMASK, mask, NULL);
}

static void spin(struct skep_held_page *page)
{
	while (atomic_load_explicit(&page->state, memory_order_acquire) != HELD_GO) {
#if defined(__x86_64__) || defined(__i386__)
		__builtin_ia32_pause();
#endif
	}
}

struct child {
	struct skep_held_page *page;
	int pipe;
	const char *path;
	char *const *argv;
	skep_held_hook *hook;
	void *arg;
	sigset_t mask;
};

__attribute__((noreturn)) static void fail_child(struct child *c, int err)
{
	atomic_store(&c->page->err, err);
	atomic_store(&c->page->state, HELD_FAILED);
	_exit(127);
}

__attribute__((noreturn)) static void run_child(struct child *c)
{
	struct held_head head;
	void *msg = NULL;
	int ret;

	reset_signals(&c->mask);
	if (!read_exact(c->pipe, &head, sizeof(head)) || head.len > SKEP_HELD_MSG)
		_exit(127);
	/* malloc(3) is not safe after fork in a threaded parent; mmap(2) is. */
	if (head.len) {
		msg = mmap(NULL, head.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			   0);
		if (msg == MAP_FAILED)
			fail_child(c, -ENOMEM);
		if (!read_exact(c->pipe, msg, head.len))
			_exit(127);
	}
	ret = die_with_parent(c->pipe);
	if (ret == 0 && c->hook)
		ret = c->hook(c->arg, msg, head.len);
	if (ret < 0)
		fail_child(c, ret);
	atomic_store(&c->page->state, HELD_SPINNING);
	spin(c->page);
	execve(c->path, c->argv, environ);
	atomic_store(&c->page->exec_errno, errno);
	_exit(127);
}

int skep_held_start(struct skep_held *held, char *const *argv, skep_held_hook *hook, void *arg,
		    struct skep_err *err)
{
	struct child c = {.argv = argv, .hook = hook, .arg = arg};
	sigset_t all;
	int fds[2], saved;

	*held = (struct skep_held){.pid = -1, .pidfd = -1, .pipe = -1};
	held->path = skep_command_path(argv[0], err);
	if (!held->path)
		return err && err->err ? -err->err : -ENOENT;
	held->page = mmap(NULL, sizeof(*held->page), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (held->page == MAP_FAILED) {
		held->page = NULL;
		return skep_fail_nomem(err);
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "socketpair: %s", strerror(errno));
	c.page = held->page;
	c.path = held->path;
	c.pipe = fds[0];
	/* No handler of ours may run in the child before its signals are reset. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &c.mask);
	held->pid = fork();
	saved = errno;
	if (held->pid == 0) {
		close(fds[1]);
		run_child(&c);
	}
	sigprocmask(SIG_SETMASK, &c.mask, NULL);
	close(fds[0]);
	held->pipe = fds[1];
	if (held->pid < 0)
		return skep_fail(err, SKEP_E_COMMAND, saved, "cannot start '%s': %s", argv[0],
				 strerror(saved));
	held->pidfd = (int)syscall(__NR_pidfd_open, held->pid, 0);
	if (held->pidfd < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "pidfd_open: %s", strerror(errno));
	fcntl(held->pidfd, F_SETFD, FD_CLOEXEC);
	return 0;
}

static int send_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len) {
		/* A child that is gone is an error, not a SIGPIPE. */
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* True when the child has ended (it stays to be reaped). */
static bool has_ended(const struct skep_held *held)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)held->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
	       info.si_pid != 0;
}

int skep_held_arm(struct skep_held *held, const void *msg, size_t len, struct skep_err *err)
{
	const struct timespec nap = {0, 20000};
	struct held_head head = {msg ? len : 0};
	int state, ret;

	if (head.len > SKEP_HELD_MSG)
		return skep_fail(err, SKEP_E_COMMAND, E2BIG, "the message to '%s' is too long",
				 held->path);
	ret = send_all(held->pipe, &head, sizeof(head));
	if (ret == 0)
		ret = send_all(held->pipe, msg, head.len);
	if (ret < 0)
		return skep_fail(err, SKEP_E_COMMAND, -ret, "'%s' ended before it began",
				 held->path);
	while ((state = atomic_load(&held->page->state)) == HELD_BLOCKED) {
		if (has_ended(held))
			return skep_fail(err, SKEP_E_COMMAND, ECHILD, "'%s' ended before it began",
					 held->path);
		nanosleep(&nap, NULL);
	}
	if (state != HELD_FAILED)
		return 0;
	ret = atomic_load(&held->page->err);
	return skep_fail(err, SKEP_E_COMMAND, -ret, "'%s' cannot be prepared: %s", held->path,
			 strerror(-ret));
}

int skep_held_freeze(struct skep_held *held, struct skep_err *err)
{
	siginfo_t info = {0};
	int ret;

	if (kill(held->pid, SIGSTOP) < 0)
		return skep_fail(err, SKEP_E_COMMAND, errno, "'%s': %s", held->path,
				 strerror(errno));
	do {
		ret = waitid(P_PID, (id_t)held->pid, &info, WSTOPPED | WEXITED | WNOWAIT);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0 || info.si_code != CLD_STOPPED)
		return skep_fail(err, SKEP_E_COMMAND, ECHILD, "'%s' ended before it began",
				 held->path);
	held->frozen = true;
	return 0;
}

void skep_held_release(struct skep_held *held)
{
	if (held->released || held->pid <= 0 || held->reaped)
		return;
	atomic_store_explicit(&held->page->state, HELD_GO, memory_order_release);
	held->released = true;
	if (held->frozen)
		kill(held->pid, SIGCONT);
	held->frozen = false;
}

bool skep_held_reap(struct skep_held *held)
{
	pid_t pid;

	if (held->reaped)
		return true;
	do {
		pid = waitpid(held->pid, &held->status, WNOHANG);
	} while (pid < 0 && errno == EINTR);
	held->reaped = pid != 0;
	return held->reaped;
}

int skep_held_exec_errno(const struct skep_held *held)
{
	return held->page ? atomic_load(&held->page->exec_errno) : 0;
}

void skep_held_deinit(struct skep_held *held)
{
	if (held->pid > 0 && !skep_held_reap(held)) {
		kill(held->pid, SIGKILL);
		while (waitpid(held->pid, &held->status, 0) < 0 && errno == EINTR)
			;
		held->reaped = true;
	}
	if (held->pipe >= 0)
		close(held->pipe);
	if (held->pidfd >= 0)
		close(held->pidfd);
	if (held->page)
		munmap(held->page, sizeof(*held->page));
	free(held->path);
	*held = (struct skep_held){.pid = -1, .pidfd = -1, .pipe = -1, .status = held->status};
}
