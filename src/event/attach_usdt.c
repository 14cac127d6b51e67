/* SPDX-License-Identifier: BSD-2-Clause */
/* Attaching to static probes: a uprobe each place, its arguments' specification by cookie. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "event/attach.h"
#include "event/sym.h"
#include "event/usdt.h"

/* The index of @spec in the object's map, where it is put if it is new.  >= 0 or -errno. */
static int spec_id(const struct skep_attach *a, const struct skep_usdt_spec *spec,
		   struct skep_err *err)
{
	struct skep_usdt *usdt = a->usdt;
	union bpf_attr attr;
	uint32_t id;
	int ret;

	for (id = 0; id < usdt->specs.len; id++)
		if (!memcmp(&usdt->specs.data[id], spec, sizeof(*spec)))
			return (int)id;
	if (id >= usdt->max)
		return skep_fail(err, SKEP_E_ATTACH, E2BIG,
				 "program '%s': more than %u different probes; define "
				 "BPF_USDT_MAX_SPEC_CNT before including bpf/usdt.bpf.h",
				 a->prog, usdt->max);
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)usdt->specs_fd;
	attr.key = (uintptr_t)&id;
	attr.value = (uintptr_t)spec;
	ret = skep_sys_bpf(a->sys, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
	if (ret < 0)
		return skep_attach_refused(a, ret, "map '__bpf_usdt_specs'", err);
	return skep_vec_push(&usdt->specs, *spec) < 0 ? skep_fail_nomem(err) : (int)id;
}

/* Kernels without cookies: the probe is known by its address in the process. */
static int add_ip(const struct skep_attach *a, const char *path,
		  const struct skep_usdt_place *place, uint32_t id, struct skep_err *err)
{
	uint64_t ip = place->addr;
	union bpf_attr attr;
	int ret;

	if (place->relocatable && (!a->running || a->pid <= 0))
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "program '%s': %s/%s: this kernel has no cookies for programs "
				 "(Linux 5.15), and %s may be mapped anywhere; name a running "
				 "process that has it (-p PID)",
				 a->prog, a->def->sec, a->args, path);
	ret = place->relocatable ? skep_sym_mapped_at(path, place->offset, a->pid, &ip) : 0;
	if (ret < 0)
		return skep_fail(err, SKEP_E_NOT_FOUND, -ret,
				 "program '%s': %s/%s: process %d has not mapped %s (%s)", a->prog,
				 a->def->sec, a->args, (int)a->pid, path, strerror(-ret));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)a->usdt->ips_fd;
	attr.key = (uintptr_t)&ip;
	attr.value = (uintptr_t)&id;
	ret = skep_sys_bpf(a->sys, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
	return ret < 0 ? skep_attach_refused(a, ret, "map '__bpf_usdt_ip_to_spec_id'", err) : 0;
}

/* Arguments that the program will get -EINVAL for. */
static void tell_limits(const struct skep_attach *a, const struct skep_usdt_place *place)
{
	int i;

	if (!a->usdt)
		return;
	if (place->unread[0])
		skep_warn(a->log,
			  "program '%s': %s/%s: argument %s, which usdt.bpf.h cannot read: "
			  "bpf_usdt_arg() will give -EINVAL for it",
			  a->prog, a->def->sec, a->args, place->unread);
	for (i = 0; i < place->spec.nr_args && !a->usdt->has_sib; i++)
		if ((place->spec.args[i].type & 0xff) == SKEP_USDT_SIB)
			skep_warn(a->log,
				  "program '%s': %s/%s: argument %d is memory at two registers, "
				  "which only the usdt.bpf.h of libbpf 1.7 and later reads: "
				  "bpf_usdt_arg() will give -EINVAL for it",
				  a->prog, a->def->sec, a->args, i);
}

static int attach_place(const struct skep_attach *a, const char *path,
			const struct skep_usdt_place *place, struct skep_links *links,
			struct skep_err *err)
{
	struct skep_event ev = {
		.kind = SKEP_EVENT_UPROBE,
		.pid = skep_attach_pid(a),
		.cpu = -1,
		.uprobe = {.path = path, .offset = place->offset, .ref_ctr = place->semaphore},
	};
	int id = a->usdt ? spec_id(a, &place->spec, err) : 0;
	bool by_ip = a->usdt && a->usdt->ips_fd >= 0;
	char what[512];
	int ret;

	if (id < 0)
		return id;
	ret = by_ip ? add_ip(a, path, place, (uint32_t)id, err) : 0;
	if (ret < 0)
		return ret;
	tell_limits(a, place);
	snprintf(what, sizeof(what), "%s/%s", a->def->sec, a->args);
	return skep_attach_with_cookie(a, &ev, by_ip ? 0 : (uint64_t)id, links, what, err);
}

int skep_attach_usdt(const struct skep_attach *a, struct skep_links *links, struct skep_err *err)
{
	SKEP_AUTO_FREE char *text = strdup(a->args), *path = NULL;
	struct skep_usdt_places places = {0};
	struct skep_usdt_place *it;
	char *name, *provider = NULL;
	int ret;

	if (!text)
		return skep_fail_nomem(err);
	name = strrchr(text, ':');
	if (name) {
		*name++ = '\0';
		provider = strrchr(text, ':');
	}
	if (!provider || provider == text || !provider[1] || !*name)
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "program '%s': a %s is %s, as in \"%s/libc.so.6:libc:setjmp\", "
				 "not \"%s\"",
				 a->prog, a->def->sec, a->def->args, a->def->sec, a->args);
	*provider++ = '\0';
	path = skep_sym_file_of(text, a->running ? a->pid : 0, err);
	if (!path)
		return skep_wrap(err, -ENOENT, "program '%s'", a->prog);
	ret = skep_usdt_find(path, provider, name, &places, err);
	if (ret < 0)
		skep_wrap(err, ret, "program '%s'", a->prog);
	skep_vec_each (&places.v, it)
		if (ret == 0)
			ret = attach_place(a, path, it, links, err);
	skep_vec_deinit(&places.v);
	return ret;
}
