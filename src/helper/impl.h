/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions that helper.def's rows name: a declaration each, for the files of the families. */
#ifndef SKEP_HELPER_IMPL_H
#define SKEP_HELPER_IMPL_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "helper/helper.h"
#include "vm/vm.h"

#define SKEP_HELPER(number, name, ...) skep_helper_fn skep_help_##name;
#define SKEP_HELPER_NO(...)
#define SKEP_HELPER_OP(...)
#include "helper/helper.def"

/* An argument as a pointer. */
static inline void *skep_help_ptr(uint64_t arg)
{
	return (void *)(uintptr_t)arg;
}

static inline struct skep_map *skep_help_map(uint64_t arg)
{
	return (struct skep_map *)(uintptr_t)arg;
}

/* A negative errno as r0. */
static inline uint64_t skep_help_err(int code)
{
	return (uint64_t)(int64_t)-code;
}

/* The CPU that per-CPU values and current-CPU flags mean. */
static inline unsigned int skep_help_cpu(struct skep_vm *vm)
{
	const struct skep_vm_env *env = skep_vm_env(vm);

	return env ? env->cpu : 0;
}

/* Where bpf_probe_read*() looks. */
enum skep_probe {
	SKEP_PROBE_USER, /* the current task's memory */
	SKEP_PROBE_KERNEL, /* the program's own memory, and what the source made up */
	SKEP_PROBE_ANY, /* all of these */
};

/* @len bytes at @addr, all or none.  0 or -EFAULT. */
int skep_probe_read(struct skep_vm *vm, enum skep_probe from, void *dst, uint64_t addr, size_t len);
/*
 * The string at @addr, cut to @size - 1 characters, with its NUL.  Bytes used
 * in @dst, the NUL included; 0 with @size 0; or -EFAULT, @dst then undefined.
 */
long skep_probe_str(struct skep_vm *vm, enum skep_probe from, char *dst, uint64_t addr,
		    size_t size);

/*
 * Formats as the kernel's BPF helpers do: %d %i %u %x %X with l and ll, %c,
 * %s, %p and its kinds; no precision.  @args: @nr values of 8 bytes.  The
 * length that the whole text has (as snprintf(3)), or -EINVAL for a bad format.
 */
long skep_bprintf(struct skep_vm *vm, char *dst, size_t size, const char *fmt, size_t fmt_size,
		  const uint64_t *args, unsigned int nr);

#define SKEP_BPRINTF_ARGS 12 /* MAX_BPRINTF_VARARGS of the kernel */

#endif
