/* SPDX-License-Identifier: BSD-2-Clause */
/* Stack traces: user stacks through the event source.  There is no kernel stack here: -EFAULT. */
#include <string.h>

#include "helper/impl.h"

#define DEPTH 127 /* kernel.perf_event_max_stack */

/* Return addresses after the first @skip; their number, or -EFAULT. */
static int user_stack(struct skep_vm *vm, uint64_t ips[DEPTH], unsigned int skip, unsigned int max)
{
	struct skep_vm_env *env = skep_vm_env(vm);
	int n;

	if (!env || !env->ops->user_stack)
		return -EFAULT;
	max = max > DEPTH - skip ? DEPTH : max + skip;
	n = env->ops->user_stack(env, ips, max);
	if (n < 0 || (unsigned int)n <= skip)
		return -EFAULT;
	memmove(ips, ips + skip, (n - skip) * sizeof(*ips));
	return n - (int)skip;
}

uint64_t skep_help_get_stackid(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_map *map = skep_help_map(a[1]);
	unsigned int skip = a[2] & BPF_F_SKIP_FIELD_MASK;
	uint64_t ips[DEPTH];
	int n;

	if (map->type != BPF_MAP_TYPE_STACK_TRACE)
		return skep_vm_stop(vm, SKEP_E_RUN_ACCESS, "the map '%s' holds no stack traces",
				    map->name);
	if (a[2] & ~(uint64_t)(BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP |
			       BPF_F_REUSE_STACKID))
		return skep_help_err(EINVAL);
	if (!(a[2] & BPF_F_USER_STACK) || skip >= DEPTH)
		return skep_help_err(EFAULT);
	n = user_stack(vm, ips, skip, map->value_size / 8);
	if (n < 0)
		return (int64_t)n;
	return (int64_t)skep_stack_map_store(map, ips, (unsigned int)n, a[2]);
}

uint64_t skep_help_get_stack(struct skep_vm *vm, const uint64_t a[5])
{
	unsigned int skip = a[3] & BPF_F_SKIP_FIELD_MASK;
	uint32_t size = (uint32_t)a[2];
	uint8_t *buf = skep_help_ptr(a[1]);
	uint64_t ips[DEPTH];
	int n;

	memset(buf, 0, size);
	if (a[3] & ~(uint64_t)(BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK) || size % 8)
		return skep_help_err(EINVAL);
	if (!(a[3] & BPF_F_USER_STACK) || skip >= DEPTH)
		return skep_help_err(EFAULT);
	n = user_stack(vm, ips, skip, size / 8);
	if (n < 0)
		return (int64_t)n;
	memcpy(buf, ips, (size_t)n * 8);
	return (uint64_t)n * 8;
}
