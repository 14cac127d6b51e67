/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The loader: a struct skep_obj becomes maps, programs and links of an engine.
 *
 * One program that fails to load does not take the others with it unless
 * `all_or_nothing` is set; each carries its own error.
 */
#ifndef SKEP_OBJ_LOAD_H
#define SKEP_OBJ_LOAD_H

#include "obj/obj.h"

struct skep_load_opts {
	size_t sz; /* sizeof(struct skep_load_opts) */
	bool all_or_nothing;
	/* Only tasks of this set: -1 none; see skep_loaded_scope_add. */
	bool scope_tasks; /* programs with SKEP_EV_TASK run only for tasks in the scope set */
	/* Count what full ring buffers and full maps refuse (skep_loaded_losses). */
	bool count_losses;
	/* Where there are no kprobes, what observes the same call instead (standin.c). */
	bool stand_in;
	/*
	 * The program that freplace, and fentry and its like, attach to: "ID",
	 * a pin's path, or either and ":FUNCTION".  NULL: fentry is the kernel's.
	 */
	const char *target;
	const char *btf; /* file with the target's BTF instead of the running kernel's */
	const char *kconfig; /* file with the kernel's configuration, NULL: where kernels keep it */
	const char *pin_root; /* directory of maps pinned by name, NULL: /sys/fs/bpf */
	unsigned int log_level; /* of the verifier, 0: only on refusal */
	int offload; /* XDP programs and all maps are for this network device itself; 0: none */
};

struct skep_loaded_map {
	const struct skep_obj_map *spec;
	int fd; /* -1: not created (spec->skip) */
	struct skep_links links; /* struct_ops: what keeps it registered */
	void *mem; /* arena: its memory, mem_size bytes; else NULL */
	size_t mem_size;
};

struct skep_loaded_prog {
	const struct skep_obj_func *spec;
	int fd; /* -1: not loaded, see err */
	struct skep_err err; /* why it did not load or attach */
	uint32_t attach_type; /* as given to the engine: spec's, struct_ops: the member's index */
	struct skep_links links;
	/* What the engine was given, after all relocation: for dumps and tests. */
	struct bpf_insn *insns;
	uint32_t nr_insns;
	char *log; /* the verifier's whole log if asked for, else NULL */
};

struct skep_loaded {
	struct skep_sys *sys; /* borrowed */
	const struct skep_obj *obj; /* borrowed */
	struct skep_loaded_map *maps; /* obj->nr_maps and skep's own after them */
	uint32_t nr_maps;
	struct skep_loaded_prog *progs; /* one for each obj func with is_prog */
	uint32_t nr_progs;
	void *priv; /* load.c's */
};

/*
 * Creates the maps and loads the programs with autoload.  Fails as a whole
 * only for what all programs need (maps, BTF) or with all_or_nothing.
 */
int skep_load(struct skep_loaded **loaded, struct skep_obj *obj, struct skep_sys *sys,
	      const struct skep_load_opts *opts, struct skep_err *err);

/* Detaches and closes everything.  NULL-safe. */
void skep_loaded_destroy(struct skep_loaded *loaded);

/*
 * Attaches the loaded program @prog to what its section name says.  Of @how
 * the user's wishes are taken (pid, ifindex, frequency, cgroup, hook, log).
 * 0 or -errno.
 */
int skep_loaded_attach(struct skep_loaded *loaded, struct skep_loaded_prog *prog,
		       const struct skep_attach *how, struct skep_err *err);

/*
 * Registers the struct_ops map @map of @loaded with the kernel until @loaded is
 * destroyed.  1, 0 if it is no such map, or -errno.
 */
int skep_loaded_attach_map(struct skep_loaded *loaded, struct skep_loaded_map *map,
			   struct skep_err *err);

/* Adds the process @tgid, and from then on its descendants, to the scope set. */
int skep_loaded_scope_add(struct skep_loaded *loaded, pid_t tgid, struct skep_err *err);

/* One place in a program where data was refused, and how often. */
struct skep_loss {
	const char *prog, *map; /* map NULL: not known */
	const char *file; /* source, NULL: not known */
	uint32_t line, insn;
	enum { SKEP_LOSS_RING, SKEP_LOSS_MAP_FULL } kind;
	uint64_t count;
};

/* The places with count > 0: *n of them, malloc'ed, freed by the caller. */
int skep_loaded_losses(struct skep_loaded *loaded, struct skep_loss **losses, size_t *n,
		       struct skep_err *err);

#endif
