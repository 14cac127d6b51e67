/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What declaration tags of an object's functions ask of the loader:
 * "exception_callback:NAME" on a program names the function that bpf_throw()
 * ends in.  No instruction calls it, so it would not come along otherwise.
 */
#include <string.h>

#include "btf/btf.h"
#include "obj/elf.h"

#define EXCEPTION "exception_callback:"

static struct skep_obj_func *func_of_type(struct skep_obj *obj, uint32_t type)
{
	uint32_t i;

	for (i = 0; i < obj->nr_funcs; i++)
		if (obj->funcs[i].type == type)
			return &obj->funcs[i];
	return NULL;
}

static void set_callback(struct skep_obj *obj, struct skep_obj_func *prog, const char *name)
{
	uint32_t i;

	for (i = 0; i < obj->nr_funcs; i++)
		if (!obj->funcs[i].is_prog && obj->funcs[i].global &&
		    !strcmp(obj->funcs[i].name, name))
			break;
	if (i == obj->nr_funcs)
		skep_warn(obj->log,
			  "%s: program '%s': its exception callback '%s' is no global function of "
			  "this object that is not hidden",
			  obj->name, prog->name, name);
	else
		prog->exception_cb = i + 1;
}

void skep_elf_read_tags(struct skep_elf *elf)
{
	struct skep_btf_iter it = {.btf = elf->obj->btf};
	struct skep_obj_func *prog;
	const char *tag;

	while (it.btf && skep_btf_next(&it)) {
		if (skep_btf_kind(it.t) != BTF_KIND_DECL_TAG ||
		    skep_btf_decl_tag(it.t)->component_idx != -1)
			continue;
		tag = skep_btf_str(it.btf, it.t->name_off);
		prog = strncmp(tag, EXCEPTION, strlen(EXCEPTION)) != 0
			       ? NULL
			       : func_of_type(elf->obj, it.t->type);
		if (prog && prog->is_prog)
			set_callback(elf->obj, prog, tag + strlen(EXCEPTION));
	}
}
