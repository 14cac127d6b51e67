/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What maps hold from the start: the maps and programs that an initialiser of
 * `values` names.  The compiler leaves each as a relocation of section .maps,
 * at the place of the pointer; its distance from the start of `values` is the
 * key.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "btf/btf.h"
#include "obj/elf.h"

static int cmp_slot(const void *a, const void *b)
{
	const struct skep_elf_slot *x = a, *y = b;

	if (x->map != y->map)
		return x->map < y->map ? -1 : 1;
	return x->slot.key < y->slot.key ? -1 : x->slot.key > y->slot.key;
}

/* The map whose definition holds @off of .maps, and where it starts. */
static const struct skep_elf_map *map_at(const struct skep_elf *elf, uint64_t off)
{
	const struct skep_elf_map *at, *best = NULL;

	skep_vec_each (&elf->maps_at, at)
		if (at->sec == elf->maps_sec && at->off <= off && (!best || at->off > best->off))
			best = at;
	return best;
}

/* What a slot names: another map, or a function. */
static int find_target(const struct skep_elf *elf, const struct skep_elf_sym *sym, uint64_t value,
		       struct skep_obj_slot *slot)
{
	const struct skep_elf_map *at;
	const struct skep_elf_func *f;

	skep_vec_each (&elf->maps_at, at) {
		if (at->sec != sym->shndx || at->off != value)
			continue;
		slot->target = at->map;
		return 0;
	}
	f = value % 8 ? NULL : skep_elf_func_at(elf, sym->shndx, value / 8);
	if (!f || f->start != value / 8 || !elf->obj->funcs[f->func].is_prog)
		return -EINVAL;
	slot->prog = true;
	slot->target = f->func;
	return 0;
}

/* How far from its symbol the target lies: next to the section's own, say. */
static uint64_t addend(const struct skep_elf *elf, struct skep_elf_rel rel)
{
	const struct skep_elf_sec *sec = &elf->secs.data[elf->maps_sec];
	uint64_t val = 0;

	if (rel.rela || !sec->data || sec->size < 8 || rel.off > sec->size - 8)
		return (uint64_t)rel.addend;
	memcpy(&val, sec->data + rel.off, sizeof(val));
	return val;
}

static int read_slot(const struct skep_elf *elf, struct skep_elf_rel rel, struct skep_elf_slot *out,
		     struct skep_err *err)
{
	const struct skep_elf_map *at = map_at(elf, rel.off);
	const struct skep_elf_sym *sym;
	const struct skep_obj_map *map;
	uint64_t off;

	if (!at || rel.sym >= elf->syms.len)
		return skep_fail(
			err, SKEP_E_ELF_INVALID, EINVAL,
			"%s: section '.maps': the relocation at %llu is of no map or no symbol",
			elf->obj->name, (unsigned long long)rel.off);
	map = &elf->obj->maps[at->map];
	off = rel.off - at->off;
	if (!map->values_off || off < map->values_off || (off - map->values_off) % 8)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: map '%s' is initialised outside of 'values'", elf->obj->name,
				 map->name);
	out->map = at->map;
	out->slot.key = (uint32_t)((off - map->values_off) / 8);
	sym = &elf->syms.data[rel.sym];
	if (find_target(elf, sym, sym->value + addend(elf, rel), &out->slot) ||
	    out->slot.prog != (map->type == BPF_MAP_TYPE_PROG_ARRAY))
		return skep_fail(err, SKEP_E_OBJ_SYMBOL, EINVAL,
				 "%s: map '%s': value %u is '%s', which is no %s of this object",
				 elf->obj->name, map->name, out->slot.key, sym->name,
				 map->type == BPF_MAP_TYPE_PROG_ARRAY ? "program" : "map");
	return 0;
}

int skep_elf_read_slots(struct skep_elf *elf, struct skep_err *err)
{
	struct skep_elf_slots found = {0};
	const struct skep_elf_sec *sec;
	struct skep_obj_slot *all;
	struct skep_obj_map *map;
	struct skep_elf_rel rel;
	int ret = 0;
	uint64_t i;

	skep_vec_each (&elf->secs, sec) {
		if ((sec->type != SHT_REL && sec->type != SHT_RELA) || !elf->maps_sec ||
		    sec->info != elf->maps_sec)
			continue;
		for (i = 0; !ret && skep_elf_rel_at(sec, i, &rel); i++) {
			struct skep_elf_slot one = {0};

			ret = read_slot(elf, rel, &one, err);
			if (!ret && skep_vec_push(&found.v, one))
				ret = skep_fail_nomem(err);
		}
	}
	if (!ret)
		ret = skep_elf_read_ops_slots(elf, &found, err);
	if (!ret && found.v.len)
		qsort(found.v.data, found.v.len, sizeof(*found.v.data), cmp_slot);
	all = skep_arena_array(&elf->obj->arena, found.v.len, sizeof(*all));
	if (!all)
		ret = skep_fail_nomem(err);
	for (i = 0; !ret && i < found.v.len; i++) {
		map = &elf->obj->maps[found.v.data[i].map];
		all[i] = found.v.data[i].slot;
		if (!map->nr_slots++)
			map->slots = &all[i];
	}
	skep_vec_deinit(&found.v);
	return ret;
}
