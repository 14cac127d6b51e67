/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to src/obj: the ELF file while it is being read.
 *
 * Sections and symbols are copied out of the file once, checked; after
 * skep_elf_read() every section's `data` has `size` bytes (NULL: no bits in
 * the file) and every name is a terminated string.  Format: the ELF
 * specification and the kernel's Documentation/bpf/llvm_reloc.rst.
 */
#ifndef SKEP_OBJ_ELF_H
#define SKEP_OBJ_ELF_H

#include <elf.h>
#include <libelf.h>

#include "base/vec.h"
#include "obj/obj.h"

/* R_BPF_* of llvm_reloc.rst; not in Debian 12's elf.h. */
#define SKEP_R_BPF_64_64       1
#define SKEP_R_BPF_64_ABS64    2
#define SKEP_R_BPF_64_ABS32    3
#define SKEP_R_BPF_64_NODYLD32 4
#define SKEP_R_BPF_64_32       10

#define SKEP_NONE UINT32_MAX

struct skep_elf_sec {
	const char *name;
	Elf_Scn *scn;
	uint32_t type, link, info;
	uint64_t flags, size, align;
	const uint8_t *data;
	uint32_t map; /* data sections: index of the map, or SKEP_NONE */
};

struct skep_elf_sym {
	const char *name;
	uint8_t info, other;
	uint32_t shndx;
	uint64_t value, size;
};

/* A relocation of either kind. */
struct skep_elf_rel {
	uint64_t off;
	uint32_t type, sym;
	bool rela; /* has an addend of its own; else it stands in what is relocated */
	int64_t addend;
};

/* Where function `func` of the object lies, in instructions. */
struct skep_elf_func {
	uint32_t sec, start, nr, func;
};

/* Where map `map` of the object is defined. */
struct skep_elf_map {
	uint32_t sec;
	uint64_t off;
	uint32_t map;
};

/* What map `map` of the object holds from the start. */
struct skep_elf_slot {
	uint32_t map;
	struct skep_obj_slot slot;
};

struct skep_elf_slots {
	SKEP_VEC(struct skep_elf_slot) v;
};

struct skep_elf {
	struct skep_obj *obj;
	Elf *elf;
	SKEP_VEC(struct skep_elf_sec) secs; /* by section index */
	SKEP_VEC(struct skep_elf_sym) syms; /* by symbol index */
	SKEP_VEC(struct skep_elf_func) funcs; /* by section and start */
	SKEP_VEC(struct skep_elf_map) maps_at;
	SKEP_VEC(struct skep_obj_map) maps;
	SKEP_VEC(struct skep_obj_extern) externs;
	uint32_t flags; /* of the ELF header */
	uint32_t maps_sec; /* index of .maps, 0: none */
	uint32_t legacy_sec; /* index of "maps", 0: none */
	bool values; /* the address of a variable of .data means its value: legacy.c */
};

/* elf.c */

/*
 * Opens @len bytes of @data (borrowed): header, sections and symbols.  Close it also when
 * that fails.  elf->obj is the owner of what is read from it, and has its name.
 */
int skep_elf_open(struct skep_elf *elf, const void *data, size_t len, const char *name,
		  struct skep_log *log, struct skep_err *err);
void skep_elf_close(struct skep_elf *elf);
/* Checks .BTF, if there is one, into elf->obj->btf, with the places of its variables filled in. */
int skep_elf_read_types(struct skep_elf *elf, struct skep_err *err);
bool skep_elf_is_code(const struct skep_elf_sec *sec);
/* The first section called @name; 0: none. */
uint32_t skep_elf_find_sec(const struct skep_elf *elf, const char *name);
/* The function that holds instruction @insn of section @sec, or NULL. */
const struct skep_elf_func *skep_elf_func_at(const struct skep_elf *elf, uint32_t sec,
					     uint64_t insn);

/* Relocation @i of section @sec (SHT_REL or SHT_RELA); false: there are no more. */
bool skep_elf_rel_at(const struct skep_elf_sec *sec, uint64_t i, struct skep_elf_rel *rel);
/*
 * Writes the addend of a SHT_RELA relocation where SHT_REL has it: into a call
 * or 64-bit immediate.  False: there is no room for it there.
 */
bool skep_elf_put_addend(struct bpf_insn *insn, int64_t addend);

/* datasec.c: gives the BTF's DATASECs the sizes and offsets of the file's symbols. */
int skep_elf_fix_datasecs(struct skep_elf *elf, void *btf_bytes, struct skep_err *err);

/* mapdef.c: the maps of .maps, and those that hold .data, .bss and .rodata. */
int skep_elf_read_maps(struct skep_elf *elf, struct skep_err *err);
/* What a variable of type @type in .maps says about its map. */
int skep_elf_read_map(struct skep_elf *elf, uint32_t type, struct skep_obj_map *map,
		      struct skep_err *err);

/* legacy.c: the maps of SEC("maps"). */
int skep_elf_read_legacy(struct skep_elf *elf, struct skep_err *err);

/* struct_ops.c: the tables of .struct_ops and .struct_ops.link, and their programs. */
bool skep_elf_is_ops(const char *sec_name);
int skep_elf_read_ops(struct skep_elf *elf, struct skep_err *err);
int skep_elf_read_ops_slots(struct skep_elf *elf, struct skep_elf_slots *found,
			    struct skep_err *err);

/* tags.c: what declaration tags say of functions. */
void skep_elf_read_tags(struct skep_elf *elf);

/* slots.c: what maps of maps and of programs hold from the start. */
int skep_elf_read_slots(struct skep_elf *elf, struct skep_err *err);

/* relo.c: the relocations of code sections, and calls without one. */
int skep_elf_read_relos(struct skep_elf *elf, struct skep_err *err);
/* relo.c: adds the CO-RE records and line info of .BTF.ext to the functions. */
int skep_elf_read_ext(struct skep_elf *elf, const void *data, size_t len, struct skep_err *err);

#endif
