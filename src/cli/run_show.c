/* SPDX-License-Identifier: BSD-2-Clause */
/* skep run: what maps hold, and what did not arrive. */
#include "cli/run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int run_show_maps(struct run_engine *e, struct skep_err *err)
{
	struct skep_table table;
	uint32_t i;
	int ret;

	for (i = 0; !e->quiet && i < e->loaded->nr_maps; i++) {
		const struct skep_loaded_map *map = &e->loaded->maps[i];

		if (map->fd < 0 || !skep_table_can_show(map->spec))
			continue;
		ret = skep_table_read(&table, e->sys, map, e->run->obj->btf,
				      skep_view_has_stacks(&e->view), e->run->o.per_cpu, err);
		if (ret < 0)
			return ret;
		if (table.nr && skep_table_is_data(map->spec))
			e->view.ops->variables(&e->view, &table);
		else if (table.nr)
			e->view.ops->table(&e->view, &table);
		skep_table_deinit(&table);
	}
	return 0;
}

struct iter_text {
	struct skep_view *view;
	const char *prog;
	struct skep_buf line;
};

static void put_line(struct iter_text *t)
{
	t->view->ops->iter(t->view, t->prog, skep_buf_str(&t->line), t->line.len);
	skep_buf_reset(&t->line);
}

static void put_text(void *ctx, const char *text, size_t len)
{
	struct iter_text *t = ctx;
	const char *end;

	while ((end = memchr(text, '\n', len))) {
		skep_buf_add(&t->line, text, (size_t)(end - text));
		put_line(t);
		len -= (size_t)(end + 1 - text);
		text = end + 1;
	}
	skep_buf_add(&t->line, text, len);
}

int run_show_iters(struct run_engine *e, struct skep_err *err)
{
	struct iter_text t = {.view = &e->view};
	uint32_t i;
	int ret = 0;

	for (i = 0; ret == 0 && !e->quiet && i < e->loaded->nr_progs; i++) {
		const struct skep_loaded_prog *p = &e->loaded->progs[i];

		if (p->fd < 0 || p->spec->attach_type != BPF_TRACE_ITER || !p->links.fds.len)
			continue;
		t.prog = p->spec->name;
		ret = skep_iter_read(e->sys, p->links.fds.data[0], put_text, &t, err);
		if (t.line.len)
			put_line(&t);
		if (ret < 0)
			skep_wrap(err, ret, "program '%s'", p->spec->name);
	}
	skep_buf_deinit(&t.line);
	return ret;
}

static void tell_lost(struct run_engine *e, const struct run_source *s)
{
	if (!s->lost)
		return;
	skep_warn(&e->run->cli->log, "lost %" PRIu64 " %s%s%s: the reader was too slow", s->lost,
		  s->map ? "records of map '" : "lines of bpf_printk()", s->map ? s->map->name : "",
		  s->map ? "'" : "");
	if (e->view.ops->lost)
		e->view.ops->lost(&e->view, s->map, s->lost);
}

static void tell_loss(struct run_engine *e, const struct skep_loss *loss)
{
	struct skep_buf where = SKEP_BUF_INIT, what = SKEP_BUF_INIT;

	if (loss->file)
		skep_buf_printf(&where, "%s:%u", loss->file, loss->line);
	else
		skep_buf_printf(&where, "instruction %u", loss->insn);
	if (loss->map)
		skep_buf_printf(&what, "%s '%s'", loss->kind == SKEP_LOSS_RING ? "buffer" : "map",
				loss->map);
	else
		skep_buf_puts(&what, loss->kind == SKEP_LOSS_RING ? "a buffer" : "a map");
	skep_warn(&e->run->cli->log, "lost %" PRIu64 " %s: %s was full (%s, program '%s')",
		  loss->count, loss->kind == SKEP_LOSS_RING ? "records" : "updates",
		  skep_buf_str(&what), skep_buf_str(&where), loss->prog);
	if (e->view.ops->loss)
		e->view.ops->loss(&e->view, loss);
	skep_buf_deinit(&where);
	skep_buf_deinit(&what);
}

/* Events at which a program did not run, for it was running on that CPU already. */
static void tell_missed(struct run_engine *e, const struct skep_loaded_prog *p)
{
	struct bpf_prog_info info;
	union bpf_attr attr;

	if (p->fd < 0)
		return;
	memset(&info, 0, sizeof(info));
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)p->fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	if (skep_sys_bpf(e->sys, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)) == 0 &&
	    info.recursion_misses)
		skep_warn(&e->run->cli->log,
			  "program '%s' missed %" PRIu64 " events: it was "
			  "running already on the same CPU",
			  p->spec->name, (uint64_t)info.recursion_misses);
}

/* Each program's first was told as it happened; what was collected may be half. */
static void tell_faults(struct run_engine *e)
{
	struct run *run = e->run;
	uint64_t n = e->sys->faults ? *e->sys->faults : 0;

	if (!n)
		return;
	skep_log(&run->cli->log, SKEP_LOG_ERROR,
		 "%" PRIu64 " run%s of programs ended early, as told above", n, n == 1 ? "" : "s");
	if (run->status == SKEP_EXIT_OK)
		run->status = SKEP_EXIT_FAILED;
}

int run_show_losses(struct run_engine *e, struct skep_err *err)
{
	struct skep_loss *losses = NULL;
	size_t i, n = 0;
	int ret = 0;

	fflush(e->view.out);
	for (i = 0; i < e->nr_sources; i++)
		tell_lost(e, &e->sources[i]);
	if (!e->run->o.no_losses)
		ret = skep_loaded_losses(e->loaded, &losses, &n, err);
	for (i = 0; ret >= 0 && i < n; i++)
		tell_loss(e, &losses[i]);
	free(losses);
	for (i = 0; i < e->loaded->nr_progs; i++)
		tell_missed(e, &e->loaded->progs[i]);
	tell_faults(e);
	return ret;
}
