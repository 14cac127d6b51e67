/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps: what programs and their process share.
 *
 * Semantics, limits and errnos are those of bpf(2).  All functions here may be
 * called by many threads at once, while programs use the same map.  Values are
 * copied as whole words; a value that a program changes at that moment may be
 * seen half changed, as in the kernel.
 */
#ifndef SKEP_MAP_H
#define SKEP_MAP_H

#include <skep/engine.h>

#ifdef __cplusplus
extern "C" {
#endif

struct skep_map;
struct skep_program;

struct skep_map_opts {
	size_t sz;
	const char *name; /* up to 15 of letters, digits, '_' and '.' */
	uint32_t type; /* BPF_MAP_TYPE_* of <linux/bpf.h> */
	uint32_t key_size, value_size, max_entries, flags; /* as bpf(2) BPF_MAP_CREATE */
};

/* A map for programs that are loaded from instructions or text; it lives as long as @engine. */
SKEP_API int skep_map_make(struct skep_map **map, struct skep_engine *engine,
			   const struct skep_map_opts *opts, struct skep_err *err);

SKEP_API const char *skep_map_name(const struct skep_map *map);
SKEP_API uint32_t skep_map_type(const struct skep_map *map); /* BPF_MAP_TYPE_* */
SKEP_API uint32_t skep_map_key_size(const struct skep_map *map); /* bytes */
/* Bytes that lookup and update exchange: per-CPU kinds have a value for each CPU. */
SKEP_API size_t skep_map_value_size(const struct skep_map *map);
SKEP_API uint32_t skep_map_max_entries(const struct skep_map *map);

/* Copies the value of @key.  0 or -errno: -ENOENT when there is none. */
SKEP_API int skep_map_lookup_elem(struct skep_map *map, const void *key, void *value);
/* @flags: BPF_ANY 0, BPF_NOEXIST 1, BPF_EXIST 2. */
SKEP_API int skep_map_update_elem(struct skep_map *map, const void *key, const void *value,
				  uint64_t flags);
SKEP_API int skep_map_delete_elem(struct skep_map *map, const void *key);
/* The key after @key (NULL: the first) in *@next.  -ENOENT after the last. */
SKEP_API int skep_map_next_key(struct skep_map *map, const void *key, void *next);

/*
 * Where the value of @key lies, or NULL: for reading and writing without a
 * copy, with atomic operations if programs do so, too.  The address stays
 * valid as long as the map; what lies there is the element's until it is
 * deleted.  Not for per-CPU kinds.
 */
SKEP_API void *skep_map_value(struct skep_map *map, const void *key);

/*
 * Prog arrays: slot @index holds @program from now on, NULL: nothing.  Tail
 * calls that run meanwhile go to the old or the new one.  A program that was
 * taken out may be destroyed when no run that began before is going on.
 */
SKEP_API int skep_map_set_program(struct skep_map *map, uint32_t index,
				  struct skep_program *program, struct skep_err *err);

/*
 * Ring buffers: hands each finished record to @fn, oldest first, until none is
 * left or @fn returns less than 0.  Their number, or what @fn returned.  One
 * reader at a time.
 */
SKEP_API int skep_map_read_ring(struct skep_map *map,
				int (*fn)(void *data, const void *record, size_t len), void *data,
				struct skep_err *err);

#ifdef __cplusplus
}
#endif
#endif
