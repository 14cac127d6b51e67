/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the map kinds share: reserved memory, element addressing, a lock.
 *
 * Value memory is one reservation of address space made when the map is
 * created; pages get memory when first touched.  An address handed to a
 * program therefore stays mapped for the life of the map, and "whose byte is
 * this" is a comparison and a division by a constant.
 */
#ifndef SKEP_MAP_KIND_H
#define SKEP_MAP_KIND_H

#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "map/map.h"

#define SKEP_PAGE 4096u

/* Flags that any kind may be created with. */
#define SKEP_MAP_ACCESS_FLAGS (BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)

static inline uint64_t skep_round_up(uint64_t v, uint64_t to)
{
	return (v + to - 1) / to * to;
}

/* BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other. */
static inline bool skep_map_flags_access_ok(uint32_t flags)
{
	uint32_t both = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

	return (flags & both) != both;
}

/*
 * mmap(2), below 2 GiB while there is room: there an address is a 32-bit
 * immediate of the machine code, or the displacement of an access.
 */
void *skep_mem_map(size_t len, int flags, int fd);
#define SKEP_MEM_LOW (1u << 20) /* larger ones have no claim to it */
/* Zeroed memory, page by page on first touch; NULL when there is none. */
void *skep_mem_reserve(size_t len);
void skep_mem_release(void *p, size_t len); /* NULL-safe */
/* An unnamed file of @len zero bytes, or -errno. */
int skep_mem_file(size_t len);

/* A lock for a few instructions; yields when the holder was preempted. */
struct skep_spin {
	_Atomic uint32_t held;
};

static inline void skep_spin_lock(struct skep_spin *spin)
{
	unsigned int n = 0;

	while (atomic_exchange_explicit(&spin->held, 1, memory_order_acquire)) {
		while (atomic_load_explicit(&spin->held, memory_order_relaxed)) {
			if (++n % 64 == 0)
				sched_yield();
		}
	}
}

static inline void skep_spin_unlock(struct skep_spin *spin)
{
	atomic_store_explicit(&spin->held, 0, memory_order_release);
}

/*
 * Where values lie: value i of CPU c at base + c * cpu_area + i * stride.
 * cpu_area is 0 for kinds that are not per CPU.
 */
struct skep_values {
	char *base;
	uint64_t stride, cpu_area;
	uint64_t total; /* bytes from base to the end of the last value's stride */
	uint64_t magic; /* 2^64 / stride rounded up; 0: divide */
	uint32_t value_size, n;
};

/* Sets all but `base`; @cpus 0: one copy.  False when the size overflows. */
bool skep_values_init(struct skep_values *v, uint32_t value_size, uint64_t stride, uint64_t n,
		      unsigned int cpus);

static inline void *skep_values_at(const struct skep_values *v, uint64_t i, unsigned int cpu)
{
	return v->base + cpu * v->cpu_area + i * v->stride;
}

/* The `bound` of kinds that keep their values so. */
static inline uint64_t skep_values_bound(const struct skep_values *v, uint64_t addr)
{
	uint64_t off = addr - (uint64_t)(uintptr_t)v->base, i, in;

	if (off >= v->total)
		return 0;
	if (v->cpu_area)
		off %= v->cpu_area;
	i = v->magic ? (uint64_t)((unsigned __int128)off * v->magic >> 64) : off / v->stride;
	in = off - i * v->stride;
	return i < v->n && in < v->value_size ? addr - in + v->value_size : 0;
}

static inline void skep_copy(void *to, const void *from, size_t n)
{
	if (n == 8)
		memcpy(to, from, 8);
	else if (n == 4)
		memcpy(to, from, 4);
	else
		memcpy(to, from, n);
}

extern const struct skep_map_ops skep_map_array, skep_map_percpu_array;
extern const struct skep_map_ops skep_map_hash, skep_map_percpu_hash;
extern const struct skep_map_ops skep_map_lru_hash, skep_map_lru_percpu_hash;
extern const struct skep_map_ops skep_map_prog_array, skep_map_perf_event_array;
extern const struct skep_map_ops skep_map_ringbuf, skep_map_stack_trace;
extern const struct skep_map_ops skep_map_queue, skep_map_stack;
extern const struct skep_map_ops skep_map_lpm_trie, skep_map_bloom_filter;
extern const struct skep_map_ops skep_map_array_of_maps, skep_map_hash_of_maps;

/* Rules that all kinds made like arrays share (array.c). */
int skep_array_check(const union bpf_attr *attr, struct skep_err *err);
int skep_array_next_key(struct skep_map *map, const void *key, void *next);

/* True for kinds with a value for each CPU. */
bool skep_map_type_percpu(uint32_t type);
/* True for kinds whose values are descriptors on the way in. */
bool skep_map_type_fds(uint32_t type);

#endif
