/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of event.def: finding the row of a section name, and attaching by
 * it.  What differs between kinds lives in the attach_*.c files.
 */
#include "event/event.h"

#include <errno.h>
#include <linux/btf.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/near.h"
#include "btf/btf.h"
#include "event/attach.h"
#include "sys/uapi.h"

static const struct skep_event_def defs[] = {
#define SKEP_EVENT(sec, args, prog, attach, flags, btf, how) \
	{sec, args, BPF_PROG_TYPE_##prog, attach, flags, btf, how},
#include "event/event.def"
#undef SKEP_EVENT
};

/* What follows @def's name in @sec: "" or after the slash; NULL: another row's. */
static const char *match(const struct skep_event_def *def, const char *sec)
{
	size_t n = strlen(def->sec);

	if (strncmp(sec, def->sec, n))
		return NULL;
	if (sec[n] == '\0')
		return sec + n;
	return def->args && sec[n] == '/' ? sec + n + 1 : NULL;
}

static int unknown(const char *sec, struct skep_err *err)
{
	size_t i, head = strcspn(sec, "/");
	struct skep_near near;
	char text[320], kind[64];

	skep_near_init(&near, sec);
	for (i = 0; i < SKEP_ARRAY_SIZE(defs); i++) {
		if (sec[head] && !defs[i].args && strlen(defs[i].sec) == head &&
		    !memcmp(defs[i].sec, sec, head))
			return skep_fail(err, SKEP_E_OBJ_SECTION, EINVAL,
					 "SEC(\"%s\"): nothing may follow \"%s\"", sec,
					 defs[i].sec);
		skep_near_add(&near, defs[i].sec);
	}
	skep_near_text(&near, text, sizeof(text));
	if (!near.n && head < sizeof(kind)) {
		/* "kprob/do_exit": what stands before the slash may be near. */
		memcpy(kind, sec, head);
		kind[head] = '\0';
		skep_near_init(&near, kind);
		for (i = 0; i < SKEP_ARRAY_SIZE(defs); i++)
			skep_near_add(&near, defs[i].sec);
		skep_near_text(&near, text, sizeof(text));
	}
	return skep_fail(err, SKEP_E_OBJ_SECTION, EINVAL,
			 "SEC(\"%s\") is no kind of program that is known%s", sec, text);
}

/* The longest name that @sec only starts with, as libbpf 0.x looked. */
static const struct skep_event_def *find_sloppy(const char *sec)
{
	const struct skep_event_def *found = NULL;
	size_t i, n, best = 0;

	for (i = 0; i < SKEP_ARRAY_SIZE(defs); i++) {
		n = strlen(defs[i].sec);
		if (!(defs[i].flags & SKEP_EV_SLOPPY) || n <= best || strncmp(sec, defs[i].sec, n))
			continue;
		/* Not any letter, as there: "xdpp" is a slip, "xdp.frag" another. */
		if (sec[n] != '/' && sec[n] != '_' && !(sec[n] >= '0' && sec[n] <= '9'))
			continue;
		best = n;
		found = &defs[i];
	}
	return found;
}

bool skep_event_is_old(const struct skep_event_def *def, const char *sec)
{
	return def->flags & SKEP_EV_OLD || !match(def, sec + (sec[0] == '?'));
}

const struct skep_event_def *skep_event_find(const char *sec, const char **args,
					     struct skep_err *err)
{
	const struct skep_event_def *old;
	const char *rest;
	size_t i;

	/* SEC("?...") marks a program that is not loaded unless asked for. */
	if (sec[0] == '?')
		sec++;
	for (i = 0; i < SKEP_ARRAY_SIZE(defs); i++) {
		rest = match(&defs[i], sec);
		if (!rest)
			continue;
		*args = rest;
		return &defs[i];
	}
	old = find_sloppy(sec);
	if (old) {
		*args = "";
		return old;
	}
	unknown(sec, err);
	return NULL;
}

const struct skep_event_def *skep_event_at(size_t i)
{
	return i < SKEP_ARRAY_SIZE(defs) ? &defs[i] : NULL;
}

int skep_links_add(struct skep_links *links, int fd)
{
	return skep_vec_push(&links->fds, fd);
}

static void close_from(struct skep_links *links, size_t len, struct skep_sys *sys)
{
	while (links->fds.len > len)
		skep_sys_close(sys, links->fds.data[--links->fds.len]);
}

void skep_links_deinit(struct skep_links *links, struct skep_sys *sys)
{
	/* Last opened, first closed: a link goes before the event below it. */
	close_from(links, 0, sys);
	skep_vec_deinit(&links->fds);
}

int skep_attach_prog(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	size_t before = links->fds.len;
	int ret;

	if (a->def->args && !a->args[0])
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': SEC(\"%s\") does not say where to attach; "
				 "write SEC(\"%s/%s\"), or --attach %s=%s/...",
				 a->prog, a->def->sec, a->def->sec, a->def->args, a->prog,
				 a->def->sec);
	ret = a->def->attach(a, links, err);
	if (ret < 0)
		close_from(links, before, a->sys);
	return ret;
}

/* Offers the names of @kind that start with @prefix, without it. */
static void offer_types(const struct skep_btf *kernel, uint32_t kind, const char *prefix,
			struct skep_near *near)
{
	struct skep_btf_iter it = {.btf = kernel};
	size_t n = strlen(prefix);
	const char *name;

	while (skep_btf_next(&it)) {
		if (skep_btf_kind(it.t) != kind)
			continue;
		name = skep_btf_name(kernel, it.id);
		if (!strncmp(name, prefix, n))
			skep_near_add(near, name + n);
	}
}

int skep_event_btf_id(const struct skep_event_def *def, const char *args,
		      const struct skep_btf *kernel, struct skep_err *err)
{
	/* A raw tracepoint's type is the typedef of its callback; the others are functions. */
	uint32_t kind = def->attach_type == BPF_TRACE_RAW_TP ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC;
	char name[256], text[400];
	struct skep_near near;
	int id;

	if (!args[0])
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "SEC(\"%s\") does not say where to attach; write SEC(\"%s/%s\")",
				 def->sec, def->sec, def->args);
	if (snprintf(name, sizeof(name), "%s%s", def->btf_prefix, args) >= (int)sizeof(name))
		return skep_fail(err, SKEP_E_NOT_FOUND, ENAMETOOLONG,
				 "SEC(\"%s/%.64s...\"): the name is too long", def->sec, args);
	id = skep_btf_find(kernel, name, kind, 0);
	if (id > 0)
		return id;
	skep_near_init(&near, args);
	offer_types(kernel, kind, def->btf_prefix, &near);
	return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
			 "SEC(\"%s/%s\"): the kernel's BTF has no %s '%s'%s%s", def->sec, args,
			 kind == BTF_KIND_TYPEDEF ? "tracepoint" : "function", args,
			 skep_near_text(&near, text, sizeof(text)),
			 kind == BTF_KIND_FUNC ? "; functions that were inlined or renamed cannot "
						 "be attached to: take one that calls it"
					       : "");
}
