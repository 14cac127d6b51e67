/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep run: what its files share.
 *
 * A run has one object and a list of engines, one or two; every pass is done
 * for each engine of the list, and nothing here asks which one it is.  The
 * first engine of the list starts the command.
 */
#ifndef SKEP_CLI_RUN_H
#define SKEP_CLI_RUN_H

#include "base/buf.h"
#include "base/vec.h"
#include "cc/cc.h"
#include "cli/cli.h"
#include "event/sym.h"
#include "obj/load.h"
#include "sys/ring.h"
#include "view/view.h"

#define SKEP_RUN_ENGINES 2

struct run_pairs {
	SKEP_VEC(char *) v;
};

struct run_opts {
	const char *file;
	char **command; /* NULL-terminated, or NULL */
	const char *engine; /* "kernel", "user", "both"; NULL: what works */
	const char *view; /* "text" or "json" */
	const char *pcap, *pcap_out, *dev, *cgroup, *hook, *kconfig, *pin_root, *target, *perf;
	const char *token;
	double duration, interval; /* seconds, 0: none */
	pid_t pid; /* 0: none */
	const char *btf; /* file whose types CO-RE goes by, NULL: the kernel's */
	uint32_t xdp_mode; /* XDP_FLAGS_*_MODE, 0: the best there is */
	uint64_t frequency, period;
	struct skep_iter_opts iter;
	bool log_bpf, verbose, per_cpu, no_losses, no_cache, no_jit;
	int inject_cmd, inject_nth, inject_errno, inject_times; /* inject_nth 0: none */
	/* Each "NAME=VALUE", borrowed from argv. */
	struct run_pairs sets, attaches, entries;
	const char *ignore; /* comma-separated fields that --engine both does not compare */
};

/* A ring buffer or perf buffers being read. */
struct run_source {
	const struct skep_obj_map *map; /* NULL: bpf_printk() */
	bool is_ring;
	struct skep_ring ring;
	struct skep_perf perf;
	uint64_t lost;
	bool told; /* that its records have no type */
	SKEP_VEC(char *) kept; /* --engine both: each record as JSON */
};

/* A record that waits for older ones from other buffers. */
struct run_pending {
	uint64_t time;
	size_t order; /* of arrival */
	struct run_source *source;
	int cpu;
	uint32_t pid, tid;
	void *data;
	size_t len;
};

struct run;

struct run_engine {
	struct run *run;
	const char *name;
	struct skep_sys *sys;
	struct skep_loaded *loaded;
	struct skep_view view;
	struct skep_symtab *symtab;
	struct skep_perf tasks;
	unsigned char *family; /* a bit a process: the command and its descendants; or NULL */
	struct run_source *sources;
	size_t nr_sources;
	SKEP_VEC(struct run_pending) pending;
	size_t arrived;
	uint64_t round; /* CLOCK_MONOTONIC when this round of reading began */
	uint32_t attached; /* programs */
	uint32_t once; /* of these, programs that wait for no event */
	SKEP_VEC(char *) kept; /* --engine both: verdicts and maps as JSON */
	bool quiet; /* another engine of the list shows the same */
};

struct run {
	struct skep_cli *cli;
	struct run_opts o;
	struct skep_cc_object compiled;
	struct skep_file file;
	struct skep_obj *obj;
	struct run_engine engines[SKEP_RUN_ENGINES];
	unsigned int nr_engines;
	struct skep_command command;
	bool has_command;
	int scoped; /* 0, or why the command could not be told apart: see scope_err */
	struct skep_err scope_err;
	int signals; /* signalfd, -1: none */
	int stopped; /* by this signal */
	int status; /* exit status so far */
	bool rejected; /* a verifier did not take some program */
};

/* Reads the command line.  0: go on, else 1 + exit status. */
int run_parse(struct run *run, int argc, char **argv);
void run_opts_deinit(struct run_opts *o);

/* run_engine.c: making, loading, attaching. */
int run_engines_create(struct run *run, struct skep_err *err);
int run_load(struct run_engine *e, struct skep_err *err);
int run_attach(struct run_engine *e, struct skep_err *err);
void run_engine_deinit(struct run_engine *e);

/* run_read.c: records and lines. */
int run_sources_open(struct run_engine *e, struct skep_err *err);
/* Reads all buffers; shows what is in order.  @all: also what might yet be preceded. */
int run_drain(struct run_engine *e, bool all, struct skep_err *err);
void run_sources_close(struct run_engine *e);

/* run_show.c: maps and losses. */
int run_show_maps(struct run_engine *e, struct skep_err *err);
/* What the iterators write now. */
int run_show_iters(struct run_engine *e, struct skep_err *err);
/* Tells on stderr what was lost. */
int run_show_losses(struct run_engine *e, struct skep_err *err);

/* run_pcap.c: each packet of a file through the packet programs of each engine. */
int run_packets(struct run *run, struct skep_err *err);

/* run_both.c: notes down what an engine gave, and compares the two. */
void run_keep(struct run_source *source, struct json_object *take_value, const char *ignore);
int run_keep_maps(struct run_engine *e, struct skep_err *err);
int run_compare(struct run *run, struct skep_err *err);
/* True if @name is one of the comma-separated @list. */
bool run_listed(const char *list, const char *name);

#endif
