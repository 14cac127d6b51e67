/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * JSON for programs: one object a line, its "type" first.
 *
 *	record: map, data (or hex), time, cpu, pid	printk: text, time, cpu, pid, tid
 *	element: map, key, value, cpu			variable: map, name, value
 *	verdict: prog, action, packets, bytes		loss, lost: what did not arrive
 */
#include "view/view.h"

#include <json-c/json.h>
#include <string.h>
#include <time.h>

static json_object *begin(struct skep_view *view, const char *type)
{
	json_object *o = json_object_new_object();

	json_object_object_add(o, "type", json_object_new_string(type));
	if (view->engine)
		json_object_object_add(o, "engine", json_object_new_string(view->engine));
	return o;
}

static void add_text(json_object *o, const char *name, const char *text)
{
	json_object_object_add(o, name, json_object_new_string(text));
}

static void add_number(json_object *o, const char *name, uint64_t n)
{
	json_object_object_add(o, name, json_object_new_uint64(n));
}

static void end(struct skep_view *view, json_object *o)
{
	size_t len;
	const char *text = json_object_to_json_string_length(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);

	fwrite(text, 1, len, view->out);
	putc('\n', view->out);
	json_object_put(o);
}

static void json_record(struct skep_view *view, const struct skep_view_record *rec)
{
	const struct skep_btf *btf = view->loaded->obj->btf;
	uint32_t type = rec->map->record_type;
	int64_t size = btf && type ? skep_btf_sizeof(btf, type) : -1;
	json_object *o = begin(view, "record");
	size_t len = rec->len;

	add_text(o, "map", rec->map->name);
	if (size > 0 && len > (size_t)size && len - (size_t)size < 8)
		len = (size_t)size;
	json_object_object_add(o, "data",
			       skep_value_json(btf, size > 0 ? type : 0, rec->data, len));
	if (rec->time)
		add_number(o, "time", rec->time);
	if (rec->cpu >= 0)
		add_number(o, "cpu", (uint64_t)rec->cpu);
	if (rec->pid)
		add_number(o, "pid", rec->pid);
	end(view, o);
}

static void json_line(struct skep_view *view, const struct skep_view_line *line)
{
	json_object *o = begin(view, "printk");

	json_object_object_add(o, "text", json_object_new_string_len(line->text, (int)line->len));
	if (line->time)
		add_number(o, "time", line->time);
	if (line->cpu >= 0)
		add_number(o, "cpu", (uint64_t)line->cpu);
	add_number(o, "pid", line->pid);
	add_number(o, "tid", line->tid);
	end(view, o);
}

static void json_iter(struct skep_view *view, const char *prog, const char *text, size_t len)
{
	json_object *o = begin(view, "iter");

	json_object_object_add(o, "prog", json_object_new_string(prog));
	json_object_object_add(o, "text", json_object_new_string_len(text, (int)len));
	end(view, o);
}

static void add_frame(void *ctx, const char *text)
{
	json_object_array_add(ctx, json_object_new_string(text));
}

/* "stacks": {"user_stack_id": [frames]} for the members of @columns that are stacks. */
static void add_stacks(struct skep_view *view, json_object *o, const struct skep_columns *columns,
		       const void *data, const struct skep_table *t, size_t row)
{
	const struct skep_column *col;
	json_object *stacks = NULL, *frames;
	int64_t id;

	skep_vec_each (&columns->cols, col) {
		if (col->cell != SKEP_CELL_STACK ||
		    !skep_cell_number(columns, col, data, columns->size, &id) || id < 0)
			continue;
		if (!json_object_object_get_ex(o, "stacks", &stacks)) {
			stacks = json_object_new_object();
			json_object_object_add(o, "stacks", stacks);
		}
		frames = json_object_new_array();
		skep_view_stack(view, &t->key, skep_table_key(t, row), id, add_frame, frames);
		json_object_object_add(stacks, col->btf.name, frames);
	}
}

static void json_table(struct skep_view *view, const struct skep_table *t)
{
	json_object *o;
	size_t i;

	for (i = 0; i < t->nr; i++) {
		o = begin(view, "element");
		add_text(o, "map", t->spec->name);
		json_object_object_add(
			o, "key",
			skep_value_json(t->btf, t->key.type, skep_table_key(t, i), t->key.size));
		json_object_object_add(o, "value",
				       skep_value_json(t->btf, t->value.type,
						       skep_table_value(t, i), t->value.size));
		if (t->per_cpu)
			add_number(o, "cpu", (uint64_t)skep_table_cpu(t, i));
		add_stacks(view, o, &t->key, skep_table_key(t, i), t, i);
		add_stacks(view, o, &t->value, skep_table_value(t, i), t, i);
		end(view, o);
	}
}

static void json_variables(struct skep_view *view, const struct skep_table *t)
{
	const struct btf_type *sec = t->btf ? skep_btf_type(t->btf, t->spec->datasec) : NULL;
	const char *data = t->nr ? skep_table_value(t, 0) : NULL;
	json_object *o;
	uint32_t i;

	if (!data || !sec || skep_btf_kind(sec) != BTF_KIND_DATASEC)
		return;
	for (i = 0; i < skep_btf_vlen(sec); i++) {
		const struct btf_var_secinfo *v = &skep_btf_secinfos(sec)[i];
		const struct btf_type *var = skep_btf_type(t->btf, v->type);

		if (!var || skep_btf_kind(var) != BTF_KIND_VAR || v->offset > t->spec->value_size ||
		    t->spec->value_size - v->offset < v->size)
			continue;
		o = begin(view, "variable");
		add_text(o, "map", t->spec->name);
		add_text(o, "name", skep_btf_name(t->btf, v->type));
		json_object_object_add(
			o, "value", skep_value_json(t->btf, var->type, data + v->offset, v->size));
		end(view, o);
	}
}

static void json_verdict(struct skep_view *view, const struct skep_view_verdict *v)
{
	json_object *o = begin(view, "verdict");

	add_text(o, "prog", v->prog);
	add_text(o, "action", v->action);
	add_number(o, "packets", v->packets);
	add_number(o, "bytes", v->bytes);
	end(view, o);
}

static void json_loss(struct skep_view *view, const struct skep_loss *loss)
{
	json_object *o = begin(view, "loss");

	add_text(o, "why", loss->kind == SKEP_LOSS_RING ? "buffer full" : "map full");
	add_text(o, "prog", loss->prog);
	if (loss->map)
		add_text(o, "map", loss->map);
	if (loss->file) {
		add_text(o, "file", loss->file);
		add_number(o, "line", loss->line);
	}
	add_number(o, "insn", loss->insn);
	add_number(o, "count", loss->count);
	end(view, o);
}

static void json_lost(struct skep_view *view, const struct skep_obj_map *map, uint64_t count)
{
	json_object *o = begin(view, "lost");

	if (map)
		add_text(o, "map", map->name);
	add_text(o, "what", map ? "records" : "printk lines");
	add_number(o, "count", count);
	end(view, o);
}

/* What follows is a new reading of the maps; the clock is that of records. */
static void json_tick(struct skep_view *view)
{
	json_object *o = begin(view, "interval");
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	add_number(o, "time", (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	end(view, o);
}

const struct skep_view_ops skep_view_json = {
	.name = "json",
	.record = json_record,
	.line = json_line,
	.iter = json_iter,
	.table = json_table,
	.variables = json_variables,
	.verdict = json_verdict,
	.loss = json_loss,
	.lost = json_lost,
	.tick = json_tick,
};
