/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int exit;
	const char *what;
} tags[] = {
#define SKEP_ERROR(tag, exit, what) [SKEP_E_##tag] = {"E_" #tag, exit, what},
#include "base/errors.def"
#undef SKEP_ERROR
};

void skep_err_deinit(struct skep_err *err)
{
	if (!err)
		return;
	free(err->detail);
	*err = (struct skep_err)SKEP_ERR_INIT;
}

int skep_fail(struct skep_err *err, enum skep_tag tag, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err || err->tag != SKEP_E_NONE)
		return -code;
	err->tag = tag;
	err->err = code;
	va_start(ap, fmt);
	vsnprintf(err->msg, sizeof(err->msg), fmt, ap);
	va_end(ap);
	return -code;
}

int skep_fail_nomem(struct skep_err *err)
{
	return skep_fail(err, SKEP_E_NOMEM, ENOMEM, "out of memory");
}

int skep_wrap(struct skep_err *err, int ret, const char *fmt, ...)
{
	char context[512], old[SKEP_ERR_MSG];
	va_list ap;

	if (!err)
		return ret;
	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
	if (err->tag == SKEP_E_NONE)
		return skep_fail(err, SKEP_E_SYSTEM, -ret, "%s: %s", context, strerror(-ret));
	memcpy(old, err->msg, sizeof(old));
	/* The context is the part that may be cut: the cause stands last. */
	snprintf(err->msg, sizeof(err->msg), "%.*s: %.*s", 300, context,
		 (int)sizeof(err->msg) - 304, old);
	return ret;
}

void skep_err_take_detail(struct skep_err *err, char *text)
{
	if (!err) {
		free(text);
		return;
	}
	free(err->detail);
	err->detail = text;
}

const char *skep_tag_name(enum skep_tag tag)
{
	return (unsigned int)tag < SKEP_E_MAX ? tags[tag].name : "E_?";
}

int skep_tag_exit(enum skep_tag tag)
{
	return (unsigned int)tag < SKEP_E_MAX ? tags[tag].exit : 1;
}

const char *skep_errno_name(int code)
{
	const char *name = strerrorname_np(code);

	return name ? name : "E?";
}
