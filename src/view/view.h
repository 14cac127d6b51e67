/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Renderers: what programs produce, for people or for programs.
 *
 * A new renderer: fill a struct skep_view_ops, add a row to the table in
 * view.c.  A renderer writes to view->out and keeps what it needs between
 * calls behind view->priv.
 */
#ifndef SKEP_VIEW_VIEW_H
#define SKEP_VIEW_VIEW_H

#include <stdio.h>

#include "event/sym.h"
#include "obj/load.h"
#include "view/table.h"

struct skep_view;

/* A record of a ring buffer or of perf buffers. */
struct skep_view_record {
	const struct skep_obj_map *map;
	const void *data;
	size_t len; /* perf buffers pad records with up to 7 bytes */
	uint64_t time; /* CLOCK_MONOTONIC, ns; 0: not known */
	int cpu; /* -1: not known */
	uint32_t pid; /* 0: not known */
};

/* A line of bpf_printk(). */
struct skep_view_line {
	const char *text; /* len bytes, no newline at the end */
	size_t len;
	uint64_t time;
	int cpu;
	uint32_t pid, tid;
};

/* What a packet program did with the packets of a file. */
struct skep_view_verdict {
	const char *prog, *action; /* "XDP_DROP" */
	uint64_t packets, bytes;
};

struct skep_view_ops {
	const char *name; /* "text", "json" */
	void (*record)(struct skep_view *view, const struct skep_view_record *rec);
	void (*line)(struct skep_view *view, const struct skep_view_line *line);
	/* A line, len bytes without newline, that iterator @prog wrote. */
	void (*iter)(struct skep_view *view, const char *prog, const char *text, size_t len);
	void (*table)(struct skep_view *view, const struct skep_table *table);
	void (*variables)(struct skep_view *view, const struct skep_table *table);
	void (*verdict)(struct skep_view *view, const struct skep_view_verdict *verdict);
	void (*loss)(struct skep_view *view, const struct skep_loss *loss);
	/* Records lost of a map's perf buffers or (@map NULL) lines of bpf_printk(). */
	void (*lost)(struct skep_view *view, const struct skep_obj_map *map, uint64_t count);
	void (*tick)(struct skep_view *view); /* a new round of --interval begins */
	void (*deinit)(struct skep_view *view);
};

struct skep_view {
	const struct skep_view_ops *ops;
	FILE *out;
	const struct skep_loaded *loaded; /* borrowed: types, and the stack trace map */
	struct skep_symtab *symtab; /* borrowed, NULL: addresses only */
	pid_t pid; /* whose stacks they are if a row has no pid of its own; 0: not known */
	const char *engine; /* names the engine in each output, or NULL */
	void *priv;
};

/* @name: "text" or "json".  0, or -EINVAL. */
int skep_view_init(struct skep_view *view, const char *name, FILE *out);
void skep_view_deinit(struct skep_view *view);

/* True if the loaded object has a stack trace map. */
bool skep_view_has_stacks(const struct skep_view *view);

/* One frame of a stack, outermost last; @text is valid during the call. */
typedef void skep_frame_fn(void *ctx, const char *text);
/*
 * Calls @fn for the frames of stack @id; the process is that of the row's
 * member `pid` or `tgid` in @key, else view->pid.  Number of frames or -errno.
 */
int skep_view_stack(struct skep_view *view, const struct skep_columns *columns, const void *data,
		    int64_t id, skep_frame_fn *fn, void *ctx);

/* A histogram of powers of two as lines; nothing if all counts are 0. */
void skep_hist_text(FILE *out, const uint64_t *counts, unsigned int n);
/* The counters of a SKEP_CELL_SLOTS cell, at most 64; their number. */
unsigned int skep_hist_counts(const struct skep_columns *columns, const struct skep_column *col,
			      const void *value, uint64_t counts[64]);
/* The values that slot @i counts: low to high. */
void skep_hist_range(unsigned int i, uint64_t *low, uint64_t *high);

extern const struct skep_view_ops skep_view_text;
extern const struct skep_view_ops skep_view_json;

#endif
