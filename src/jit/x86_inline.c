/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64: look-ups and helpers without a call (call.c found them).  They use
 * rax, which is r0, and r11, and leave all other registers alone.
 */
#if defined(__x86_64__)

#include <errno.h>

#include "jit/opt.h"
#include "jit/x86_emit.h"

/* rax *= by */
static void multiply(struct skep_jit *j, int reg, uint64_t by)
{
	if (by & (by - 1)) {
		x_rr(j, true, 0x69, reg, reg);
		skep_jit_u32(j, (uint32_t)by);
	} else if (by > 1) {
		x_shift(j, true, 4, reg, (unsigned int)__builtin_ctzll(by));
	}
}

/* r0 = the value of the key at r2, if there are so many. */
FN(lookup_row)
{
	struct skep_jit *j = x->j;
	const struct skep_map *map = (const struct skep_map *)(uintptr_t)in->imm;
	struct skep_map_row row;
	uint32_t back;

	map->ops->row(map, &row);
	if (row.stride > INT32_MAX || row.cpu_area > INT32_MAX) {
		skep_x86_lookup(x, in, width);
		return;
	}
	x_load(j, false, RAX, skep_x86_map[BPF_REG_2], 0);
	x_imm(j, false, X_CMP, RAX, (int32_t)row.n);
	x_jcc(j, CC_AE, skep_x86_cold(x, COLD_NULL, 0, false, &back));
	multiply(j, RAX, row.stride);
	if (row.cpu_area) {
		x_load(j, false, R11, VM, AT(cpu));
		multiply(j, R11, row.cpu_area);
		x_rr(j, true, X_ADD, R11, RAX);
	}
	if (row.base <= INT32_MAX) {
		x_imm(j, true, X_ADD, RAX, (int32_t)row.base);
	} else {
		x_const(j, R11, row.base);
		x_rr(j, true, X_ADD, R11, RAX);
	}
	skep_jit_place(j, back);
}

#define ENV(field) ((int32_t)offsetof(struct skep_vm_env, field))

/* rax = the run's environment; without one the helper gives 0. */
static uint32_t environment(struct x86 *x)
{
	uint32_t back;

	x_load(x->j, true, RAX, VM, AT(run));
	x_load(x->j, true, RAX, RAX, (int32_t)offsetof(struct skep_vm_run, env));
	x_rr(x->j, true, X_TEST, RAX, RAX);
	x_jcc(x->j, CC_E, skep_x86_cold(x, COLD_NULL, 0, false, &back));
	return back;
}

static void pid_tgid(struct x86 *x)
{
	struct skep_jit *j = x->j;
	uint32_t none = skep_jit_label(j), end = skep_jit_label(j);

	x_load(j, true, R11, VM, AT(run));
	x_load(j, true, R11, R11, (int32_t)offsetof(struct skep_vm_run, env));
	x_rr(j, true, X_TEST, R11, R11);
	x_jcc(j, CC_E, none);
	x_load(j, false, RAX, R11, ENV(tgid));
	x_load(j, false, R11, R11, ENV(pid));
	x_shift(j, true, 4, RAX, 32);
	x_rr(j, true, X_OR, R11, RAX);
	x_jmp(j, end);
	skep_jit_place(j, none);
	x_const(j, RAX, (uint64_t)-EINVAL);
	skep_jit_place(j, end);
}

FN(get)
{
	const struct skep_helper *helper = in->helper;

	if (helper == skep_helper_find(BPF_FUNC_get_smp_processor_id)) {
		x_load(x->j, false, RAX, VM, AT(cpu));
	} else if (helper == skep_helper_find(BPF_FUNC_get_current_pid_tgid)) {
		pid_tgid(x);
	} else {
		bool cookie = helper == skep_helper_find(BPF_FUNC_get_attach_cookie);
		uint32_t back = environment(x);

		x_load(x->j, cookie, RAX, RAX, cookie ? ENV(cookie) : ENV(nr_args));
		skep_jit_place(x->j, back);
	}
}

#endif
