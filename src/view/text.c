/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text for people: records as lines below a header, maps as tables.
 *
 * Columns are as wide as their types suggest, and stay wider once a value
 * needed it.  Numbers stand to the right, text to the left; the last column of
 * text is never padded.
 */
#include "view/view.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The columns of one kind of record, kept from record to record. */
struct shape {
	const struct skep_obj_map *map;
	struct skep_columns columns;
};

struct text {
	SKEP_VEC(struct shape) shapes;
	const struct skep_obj_map *last; /* whose header is on the screen */
	struct skep_buf line, cell;
};

static struct text *state(struct skep_view *view)
{
	if (!view->priv)
		view->priv = calloc(1, sizeof(struct text));
	return view->priv;
}

static void text_deinit(struct skep_view *view)
{
	struct text *x = view->priv;
	struct shape *s;

	if (!x)
		return;
	skep_vec_each (&x->shapes, s)
		skep_columns_deinit(&s->columns);
	skep_vec_deinit(&x->shapes);
	skep_buf_deinit(&x->line);
	skep_buf_deinit(&x->cell);
	free(x);
}

static struct shape *shape_of(struct skep_view *view, struct text *x,
			      const struct skep_obj_map *map)
{
	const struct skep_btf *btf = view->loaded->obj->btf;
	struct shape *s;
	int64_t size;

	skep_vec_each (&x->shapes, s)
		if (s->map == map)
			return s;
	s = skep_vec_add(&x->shapes);
	if (!s)
		return NULL;
	s->map = map;
	size = btf && map->record_type ? skep_btf_sizeof(btf, map->record_type) : 0;
	if (size > 0)
		skep_columns_init(&s->columns, btf, map->record_type, (uint32_t)size, "value",
				  skep_view_has_stacks(view));
	return s;
}

/* Appends one cell to the line, @last unpadded on the right. */
static void put_cell(struct text *x, const char *text, uint32_t width, bool right, bool last)
{
	if (x->line.len)
		skep_buf_puts(&x->line, "  ");
	if (right)
		skep_buf_printf(&x->line, "%*s", (int)width, text);
	else
		skep_buf_printf(&x->line, "%-*s", last ? 0 : (int)width, text);
}

static void end_line(struct skep_view *view, struct text *x)
{
	while (x->line.len && x->line.data[x->line.len - 1] == ' ')
		skep_buf_cut(&x->line, x->line.len - 1);
	fprintf(view->out, "%s%s%s\n", view->engine ? view->engine : "", view->engine ? ": " : "",
		skep_buf_str(&x->line));
	skep_buf_reset(&x->line);
}

static void put_names(struct text *x, const struct skep_columns *columns, bool more)
{
	const struct skep_column *col;

	skep_vec_each (&columns->cols, col)
		if (col->cell != SKEP_CELL_SLOTS)
			put_cell(x, col->btf.name, col->width, skep_cell_is_number(col),
				 !more && col + 1 == columns->cols.data + columns->cols.len);
}

static void put_cells(struct text *x, struct skep_columns *columns, const void *data, size_t len,
		      bool more)
{
	struct skep_column *col;

	skep_vec_each (&columns->cols, col) {
		if (col->cell == SKEP_CELL_SLOTS)
			continue;
		skep_buf_reset(&x->cell);
		skep_cell_text(columns, col, data, len, &x->cell);
		if (x->cell.len > col->width && skep_cell_is_number(col))
			col->width = (uint32_t)x->cell.len;
		put_cell(x, skep_buf_str(&x->cell), col->width, skep_cell_is_number(col),
			 !more && col + 1 == columns->cols.data + columns->cols.len);
	}
}

/* Sixteen bytes a line, as hexdump -C. */
static void hex_dump(struct skep_view *view, struct text *x, const unsigned char *p, size_t len)
{
	size_t i, j;

	for (i = 0; i < len; i += 16) {
		skep_buf_printf(&x->line, "%08zx", i);
		for (j = i; j < i + 16; j++)
			skep_buf_printf(&x->line, j < len ? "%s%02x" : "%s  ", j % 8 ? " " : "  ",
					j < len ? p[j] : 0);
		skep_buf_puts(&x->line, "  |");
		for (j = i; j < i + 16 && j < len; j++)
			skep_buf_putc(&x->line, p[j] >= 0x20 && p[j] < 0x7f ? (char)p[j] : '.');
		skep_buf_putc(&x->line, '|');
		end_line(view, x);
	}
}

static void put_frame(void *ctx, const char *text)
{
	struct skep_view *view = ctx;

	fprintf(view->out, "      %s\n", text);
}

/* The stacks that the members of a row name, below the row. */
static void put_stacks(struct skep_view *view, const struct skep_columns *columns,
		       const struct skep_columns *who, const void *data, const void *who_data)
{
	const struct skep_column *col;
	int64_t id;

	skep_vec_each (&columns->cols, col)
		if (col->cell == SKEP_CELL_STACK &&
		    skep_cell_number(columns, col, data, columns->size, &id) && id >= 0 &&
		    skep_view_stack(view, who, who_data, id, put_frame, view) < 0)
			fprintf(view->out, "      [stack %" PRId64 " was overwritten]\n", id);
}

static void text_record(struct skep_view *view, const struct skep_view_record *rec)
{
	struct text *x = state(view);
	struct shape *s = x ? shape_of(view, x, rec->map) : NULL;

	if (!s)
		return;
	if (!s->columns.cols.len) {
		hex_dump(view, x, rec->data, rec->len);
		return;
	}
	if (x->last != rec->map) {
		put_names(x, &s->columns, false);
		end_line(view, x);
		x->last = rec->map;
	}
	put_cells(x, &s->columns, rec->data, rec->len, false);
	end_line(view, x);
	if (rec->len >= s->columns.size)
		put_stacks(view, &s->columns, &s->columns, rec->data, rec->data);
}

static void text_iter(struct skep_view *view, const char *prog, const char *text, size_t len)
{
	(void)prog;
	fprintf(view->out, "%.*s\n", (int)len, text);
}

static void text_line(struct skep_view *view, const struct skep_view_line *line)
{
	fprintf(view->out, "%s%s%.*s\n", view->engine ? view->engine : "", view->engine ? ": " : "",
		(int)line->len, line->text);
}

static void widen(struct text *x, const struct skep_table *t, struct skep_columns *columns,
		  bool key)
{
	struct skep_column *col;
	size_t i;

	skep_vec_each (&columns->cols, col) {
		col->width = (uint32_t)strlen(col->btf.name);
		for (i = 0; i < t->nr && col->cell != SKEP_CELL_SLOTS; i++) {
			skep_buf_reset(&x->cell);
			skep_cell_text(columns, col,
				       key ? skep_table_key(t, i) : skep_table_value(t, i),
				       columns->size, &x->cell);
			if (x->cell.len > col->width)
				col->width = (uint32_t)x->cell.len;
		}
	}
}

static void table_title(struct skep_view *view, struct text *x, const char *name)
{
	fprintf(view->out, "\n%s%s%s:\n", view->engine ? view->engine : "",
		view->engine ? ": " : "", name);
	x->last = NULL;
}

/* A table in which each row is a histogram: the key as a sentence, the slots below. */
static void hist_rows(struct skep_view *view, struct text *x, const struct skep_table *t,
		      const struct skep_column *slots)
{
	const struct skep_column *col;
	uint64_t counts[64];
	size_t i;

	for (i = 0; i < t->nr; i++) {
		skep_buf_reset(&x->line);
		skep_vec_each (&t->key.cols, col) {
			skep_buf_printf(&x->line, "%s%s = ", x->line.len ? ", " : "",
					col->btf.name);
			skep_cell_text(&t->key, col, skep_table_key(t, i), t->key.size, &x->line);
		}
		if (skep_table_cpu(t, i) >= 0)
			skep_buf_printf(&x->line, ", cpu = %d", skep_table_cpu(t, i));
		if (t->spec->max_entries > 1)
			fprintf(view->out, "%s%s\n", i ? "\n" : "", skep_buf_str(&x->line));
		skep_buf_reset(&x->line);
		skep_hist_text(view->out, counts,
			       skep_hist_counts(&t->value, slots, skep_table_value(t, i), counts));
	}
}

static void array_hist(struct skep_view *view, const struct skep_table *t)
{
	uint64_t counts[64] = {0};
	uint32_t slot;
	int64_t v;
	size_t i;

	for (i = 0; i < t->nr; i++) {
		memcpy(&slot, skep_table_key(t, i), sizeof(slot));
		if (slot < 64 && skep_cell_number(&t->value, t->value.cols.data,
						  skep_table_value(t, i), t->value.size, &v))
			counts[slot] = (uint64_t)v;
	}
	skep_hist_text(view->out, counts, 64);
}

static void plain_rows(struct skep_view *view, struct text *x, struct skep_table *t)
{
	char cpu[16];
	size_t i;

	widen(x, t, &t->key, true);
	widen(x, t, &t->value, false);
	put_names(x, &t->key, true);
	if (t->per_cpu)
		put_cell(x, "cpu", 4, true, false);
	put_names(x, &t->value, false);
	end_line(view, x);
	for (i = 0; i < t->nr; i++) {
		put_cells(x, &t->key, skep_table_key(t, i), t->key.size, true);
		snprintf(cpu, sizeof(cpu), "%d", skep_table_cpu(t, i));
		if (t->per_cpu)
			put_cell(x, cpu, 4, true, false);
		put_cells(x, &t->value, skep_table_value(t, i), t->value.size, false);
		end_line(view, x);
		put_stacks(view, &t->key, &t->key, skep_table_key(t, i), skep_table_key(t, i));
		put_stacks(view, &t->value, &t->key, skep_table_value(t, i), skep_table_key(t, i));
	}
}

static void text_table(struct skep_view *view, const struct skep_table *table)
{
	const struct skep_column *slots = skep_columns_find(&table->value, SKEP_CELL_SLOTS);
	struct skep_table t = *table; /* the widths of columns are ours to change */
	struct text *x = state(view);

	if (!x || !t.nr)
		return;
	table_title(view, x, t.spec->name);
	if (t.slots)
		array_hist(view, &t);
	else if (slots)
		hist_rows(view, x, &t, slots);
	else
		plain_rows(view, x, &t);
}

static void text_variables(struct skep_view *view, const struct skep_table *t)
{
	const struct btf_type *sec = t->btf ? skep_btf_type(t->btf, t->spec->datasec) : NULL;
	const char *data = t->nr ? skep_table_value(t, 0) : NULL;
	struct text *x = state(view);
	uint32_t i;

	if (!x || !data || !sec || skep_btf_kind(sec) != BTF_KIND_DATASEC)
		return;
	table_title(view, x, t->spec->name);
	for (i = 0; i < skep_btf_vlen(sec); i++) {
		const struct btf_var_secinfo *v = &skep_btf_secinfos(sec)[i];
		const struct btf_type *var = skep_btf_type(t->btf, v->type);
		json_object *json;

		if (!var || skep_btf_kind(var) != BTF_KIND_VAR || v->offset > t->spec->value_size ||
		    t->spec->value_size - v->offset < v->size)
			continue;
		json = skep_value_json(t->btf, var->type, data + v->offset, v->size);
		fprintf(view->out, "%s = %s\n", skep_btf_name(t->btf, v->type),
			json_object_to_json_string_ext(
				json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
		json_object_put(json);
	}
}

static void text_verdict(struct skep_view *view, const struct skep_view_verdict *v)
{
	fprintf(view->out, "%s%s%s: %-12s %8" PRIu64 " packets %10" PRIu64 " bytes\n",
		view->engine ? view->engine : "", view->engine ? ": " : "", v->prog, v->action,
		v->packets, v->bytes);
}

static void text_tick(struct skep_view *view)
{
	struct text *x = state(view);
	time_t now = time(NULL);
	struct tm tm;
	char text[32];

	if (x)
		x->last = NULL;
	if (localtime_r(&now, &tm) && strftime(text, sizeof(text), "%H:%M:%S", &tm))
		fprintf(view->out, "\n%s\n", text);
}

/* Losses are told on stderr by whoever drives the view: they are not results. */
const struct skep_view_ops skep_view_text = {
	.name = "text",
	.record = text_record,
	.line = text_line,
	.iter = text_iter,
	.table = text_table,
	.variables = text_variables,
	.verdict = text_verdict,
	.tick = text_tick,
	.deinit = text_deinit,
};
