/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep run: reading what programs send.
 *
 * Perf buffers are one a CPU, so their records have to be put in order of
 * time.  A round reads all of them and shows what was written before the round
 * began: what is older can no longer turn up in another buffer.  The rest waits
 * for the next round.
 */
#include "cli/run.h"

#include <errno.h>
#include <json-c/json.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PID_LIMIT (1 << 22)
static bool prints(const struct skep_loaded *loaded)
{
	uint32_t i, j;

	for (i = 0; i < loaded->nr_progs; i++) {
		const struct skep_loaded_prog *p = &loaded->progs[i];

		for (j = 0; p->fd >= 0 && j < p->nr_insns; j++)
			if (p->insns[j].code == (BPF_JMP | BPF_CALL) && p->insns[j].src_reg == 0 &&
			    (p->insns[j].imm == BPF_FUNC_trace_printk ||
			     p->insns[j].imm == BPF_FUNC_trace_vprintk))
				return true;
	}
	return false;
}

/* True if all programs run in the tasks that are observed and in no others. */
static bool all_scoped(const struct skep_loaded *loaded)
{
	uint32_t i;

	for (i = 0; i < loaded->nr_progs; i++)
		if (!loaded->progs[i].spec->event ||
		    !(loaded->progs[i].spec->event->flags & SKEP_EV_TASK))
			return false;
	return true;
}

static int open_printk(struct run_engine *e, struct skep_err *err)
{
	struct run_source *s = &e->sources[e->nr_sources];
	struct skep_event ev = {.kind = SKEP_EVENT_PRINTK, .pid = -1, .cpu = -1};
	int ret;

	ret = skep_perf_open(&s->perf, e->sys, &ev, -1, 0, err);
	if (ret < 0)
		return skep_wrap(err, ret, "the lines of bpf_printk()");
	e->nr_sources++;
	return 0;
}

static int open_map(struct run_engine *e, const struct skep_loaded_map *map, struct skep_err *err)
{
	struct run_source *s = &e->sources[e->nr_sources];
	struct skep_event ev = {.kind = SKEP_EVENT_OUTPUT, .pid = -1, .cpu = -1};
	int ret;

	s->map = map->spec;
	s->is_ring = map->spec->type == BPF_MAP_TYPE_RINGBUF;
	if (s->is_ring)
		ret = skep_ring_open(&s->ring, e->sys, map->fd, map->spec->max_entries, err);
	else
		ret = skep_perf_open(&s->perf, e->sys, &ev, map->fd, 0, err);
	if (ret < 0)
		return skep_wrap(err, ret, "map '%s'", map->spec->name);
	e->nr_sources++;
	return 0;
}

static void mark(struct run_engine *e, uint32_t pid)
{
	if (pid < PID_LIMIT)
		e->family[pid / 8] |= (unsigned char)(1 << pid % 8);
}

static bool marked(const struct run_engine *e, uint32_t pid)
{
	return pid < PID_LIMIT && (e->family[pid / 8] >> (pid % 8) & 1);
}

/*
 * What tells which processes the command started, and where the code lies that
 * stacks run through.
 */
static void open_tasks(struct run_engine *e)
{
	struct skep_event ev = {.kind = SKEP_EVENT_TASKS, .pid = e->view.pid, .cpu = -1};
	struct skep_err why = SKEP_ERR_INIT;
	bool stacks = skep_view_has_stacks(&e->view);

	/* Lines of other people's programs go through the same tracepoint. */
	if (e->view.pid > 0 && !e->sys->scoped && prints(e->loaded) && all_scoped(e->loaded))
		e->family = calloc(1, PID_LIMIT / 8);
	if (!stacks && !e->family)
		return;
	if (e->family)
		mark(e, (uint32_t)e->view.pid);
	e->symtab = stacks ? skep_symtab_create() : NULL;
	e->view.symtab = e->symtab;
	ev.inherit = e->view.pid > 0;
	if (!ev.inherit)
		ev.pid = -1;
	else if (e->symtab)
		skep_symtab_add_pid(e->symtab, ev.pid);
	if (skep_perf_open(&e->tasks, e->sys, &ev, -1, 0, &why) < 0) {
		if (stacks)
			skep_warn(&e->run->cli->log, "stacks will be shown without names: %s",
				  why.msg);
		free(e->family);
		e->family = NULL;
	}
	skep_err_deinit(&why);
}

int run_sources_open(struct run_engine *e, struct skep_err *err)
{
	uint32_t i;
	int ret = 0;

	e->sources = calloc(e->loaded->nr_maps + 1, sizeof(*e->sources));
	if (!e->sources)
		return skep_fail_nomem(err);
	open_tasks(e);
	for (i = 0; ret == 0 && i < e->loaded->nr_maps; i++) {
		const struct skep_loaded_map *map = &e->loaded->maps[i];

		if (map->fd >= 0 && map->spec->kind == SKEP_OBJ_MAP_PLAIN &&
		    (map->spec->type == BPF_MAP_TYPE_RINGBUF ||
		     map->spec->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY))
			ret = open_map(e, map, err);
	}
	if (ret == 0 && prints(e->loaded))
		ret = open_printk(e, err);
	return ret;
}

void run_sources_close(struct run_engine *e)
{
	struct run_pending *p;
	char **kept;
	size_t i;

	for (i = 0; i < e->nr_sources; i++) {
		struct run_source *s = &e->sources[i];

		if (s->is_ring)
			skep_ring_close(&s->ring);
		else
			skep_perf_close(&s->perf);
		skep_vec_each (&s->kept, kept)
			free(*kept);
		skep_vec_deinit(&s->kept);
	}
	if (e->tasks.sys)
		skep_perf_close(&e->tasks);
	free(e->family);
	skep_vec_each (&e->pending, p)
		free(p->data);
	skep_vec_deinit(&e->pending);
	skep_vec_each (&e->kept, kept)
		free(*kept);
	skep_vec_deinit(&e->kept);
	free(e->sources);
	e->sources = NULL;
	e->nr_sources = 0;
}

static void keep(struct run_engine *e, const struct run_pending *p, const char *text, size_t len)
{
	const struct skep_btf *btf = e->run->obj->btf;
	uint32_t type = p->source->map ? p->source->map->record_type : 0;
	int64_t size = btf && type ? skep_btf_sizeof(btf, type) : -1;

	if (text)
		run_keep(p->source, json_object_new_string_len(text, (int)len), NULL);
	else
		run_keep(p->source,
			 skep_value_json(btf, size > 0 ? type : 0, p->data,
					 size > 0 && p->len > (size_t)size ? (size_t)size : p->len),
			 e->run->o.ignore);
}

/* Why there are only bytes to be seen, once a map. */
static void tell_untyped(struct run_engine *e, struct run_source *source)
{
	if (source->told || source->map->record_type)
		return;
	source->told = true;
	skep_info(&e->run->cli->log,
		  "records of map '%s' are shown as bytes, as it does not say what they are: "
		  "__type(value, struct ...) in its definition does",
		  source->map->name);
}

/* Shows one record, and keeps it if it is to be compared. */
static void show(struct run_engine *e, const struct run_pending *p)
{
	const char *text = NULL;
	size_t len = 0;

	if (!p->source->map &&
	    (!skep_printk_text(p->data, p->len, &text, &len) || (e->family && !marked(e, p->pid))))
		return;
	if (e->run->nr_engines > 1)
		keep(e, p, text, len);
	if (e->quiet)
		return;
	if (!text)
		tell_untyped(e, p->source);
	if (text)
		e->view.ops->line(&e->view, &(struct skep_view_line){.text = text,
								     .len = len,
								     .time = p->time,
								     .cpu = p->cpu,
								     .pid = p->pid,
								     .tid = p->tid});
	else
		e->view.ops->record(&e->view, &(struct skep_view_record){.map = p->source->map,
									 .data = p->data,
									 .len = p->len,
									 .time = p->time,
									 .cpu = p->cpu,
									 .pid = p->pid});
}

struct reader {
	struct run_engine *e;
	struct run_source *source;
};

static int take_record(void *ctx, const struct skep_rec *rec)
{
	struct reader *r = ctx;
	struct run_pending p = {
		.time = rec->time,
		.order = r->e->arrived++,
		.source = r->source,
		.cpu = rec->cpu,
		.pid = rec->pid,
		.tid = rec->tid,
		.data = (void *)rec->data,
		.len = rec->len,
	};

	if (rec->type == PERF_RECORD_LOST) {
		r->source->lost += rec->lost;
		return 0;
	}
	if (rec->type != PERF_RECORD_SAMPLE)
		return 0;
	if (!rec->time) {
		show(r->e, &p);
		return 0;
	}
	p.data = malloc(rec->len + 1);
	if (!p.data || skep_vec_push(&r->e->pending, p)) {
		free(p.data);
		return -ENOMEM;
	}
	memcpy(p.data, rec->data, rec->len);
	return 0;
}

static int take_task(void *ctx, const struct skep_rec *rec)
{
	struct run_engine *e = ctx;
	uint32_t ids[2]; /* of a FORK record: the new process and its parent */

	if (rec->type == PERF_RECORD_LOST || rec->type == PERF_RECORD_SAMPLE)
		return 0;
	if (rec->type == PERF_RECORD_FORK && rec->len >= sizeof(ids) && e->family) {
		memcpy(ids, rec->data, sizeof(ids));
		if (marked(e, ids[1]))
			mark(e, ids[0]);
	}
	if (!e->symtab)
		return 0;
	return skep_symtab_record(e->symtab, rec->type, rec->misc, rec->data, rec->len, rec->time);
}

static int by_time(const void *a, const void *b)
{
	const struct run_pending *x = a, *y = b;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static void show_pending(struct run_engine *e, uint64_t before)
{
	size_t i;

	if (!e->pending.len)
		return;
	qsort(e->pending.data, e->pending.len, sizeof(*e->pending.data), by_time);
	for (i = 0; i < e->pending.len && e->pending.data[i].time < before; i++) {
		show(e, &e->pending.data[i]);
		free(e->pending.data[i].data);
	}
	memmove(e->pending.data, e->pending.data + i,
		(e->pending.len - i) * sizeof(*e->pending.data));
	e->pending.len -= i;
}

int run_drain(struct run_engine *e, bool all, struct skep_err *err)
{
	struct timespec now;
	size_t i;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &now);
	e->round = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	if (e->tasks.sys)
		skep_perf_read(&e->tasks, take_task, e, NULL);
	for (i = 0; ret >= 0 && i < e->nr_sources; i++) {
		struct run_source *s = &e->sources[i];
		struct reader r = {e, s};

		if (s->is_ring)
			ret = skep_ring_read(&s->ring, take_record, &r, err);
		else
			ret = skep_perf_read(&s->perf, take_record, &r, err);
		if (ret < 0)
			skep_wrap(err, ret, "%s", s->map ? s->map->name : "bpf_printk()");
	}
	show_pending(e, all ? UINT64_MAX : e->round);
	return ret < 0 ? ret : 0;
}
