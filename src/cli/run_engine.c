/* SPDX-License-Identifier: BSD-2-Clause */
/* skep run: from the list of engines to attached programs. */
#include "cli/run.h"

#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "user/user.h"

/* The kernel, with the token that --token or libbpf's variable names. */
static struct skep_sys *create_kernel(struct run *run, struct skep_log *log, struct skep_err *err)
{
	const char *token = run->o.token ? run->o.token : getenv("LIBBPF_BPF_TOKEN_PATH");
	struct skep_sys *sys = skep_sys_kernel_create(log);

	if (!sys) {
		skep_fail_nomem(err);
	} else if (token && *token && skep_sys_kernel_token(sys, token, err) < 0) {
		skep_sys_destroy(sys);
		return NULL;
	}
	return sys;
}

static struct skep_sys *create(struct run *run, const char *name, struct skep_err *err)
{
	struct skep_user_opts opts = {.sz = sizeof(opts), .no_jit = run->o.no_jit};
	struct skep_log *log = &run->cli->log;
	struct skep_sys *sys, *wrapped;

	sys = !strcmp(name, "kernel") ? create_kernel(run, log, err)
				      : skep_sys_user_create(log, &opts);
	if (sys && run->o.inject_nth) {
		wrapped = skep_sys_inject_create(sys, run->o.inject_cmd, run->o.inject_nth,
						 run->o.inject_errno);
		if (!wrapped)
			skep_sys_destroy(sys);
		else
			skep_sys_inject_times(wrapped, run->o.inject_times);
		sys = wrapped;
	}
	if (sys && run->o.log_bpf) {
		wrapped = skep_sys_log_create(sys, log);
		if (!wrapped)
			skep_sys_destroy(sys);
		sys = wrapped;
	}
	return sys;
}

static int add_engine(struct run *run, const char *name, struct skep_err *err)
{
	struct run_engine *e = &run->engines[run->nr_engines];

	e->run = run;
	e->name = name;
	e->sys = create(run, name, err);
	if (!e->sys)
		return err->tag == SKEP_E_NONE ? skep_fail_nomem(err) : -err->err;
	run->nr_engines++;
	return 0;
}

/*
 * 0 if the kernel lets this process use BPF, else -errno.  Asks for a queue:
 * no map of that kind is for the unprivileged, whatever the sysctl says, and
 * making one costs some microseconds (a program would cost milliseconds).
 */
static int may_use_kernel(struct run *run, struct skep_err *err)
{
	struct skep_sys *sys = create_kernel(run, NULL, err);
	union bpf_attr attr;
	int fd;

	if (!sys)
		return -err->err;
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_QUEUE;
	attr.value_size = 4;
	attr.max_entries = 1;
	fd = skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, offsetof(union bpf_attr, map_name));
	skep_sys_close(sys, fd);
	skep_sys_destroy(sys);
	return fd < 0 ? fd : 0;
}

int run_engines_create(struct run *run, struct skep_err *err)
{
	const char *engine = run->o.engine;
	int ret;

	if (engine && !strcmp(engine, "both")) {
		/* The engine that can only see its own children has to start the command. */
		ret = add_engine(run, "user", err);
		return ret < 0 ? ret : add_engine(run, "kernel", err);
	}
	if (!engine) {
		ret = may_use_kernel(run, err);
		if (err->tag != SKEP_E_NONE)
			return ret;
		engine = ret == 0 ? "kernel" : "user";
		if (ret < 0)
			skep_info(&run->cli->log,
				  "the kernel does not let this user load programs (%s): using "
				  "skep's own engine (--engine user)",
				  skep_errno_name(-ret));
	}
	return add_engine(run, engine, err);
}

static bool is_packet(const struct skep_obj_func *f)
{
	return f->event && (f->event->flags & SKEP_EV_PACKET);
}

/* What cannot be used is told once, with the engine's name if there are two. */
static void tell(struct run_engine *e, const struct skep_err *err)
{
	struct skep_log *log = &e->run->cli->log;

	skep_log(log, SKEP_LOG_ERROR, "%s%s%s", e->run->nr_engines > 1 ? e->name : "",
		 e->run->nr_engines > 1 ? ": " : "", err->msg);
	if (err->detail && err->detail[0])
		fprintf(stderr, "%s%s", err->detail,
			err->detail[strlen(err->detail) - 1] == '\n' ? "" : "\n");
	if (e->run->status == SKEP_EXIT_OK)
		e->run->status = skep_tag_exit(err->tag);
	e->run->rejected |= err->tag == SKEP_E_PROG_REJECTED;
}

/* The index of --dev's device; 0: none was given. */
static int find_device(const struct run *run, struct skep_err *err)
{
	unsigned int ifindex = run->o.dev ? if_nametoindex(run->o.dev) : 0;

	if (run->o.dev && !ifindex)
		return skep_fail(err, SKEP_E_NOT_FOUND, errno, "--dev %s: %s", run->o.dev,
				 errno == ENODEV ? "there is no such network device"
						 : strerror(errno));
	return (int)ifindex;
}

int run_load(struct run_engine *e, struct skep_err *err)
{
	struct run *run = e->run;
	struct skep_load_opts opts = {
		.sz = sizeof(opts),
		.scope_tasks = (run->o.command || run->o.pid) && !e->sys->scoped,
		.count_losses = !run->o.no_losses,
		.stand_in = true,
		.btf = run->o.btf,
		.target = run->o.target,
		.log_level = run->o.verbose ? 1 : 0,
		.kconfig = run->o.kconfig,
		.pin_root = run->o.pin_root,
	};
	uint32_t i;
	int ret;

	if (run->o.xdp_mode == XDP_FLAGS_HW_MODE) {
		opts.offload = find_device(run, err);
		if (opts.offload < 0)
			return opts.offload;
		opts.count_losses = false;
	}
	for (i = 0; i < run->obj->nr_funcs; i++) {
		struct skep_obj_func *f = &run->obj->funcs[i];

		/* With --pcap nothing but packets happens. */
		if (run->o.pcap && f->is_prog && !is_packet(f))
			f->autoload = false;
	}
	ret = skep_load(&e->loaded, run->obj, e->sys, &opts, err);
	if (ret < 0)
		return ret;
	e->view.loaded = e->loaded;
	for (i = 0; i < e->loaded->nr_progs; i++) {
		struct skep_loaded_prog *p = &e->loaded->progs[i];

		if (p->fd < 0 && p->err.tag != SKEP_E_NONE)
			tell(e, &p->err);
		if (p->log && run->o.verbose)
			fprintf(stderr, "%s: verifier log:\n%s\n", p->spec->name, p->log);
	}
	return 0;
}

static int attach_one(struct run_engine *e, struct skep_loaded_prog *p, int ifindex)
{
	struct run *run = e->run;
	struct skep_attach a = {
		.pid = run->has_command ? run->command.pid
		       : run->o.pid	? run->o.pid
					: -1,
		.ifindex = ifindex,
		.xdp_mode = run->o.xdp_mode,
		.perf = run->o.perf,
		.frequency = run->o.frequency,
		.period = run->o.period,
		.iter = &run->o.iter,
		.running = run->o.pid > 0,
		.cgroup = run->o.cgroup,
		.hook = run->o.hook,
		.log = &run->cli->log,
	};

	int ret = skep_loaded_attach(e->loaded, p, &a, &p->err);

	if (ret == 0 && p->spec->event->flags & SKEP_EV_ONCE)
		e->once++;
	return ret;
}

/* Tables of functions are registered with the kernel. */
static void attach_maps(struct run_engine *e)
{
	struct skep_err err = SKEP_ERR_INIT;
	uint32_t i;
	int ret;

	for (i = 0; !e->run->o.pcap && i < e->loaded->nr_maps; i++) {
		ret = skep_loaded_attach_map(e->loaded, &e->loaded->maps[i], &err);
		if (ret < 0)
			tell(e, &err);
		else
			e->attached += (uint32_t)ret;
		skep_err_deinit(&err);
		err = (struct skep_err)SKEP_ERR_INIT;
	}
}

int run_attach(struct run_engine *e, struct skep_err *err)
{
	struct run *run = e->run;
	int ifindex = find_device(run, err);
	uint32_t i;

	if (ifindex < 0)
		return ifindex;
	for (i = 0; i < e->loaded->nr_progs; i++) {
		struct skep_loaded_prog *p = &e->loaded->progs[i];

		/* Struct_ops: as a part of their map. */
		if (p->fd < 0 || p->spec->prog_type == BPF_PROG_TYPE_STRUCT_OPS)
			continue;
		if (run->o.pcap && is_packet(p->spec))
			e->attached++;
		else if (attach_one(e, p, ifindex) == 0)
			e->attached++;
		else
			tell(e, &p->err);
	}
	attach_maps(e);
	if (!e->attached && run->status == SKEP_EXIT_OK)
		return skep_fail(
			err, SKEP_E_OBJ_INVALID, ENOENT,
			run->o.pcap ? "%s: no program for packets in it (SEC(\"xdp\")), which "
				      "--pcap runs"
				    : "%s: no program in it that can be attached (SEC(\"...\") "
				      "above a function says to what)",
			run->o.file);
	return 0;
}

void run_engine_deinit(struct run_engine *e)
{
	run_sources_close(e);
	skep_view_deinit(&e->view);
	skep_symtab_destroy(e->symtab);
	skep_loaded_destroy(e->loaded);
	skep_sys_destroy(e->sys);
	*e = (struct run_engine){0};
}
