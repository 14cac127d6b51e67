/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables of functions (struct_ops) on this kernel.
 *
 * The object's struct and the kernel's of the same name are matched member by
 * member: numbers and text are copied to where the kernel has them, programs
 * learn which member they are, and what this kernel lacks must be zero.  The
 * kernel reads the table as a value of its struct bpf_struct_ops_NAME, once
 * its programs are loaded (kernel/bpf/bpf_struct_ops.c).
 *
 * A table is registered by a link, which ends with its descriptor.  Before 6.4
 * there are none: then writing the value registers and deleting it ends that.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "btf/btf.h"
#include "obj/load_int.h"
#include "sys/uapi.h"

#define VALUE_PREFIX "bpf_struct_ops_"

/* A table of the object, and where it goes. */
struct table {
	struct skep_load *load;
	const struct skep_obj_map *map;
	struct skep_load_ops *ops;
	const struct skep_btf *btf; /* the kernel's, or a module's */
	const struct btf_type *local, *kern;
};

/* One of its members. */
struct member {
	const char *name;
	uint32_t index, kern; /* in the object's struct, in the kernel's */
	uint32_t off, kern_off; /* bytes into the object's struct, into the kernel's value */
	uint32_t type, kern_type; /* BTF ids, resolved */
};

static int fail_table(const struct table *t, int ret, struct skep_err *err)
{
	return skep_wrap(err, ret, "%s: struct_ops '%s'", t->load->obj->name, t->map->name);
}

static int fail_member(const struct member *m, const char *what, struct skep_err *err)
{
	return skep_fail(err, SKEP_E_MAP_CREATE, ENOTSUP, "member '%s' %s", m->name, what);
}

/* Finds the kernel's struct and the one that wraps it for the map's value. */
static int find_types(struct table *t, struct skep_err *err)
{
	const char *name = skep_btf_name(t->load->obj->btf, t->map->value_type);
	int len = (int)skep_btf_essential_len(name), id, value, module = -1;
	struct skep_ktypes *kt = &t->load->types;
	const struct btf_type *vt;
	char text[256];
	uint32_t i, width;

	snprintf(text, sizeof(text), VALUE_PREFIX "%.*s", len, name);
	value = skep_ktypes_find(kt, NULL, text, BTF_KIND_STRUCT, &t->btf, &module, err);
	if (value < 0 && (value != -ENOENT || (err && err->tag != SKEP_E_NONE)))
		return value;
	id = value < 0 ? value
		       : skep_btf_find(t->btf, text + strlen(VALUE_PREFIX), BTF_KIND_STRUCT, 0);
	if (id < 0)
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "this kernel takes no struct %.*s from programs (its types have "
				 "no struct %s)",
				 len, name, text);
	if (module >= 0) {
		t->ops->btf_fd = skep_ktypes_fd(kt, (size_t)module, err);
		if (t->ops->btf_fd < 0)
			return t->ops->btf_fd;
	}
	vt = skep_btf_type(t->btf, (uint32_t)value);
	t->kern = skep_btf_type(t->btf, (uint32_t)id);
	t->ops->type = (uint32_t)id;
	t->ops->value_type = (uint32_t)value;
	t->ops->value_size = vt->size;
	for (i = 0; i < skep_btf_vlen(vt); i++)
		if (skep_btf_members(vt)[i].type == (uint32_t)id &&
		    skep_btf_member(t->btf, vt, i, &t->ops->data_off, &width))
			break;
	t->ops->data_off /= 8;
	if (i == skep_btf_vlen(vt) || t->ops->data_off > vt->size ||
	    t->kern->size > vt->size - t->ops->data_off)
		return skep_fail(err, SKEP_E_BTF_INVALID, EINVAL,
				 "the kernel's struct %s holds no struct %.*s", text, len, name);
	t->ops->value = skep_arena_alloc(&t->load->arena, vt->size);
	t->ops->at = skep_arena_array(&t->load->arena, t->map->nr_slots, sizeof(*t->ops->at));
	return t->ops->value && t->ops->at ? 0 : skep_fail_nomem(err);
}

static const struct skep_obj_slot *find_slot(const struct skep_obj_map *map, uint32_t member)
{
	uint32_t i;

	for (i = 0; i < map->nr_slots; i++)
		if (map->slots[i].key == member)
			return &map->slots[i];
	return NULL;
}

static bool is_zero(const struct table *t, uint32_t off, uint32_t size)
{
	const unsigned char *p = t->map->init;
	uint32_t i;

	for (i = 0; i < size; i++)
		if (p[off + i])
			return false;
	return true;
}

/* The member called @m->name in the kernel's struct; false: it has none. */
static bool find_kern(const struct table *t, struct member *m, uint32_t *width)
{
	const struct skep_btf *btf = t->btf;
	uint32_t bits;

	for (m->kern = 0; m->kern < skep_btf_vlen(t->kern); m->kern++) {
		const struct btf_member *km = &skep_btf_members(t->kern)[m->kern];

		if (strcmp(skep_btf_str(btf, km->name_off), m->name) != 0)
			continue;
		if (!skep_btf_member(btf, t->kern, m->kern, &bits, width))
			return false;
		m->kern_off = t->ops->data_off + bits / 8;
		m->kern_type = km->type;
		return true;
	}
	return false;
}

/* A program becomes the function of member @m. */
static int take_program(struct table *t, const struct member *m, const struct skep_obj_slot *slot,
			struct skep_err *err)
{
	const struct skep_btf *btf = t->btf;
	struct skep_obj_func *func = &t->load->funcs[slot->target];
	const struct btf_type *kt = skep_btf_resolve(btf, m->kern_type, NULL);
	struct skep_load_ops_func *of = &t->load->ops_funcs[slot->target];

	kt = kt ? skep_btf_resolve(btf, kt->type, NULL) : NULL;
	if (!kt || skep_btf_kind(kt) != BTF_KIND_FUNC_PROTO)
		return fail_member(m, "is a program here, but no function in this kernel", err);
	if (t->ops->value_size < 8 || m->kern_off > t->ops->value_size - 8)
		return fail_member(m, "lies outside of the kernel's struct", err);
	if (of->type && (of->type != t->ops->type || of->btf_fd != t->ops->btf_fd ||
			 func->attach_type != m->kern))
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "member '%s': program '%s' is another member already; a program "
				 "can be one member of one kind of struct",
				 m->name, func->name);
	*of = (struct skep_load_ops_func){t->ops->type, t->ops->btf_fd};
	func->attach_type = m->kern;
	t->ops->at[slot - t->map->slots] = m->kern_off;
	return 0;
}

static int copy_value(struct table *t, const struct member *m, int64_t size, struct skep_err *err)
{
	int64_t kern_size = skep_btf_sizeof(t->btf, m->kern_type);
	char what[96];

	if (size != kern_size) {
		snprintf(what, sizeof(what), "has %lld bytes, in this kernel %lld", (long long)size,
			 (long long)kern_size);
		return fail_member(m, what, err);
	}
	if (size > t->ops->value_size || m->kern_off > t->ops->value_size - size)
		return fail_member(m, "lies outside of the kernel's struct", err);
	memcpy(t->ops->value + m->kern_off, (const char *)t->map->init + m->off, (size_t)size);
	return 0;
}

static int match_member(struct table *t, uint32_t index, struct skep_err *err)
{
	const struct skep_btf *btf = t->load->obj->btf;
	const struct btf_member *lm = &skep_btf_members(t->local)[index];
	const struct skep_obj_slot *slot = find_slot(t->map, index);
	struct member m = {.name = skep_btf_str(btf, lm->name_off), .index = index};
	uint32_t bits = 0, width = 0, kern_width = 0;
	const struct btf_type *lt, *kt;
	int64_t size = skep_btf_sizeof(btf, lm->type);

	if (size < 0 || !skep_btf_member(btf, t->local, index, &bits, &width) ||
	    bits / 8 > t->map->value_size || (uint64_t)size > t->map->value_size - bits / 8)
		return fail_member(&m, "has no size or lies outside of its struct", err);
	m.off = bits / 8;
	if (!find_kern(t, &m, &kern_width)) {
		if (!slot && is_zero(t, m.off, (uint32_t)size))
			return 0;
		return fail_member(&m,
				   "is set, but is not in this kernel's struct of that name; leave "
				   "it out on this kernel",
				   err);
	}
	if (width || kern_width)
		return fail_member(&m, "is a bit field, which struct_ops cannot set", err);
	lt = skep_btf_resolve(btf, lm->type, &m.type);
	kt = skep_btf_resolve(t->btf, m.kern_type, &m.kern_type);
	if (!lt || !kt || skep_btf_kind(lt) != skep_btf_kind(kt))
		return fail_member(&m, "is of another kind than in this kernel", err);
	if (slot)
		return take_program(t, &m, slot, err);
	if (skep_btf_kind(lt) != BTF_KIND_PTR)
		return copy_value(t, &m, size, err);
	return is_zero(t, m.off, (uint32_t)size)
		       ? 0
		       : fail_member(&m, "is a pointer to what is no program", err);
}

static int match_table(struct skep_load *load, const struct skep_obj_map *map,
		       struct skep_load_ops *ops, struct skep_err *err)
{
	struct table t = {
		.load = load,
		.map = map,
		.ops = ops,
		.local = skep_btf_type(load->obj->btf, map->value_type),
	};
	uint32_t i;
	int ret;

	ret = find_types(&t, err);
	for (i = 0; !ret && i < skep_btf_vlen(t.local); i++)
		ret = match_member(&t, i, err);
	return ret ? fail_table(&t, ret, err) : 0;
}

static bool is_made(const struct skep_load *load, uint32_t map)
{
	return !load->obj->maps[map].skip && load->ops[map].err.tag == SKEP_E_NONE;
}

/* Programs load if a table that names them is made. */
static void set_autoload(struct skep_load *load)
{
	const struct skep_obj_map *map;
	uint32_t i, k;

	for (i = 0; i < load->obj->nr_maps; i++) {
		map = &load->obj->maps[i];
		for (k = 0; map->kind == SKEP_OBJ_MAP_STRUCT_OPS && k < map->nr_slots; k++)
			load->funcs[map->slots[k].target].autoload = false;
	}
	for (i = 0; i < load->obj->nr_maps; i++) {
		map = &load->obj->maps[i];
		for (k = 0;
		     map->kind == SKEP_OBJ_MAP_STRUCT_OPS && is_made(load, i) && k < map->nr_slots;
		     k++)
			load->funcs[map->slots[k].target].autoload = true;
	}
}

int skep_load_ops_prepare(struct skep_load *load, struct skep_err *err)
{
	const struct skep_obj *obj = load->obj;
	uint32_t i;
	int ret;

	load->ops = skep_arena_array(&load->arena, obj->nr_maps, sizeof(*load->ops));
	load->ops_funcs = skep_arena_array(&load->arena, obj->nr_funcs, sizeof(*load->ops_funcs));
	if (!load->ops || !load->ops_funcs)
		return skep_fail_nomem(err);
	for (i = 0; i < obj->nr_maps; i++) {
		if (obj->maps[i].kind != SKEP_OBJ_MAP_STRUCT_OPS || obj->maps[i].skip)
			continue;
		ret = skep_ktypes_open(&load->types, err);
		if (ret)
			return skep_wrap(err, ret, "%s: struct_ops '%s' needs the kernel's types",
					 obj->name, obj->maps[i].name);
		load->ops[i].err = (struct skep_err)SKEP_ERR_INIT;
		ret = match_table(load, &obj->maps[i], &load->ops[i], &load->ops[i].err);
		/* What this kernel does not have is no reason to refuse the rest. */
		if (ret && (ret == -ENOMEM || load->opts.all_or_nothing))
			return skep_load_move_err(err, &load->ops[i].err, ret);
	}
	set_autoload(load);
	return 0;
}

int skep_load_ops_target(const struct skep_load *load, uint32_t func, int *btf_fd,
			 struct skep_err *err)
{
	*btf_fd = load->ops_funcs[func].btf_fd;
	if (load->ops_funcs[func].type)
		return (int)load->ops_funcs[func].type;
	return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
			 "%s: program '%s': no struct in SEC(\".struct_ops.link\") has it as a "
			 "member: SEC(\"struct_ops\") programs do nothing by themselves",
			 load->obj->name, load->funcs[func].name);
}

int skep_load_ops_create(struct skep_load *load, uint32_t map)
{
	const struct skep_obj_map *spec = &load->obj->maps[map];
	struct skep_load_ops *ops = &load->ops[map];
	union skep_map_create attr;
	int fd, i;

	/* With links if the kernel has them: 6.4. */
	for (i = 0, fd = -EINVAL; i < 2 && fd == -EINVAL; i++) {
		memset(&attr, 0, sizeof(attr));
		attr.a.map_type = BPF_MAP_TYPE_STRUCT_OPS;
		attr.a.key_size = 4;
		attr.a.value_size = ops->value_size;
		attr.a.max_entries = 1;
		attr.a.map_flags = i ? 0 : BPF_F_LINK;
		attr.a.btf_vmlinux_value_type_id = ops->value_type;
		if (ops->btf_fd) {
			attr.a.map_flags |= BPF_F_VTYPE_BTF_OBJ_FD;
			attr.value_type_btf_obj_fd = ops->btf_fd;
		}
		if (load->btf_fd >= 0)
			attr.a.btf_fd = (uint32_t)load->btf_fd;
		skep_load_name(attr.a.map_name, spec->name);
		fd = skep_sys_bpf(load->sys, BPF_MAP_CREATE, &attr.a,
				  offsetof(union skep_map_create, value_type_btf_obj_fd) +
					  (ops->btf_fd ? 4 : 0));
		ops->link = fd >= 0 && !i;
	}
	return fd;
}

/* The programs' descriptors go into the value; all of them must be there. */
static int fill_value(struct skep_load *load, const struct skep_obj_map *spec,
		      struct skep_load_ops *ops, struct skep_err *err)
{
	const struct skep_loaded *loaded = load->loaded;
	uint32_t i, k;
	uint64_t fd;

	for (k = 0; k < spec->nr_slots; k++) {
		for (i = 0; i < loaded->nr_progs; i++)
			if (loaded->progs[i].spec == &load->obj->funcs[spec->slots[k].target])
				break;
		if (i == loaded->nr_progs || loaded->progs[i].fd < 0)
			return skep_fail(err, SKEP_E_ATTACH, ENOENT,
					 "its program '%s' is not loaded",
					 load->obj->funcs[spec->slots[k].target].name);
		fd = (uint64_t)loaded->progs[i].fd;
		memcpy(ops->value + ops->at[k], &fd, sizeof(fd));
	}
	return 0;
}

static int fail_register(struct skep_load *load, int ret, struct skep_err *err)
{
	const char *why = load->sys->why;

	switch (-ret) {
	case EPERM:
	case EACCES:
		return skep_fail(err, SKEP_E_PERMISSION, -ret, "%s",
				 *why ? why : "registering it needs CAP_BPF and CAP_NET_ADMIN");
	case EEXIST:
		return skep_fail(err, SKEP_E_ATTACH, EEXIST,
				 "the kernel has one of that name already: is this program "
				 "running elsewhere, or was it registered before?");
	case EINVAL:
		return skep_fail(err, SKEP_E_ATTACH, EINVAL,
				 "the kernel refuses its values: a member that must be set is "
				 "not, or one is set that programs may not set");
	default:
		return skep_fail(err, SKEP_E_ATTACH, -ret, "the kernel does not register it: %s",
				 *why ? why : strerror(-ret));
	}
}

static int update(struct skep_load *load, int fd, const struct skep_load_ops *ops)
{
	union bpf_attr attr;
	uint32_t key = 0;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)ops->value;
	return skep_sys_bpf(load->sys, BPF_MAP_UPDATE_ELEM, &attr,
			    offsetof(union bpf_attr, flags) + sizeof(attr.flags));
}

int skep_loaded_attach_map(struct skep_loaded *loaded, struct skep_loaded_map *map,
			   struct skep_err *err)
{
	struct skep_load *load = loaded->priv;
	struct skep_load_ops *ops;
	union bpf_attr attr;
	int ret;

	if (map->spec->kind != SKEP_OBJ_MAP_STRUCT_OPS || map->links.fds.len)
		return 0;
	ops = &load->ops[map - loaded->maps];
	if (ops->err.tag != SKEP_E_NONE)
		return skep_load_move_err(err, &ops->err, -ops->err.err);
	if (map->fd < 0 || ops->registered)
		return 0;
	ret = fill_value(load, map->spec, ops, err);
	if (ret)
		return skep_wrap(err, ret, "%s: struct_ops '%s'", load->obj->name, map->spec->name);
	ret = update(load, map->fd, ops);
	if (!ret && !ops->link) {
		ops->registered = true;
		return 1;
	}
	/* EBUSY: the value stands since an attempt before. */
	if (!ret || ret == -EBUSY) {
		memset(&attr, 0, sizeof(attr));
		attr.link_create.prog_fd = (uint32_t)map->fd;
		attr.link_create.attach_type = BPF_STRUCT_OPS;
		ret = skep_sys_bpf(load->sys, BPF_LINK_CREATE, &attr,
				   offsetof(union bpf_attr, link_create.flags) + 4);
		if (ret >= 0)
			return skep_links_add(&map->links, ret) ? skep_fail_nomem(err) : 1;
	}
	fail_register(load, ret, err);
	return skep_wrap(err, ret, "%s: struct_ops '%s'", load->obj->name, map->spec->name);
}

void skep_load_ops_deinit(struct skep_load *load)
{
	const struct skep_loaded *loaded = load->loaded;
	union bpf_attr attr;
	uint32_t i, key = 0;

	for (i = 0; load->ops && i < load->obj->nr_maps && i < loaded->nr_maps; i++) {
		skep_err_deinit(&load->ops[i].err);
		skep_links_deinit(&loaded->maps[i].links, loaded->sys);
		if (!load->ops[i].registered)
			continue;
		memset(&attr, 0, sizeof(attr));
		attr.map_fd = (uint32_t)loaded->maps[i].fd;
		attr.key = (uintptr_t)&key;
		skep_sys_bpf(loaded->sys, BPF_MAP_DELETE_ELEM, &attr,
			     offsetof(union bpf_attr, flags) + sizeof(attr.flags));
	}
}
