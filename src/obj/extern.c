/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an object takes from the kernel: options of .kconfig, variables and
 * functions of .ksyms.
 *
 * Options are laid out in one frozen array in libbpf's order (alignment
 * falling, size rising, name), so that the verifier sees their values as
 * constants and prunes what they switch off.  Typed variables and functions
 * become ids of the kernel's BTF or of a module's, untyped ones addresses
 * from /proc/kallsyms.  What is missing is a failure of the programs that use
 * it, unless it is weak.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "btf/core.h"
#include "isa/uapi.h"
#include "obj/kconfig.h"
#include "obj/load_int.h"
#include "sys/uapi.h"

/* What libbpf's enum libbpf_tristate calls them. */
enum tristate { TRI_NO, TRI_YES, TRI_MODULE };

static int fail_extern(struct skep_load *load, uint32_t i, const char *fmt, const char *a)
{
	char msg[400];

	snprintf(msg, sizeof(msg), fmt, load->obj->externs[i].name, a);
	load->externs[i].why = skep_arena_strdup(&load->arena, msg);
	return load->externs[i].why ? 0 : -ENOMEM;
}

static bool *find_used(struct skep_load *load)
{
	bool *used = skep_arena_array(&load->arena, load->obj->nr_externs, sizeof(*used));
	const struct skep_obj_func *func;
	uint32_t i, k;

	for (i = 0; used && i < load->obj->nr_funcs; i++) {
		func = &load->funcs[i];
		for (k = 0; load->needed[i] && k < func->nr_relos; k++)
			if (func->relos[k].kind == SKEP_RELO_EXTERN)
				used[func->relos[k].target] = true;
	}
	return used;
}

/* -- .kconfig */

struct option {
	uint32_t ext, size, align;
	const char *name;
};

static int cmp_option(const void *a, const void *b)
{
	const struct option *x = a, *y = b;

	if (x->align != y->align)
		return x->align > y->align ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* Does the engine know bpf_get_attach_cookie() for kprobes? */
static bool has_cookie(struct skep_load *load)
{
	struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_attach_cookie},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_KPROBE;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = SKEP_ARRAY_SIZE(insns);
	attr.license = (uintptr_t) "GPL";
	fd = skep_sys_bpf(load->sys, BPF_PROG_LOAD, &attr,
			  offsetof(union bpf_attr, expected_attach_type) + 4);
	skep_sys_close(load->sys, fd);
	return fd >= 0;
}

static bool has_syscall_wrapper(void)
{
	char line[256], name[200];
	bool found = false;
	FILE *f = fopen("/proc/kallsyms", "re");

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%*s %*s %199s", name) == 1 && strstr(name, "_sys_bpf") &&
			!strncmp(name, "__", 2) && strncmp(name, "__sys", 5) != 0;
	if (f)
		fclose(f);
	return found;
}

static int put_number(unsigned char *to, const struct option *o, bool is_signed, const char *text)
{
	unsigned int bits = 8 * o->size;
	char *end;
	uint64_t v;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || end == text || *end)
		return -EINVAL;
	if (bits < 64 && is_signed ? (int64_t)v != (int64_t)(v << (64 - bits)) >> (64 - bits)
				   : bits < 64 && v >> bits)
		return -ERANGE;
	memcpy(to, &v, o->size);
	return 0;
}

static int put_tristate(unsigned char *to, const struct option *o, const struct skep_btf *btf,
			const struct btf_type *t, char val)
{
	uint64_t v = val == 'y' ? TRI_YES : val == 'm' ? TRI_MODULE : TRI_NO;

	switch (skep_btf_kind(t)) {
	case BTF_KIND_ENUM: break;
	case BTF_KIND_INT:
		if (BTF_INT_ENCODING(skep_btf_int(t)) & BTF_INT_BOOL) {
			if (val == 'm')
				return -EINVAL;
			break;
		}
		if (o->size != 1)
			return -EINVAL;
		v = (unsigned char)val;
		break;
	default: return -EINVAL;
	}
	memcpy(to, &v, o->size);
	return 0;
}

static int put_text(unsigned char *to, const struct option *o, const struct skep_btf *btf,
		    const struct btf_type *t, const char *text)
{
	size_t len = strlen(text);

	if (skep_btf_kind(t) != BTF_KIND_ARRAY || !skep_btf_is_char(btf, skep_btf_array(t)->type) ||
	    len < 2 || text[len - 1] != '"')
		return -EINVAL;
	len -= 2;
	if (len >= o->size)
		return -ERANGE;
	memcpy(to, text + 1, len);
	return 0;
}

static int put_value(struct skep_load *load, const struct option *o, unsigned char *to,
		     const char *text)
{
	const struct skep_btf *btf = load->obj->btf;
	const struct btf_type *t = skep_btf_resolve(btf, load->obj->externs[o->ext].type, NULL);

	if (!t || (o->size > 8 && skep_btf_kind(t) != BTF_KIND_ARRAY))
		return -EINVAL;
	if (*text == '"')
		return put_text(to, o, btf, t, text);
	if (!text[1] && strchr("ymn", *text) && *text)
		return put_tristate(to, o, btf, t, *text);
	if (skep_btf_kind(t) != BTF_KIND_INT && skep_btf_kind(t) != BTF_KIND_ENUM)
		return -EINVAL;
	return put_number(to, o, skep_btf_is_signed(btf, load->obj->externs[o->ext].type), text);
}

/* What only the loader knows, not the configuration. */
static bool put_virtual(struct skep_load *load, const struct option *o, unsigned char *to)
{
	uint64_t v;

	if (!strcmp(o->name, "LINUX_KERNEL_VERSION"))
		v = skep_kernel_version();
	else if (!strcmp(o->name, "LINUX_HAS_BPF_COOKIE"))
		v = has_cookie(load);
	else if (!strcmp(o->name, "LINUX_HAS_SYSCALL_WRAPPER"))
		v = has_syscall_wrapper();
	else
		return false;
	memcpy(to, &v, o->size < 8 ? o->size : 8);
	return true;
}

static int set_option(struct skep_load *load, struct skep_kconfig *config, const char *no_config,
		      const struct option *o, unsigned char *to)
{
	const char *text;
	int ret;

	if (put_virtual(load, o, to))
		return 0;
	text = no_config ? NULL : skep_kconfig_get(config, o->name);
	if (!text && load->obj->externs[o->ext].weak)
		return 0;
	if (!text && no_config)
		return fail_extern(load, o->ext, "needs the kernel's option %s, but %s", no_config);
	if (!text)
		return fail_extern(load, o->ext,
				   "needs the kernel's option %s, which this kernel was built "
				   "without; declare it __weak to read 0 then%s",
				   "");
	ret = put_value(load, o, to, text);
	if (!ret)
		return 0;
	return fail_extern(load, o->ext,
			   ret == -ERANGE
				   ? "the kernel's option %s is %s, which does not fit the "
				     "type that the program declares for it"
				   : "the kernel's option %s is %s, which is of another kind "
				     "than the program declares",
			   text);
}

/* Options of all programs: their offsets do not depend on which programs load. */
static int list_options(struct skep_load *load, struct option *opts, uint32_t *n)
{
	const struct skep_obj *obj = load->obj;
	int64_t size;
	uint32_t i;
	int align;

	*n = 0;
	for (i = 0; i < obj->nr_externs; i++) {
		if (obj->externs[i].kind != SKEP_EXTERN_KCONFIG)
			continue;
		size = skep_btf_sizeof(obj->btf, obj->externs[i].type);
		align = skep_btf_alignof(obj->btf, obj->externs[i].type);
		if (size <= 0 || align <= 0 || size > 65536) {
			if (fail_extern(load, i,
					"the kernel's option %s is declared with a type "
					"without a size%s",
					""))
				return -ENOMEM;
			continue;
		}
		opts[(*n)++] =
			(struct option){i, (uint32_t)size, (uint32_t)align, obj->externs[i].name};
	}
	qsort(opts, *n, sizeof(*opts), cmp_option);
	return 0;
}

/* The configuration is opened only for an option that needs it. */
static int fill_options(struct skep_load *load, const struct option *opts, uint32_t n,
			const bool *used, unsigned char *data)
{
	SKEP_AUTO(skep_kconfig_deinit) struct skep_kconfig config = {0};
	struct skep_err cerr = SKEP_ERR_INIT;
	const char *no_config = NULL;
	bool opened = false;
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i < n; i++) {
		if (!used[opts[i].ext])
			continue;
		if (!opened && strncmp(opts[i].name, "CONFIG_", 7) == 0) {
			opened = true;
			if (skep_kconfig_open(&config, load->opts.kconfig, &cerr))
				no_config = cerr.msg;
		}
		ret = set_option(load, &config, opened ? no_config : "it is no option (CONFIG_...)",
				 &opts[i], data + load->externs[opts[i].ext].off);
	}
	skep_err_deinit(&cerr);
	return ret;
}

static int load_options(struct skep_load *load, const bool *used, struct skep_err *err)
{
	const struct skep_obj *obj = load->obj;
	struct skep_obj_map map = {.name = ".kconfig",
				   .type = BPF_MAP_TYPE_ARRAY,
				   .key_size = 4,
				   .max_entries = 1,
				   .flags = BPF_F_MMAPABLE | BPF_F_RDONLY_PROG};
	struct option *opts = skep_arena_array(&load->arena, obj->nr_externs, sizeof(*opts));
	uint32_t i, n, off = 0;
	bool any = false;

	if (!opts || list_options(load, opts, &n))
		return skep_fail_nomem(err);
	for (i = 0; i < n; i++) {
		off = (off + opts[i].align - 1) / opts[i].align * opts[i].align;
		load->externs[opts[i].ext].off = off;
		off += opts[i].size;
		any |= used[opts[i].ext];
	}
	if (!any)
		return 0;
	map.value_size = off;
	map.init = skep_arena_alloc(&load->arena, off);
	if (!map.init || fill_options(load, opts, n, used, map.init))
		return skep_fail_nomem(err);
	load->kconfig_map = skep_load_own_map(load, &map);
	return load->kconfig_map == SKEP_NO_MAP ? skep_fail_nomem(err) : 0;
}

/* -- .ksyms */

static bool is_void(const struct skep_btf *btf, uint32_t type)
{
	return !btf || !type || skep_btf_skip(btf, type, false) == 0;
}

/* One walk of /proc/kallsyms for all untyped symbols. */
static int load_addresses(struct skep_load *load, const bool *used)
{
	const struct skep_obj *obj = load->obj;
	char line[512], name[400];
	uint32_t i, left = 0;
	uint64_t addr;
	FILE *f;

	for (i = 0; i < obj->nr_externs; i++)
		left += used[i] && obj->externs[i].kind == SKEP_EXTERN_KSYM &&
			!obj->externs[i].func && is_void(obj->btf, obj->externs[i].type);
	f = left ? fopen("/proc/kallsyms", "re") : NULL;
	while (f && left && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx %*c %399s", &addr, name) != 2)
			continue;
		for (i = 0; i < obj->nr_externs; i++) {
			struct skep_load_extern *e = &load->externs[i];

			if (!used[i] || obj->externs[i].kind != SKEP_EXTERN_KSYM || e->found ||
			    obj->externs[i].func || !is_void(obj->btf, obj->externs[i].type) ||
			    strcmp(name, obj->externs[i].name) != 0)
				continue;
			e->found = true;
			e->addr = addr;
			left--;
		}
	}
	if (f)
		fclose(f);
	for (i = 0; left && i < obj->nr_externs; i++)
		if (used[i] && obj->externs[i].kind == SKEP_EXTERN_KSYM && !obj->externs[i].func &&
		    is_void(obj->btf, obj->externs[i].type) && !load->externs[i].found &&
		    !obj->externs[i].weak &&
		    fail_extern(load, i,
				"needs the kernel's symbol '%s', which this kernel does not have "
				"(/proc/kallsyms); declare it __weak to run without%s",
				""))
			return -ENOMEM;
	return 0;
}

/* Is the kernel's function or variable @id of the type that this object declares for it? */
static bool fits(const struct skep_load *load, const struct skep_obj_extern *ext,
		 const struct skep_btf *where, uint32_t id)
{
	uint32_t l, r;

	return skep_btf_resolve(load->obj->btf, ext->type, &l) &&
	       skep_btf_resolve(where, skep_btf_type(where, id)->type, &r) &&
	       skep_core_types_fit(load->obj->btf, l, where, r) > 0;
}

/* Where a module's function or variable comes from: its place in fd_array, or a descriptor. */
static int find_module(struct skep_load *load, bool func, int index, struct skep_err *err)
{
	int fd = skep_ktypes_fd(&load->types, (size_t)index, err);
	size_t i;

	if (fd < 0 || !func)
		return fd;
	/* Place 0 stands for the kernel itself. */
	if (!load->fd_array.len && skep_vec_push(&load->fd_array, 0))
		return -ENOMEM;
	for (i = 1; i < load->fd_array.len; i++)
		if (load->fd_array.data[i] == fd)
			return (int)i;
	return skep_vec_push(&load->fd_array, fd) ? -ENOMEM : (int)i;
}

static int found_typed(struct skep_load *load, uint32_t i, const struct skep_btf *where, int index,
		       int id)
{
	const struct skep_obj_extern *ext = &load->obj->externs[i];
	struct skep_load_extern *e = &load->externs[i];
	struct skep_err err = SKEP_ERR_INIT;
	int ret = 0;

	if (!fits(load, ext, where, (uint32_t)id))
		return ext->weak
			       ? 0
			       : fail_extern(load, i,
					     "the kernel has '%s', but with another %s than this "
					     "object declares: take the declaration from vmlinux.h "
					     "of this kernel",
					     ext->func ? "prototype" : "type");
	if (index >= 0)
		ret = find_module(load, ext->func, index, &err);
	if (ret < 0 && ret != -ENOMEM)
		ret = fail_extern(load, i, "needs '%s' of a module: %s", err.msg);
	else if (ret >= 0)
		*e = (struct skep_load_extern){
			.found = true, .btf_id = (uint32_t)id, .btf_fd = ret, .off = e->off};
	skep_err_deinit(&err);
	return ret < 0 ? ret : 0;
}

/* A variable or function with a type: its id in the kernel's BTF, or in that of a module. */
static int find_typed(struct skep_load *load, uint32_t i, struct skep_err *err)
{
	const struct skep_obj_extern *ext = &load->obj->externs[i];
	const struct skep_btf *where;
	char name[256];
	int id, index;

	snprintf(name, sizeof(name), "%.*s", (int)skep_btf_essential_len(ext->name), ext->name);
	id = skep_ktypes_find(&load->types, NULL, name, ext->func ? BTF_KIND_FUNC : BTF_KIND_VAR,
			      &where, &index, err);
	if (id > 0)
		return found_typed(load, i, where, index, id);
	if (id != -ENOENT || (err && err->tag != SKEP_E_NONE))
		return id;
	if (ext->weak)
		return 0;
	return fail_extern(load, i,
			   ext->func
				   ? "calls the kernel's function '%s', which this kernel does "
				     "not offer to BPF, nor any of its modules that are loaded; "
				     "declare it __weak to run without%s"
				   : "needs the kernel's variable '%s', which this kernel's types "
				     "do not have (only per-CPU variables are there); declare it "
				     "__weak to run without%s",
			   "");
}

int skep_load_externs(struct skep_load *load, struct skep_err *err)
{
	const struct skep_obj *obj = load->obj;
	const bool *used = find_used(load);
	uint32_t i;
	int ret;

	load->kconfig_map = SKEP_NO_MAP;
	load->externs = skep_arena_array(&load->arena, obj->nr_externs, sizeof(*load->externs));
	if (!used || !load->externs)
		return skep_fail_nomem(err);
	ret = load_options(load, used, err);
	if (ret)
		return ret;
	if (load_addresses(load, used))
		return skep_fail_nomem(err);
	for (i = 0; i < obj->nr_externs; i++) {
		if (!used[i] || obj->externs[i].kind == SKEP_EXTERN_KCONFIG ||
		    (!obj->externs[i].func && is_void(obj->btf, obj->externs[i].type)))
			continue;
		ret = find_typed(load, i, err);
		if (ret)
			return ret == -ENOMEM
				       ? skep_fail_nomem(err)
				       : skep_wrap(err, ret, "%s: '%s' needs the kernel's types",
						   obj->name, obj->externs[i].name);
	}
	return 0;
}

/* Puts extern @i into @insn. */
int skep_extern_resolve(struct skep_load *load, uint32_t i, struct bpf_insn *insn,
			struct skep_err *err)
{
	const struct skep_obj_extern *ext = &load->obj->externs[i];
	const struct skep_load_extern *e = &load->externs[i];
	bool call = insn->code == (BPF_JMP | BPF_CALL);

	if (e->why)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, ENOENT, "%s", e->why);
	if (call && ext->kind != SKEP_EXTERN_KSYM)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "calls '%s', which is no function of this object or the kernel; "
				 "link the object that defines it to this one (skep link)",
				 ext->name);
	if (ext->kind == SKEP_EXTERN_NONE && !ext->weak)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, ENOENT,
				 "needs '%s', which this object only declares; link the object "
				 "that defines it to this one (skep link)",
				 ext->name);
	if (call) {
		*insn = (struct bpf_insn){.code = BPF_JMP | BPF_CALL};
		insn->src_reg = e->found ? BPF_PSEUDO_KFUNC_CALL : 0;
		insn->imm = (int32_t)(e->found ? e->btf_id : SKEP_POISON_KFUNC + i);
		insn->off = (int16_t)e->btf_fd;
		return 0;
	}
	if (ext->kind == SKEP_EXTERN_KCONFIG) {
		insn[0].src_reg = BPF_PSEUDO_MAP_VALUE;
		insn[0].imm = load->loaded->maps[load->kconfig_map].fd;
		insn[1].imm = (int32_t)e->off;
	} else if (e->btf_id) {
		insn[0].src_reg = BPF_PSEUDO_BTF_ID;
		insn[0].imm = (int32_t)e->btf_id;
		insn[1].imm = e->btf_fd;
	} else {
		insn[0].src_reg = 0;
		insn[0].imm = (int32_t)e->addr;
		insn[1].imm = (int32_t)(e->addr >> 32);
	}
	return 0;
}
