/* SPDX-License-Identifier: BSD-2-Clause */
/* Event sources: which one an event is asked of, and firing programs. */
#include "user/source.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "user/engine.h"
#include "user/tracee.h"

/* As the kernel engine opens them: see SKEP_PERF_SAMPLE. */
#define SAMPLE (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_RAW)

static const struct {
	enum skep_event_kind kind;
	const struct skep_source_ops *ops;
} sources[] = {
	{SKEP_EVENT_TRACEPOINT, &skep_source_ptrace},
	{SKEP_EVENT_PERF, &skep_source_timer},
	{SKEP_EVENT_TASKS, &skep_source_tasks},
};

static int no_source(const struct skep_event *ev, struct skep_err *err)
{
	const char *what = "this event is not in the user engine; run as root on the kernel engine";

	if (ev->kind == SKEP_EVENT_UPROBE)
		what = "uprobes need the kernel engine: run as root, or with CAP_BPF and "
		       "CAP_PERFMON";
	else if (ev->kind == SKEP_EVENT_KPROBE || ev->kind == SKEP_EVENT_FUNCTIONS)
		what = "functions of the kernel are probed by the kernel only: run as root, or "
		       "observe system calls with SEC(\"tracepoint/syscalls/sys_enter_...\")";
	else if (ev->kind == SKEP_EVENT_PACKETS || ev->kind == SKEP_EVENT_TC)
		what = "live packets need the kernel engine: run as root, or give packets with "
		       "--pcap FILE";
	return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP, "%s", what);
}

int skep_source_open(struct skep_user *user, const struct skep_event *ev, const char *raw_tp,
		     struct skep_point *point, struct skep_err *err)
{
	size_t i;
	int ret;

	for (i = 0; i < SKEP_ARRAY_SIZE(sources); i++) {
		if (sources[i].kind != ev->kind)
			continue;
		point->user = user;
		point->source = sources[i].ops;
		ret = point->source->open(user, ev, raw_tp, point, err);
		if (ret)
			point->source = NULL;
		return ret;
	}
	return no_source(ev, err);
}

int skep_user_event(struct skep_user *user, const struct skep_event *ev, const char *raw_tp,
		    struct skep_opened **out, struct skep_err *err)
{
	struct skep_opened *opened = calloc(1, sizeof(*opened));
	int ret = 0;

	if (!opened)
		return skep_fail_nomem(err);
	opened->refs = 1;
	opened->kind = ev->kind;
	opened->cpu = ev->cpu;
	opened->raw = raw_tp;
	if (ev->kind == SKEP_EVENT_OUTPUT || ev->kind == SKEP_EVENT_PRINTK ||
	    ev->kind == SKEP_EVENT_TASKS) {
		opened->ring = skep_perf_ring_create(SAMPLE, err);
		ret = opened->ring ? 0 : -ENOMEM;
	}
	if (ret == 0 && ev->kind != SKEP_EVENT_OUTPUT && ev->kind != SKEP_EVENT_PRINTK) {
		ret = skep_source_open(user, ev, raw_tp, &opened->point, err);
		opened->pointed = ret == 0;
	}
	if (ret) {
		skep_perf_ring_put(opened->ring);
		free(opened);
		return ret;
	}
	*out = opened;
	return 0;
}

static bool half_full(uint64_t used, uint64_t size)
{
	return size && used > size / 2;
}

/* A reader is behind: let it catch up before more comes. */
static void maybe_yield(struct skep_user *user)
{
	const struct skep_slot *it;
	uint64_t size, used;

	if (!user->tracer)
		return;
	skep_vec_each (&user->slots, it) {
		if (!it->mapped)
			continue;
		size = used = 0;
		if (it->kind == SKEP_USER_EVENT) {
			used = skep_perf_ring_used(((struct skep_opened *)it->obj)->ring, &size);
		} else if (((struct skep_map *)it->obj)->type == BPF_MAP_TYPE_RINGBUF) {
			used = skep_ringbuf_query(it->obj, BPF_RB_AVAIL_DATA);
			size = ((struct skep_map *)it->obj)->max_entries;
		}
		if (half_full(used, size)) {
			skep_tracer_yield(user->tracer);
			return;
		}
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void skep_point_fire(struct skep_point *point, struct skep_vm_env *env, void *ctx, size_t ctx_len,
		     const struct skep_vm_region *regions, unsigned int nr_regions)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_attached *it;
	uint64_t ret, start;

	skep_vec_each (&point->progs, it) {
		struct skep_vm_run run = {
			.prog = it->prog->vm,
			.env = env,
			.ctx = ctx,
			.ctx_len = ctx_len,
			.regions = regions,
			.nr_regions = nr_regions,
		};

		env->cookie = it->cookie;
		start = now_ns();
		if (skep_vm_run(point->user->vm, &run, &ret, &err) < 0) {
			skep_prog_explain(it->prog, &err);
			skep_prog_ended(it->prog, &err);
		}
		it->prog->run_ns += now_ns() - start;
		it->prog->run_cnt++;
		skep_err_deinit(&err);
	}
	maybe_yield(point->user);
}

/* The last line of the table that is not behind @insn. */
static const struct bpf_line_info *line_at(const struct skep_prog *prog, uint32_t insn)
{
	const struct bpf_line_info *found = NULL;
	uint32_t i;

	for (i = 0; i < prog->nr_lines; i++) {
		if (prog->lines[i].insn_off <= insn)
			found = &prog->lines[i];
	}
	return found;
}

void skep_prog_where(const struct skep_prog *prog, int insn, char *buf, size_t size)
{
	const struct bpf_line_info *line = insn >= 0 ? line_at(prog, (uint32_t)insn) : NULL;
	const char *file, *slash;

	buf[0] = '\0';
	if (!line || !prog->types)
		return;
	file = skep_btf_str(prog->types->btf, line->file_name_off);
	slash = strrchr(file, '/');
	snprintf(buf, size, ": %s:%u", slash ? slash + 1 : file,
		 BPF_LINE_INFO_LINE_NUM(line->line_col));
}

/* Without memory for it there is a poorer message. */
void skep_prog_note(struct skep_prog *prog, uint32_t insn, const char *text)
{
	struct skep_note note = {insn, strdup(text)};

	if (!note.text || skep_vec_push(&prog->notes, note))
		free(note.text);
}

void skep_prog_explain(const struct skep_prog *prog, struct skep_err *err)
{
	const struct skep_note *note;
	enum skep_tag tag = err->tag;
	int code = err->err, insn = err->insn;

	skep_vec_each (&prog->notes, note) {
		if (insn < 0 || note->insn != (uint32_t)insn)
			continue;
		skep_err_deinit(err);
		skep_fail(err, tag, code, "%s", note->text);
		err->insn = insn;
		return;
	}
}

void skep_prog_ended(struct skep_prog *prog, const struct skep_err *err)
{
	char where[160];

	prog->user->faults++;
	if (prog->reported)
		return;
	prog->reported = true;
	skep_prog_where(prog, err->insn, where, sizeof(where));
	skep_warn(prog->user->log, "prog '%s': %s%s", prog->name, err->msg, where);
}

/* Each record once: to the first buffer that somebody reads. */
void skep_user_task(struct skep_user *user, const void *record, size_t len)
{
	const struct skep_slot *it;
	struct skep_opened *opened;

	skep_vec_each (&user->slots, it) {
		opened = it->obj;
		if (it->kind != SKEP_USER_EVENT || opened->kind != SKEP_EVENT_TASKS || !it->mapped)
			continue;
		skep_perf_ring_record(opened->ring, record, len);
		return;
	}
}

/* The record of the kernel's bpf_trace:bpf_trace_printk tracepoint. */
struct printk_record {
	uint16_t common_type;
	uint8_t common_flags, common_preempt_count;
	int32_t common_pid;
	uint32_t string; /* length << 16 | offset */
};

void skep_user_printk(struct skep_user *user, struct skep_vm_env *env, const char *text, size_t len)
{
	struct printk_record rec = {.common_pid = env->pid};
	struct skep_opened *here = NULL, *any = NULL;
	const struct skep_slot *it;
	char copy[1024];

	len = len < sizeof(copy) - 1 ? len : sizeof(copy) - 1;
	memcpy(copy, text, len);
	copy[len++] = '\0';
	rec.string = (uint32_t)(len << 16 | sizeof(rec));
	skep_vec_each (&user->slots, it) {
		struct skep_opened *opened = it->obj;

		if (it->kind != SKEP_USER_EVENT || opened->kind != SKEP_EVENT_PRINTK)
			continue;
		any = any ? any : opened;
		if (opened->cpu == (int)env->cpu)
			here = opened;
	}
	here = here ? here : any;
	if (here)
		skep_perf_ring_sample(here->ring, (uint32_t)env->tgid, (uint32_t)env->pid, now_ns(),
				      env->cpu, &rec, sizeof(rec), copy, len);
}
