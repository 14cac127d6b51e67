/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What observes the same call where there are no kprobes.
 *
 *   kprobe on a system call's entry (__x64_sys_NAME, ksyscall)
 *             -> tracepoint syscalls/sys_enter_NAME.  The entry's one argument
 *             is a pointer to the registers of user space; a prologue asks
 *             bpf_task_pt_regs() for the same pointer.
 *   __se_sys_NAME  -> the same tracepoint, whose fields are its arguments
 *   their returns  -> syscalls/sys_exit_NAME, which has the result
 *   any function   -> fentry, fexit: bpf_get_func_arg(), bpf_get_func_ret()
 *
 * The program's loads from struct pt_regs are rewritten to where the value
 * then is; a program that does more with its context than ctxuse.h can follow
 * is left as it is, with the reason kept for when attaching fails.
 * Offsets are those of x86-64's struct pt_regs.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "isa/uapi.h"
#include "obj/ctxuse.h"
#include "obj/edit.h"
#include "sys/uapi.h"

#define REG_RESULT 80 /* rax */
#define FIELDS	   16 /* where a syscall tracepoint's fields begin: arguments, or the result */
#define MAX_ARGS   6

#define NAME_MAX_LEN 128 /* of a function: KSYM_NAME_LEN was that, and is 512 since 6.1 */

/* Registers of a function's arguments in order, as in struct pt_regs. */
static const int16_t arg_regs[MAX_ARGS] = {112, 104, 96, 88, 72, 64};

enum plan_kind {
	SYSCALL_REGS, /* the pointer to user space's registers */
	SYSCALL_ARGS,
	SYSCALL_RESULT,
	FUNC_ARGS,
	FUNC_RESULT,
};

struct plan {
	enum plan_kind kind;
	char sec[NAME_MAX_LEN + 40]; /* the section that it becomes */
	unsigned int nr_args; /* FUNC_ARGS: that the function has */
	int slots[MAX_ARGS]; /* where a value lies in the frame; 0: not used */
};

static bool is_probe(const struct skep_obj_func *f)
{
	const char *sec = f->event ? f->event->sec : "";

	return !strcmp(sec, "kprobe") || !strcmp(sec, "kretprobe") || !strcmp(sec, "ksyscall") ||
	       !strcmp(sec, "kretsyscall");
}

static bool is_return(const struct skep_obj_func *f)
{
	return strstr(f->event->sec, "ret") != NULL;
}

/* Asking for no function in particular opens nothing where there are kprobes. */
static bool has_kprobes(struct skep_load *load)
{
	struct skep_event ev = {.kind = SKEP_EVENT_KPROBE, .pid = -1, .cpu = -1};
	int fd;

	ev.kprobe.func = "";
	fd = skep_sys_event(load->sys, &ev);
	skep_sys_close(load->sys, fd);
	return fd != -EOPNOTSUPP;
}

/* Whether this engine lets anybody attach to the function with BTF id @id: 0 or -errno. */
static int try_fentry(struct skep_load *load, int id, bool at_return)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr attr;
	int fd, link;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_TRACING;
	attr.expected_attach_type = at_return ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY;
	attr.attach_btf_id = (uint32_t)id;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = SKEP_ARRAY_SIZE(insns);
	attr.license = (uintptr_t) "GPL";
	fd = skep_sys_bpf(load->sys, BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return fd;
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.prog_fd = (uint32_t)fd;
	link = skep_sys_bpf(load->sys, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr.raw_tracepoint));
	skep_sys_close(load->sys, link);
	skep_sys_close(load->sys, fd);
	return link < 0 ? link : 0;
}

/* How many arguments of function type @id come in registers one by one. */
static unsigned int count_args(const struct skep_btf *btf, int id)
{
	const struct btf_type *t = skep_btf_type(btf, (uint32_t)id), *arg;
	const struct btf_type *proto = t ? skep_btf_type(btf, t->type) : NULL;
	unsigned int i, n;

	if (!proto || skep_btf_kind(proto) != BTF_KIND_FUNC_PROTO)
		return 0;
	n = skep_btf_vlen(proto) < MAX_ARGS ? skep_btf_vlen(proto) : MAX_ARGS;
	for (i = 0; i < n; i++) {
		arg = skep_btf_resolve(btf, skep_btf_params(proto)[i].type, NULL);
		/* A struct may take two registers, or none. */
		if (!arg || (skep_btf_kind(arg) != BTF_KIND_PTR &&
			     skep_btf_kind(arg) != BTF_KIND_INT && !skep_btf_is_enum(arg)))
			return i;
		if (skep_btf_sizeof(btf, skep_btf_params(proto)[i].type) > 8)
			return i;
	}
	return n;
}

static int plan_function(struct skep_load *load, const struct skep_obj_func *f, struct plan *plan,
			 char *why, size_t size)
{
	struct skep_err err = SKEP_ERR_INIT;
	int id, ret;

	plan->kind = is_return(f) ? FUNC_RESULT : FUNC_ARGS;
	if (strchr(f->args, '+')) {
		snprintf(why, size, "only kprobes can be inside of a function");
		return -EOPNOTSUPP;
	}
	snprintf(plan->sec, sizeof(plan->sec), "%s/%s", is_return(f) ? "fexit" : "fentry", f->args);
	ret = skep_ktypes_open(&load->types, &err);
	id = ret < 0 ? ret : skep_btf_find(load->types.kernel, f->args, BTF_KIND_FUNC, 0);
	skep_err_deinit(&err);
	if (id <= 0) {
		snprintf(why, size, "the kernel's types have no function '%s' for %s", f->args,
			 is_return(f) ? "fexit" : "fentry");
		return -EOPNOTSUPP;
	}
	plan->nr_args = count_args(load->types.kernel, id);
	ret = try_fentry(load, id, is_return(f));
	if (ret < 0) {
		snprintf(why, size, "%s is not to be had here either (%s)",
			 is_return(f) ? "fexit" : "fentry",
			 ret == -524 ? "ENOTSUPP" : strerror(-ret));
		return -EOPNOTSUPP;
	}
	return 0;
}

static int make_plan(struct skep_load *load, const struct skep_obj_func *f, struct plan *plan,
		     char *why, size_t size)
{
	const char *name = NULL;
	struct utsname uts;

	if (uname(&uts) < 0 || strcmp(uts.machine, "x86_64") != 0) {
		snprintf(why, size, "skep knows what stands in for kprobes on x86-64 only");
		return -EOPNOTSUPP;
	}
	if (strlen(f->args) >= NAME_MAX_LEN) {
		snprintf(why, size, "no name is that long");
		return -EOPNOTSUPP;
	}
	plan->kind = SYSCALL_REGS;
	if (strstr(f->event->sec, "syscall")) {
		name = f->args;
	} else if (!strncmp(f->args, "__x64_sys_", 10)) {
		name = f->args + 10;
	} else if (!strncmp(f->args, "__se_sys_", 9)) {
		name = f->args + 9;
		plan->kind = SYSCALL_ARGS;
	}
	if (!name || strchr(name, '+'))
		return plan_function(load, f, plan, why, size);
	if (is_return(f))
		plan->kind = SYSCALL_RESULT;
	snprintf(plan->sec, sizeof(plan->sec), "tracepoint/syscalls/sys_%s_%s",
		 is_return(f) ? "exit" : "enter", name);
	return 0;
}

/* Which argument @load is of, or -1. */
static int arg_of(const struct skep_ctx_load *load, const int16_t *regs, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (load->off >= regs[i] && load->off + load->size <= regs[i] + 8)
			return (int)i;
	return -1;
}

/* The value that @load wants: its number in the plan's order, or -1. */
static int value_of(const struct plan *plan, const struct skep_ctx_load *load)
{
	static const int16_t result = REG_RESULT;

	switch (plan->kind) {
	case SYSCALL_REGS: return arg_of(load, arg_regs, 1);
	case SYSCALL_ARGS: return arg_of(load, arg_regs, MAX_ARGS);
	case FUNC_ARGS: return arg_of(load, arg_regs, plan->nr_args);
	default: return arg_of(load, &result, 1);
	}
}

static bool in_frame(const struct plan *plan)
{
	return plan->kind != SYSCALL_ARGS && plan->kind != SYSCALL_RESULT;
}

/* Gives each value that is read a place below what the program uses of its frame. */
static int place(struct plan *plan, const struct skep_ctx_use *use, char *why, size_t size)
{
	const struct skep_ctx_load *it;
	int at = use->stack <= 0 ? use->stack & ~7 : 0, v;

	skep_vec_each (&use->loads, it) {
		v = value_of(plan, it);
		if (v < 0) {
			snprintf(why, size,
				 "it reads what only a kprobe sees (byte %d of struct pt_regs, "
				 "instruction %u)",
				 it->off, it->insn);
			return -EOPNOTSUPP;
		}
		if (!in_frame(plan) || plan->slots[v])
			continue;
		if (use->stack > 0 || at - 8 < -512) {
			snprintf(why, size, "its frame has no room for what stands in");
			return -EOPNOTSUPP;
		}
		at -= 8;
		plan->slots[v] = at;
	}
	return 0;
}

static void rewrite(struct skep_obj_func *f, const struct plan *plan,
		    const struct skep_ctx_use *use)
{
	const struct skep_ctx_load *it;
	struct bpf_insn *insn;
	int16_t reg;
	int v;

	skep_vec_each (&use->loads, it) {
		insn = &f->insns[it->insn];
		v = value_of(plan, it);
		reg = plan->kind == SYSCALL_RESULT || plan->kind == FUNC_RESULT ? REG_RESULT
										: arg_regs[v];
		if (in_frame(plan)) {
			insn->src_reg = 10;
			insn->off = (int16_t)(plan->slots[v] + it->off - reg);
		} else {
			insn->off = (int16_t)(FIELDS + 8 * v + it->off - reg);
		}
	}
}

#define MOV(dst, src) \
	((struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src)})
#define OP_K(op, dst, k) \
	((struct bpf_insn){.code = BPF_ALU64 | (op) | BPF_K, .dst_reg = (dst), .imm = (k)})
#define CALL(helper) ((struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = (helper)})
#define STORE(at, src) \
	((struct bpf_insn){.code = BPF_STX | BPF_MEM | BPF_DW, \
			   .dst_reg = 10, \
			   .src_reg = (src), \
			   .off = (int16_t)(at)})

/* Writes the values into their places; r1 is the context again at the end. */
static uint32_t make_prologue(const struct plan *plan, struct bpf_insn *p)
{
	uint32_t n = 0;
	int i;

	p[n++] = MOV(6, 1);
	for (i = 0; i < MAX_ARGS; i++) {
		if (!plan->slots[i])
			continue;
		if (plan->kind == SYSCALL_REGS) {
			p[n++] = CALL(BPF_FUNC_get_current_task_btf);
			p[n++] = MOV(1, 0);
			p[n++] = CALL(BPF_FUNC_task_pt_regs);
			p[n++] = STORE(plan->slots[i], 0);
			continue;
		}
		p[n++] = MOV(1, 6);
		if (plan->kind == FUNC_ARGS)
			p[n++] = OP_K(BPF_MOV, 2, i);
		p[n] = MOV(plan->kind == FUNC_ARGS ? 3 : 2, 10);
		p[n + 1] = OP_K(BPF_ADD, p[n].dst_reg, plan->slots[i]);
		n += 2;
		p[n++] = CALL(plan->kind == FUNC_ARGS ? BPF_FUNC_get_func_arg
						      : BPF_FUNC_get_func_ret);
	}
	p[n++] = MOV(1, 6);
	return n > 2 ? n : 0;
}

static int apply(struct skep_load *load, struct skep_obj_func *f, const struct plan *plan,
		 const struct skep_ctx_use *use, struct skep_err *err)
{
	struct bpf_insn prologue[2 + 5 * MAX_ARGS];
	uint32_t n = make_prologue(plan, prologue);
	int ret;

	rewrite(f, plan, use);
	ret = n ? skep_obj_insert(&load->arena, f, 0, prologue, n, NULL, 0, err) : 0;
	if (ret == 0)
		ret = skep_obj_use_section(&load->arena, f, plan->sec, err);
	if (ret < 0)
		return ret;
	skep_info(load->sys->log,
		  "%s: program '%s': there are no kprobes here; %s stands in for %s",
		  load->obj->name, f->name, plan->sec, f->sec);
	return 0;
}

static int stand_in(struct skep_load *load, uint32_t i, struct skep_err *err)
{
	SKEP_AUTO(skep_ctx_use_deinit) struct skep_ctx_use use = {0};
	struct skep_obj_func *f = &load->funcs[i];
	struct plan plan = {0};
	char why[256] = "";
	int ret;

	ret = make_plan(load, f, &plan, why, sizeof(why));
	if (!ret) {
		ret = skep_ctx_use_find(load, f, &use);
		if (ret == -EOPNOTSUPP)
			snprintf(why, sizeof(why), "%s", use.why);
	}
	if (!ret)
		ret = place(&plan, &use, why, sizeof(why));
	if (!ret)
		return apply(load, f, &plan, &use, err);
	if (ret != -EOPNOTSUPP)
		return skep_fail_nomem(err);
	load->no_stand_in[i] = skep_arena_strdup(&load->arena, why);
	return load->no_stand_in[i] ? 0 : skep_fail_nomem(err);
}

int skep_standin_prepare(struct skep_load *load, struct skep_err *err)
{
	bool asked = false;
	uint32_t i;
	int ret;

	load->no_stand_in =
		skep_arena_array(&load->arena, load->obj->nr_funcs, sizeof(*load->no_stand_in));
	if (!load->no_stand_in)
		return skep_fail_nomem(err);
	for (i = 0; load->opts.stand_in && i < load->obj->nr_funcs; i++) {
		const struct skep_obj_func *f = &load->funcs[i];

		if (!load->needed[i] || !f->is_prog || !f->autoload || !is_probe(f) || !f->args[0])
			continue;
		if (!asked && has_kprobes(load))
			return 0;
		asked = true;
		ret = stand_in(load, i, err);
		if (ret)
			return ret;
	}
	return 0;
}
