/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tables of functions that programs provide to the kernel: the variables of
 * .struct_ops and .struct_ops.link, each a struct named as the kernel's
 * ("tcp_congestion_ops", or a flavour of it).  Its values are kept as they
 * were compiled; which programs its pointers name, the relocations tell.
 * How they fit this kernel is found when loading (load_ops.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf/btf.h"
#include "obj/elf.h"
#include "sys/uapi.h"

bool skep_elf_is_ops(const char *name)
{
	if (*name == '?')
		name++;
	return !strcmp(name, ".struct_ops") || !strcmp(name, ".struct_ops.link");
}

/* The table that variable @vs of section @n is. */
static int read_table(struct skep_elf *elf, uint32_t n, const struct btf_var_secinfo *vs,
		      struct skep_err *err)
{
	const struct skep_elf_sec *sec = &elf->secs.data[n];
	const struct skep_btf *btf = elf->obj->btf;
	const struct btf_type *var = skep_btf_type(btf, vs->type), *t = NULL;
	struct skep_elf_map at = {n, vs->offset, (uint32_t)elf->maps.len};
	struct skep_obj_map *map;
	const char *name;
	uint32_t id;

	if (var && skep_btf_kind(var) == BTF_KIND_VAR)
		t = skep_btf_resolve(btf, var->type, &id);
	name = var ? skep_btf_str(btf, var->name_off) : "";
	if (!t || skep_btf_kind(t) != BTF_KIND_STRUCT || !*skep_btf_str(btf, t->name_off))
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: variable '%s' of section '%s' is no struct with a name",
				 elf->obj->name, name, sec->name);
	if (vs->offset > sec->size || t->size > sec->size - vs->offset)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: variable '%s' lies beyond the end of section '%s'",
				 elf->obj->name, name, sec->name);
	map = skep_vec_add(&elf->maps);
	if (!map || skep_vec_push(&elf->maps_at, at))
		return skep_fail_nomem(err);
	map->name = skep_arena_strdup(&elf->obj->arena, name);
	map->init = skep_arena_dup(&elf->obj->arena, sec->data + vs->offset, t->size);
	if (!map->name || !map->init)
		return skep_fail_nomem(err);
	map->kind = SKEP_OBJ_MAP_STRUCT_OPS;
	map->type = BPF_MAP_TYPE_STRUCT_OPS;
	map->key_size = 4;
	map->value_size = map->init_size = t->size;
	map->value_type = id;
	map->max_entries = 1;
	map->skip = sec->name[0] == '?';
	return 0;
}

static int read_section(struct skep_elf *elf, uint32_t n, struct skep_err *err)
{
	const struct skep_elf_sec *sec = &elf->secs.data[n];
	const struct skep_btf *btf = elf->obj->btf;
	const struct btf_type *t;
	int id, ret = 0;
	uint32_t i;

	if (!sec->data)
		return 0;
	id = btf ? skep_btf_find(btf, sec->name, BTF_KIND_DATASEC, 0) : -ENOENT;
	if (id < 0)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: section '%s' has no types that describe it; compile with -g",
				 elf->obj->name, sec->name);
	t = skep_btf_type(btf, (uint32_t)id);
	for (i = 0; !ret && i < skep_btf_vlen(t); i++)
		ret = read_table(elf, n, &skep_btf_secinfos(t)[i], err);
	return ret;
}

int skep_elf_read_ops(struct skep_elf *elf, struct skep_err *err)
{
	uint32_t i;
	int ret = 0;

	for (i = 1; !ret && i < elf->secs.len; i++)
		if (skep_elf_is_ops(elf->secs.data[i].name))
			ret = read_section(elf, i, err);
	return ret;
}

static const struct skep_elf_map *table_at(const struct skep_elf *elf, uint32_t sec, uint64_t off)
{
	const struct skep_elf_map *at;

	skep_vec_each (&elf->maps_at, at)
		if (at->sec == sec && off >= at->off &&
		    off - at->off < elf->obj->maps[at->map].value_size)
			return at;
	return NULL;
}

/* The member of @t at @off bytes that is a pointer to a function, or NULL. */
static const struct btf_member *func_member(const struct skep_btf *btf, const struct btf_type *t,
					    uint64_t off, uint32_t *index)
{
	const struct btf_type *mt;
	uint32_t bits, width;

	for (*index = 0; *index < skep_btf_vlen(t); ++*index) {
		if (!skep_btf_member(btf, t, *index, &bits, &width) || bits != off * 8)
			continue;
		mt = skep_btf_resolve(btf, skep_btf_members(t)[*index].type, NULL);
		if (mt && skep_btf_kind(mt) == BTF_KIND_PTR)
			mt = skep_btf_resolve(btf, mt->type, NULL);
		else
			mt = NULL;
		if (mt && skep_btf_kind(mt) == BTF_KIND_FUNC_PROTO)
			return &skep_btf_members(t)[*index];
	}
	return NULL;
}

/* Which program the pointer that @rel fills in names. */
static int read_pointer(struct skep_elf *elf, const struct skep_elf_sec *sec, Elf64_Rel rel,
			struct skep_elf_slot *out, struct skep_err *err)
{
	const struct skep_elf_map *at = table_at(elf, sec->info, rel.r_offset);
	uint32_t n = ELF64_R_SYM(rel.r_info), index;
	const struct skep_btf *btf = elf->obj->btf;
	const struct skep_elf_func *f;
	const struct skep_elf_sym *sym;
	const struct skep_obj_map *map;
	const struct btf_member *m;

	if (!at || n >= elf->syms.len)
		return skep_fail(err, SKEP_E_ELF_INVALID, EINVAL,
				 "%s: section '%s' has a relocation at %llu, where no struct is",
				 elf->obj->name, elf->secs.data[sec->info].name,
				 (unsigned long long)rel.r_offset);
	map = &elf->obj->maps[at->map];
	sym = &elf->syms.data[n];
	m = func_member(btf, skep_btf_type(btf, map->value_type), rel.r_offset - at->off, &index);
	if (!m)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: struct_ops '%s': the address of '%s' is at byte %llu, which "
				 "is no member for a function: such structs hold numbers, text "
				 "and programs",
				 elf->obj->name, map->name, sym->name,
				 (unsigned long long)(rel.r_offset - at->off));
	f = sym->value % 8 ? NULL : skep_elf_func_at(elf, sym->shndx, sym->value / 8);
	if (!f || f->start != sym->value / 8 ||
	    elf->obj->funcs[f->func].prog_type != BPF_PROG_TYPE_STRUCT_OPS)
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "%s: struct_ops '%s': member '%s' is '%s', which is no program "
				 "of SEC(\"struct_ops\")",
				 elf->obj->name, map->name, skep_btf_str(btf, m->name_off),
				 sym->name);
	*out = (struct skep_elf_slot){
		.map = at->map,
		.slot = {.key = index, .prog = true, .target = f->func},
	};
	return 0;
}

int skep_elf_read_ops_slots(struct skep_elf *elf, struct skep_elf_slots *found,
			    struct skep_err *err)
{
	const struct skep_elf_sec *sec;
	struct skep_elf_slot one;
	Elf64_Rel rel;
	int ret = 0;
	uint64_t i;

	skep_vec_each (&elf->secs, sec) {
		if (sec->type != SHT_REL || sec->info >= elf->secs.len ||
		    !skep_elf_is_ops(elf->secs.data[sec->info].name))
			continue;
		for (i = 0; !ret && i + sizeof(rel) <= sec->size; i += sizeof(rel)) {
			memcpy(&rel, sec->data + i, sizeof(rel));
			ret = read_pointer(elf, sec, rel, &one, err);
			if (!ret && skep_vec_push(&found->v, one))
				ret = skep_fail_nomem(err);
		}
	}
	return ret;
}
