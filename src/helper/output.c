/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers that hand data out: perf buffers, ring buffers, printed lines. */
#include <string.h>
#include <time.h>

#include "helper/impl.h"

static uint64_t sample(struct skep_vm *vm, struct skep_map *map, uint32_t index, const void *data,
		       size_t len, const void *more, size_t more_len)
{
	const struct skep_vm_env *env = skep_vm_env(vm);
	struct skep_perf_ring *ring = skep_perf_array_get(map, index);
	struct timespec now;
	int ret;

	if (!ring)
		return skep_help_err(ENOENT);
	clock_gettime(CLOCK_MONOTONIC, &now);
	ret = skep_perf_ring_sample(ring, env ? (uint32_t)env->tgid : 0,
				    env ? (uint32_t)env->pid : 0,
				    (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec,
				    skep_help_cpu(vm), data, len, more, more_len);
	skep_perf_ring_put(ring);
	return (int64_t)ret;
}

uint64_t skep_help_perf_event_output(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_map *map = skep_help_map(a[1]);
	const struct skep_vm_packet *packet = skep_vm_packet(vm);
	uint64_t index = a[2] & BPF_F_INDEX_MASK, allowed = BPF_F_INDEX_MASK;
	size_t more = packet ? (a[2] & BPF_F_CTXLEN_MASK) >> 32 : 0;

	if (packet)
		allowed |= BPF_F_CTXLEN_MASK;
	if (map->type != BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return skep_vm_stop(vm, SKEP_E_RUN_ACCESS, "the map '%s' is no perf event array",
				    map->name);
	if (a[2] & ~allowed)
		return skep_help_err(EINVAL);
	if (index == BPF_F_CURRENT_CPU)
		index = skep_help_cpu(vm);
	if (index >= map->max_entries)
		return skep_help_err(E2BIG);
	if (more > (packet ? (size_t)(packet->data_end - packet->data) : 0))
		return skep_help_err(EFAULT);
	return sample(vm, map, (uint32_t)index, skep_help_ptr(a[3]), a[4],
		      packet ? packet->data : NULL, more);
}

static bool is_ringbuf(struct skep_vm *vm, const struct skep_map *map)
{
	if (map->type == BPF_MAP_TYPE_RINGBUF)
		return true;
	skep_vm_stop(vm, SKEP_E_RUN_ACCESS, "the map '%s' is no ring buffer", map->name);
	return false;
}

#define WAKEUP (BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP)

uint64_t skep_help_ringbuf_output(struct skep_vm *vm, const uint64_t a[5])
{
	if (!is_ringbuf(vm, skep_help_map(a[0])))
		return 0;
	if (a[3] & ~(uint64_t)WAKEUP)
		return skep_help_err(EINVAL);
	return (int64_t)skep_ringbuf_output(skep_help_map(a[0]), skep_help_ptr(a[1]), a[2]);
}

uint64_t skep_help_ringbuf_reserve(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_map *map = skep_help_map(a[0]);
	void *mem;

	if (!is_ringbuf(vm, map) || a[2])
		return 0;
	mem = skep_ringbuf_reserve(map, a[1]);
	if (mem && skep_vm_hold(vm, SKEP_VM_HELD_RINGBUF, map, mem, a[1]) < 0) {
		skep_ringbuf_submit(map, mem, true);
		return 0;
	}
	return (uintptr_t)mem;
}

static uint64_t commit(struct skep_vm *vm, void *mem, bool discard)
{
	struct skep_map *map;

	if (!skep_vm_unhold(vm, SKEP_VM_HELD_RINGBUF, mem, &map))
		return skep_vm_stop(vm, SKEP_E_RUN_ACCESS, "%p is not reserved", mem);
	skep_ringbuf_submit(map, mem, discard);
	return 0;
}

uint64_t skep_help_ringbuf_submit(struct skep_vm *vm, const uint64_t a[5])
{
	return commit(vm, skep_help_ptr(a[0]), false);
}

uint64_t skep_help_ringbuf_discard(struct skep_vm *vm, const uint64_t a[5])
{
	return commit(vm, skep_help_ptr(a[0]), true);
}

uint64_t skep_help_ringbuf_query(struct skep_vm *vm, const uint64_t a[5])
{
	if (!is_ringbuf(vm, skep_help_map(a[0])))
		return 0;
	return skep_ringbuf_query(skep_help_map(a[0]), a[1]);
}

static uint64_t print(struct skep_vm *vm, const char *fmt, size_t fmt_size, const uint64_t *args,
		      unsigned int nr)
{
	struct skep_vm_env *env = skep_vm_env(vm);
	char text[1024]; /* MAX_TRACE_PRINTK_... of the kernel: longer lines are cut */
	long n = skep_bprintf(vm, text, sizeof(text), fmt, fmt_size, args, nr);

	if (n < 0)
		return n;
	if (n >= (long)sizeof(text))
		n = sizeof(text) - 1;
	if (env && env->ops->printk)
		env->ops->printk(env, text, n);
	return n;
}

uint64_t skep_help_trace_printk(struct skep_vm *vm, const uint64_t a[5])
{
	return print(vm, skep_help_ptr(a[0]), (uint32_t)a[1], &a[2], 3);
}

/* Copies the arguments: they may stand unaligned.  False: -EINVAL. */
static bool get_args(uint64_t args[SKEP_BPRINTF_ARGS], uint64_t data, uint64_t len)
{
	len = (uint32_t)len;
	if (len % 8 || len > 8 * SKEP_BPRINTF_ARGS || (len && !data))
		return false;
	if (len)
		memcpy(args, skep_help_ptr(data), len);
	return true;
}

uint64_t skep_help_trace_vprintk(struct skep_vm *vm, const uint64_t a[5])
{
	uint64_t args[SKEP_BPRINTF_ARGS];

	if (!get_args(args, a[2], a[3]))
		return skep_help_err(EINVAL);
	return print(vm, skep_help_ptr(a[0]), (uint32_t)a[1], args, (uint32_t)a[3] / 8);
}

uint64_t skep_help_snprintf(struct skep_vm *vm, const uint64_t a[5])
{
	const char *fmt = skep_help_ptr(a[2]);
	uint64_t args[SKEP_BPRINTF_ARGS];
	long n;

	if (!get_args(args, a[3], a[4]))
		return skep_help_err(EINVAL);
	n = skep_bprintf(vm, skep_help_ptr(a[0]), a[0] ? (uint32_t)a[1] : 0, fmt, strlen(fmt) + 1,
			 args, (uint32_t)a[4] / 8);
	return n < 0 ? n : n + 1;
}
