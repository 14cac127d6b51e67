/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers about the current task: whoever the event source says it is. */
#include <sched.h>
#include <string.h>

#include "helper/impl.h"

uint64_t skep_help_get_current_pid_tgid(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_env *env = skep_vm_env(vm);

	if (!env)
		return skep_help_err(EINVAL);
	return (uint64_t)(uint32_t)env->tgid << 32 | (uint32_t)env->pid;
}

uint64_t skep_help_get_current_uid_gid(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_vm_env *env = skep_vm_env(vm);

	if (!env || !env->ops->uid_gid)
		return skep_help_err(EINVAL);
	return env->ops->uid_gid(env);
}

uint64_t skep_help_get_current_comm(struct skep_vm *vm, const uint64_t a[5])
{
	struct skep_vm_env *env = skep_vm_env(vm);
	char comm[16] = "", *buf = skep_help_ptr(a[0]);
	size_t size = (uint32_t)a[1];

	memset(buf, 0, size);
	if (!env || !env->ops->comm || env->ops->comm(env, comm) < 0)
		return skep_help_err(EINVAL);
	if (size)
		memcpy(buf, comm, strnlen(comm, size < sizeof(comm) ? size - 1 : sizeof(comm) - 1));
	return 0;
}

uint64_t skep_help_get_smp_processor_id(struct skep_vm *vm, const uint64_t a[5])
{
	return skep_help_cpu(vm);
}

uint64_t skep_help_get_numa_node_id(struct skep_vm *vm, const uint64_t a[5])
{
	unsigned int node = 0;

	getcpu(NULL, &node);
	return node;
}

uint64_t skep_help_get_attach_cookie(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_env *env = skep_vm_env(vm);

	return env ? env->cookie : 0;
}

/* BPF_PROG_TYPE_TRACING: the context is the arguments, 8 bytes each, then the return value. */
static uint64_t func_slot(struct skep_vm *vm, uint64_t n, uint64_t dst)
{
	const uint64_t *ctx;
	size_t len;

	ctx = skep_vm_ctx(vm, &len);
	if (n >= len / sizeof(*ctx))
		return skep_help_err(EINVAL);
	memcpy(skep_help_ptr(dst), &ctx[n], sizeof(*ctx));
	return 0;
}

uint64_t skep_help_get_func_arg(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_env *env = skep_vm_env(vm);

	if (!env || (uint32_t)a[1] >= env->nr_args)
		return skep_help_err(EINVAL);
	return func_slot(vm, (uint32_t)a[1], a[2]);
}

uint64_t skep_help_get_func_ret(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_env *env = skep_vm_env(vm);

	if (!env || !env->has_ret)
		return skep_help_err(EOPNOTSUPP);
	return func_slot(vm, env->nr_args, a[1]);
}

uint64_t skep_help_get_func_arg_cnt(struct skep_vm *vm, const uint64_t a[5])
{
	const struct skep_vm_env *env = skep_vm_env(vm);

	return env ? env->nr_args : 0;
}
