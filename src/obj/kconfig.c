/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's configuration as its build left it: lines of NAME=VALUE in
 * /proc/config.gz (CONFIG_IKCONFIG_PROC) or in what the package put to /boot.
 * The file is read at once: an object that asks for one value mostly asks for
 * several.
 */
#include "obj/kconfig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <zlib.h>

#define MAX_CONFIG (16u << 20)

static char *read_gz(const char *path)
{
	size_t len = 0, cap = 1u << 18;
	gzFile f = gzopen(path, "r"); /* reads plain files as well */
	char *text = f ? malloc(cap) : NULL, *more;
	int n = 0;

	while (text && (n = gzread(f, text + len, (unsigned int)(cap - len - 1))) > 0) {
		len += (size_t)n;
		if (cap - len > 1)
			continue;
		more = cap < MAX_CONFIG ? realloc(text, cap *= 2) : NULL;
		if (!more) {
			free(text);
			text = NULL;
			break;
		}
		text = more;
	}
	if (f)
		gzclose(f);
	if (text && n < 0) {
		free(text);
		return NULL;
	}
	if (text)
		text[len] = '\0';
	return text;
}

static int index_lines(struct skep_kconfig *config)
{
	char *line, *next, *eq;

	for (line = config->text; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		eq = strchr(line, '=');
		if (*line == '#' || !eq)
			continue;
		*eq = '\0';
		if (skep_hash_sets(&config->values, line, eq + 1))
			return -ENOMEM;
	}
	return 0;
}

int skep_kconfig_open(struct skep_kconfig *config, const char *path, struct skep_err *err)
{
	char boot[sizeof(((struct utsname *)0)->release) + 32];
	struct utsname uts;

	memset(config, 0, sizeof(*config));
	uname(&uts);
	snprintf(boot, sizeof(boot), "/boot/config-%s", uts.release);
	config->text = read_gz(path ? path : "/proc/config.gz");
	if (!config->text && !path)
		config->text = read_gz(boot);
	if (!config->text)
		return path ? skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
					"%s: cannot be read as a kernel configuration", path)
			    : skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
					"the kernel's configuration is neither in "
					"/proc/config.gz nor in %s",
					boot);
	return index_lines(config) ? skep_fail_nomem(err) : 0;
}

void skep_kconfig_deinit(struct skep_kconfig *config)
{
	skep_hash_deinit(&config->values);
	free(config->text);
	config->text = NULL;
}

const char *skep_kconfig_get(const struct skep_kconfig *config, const char *name)
{
	return skep_hash_gets(&config->values, name);
}

/* Ubuntu and Debian release under one number what they build from a later one. */
