/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Relocations are resolved in the loader's order, since one that a type fits
 * drops its rivals for those that follow, and nothing is given to an engine.
 */
#include "cli/btf_core.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "btf/core.h"
#include "obj/obj.h"
#include "sys/ktypes.h"

const char btf_core_help[] =
	"usage: skep btf core OBJECT [PROGRAM[:INSN]] [--btf FILE] [--json]\n"
	"\n"
	"Explains the CO-RE relocations of OBJECT: what each asks for, which types of the\n"
	"target were looked at, which fits and why others do not, and what the instruction\n"
	"gets.  INSN is an instruction's number within its function, as `skep disasm` and\n"
	"messages have it.\n"
	"\n"
	"  --btf FILE    the target's types: BTF, or an ELF file with it; else the running\n"
	"                kernel's, and its modules' for what the kernel itself lacks\n"
	"  --json        one JSON object a relocation\n";

/* What the counts at the end are of. */
enum outcome { SET, SAME, POISONED, FAILED, NR_OUTCOMES };

static const char *const outcome_names[] = {"set", "unchanged", "poisoned", "failed"};

struct core_run {
	const struct btf_core_args *args;
	struct skep_obj *obj;
	struct skep_ktypes kt;
	struct skep_btf *file;
	struct skep_core *core;
	char func[128];
	long insn; /* -1: all */
	uint32_t count[NR_OUTCOMES];
};

/* One relocation and all that is known of it. */
struct account {
	const struct skep_obj_func *func;
	uint32_t insn;
	const struct bpf_core_relo *relo;
	const struct bpf_insn *code;
	char what[256]; /* "struct task_struct.pid" */
	const char *access; /* "0:52" */
	const char *file, *text; /* NULL: no line information */
	uint32_t line;
	struct skep_core_result res;
	struct skep_core_tried *tried;
	size_t nr_tried;
	struct bpf_insn patched[2];
	enum outcome outcome;
	struct skep_err err; /* FAILED */
};

/* Where a type stands: "kernel", a module's name or a file's. */
static const char *place_of(const struct core_run *run, const struct skep_btf *btf)
{
	const struct skep_kmodule *m;

	skep_vec_each (&run->kt.modules, m)
		if (m->btf == btf)
			return m->name;
	return run->file ? run->args->btf : "kernel";
}

/* A value in the terms of its relocation. */
static void put_value(char *buf, size_t size, uint32_t kind, uint64_t val)
{
	switch (kind) {
	case BPF_CORE_FIELD_BYTE_OFFSET: snprintf(buf, size, "byte %" PRIu64, val); break;
	case BPF_CORE_FIELD_BYTE_SIZE:
	case BPF_CORE_TYPE_SIZE: snprintf(buf, size, "%" PRIu64 " bytes", val); break;
	case BPF_CORE_FIELD_SIGNED: snprintf(buf, size, val ? "signed" : "unsigned"); break;
	case BPF_CORE_FIELD_EXISTS:
	case BPF_CORE_TYPE_EXISTS:
	case BPF_CORE_ENUMVAL_EXISTS: snprintf(buf, size, val ? "there" : "not there"); break;
	case BPF_CORE_TYPE_MATCHES: snprintf(buf, size, val ? "matches" : "no match"); break;
	case BPF_CORE_TYPE_ID_LOCAL:
	case BPF_CORE_TYPE_ID_TARGET: snprintf(buf, size, "type [%" PRIu64 "]", val); break;
	case BPF_CORE_ENUMVAL_VALUE: snprintf(buf, size, "%" PRId64, (int64_t)val); break;
	default: snprintf(buf, size, "%" PRIu64, val);
	}
}

static int resolve(struct core_run *run, struct account *a, struct skep_err *err)
{
	uint32_t left = a->func->nr_insns - a->insn;
	const char *access = skep_btf_str(run->obj->btf, a->relo->access_str_off);
	char text[256], *end, *what;
	uint32_t col;
	int ret;

	skep_core_describe(run->core, a->relo, text, sizeof(text));
	what = strstr(text, "> ");
	what = what ? what + 2 : text;
	end = strrchr(what, '('); /* the access: told apart */
	end = end && end > what ? end - 1 : NULL;
	snprintf(a->what, sizeof(a->what), "%.*s", (int)(end ? end - what : 255), what);
	a->access = access;
	if (!skep_obj_source(run->obj, a->func, a->insn, &a->file, &a->text, &a->line, &col))
		a->file = NULL;
	a->code = &a->func->insns[a->insn];
	memcpy(a->patched, a->code, (left < 2 ? left : 2) * sizeof(*a->code));
	a->err.insn = -1;
	ret = skep_core_resolve(run->core, a->relo, &a->res, &a->err);
	if (ret == 0)
		ret = skep_core_patch(a->patched, left, a->insn, 0, &a->res, &a->err);
	if (ret == -ENOMEM)
		return skep_fail_nomem(err);
	a->outcome = ret < 0				   ? FAILED
		     : a->patched->imm == SKEP_CORE_POISON ? POISONED
		     : memcmp(a->patched, a->code, (left < 2 ? left : 2) * sizeof(*a->code)) ? SET
											     : SAME;
	run->count[a->outcome]++;
	return skep_core_explain(run->core, a->relo, &a->tried, &a->nr_tried, err);
}

static void print_tried(const struct core_run *run, const struct account *a,
			const struct skep_core_tried *t)
{
	const struct btf_type *type = skep_btf_type(t->btf, t->id);
	const char *word = skep_core_type_word(type);
	char value[64];

	printf("    %s [%u] %s%s%s: ", place_of(run, t->btf), t->id, word, *word ? " " : "",
	       skep_btf_name(t->btf, t->id));
	put_value(value, sizeof(value), a->relo->kind, t->val);
	switch (t->verdict) {
	case SKEP_CORE_FITS: printf("fits, %s\n", value); break;
	case SKEP_CORE_UNFIT: printf("left out: %s\n", t->why); break;
	case SKEP_CORE_DROPPED:
		printf("left out: it lacks what an earlier relocation of the type found "
		       "elsewhere\n");
		break;
	}
}

static void print_outcome(const struct core_run *run, const struct account *a)
{
	char was[64], now[64];

	put_value(was, sizeof(was), a->relo->kind, a->res.old_val);
	put_value(now, sizeof(now), a->relo->kind, a->res.new_val);
	switch (a->outcome) {
	case FAILED: printf("    => failed: %s\n", a->err.msg); break;
	case POISONED:
		printf("    => %s: the instruction is poisoned; a program that can get there is "
		       "refused\n",
		       a->res.bad_size ? "the field's size differs, and no load of the kind "
					 "fits both"
				       : "nothing fits");
		break;
	case SAME: printf("    => %s, as compiled\n", now); break;
	default:
		printf("    => %s instead of %s", now, was);
		if (a->patched->code != a->code->code)
			printf(", loading %u bytes instead of %u", a->res.new_size,
			       a->res.old_size);
		putchar('\n');
	}
}

static void print_text(const struct core_run *run, const struct account *a)
{
	const char *slash;
	size_t i;

	printf("%s:%u", a->func->name, a->insn);
	if (a->file) {
		slash = strrchr(a->file, '/');
		printf("  %s:%u: %s", slash ? slash + 1 : a->file, a->line,
		       a->text + strspn(a->text, " \t"));
	}
	printf("\n  %s of %s (%s)\n", skep_core_kind_name(a->relo->kind), a->what, a->access);
	for (i = 0; i < a->nr_tried; i++)
		print_tried(run, a, &a->tried[i]);
	if (!a->nr_tried && a->relo->kind != BPF_CORE_TYPE_ID_LOCAL && a->outcome != FAILED)
		printf("    no type of that name and kind in %s\n",
		       run->file ? run->args->btf : "the kernel and its modules");
	print_outcome(run, a);
}

static void add_str(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

static void add_int(struct json_object *o, const char *key, int64_t value)
{
	json_object_object_add(o, key, json_object_new_int64(value));
}

static struct json_object *tried_json(const struct core_run *run, const struct skep_core_tried *t)
{
	static const char *const verdicts[] = {"fits", "unfit", "dropped"};
	struct json_object *o = json_object_new_object();

	add_str(o, "from", place_of(run, t->btf));
	add_int(o, "id", t->id);
	add_str(o, "name", skep_btf_name(t->btf, t->id));
	add_str(o, "verdict", verdicts[t->verdict]);
	if (t->verdict == SKEP_CORE_UNFIT)
		add_str(o, "why", t->why);
	else
		add_int(o, "value", (int64_t)t->val);
	return o;
}

static void print_json(const struct core_run *run, const struct account *a)
{
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	size_t i;

	add_str(o, "function", a->func->name);
	add_str(o, "section", a->func->sec);
	add_int(o, "insn", a->insn);
	if (a->file) {
		add_str(o, "file", a->file);
		add_int(o, "line", a->line);
		add_str(o, "source", a->text);
	}
	add_str(o, "kind", skep_core_kind_name(a->relo->kind));
	add_str(o, "what", a->what);
	add_int(o, "type", a->relo->type_id);
	add_str(o, "access", a->access);
	for (i = 0; i < a->nr_tried; i++)
		json_object_array_add(list, tried_json(run, &a->tried[i]));
	json_object_object_add(o, "candidates", list);
	add_str(o, "outcome", outcome_names[a->outcome]);
	if (a->outcome == FAILED) {
		add_str(o, "error", a->err.msg);
	} else {
		add_int(o, "compiled", (int64_t)a->res.old_val);
		if (a->outcome != POISONED)
			add_int(o, "value", (int64_t)a->res.new_val);
	}
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static int explain(struct core_run *run, const struct skep_obj_func *func,
		   const struct skep_obj_relo *relo, struct skep_err *err)
{
	struct account a = {
		.func = func, .insn = relo->insn, .relo = &run->obj->core[relo->target]};
	int ret = resolve(run, &a, err);

	if (ret == 0 && (run->insn < 0 || run->insn == relo->insn)) {
		if (run->args->json)
			print_json(run, &a);
		else
			print_text(run, &a);
	} else if (ret == 0) {
		run->count[a.outcome]--;
	}
	free(a.tried);
	skep_err_deinit(&a.err);
	return ret;
}

/* Of a function all are resolved, as the loader does; those asked for are printed. */
static int explain_all(struct core_run *run, struct skep_err *err)
{
	const struct skep_obj_func *func;
	uint32_t i, k, n = 0, known = 0;
	int ret = 0;

	for (i = 0; i < run->obj->nr_funcs && ret == 0; i++) {
		func = &run->obj->funcs[i];
		if (*run->func && strcmp(func->name, run->func) != 0)
			continue;
		known++;
		for (k = 0; k < func->nr_relos && ret == 0; k++)
			if (func->relos[k].kind == SKEP_RELO_CORE)
				ret = explain(run, func, &func->relos[k], err);
	}
	for (i = 0; i < NR_OUTCOMES; i++)
		n += run->count[i];
	if (ret < 0)
		return ret;
	if (!known)
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "%s: no function '%s'",
				 run->args->path, run->func);
	if (!n && run->args->which)
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
				 "%s: no CO-RE relocation at '%s'; without it all are shown",
				 run->args->path, run->args->which);
	if (!run->args->json)
		printf("%u relocations: %u set, %u unchanged, %u poisoned, %u failed\n", n,
		       run->count[SET], run->count[SAME], run->count[POISONED], run->count[FAILED]);
	return 0;
}

static int split_which(struct core_run *run, struct skep_err *err)
{
	const char *which = run->args->which, *colon = which ? strrchr(which, ':') : NULL;
	char *end;

	run->insn = -1;
	if (!which)
		return 0;
	snprintf(run->func, sizeof(run->func), "%.*s",
		 (int)(colon ? (size_t)(colon - which) : strlen(which)), which);
	if (!colon)
		return 0;
	run->insn = strtol(colon + 1, &end, 10);
	if (end == colon + 1 || *end || run->insn < 0)
		return skep_fail(err, SKEP_E_USAGE, EINVAL,
				 "'%s': expected PROGRAM:INSN with an instruction's number", which);
	return 0;
}

static int open_target(struct core_run *run, struct skep_err *err)
{
	int ret = run->args->btf ? skep_btf_open_file(&run->file, run->args->btf, NULL, err)
				 : skep_ktypes_open(&run->kt, err);

	if (ret < 0)
		return ret;
	run->core = skep_core_create(run->obj->btf, run->file ? run->file : run->kt.kernel, err);
	if (!run->core)
		return -ENOMEM;
	if (!run->file)
		skep_core_set_more(run->core, skep_ktypes_module, &run->kt);
	return skep_core_prepare(run->core, run->obj->core, run->obj->nr_core, err);
}

int btf_core(struct skep_cli *cli, const struct btf_core_args *args, struct skep_err *err)
{
	struct core_run run = {.args = args};
	struct skep_file file = {0};
	int ret = split_which(&run, err);

	if (ret == 0)
		ret = skep_file_open(&file, args->path, err);
	if (ret == 0)
		ret = skep_obj_open(&run.obj, file.data, file.len, args->path, &cli->log, err);
	if (ret == 0 && !run.obj->btf)
		ret = skep_fail(err, SKEP_E_BTF_MISSING, ENOENT,
				"%s: has no types, so no CO-RE relocations; compile with -g",
				args->path);
	if (ret == 0)
		ret = open_target(&run, err);
	if (ret == 0)
		ret = explain_all(&run, err);
	skep_core_destroy(run.core);
	skep_btf_destroy(run.file);
	skep_ktypes_deinit(&run.kt);
	skep_obj_destroy(run.obj);
	skep_file_close(&file);
	return ret;
}
