/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep run: loads a program, attaches it, and shows what it produces.
 *
 * Invariant: a command is held until everything is attached and its results
 * can be read, so that its first system call is observed.
 */
#include "cli/run.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"

#define ELF_MAGIC "\177ELF"

static int compile(struct run *run, struct skep_err *err)
{
	struct skep_cc_opts opts = {
		.sz = sizeof(opts),
		.no_cache = run->o.no_cache,
		.color = isatty(2) && !getenv("NO_COLOR"),
	};
	int ret;

	ret = skep_cc_compile(&run->compiled, run->o.file, &opts, &run->cli->log, err);
	if (ret == 0 && run->compiled.warnings)
		fputs(run->compiled.warnings, stderr);
	return ret;
}

/* The object, compiled if the file is no ELF file. */
static int open_object(struct run *run, struct skep_err *err)
{
	const void *data;
	size_t len;
	int ret;

	ret = skep_file_open(&run->file, run->o.file, err);
	if (ret < 0)
		return ret;
	data = run->file.data;
	len = run->file.len;
	if (len < strlen(ELF_MAGIC) || memcmp(data, ELF_MAGIC, strlen(ELF_MAGIC))) {
		ret = compile(run, err);
		if (ret < 0)
			return ret;
		data = run->compiled.data;
		len = run->compiled.len;
	}
	ret = skep_obj_open(&run->obj, data, len, run->o.file, &run->cli->log, err);
	skep_cc_object_deinit(&run->compiled);
	skep_file_close(&run->file);
	return ret;
}

static int set_entries(struct skep_obj *obj, const char *name, const char *value,
		       struct skep_err *err)
{
	return skep_obj_set_entries(obj, name, (uint32_t)strtoul(value, NULL, 10), err);
}

/* Each NAME=VALUE of @pairs to @set. */
static int apply(struct run *run, const struct run_pairs *pairs,
		 int (*set)(struct skep_obj *, const char *, const char *, struct skep_err *),
		 struct skep_err *err)
{
	char **pair, *value;
	int ret;

	skep_vec_each (&pairs->v, pair) {
		value = strchr(*pair, '=');
		*value++ = '\0';
		ret = set(run->obj, *pair, value, err);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* What the command line changes in the object. */
static int override(struct run *run, struct skep_err *err)
{
	int ret = apply(run, &run->o.attaches, skep_obj_set_section, err);

	if (ret == 0)
		ret = apply(run, &run->o.entries, set_entries, err);
	return ret == 0 ? apply(run, &run->o.sets, skep_obj_set_global, err) : ret;
}

/* From here on programs see process @pid and its descendants. */
static int scope(struct run *run, pid_t pid, struct skep_err *err)
{
	struct run_engine *e;
	int ret = 0;

	for (e = run->engines; ret == 0 && e < run->engines + run->nr_engines; e++)
		if (pid > 0 && e->attached && !e->sys->scoped)
			ret = skep_loaded_scope_add(e->loaded, pid, err);
	return ret;
}

/* As late as can be: what an engine does in the held process is not the command's doing. */
static void command_ready(struct skep_command *cmd)
{
	struct run *run = cmd->ctx;

	run->scoped = scope(run, cmd->pid, &run->scope_err);
}

static int spawn(struct run *run, struct skep_err *err)
{
	struct skep_sys *sys = run->engines[0].sys;
	int ret;

	if (!run->o.command)
		return 0;
	run->command.argv = run->o.command;
	run->command.ready = command_ready;
	run->command.ctx = run;
	ret = sys->ops->spawn(sys, &run->command);
	if (ret < 0)
		return skep_fail(err, SKEP_E_COMMAND, -ret, "%s%s%s",
				 sys->why[0] ? "" : run->o.command[0], sys->why[0] ? "" : ": ",
				 sys->why[0] ? sys->why : strerror(-ret));
	run->has_command = true;
	return 0;
}

/* From here on Ctrl-C ends the run in order.  The command must not inherit this. */
static int watch_signals(struct run *run, struct skep_err *err)
{
	sigset_t set;
	unsigned int n;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signals < 0)
		return skep_fail(err, SKEP_E_SYSTEM, errno, "signalfd: %s", strerror(errno));
	for (n = 0; n < run->nr_engines; n++)
		run->engines[n].sys->ops->watch(run->engines[n].sys, run->signals);
	return 0;
}

static void read_signals(struct run *run)
{
	struct signalfd_siginfo info;

	if (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		run->stopped = (int)info.ssi_signo;
}

static int prepare(struct run *run, struct skep_err *err)
{
	struct run_engine *e;
	int ret = 0;

	for (e = run->engines; ret == 0 && e < run->engines + run->nr_engines; e++) {
		skep_view_init(&e->view, run->o.view, stdout);
		e->quiet = e != run->engines;
		e->view.pid = run->o.pid;
		ret = run_load(e, err);
	}
	if (ret == 0)
		ret = spawn(run, err);
	for (e = run->engines; ret == 0 && e < run->engines + run->nr_engines; e++) {
		if (run->has_command)
			e->view.pid = run->command.pid;
		ret = run_attach(e, err);
		if (ret == 0 && e->attached)
			ret = run_sources_open(e, err);
	}
	if (ret == 0)
		ret = watch_signals(run, err);
	return ret == 0 ? scope(run, run->o.pid, err) : ret;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Milliseconds until @then, -1: never. */
static int until(double then)
{
	double left = then - now();

	if (then <= 0)
		return -1;
	return left <= 0 ? 0 : left > 1e6 ? 1000000 : (int)(left * 1000) + 1;
}

static int sooner(int a, int b)
{
	return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* Waits in every engine: the first at leisure, the others just look. */
static int wait_engines(struct run *run, int timeout, struct skep_err *err)
{
	unsigned int n;
	int ret;

	for (n = 0; n < run->nr_engines; n++) {
		struct run_engine *e = &run->engines[n];

		/* Records wait for a next round, or another engine's rings fill. */
		if (e->pending.len || run->nr_engines > 1)
			timeout = sooner(timeout, 5);
		ret = skep_sys_wait(e->sys, n ? 0 : timeout);
		if (ret < 0 && ret != -EINTR)
			return skep_fail(err, SKEP_E_SYSTEM, -ret, "waiting for events: %s",
					 e->sys->why[0] ? e->sys->why : strerror(-ret));
	}
	return 0;
}

static int drain_engines(struct run *run, bool all, struct skep_err *err)
{
	unsigned int n;
	int ret = 0;

	for (n = 0; ret == 0 && n < run->nr_engines; n++)
		ret = run_drain(&run->engines[n], all, err);
	if (fflush(stdout) < 0 || ferror(stdout)) {
		/* A reader that went away has what it wanted. */
		if (errno != EPIPE)
			skep_log(&run->cli->log, SKEP_LOG_ERROR, "standard output: %s",
				 strerror(errno));
		clearerr(stdout);
		run->status = SKEP_EXIT_FAILED;
		run->stopped = SIGPIPE;
	}
	return ret;
}

static int interval(struct run *run, struct skep_err *err)
{
	struct run_engine *e = run->engines;

	int ret;

	if (e->view.ops->tick)
		e->view.ops->tick(&e->view);
	ret = run_show_iters(e, err);
	return ret < 0 ? ret : run_show_maps(e, err);
}

static int loop(struct run *run, struct skep_err *err)
{
	double end = run->o.duration > 0 ? now() + run->o.duration : 0;
	double tick = run->o.interval > 0 ? now() + run->o.interval : 0;
	int ret = 0;

	while (ret == 0 && !run->stopped) {
		if (run->has_command && run->command.ended)
			break;
		/* Nothing else will come. */
		if (!run->has_command && end == 0 && tick == 0 &&
		    run->engines[0].once == run->engines[0].attached)
			break;
		if (end > 0 && now() >= end)
			break;
		ret = wait_engines(run, sooner(until(end), until(tick)), err);
		if (ret == 0)
			ret = drain_engines(run, false, err);
		if (ret == 0 && tick > 0 && now() >= tick) {
			ret = interval(run, err);
			tick += run->o.interval;
		}
		read_signals(run);
	}
	return ret;
}

/* The command's own end is told, and is no failure of skep's. */
static int tell_command(struct run *run, struct skep_err *err)
{
	const struct skep_command *c = &run->command;
	struct skep_log *log = &run->cli->log;

	if (!run->has_command || !c->ended)
		return 0;
	if (c->exec_errno)
		return skep_fail(err, SKEP_E_COMMAND, c->exec_errno, "%s: %s", c->argv[0],
				 strerror(c->exec_errno));
	if (WIFEXITED(c->status) && WEXITSTATUS(c->status))
		skep_info(log, "%s exited with status %d", c->argv[0], WEXITSTATUS(c->status));
	else if (WIFSIGNALED(c->status))
		skep_info(log, "%s was killed by signal %d (%s)", c->argv[0], WTERMSIG(c->status),
			  strsignal(WTERMSIG(c->status)));
	return 0;
}

/* All that was collected and all that was not, whatever ended the run. */
static int finish(struct run *run, struct skep_err *err)
{
	struct run_engine *e;
	int ret;

	ret = drain_engines(run, true, err);
	for (e = run->engines; ret == 0 && e < run->engines + run->nr_engines; e++) {
		ret = run_show_maps(e, err);
		if (ret == 0 && run->nr_engines > 1)
			ret = run_keep_maps(e, err);
	}
	for (e = run->engines; ret == 0 && e < run->engines + run->nr_engines; e++)
		ret = run_show_losses(e, err);
	if (ret == 0)
		ret = tell_command(run, err);
	return ret == 0 ? run_compare(run, err) : ret;
}

static int release(struct run *run, struct skep_err *err)
{
	struct skep_sys *sys = run->engines[0].sys;
	int ret;

	if (!run->has_command)
		return 0;
	ret = sys->ops->release(sys, &run->command);
	if (ret < 0)
		return skep_fail(err, SKEP_E_COMMAND, -ret, "%s: %s", run->o.command[0],
				 sys->why[0] ? sys->why : strerror(-ret));
	if (run->scoped < 0)
		*err = run->scope_err;
	return run->scoped;
}

/* An engine that only sees what it is told to watch sees nothing without. */
static int check_observed(struct run *run, struct skep_err *err)
{
	unsigned int n;

	if (run->o.command || run->o.pid || run->o.pcap)
		return 0;
	for (n = 0; n < run->nr_engines; n++)
		if (run->engines[n].sys->scoped)
			return skep_fail(
				err, SKEP_E_USAGE, EINVAL,
				"skep's own engine sees what a command or a process does, or "
				"packets of a file: add -- COMMAND, -p PID or --pcap FILE");
	return 0;
}

/* For who waits to make things happen: a script that reads -v, a person at a terminal. */
static void tell_attached(struct run *run)
{
	const struct run_engine *e = run->engines;
	bool ends =
		run->has_command || run->o.pcap || run->o.duration > 0 || e->once == e->attached;
	bool person = !run->has_command && !run->o.pcap && isatty(STDERR_FILENO);
	uint32_t n = e->attached;

	if (run->o.verbose || person)
		skep_info(&run->cli->log, "attached %u program%s%s", n, n == 1 ? "" : "s",
			  ends ? "" : "; Ctrl-C ends");
}

static int work(struct run *run, struct skep_err *err)
{
	int ret;

	ret = open_object(run, err);
	if (ret == 0)
		ret = override(run, err);
	if (ret == 0)
		ret = run_engines_create(run, err);
	if (ret == 0)
		ret = check_observed(run, err);
	if (ret == 0)
		ret = prepare(run, err);
	if (ret < 0 || !run->engines[0].attached)
		return ret;
	/* Something runs, and what does not was told; a verifier's no is in the status, too. */
	run->status = run->rejected ? SKEP_EXIT_REJECTED : SKEP_EXIT_OK;
	tell_attached(run);
	if (run->o.pcap) {
		ret = run_packets(run, err);
	} else {
		ret = run_show_iters(run->engines, err);
		if (ret == 0)
			ret = release(run, err);
		if (ret == 0)
			ret = loop(run, err);
	}
	return ret == 0 ? finish(run, err) : ret;
}

static void deinit(struct run *run)
{
	unsigned int n;

	if (run->has_command)
		run->engines[0].sys->ops->reap(run->engines[0].sys, &run->command);
	/* In reverse: the first engine may still be waiting for the command's end. */
	for (n = run->nr_engines; n-- > 0;)
		run_engine_deinit(&run->engines[n]);
	if (run->signals >= 0)
		close(run->signals);
	skep_obj_destroy(run->obj);
	skep_cc_object_deinit(&run->compiled);
	skep_file_close(&run->file);
	run_opts_deinit(&run->o);
}

int skep_cmd_run(struct skep_cli *cli, int argc, char **argv)
{
	struct run run = {.cli = cli, .signals = -1, .scope_err = SKEP_ERR_INIT};
	struct skep_err err = SKEP_ERR_INIT;
	int status;

	status = run_parse(&run, argc, argv);
	if (status) {
		run_opts_deinit(&run.o);
		return status - 1;
	}
	if (work(&run, &err) < 0)
		run.status = skep_cli_fail(cli, &err);
	skep_err_deinit(&err);
	status = skep_cli_end(cli, run.status);
	deinit(&run);
	return status;
}
