/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asks an engine for all program types, maps, helpers and features.
 *
 * The verifier stops at the first helper it does not like, so that each pair
 * of program type and helper takes a load of its own: some 5,000 of about 30
 * microseconds, the most of which the kernel spends on memory.  They are
 * independent of each other and are shared out among threads by program type.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "cli/feature.h"
#include "event/event.h"
#include "helper/helper.h"
#include "sys/names.h"
#include "user/user.h"

#define MAX_THREADS 4

struct work {
	struct feature_answers *answers;
	const char *engine;
	atomic_uint next;
};

struct skep_sys *feature_engine(const char *name)
{
	return !strcmp(name, "user") ? skep_sys_user_create(NULL, NULL)
				     : skep_sys_kernel_create(NULL);
}

bool feature_leaves_traces(uint32_t helper)
{
	return helper == BPF_FUNC_trace_printk || helper == BPF_FUNC_trace_vprintk ||
	       helper == BPF_FUNC_probe_write_user;
}

/* The first way that section names have to load a program of @type. */
static void usual_way(uint32_t type, struct skep_feature_prog *how)
{
	const struct skep_event_def *def;
	size_t i;

	for (i = 0; (def = skep_event_at(i)); i++)
		if (def->prog_type == type) {
			how->attach_type = def->attach_type;
			how->flags = def->flags & SKEP_EV_SLEEPABLE ? BPF_F_SLEEPABLE : 0;
			return;
		}
}

/*
 * Programs that say what they attach to when they load: their helpers are
 * asked at something that every kernel has.
 */
static void find_target(struct feature_answers *answers, uint32_t type)
{
	static const char *const targets[][2] = {
		[BPF_PROG_TYPE_TRACING] = {"fentry", "bpf_fentry_test1"},
		[BPF_PROG_TYPE_LSM] = {"lsm", "file_open"},
	};
	const struct skep_event_def *def;
	struct skep_btf *kernel = NULL;
	const char *args;
	char sec[64];
	int id = -1;

	answers->progs[type].why = "it depends on what it attaches to";
	if (type >= SKEP_ARRAY_SIZE(targets) || !targets[type][0])
		return;
	snprintf(sec, sizeof(sec), "%s/%s", targets[type][0], targets[type][1]);
	def = skep_event_find(sec, &args, NULL);
	if (def && skep_btf_open_kernel(&kernel, NULL) >= 0)
		id = skep_event_btf_id(def, args, kernel, NULL);
	skep_btf_destroy(kernel);
	if (id <= 0)
		return;
	answers->progs[type].how.attach_type = def->attach_type;
	answers->progs[type].how.attach_btf_id = (uint32_t)id;
	answers->progs[type].why = NULL;
}

static void probe_prog(struct feature_answers *answers, uint32_t type)
{
	struct skep_feature_prog *how = &answers->progs[type].how;
	int there;

	how->type = type;
	there = skep_feature_prog_type(answers->sys, how);
	if (!there) {
		usual_way(type, how);
		there = skep_feature_prog_type(answers->sys, how);
	}
	answers->progs[type].there = there;
	/* A helper that all programs may call tells whether they load at all. */
	if (there == 1 && skep_feature_helper(answers->sys, how, BPF_FUNC_ktime_get_ns) != 1)
		usual_way(type, how);
	if (there == 1 && skep_feature_helper(answers->sys, how, BPF_FUNC_ktime_get_ns) != 1)
		find_target(answers, type);
}

static void probe_helpers(struct feature_answers *answers, struct skep_sys *sys, uint32_t type)
{
	uint32_t n;

	for (n = 1; n < SKEP_HELPER_MAX; n++)
		if (answers->full || !feature_leaves_traces(n))
			answers->progs[type].helpers[n] =
				skep_feature_helper(sys, &answers->progs[type].how, n) == 1;
}

static void *run(void *arg)
{
	struct work *work = arg;
	struct skep_sys *sys = feature_engine(work->engine);
	uint32_t type;

	if (!sys)
		return NULL;
	while ((type = atomic_fetch_add(&work->next, 1)) < FEATURE_PROGS)
		if (work->answers->progs[type].there == 1 && !work->answers->progs[type].why)
			probe_helpers(work->answers, sys, type);
	skep_sys_destroy(sys);
	return work;
}

static int probe_all_helpers(struct feature_answers *answers, const char *engine,
			     struct skep_err *err)
{
	struct work work = {.answers = answers, .engine = engine};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), n = 0, i;
	pthread_t threads[MAX_THREADS];
	void *done;
	int ret;

	/* This thread is one of them, and does all there is to do if no other starts. */
	while (n + 1 < cpus && n + 1 < MAX_THREADS &&
	       pthread_create(&threads[n], NULL, run, &work) == 0)
		n++;
	ret = run(&work) ? 0 : skep_fail_nomem(err);
	for (i = 0; i < n; i++) {
		pthread_join(threads[i], &done);
		if (!done && !ret && work.next < FEATURE_PROGS)
			ret = skep_fail_nomem(err);
	}
	return ret;
}

int feature_probe(struct feature_answers *answers, const char *name, struct skep_err *err)
{
	uint32_t i;

	for (i = 1; skep_name(SKEP_NAME_PROG_TYPE, i); i++)
		probe_prog(answers, i);
	for (i = 1; skep_name(SKEP_NAME_MAP_TYPE, i); i++)
		answers->maps[i] = skep_feature_map_type(answers->sys, i);
	for (i = 0; i < SKEP_FEATURE_MAX; i++)
		answers->features[i] = skep_feature_ask(answers->sys, i);
	return probe_all_helpers(answers, name, err);
}
