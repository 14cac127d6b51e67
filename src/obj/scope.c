/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keeps programs to a command and its descendants, without a race.
 *
 * A set of process ids stands in a map.  Programs that run in the context of
 * the task they are about get a prologue that returns 0 for tasks outside of
 * it; two small programs keep it: task_newtask, which runs in the parent
 * before the child's first instruction, adds, sched_process_free removes.
 * All of it goes with the descriptors: nothing stays behind.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "isa/uapi.h"
#include "obj/edit.h"
#include "obj/load_int.h"

#define MAX_TASKS 32768

/* struct trace_event_raw_task_newtask: the pid is the first field on every kernel. */
#define NEWTASK_PID 8
/*
 * struct trace_event_raw_sched_process_template: the pid stands behind the
 * name, which 6.18 made a reference.  The kernel's types tell; without them
 * the longer form is tried first, because the kernel refuses to attach a
 * program that reads behind the last field.
 */
static const int free_pid[] = {24, 12};

#define LDDW(dst) \
	{.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = (dst)}, \
	{ \
		0 \
	}
#define MOV(dst, src) \
	{ \
		.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (dst), .src_reg = (src) \
	}
#define MOV_K(dst, k) \
	{ \
		.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), .imm = (k) \
	}
#define ADD_K(dst, k) \
	{ \
		.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = (dst), .imm = (k) \
	}
#define STORE32(at, src) \
	{ \
		.code = BPF_STX | BPF_MEM | BPF_W, .dst_reg = 10, .src_reg = (src), .off = (at) \
	}
#define LOAD32(dst, src, at) \
	{ \
		.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = (dst), .src_reg = (src), .off = (at) \
	}
#define CALL(helper) \
	{ \
		.code = BPF_JMP | BPF_CALL, .imm = (helper) \
	}
#define EXIT \
	{ \
		.code = BPF_JMP | BPF_EXIT \
	}

/* r0 = the set's entry of the current process, or NULL; r1 is kept in r6. */
#define LOOK_UP \
	MOV(6, 1), CALL(BPF_FUNC_get_current_pid_tgid), \
		{.code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = 0, .imm = 32}, STORE32(-4, 0), \
		LDDW(1), MOV(2, 10), ADD_K(2, -4), CALL(BPF_FUNC_map_lookup_elem)
#define LOOK_UP_MAP 4 /* the instruction that wants the map */

static const struct bpf_insn prologue[] = {
	LOOK_UP,   {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = 2}, MOV_K(0, 0), EXIT,
	MOV(1, 6),
};

static int add_prologue(struct skep_load *load, uint32_t func, struct skep_err *err)
{
	struct skep_obj_relo relo = {
		.kind = SKEP_RELO_MAP, .insn = LOOK_UP_MAP, .target = load->scope_map};

	return skep_obj_insert(&load->arena, &load->funcs[func], 0, prologue,
			       SKEP_ARRAY_SIZE(prologue), &relo, 1, err);
}

static bool is_scoped(const struct skep_load *load, uint32_t func)
{
	const struct skep_obj_func *f = &load->funcs[func];

	return load->needed[func] && f->is_prog && f->autoload && f->event &&
	       f->event->flags & SKEP_EV_TASK;
}

long skep_scope_insns(const struct skep_load *load, const struct skep_obj_func *func)
{
	return load->scope_map != SKEP_NO_MAP && is_scoped(load, (uint32_t)(func - load->funcs))
		       ? (long)SKEP_ARRAY_SIZE(prologue)
		       : 0;
}

int skep_scope_prepare(struct skep_load *load, struct skep_err *err)
{
	struct skep_obj_map spec = {
		.name = "skep_scope",
		.type = BPF_MAP_TYPE_HASH,
		.key_size = 4,
		.value_size = 1,
		.max_entries = MAX_TASKS,
		.flags = BPF_F_NO_PREALLOC,
	};
	uint32_t i;
	int ret;

	if (!load->opts.scope_tasks || load->sys->scoped)
		return 0;
	for (i = 0; i < load->obj->nr_funcs; i++) {
		if (!is_scoped(load, i))
			continue;
		if (load->scope_map == SKEP_NO_MAP) {
			load->scope_map = skep_load_own_map(load, &spec);
			if (load->scope_map == SKEP_NO_MAP)
				return skep_fail_nomem(err);
		}
		ret = add_prologue(load, i, err);
		if (ret)
			return ret;
	}
	return 0;
}

/* Loads @insns with the scope map at the instructions @at and attaches them to @tracepoint. */
static int start(struct skep_load *load, struct bpf_insn *insns, uint32_t n, const uint32_t *at,
		 uint32_t nr_at, const char *tracepoint, int *fd, struct skep_err *err)
{
	struct skep_attach attach = {.sys = load->sys, .prog = "skep_scope", .pid = -1};
	union bpf_attr attr;
	uint32_t i;

	for (i = 0; i < nr_at; i++) {
		insns[at[i]].src_reg = BPF_PSEUDO_MAP_FD;
		insns[at[i]].imm = load->loaded->maps[load->scope_map].fd;
	}
	memset(&attr, 0, sizeof(attr));
	attach.def = skep_event_find(tracepoint, &attach.args, err);
	if (!attach.def)
		return -ENOENT;
	attr.prog_type = attach.def->prog_type;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = n;
	attr.license = (uintptr_t) "Dual BSD/GPL";
	if (!(load->drop & SKEP_DROP_NAMES))
		skep_load_name(attr.prog_name, "skep_scope");
	*fd = skep_sys_bpf(load->sys, BPF_PROG_LOAD, &attr, offsetof(union bpf_attr, prog_ifindex));
	if (*fd < 0)
		return skep_fail(err, SKEP_E_PROG_LOAD, -*fd, "%s",
				 *load->sys->why ? load->sys->why : strerror(-*fd));
	attach.prog_fd = *fd;
	attach.log = load->sys->log;
	return skep_attach_prog(&attach, &load->scope_links, err);
}

static int start_adding(struct skep_load *load, struct skep_err *err)
{
	struct bpf_insn insns[] = {
		LOOK_UP,
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 11},
		LOAD32(1, 6, NEWTASK_PID),
		STORE32(-4, 1),
		{.code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = 10, .off = -8, .imm = 1},
		LDDW(1),
		MOV(2, 10),
		ADD_K(2, -4),
		MOV(3, 10),
		ADD_K(3, -8),
		MOV_K(4, 0),
		CALL(BPF_FUNC_map_update_elem),
		MOV_K(0, 0),
		EXIT,
	};
	static const uint32_t at[] = {LOOK_UP_MAP, 13};

	return start(load, insns, SKEP_ARRAY_SIZE(insns), at, 2, "tracepoint/task/task_newtask",
		     &load->scope_progs[0], err);
}

static int start_removing(struct skep_load *load, int pid, struct skep_err *err)
{
	struct bpf_insn insns[] = {
		LOAD32(1, 1, (int16_t)pid),	STORE32(-4, 1), LDDW(1), MOV(2, 10), ADD_K(2, -4),
		CALL(BPF_FUNC_map_delete_elem), MOV_K(0, 0),	EXIT,
	};
	static const uint32_t at[] = {2};

	return start(load, insns, SKEP_ARRAY_SIZE(insns), at, 1,
		     "tracepoint/sched/sched_process_free", &load->scope_progs[1], err);
}

/* Stores the pid of the task that the raw tracepoint's context in @ctx begins with. */
#define STORE_PID(ctx, off_of_pid) \
	{.code = BPF_LDX | BPF_MEM | BPF_DW, .dst_reg = 3, .src_reg = (ctx)}, \
		ADD_K(3, off_of_pid), MOV(1, 10), ADD_K(1, -4), MOV_K(2, 4), \
		CALL(BPF_FUNC_probe_read_kernel)

/*
 * The same at raw tracepoints, which are found without tracefs: only root reads
 * that, and CAP_BPF with CAP_PERFMON is enough for all else.  @pid: byte offset
 * in struct task_struct.
 */
static int start_raw(struct skep_load *load, int pid, struct skep_err *err)
{
	struct bpf_insn adding[] = {
		LOOK_UP,
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = 0, .off = 15},
		STORE_PID(6, pid),
		{.code = BPF_ST | BPF_MEM | BPF_B, .dst_reg = 10, .off = -8, .imm = 1},
		LDDW(1),
		MOV(2, 10),
		ADD_K(2, -4),
		MOV(3, 10),
		ADD_K(3, -8),
		MOV_K(4, 0),
		CALL(BPF_FUNC_map_update_elem),
		MOV_K(0, 0),
		EXIT,
	};
	struct bpf_insn removing[] = {
		STORE_PID(1, pid), LDDW(1),	MOV(2, 10),
		ADD_K(2, -4),	   MOV_K(3, 0), CALL(BPF_FUNC_map_delete_elem),
		MOV_K(0, 0),	   EXIT,
	};
	static const uint32_t at_adding[] = {LOOK_UP_MAP, 17}, at_removing[] = {6};
	int ret;

	ret = start(load, adding, SKEP_ARRAY_SIZE(adding), at_adding, 2, "raw_tp/task_newtask",
		    &load->scope_progs[0], err);
	if (ret)
		return ret;
	return start(load, removing, SKEP_ARRAY_SIZE(removing), at_removing, 1,
		     "raw_tp/sched_process_free", &load->scope_progs[1], err);
}

/* Byte offset of @field in the kernel's @type, or -1: the types do not say. */
static int find_field(struct skep_load *load, const char *type, const char *field)
{
	struct skep_err err = SKEP_ERR_INIT;
	uint32_t bit_off, bit_size;
	int id = -1;

	if (!skep_ktypes_open(&load->types, &err))
		id = skep_btf_find(load->types.kernel, type, BTF_KIND_STRUCT, 0);
	if (id > 0)
		id = skep_btf_field(load->types.kernel, id, field, &bit_off, &bit_size);
	skep_err_deinit(&err);
	return id > 0 ? (int)(bit_off / 8) : -1;
}

static int try_removing(struct skep_load *load, struct skep_err *err)
{
	struct skep_err why = SKEP_ERR_INIT;
	int ret;

	ret = start_removing(load, free_pid[0], &why);
	skep_err_deinit(&why);
	if (!ret)
		return 0;
	skep_sys_close(load->sys, load->scope_progs[1]);
	load->scope_progs[1] = -1;
	return start_removing(load, free_pid[1], err);
}

int skep_scope_start(struct skep_load *load, struct skep_err *err)
{
	struct skep_err why = SKEP_ERR_INIT;
	int ret, pid;

	if (load->scope_map == SKEP_NO_MAP)
		return 0;
	ret = start_adding(load, &why);
	if ((ret == -EPERM || ret == -EACCES) && load->scope_progs[0] >= 0 &&
	    (pid = find_field(load, "task_struct", "pid")) > 0) {
		skep_err_deinit(&why);
		skep_sys_close(load->sys, load->scope_progs[0]);
		load->scope_progs[0] = -1;
		ret = start_raw(load, pid, &why);
	} else if (!ret) {
		pid = find_field(load, "trace_event_raw_sched_process_template", "pid");
		ret = pid > 0 ? start_removing(load, pid, &why) : try_removing(load, &why);
	}
	if (!ret)
		return 0;
	if (err)
		*err = why;
	else
		skep_err_deinit(&why);
	return skep_wrap(err, ret, "%s: following the command's processes", load->obj->name);
}

void skep_scope_deinit(struct skep_load *load)
{
	skep_links_deinit(&load->scope_links, load->sys);
	skep_sys_close(load->sys, load->scope_progs[0]);
	skep_sys_close(load->sys, load->scope_progs[1]);
}

int skep_loaded_scope_add(struct skep_loaded *loaded, pid_t tgid, struct skep_err *err)
{
	struct skep_load *load = loaded->priv;
	uint32_t key = (uint32_t)tgid;
	uint8_t value = 1;
	union bpf_attr attr;
	int ret;

	if (load->scope_map == SKEP_NO_MAP)
		return 0;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)loaded->maps[load->scope_map].fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	ret = skep_sys_bpf(loaded->sys, BPF_MAP_UPDATE_ELEM, &attr,
			   offsetof(union bpf_attr, flags) + sizeof(attr.flags));
	return ret < 0 ? skep_fail(err, SKEP_E_SYSTEM, -ret,
				   "process %d cannot be added to the processes to watch: %s",
				   (int)tgid, strerror(-ret))
		       : 0;
}
