/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ptrace machine without an engine: prints what points would give to
 * programs, one event a line, on descriptor 3 if it is open, else on stdout.
 *
 *	watch [-p PID] [-F HZ] [-q] [POINT...] -- COMMAND...
 *
 * POINT: CATEGORY/NAME, or raw:NAME.  -q: only counts.  The command's status is
 * the exit status (128 + signal).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "user/context.h"
#include "user/regs.h"
#include "user/source.h"
#include "user/tracee.h"

struct skep_prog {
	const char *name;
};

struct skep_user {
	SKEP_VEC(struct skep_point *) points;
	struct skep_tracer *tracer;
	FILE *out;
	bool quiet;
	unsigned long events, bad_stacks;
};

static volatile sig_atomic_t interrupted;

struct skep_tracer *skep_user_tracer(struct skep_user *user)
{
	return user->tracer;
}

static void print_string(struct skep_user *u, struct skep_vm_env *env, uint64_t addr)
{
	char s[256];
	size_t n;

	for (n = 0; n < sizeof(s) - 1; n++)
		if (env->ops->read_user(env, s + n, addr + n, 1) || !s[n])
			break;
	s[n] = 0;
	fprintf(u->out, " \"%s\"", s);
}

static void print_loc(struct skep_user *u, const unsigned char *ctx, uint32_t off)
{
	uint32_t loc;

	memcpy(&loc, ctx + off, 4);
	fprintf(u->out, " \"%s\"", (const char *)ctx + (loc & 0xffff));
}

static void print_raw(struct skep_user *u, const char *name, struct skep_vm_env *env,
		      const uint64_t *args)
{
	struct skep_regs regs;

	if (env->ops->read_kernel(env, &regs, args[0], sizeof(regs)) ||
	    !env->ops->read_kernel(env, &regs, args[0] + 8, sizeof(regs)))
		fprintf(u->out, " BAD REGS");
	fprintf(u->out, " arg %lld sys %ld ip %s", (long long)args[1], skep_regs_syscall(&regs),
		skep_regs_ip(&regs) ? "set" : "0");
}

static void print_sample(struct skep_user *u, struct skep_vm_env *env)
{
	uint64_t ips[64];
	int n = env->ops->user_stack(env, ips, 64);

	fprintf(u->out, " stack %d", n);
}

void skep_point_fire(struct skep_point *point, struct skep_vm_env *env, void *ctx, size_t ctx_len,
		     const struct skep_vm_region *regions, unsigned int nr_regions)
{
	const char *name = point->progs.data[0].prog->name;
	struct skep_ctx_sys_enter *enter = ctx;
	struct skep_ctx_sys_exit *leave = ctx;
	struct skep_user *u = point->user;
	char comm[16] = "?";

	u->events++;
	if (u->quiet)
		return;
	env->ops->comm(env, comm);
	fprintf(u->out, "%d/%d %s %u:%u %s", env->tgid, env->pid, comm,
		(unsigned int)env->ops->uid_gid(env), (unsigned int)(env->ops->uid_gid(env) >> 32),
		name);
	if (!strncmp(name, "raw:", 4))
		print_raw(u, name, env, ctx);
	else if (strstr(name, "sys_enter_openat"))
		print_string(u, env, enter->args[1]);
	else if (strstr(name, "sys_enter_exec") || strstr(name, "sys_enter_open"))
		print_string(u, env, enter->args[0]);
	else if (strstr(name, "sys_enter"))
		fprintf(u->out, " %lld", (long long)enter->id);
	else if (strstr(name, "sys_exit"))
		fprintf(u->out, " %lld = %lld", (long long)leave->id, (long long)leave->ret);
	else if (strstr(name, "process_exec"))
		print_loc(u, ctx, 8);
	else if (!strcmp(name, "sample"))
		print_sample(u, env);
	fprintf(u->out, "\n");
}

static void on_log(struct skep_log *log, enum skep_log_level level, const char *msg)
{
	fprintf(stderr, "log: %s\n", msg);
}

static void on_signal(int sig)
{
	interrupted = 1;
}

static void free_point(struct skep_point *point)
{
	free(point->progs.data[0].prog);
	skep_vec_deinit(&point->progs);
	free(point);
}

static int open_point(struct skep_user *u, char *name, pid_t pid, unsigned int hz)
{
	struct skep_point *point = calloc(1, sizeof(*point));
	struct skep_prog *prog = calloc(1, sizeof(*prog));
	struct skep_event ev = {
		.kind = SKEP_EVENT_TRACEPOINT, .pid = pid, .cpu = -1, .inherit = true};
	struct skep_err err = SKEP_ERR_INIT;
	const struct skep_source_ops *source = &skep_source_ptrace;
	char category[64], *slash;
	int ret;

	prog->name = name;
	point->user = u;
	skep_vec_push(&point->progs, (struct skep_attached){.prog = prog});
	if (hz) {
		ev.kind = SKEP_EVENT_PERF;
		ev.perf.type = PERF_TYPE_SOFTWARE;
		ev.perf.config = PERF_COUNT_SW_CPU_CLOCK;
		ev.perf.freq = true;
		ev.perf.period = hz;
		source = &skep_source_timer;
	} else if (strncmp(name, "raw:", 4)) {
		slash = strchr(name, '/');
		snprintf(category, sizeof(category), "%.*s", slash ? (int)(slash - name) : 0, name);
		ev.tracepoint.category = category;
		ev.tracepoint.name = slash ? slash + 1 : name;
	}
	point->source = source;
	ret = source->open(u, &ev, strncmp(name, "raw:", 4) ? NULL : name + 4, point, &err);
	if (ret) {
		fprintf(stderr, "watch: %s\n", err.msg);
		free_point(point);
	} else {
		skep_vec_push(&u->points, point);
	}
	return ret;
}

/* The way out: nothing is left to LeakSanitizer.  Returns @status. */
static int finish(struct skep_user *u, int status)
{
	struct skep_point **it;

	skep_vec_each (&u->points, it) {
		(*it)->source->close(*it);
		free_point(*it);
	}
	skep_vec_deinit(&u->points);
	skep_tracer_destroy(u->tracer);
	return status;
}

static void watch(struct skep_user *u, struct skep_command *cmd)
{
	struct pollfd pfd = {.fd = skep_tracer_fd(u->tracer), .events = POLLIN};
	int ret;

	while (!interrupted && (cmd->argv ? !cmd->ended : skep_tracer_busy(u->tracer))) {
		ret = skep_tracer_step(u->tracer, 2000);
		if (ret == 0)
			poll(&pfd, 1, 1000);
	}
}

int main(int argc, char **argv)
{
	struct skep_log log = {.fn = on_log, .level = SKEP_LOG_DEBUG};
	struct skep_user u = {.out = fcntl(3, F_GETFD) < 0 ? stdout : fdopen(3, "w")};
	struct skep_tracer_opts opts = {.sz = sizeof(opts), .user = &u, .log = &log};
	struct skep_command cmd = {0};
	struct skep_err err = SKEP_ERR_INIT;
	unsigned int hz = 0;
	pid_t pid = -1;
	struct timespec t0, t1;
	int opt;

	while ((opt = getopt(argc, argv, "+p:F:q")) != -1) {
		pid = opt == 'p' ? atoi(optarg) : pid;
		hz = opt == 'F' ? (unsigned int)atoi(optarg) : hz;
		u.quiet |= opt == 'q';
	}
	fcntl(3, F_SETFD, FD_CLOEXEC);
	sigaction(SIGINT, &(struct sigaction){.sa_handler = on_signal}, NULL);
	if (skep_tracer_create(&u.tracer, &opts, &err))
		return 99;
	/* Options end at the first point; getopt has eaten a "--" only if there was none. */
	for (; optind < argc && strcmp(argv[optind], "--") && strcmp(argv[optind - 1], "--");
	     optind++)
		if (open_point(&u, argv[optind], pid, 0))
			return finish(&u, 98);
	if (hz && open_point(&u, (char *)"sample", pid, hz))
		return finish(&u, 98);
	if (optind < argc && !strcmp(argv[optind], "--"))
		optind++;
	if (optind < argc)
		cmd.argv = argv + optind;
	if (cmd.argv && (skep_tracer_spawn(u.tracer, &cmd, &err) ||
			 skep_tracer_release(u.tracer, &cmd, &err))) {
		fprintf(stderr, "watch: %s\n", err.msg);
		return finish(&u, 127);
	}
	clock_gettime(CLOCK_MONOTONIC, &t0);
	watch(&u, &cmd);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	fflush(u.out);
	if (u.quiet)
		fprintf(stderr, "%lu events %.3f s\n", u.events,
			(double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
	if (cmd.exec_errno)
		fprintf(stderr, "exec: %s\n", strerror(cmd.exec_errno));
	return finish(&u,
		      WIFEXITED(cmd.status) ? WEXITSTATUS(cmd.status) : 128 + WTERMSIG(cmd.status));
}
