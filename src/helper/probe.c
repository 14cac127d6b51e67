/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers that read memory which may not be there: the current task's through
 * the event source, and the program's own, which is asked for byte by byte
 * what belongs to it, in trusted mode too.  Failure leaves zeroes.
 */
#include <string.h>

#include "helper/impl.h"

int skep_probe_read(struct skep_vm *vm, enum skep_probe from, void *dst, uint64_t addr, size_t len)
{
	struct skep_vm_env *env = skep_vm_env(vm);

	if (!len)
		return 0;
	if (from != SKEP_PROBE_USER) {
		if (skep_vm_reach(vm, addr, false) >= len) {
			memmove(dst, skep_help_ptr(addr), len);
			return 0;
		}
		if (env && env->ops->read_kernel && !env->ops->read_kernel(env, dst, addr, len))
			return 0;
	}
	if (from != SKEP_PROBE_KERNEL && env && env->ops->read_user &&
	    !env->ops->read_user(env, dst, addr, len))
		return 0;
	return -EFAULT;
}

long skep_probe_str(struct skep_vm *vm, enum skep_probe from, char *dst, uint64_t addr, size_t size)
{
	char piece[256];
	size_t done = 0;

	if (!size)
		return 0;
	while (done < size) {
		/* Never across a 256-byte line: the next page may be missing. */
		size_t n = sizeof(piece) - (addr + done) % sizeof(piece), len;

		if (n > size - done)
			n = size - done;
		if (skep_probe_read(vm, from, piece, addr + done, n) < 0) {
			/* What ends before the end of the program's memory is a string as well. */
			n = 1;
			if (skep_probe_read(vm, from, piece, addr + done, n) < 0)
				return -EFAULT;
		}
		len = strnlen(piece, n);
		memcpy(dst + done, piece, len);
		done += len;
		if (len < n) {
			dst[done] = 0;
			return (long)done + 1;
		}
	}
	dst[size - 1] = 0;
	return (long)size;
}

/*
 * The kernel tells a kernel read of the user's half of the address space from
 * one that faults.  The program's own memory, which lies in that half here,
 * counts as the kernel's.
 */
static int refused(enum skep_probe from, uint64_t addr)
{
	return from == SKEP_PROBE_KERNEL && addr < 1ull << 47 ? -ERANGE : -EFAULT;
}

static uint64_t read_mem(struct skep_vm *vm, enum skep_probe from, const uint64_t a[5])
{
	size_t size = (uint32_t)a[1];

	if (!skep_probe_read(vm, from, skep_help_ptr(a[0]), a[2], size))
		return 0;
	memset(skep_help_ptr(a[0]), 0, size);
	return (int64_t)refused(from, a[2]);
}

static uint64_t read_str(struct skep_vm *vm, enum skep_probe from, const uint64_t a[5])
{
	size_t size = (uint32_t)a[1];
	long n = skep_probe_str(vm, from, skep_help_ptr(a[0]), a[2], size);

	if (n >= 0)
		return n;
	memset(skep_help_ptr(a[0]), 0, size);
	return (int64_t)refused(from, a[2]);
}

uint64_t skep_help_probe_read(struct skep_vm *vm, const uint64_t a[5])
{
	return read_mem(vm, SKEP_PROBE_ANY, a);
}

uint64_t skep_help_probe_read_user(struct skep_vm *vm, const uint64_t a[5])
{
	return read_mem(vm, SKEP_PROBE_USER, a);
}

uint64_t skep_help_copy_from_user(struct skep_vm *vm, const uint64_t a[5])
{
	return read_mem(vm, SKEP_PROBE_USER, a);
}

uint64_t skep_help_probe_read_kernel(struct skep_vm *vm, const uint64_t a[5])
{
	return read_mem(vm, SKEP_PROBE_KERNEL, a);
}

uint64_t skep_help_probe_read_str(struct skep_vm *vm, const uint64_t a[5])
{
	return read_str(vm, SKEP_PROBE_ANY, a);
}

uint64_t skep_help_probe_read_user_str(struct skep_vm *vm, const uint64_t a[5])
{
	return read_str(vm, SKEP_PROBE_USER, a);
}

uint64_t skep_help_probe_read_kernel_str(struct skep_vm *vm, const uint64_t a[5])
{
	return read_str(vm, SKEP_PROBE_KERNEL, a);
}

uint64_t skep_help_probe_write_user(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_vm_env *env = skep_vm_env(vm);

	if (!env || !env->ops->write_user)
		return skep_help_err(EPERM);
	if (env->ops->write_user(env, a[0], skep_help_ptr(a[1]), (uint32_t)a[2]) < 0)
		return skep_help_err(EFAULT);
	return 0;
}
