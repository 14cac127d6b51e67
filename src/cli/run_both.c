/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skep run --engine both: are records, lines and maps of the two engines the same?
 *
 * Everything is compared as JSON text, with the fields of --ignore taken out:
 * clocks differ between two observers of one event.  Stack ids are numbers of
 * the engine's own and are left out as well.
 */
#include "cli/run.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#define TOLD_MAX 10 /* differences shown */

bool run_listed(const char *list, const char *name)
{
	size_t len = strlen(name), n;

	for (; list && *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		if (n == len && !memcmp(list, name, n))
			return true;
	}
	return false;
}

static void strip(json_object *value, const char *ignore)
{
	size_t i;

	if (json_object_is_type(value, json_type_array))
		for (i = 0; i < json_object_array_length(value); i++)
			strip(json_object_array_get_idx(value, i), ignore);
	if (!json_object_is_type(value, json_type_object))
		return;
	/* The macro takes the next entry first, so that this one may go. */
	json_object_object_foreach(value, name, inner)
	{
		if (run_listed(ignore, name))
			json_object_object_del(value, name);
		else
			strip(inner, ignore);
	}
}

static char *text_of(json_object *take_value, const char *ignore)
{
	char *text;

	if (ignore)
		strip(take_value, ignore);
	text = strdup(json_object_to_json_string_ext(
		take_value, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(take_value);
	return text;
}

void run_keep(struct run_source *source, json_object *take_value, const char *ignore)
{
	char *text = text_of(take_value, ignore);

	if (!text || skep_vec_push(&source->kept, text))
		free(text);
}

static void drop_stacks(json_object *value, const struct skep_columns *columns)
{
	const struct skep_column *col;

	skep_vec_each (&columns->cols, col)
		if (col->cell == SKEP_CELL_STACK && json_object_is_type(value, json_type_object))
			json_object_object_del(value, col->btf.name);
}

static int keep_table(struct run_engine *e, const struct skep_table *t)
{
	json_object *o, *key, *value;
	char *text;
	size_t i;

	for (i = 0; i < t->nr; i++) {
		key = skep_value_json(t->btf, t->key.type, skep_table_key(t, i), t->key.size);
		value = skep_value_json(t->btf, t->value.type, skep_table_value(t, i),
					t->value.size);
		drop_stacks(key, &t->key);
		drop_stacks(value, &t->value);
		o = json_object_new_object();
		json_object_object_add(o, "map", json_object_new_string(t->spec->name));
		json_object_object_add(o, "key", key);
		json_object_object_add(o, "value", value);
		text = text_of(o, e->run->o.ignore);
		if (!text || skep_vec_push(&e->kept, text)) {
			free(text);
			return -ENOMEM;
		}
	}
	return 0;
}

int run_keep_maps(struct run_engine *e, struct skep_err *err)
{
	struct skep_table table;
	uint32_t i;
	int ret;

	for (i = 0; i < e->loaded->nr_maps; i++) {
		const struct skep_loaded_map *map = &e->loaded->maps[i];

		if (map->fd < 0 || !skep_table_can_show(map->spec) ||
		    run_listed(e->run->o.ignore, map->spec->name))
			continue;
		ret = skep_table_read(&table, e->sys, map, e->run->obj->btf,
				      skep_view_has_stacks(&e->view), false, err);
		if (ret < 0)
			return ret;
		ret = keep_table(e, &table);
		skep_table_deinit(&table);
		if (ret < 0)
			return skep_fail_nomem(err);
	}
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void tell(struct run *run, size_t told, const char *what, const char *first,
		 const char *second)
{
	if (told > TOLD_MAX)
		return;
	skep_log(&run->cli->log, SKEP_LOG_ERROR, "%s differ:\n  %-6s %s\n  %-6s %s", what,
		 run->engines[0].name, first ? first : "(nothing)", run->engines[1].name,
		 second ? second : "(nothing)");
}

/* Records have an order: the first and each further pair that differs is told. */
static size_t compare_records(struct run *run, const struct run_source *a,
			      const struct run_source *b)
{
	size_t i, told = 0;

	for (i = 0; i < a->kept.len || i < b->kept.len; i++) {
		const char *x = i < a->kept.len ? a->kept.data[i] : NULL;
		const char *y = i < b->kept.len ? b->kept.data[i] : NULL;

		if (x && y && !strcmp(x, y))
			continue;
		tell(run, ++told, a->map ? a->map->name : "lines of bpf_printk()", x, y);
	}
	return told;
}

/* Elements have none: both lists are sorted and merged. */
static size_t compare_maps(struct run *run)
{
	struct run_engine *a = &run->engines[0], *b = &run->engines[1];
	size_t i = 0, j = 0, told = 0;
	int d;

	if (a->kept.len)
		qsort(a->kept.data, a->kept.len, sizeof(char *), by_text);
	if (b->kept.len)
		qsort(b->kept.data, b->kept.len, sizeof(char *), by_text);
	while (i < a->kept.len || j < b->kept.len) {
		d = i == a->kept.len   ? 1
		    : j == b->kept.len ? -1
				       : strcmp(a->kept.data[i], b->kept.data[j]);
		if (d)
			tell(run, ++told, "maps", d < 0 ? a->kept.data[i] : NULL,
			     d > 0 ? b->kept.data[j] : NULL);
		i += d <= 0;
		j += d >= 0;
	}
	return told;
}

int run_compare(struct run *run, struct skep_err *err)
{
	struct run_engine *a = &run->engines[0], *b = &run->engines[1];
	size_t i, differences = 0, records = 0;

	if (run->nr_engines < 2)
		return 0;
	fflush(stdout);
	for (i = 0; i < a->nr_sources && i < b->nr_sources; i++) {
		differences += compare_records(run, &a->sources[i], &b->sources[i]);
		records += a->sources[i].kept.len;
	}
	differences += compare_maps(run);
	if (a->nr_sources != b->nr_sources || a->attached != b->attached)
		return skep_fail(err, SKEP_E_DIFFERS, EINVAL,
				 "%s: not the same programs could run in both engines",
				 run->o.file);
	if (differences)
		return skep_fail(err, SKEP_E_DIFFERS, EINVAL,
				 "%s: %zu differences between %s and %s", run->o.file, differences,
				 a->name, b->name);
	skep_info(&run->cli->log, "both engines gave the same: %zu records, %zu map elements",
		  records, a->kept.len);
	return 0;
}
