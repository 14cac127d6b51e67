/* SPDX-License-Identifier: BSD-2-Clause */
#include "event/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/near.h"
#include "sys/uapi.h"

static int fail_module(const struct skep_event_def *def, const char *args, const char *module,
		       struct skep_ktypes *kt, struct skep_err *err)
{
	const struct skep_kmodule *m;
	struct skep_near near;
	char text[400];

	skep_near_init(&near, module);
	skep_vec_each (&kt->modules, m) {
		if (!strcmp(m->name, module))
			return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
					 "SEC(\"%s/%s\"): the types of the module '%s' have no "
					 "'%s%s'; functions that were inlined or renamed cannot be "
					 "attached to: take one that calls it",
					 def->sec, args, module, def->btf_prefix,
					 args + strlen(module) + 1);
		skep_near_add(&near, m->name);
	}
	return skep_fail(err, SKEP_E_NOT_FOUND, ENOENT,
			 "SEC(\"%s/%s\"): no module '%s' with types is loaded (/sys/kernel/btf)%s; "
			 "load it with modprobe first",
			 def->sec, args, module, skep_near_text(&near, text, sizeof(text)));
}

int skep_event_target(const struct skep_event_def *def, const char *args, struct skep_ktypes *kt,
		      int *fd, struct skep_err *err)
{
	uint32_t kind = def->attach_type == BPF_TRACE_RAW_TP ? BTF_KIND_TYPEDEF : BTF_KIND_FUNC;
	const char *colon = strchr(args, ':'), *func = colon ? colon + 1 : args;
	char name[256], module[64] = "";
	const struct skep_btf *where;
	int ret, id, index = -1;

	*fd = 0;
	ret = skep_ktypes_open(kt, err);
	if (ret < 0)
		return ret;
	if (colon && (size_t)(colon - args) < sizeof(module))
		memcpy(module, args, (size_t)(colon - args));
	/* What is plainly wrong is told as for the kernel's own functions. */
	if (!*func ||
	    snprintf(name, sizeof(name), "%s%s", def->btf_prefix, func) >= (int)sizeof(name))
		return skep_event_btf_id(def, func, kt->kernel, err);
	id = skep_ktypes_find(kt, colon ? module : NULL, name, kind, &where, &index, err);
	if (id == -ENOENT && colon && strcmp(module, "vmlinux"))
		return fail_module(def, args, module, kt, err);
	if (id == -ENOENT)
		return skep_event_btf_id(def, func, kt->kernel, err);
	if (id < 0 || index < 0)
		return id;
	ret = skep_ktypes_fd(kt, (size_t)index, err);
	if (ret < 0)
		return skep_wrap(err, ret, "SEC(\"%s/%s\")", def->sec, args);
	*fd = ret;
	return id;
}

uint32_t skep_event_attach_type(const struct skep_event_def *def, struct skep_ktypes *kt)
{
	const char *func = def->attach_type == BPF_TRACE_KPROBE_MULTI ? "register_fprobe_ips"
			   : def->attach_type == BPF_TRACE_UPROBE_MULTI
				   ? "bpf_uprobe_multi_link_attach"
				   : NULL;

	if (!func || skep_ktypes_open(kt, NULL) < 0 ||
	    skep_btf_find(kt->kernel, func, BTF_KIND_FUNC, 0) > 0)
		return def->attach_type;
	return 0;
}
