/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF helpers: helper.def has a row for every helper of the kernel up to
 * 6.12 (number, name, prototype, since which kernel); those that the user
 * engine implements name a function, in the file of their family.
 *
 * A new helper: fill in its row and write one function.
 */
#ifndef SKEP_HELPER_HELPER_H
#define SKEP_HELPER_HELPER_H

#include <stdint.h>

struct skep_vm;

/* What an argument is: checked before the call in checked mode, by the verifier later. */
enum skep_arg {
	SKEP_ARG_NONE,
	SKEP_ARG_ANY, /* a number */
	SKEP_ARG_MAP, /* const struct bpf_map * */
	SKEP_ARG_MAP_KEY, /* readable, key_size bytes of the map argument */
	SKEP_ARG_MAP_VALUE, /* readable, value_size bytes */
	SKEP_ARG_MAP_VALUE_OUT, /* writable, value_size bytes */
	SKEP_ARG_MEM, /* readable; the next argument is its size */
	SKEP_ARG_MEM_OR_NULL,
	SKEP_ARG_MEM_OUT, /* writable; the next argument is its size */
	SKEP_ARG_SIZE, /* > 0 */
	SKEP_ARG_SIZE_OR_ZERO,
	SKEP_ARG_CTX,
	SKEP_ARG_CONST_STR, /* NUL-terminated, read-only */
	SKEP_ARG_RINGBUF_MEM, /* what bpf_ringbuf_reserve() returned */
	SKEP_ARG_FUNC, /* address of a function of the program */
	SKEP_ARG_STACK_OR_NULL,
	SKEP_ARG_KERNEL, /* needs objects that only a kernel has */
};

enum skep_ret {
	SKEP_RET_INT,
	SKEP_RET_VOID,
	SKEP_RET_MAP_VALUE_OR_NULL,
	SKEP_RET_MEM_OR_NULL,
	SKEP_RET_KERNEL,
};

/* r1..r5 in @a.  The result goes to r0. */
typedef uint64_t skep_helper_fn(struct skep_vm *vm, const uint64_t a[5]);

struct skep_helper {
	const char *name; /* "bpf_map_lookup_elem" */
	uint32_t since; /* kernel version, 0xMMmm: 0x0603 for 6.3 */
	uint8_t ret; /* enum skep_ret */
	uint8_t args[5]; /* enum skep_arg */
	uint8_t gpl; /* only for GPL-compatible programs */
	skep_helper_fn *fn; /* NULL: the user engine does not have it */
	const char *why; /* with fn NULL: what it needs, for the refusal's sentence */
};

/* Row @number, or NULL for numbers that no kernel up to 6.12 knows. */
const struct skep_helper *skep_helper_find(uint32_t number);

#endif
