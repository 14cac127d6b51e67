/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to functions of programs and libraries: uprobes and uretprobes. */
#include "event/attach.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/sym.h"

int skep_attach_split(const char *place, char *func, size_t size, uint64_t *offset)
{
	const char *plus = strrchr(place, '+'), *number = plus ? plus + 1 : place;
	char *end;

	*offset = 0;
	func[0] = '\0';
	errno = 0;
	if (plus || (place[0] >= '0' && place[0] <= '9')) {
		*offset = strtoull(number, &end, 0);
		if (errno || end == number || *end)
			return -EINVAL;
		if (!plus)
			return 0;
	}
	if ((size_t)snprintf(func, size, "%.*s", (int)(plus ? plus - place : INT_MAX), place) >=
	    size)
		return -EINVAL;
	return func[0] ? 0 : -EINVAL;
}

/* An inherited event carries no program: children are seen by an event of all processes. */
pid_t skep_attach_pid(const struct skep_attach *a)
{
	return a->filtered && !a->sys->scoped ? -1 : a->pid;
}

static int attach_uprobe(const struct skep_attach *a, struct skep_links *links, bool ret_probe,
			 struct skep_err *err)
{
	const char *colon = strrchr(a->args, ':');
	struct skep_event ev = {.kind = SKEP_EVENT_UPROBE, .pid = skep_attach_pid(a), .cpu = -1};
	SKEP_AUTO_FREE char *name = NULL, *path = NULL;
	char func[256], what[512];
	uint64_t offset, start = 0;

	if (!colon || colon == a->args ||
	    skep_attach_split(colon + 1, func, sizeof(func), &offset) < 0)
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': a %s is %s, as in \"%s/libc.so.6:malloc\", "
				 "not \"%s\"",
				 a->prog, a->def->sec, a->def->args, a->def->sec, a->args);
	if (ret_probe && offset && func[0])
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': a return probe takes no offset (\"%s\")", a->prog,
				 colon + 1);
	name = strndup(a->args, (size_t)(colon - a->args));
	if (!name)
		return skep_fail_nomem(err);
	path = skep_sym_file_of(name, a->running ? a->pid : 0, err);
	if (!path)
		return skep_wrap(err, -ENOENT, "program '%s'", a->prog);
	if (func[0]) {
		int ret = skep_sym_offset(path, func, &start, err);

		if (ret < 0)
			return skep_wrap(err, ret, "program '%s'", a->prog);
	}
	ev.uprobe.path = path;
	ev.uprobe.offset = start + offset;
	ev.uprobe.ret = ret_probe;
	snprintf(what, sizeof(what), "%s %s:%s", a->def->sec, path, colon + 1);
	return skep_attach_to_event(a, &ev, links, what, err);
}

int skep_attach_uprobe(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	return attach_uprobe(a, links, false, err);
}

int skep_attach_uretprobe(const struct skep_attach *a, struct skep_links *links,
			  struct skep_err *err)
{
	return attach_uprobe(a, links, true, err);
}
