/* SPDX-License-Identifier: BSD-2-Clause */
/* helper.def as a table by number, and which program types may call what. */
#include "btf/core.h"
#include "helper/impl.h"

#define ROW(number_, name_, major, minor, ret_, a1, a2, a3, a4, a5, gpl_, progs_, fn_, why_) \
	[number_] = { \
		.name = "bpf_" #name_, \
		.since = (major) << 8 | (minor), \
		.progs = SKEP_FOR_##progs_, \
		.ret = SKEP_RET_##ret_, \
		.args = {SKEP_ARG_##a1, SKEP_ARG_##a2, SKEP_ARG_##a3, SKEP_ARG_##a4, \
			 SKEP_ARG_##a5}, \
		.gpl = LICENCE_##gpl_, \
		.fn = fn_, \
		.why = why_, \
	},
#define LICENCE_GPL  1
#define LICENCE_FREE 0

static const struct skep_helper table[] = {
#define SKEP_HELPER(number, name, major, minor, ret, a1, a2, a3, a4, a5, gpl, progs) \
	ROW(number, name, major, minor, ret, a1, a2, a3, a4, a5, gpl, progs, skep_help_##name, NULL)
#define SKEP_HELPER_NO(number, name, major, minor, ret, a1, a2, a3, a4, a5, gpl, progs, why) \
	ROW(number, name, major, minor, ret, a1, a2, a3, a4, a5, gpl, progs, NULL, why)
#define SKEP_HELPER_OP(number, name, major, minor, ret, a1, a2, a3, a4, a5, gpl, progs) \
	ROW(number, name, major, minor, ret, a1, a2, a3, a4, a5, gpl, progs, NULL, NULL)
#include "helper/helper.def"
};

_Static_assert(sizeof(table) / sizeof(table[0]) == SKEP_HELPER_MAX, "helper.def has other rows");

/*
 * What the loader could not resolve, as it marks it (btf/core.h; libbpf's mark
 * for functions).  A verifier accepts the mark where no path leads; here a run
 * that gets there ends.
 */
#define LACKING_FUNC 2002000000u

static uint64_t lacking_type(struct skep_vm *vm, const uint64_t a[5])
{
	return skep_vm_stop(vm, SKEP_E_CORE_UNRESOLVED,
			    "uses a type, field or enumerator that the kernel's types do not have");
}

static uint64_t lacking_func(struct skep_vm *vm, const uint64_t a[5])
{
	return skep_vm_stop(vm, SKEP_E_OBJ_SYMBOL,
			    "calls a __weak function that the kernel does not have");
}

static const struct skep_helper lacking[] = {
	{.name = "(unresolved CO-RE)", .progs = SKEP_FOR_ANY, .fn = lacking_type},
	{.name = "(missing function)", .progs = SKEP_FOR_ANY, .fn = lacking_func},
};

const struct skep_helper *skep_helper_find(uint32_t number)
{
	if (number == SKEP_CORE_POISON)
		return &lacking[0];
	if (number >= LACKING_FUNC && number < LACKING_FUNC + 65536)
		return &lacking[1];
	return number && number < SKEP_HELPER_MAX ? &table[number] : NULL;
}

static bool is_trace(uint32_t type)
{
	switch (type) {
	case BPF_PROG_TYPE_KPROBE:
	case BPF_PROG_TYPE_TRACEPOINT:
	case BPF_PROG_TYPE_PERF_EVENT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_LSM:
	case BPF_PROG_TYPE_STRUCT_OPS:
	case BPF_PROG_TYPE_EXT:
	case BPF_PROG_TYPE_SYSCALL: return true;
	default: return false;
	}
}

static bool is_skb(uint32_t type)
{
	switch (type) {
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_LWT_IN:
	case BPF_PROG_TYPE_LWT_OUT:
	case BPF_PROG_TYPE_LWT_XMIT:
	case BPF_PROG_TYPE_LWT_SEG6LOCAL:
	case BPF_PROG_TYPE_SK_SKB: return true;
	default: return false;
	}
}

bool skep_helper_allowed(const struct skep_helper *helper, uint32_t type)
{
	if (type == BPF_PROG_TYPE_UNSPEC)
		return true;
	switch ((enum skep_helper_for)helper->progs) {
	case SKEP_FOR_ANY: return true;
	case SKEP_FOR_TRACE: return is_trace(type);
	case SKEP_FOR_TRACING: return type == BPF_PROG_TYPE_TRACING;
	case SKEP_FOR_SKB: return is_skb(type);
	case SKEP_FOR_XDP: return type == BPF_PROG_TYPE_XDP;
	case SKEP_FOR_PACKET: return type == BPF_PROG_TYPE_XDP || is_skb(type);
	}
	return false;
}
