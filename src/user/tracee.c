/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tracees and the waiting for them.
 *
 * wait(2) is asked for one pid when there is one tracee, and else looks before
 * it takes (WNOWAIT), so that children of the embedding process that are not
 * ours keep their status.  All that stopped is collected before the first is
 * let go on: a busy tracee cannot starve the others.
 */
#include "user/trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How long step() waits for the next stop after one, nanoseconds. */
#define LINGER_NS 300000
/* Stops collected before they are handled. */
#define BATCH 128

uint64_t trace_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

struct skep_tracee *trace_find(struct skep_tracer *t, pid_t pid)
{
	if (t->current && t->current->pid == pid)
		return t->current;
	return skep_hash_get(&t->table, &pid, sizeof(pid));
}

struct skep_tracee *trace_add(struct skep_tracer *t, pid_t pid, struct trace_root *root)
{
	struct skep_tracee *tracee = calloc(1, sizeof(*tracee));

	if (!tracee)
		return NULL;
	tracee->pid = pid;
	tracee->root = root;
	tracee->tracer = t;
	tracee->comm_fd = -1;
	tracee->nr = TRACE_NR_UNKNOWN;
	if (skep_hash_set(&t->table, &tracee->pid, sizeof(tracee->pid), tracee)) {
		free(tracee);
		return NULL;
	}
	if (root) {
		tracee->step = !root->cmd;
		root->tracees++;
	}
	return tracee;
}

void trace_remove(struct skep_tracer *t, struct skep_tracee *tracee)
{
	if (tracee->comm_fd >= 0) {
		close(tracee->comm_fd);
		t->nr_comm_fds--;
	}
	skep_hash_del(&t->table, &tracee->pid, sizeof(tracee->pid));
	if (tracee->root)
		tracee->root->tracees--;
	if (tracee->early || tracee->dead)
		t->nr_early--;
	if (t->current == tracee)
		t->current = NULL;
	free(tracee);
}

long trace_status_field(pid_t pid, const char *field)
{
	char path[64], line[256];
	size_t len = strlen(field);
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, field, len))
			continue;
		value = strtol(line + len, NULL, 10);
		break;
	}
	fclose(f);
	return value;
}

static int open_fds(struct skep_tracer *t)
{
	struct epoll_event ev = {.events = EPOLLIN};

	t->epfd = epoll_create1(EPOLL_CLOEXEC);
	t->sigfd = signalfd(-1, &t->chld, SFD_CLOEXEC | SFD_NONBLOCK);
	t->tickfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->epfd < 0 || t->sigfd < 0 || t->tickfd < 0)
		return -errno;
	if (epoll_ctl(t->epfd, EPOLL_CTL_ADD, t->sigfd, &ev) ||
	    epoll_ctl(t->epfd, EPOLL_CTL_ADD, t->tickfd, &ev))
		return -errno;
	return 0;
}

int skep_tracer_create(struct skep_tracer **tracer, const struct skep_tracer_opts *opts,
		       struct skep_err *err)
{
	struct skep_tracer *t = calloc(1, sizeof(*t));
	struct sigaction sa;
	int ret;

	*tracer = NULL;
	if (!t)
		return skep_fail_nomem(err);
	memcpy(&t->opts, opts, opts->sz < sizeof(t->opts) ? opts->sz : sizeof(t->opts));
	t->log = t->opts.log;
	t->self = getpid();
	t->epfd = t->sigfd = t->tickfd = -1;
	t->env.ops = &trace_env_ops;
	sigemptyset(&t->chld);
	sigaddset(&t->chld, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &t->chld, &t->old_mask);
	/* Ignored, as nohup(1)-like parents may have left it, it would tell us nothing. */
	sigaction(SIGCHLD, NULL, &sa);
	t->chld_was_ignored = sa.sa_handler == SIG_IGN;
	if (t->chld_was_ignored)
		signal(SIGCHLD, SIG_DFL);
	ret = open_fds(t);
	if (ret) {
		skep_tracer_destroy(t);
		return skep_fail(err, SKEP_E_SYSTEM, -ret, "cannot watch for stopped processes: %s",
				 strerror(-ret));
	}
	*tracer = t;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void skep_tracer_destroy(struct skep_tracer *t)
{
	struct skep_hash_slot *slot;
	size_t pos = 0;
	int kind;

	if (!t)
		return;
	while (t->roots.len) {
		struct trace_root *root = t->roots.data[t->roots.len - 1];

		if (root->cmd)
			skep_tracer_reap(t, root->cmd);
		else
			trace_detach(t, root);
	}
	while ((slot = skep_hash_next(&t->table, &pos))) {
		struct skep_tracee *tracee = slot->value;

		close_fd(tracee->comm_fd);
		free(tracee);
	}
	if (t->foreign)
		skep_debug(t->log, "%llu system calls of 32-bit code were not observed",
			   (unsigned long long)t->foreign);
	skep_hash_deinit(&t->table);
	skep_vec_deinit(&t->roots);
	skep_vec_deinit(&t->stops);
	for (kind = 0; kind < TRACE_KIND_NR; kind++)
		skep_vec_deinit(&t->points[kind]);
	close_fd(t->sigfd);
	close_fd(t->tickfd);
	close_fd(t->epfd);
	if (t->chld_was_ignored)
		signal(SIGCHLD, SIG_IGN);
	pthread_sigmask(SIG_SETMASK, &t->old_mask, NULL);
	free(t);
}

int skep_tracer_fd(const struct skep_tracer *t)
{
	return t->epfd;
}

bool skep_tracer_busy(const struct skep_tracer *t)
{
	return t->table.live > 0;
}

void skep_tracer_yield(struct skep_tracer *t)
{
	t->yield = true;
}

/*
 * Is an unknown task that wait(2) tells of a tracee?  A stop under ptrace says
 * so itself; of ended ones, those that another process gave birth to.
 */
static bool is_ours(const struct skep_tracer *t, const siginfo_t *info)
{
	if (info->si_code == CLD_TRAPPED)
		return true;
	if (info->si_code == CLD_STOPPED || info->si_code == CLD_CONTINUED)
		return false;
	return trace_status_field(info->si_pid, "PPid:") != t->self ||
	       trace_status_field(info->si_pid, "Tgid:") != info->si_pid;
}

/* Takes the notification of @pid, if there is one.  1, 0 or -errno. */
static int take(struct skep_tracer *t, pid_t pid)
{
	struct trace_stop stop;

	stop.pid = waitpid(pid, &stop.status, __WALL | WNOHANG);
	if (stop.pid < 0 && errno == ECHILD) {
		struct skep_tracee *tracee = trace_find(t, pid);

		/* Waited for by somebody else, or never was: it will not come back. */
		if (tracee) {
			skep_debug(t->log, "lost sight of process %d", pid);
			trace_handle(t, pid, 0);
		}
		return 0;
	}
	if (stop.pid <= 0)
		return 0;
	return skep_vec_push(&t->stops, stop) ? -ENOMEM : 1;
}

/* A child that is not ours stands in front of the queue: ask for each of ours. */
static int collect_each(struct skep_tracer *t)
{
	SKEP_VEC(pid_t) pids = {0};
	struct skep_hash_slot *slot;
	size_t pos = 0, i;
	int n = 0, ret = 0;

	while ((slot = skep_hash_next(&t->table, &pos)) && ret >= 0)
		ret = skep_vec_push(&pids, ((struct skep_tracee *)slot->value)->pid);
	for (i = 0; i < pids.len && ret >= 0; i++) {
		ret = take(t, pids.data[i]);
		n += ret > 0;
	}
	skep_vec_deinit(&pids);
	return ret < 0 ? ret : n;
}

int trace_collect(struct skep_tracer *t)
{
	size_t pos = 0;
	siginfo_t info;
	int n = 0, ret;

	if (t->table.live == 0)
		return 0;
	if (t->table.live == 1)
		return take(t, ((struct skep_tracee *)skep_hash_next(&t->table, &pos)->value)->pid);
	while (n < BATCH) {
		info.si_pid = 0;
		if (waitid(P_ALL, 0, &info,
			   WEXITED | WSTOPPED | __WALL | __WNOTHREAD | WNOWAIT | WNOHANG) ||
		    !info.si_pid)
			break;
		if (!trace_find(t, info.si_pid) && !is_ours(t, &info)) {
			ret = collect_each(t);
			return ret < 0 ? ret : n + ret;
		}
		ret = take(t, info.si_pid);
		if (ret < 0)
			return ret;
		if (ret == 0)
			break;
		n++;
	}
	return n;
}

/* A dead task whose birth was not told yet is kept until it has been. */
static void handle_early_end(struct skep_tracee *tracee, int status)
{
	if (tracee->early)
		tracee->tracer->nr_early--;
	tracee->early = false;
	tracee->dead = true;
	tracee->status = status;
	tracee->tracer->nr_early++;
}

void trace_handle(struct skep_tracer *t, pid_t pid, int status)
{
	struct skep_tracee *tracee = trace_find(t, pid);
	bool ended = !WIFSTOPPED(status);

	if (!tracee)
		tracee = trace_adopt(t, pid);
	if (!tracee) {
		skep_warn(t->log, "out of memory: process %d is no longer watched", pid);
		return;
	}
	t->current = tracee;
	t->have_regs = false;
	if (ended && tracee->early)
		handle_early_end(tracee, status);
	else if (ended)
		trace_on_end(tracee, status);
	else
		trace_on_stop(tracee, status);
}

/* Handles what was collected, until asked to yield; the rest stays for the next step. */
static int handle_collected(struct skep_tracer *t)
{
	size_t i, n = t->stops.len;

	for (i = 0; i < n && !t->yield; i++)
		trace_handle(t, t->stops.data[i].pid, t->stops.data[i].status);
	memmove(t->stops.data, t->stops.data + i, (t->stops.len - i) * sizeof(*t->stops.data));
	t->stops.len -= i;
	return (int)i;
}

/* Sleeps until a stop is told, for at most @ns.  -EINTR: another signal. */
static int linger(struct skep_tracer *t, uint64_t ns)
{
	struct timespec ts = {0, (long)ns};

	if (sigtimedwait(&t->chld, NULL, &ts) >= 0)
		return 1;
	return errno == EINTR ? -EINTR : 0;
}

/* Commands that ended before they were let go. */
static int reap_held(struct skep_tracer *t)
{
	struct trace_root **it, *root;
	int n = 0;

	skep_vec_each (&t->roots, it) {
		root = *it;
		if (!root->cmd || root->released || root->cmd->ended ||
		    !skep_held_reap(&root->held))
			continue;
		root->cmd->status = root->held.status;
		root->cmd->ended = true;
		n++;
	}
	return n;
}

int skep_tracer_step(struct skep_tracer *t, unsigned int slice_us)
{
	uint64_t now = trace_now(), end = now + (uint64_t)slice_us * 1000;
	int handled = reap_held(t), got, ret;

	t->yield = false;
	for (;;) {
		if (t->next_tick && now >= t->next_tick)
			handled += trace_tick(t, now);
		got = t->stops.len ? 1 : trace_collect(t);
		if (got < 0)
			return got;
		handled += handle_collected(t);
		now = trace_now();
		if (t->yield || now >= end || !skep_tracer_busy(t))
			return handled;
		if (got && t->table.live > 1)
			continue;
		ret = linger(t, handled ? LINGER_NS : 0);
		if (ret < 0)
			return ret;
		if (ret == 0)
			return handled;
	}
}
