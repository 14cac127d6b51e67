/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program object: what every front end makes and the loader takes.
 *
 * It is a specification: programs, maps, types and the places in the
 * instructions that wait for a map, a variable, a subprogram or a field
 * offset.  It can be edited (skep_obj_set_global, edit.h) until it is loaded,
 * and is not changed by loading: the loaded thing is struct skep_loaded.
 */
#ifndef SKEP_OBJ_OBJ_H
#define SKEP_OBJ_OBJ_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "event/event.h"
#include "sys/sys.h"

struct skep_btf;

enum skep_obj_map_kind {
	SKEP_OBJ_MAP_PLAIN, /* from .maps */
	SKEP_OBJ_MAP_DATA, /* .data, .data.* */
	SKEP_OBJ_MAP_BSS, /* .bss, .bss.* */
	SKEP_OBJ_MAP_RODATA, /* .rodata, .rodata.*: frozen */
	SKEP_OBJ_MAP_STRUCT_OPS, /* .struct_ops, .struct_ops.link: functions for the kernel */
	SKEP_OBJ_MAP_INTERNAL, /* skep's own (filters, loss counters): not shown to users */
};

/* What a map of maps or programs holds from the start; a struct_ops: which programs. */
struct skep_obj_slot {
	uint32_t key; /* struct_ops: index of the member in value_type */
	bool prog; /* target is a function that is a program; else a map */
	uint32_t target; /* index */
};

struct skep_obj_map {
	const char *name; /* as the user wrote it: "hits", ".rodata" */
	enum skep_obj_map_kind kind;
	uint32_t type, key_size, value_size, max_entries, flags;
	uint32_t key_type, value_type; /* BTF ids in obj->btf, 0: unknown */
	uint32_t record_type; /* ring buffer, perf array: BTF id of its records, 0: unknown */
	uint32_t numa_node; /* with BPF_F_NUMA_NODE in flags */
	uint64_t extra; /* map_extra: bits of bloom filters and arenas */
	void *init; /* init_size bytes, editable before loading, or NULL */
	/* DATA..STRUCT_OPS: value_size; an arena: its variables, at its start */
	uint32_t init_size;
	uint32_t datasec; /* of these variables: the BTF DATASEC's id, 0: none */
	bool skip; /* not created: SEC("?.struct_ops"), or whoever edits the object */
	bool pin; /* by name: shared with who pinned it before, and pinned if nobody did */
	const struct skep_obj_map *inner; /* maps of maps: what those are like, or NULL */
	const struct skep_obj_slot *slots; /* nr_slots, by key */
	uint32_t nr_slots;
	uint32_t values_off; /* where `values` lies in the definition, 0: it has none */
};

/* Where an extern is declared to come from. */
enum skep_obj_extern_kind {
	SKEP_EXTERN_NONE, /* nowhere: another object was to define it */
	SKEP_EXTERN_KCONFIG, /* .kconfig */
	SKEP_EXTERN_KSYM, /* .ksyms */
};

/* A symbol that the kernel, not the object, is to provide. */
struct skep_obj_extern {
	const char *name;
	enum skep_obj_extern_kind kind;
	uint32_t type; /* BTF id of the variable's or function's type, 0: void or none */
	bool func;
	bool weak; /* may be missing: its address or value is then 0 */
};

enum skep_obj_relo_kind {
	SKEP_RELO_MAP, /* ld_imm64: the map's descriptor */
	SKEP_RELO_DATA, /* ld_imm64: map value + offset */
	SKEP_RELO_VALUE, /* ld_imm64: the 32 bits at the offset themselves (legacy.c) */
	SKEP_RELO_CALL, /* call: subprogram by section and offset */
	SKEP_RELO_FUNC, /* ld_imm64: address of a subprogram (callback) */
	SKEP_RELO_EXTERN, /* ld_imm64 or call: something of the kernel's */
	SKEP_RELO_CORE, /* CO-RE record */
};

/* A place in a program's instructions that loading fills in. */
struct skep_obj_relo {
	enum skep_obj_relo_kind kind;
	uint32_t insn; /* index */
	uint32_t target; /* index of the map, function, extern or CO-RE record */
	uint64_t addend; /* DATA: byte offset into the value */
};

/* One line of source: instruction index -> file, text, line, column. */
struct skep_obj_line {
	uint32_t insn, file_off, line_off, line_col; /* as in .BTF.ext: string offsets */
};

/*
 * A function of the object: a program to load, or a subprogram that is
 * appended to the programs that call it.
 */
struct skep_obj_func {
	const char *name, *sec;
	struct bpf_insn *insns; /* nr_insns, editable through edit.h */
	uint32_t nr_insns;
	struct skep_obj_relo *relos; /* by insn, ascending */
	uint32_t nr_relos;
	struct skep_obj_line *lines; /* by insn, ascending */
	uint32_t nr_lines;
	uint32_t type; /* BTF FUNC id, 0: none */
	bool is_prog; /* an entry, not a subprogram */
	bool global; /* checked by itself by the kernel; else together with each caller */

	/* Programs only. */
	const struct skep_event_def *event; /* NULL: unknown section; then `autoload` is false */
	const char *args; /* what follows the slash of the section name */
	uint32_t prog_type, attach_type, prog_flags;
	uint32_t exception_cb; /* where bpf_throw() ends: index of a function + 1, 0: none */
	bool autoload; /* false: skipped by skep_load() */
};

struct skep_obj {
	struct skep_arena arena; /* owns everything below */
	const char *name; /* the file, for messages */
	char license[128];
	struct skep_btf *btf; /* NULL: the object has none */
	struct skep_obj_map *maps;
	uint32_t nr_maps;
	struct skep_obj_func *funcs;
	uint32_t nr_funcs;
	struct skep_obj_extern *externs;
	uint32_t nr_externs;
	struct bpf_core_relo *core; /* insn_off: byte offset in the ELF section */
	uint32_t nr_core;
	uint32_t kern_version; /* of the section "version", 0: none */
	void *btf_bytes; /* what btf reads, malloc'ed */
	struct skep_log *log;
};

/*
 * Reads a compiled object of @len bytes; @name is used in messages only.  The
 * bytes are not needed afterwards.  0 or -errno (E_ELF_INVALID, E_OBJ_*).
 */
int skep_obj_open(struct skep_obj **obj, const void *data, size_t len, const char *name,
		  struct skep_log *log, struct skep_err *err);
void skep_obj_destroy(struct skep_obj *obj);

struct skep_obj_map *skep_obj_find_map(const struct skep_obj *obj, const char *name);
struct skep_obj_func *skep_obj_find_prog(const struct skep_obj *obj, const char *name);

/*
 * Sets the global variable @name (of .rodata, .data or .bss, found by the
 * object's BTF) from text: integers in C notation, 'c', true/false, "text"
 * for char arrays, enumerators.  Range-checked against the variable's type.
 */
int skep_obj_set_global(struct skep_obj *obj, const char *name, const char *value,
			struct skep_err *err);

/*
 * Has program @prog attach where SEC(@sec) says, whatever its own section is
 * called; "": it is not loaded.  E_NOT_FOUND, E_OBJ_SECTION.
 */
int skep_obj_set_section(struct skep_obj *obj, const char *prog, const char *sec,
			 struct skep_err *err);
/*
 * Makes @func what SEC(@sec) says: type, flags, what it attaches to; memory
 * comes from @arena.  E_OBJ_SECTION: @func is unchanged.
 */
int skep_obj_use_section(struct skep_arena *arena, struct skep_obj_func *func, const char *sec,
			 struct skep_err *err);

/* Gives map @name of .maps @entries entries.  E_NOT_FOUND; E_OBJ_INVALID for variables. */
int skep_obj_set_entries(struct skep_obj *obj, const char *name, uint32_t entries,
			 struct skep_err *err);

/* "file.c:12" and the source text of instruction @insn of @func; false: not known. */
bool skep_obj_source(const struct skep_obj *obj, const struct skep_obj_func *func, uint32_t insn,
		     const char **file, const char **text, uint32_t *line, uint32_t *col);

#endif
