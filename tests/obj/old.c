/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A decorator that makes the kernel behave like an older one: it refuses what
 * that did not know, as that did, and hands on the rest.  Attributes behind
 * the last field of a command are EINVAL, behind the whole union E2BIG; kinds
 * of types, maps, programs, links and commands are numbers below a limit;
 * instructions and helpers are known from a version on.
 *
 * Limits are those of include/uapi/linux/bpf.h and kernel/bpf at each tag.
 */
#include "old.h"

#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "helper/helper.h"
#include "isa/uapi.h"
#include "sys/uapi.h"

#define NO_HELPER 1000000 /* more than there are */

struct version {
	const char *name;
	uint16_t number; /* 0xMMmm */
	unsigned int attr; /* sizeof(union bpf_attr) */
	unsigned int prog, map, btf, link; /* end of the last field of a command */
	int last_cmd, last_map, last_prog, last_btf, last_attach;
	uint32_t map_flags, prog_flags;
};

/* clang-format off */
static const struct version versions[] = {
	{"4.14", 0x040e,  48,  48, 28,  0,  0, BPF_OBJ_GET_INFO_BY_FD, BPF_MAP_TYPE_SOCKMAP,
	 BPF_PROG_TYPE_SK_SKB, -1, -1, 0x7, 0x1},
	{"4.18", 0x0412,  72,  72, 60, 28,  0, BPF_TASK_FD_QUERY, BPF_MAP_TYPE_SOCKHASH,
	 BPF_PROG_TYPE_LIRC_MODE2, BTF_KIND_RESTRICT, -1, 0x3f, 0x1},
	{"5.4",  0x0504, 112, 108, 60, 28,  0, BPF_BTF_GET_NEXT_ID, BPF_MAP_TYPE_DEVMAP_HASH,
	 BPF_PROG_TYPE_CGROUP_SOCKOPT, BTF_KIND_DATASEC, -1, 0x3ff, 0xf},
	{"5.10", 0x050a, 120, 116, 64, 28, 28, BPF_PROG_BIND_MAP, BPF_MAP_TYPE_INODE_STORAGE,
	 BPF_PROG_TYPE_SK_LOOKUP, BTF_KIND_DATASEC, BPF_XDP, 0x1fff, 0x1f},
	{"5.15", 0x050f, 128, 128, 64, 28, 48, BPF_PROG_BIND_MAP, BPF_MAP_TYPE_TASK_STORAGE,
	 BPF_PROG_TYPE_SYSCALL, BTF_KIND_FLOAT, BPF_PERF_EVENT, 0x1fff, 0x1f},
	{"6.18", 0x0612, 256, 256, 256, 256, 256, 255, 255, 255, 255, 255, ~0u, ~0u},
};
/* clang-format on */

struct old {
	struct skep_sys sys;
	struct skep_sys_ops ops;
	struct skep_sys *inner;
	const struct version *v;
	struct old_count count;
};

static int passed(struct old *o, int ret)
{
	memcpy(o->sys.why, o->inner->why, sizeof(o->sys.why));
	return ret;
}

/* 0, -E2BIG or -EINVAL for bytes that the old kernel does not know. */
static int check_size(const struct old *o, int cmd, const union bpf_attr *attr, unsigned int size)
{
	unsigned int end = cmd == BPF_PROG_LOAD	    ? o->v->prog
			   : cmd == BPF_MAP_CREATE  ? o->v->map
			   : cmd == BPF_BTF_LOAD    ? o->v->btf
			   : cmd == BPF_LINK_CREATE ? o->v->link
						    : o->v->attr;
	const unsigned char *bytes = (const unsigned char *)attr;
	int ret = 0;

	for (; end < size && ret != -E2BIG; end++)
		if (bytes[end])
			ret = end < o->v->attr ? -EINVAL : -E2BIG;
	return ret;
}

static bool has_dot(const char *name)
{
	return memchr(name, '.', BPF_OBJ_NAME_LEN);
}

static int check_map(const struct old *o, const union bpf_attr *attr)
{
	if ((int)attr->map_type > o->v->last_map || attr->map_flags & ~o->v->map_flags)
		return -EINVAL;
	return o->v->map > 28 && o->v->number < 0x0502 && has_dot(attr->map_name) ? -EINVAL : 0;
}

static int complain(const union bpf_attr *attr, const char *fmt, int arg)
{
	if (attr->log_level && attr->log_size)
		snprintf((char *)(uintptr_t)attr->log_buf, attr->log_size, fmt, arg);
	return -EINVAL;
}

/* The kernel version that brought what @insn needs besides its helper. */
static uint16_t insn_since(const struct bpf_insn *insn)
{
	if (insn->code == (BPF_LD | BPF_IMM | BPF_DW))
		switch (insn->src_reg) {
		case BPF_PSEUDO_MAP_VALUE: return 0x0502;
		case BPF_PSEUDO_BTF_ID: return 0x0508;
		case BPF_PSEUDO_FUNC: return 0x050d;
		default: return 0;
		}
	if (insn->code == (BPF_JMP | BPF_CALL))
		return insn->src_reg == BPF_PSEUDO_KFUNC_CALL ? 0x050d
		       : insn->src_reg == BPF_PSEUDO_CALL     ? 0x0410
							      : 0;
	if (BPF_CLASS(insn->code) == BPF_JMP32)
		return insn->code == (BPF_JMP32 | BPF_JA) ? 0x0606 : 0x0501;
	if (BPF_CLASS(insn->code) == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC)
		return insn->imm == BPF_ADD ? 0 : 0x050c;
	if (BPF_CLASS(insn->code) == BPF_LDX && BPF_MODE(insn->code) == BPF_MEMSX)
		return 0x0606;
	return 0;
}

static int check_insns(const struct old *o, const union bpf_attr *attr)
{
	const struct bpf_insn *insns = (const struct bpf_insn *)(uintptr_t)attr->insns;
	uint32_t i;

	for (i = 0; i < attr->insn_cnt; i++) {
		if (insn_since(&insns[i]) > o->v->number)
			return complain(attr,
					insns[i].code == (BPF_LD | BPF_IMM | BPF_DW)
						? "unrecognized bpf_ld_imm64 insn\n"
					: insns[i].code == (BPF_JMP | BPF_CALL)
						? "BPF_CALL uses reserved fields\n"
						: "unknown opcode %02x\n",
					insns[i].code);
		i += insns[i].code == (BPF_LD | BPF_IMM | BPF_DW);
	}
	return 0;
}

/*
 * Calls of helpers that came later get a number of none: a kernel objects to
 * those that can be reached, and to no others.
 */
static void hide_helpers(const struct old *o, struct bpf_insn *insns, uint32_t n)
{
	const struct skep_helper *helper;
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (insns[i].code == (BPF_LD | BPF_IMM | BPF_DW)) {
			i++;
			continue;
		}
		if (insns[i].code != (BPF_JMP | BPF_CALL) || insns[i].src_reg)
			continue;
		helper = skep_helper_find((uint32_t)insns[i].imm);
		if (helper && helper->since > o->v->number)
			insns[i].imm += NO_HELPER;
	}
}

/* The numbers as they were, in what the kernel says. */
static void show_helpers(const union bpf_attr *attr)
{
	char *text = (char *)(uintptr_t)attr->log_buf, *end;
	unsigned long number;

	while (text && (text = strchr(text, '#'))) {
		number = strtoul(++text, &end, 10);
		if (number < NO_HELPER || number > 2 * NO_HELPER)
			continue;
		text += sprintf(text, "%lu", number - NO_HELPER);
		memmove(text, end, strlen(end) + 1);
	}
}

static int load_prog(const struct old *o, union bpf_attr *attr, unsigned int size)
{
	uint64_t insns = attr->insns;
	size_t bytes = attr->insn_cnt * sizeof(struct bpf_insn);
	struct bpf_insn *copy = malloc(bytes);
	int ret;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, (const void *)(uintptr_t)insns, bytes);
	hide_helpers(o, copy, attr->insn_cnt);
	attr->insns = (uintptr_t)copy;
	ret = o->inner->ops->bpf(o->inner, BPF_PROG_LOAD, attr, size);
	attr->insns = insns;
	free(copy);
	show_helpers(attr);
	return ret;
}

static int check_prog(const struct old *o, const union bpf_attr *attr)
{
	if ((int)attr->prog_type > o->v->last_prog || attr->prog_flags & ~o->v->prog_flags)
		return -EINVAL;
	if (attr->insn_cnt > BPF_MAXINSNS && o->v->number < 0x0502)
		return -E2BIG;
	if (attr->prog_type == BPF_PROG_TYPE_KPROBE && o->v->number < 0x0500 &&
	    attr->kern_version != skep_kernel_version())
		return -EINVAL;
	if (o->v->prog >= 64 && o->v->number < 0x0502 && has_dot(attr->prog_name))
		return -EINVAL;
	return check_insns(o, attr);
}

static size_t tail(const struct btf_type *t)
{
	uint32_t n = BTF_INFO_VLEN(t->info);

	switch (BTF_INFO_KIND(t->info)) {
	case BTF_KIND_INT:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG: return 4;
	case BTF_KIND_ARRAY: return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM64:
	case BTF_KIND_DATASEC: return 12 * n;
	case BTF_KIND_ENUM:
	case BTF_KIND_FUNC_PROTO: return 8 * n;
	default: return 0;
	}
}

static int check_btf(const struct old *o, const union bpf_attr *attr)
{
	const char *at = (const char *)(uintptr_t)attr->btf, *end;
	const struct btf_header *header = (const struct btf_header *)at;
	const char *strings = at + header->hdr_len + header->str_off;

	at += header->hdr_len + header->type_off;
	for (end = at + header->type_len; at < end;) {
		const struct btf_type *t = (const struct btf_type *)at;
		int kind = BTF_INFO_KIND(t->info);

		if (kind > o->v->last_btf)
			return -EINVAL;
		if (kind == BTF_KIND_FUNC && BTF_INFO_VLEN(t->info) && o->v->number < 0x0506)
			return -EINVAL;
		if (kind == BTF_KIND_ENUM && BTF_INFO_KFLAG(t->info) && o->v->number < 0x0600)
			return -EINVAL;
		if (kind == BTF_KIND_DATASEC && strings[t->name_off] == '?' &&
		    o->v->number < 0x0609)
			return -EINVAL;
		at += sizeof(*t) + tail(t);
	}
	return 0;
}

static int check(const struct old *o, int cmd, const union bpf_attr *attr, unsigned int size)
{
	int ret;

	if (cmd > o->v->last_cmd)
		return -EINVAL;
	ret = check_size(o, cmd, attr, size);
	if (ret)
		return ret;
	switch (cmd) {
	case BPF_MAP_CREATE: return check_map(o, attr);
	case BPF_PROG_LOAD: return check_prog(o, attr);
	case BPF_BTF_LOAD: return check_btf(o, attr);
	case BPF_LINK_CREATE:
		return (int)attr->link_create.attach_type > o->v->last_attach ? -EINVAL : 0;
	default: return 0;
	}
}

static int old_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	struct old *o = (struct old *)sys;
	int ret = check(o, cmd, attr, size);

	sys->why[0] = '\0';
	if (ret)
		return ret;
	ret = passed(o, cmd == BPF_PROG_LOAD ? load_prog(o, attr, size)
					     : o->inner->ops->bpf(o->inner, cmd, attr, size));
	if (ret < 0)
		return ret;
	/* Probes are smaller than any object's types. */
	o->count.types += cmd == BPF_BTF_LOAD && attr->btf_size > 256;
	if (cmd == BPF_MAP_CREATE && size > 28)
		o->count.map_names += attr->map_name[0] != 0;
	if (cmd == BPF_PROG_LOAD) {
		o->count.progs++;
		o->count.func_info += attr->func_info_cnt != 0;
		o->count.line_info += attr->line_info_cnt != 0;
		o->count.prog_names += attr->prog_name[0] != 0;
	}
	return ret;
}

static int old_event(struct skep_sys *sys, const struct skep_event *ev)
{
	struct old *o = (struct old *)sys;

	return passed(o, o->inner->ops->event(o->inner, ev));
}

static void *old_map(struct skep_sys *sys, int fd, off_t off, size_t len, int prot)
{
	struct old *o = (struct old *)sys;
	void *p = o->inner->ops->map(o->inner, fd, off, len, prot);

	passed(o, 0);
	return p;
}

static int old_read(struct skep_sys *sys, int fd, void *buf, size_t len)
{
	struct old *o = (struct old *)sys;

	return passed(o, skep_sys_read(o->inner, fd, buf, len));
}

static int old_wait(struct skep_sys *sys, int timeout_ms)
{
	struct old *o = (struct old *)sys;

	return passed(o, skep_sys_wait(o->inner, timeout_ms));
}

static int old_close(struct skep_sys *sys, int fd)
{
	struct old *o = (struct old *)sys;

	return o->inner->ops->close(o->inner, fd);
}

static int old_set_prog(struct skep_sys *sys, int event_fd, int prog_fd)
{
	struct old *o = (struct old *)sys;
	int ret = passed(o, skep_sys_set_prog(o->inner, event_fd, prog_fd));

	o->count.set_prog += ret == 0;
	return ret;
}

static void old_destroy(struct skep_sys *sys)
{
	skep_sys_destroy(((struct old *)sys)->inner);
	free(sys);
}

struct skep_sys *old_create(struct skep_sys *inner, const char *version)
{
	struct old *o = calloc(1, sizeof(*o));
	size_t i;

	for (i = 0; o && i < sizeof(versions) / sizeof(versions[0]); i++)
		if (!strcmp(versions[i].name, version))
			o->v = &versions[i];
	if (!o || !o->v) {
		free(o);
		return NULL;
	}
	o->ops = (struct skep_sys_ops){
		.name = inner->ops->name,
		.bpf = old_bpf,
		.event = old_event,
		.map = old_map,
		.wait = old_wait,
		.read = old_read,
		.close = old_close,
		.set_prog = old_set_prog,
		.destroy = old_destroy,
	};
	o->sys.ops = &o->ops;
	o->sys.log = inner->log;
	o->inner = inner;
	return &o->sys;
}

const struct old_count *old_count(const struct skep_sys *sys)
{
	return &((const struct old *)sys)->count;
}
