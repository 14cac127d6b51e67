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

/* How long step() waits for the next stop after one: at most two of these, nanoseconds. */
#define LINGER_NS 1000000
/* Stops collected before they are handled. */
#define BATCH 128

uint64_t skep_trace_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

struct skep_tracee *skep_trace_find(struct skep_tracer *t, pid_t pid)
{
	if (t->current && t->current->pid == pid)
		return t->current;
	return skep_hash_get(&t->table, &pid, sizeof(pid));
}

struct skep_tracee *skep_trace_add(struct skep_tracer *t, pid_t pid, struct trace_root *root)
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

void skep_trace_remove(struct skep_tracer *t, struct skep_tracee *tracee)
{
	if (tracee->comm_fd >= 0) {
		close(tracee->comm_fd);
		t->nr_comm_fds--;
	}
	if (t->pin.tracee == tracee)
		skep_trace_unpin(t);
	skep_hash_del(&t->table, &tracee->pid, sizeof(tracee->pid));
	if (tracee->root)
		tracee->root->tracees--;
	if (tracee->early || tracee->dead)
		t->nr_early--;
	if (t->current == tracee)
		t->current = NULL;
	skep_vec_deinit(&tracee->ranges);
	free(tracee);
}

long skep_trace_status_field(pid_t pid, const char *field)
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

static void on_alarm(int sig, siginfo_t *info, void *context)
{
	struct skep_tracer *t = info->si_value.sival_ptr;

	if (info->si_code == SI_TIMER)
		t->alarmed = 1;
}

/*
 * A timer whose signal interrupts waitpid(2) of this thread.  The signal is
 * the last real-time one that nobody uses; it comes only inside of step().
 */
static int create_alarm(struct skep_tracer *t)
{
	struct sigaction sa = {.sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO};
	struct sigevent sev = {.sigev_notify = SIGEV_THREAD_ID, .sigev_value.sival_ptr = t};
	sigset_t set;
	int sig;

	for (sig = SIGRTMAX; sig >= SIGRTMIN; sig--)
		if (!sigaction(sig, NULL, &t->old_alarm) && t->old_alarm.sa_handler == SIG_DFL)
			break;
	if (sig < SIGRTMIN)
		return -EBUSY;
	sev.sigev_signo = sig;
	sev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &sev, &t->alarm))
		return -errno;
	sigaction(sig, &sa, NULL);
	t->alarm_sig = sig;
	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return 0;
}

/*
 * While stops come in quick succession wait(2) itself waits for them: SIGCHLD
 * would wake us before the tracee has quite stopped, which costs as much again
 * as the stop.
 */
static void set_chld(const struct skep_tracer *t, bool quiet)
{
	struct sigaction sa = t->old_chld;

	/* Ignored, as nohup(1)-like parents may have left it, it would tell us nothing. */
	if (sa.sa_handler == SIG_IGN)
		sa.sa_handler = SIG_DFL;
	sa.sa_flags &= ~(SA_NOCLDSTOP | SA_NOCLDWAIT);
	if (quiet)
		sa.sa_flags |= SA_NOCLDSTOP;
	sigaction(SIGCHLD, &sa, NULL);
}

static void set_alarm(struct skep_tracer *t, bool on)
{
	struct itimerspec its = {{0, on ? LINGER_NS : 0}, {0, on ? LINGER_NS : 0}};

	if (t->alarm_set == on)
		return;
	t->alarm_set = on;
	set_chld(t, on);
	timer_settime(t->alarm, 0, &its, NULL);
}

int skep_tracer_create(struct skep_tracer **tracer, const struct skep_tracer_opts *opts,
		       struct skep_err *err)
{
	struct skep_tracer *t = calloc(1, sizeof(*t));
	int ret;

	*tracer = NULL;
	if (!t)
		return skep_fail_nomem(err);
	memcpy(&t->opts, opts, opts->sz < sizeof(t->opts) ? opts->sz : sizeof(t->opts));
	t->log = t->opts.log;
	t->self = getpid();
	t->epfd = t->sigfd = t->tickfd = -1;
	t->env.ops = &skep_trace_env_ops;
	sigemptyset(&t->chld);
	sigaddset(&t->chld, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &t->chld, &t->old_mask);
	sigaction(SIGCHLD, NULL, &t->old_chld);
	set_chld(t, false);
	ret = open_fds(t);
	if (!ret)
		ret = create_alarm(t);
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
			skep_trace_detach(t, root);
	}
	while ((slot = skep_hash_next(&t->table, &pos))) {
		struct skep_tracee *tracee = slot->value;

		close_fd(tracee->comm_fd);
		skep_vec_deinit(&tracee->ranges);
		free(tracee);
	}
	if (t->foreign)
		skep_debug(t->log, "%llu system calls of 32-bit code were not observed",
			   (unsigned long long)t->foreign);
	if (t->late_ticks)
		skep_warn(t->log, "%llu ticks of timers came too late and were not sampled",
			  (unsigned long long)t->late_ticks);
	skep_hash_deinit(&t->table);
	skep_vec_deinit(&t->roots);
	skep_vec_deinit(&t->stops);
	for (kind = 0; kind < TRACE_KIND_NR; kind++)
		skep_vec_deinit(&t->points[kind]);
	close_fd(t->sigfd);
	close_fd(t->tickfd);
	close_fd(t->epfd);
	if (t->alarm_sig) {
		timer_delete(t->alarm);
		sigaction(t->alarm_sig, &t->old_alarm, NULL);
	}
	sigaction(SIGCHLD, &t->old_chld, NULL);
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
	return skep_trace_status_field(info->si_pid, "PPid:") != t->self ||
	       skep_trace_status_field(info->si_pid, "Tgid:") != info->si_pid;
}

/* waitpid(2) was interrupted: 0 by the alarm, -EINTR by somebody else's signal. */
static int interrupted(struct skep_tracer *t)
{
	return t->alarmed ? 0 : -EINTR;
}

/* Takes the notification of @pid, if there is one, or waits for it.  1, 0 or -errno. */
static int take(struct skep_tracer *t, pid_t pid, bool block)
{
	struct skep_tracee *tracee;
	struct trace_stop stop;

	stop.pid = waitpid(pid, &stop.status, __WALL | (block ? 0 : WNOHANG));
	if (stop.pid < 0 && errno == EINTR)
		return interrupted(t);
	if (stop.pid < 0 && errno == ECHILD) {
		/* Waited for by somebody else: it will not come back. */
		tracee = skep_trace_find(t, pid);
		skep_debug(t->log, "lost sight of process %d", pid);
		if (tracee)
			skep_trace_handle(t, pid, 0);
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
		ret = take(t, pids.data[i], false);
		n += ret > 0;
	}
	skep_vec_deinit(&pids);
	return ret < 0 ? ret : n;
}

/*
 * Looks at who is first.  1: one of ours, in *@pid; 0: nobody; -ECHILD: a child
 * that is not ours; -EINTR.
 */
static int peek(struct skep_tracer *t, pid_t *pid, bool block)
{
	siginfo_t info = {.si_pid = 0};

	if (waitid(P_ALL, 0, &info,
		   WEXITED | WSTOPPED | __WALL | __WNOTHREAD | WNOWAIT | (block ? 0 : WNOHANG)))
		return errno == EINTR ? interrupted(t) : 0;
	*pid = info.si_pid;
	if (!*pid)
		return 0;
	return skep_trace_find(t, *pid) || is_ours(t, &info) ? 1 : -ECHILD;
}

int skep_trace_collect(struct skep_tracer *t, bool block)
{
	const struct timespec nap = {0, LINGER_NS / 4};
	size_t pos = 0;
	pid_t pid;
	int n = 0, ret;

	if (t->table.live == 0)
		return 0;
	/*
	 * The short way, for at most the alarm's time.  Without it, an unknown
	 * thread of a process that was killed may be what keeps its end back.
	 */
	if (t->table.live == 1 && block) {
		pid = ((struct skep_tracee *)skep_hash_next(&t->table, &pos)->value)->pid;
		return take(t, pid, block);
	}
	while (n < BATCH) {
		ret = peek(t, &pid, block && n == 0);
		if (ret == -ECHILD) {
			ret = collect_each(t);
			/* The stranger would end every wait at once. */
			if (ret == 0 && n == 0 && block)
				nanosleep(&nap, NULL);
			return ret < 0 ? ret : n + ret;
		}
		if (ret > 0)
			ret = take(t, pid, false);
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

void skep_trace_handle(struct skep_tracer *t, pid_t pid, int status)
{
	struct skep_tracee *tracee = skep_trace_find(t, pid);
	bool ended = !WIFSTOPPED(status);

	if (!tracee)
		tracee = skep_trace_adopt(t, pid);
	if (!tracee) {
		skep_warn(t->log, "out of memory: process %d is no longer watched", pid);
		return;
	}
	t->current = tracee;
	t->have_regs = false;
	if (ended && tracee->early)
		handle_early_end(tracee, status);
	else if (ended)
		skep_trace_on_end(tracee, status);
	else
		skep_trace_on_stop(tracee, status);
}

/* Handles what was collected, until asked to yield; the rest stays for the next step. */
static int handle_collected(struct skep_tracer *t)
{
	size_t i, n = t->stops.len;

	for (i = 0; i < n && !t->yield; i++)
		skep_trace_handle(t, t->stops.data[i].pid, t->stops.data[i].status);
	if (i)
		memmove(t->stops.data, t->stops.data + i,
			(t->stops.len - i) * sizeof(*t->stops.data));
	t->stops.len -= i;
	return (int)i;
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

/* Until the slice is over, the flow ends or somebody wants a look. */
static int run(struct skep_tracer *t, uint64_t end, int handled)
{
	uint64_t now = skep_trace_now();
	int got, got_now;

	for (;;) {
		if (t->next_tick && now >= t->next_tick)
			handled += skep_trace_tick(t, now);
		if (handled)
			set_alarm(t, true);
		t->alarmed = 0;
		got = t->stops.len ? 1 : skep_trace_collect(t, handled > 0);
		if (got < 0)
			return got;
		got_now = handle_collected(t);
		handled += got_now;
		skep_trace_pin_busy(t, (unsigned int)got_now);
		now = skep_trace_now();
		if (!got || t->yield || now >= end || !skep_tracer_busy(t))
			return handled;
	}
}

int skep_tracer_step(struct skep_tracer *t, unsigned int slice_us)
{
	struct timespec none = {0};
	int handled = reap_held(t), ret;

	t->yield = false;
	/* A pending SIGCHLD has been heard: what it told of is looked for now. */
	while (sigtimedwait(&t->chld, NULL, &none) > 0)
		;
	ret = run(t, skep_trace_now() + (uint64_t)slice_us * 1000, handled);
	set_alarm(t, false);
	if (ret == 0)
		skep_trace_unpin(t);
	return ret;
}
