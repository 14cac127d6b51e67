/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From a verifier's log to what a person can act on.
 *
 * The log's last words name the cause; the instructions before them are the
 * path that led there, which is told in source lines.  What usually helps
 * stands in a table of the kernel's messages (kernel/bpf/verifier.c), by a
 * part of them that has not changed between releases.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "btf/btf.h"
#include "btf/core.h"
#include "obj/load_int.h"
#include "sys/names.h"

#define PATH_INSNS 12

/* The more telling rows stand first. */
static const struct {
	const char *message, *advice;
} advices[] = {
	{"map_value_or_null",
	 "the look-up may have found nothing: test the pointer for NULL first"},
	{"mem_or_null", "the reservation may have failed: test the pointer for NULL first"},
	{"or_null_", "the pointer may be NULL: test it first"},
	{"_or_null'", "the pointer may be NULL: test it first"},
	{"invalid access to packet",
	 "compare the end of what is read with ctx->data_end before reading"},
	{"missing btf func_info", "callbacks need types: compile with -g"},
	{"GPL-restricted", "the helper is for GPL programs: char LICENSE[] SEC(\"license\") = "
			   "\"GPL\""},
	{"GPL compatible", "this needs a GPL licence: char LICENSE[] SEC(\"license\") = \"GPL\""},
	{"cannot use helper", "the helper is not for this kind of program: use another section "
			      "name, or another helper"},
	{"unknown func", "this kernel or this kind of program does not have the helper"},
	{"invalid func", "this kernel or this kind of program does not have the helper"},
	{"invalid mem access 'scalar'",
	 "a number is used as a pointer: read memory of the kernel with bpf_probe_read_kernel() or "
	 "BPF_CORE_READ(), that of the process with bpf_probe_read_user()"},
	{"invalid mem access 'inv'",
	 "a number is used as a pointer: read memory of the kernel with bpf_probe_read_kernel() or "
	 "BPF_CORE_READ(), that of the process with bpf_probe_read_user()"},
	{"R0 !read_ok", "the program ends without a return value on some path: return one"},
	{"!read_ok", "the variable is used before it is set, or across a call that destroys it"},
	{"back-edge", "this kernel wants loops unrolled: #pragma unroll, or bpf_loop()"},
	{"infinite loop", "bound the loop with a constant, or use bpf_loop()"},
	{"too large. Processed", "a loop has too many turns for the verifier: bound it tighter, or "
				 "use bpf_loop()"},
	{"sequence of", "too many branches: split the program, or use bpf_loop()"},
	{"misaligned", "read the field with a packed type or bpf_probe_read*()"},
	{"combined stack size", "put large variables into a per-CPU array map instead"},
	{"stack depth", "put large variables into a per-CPU array map instead"},
	{"invalid write to stack", "the stack ends at 512 bytes: check the index, or use a map"},
	{"invalid read from stack", "it reads outside of or before anything was put there: set the "
				    "variable (= {}) first"},
	{"indirect access to stack", "set the variable (= {}) before its address is passed on"},
	{"indirect read from stack", "set the variable (= {}) before its address is passed on"},
	{"invalid access to map value", "the offset may lie outside of the value: compare the "
					"index with the array's size before"},
	{"makes pkt pointer be out of bounds", "mask or compare the offset before adding it"},
	{"unbounded memory access", "the size has no upper limit: compare it, or mask it with & "
				    "(SIZE - 1)"},
	{"unbounded variable-offset", "the offset has no limit: compare it with one before"},
	{"min value is negative", "the number may be negative: make it unsigned, or test for < 0"},
	{"invalid zero-sized read", "the size may be 0: test for it before"},
	{"dereference of modified ctx", "use the context pointer itself, without adding to it"},
	{"invalid bpf_context access", "this kind of program's context has no such field there"},
	{"Unreleased reference", "what was reserved or acquired must be submitted, discarded or "
				 "released on every path"},
	{"unreachable insn", "remove the code that nothing leads to"},
	{"At program exit", "return one of the values this kind of program may return"},
	{"pointer comparison prohibited", "such pointers may not be compared"},
	{"leaks addr", "unprivileged programs may not store kernel addresses"},
	{"only read from bpf_array", "the map's content cannot be used like that"},
	{"write into map forbidden", "the variable is const: .rodata is frozen"},
	{"type=scalar expected=", "a pointer is wanted here, not a number"},
};

struct lines {
	SKEP_VEC(const char *) v;
	char *text;
};

static void lines_deinit(struct lines *lines)
{
	skep_vec_deinit(&lines->v);
	free(lines->text);
}

static int split(struct lines *lines, const char *log)
{
	char *p, *end;

	lines->text = strdup(log);
	if (!lines->text)
		return -ENOMEM;
	for (p = lines->text; *p; p = end) {
		end = strchrnul(p, '\n');
		if (*end)
			*end++ = '\0';
		if (skep_vec_push(&lines->v, p))
			return -ENOMEM;
	}
	return 0;
}

/* The index of an instruction line, "12: (85) call ..."; -1: another line. */
static long insn_of(const char *line)
{
	char *end;
	long n;

	if (!isdigit((unsigned char)*line))
		return -1;
	n = strtol(line, &end, 10);
	return end[0] == ':' && end[1] == ' ' && end[2] == '(' && isxdigit((unsigned char)end[3])
		       ? n
		       : -1;
}

/* Lines that tell what the verifier did, not what it thinks. */
static bool is_chatter(const char *line)
{
	static const char *const starts[] = {
		"processed ",
		"verification time",
		"stack depth",
		"mark_precise",
		"last_idx",
		"regs=",
		"from ",
		"propagating",
		"parent ",
		"Func#",
		"func#",
		"Validating ",
		"Live regs",
		"; ",
		"arg#",
		"caller:",
		"callee:",
		"max_states",
		"frame",
		"returning from callee",
		"to caller at",
		"old state:",
		"cur state:",
		"reg type",
		" ",
	};
	size_t i;

	if (!*line || insn_of(line) >= 0)
		return true;
	for (i = 0; i < SKEP_ARRAY_SIZE(starts); i++)
		if (!strncmp(line, starts[i], strlen(starts[i])))
			return true;
	/* "12: R0=..." and "R0=...": register states */
	line += strspn(line, "0123456789:");
	line += strspn(line, " ");
	return *line == 'R' && isdigit((unsigned char)line[1]) &&
	       (strchr(line, '=') && strcspn(line, "=") <= strcspn(line, " "));
}

/* The last line that is a judgement; its index, or -1. */
static long find_reason(const struct lines *lines)
{
	long i;

	for (i = (long)lines->v.len - 1; i >= 0; i--)
		if (!is_chatter(lines->v.data[i]))
			return i;
	return -1;
}

/* Which maps helpers take that do not take all, by what their names begin with. */
static const struct {
	const char *helper, *types;
} takes[] = {
	{"bpf_ringbuf_", "RINGBUF"},
	{"bpf_user_ringbuf_", "USER_RINGBUF"},
	{"bpf_perf_event_", "PERF_EVENT_ARRAY"},
	{"bpf_skb_output", "PERF_EVENT_ARRAY"},
	{"bpf_xdp_output", "PERF_EVENT_ARRAY"},
	{"bpf_get_stackid", "STACK_TRACE"},
	{"bpf_tail_call", "PROG_ARRAY"},
	{"bpf_redirect_map", "DEVMAP, DEVMAP_HASH, CPUMAP or XSKMAP"},
	{"bpf_map_push_elem", "QUEUE, STACK or BLOOM_FILTER"},
	{"bpf_map_pop_elem", "QUEUE or STACK"},
	{"bpf_map_peek_elem", "QUEUE, STACK or BLOOM_FILTER"},
	{"bpf_sk_storage_", "SK_STORAGE"},
	{"bpf_task_storage_", "TASK_STORAGE"},
	{"bpf_inode_storage_", "INODE_STORAGE"},
	{"bpf_cgrp_storage_", "CGRP_STORAGE"},
	{"bpf_get_local_storage", "CGROUP_STORAGE or PERCPU_CGROUP_STORAGE"},
	{"bpf_sk_select_reuseport", "REUSEPORT_SOCKARRAY, SOCKMAP or SOCKHASH"},
};

/* "cannot pass map_type 1 into func bpf_ringbuf_output#130" in names; false: another reason. */
static bool advise_map(const char *reason, char *buf, size_t size)
{
	const char *kind, *types = "another kind";
	unsigned int type;
	char helper[64];
	size_t i;

	if (sscanf(reason, "cannot pass map_type %u into func %63[^#]", &type, helper) != 2)
		return false;
	for (i = 0; i < SKEP_ARRAY_SIZE(takes); i++)
		if (!strncmp(helper, takes[i].helper, strlen(takes[i].helper)))
			types = takes[i].types;
	kind = skep_name(SKEP_NAME_MAP_TYPE, type);
	snprintf(buf, size,
		 "the map is a BPF_MAP_TYPE_%s, and %s() takes %s: change the map's "
		 "__uint(type, ...), or take another helper",
		 kind ? kind : "?", helper, types);
	return true;
}

static const char *find_advice(const struct lines *lines, long reason)
{
	size_t i;
	long k;

	/* Some judgements take two lines. */
	for (k = reason; k >= 0 && k > reason - 2 && insn_of(lines->v.data[k]) < 0; k--)
		for (i = 0; i < SKEP_ARRAY_SIZE(advices); i++)
			if (strstr(lines->v.data[k], advices[i].message))
				return advices[i].advice;
	return NULL;
}

/* What the verifier last knew of the register that @reason names, "R6=..."; false: nothing. */
static bool find_state(const struct lines *lines, long reason, char *out, size_t size)
{
	const char *r = lines->v.data[reason], *p = NULL, *q;
	char reg[8];
	int depth = 0;
	size_t n = 0;
	long i;

	if (r[0] != 'R' || !isdigit((unsigned char)r[1]))
		return false;
	snprintf(reg, sizeof(reg), "R%.*s",
		 (int)strspn(r + 1, "0123456789") > 2 ? 2 : (int)strspn(r + 1, "0123456789"),
		 r + 1);
	for (i = reason - 1; i >= 0 && !p; i--) {
		for (q = lines->v.data[i]; (q = strstr(q, reg)); q++) {
			const char *after = q + strlen(reg);

			if (*after == '=' || (!strncmp(after, "_w=", 3)) ||
			    (!strncmp(after, "_rw=", 4)))
				p = q;
		}
	}
	if (!p)
		return false;
	for (; *p && n + 1 < size && (depth > 0 || *p != ' '); p++) {
		depth += *p == '(';
		depth -= *p == ')';
		out[n++] = *p;
	}
	out[n] = '\0';
	return true;
}

/*
 * The last instructions before line @reason under the source lines they come
 * from, without the @own first ones, which are the loader's.
 */
static void tell_path(const struct skep_load *load, const struct skep_image *image, long own,
		      const struct lines *lines, long reason, struct skep_buf *buf)
{
	const char *file, *text, *base, *last_text = NULL;
	uint32_t line, last_line = 0;
	long i, first = reason, n = 0;
	char mark[32];

	for (i = reason - 1; i >= 0 && n < PATH_INSNS; i--) {
		if (insn_of(lines->v.data[i]) < 0)
			continue;
		if (insn_of(lines->v.data[i]) < own)
			break;
		n++;
		first = i;
	}
	snprintf(mark, sizeof(mark), "unknown#%d", SKEP_CORE_POISON);
	for (i = first; i < reason; i++) {
		const char *l = lines->v.data[i];
		int len = (int)strcspn(l, ";");

		/* The mark of what is missing says nothing to anybody. */
		if (insn_of(l) < 0 || strstr(l, mark))
			continue;
		if (skep_image_source(load, image, (uint32_t)insn_of(l), &file, &text, &line) &&
		    (line != last_line || text != last_text)) {
			base = strrchr(file, '/');
			skep_buf_printf(buf, "%s:%u: %s\n", base ? base + 1 : file, line,
					text + strspn(text, " \t"));
			last_line = line;
			last_text = text;
		}
		while (len && isspace((unsigned char)l[len - 1]))
			len--;
		skep_buf_printf(buf, "    %.*s\n", len, l);
	}
}

/*
 * The CO-RE record of instruction @insn of @image, if @reason says that it is
 * the mark of one that fits nothing; the mark itself says no more.
 */
static const struct bpf_core_relo *find_poison(const struct skep_load *load,
					       const struct skep_image *image, const char *reason,
					       long insn)
{
	const char *hash = strrchr(reason, '#');
	const struct skep_image_func *place;
	const struct skep_obj_func *func;
	uint32_t i, at;

	if (!hash || strtoul(hash + 1, NULL, 10) != SKEP_CORE_POISON || insn < 0)
		return NULL;
	skep_vec_each (&image->funcs, place) {
		if (insn < place->start || insn >= (long)place->start + place->nr)
			continue;
		func = &load->funcs[place->func];
		at = (uint32_t)insn - place->start;
		/* Both halves of a 64-bit immediate are marked. */
		for (i = func->nr_relos; i--;)
			if (func->relos[i].kind == SKEP_RELO_CORE && func->relos[i].insn <= at)
				return at - func->relos[i].insn < 2
					       ? &load->obj->core[func->relos[i].target]
					       : NULL;
	}
	return NULL;
}

static const char *guard_for(uint32_t kind)
{
	switch (kind) {
	case BPF_CORE_ENUMVAL_EXISTS:
	case BPF_CORE_ENUMVAL_VALUE: return "bpf_core_enum_value_exists()";
	case BPF_CORE_TYPE_ID_TARGET:
	case BPF_CORE_TYPE_EXISTS:
	case BPF_CORE_TYPE_SIZE:
	case BPF_CORE_TYPE_MATCHES: return "bpf_core_type_exists()";
	default: return "bpf_core_field_exists()";
	}
}

/* "uses struct task_struct.pid, which ...", of what @rec asks for in vain. */
static void tell_poison(const struct skep_load *load, const struct bpf_core_relo *rec, char *buf,
			size_t size)
{
	struct skep_core *core = skep_core_create(load->obj->btf, NULL, NULL);
	const char *what = "", *end;
	char text[256];

	/* "<byte_off> struct task_struct.pid (0:52)": the middle is what people know. */
	if (core) {
		what = skep_core_describe(core, rec, text, sizeof(text));
		what += strcspn(what, ">") + (strchr(what, '>') ? 2 : 0);
	}
	skep_core_destroy(core);
	end = strstr(what, " (");
	snprintf(buf, size, "uses %.*s, which %s%s does not have; guard it with %s",
		 (int)(end ? (size_t)(end - what) : strlen(what)), what,
		 load->opts.btf ? "the BTF of " : "this kernel",
		 load->opts.btf ? load->opts.btf : "", guard_for(rec->kind));
}

void skep_load_note(const struct skep_load *load, const struct skep_image *image, int fd)
{
	const struct skep_image_func *place;
	const struct skep_obj_relo *relo;
	const struct bpf_insn *insn;
	char text[512];
	uint32_t i, at;

	skep_vec_each (&image->funcs, place) {
		for (i = 0; i < load->funcs[place->func].nr_relos; i++) {
			relo = &load->funcs[place->func].relos[i];
			at = place->start + relo->insn;
			insn = &image->insns.data[at];
			if (relo->kind != SKEP_RELO_CORE || insn->imm != SKEP_CORE_POISON ||
			    insn->code != (BPF_JMP | BPF_CALL))
				continue;
			tell_poison(load, &load->obj->core[relo->target], text, sizeof(text));
			skep_sys_note(load->sys, fd, at, text);
		}
	}
}

/* The same for a map that was not created, and for a weak function that is not there. */
static bool fail_absent(const struct skep_load *load, const struct skep_obj_func *func,
			const char *reason, const char *where, int ret, struct skep_err *err)
{
	const char *hash = strrchr(reason, '#');
	unsigned long n = hash ? strtoul(hash + 1, NULL, 10) : 0;

	if (n >= SKEP_POISON_MAP && n - SKEP_POISON_MAP < load->obj->nr_maps)
		skep_fail(err, SKEP_E_PROG_REJECTED, -ret,
			  "%s: program '%s': %suses map '%s', which is not created",
			  load->obj->name, func->name, where,
			  load->obj->maps[n - SKEP_POISON_MAP].name);
	else if (n >= SKEP_POISON_KFUNC && n - SKEP_POISON_KFUNC < load->obj->nr_externs)
		skep_fail(err, SKEP_E_OBJ_SYMBOL, -ret,
			  "%s: program '%s': %scalls the kernel's function '%s', which this "
			  "kernel does not offer to BPF; guard the call with bpf_ksym_exists()",
			  load->obj->name, func->name, where,
			  load->obj->externs[n - SKEP_POISON_KFUNC].name);
	else
		return false;
	return true;
}

static void fill_place(struct skep_err *err, long insn, const char *file, uint32_t line)
{
	if (!err)
		return;
	err->insn = (int)insn;
	if (file) {
		snprintf(err->file, sizeof(err->file), "%s", file);
		err->line = (int)line;
	}
}

void skep_load_explain(const struct skep_load *load, const struct skep_image *image,
		       const struct skep_obj_func *func, int ret, const char *log,
		       struct skep_err *err)
{
	SKEP_AUTO(lines_deinit) struct lines lines = {0};
	SKEP_AUTO(skep_buf_deinit) struct skep_buf buf = SKEP_BUF_INIT;
	const char *file = NULL, *text, *advice, *base;
	const struct bpf_core_relo *poison;
	long reason, insn = -1, i;
	char state[256], where[192] = "", what[512], maps[320];
	uint32_t line = 0;

	if (split(&lines, log) || (reason = find_reason(&lines)) < 0) {
		skep_fail(err, SKEP_E_PROG_REJECTED, -ret,
			  "%s: program '%s' was rejected (%s) without a reason", load->obj->name,
			  func->name, skep_errno_name(-ret));
		return;
	}
	for (i = reason; i >= 0 && insn < 0; i--)
		insn = insn_of(lines.v.data[i]);
	if (insn >= 0 && skep_image_source(load, image, (uint32_t)insn, &file, &text, &line)) {
		base = strrchr(file, '/');
		snprintf(where, sizeof(where), "%s:%u: ", base ? base + 1 : file, line);
	} else {
		file = NULL;
	}
	advice = advise_map(lines.v.data[reason], maps, sizeof(maps)) ? maps
								      : find_advice(&lines, reason);
	/* The engine may know that it is no matter of the program. */
	if (advice && load->sys->why[0] && strstr(advice, "helper"))
		advice = load->sys->why;
	poison = find_poison(load, image, lines.v.data[reason], insn);
	if (poison)
		tell_poison(load, poison, what, sizeof(what));
	if (poison)
		skep_fail(err, SKEP_E_CORE_UNRESOLVED, -ret, "%s: program '%s': %s%s",
			  load->obj->name, func->name, where, what);
	else if (!fail_absent(load, func, lines.v.data[reason], where, ret, err))
		skep_fail(err, SKEP_E_PROG_REJECTED, -ret, "%s: program '%s': %s%s%s%s",
			  load->obj->name, func->name, where, lines.v.data[reason],
			  advice ? "; " : "", advice ? advice : "");
	fill_place(err, insn, file, line);
	tell_path(load, image, skep_scope_insns(load, func), &lines, reason, &buf);
	/* Without a path the sentence says it all. */
	if (buf.len && !poison)
		skep_buf_printf(&buf, "%s\n", lines.v.data[reason]);
	if (find_state(&lines, reason, state, sizeof(state)))
		skep_buf_printf(&buf, "What is known there: %s\n", state);
	skep_err_take_detail(err, skep_buf_take(&buf));
}
