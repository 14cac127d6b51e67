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

#include <stdbool.h>
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
	SKEP_ARG_MEM_OUT_OR_NULL,
	SKEP_ARG_SIZE, /* > 0 */
	SKEP_ARG_SIZE_OR_ZERO,
	SKEP_ARG_CTX,
	SKEP_ARG_CONST_STR, /* NUL-terminated, read-only */
	SKEP_ARG_RINGBUF_MEM, /* what bpf_ringbuf_reserve() returned */
	SKEP_ARG_FUNC, /* address of a function of the program */
	SKEP_ARG_STACK_OR_NULL, /* handed to a callback as it is */
	SKEP_ARG_U64_OUT, /* 8 writable bytes */
	SKEP_ARG_LOCK, /* struct bpf_spin_lock in a map value */
	SKEP_ARG_DYNPTR, /* an initialised struct bpf_dynptr */
	SKEP_ARG_DYNPTR_OUT, /* a struct bpf_dynptr to initialise */
	SKEP_ARG_KERNEL, /* needs objects that only a kernel has */
	SKEP_ARG_FIXED, /* readable, as many bytes as `bytes` of the row says: an embedder's */
	SKEP_ARG_FIXED_OUT, /* the same, writable */
};

enum skep_ret {
	SKEP_RET_INT,
	SKEP_RET_VOID,
	SKEP_RET_MAP_VALUE_OR_NULL,
	SKEP_RET_MEM_OR_NULL,
	SKEP_RET_KERNEL,
};

/* Which program types a helper makes sense for: those whose context it understands. */
enum skep_helper_for {
	SKEP_FOR_ANY, /* all types */
	SKEP_FOR_TRACE, /* kprobe, tracepoint, raw tracepoint, perf event, tracing, syscall */
	SKEP_FOR_TRACING, /* BPF_PROG_TYPE_TRACING */
	SKEP_FOR_SKB, /* those with a struct __sk_buff */
	SKEP_FOR_XDP,
	SKEP_FOR_PACKET, /* SKB and XDP */
};

/* r1..r5 in @a.  The result goes to r0. */
typedef uint64_t skep_helper_fn(struct skep_vm *vm, const uint64_t a[5]);

struct skep_helper {
	const char *name; /* "bpf_map_lookup_elem" */
	uint32_t since; /* kernel version, 0xMMmm: 0x0603 for 6.3 */
	uint8_t progs; /* enum skep_helper_for */
	uint8_t ret; /* enum skep_ret */
	uint8_t args[5]; /* enum skep_arg */
	uint8_t gpl; /* only for GPL-compatible programs */
	skep_helper_fn *fn; /* NULL: the user engine does not have it */
	uint32_t bytes[5]; /* of FIXED arguments */
	const char *why; /* with fn NULL: what it does, for "bpf_NAME() ..." in the refusal */
};

/* The numbers of helper.def end before this one. */
#define SKEP_HELPER_MAX 212

/*
 * Row @number, or what stands for the mark of something the loader could not
 * resolve (it ends the run), or NULL for 0 and for numbers that no
 * kernel up to 6.12 knows.
 */
const struct skep_helper *skep_helper_find(uint32_t number);

/* True when programs of @prog_type may call @helper.  BPF_PROG_TYPE_UNSPEC may call all. */
bool skep_helper_allowed(const struct skep_helper *helper, uint32_t prog_type);

#endif
