/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checked mode: the arguments of a helper call against the helper's row,
 * before the helper sees them.  Helpers may therefore touch what their
 * arguments say without asking again.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vm/run.h"

struct args {
	struct skep_vm *vm;
	const struct skep_vm_insn *pc;
	const uint64_t *a;
	unsigned int at;
};

static bool wrong(const struct args *args, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static bool wrong(const struct args *args, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	skep_vm_fail(args->vm, args->pc, SKEP_E_RUN_ACCESS, EFAULT, "%s(), argument %u: %s",
		     args->pc->helper->name, args->at + 1, text);
	return false;
}

static bool memory(const struct args *args, uint64_t len, bool write)
{
	uint64_t addr = args->a[args->at];

	if (skep_vm_may_access(args->vm, addr, len, write))
		return true;
	return wrong(args, "%llu bytes at 0x%llx are not the program's to %s",
		     (unsigned long long)len, (unsigned long long)addr, write ? "write" : "read");
}

static bool sized_memory(const struct args *args, bool write)
{
	enum skep_arg kind = args->pc->helper->args[args->at + 1];
	uint64_t len = args->a[args->at + 1];

	if (!len && kind == SKEP_ARG_SIZE)
		return wrong(args, "its size is 0");
	if (len > UINT32_MAX)
		return wrong(args, "its size is %lld", (long long)len);
	return memory(args, len, write);
}

/* Keys and values: of the map that is the call's first argument of that kind. */
static bool element(const struct args *args, bool key, bool write)
{
	const struct skep_map *map;
	unsigned int i;

	for (i = 0; i < args->at; i++)
		if (args->pc->helper->args[i] == SKEP_ARG_MAP)
			break;
	if (i == args->at)
		return wrong(args, "belongs to no map");
	map = (const struct skep_map *)(uintptr_t)args->a[i];
	/* Looking into a bloom filter writes nothing. */
	if (map->type == BPF_MAP_TYPE_BLOOM_FILTER)
		write = false;
	return memory(args, key ? map->key_size : map->value_size, write);
}

static bool string(const struct args *args)
{
	uint64_t addr = args->a[args->at], n = skep_vm_reach(args->vm, addr, false);

	if (n && memchr((const void *)(uintptr_t)addr, 0, n))
		return true;
	return wrong(args, "no readable text that ends in NUL at 0x%llx", (unsigned long long)addr);
}

static bool held(const struct args *args, enum skep_vm_held kind, const char *what)
{
	const struct skep_vm *vm = args->vm;
	size_t i;

	for (i = 0; i < vm->held.len; i++)
		if (vm->held.data[i].kind == kind && vm->held.data[i].start == args->a[args->at])
			return true;
	return wrong(args, "0x%llx is not %s", (unsigned long long)args->a[args->at], what);
}

static bool check_one(const struct args *args, enum skep_arg kind)
{
	uint64_t v = args->a[args->at];

	switch (kind) {
	case SKEP_ARG_MAP:
		return skep_vm_is_map(args->vm, v) || wrong(args, "not a map of the program");
	case SKEP_ARG_MAP_KEY: return element(args, true, false);
	case SKEP_ARG_MAP_VALUE: return element(args, false, false);
	case SKEP_ARG_MAP_VALUE_OUT: return element(args, false, true);
	case SKEP_ARG_MEM: return sized_memory(args, false);
	case SKEP_ARG_MEM_OUT: return sized_memory(args, true);
	/* NULL goes with the size 0, which sized_memory() does not look behind. */
	case SKEP_ARG_MEM_OR_NULL: return sized_memory(args, false);
	case SKEP_ARG_MEM_OUT_OR_NULL: return sized_memory(args, true);
	case SKEP_ARG_CTX:
		return v == (uintptr_t)args->vm->run->ctx || wrong(args, "not the context");
	case SKEP_ARG_CONST_STR: return string(args);
	case SKEP_ARG_RINGBUF_MEM:
		return held(args, SKEP_VM_HELD_RINGBUF, "reserved ring buffer memory");
	case SKEP_ARG_FUNC:
		return skep_vm_func(args->vm, v) || wrong(args, "not a function of the program");
	case SKEP_ARG_U64_OUT: return memory(args, sizeof(uint64_t), true);
	case SKEP_ARG_LOCK:
		if (v % sizeof(uint32_t))
			return wrong(args, "not aligned");
		return memory(args, sizeof(uint32_t), true);
	case SKEP_ARG_FIXED: return memory(args, args->pc->helper->bytes[args->at], false);
	case SKEP_ARG_FIXED_OUT: return memory(args, args->pc->helper->bytes[args->at], true);
	case SKEP_ARG_NONE:
	case SKEP_ARG_ANY:
	case SKEP_ARG_SIZE:
	case SKEP_ARG_SIZE_OR_ZERO:
	case SKEP_ARG_STACK_OR_NULL: return true;
	case SKEP_ARG_DYNPTR:
	case SKEP_ARG_DYNPTR_OUT:
	case SKEP_ARG_KERNEL: break;
	}
	return wrong(args, "only a kernel has such a thing");
}

bool skep_vm_check_args(struct skep_vm *vm, const struct skep_vm_insn *pc, const uint64_t a[5])
{
	struct args args = {.vm = vm, .pc = pc, .a = a};

	for (args.at = 0; args.at < 5; args.at++)
		if (!check_one(&args, pc->helper->args[args.at]))
			return false;
	return true;
}
