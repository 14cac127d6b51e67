/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs: from a compiled object, from instructions, from text.
 *
 * A loaded program never changes: any number of threads may run it at once.
 * It is checked when it is loaded: instructions that do not exist, jumps that
 * leave the program, helpers that are not there are refused.  What it does
 * with memory is checked when it runs (engine.h).
 */
#ifndef SKEP_PROGRAM_H
#define SKEP_PROGRAM_H

#include <skep/map.h>

#ifdef __cplusplus
extern "C" {
#endif

struct skep_object;

/*
 * A compiled object (clang -target bpf): open, set variables, load.  One
 * thread at a time uses an object; its programs and maps are for all.
 * Sections that Linux does not know, SEC("filter"), hold programs as well.
 */
SKEP_API int skep_object_open(struct skep_object **object, struct skep_engine *engine,
			      const char *path, struct skep_err *err);
/* From memory, which is not needed afterwards; @name for messages. */
SKEP_API int skep_object_open_memory(struct skep_object **object, struct skep_engine *engine,
				     const void *bytes, size_t len, const char *name,
				     struct skep_err *err);
/*
 * Before loading: a global variable (.rodata, .data or .bss) from text, by its
 * type: "7", "0x10", "true", "'c'", "\"text\"".
 */
SKEP_API int skep_object_set(struct skep_object *object, const char *variable, const char *value,
			     struct skep_err *err);
/* Creates the maps and loads all programs; if one cannot be loaded, none is. */
SKEP_API int skep_object_load(struct skep_object *object, struct skep_err *err);
/* By the name of its function; @name NULL: the first.  NULL: there is none. */
SKEP_API struct skep_program *skep_object_program(const struct skep_object *object,
						  const char *name);
/* By its name: "hits", ".data", ".bss".  NULL: there is none. */
SKEP_API struct skep_map *skep_object_map(const struct skep_object *object, const char *name);
/* With its programs and maps, which nobody may use any more.  NULL: nothing. */
SKEP_API void skep_object_destroy(struct skep_object *object);

struct skep_program_opts {
	size_t sz;
	const char *name; /* for messages, perf and gdb; copied */
	/* BPF_PROG_TYPE_* of <linux/bpf.h>: only its helpers; 0: all helpers. */
	uint32_t type;
	/* What 64-bit immediates with src_reg 5 and 6 (BPF_PSEUDO_MAP_IDX, _VALUE) refer to. */
	struct skep_map *const *maps;
	uint32_t nr_maps;
};

/* @insns: @nr times 8 bytes, struct bpf_insn; copied.  @opts NULL: the defaults. */
SKEP_API int skep_program_load(struct skep_program **program, struct skep_engine *engine,
			       const void *insns, size_t nr, const struct skep_program_opts *opts,
			       struct skep_err *err);
/*
 * From text as skep disasm prints it: "r0 = 1" newline "exit".  Maps of
 * opts->maps go by their names: "r1 = map_fd hits"; helpers by theirs: "call name".
 */
SKEP_API int skep_program_assemble(struct skep_program **program, struct skep_engine *engine,
				   const char *text, const struct skep_program_opts *opts,
				   struct skep_err *err);
/* When no thread runs it.  Those of objects go with their object.  NULL: nothing. */
SKEP_API void skep_program_destroy(struct skep_program *program);

SKEP_API const char *skep_program_name(const struct skep_program *program);
/* True if it is machine code; false: it is interpreted. */
SKEP_API bool skep_program_is_native(const struct skep_program *program);

#ifdef __cplusplus
}
#endif
#endif
