/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps as they were written before types described them: a variable of
 * numbers (type, key_size, value_size, max_entries, map_flags) in a section
 * "maps", one symbol each.
 *
 * ir-keytable has its own loader, with its maps in "lirc_mode2/maps" and one
 * more rule: the address of a variable of .data stands for its value (the
 * parameters of a remote control).  Such objects load here with the values
 * they were compiled with.
 */
#include <errno.h>
#include <string.h>

#include "obj/elf.h"

#define LIRC_MAPS "lirc_mode2/maps"

static int read_one(struct skep_elf *elf, const struct skep_elf_sym *sym, struct skep_err *err)
{
	const struct skep_elf_sec *sec = &elf->secs.data[elf->legacy_sec];
	struct skep_obj *obj = elf->obj;
	struct skep_elf_map at = {elf->legacy_sec, sym->value, (uint32_t)elf->maps.len};
	struct skep_obj_map *map;
	uint32_t def[5] = {0};
	uint64_t i;

	if (sym->value > sec->size || sym->size > sec->size - sym->value || sym->size < 16)
		return skep_fail(err, SKEP_E_OBJ_INVALID, EINVAL,
				 "%s: map '%s' has %llu bytes in section '%s'; type, key_size, "
				 "value_size and max_entries are 16",
				 obj->name, sym->name, (unsigned long long)sym->size, sec->name);
	memcpy(def, sec->data + sym->value, sym->size < sizeof(def) ? sym->size : sizeof(def));
	/* What tc and others put there (pins, ids, inner maps) means something only to them. */
	for (i = sizeof(def); i < sym->size; i++)
		if (sec->data[sym->value + i])
			return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
					 "%s: map '%s' of section '%s' has fields after map_flags, "
					 "which its own loader defined; write it as struct { "
					 "__uint(type, ...); __type(key, ...); } in SEC(\".maps\")",
					 obj->name, sym->name, sec->name);
	map = skep_vec_add(&elf->maps);
	if (!map || skep_vec_push(&elf->maps_at, at))
		return skep_fail_nomem(err);
	map->name = skep_arena_strdup(&obj->arena, sym->name);
	map->type = def[0];
	map->key_size = def[1];
	map->value_size = def[2];
	map->max_entries = def[3];
	map->flags = def[4];
	return map->name ? 0 : skep_fail_nomem(err);
}

int skep_elf_read_legacy(struct skep_elf *elf, struct skep_err *err)
{
	const struct skep_elf_sym *sym;
	uint32_t sec;
	int ret;

	sec = skep_elf_find_sec(elf, "maps");
	if (!sec)
		sec = skep_elf_find_sec(elf, LIRC_MAPS);
	if (!sec || !elf->secs.data[sec].data)
		return 0;
	elf->legacy_sec = sec;
	elf->values = !strcmp(elf->secs.data[sec].name, LIRC_MAPS);
	skep_vec_each (&elf->syms, sym) {
		if (sym->shndx != sec || ELF64_ST_TYPE(sym->info) != STT_OBJECT)
			continue;
		ret = read_one(elf, sym, err);
		if (ret)
			return ret;
	}
	if (!elf->values)
		skep_warn(elf->obj->log,
			  "%s: its maps are written for libbpf before 1.0 (SEC(\"maps\")), without "
			  "types; better: struct { __uint(type, ...); __type(key, ...); } name "
			  "SEC(\".maps\")",
			  elf->obj->name);
	return 0;
}
