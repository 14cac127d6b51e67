/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Map kinds of the user engine behind one ops table.
 *
 * Semantics, limits and errnos are the kernel's (Documentation/bpf/map_*.rst):
 * what MAP_CREATE refuses, what BPF_NOEXIST means, 8-byte rounding of per-CPU
 * values.  Addresses that programs get point into memory that stays where it
 * is for the life of the map: a deleted element's memory may be reused but is
 * never unmapped while a program can hold it.
 *
 * Safe for concurrent use by many threads.
 *
 * A new kind: a row in map.def, and a struct skep_map_ops in a file of its own
 * or its family's.
 */
#ifndef SKEP_MAP_MAP_H
#define SKEP_MAP_MAP_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct skep_map;
struct skep_vm_prog;

/* What descriptors in maps mean: prog arrays and maps of maps hold counted references. */
struct skep_map_prog_ops {
	void *(*get)(void *ctx, int fd); /* a reference, or NULL */
	void (*put)(void *prog);
	uint32_t (*id)(const void *prog);
	/* What a tail call runs: borrowed from @prog.  NULL op: @prog is it. */
	const struct skep_vm_prog *(*vm_prog)(const void *prog);
	uint32_t (*type)(const void *prog); /* BPF_PROG_TYPE_*: all of one array have the same */
	/* The borrowed map of @fd, or NULL with -errno in *@ret.  NULL op: maps have none. */
	struct skep_map *(*map)(void *ctx, int fd, int *ret);
};

/* Values in a row: key i, below n, has for CPU c that at base + c * cpu_area + i * stride. */
struct skep_map_row {
	uint64_t base, stride, cpu_area;
	uint32_t n;
};

typedef void *skep_map_lookup_fn(struct skep_map *map, const void *key, unsigned int cpu);

/* What the kernel's map code returns for what a kind does not have; not in errno.h. */
#define SKEP_ENOTSUPP 524

struct skep_map_ops {
	const char *name; /* "hash", as bpftool prints it */
	/* What MAP_CREATE of this kind checks beyond the common rules.  0 or -errno. */
	int (*check)(const union bpf_attr *attr, struct skep_err *err);
	/* Allocates the kind's part; @map's common fields are set. */
	int (*init)(struct skep_map *map, struct skep_err *err);
	void (*deinit)(struct skep_map *map);

	/*
	 * The program's side.  @cpu selects the per-CPU copy.  lookup gives the
	 * address of the value, or NULL.  Keys and values are key_size and
	 * value_size bytes.  NULL ops: -EOPNOTSUPP.
	 */
	skep_map_lookup_fn *lookup;
	int (*update)(struct skep_map *map, const void *key, const void *value, uint64_t flags,
		      unsigned int cpu);
	int (*del)(struct skep_map *map, const void *key);
	/* Instead of lookup, for maps of maps: the one at @key, with a reference, or NULL. */
	struct skep_map *(*inner)(struct skep_map *map, const void *key);
	int (*push)(struct skep_map *map, const void *value, uint64_t flags);
	int (*pop)(struct skep_map *map, void *value, bool peek); /* bloom filters read @value */

	/*
	 * The system call's side: per-CPU kinds copy skep_nr_cpus() values of
	 * 8-byte rounded size; next_key with @key NULL gives the first key,
	 * -ENOENT after the last.  NULL: made of lookup/update.
	 */
	int (*sys_lookup)(struct skep_map *map, const void *key, void *value, uint64_t flags);
	int (*sys_update)(struct skep_map *map, const void *key, const void *value, uint64_t flags);
	int (*sys_delete)(struct skep_map *map, const void *key);
	/* Lookup and delete in one; NULL: the kind does not have it. */
	int (*sys_take)(struct skep_map *map, const void *key, void *value, uint64_t flags);
	int (*next_key)(struct skep_map *map, const void *key, void *next);
	/* The last descriptor is closed: prog and perf event arrays empty themselves. */
	void (*release)(struct skep_map *map);

	/*
	 * The end of the memory unit that holds @addr, if a program may access
	 * it: with @addr in a value, the first byte past that value; 0 when the
	 * address is not this map's.  The interpreter's access check.
	 */
	uint64_t (*bound)(const struct skep_map *map, uint64_t addr);

	/* For machine code.  Kinds whose keys are numbers of values in a row; NULL: not so. */
	void (*row)(const struct skep_map *map, struct skep_map_row *row);
	/* A lookup that does the same for this map only, faster.  NULL (op): there is none. */
	skep_map_lookup_fn *(*own_lookup)(const struct skep_map *map);

	/* mmap(2) of the map's descriptor; the address, or -errno as a pointer. */
	void *(*mmap)(struct skep_map *map, off_t off, size_t len, int prot);
	/* True when a reader of the mapped ring would find data. */
	bool (*ready)(const struct skep_map *map);
};

struct skep_map {
	const struct skep_map_ops *ops;
	uint32_t type, key_size, value_size, max_entries, flags;
	uint64_t map_extra;
	uint32_t btf_key, btf_value; /* type ids as given to MAP_CREATE */
	int btf_fd; /* as given; the engine resolves it */
	int inner_fd; /* as given; means something in ops->init only */
	char name[BPF_OBJ_NAME_LEN];
	uint32_t id;
	uint32_t cpus; /* skep_nr_cpus(), read once */
	uint64_t created_ns; /* CLOCK_BOOTTIME */
	bool frozen; /* writes from the system call side: -EPERM */
	_Atomic int refs;
	const struct skep_map_prog_ops *prog_ops; /* prog arrays, maps of maps */
	void *prog_ctx;
	/* SKEP_EVENT_OUTPUT buffers by descriptor: perf event arrays. */
	void *(*output_get)(void *ctx, int fd); /* a struct skep_perf_ring reference, or NULL */
	void *owner; /* the engine's */
	void *priv; /* the kind's */
};

/*
 * Creates a map as MAP_CREATE would, with one reference.  0 or -errno with
 * @err naming the map and the rule it breaks.
 */
int skep_map_create(struct skep_map **map, const union bpf_attr *attr,
		    const struct skep_map_prog_ops *prog_ops, void *prog_ctx,
		    void *(*output_get)(void *ctx, int fd), struct skep_err *err);
struct skep_map *skep_map_get(struct skep_map *map); /* one more reference */
void skep_map_put(struct skep_map *map); /* NULL-safe */

/* Bytes a system call exchanges for one value: per-CPU kinds have one for each CPU. */
size_t skep_map_sys_value_size(const struct skep_map *map);

/* The one memory check of the interpreter: ops->bound, 0 for kinds without values in memory. */
static inline uint64_t skep_map_bound(const struct skep_map *map, uint64_t addr)
{
	return map->ops->bound ? map->ops->bound(map, addr) : 0;
}

/* The element commands of bpf(2), common rules (flags, frozen) included. */
int skep_map_sys_lookup(struct skep_map *map, const void *key, void *value, uint64_t flags);
int skep_map_sys_update(struct skep_map *map, const void *key, const void *value, uint64_t flags);
int skep_map_sys_delete(struct skep_map *map, const void *key);
int skep_map_sys_take(struct skep_map *map, const void *key, void *value, uint64_t flags);
int skep_map_sys_next_key(struct skep_map *map, const void *key, void *next);
int skep_map_sys_freeze(struct skep_map *map);
/* mmap(2) of the map's descriptor with MAP_SHARED: the address, or -errno as a pointer. */
void *skep_map_sys_mmap(struct skep_map *map, off_t off, size_t len, int prot);

/* "hash" for BPF_MAP_TYPE_HASH, NULL for numbers that no kernel up to 6.12 knows. */
const char *skep_map_type_name(uint32_t type);

/* The program's side, used by helpers. */
void *skep_map_lookup(struct skep_map *map, const void *key, unsigned int cpu);
int skep_map_update(struct skep_map *map, const void *key, const void *value, uint64_t flags,
		    unsigned int cpu);
int skep_map_delete(struct skep_map *map, const void *key);

/*
 * Ring buffers (ringbuf.c), with the kernel's memory layout: consumer page,
 * producer page, data mapped twice.  reserve gives the address of @size bytes
 * or NULL when full; submit and discard take that address.
 */
void *skep_ringbuf_reserve(struct skep_map *map, uint64_t size);
void skep_ringbuf_submit(struct skep_map *map, void *sample, bool discard);
/* Reserves, copies and submits.  0 or -EAGAIN when full. */
int skep_ringbuf_output(struct skep_map *map, const void *data, uint64_t size);
uint64_t skep_ringbuf_query(struct skep_map *map, uint64_t flags);

/*
 * Perf buffers (perf_ring.c): struct perf_event_mmap_page and 2^n data pages,
 * as perf_event_open(2) maps them.  Filled by bpf_perf_event_output() through
 * a perf event array, and by bpf_printk(); drops become PERF_RECORD_LOST.
 */
struct skep_perf_ring;
/* @sample_type: of PERF_SAMPLE_TID|TIME|CPU|RAW; records carry the sample_id trailer. */
struct skep_perf_ring *skep_perf_ring_create(uint64_t sample_type, struct skep_err *err);
struct skep_perf_ring *skep_perf_ring_get(struct skep_perf_ring *ring);
void skep_perf_ring_put(struct skep_perf_ring *ring);
void *skep_perf_ring_mmap(struct skep_perf_ring *ring, size_t len, int prot);
bool skep_perf_ring_ready(const struct skep_perf_ring *ring);
/* Bytes that wait for the reader, and of how many; 0 of 0 when no reader mapped it. */
uint64_t skep_perf_ring_used(const struct skep_perf_ring *ring, uint64_t *size);
/* Writes one PERF_RECORD_SAMPLE with raw data @a then @b.  0 or -ENOSPC (counted). */
int skep_perf_ring_sample(struct skep_perf_ring *ring, uint32_t pid, uint32_t tid, uint64_t time,
			  uint32_t cpu, const void *a, size_t a_len, const void *b, size_t b_len);
/* Writes a finished record (struct perf_event_header first).  0 or -ENOSPC (counted). */
int skep_perf_ring_record(struct skep_perf_ring *ring, const void *record, size_t len);
/* The ring that slot @index of a perf event array holds, with a reference, or NULL. */
struct skep_perf_ring *skep_perf_array_get(struct skep_map *map, uint32_t index);

/* The program in slot @index of a prog array (borrowed until the map changes), or NULL. */
void *skep_prog_array_get(struct skep_map *map, uint32_t index);

/*
 * Stack trace map: stores @n addresses, the skipped ones of `flags` left out
 * already; the stack id, or -errno as bpf_get_stackid() gives.
 */
int skep_stack_map_store(struct skep_map *map, const uint64_t *ips, unsigned int n, uint64_t flags);

#endif
