/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Private to src/obj: an object while it is loaded.
 *
 * The object itself stays as it is; functions are copied, edited and linked
 * into one image a program, in which all indices count from the image's start.
 */
#ifndef SKEP_OBJ_LOAD_INT_H
#define SKEP_OBJ_LOAD_INT_H

#include "base/vec.h"
#include "event/usdt.h"
#include "obj/load.h"
#include "sys/ktypes.h"

struct skep_losses;
struct skep_load_extern;

/* What this kernel turned out not to take; kept for the next program or map. */
enum skep_drop {
	SKEP_DROP_LINES = 1 << 0, /* line info */
	SKEP_DROP_TYPES = 1 << 1, /* func info, BTF of programs */
	SKEP_DROP_NAMES = 1 << 2,
	SKEP_DROP_MAP_BTF = 1 << 3,
	SKEP_DROP_MMAP = 1 << 4,
	SKEP_DROP_ATTACH_TYPE = 1 << 5,
};

struct skep_load {
	struct skep_loaded *loaded;
	struct skep_obj *obj;
	struct skep_sys *sys;
	struct skep_load_opts opts;
	struct skep_arena arena;
	struct skep_obj_func *funcs; /* obj->nr_funcs copies */
	struct skep_err *func_errs; /* why a function cannot be part of a program */
	bool *needed; /* functions that the programs to load reach */
	SKEP_VEC(struct skep_obj_map) own_maps; /* indices from obj->nr_maps on */
	unsigned int drop; /* enum skep_drop */
	bool adapted; /* skep_adapt() has asked what this kernel lacks */
	bool rlimit_raised;
	int btf_fd; /* the object's types in the engine, -1: none */
	struct skep_ktypes types; /* of the kernel it runs on and its modules, opened when needed */
	struct skep_btf *custom; /* opts.btf: CO-RE goes by it */
	SKEP_VEC(int)
	fd_array; /* of PROG_LOAD: BTF of modules whose functions are called, from 1 */
	/* extern.c */
	struct skep_load_extern *externs; /* obj->nr_externs */
	uint32_t kconfig_map; /* map index, SKEP_NO_MAP: none */
	/* standin.c: why nothing stands in for a function's kprobe, or NULL */
	const char **no_stand_in; /* obj->nr_funcs */
	/* scope.c */
	uint32_t scope_map; /* map index, SKEP_NO_MAP: none */
	int scope_progs[2]; /* descriptors, -1: none */
	struct skep_links scope_links;
	struct skep_usdt usdt; /* attach.c */
	/* losses.c */
	struct skep_losses *losses; /* NULL: not counted */
	/* load_ops.c */
	struct skep_load_ops *ops; /* obj->nr_maps; used by struct_ops */
	struct skep_load_ops_func *ops_funcs; /* obj->nr_funcs */
};

#define SKEP_NO_MAP UINT32_MAX
/* libbpf's marks: calls of these and an index must not be reached. */
#define SKEP_POISON_MAP	  2001000000 /* a map that was not created */
#define SKEP_POISON_KFUNC 2002000000 /* a weak function that the kernel does not have */

/* An extern of the object on this kernel. */
struct skep_load_extern {
	bool found;
	uint32_t off; /* KCONFIG: bytes into the map */
	uint32_t btf_id; /* typed KSYM */
	int btf_fd; /* typed KSYM of a module: its BTF; for functions its place in fd_array */
	uint64_t addr; /* untyped KSYM */
	const char *why; /* why programs that use it cannot load, or NULL */
};

/* The kernel's struct that a program is a member of, 0: none. */
struct skep_load_ops_func {
	uint32_t type;
	int btf_fd;
};

/* A struct_ops map on this kernel. */
struct skep_load_ops {
	uint32_t type, value_type; /* ids of the kernel's struct NAME and bpf_struct_ops_NAME */
	int btf_fd; /* of the module's BTF that has them, 0: the kernel's */
	uint32_t value_size, data_off; /* bytes of the latter; where in it the former is */
	unsigned char *value; /* value_size bytes */
	uint32_t *at; /* map->nr_slots: bytes into value */
	bool link; /* registered by a link, else by its value */
	bool registered; /* without a link */
	struct skep_err err; /* why this kernel cannot have it */
};

/* A function's place in an image. */
struct skep_image_func {
	uint32_t func, start, nr;
};

/* A program with all it calls. */
struct skep_image {
	SKEP_VEC(struct bpf_insn) insns;
	SKEP_VEC(struct skep_obj_relo) relos; /* MAP, DATA and EXTERN */
	SKEP_VEC(struct skep_image_func) funcs; /* by start */
	SKEP_VEC(struct bpf_func_info) func_info;
	SKEP_VEC(struct bpf_line_info) line_info;
};

/* load.c */
/* @err gets what @from says, and its detail; returns @ret. */
int skep_load_move_err(struct skep_err *err, struct skep_err *from, int ret);

/* link.c */
int skep_image_link(struct skep_load *load, uint32_t func, struct skep_image *image,
		    struct skep_err *err);
/* Puts descriptors into the image; fails for maps and symbols that are not there. */
int skep_image_resolve(struct skep_load *load, struct skep_image *image, struct skep_err *err);
void skep_image_deinit(struct skep_image *image);
/* "file.c:12: text" of image instruction @insn into @buf, and line and file; false: not known. */
bool skep_image_source(const struct skep_load *load, const struct skep_image *image, uint32_t insn,
		       const char **file, const char **text, uint32_t *line);

/* adapt.c, after a refusal only: asks the kernel what it lacks; true if anything changed. */
bool skep_adapt(struct skep_load *load);
bool skep_adapt_insns(struct skep_load *load, struct bpf_insn *insns, size_t n);
/* True if the instructions use global variables, and the kernel has none. */
bool skep_adapt_needs_globals(struct skep_load *load, const struct bpf_insn *insns, size_t n);
/* The sentence for that; @prog NULL: the caller names the program. */
int skep_fail_globals(struct skep_load *load, const char *prog, struct skep_err *err);
/* adapt_btf.c: @copy is the object's BTF, changed in place. */
bool skep_adapt_btf(struct skep_load *load, char *copy);

/* load_btf.c */
void skep_load_types(struct skep_load *load);
int skep_load_core(struct skep_load *load, struct skep_err *err);

/* load_map.c */
/* What maps of @type are called: "HASH". */
const char *skep_load_map_type(uint32_t type);
int skep_load_maps(struct skep_load *load, struct skep_err *err);
/* Variables, constants and strings; and .kconfig. */
bool skep_load_is_global(const struct skep_obj_map *map);
/* The index of a new map of skep's own; its init (if any) is @value_size bytes of the arena. */
uint32_t skep_load_own_map(struct skep_load *load, const struct skep_obj_map *spec);
/* For kernels before 5.11, which count BPF memory as locked; true the first time. */
bool skep_load_raise_rlimit(struct skep_load *load);
void skep_load_name(char out[BPF_OBJ_NAME_LEN], const char *name);

/* Puts into maps of maps (@progs false) or of programs what they hold from the start. */
int skep_load_slots(struct skep_load *load, bool progs, struct skep_err *err);

/* load_pin.c */
/* The descriptor of @map's pin; -ENOENT without an error: there is none. */
int skep_load_pinned(struct skep_load *load, const struct skep_obj_map *map, uint32_t entries,
		     struct skep_err *err);
int skep_load_pin(struct skep_load *load, const struct skep_obj_map *map, int fd,
		  struct skep_err *err);

/* extern.c */
int skep_load_externs(struct skep_load *load, struct skep_err *err);
/* Puts extern @i into @insn; fails for what this kernel does not have. */
int skep_extern_resolve(struct skep_load *load, uint32_t i, struct bpf_insn *insn,
			struct skep_err *err);

/* load_prog.c */
int skep_load_prog(struct skep_load *load, struct skep_loaded_prog *prog, uint32_t func,
		   struct skep_err *err);

/* load_ops.c */
int skep_load_ops_prepare(struct skep_load *load, struct skep_err *err);
/* A descriptor or -errno, without words. */
int skep_load_ops_create(struct skep_load *load, uint32_t map);
/* attach_btf_id of struct_ops program @func, and its attach_btf_obj_fd. */
int skep_load_ops_target(const struct skep_load *load, uint32_t func, int *btf_fd,
			 struct skep_err *err);
void skep_load_ops_deinit(struct skep_load *load);

/* explain.c: the verifier's log becomes a sentence and a trimmed explanation in @err. */
void skep_load_explain(const struct skep_load *load, const struct skep_image *image,
		       const struct skep_obj_func *func, int ret, const char *log,
		       struct skep_err *err);
/* Tells the engine what the marked instructions of a loaded program were to be. */
void skep_load_note(const struct skep_load *load, const struct skep_image *image, int fd);

/* target.c */
/* The program that opts.target names, with *@btf_id of the function for @f: a descriptor. */
int skep_load_prog_target(struct skep_load *load, const struct skep_obj_func *f, int *btf_id,
			  struct skep_err *err);
/* The descriptor of map @text, to be closed if *@take. */
int skep_load_named_map(struct skep_load *load, const char *text, bool *take, struct skep_err *err);

/* standin.c */
int skep_standin_prepare(struct skep_load *load, struct skep_err *err);

/* scope.c */
int skep_scope_prepare(struct skep_load *load, struct skep_err *err);
/* How many instructions it put in front of program @func. */
long skep_scope_insns(const struct skep_load *load, const struct skep_obj_func *func);
int skep_scope_start(struct skep_load *load, struct skep_err *err);
void skep_scope_deinit(struct skep_load *load);

/* losses.c */
int skep_losses_prepare(struct skep_load *load, struct skep_err *err);
void skep_losses_deinit(struct skep_load *load);

#endif
