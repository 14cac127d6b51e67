/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One link to many functions: kprobe.multi and uprobe.multi, their return
 * probes and sessions.
 *
 * A pattern has * and ?.  The kernel's functions come from the engine's list
 * of those that can be probed; the kernel wants each name once.
 *
 * Where a kernel has no such link (for its functions without fprobe, for those
 * of a file before 6.6), each gets a probe of its own, up to a number.  The
 * program must have been loaded as an ordinary kprobe program, see
 * skep_event_attach_type().
 */
#include "event/attach.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "event/sym.h"
#include "event/symfile.h"
#include "sys/feature.h"
#include "sys/uapi.h"

#define MULTI_RETURN 1 /* BPF_F_KPROBE_MULTI_RETURN, BPF_F_UPROBE_MULTI_RETURN */
#define SINGLE_MAX   256 /* functions probed one by one: two descriptors each */

static bool is_pattern(const char *s)
{
	return strpbrk(s, "*?");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Reads all of the list of functions into @text. */
static int read_functions(const struct skep_attach *a, struct skep_buf *text, struct skep_err *err)
{
	struct skep_event ev = {.kind = SKEP_EVENT_FUNCTIONS, .pid = -1, .cpu = -1};
	int fd = skep_sys_event(a->sys, &ev), n = fd;
	char chunk[16384];

	while (fd >= 0 && (n = skep_sys_read(a->sys, fd, chunk, sizeof(chunk))) > 0)
		skep_buf_add(text, chunk, (size_t)n);
	skep_sys_close(a->sys, fd);
	if (n < 0)
		return skep_attach_refused(a, n, "the list of functions that can be probed", err);
	return text->oom ? skep_fail_nomem(err) : 0;
}

struct names {
	SKEP_VEC(const char *) v;
};

/* The lines of @text ("NAME" or "NAME [MODULE]") that match, each name once. */
static int match_functions(struct skep_buf *text, const char *pattern, struct names *names)
{
	char *line, *next = text->data;
	size_t i, n = 0;

	while (next && *next) {
		line = next;
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		line[strcspn(line, " \t")] = '\0';
		if (line[0] && !fnmatch(pattern, line, 0) && skep_vec_push(&names->v, line) < 0)
			return -ENOMEM;
	}
	if (!names->v.len)
		return 0;
	qsort(names->v.data, names->v.len, sizeof(*names->v.data), by_name);
	for (i = 0; i < names->v.len; i++)
		if (!i || strcmp(names->v.data[i], names->v.data[n - 1]))
			names->v.data[n++] = names->v.data[i];
	names->v.len = n;
	return 0;
}

/* What one link would have held: names of functions, or offsets in a file. */
struct many {
	struct skep_event ev;
	const char *const *syms; /* NULL: offsets */
	const uint64_t *offsets;
	size_t n;
	const char *lacks; /* why there is no such link */
};

/* Each through a probe of its own; what cannot be probed is left out. */
static int probe_singly(const struct skep_attach *a, struct many *m, struct skep_links *links,
			struct skep_err *err)
{
	struct skep_err why = SKEP_ERR_INIT;
	size_t i, done = 0;
	char what[512];
	int ret;

	if (m->n > SINGLE_MAX)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "program '%s': '%s' matches %zu functions; this kernel %s, so "
				 "that each takes a probe of its own, and skep sets at most %u; "
				 "take a narrower pattern",
				 a->prog, a->args, m->n, m->lacks, SINGLE_MAX);
	for (i = 0; i < m->n; i++) {
		if (m->syms) {
			m->ev.kprobe.func = m->syms[i];
			snprintf(what, sizeof(what), "%s/%s: %s", a->def->sec, a->args, m->syms[i]);
		} else {
			m->ev.uprobe.offset = m->offsets[i];
			snprintf(what, sizeof(what), "%s/%s: offset %#llx", a->def->sec, a->args,
				 (unsigned long long)m->offsets[i]);
		}
		ret = skep_attach_to_event(a, &m->ev, links, what, &why);
		if (ret < 0 && (ret == -EMFILE || ret == -EOPNOTSUPP || done + m->n == i + 1))
			return skep_fail(err, why.tag, why.err, "%s", why.msg);
		if (ret < 0)
			skep_warn(a->log, "%s", why.msg);
		else
			done++;
		skep_err_deinit(&why);
	}
	skep_info(a->log, "program '%s': %s/%s: %zu probes one by one (this kernel %s)", a->prog,
		  a->def->sec, a->args, done, m->lacks);
	return 0;
}

static int link_functions(const struct skep_attach *a, const char *const *syms, size_t n,
			  bool ret_probe, struct skep_links *links, struct skep_err *err)
{
	struct skep_link_create lc = {.attach_type = a->def->attach_type};
	const char *since = lc.attach_type == BPF_TRACE_KPROBE_SESSION ? "6.10" : "5.18";
	struct skep_err why = SKEP_ERR_INIT;
	char what[320];
	int ret;

	lc.kprobe_multi.flags = ret_probe ? MULTI_RETURN : 0;
	lc.kprobe_multi.cnt = (uint32_t)n;
	lc.kprobe_multi.syms = (uintptr_t)syms;
	snprintf(what, sizeof(what), "%s/%s", a->def->sec, a->args);
	ret = skep_attach_link(a, &lc, since, "CONFIG_FPROBE", links, what, &why);
	/* An engine that leaves a sentence means it; the kernel says just this without fprobe. */
	if (ret == -EOPNOTSUPP && !a->sys->why[0] && lc.attach_type == BPF_TRACE_KPROBE_MULTI) {
		struct many m = {
			.ev = {.kind = SKEP_EVENT_KPROBE, .pid = -1, .cpu = -1},
			.syms = syms,
			.n = n,
			.lacks = "was built without CONFIG_FPROBE",
		};

		m.ev.kprobe.ret = ret_probe;
		skep_err_deinit(&why);
		return probe_singly(a, &m, links, err);
	}
	return ret < 0 ? skep_fail(err, why.tag, why.err, "%s", why.msg) : ret;
}

static int attach_kprobe_multi(const struct skep_attach *a, bool ret_probe,
			       struct skep_links *links, struct skep_err *err)
{
	SKEP_AUTO(skep_buf_deinit) struct skep_buf text = SKEP_BUF_INIT;
	struct names names = {0};
	int ret;

	if (!is_pattern(a->args))
		return link_functions(a, &a->args, 1, ret_probe, links, err);
	ret = read_functions(a, &text, err);
	if (ret < 0)
		return ret;
	ret = match_functions(&text, a->args, &names);
	if (ret < 0)
		skep_fail_nomem(err);
	else if (!names.v.len)
		ret = skep_fail(err, SKEP_E_ATTACH, ENOENT,
				"program '%s': no function of the kernel that can be probed "
				"matches '%s'",
				a->prog, a->args);
	else
		ret = link_functions(a, names.v.data, names.v.len, ret_probe, links, err);
	skep_vec_deinit(&names.v);
	return ret;
}

int skep_attach_kprobe_multi(const struct skep_attach *a, struct skep_links *links,
			     struct skep_err *err)
{
	return attach_kprobe_multi(a, false, links, err);
}

int skep_attach_kretprobe_multi(const struct skep_attach *a, struct skep_links *links,
				struct skep_err *err)
{
	return attach_kprobe_multi(a, true, links, err);
}

struct places {
	const struct skep_symfile *file;
	const char *pattern;
	SKEP_VEC(uint64_t) offsets;
};

static int add_place(void *ctx, const struct skep_symfile_sym *sym)
{
	struct places *p = ctx;
	uint64_t offset, *it;
	char name[512];

	/* A .symtab's names carry their versions. */
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(sym->name, "@"), sym->name);
	if (fnmatch(p->pattern, name, 0) || !skep_symfile_offset(p->file, sym->addr, &offset))
		return 0;
	skep_vec_each (&p->offsets, it)
		if (*it == offset)
			return 0;
	return skep_vec_push(&p->offsets, offset);
}

static int find_places(const char *path, const char *pattern, struct places *p,
		       struct skep_err *err)
{
	struct skep_symfile file = {0};
	uint64_t offset;
	int ret;

	p->pattern = pattern;
	if (!is_pattern(pattern)) {
		char func[256];
		uint64_t start = 0;

		ret = skep_attach_split(pattern, func, sizeof(func), &offset);
		if (ret < 0)
			return skep_fail(err, SKEP_E_ATTACH, EINVAL, "'%s' is no FUNCTION[+OFFSET]",
					 pattern);
		ret = func[0] ? skep_sym_offset(path, func, &start, err) : 0;
		if (ret == 0 && skep_vec_push(&p->offsets, start + offset) < 0)
			ret = skep_fail_nomem(err);
		return ret;
	}
	ret = skep_symfile_open(&file, path, err);
	p->file = &file;
	if (ret == 0) {
		ret = skep_symfile_each(&file, add_place, p);
		if (ret < 0)
			skep_fail_nomem(err);
	}
	skep_symfile_close(&file);
	if (ret == 0 && !p->offsets.len)
		return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT, "%s: no function matches '%s'",
				 path, pattern);
	return ret;
}

static int link_places(const struct skep_attach *a, const char *path, const struct places *p,
		       bool ret_probe, struct skep_links *links, struct skep_err *err)
{
	struct skep_link_create lc = {.attach_type = a->def->attach_type};
	const char *since = lc.attach_type == BPF_TRACE_UPROBE_SESSION ? "6.13" : "6.6";
	struct skep_err why = SKEP_ERR_INIT;
	pid_t pid = skep_attach_pid(a);
	char what[512];
	int ret;

	lc.uprobe_multi.path = (uintptr_t)path;
	lc.uprobe_multi.offsets = (uintptr_t)p->offsets.data;
	lc.uprobe_multi.cnt = (uint32_t)p->offsets.len;
	lc.uprobe_multi.flags = ret_probe ? MULTI_RETURN : 0;
	lc.uprobe_multi.pid = pid > 0 ? (uint32_t)pid : 0;
	snprintf(what, sizeof(what), "%s/%s", a->def->sec, a->args);
	ret = skep_attach_link(a, &lc, since, "CONFIG_UPROBES", links, what, &why);
	if (ret == -EINVAL && !a->sys->why[0] && lc.attach_type == BPF_TRACE_UPROBE_MULTI &&
	    !skep_feature(a->sys, SKEP_FEATURE_UPROBE_MULTI)) {
		struct many m = {
			.ev = {.kind = SKEP_EVENT_UPROBE, .pid = pid, .cpu = -1},
			.offsets = p->offsets.data,
			.n = p->offsets.len,
			.lacks = "has no links to many functions of a file, which came with 6.6",
		};

		m.ev.uprobe.path = path;
		m.ev.uprobe.ret = ret_probe;
		skep_err_deinit(&why);
		return probe_singly(a, &m, links, err);
	}
	return ret < 0 ? skep_fail(err, why.tag, why.err, "%s", why.msg) : ret;
}

static int attach_uprobe_multi(const struct skep_attach *a, bool ret_probe,
			       struct skep_links *links, struct skep_err *err)
{
	const char *colon = strrchr(a->args, ':');
	SKEP_AUTO_FREE char *name = NULL, *path = NULL;
	struct places p = {0};
	int ret;

	if (!colon || colon == a->args || !colon[1])
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': a %s is %s, as in \"%s/libc.so.6:*alloc\", "
				 "not \"%s\"",
				 a->prog, a->def->sec, a->def->args, a->def->sec, a->args);
	name = strndup(a->args, (size_t)(colon - a->args));
	if (!name)
		return skep_fail_nomem(err);
	path = skep_sym_file_of(name, a->running ? a->pid : 0, err);
	if (!path)
		return skep_wrap(err, -ENOENT, "program '%s'", a->prog);
	ret = find_places(path, colon + 1, &p, err);
	if (ret < 0)
		skep_wrap(err, ret, "program '%s'", a->prog);
	else
		ret = link_places(a, path, &p, ret_probe, links, err);
	skep_vec_deinit(&p.offsets);
	return ret;
}

int skep_attach_uprobe_multi(const struct skep_attach *a, struct skep_links *links,
			     struct skep_err *err)
{
	return attach_uprobe_multi(a, false, links, err);
}

int skep_attach_uretprobe_multi(const struct skep_attach *a, struct skep_links *links,
				struct skep_err *err)
{
	return attach_uprobe_multi(a, true, links, err);
}
