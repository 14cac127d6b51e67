/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The probes of feature.def: each offers the engine the least that needs the
 * feature.  Nothing is left behind, nothing is attached.
 *
 * Where a command takes a descriptor, -1 is given: EBADF says that the
 * command, or the kind of link, is known; EINVAL that it is not.
 */
#include "sys/feature.h"

#include <linux/btf.h>
#include <string.h>

#include "base/cleanup.h"
#include "isa/uapi.h"
#include "sys/uapi.h"

#define SIZE_TO(member) (offsetof(union bpf_attr, member) + sizeof(((union bpf_attr *)0)->member))

/* clang-format off */
#define MOV_K(dst, value) {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (dst), .imm = (value)}
#define CALL(number)	  {.code = BPF_JMP | BPF_CALL, .imm = (number)}
#define EXIT		  {.code = BPF_JMP | BPF_EXIT}
#define JUMP(class, op, count) {.code = (class) | (op) | BPF_K, .off = (count), .imm = 1}
/* clang-format on */

static const struct skep_feature_prog socket_filter = {.type = BPF_PROG_TYPE_SOCKET_FILTER};
static const struct skep_feature_prog tracepoint = {.type = BPF_PROG_TYPE_TRACEPOINT};
static const struct bpf_insn nothing[] = {MOV_K(0, 0), EXIT};

/* Closes a descriptor: 1, or what a refusal means. */
static int known(struct skep_sys *sys, int ret)
{
	skep_sys_close(sys, ret);
	return ret >= 0 ? 1 : ret == -EPERM ? -EPERM : 0;
}

/* What a command means that was given the descriptor -1. */
static int known_bad(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size)
{
	int ret = skep_sys_bpf(sys, cmd, attr, size);

	return ret == -EBADF ? 1 : known(sys, ret);
}

/* A descriptor or -errno.  @log may be NULL, else it is @size bytes. */
static int load(struct skep_sys *sys, const struct skep_feature_prog *prog,
		const struct bpf_insn *insns, size_t n, char *log, uint32_t size)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = prog->type;
	attr.expected_attach_type = prog->attach_type;
	attr.prog_flags = prog->flags;
	attr.attach_btf_id = prog->attach_btf_id;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = n;
	attr.license = (uintptr_t) "GPL";
	/* Kernels before 5.0 want their own version at kprobes. */
	if (prog->type == BPF_PROG_TYPE_KPROBE)
		attr.kern_version = skep_kernel_version();
	if (log) {
		log[0] = '\0';
		attr.log_buf = (uintptr_t)log;
		attr.log_size = size;
		attr.log_level = 1;
	}
	return skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, SIZE_TO(attach_btf_id));
}

static int loads(struct skep_sys *sys, const struct skep_feature_prog *prog,
		 const struct bpf_insn *insns, size_t n)
{
	return known(sys, load(sys, prog, insns, n, NULL, 0));
}

/* Descriptor of an array of one value of 32 bytes, or -errno. */
static int array(struct skep_sys *sys, uint32_t flags)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = 32;
	attr.max_entries = 1;
	attr.map_flags = flags;
	return skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, SIZE_TO(map_flags));
}

static int probe_prog_name(struct skep_sys *sys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uintptr_t)nothing;
	attr.insn_cnt = SKEP_ARRAY_SIZE(nothing);
	attr.license = (uintptr_t) "GPL";
	memcpy(attr.prog_name, "skep", 4);
	return known(sys, skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, SIZE_TO(prog_name)));
}

/* Programs of this type take whichever: only a kernel without the field says no. */
static int probe_exp_attach_type(struct skep_sys *sys)
{
	struct skep_feature_prog prog = {.type = BPF_PROG_TYPE_SOCKET_FILTER,
					 .attach_type = BPF_CGROUP_INET_SOCK_CREATE};

	return loads(sys, &prog, nothing, SKEP_ARRAY_SIZE(nothing));
}

static int probe_global_data(struct skep_sys *sys)
{
	struct bpf_insn insns[] = {
		{.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE},
		{.imm = 16},
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 1, .imm = 42},
		MOV_K(0, 0),
		EXIT,
	};
	int map = array(sys, 0), ret;

	if (map < 0)
		return known(sys, map);
	insns[0].imm = map;
	ret = loads(sys, &socket_filter, insns, SKEP_ARRAY_SIZE(insns));
	skep_sys_close(sys, map);
	return ret;
}

static int probe_map_freeze(struct skep_sys *sys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)-1;
	return known_bad(sys, BPF_MAP_FREEZE, &attr, SIZE_TO(map_fd));
}

static int probe_array_mmap(struct skep_sys *sys)
{
	return known(sys, array(sys, BPF_F_MMAPABLE));
}

static int probe_prog_bind_map(struct skep_sys *sys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_bind_map.prog_fd = attr.prog_bind_map.map_fd = (uint32_t)-1;
	return known_bad(sys, BPF_PROG_BIND_MAP, &attr, SIZE_TO(prog_bind_map));
}

static int probe_batch(struct skep_sys *sys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.batch.map_fd = (uint32_t)-1;
	return known_bad(sys, BPF_MAP_LOOKUP_BATCH, &attr, SIZE_TO(batch));
}

static int probe_probe_read_kernel(struct skep_sys *sys)
{
	return skep_feature_helper(sys, &tracepoint, BPF_FUNC_probe_read_kernel);
}

/* It came with the release that stopped to count memory as locked. */
static int probe_memcg_account(struct skep_sys *sys)
{
	return skep_feature_helper(sys, &socket_filter, BPF_FUNC_ktime_get_coarse_ns);
}

static int probe_cookie(struct skep_sys *sys)
{
	return skep_feature_helper(sys, &tracepoint, BPF_FUNC_get_attach_cookie);
}

static int probe_loop(struct skep_sys *sys)
{
	return skep_feature_helper(sys, &tracepoint, BPF_FUNC_loop);
}

static int probe_token(struct skep_sys *sys)
{
	union bpf_attr attr;
	uint32_t fd = (uint32_t)-1;

	memset(&attr, 0, sizeof(attr));
	memcpy((char *)&attr + 4, &fd, sizeof(fd)); /* struct { flags, bpffs_fd } */
	return known_bad(sys, BPF_TOKEN_CREATE, &attr, 8);
}

#define NAMES "\0int\0x\0f\0.data\0?.data"
enum { NAME_INT = 1, NAME_X = 5, NAME_F = 7, NAME_DATA = 9, NAME_QMARK = 15 };

/* Types of 12 bytes (struct btf_type) and what follows them, as 32-bit words. */
#define INFO(kind, vlen) ((uint32_t)BTF_KIND_##kind << 24 | (vlen))
#define INT		 NAME_INT, INFO(INT, 0), 4, BTF_INT_SIGNED << 24 | 32 /* type 1 */
#define PROTO		 0, INFO(FUNC_PROTO, 1), 0, NAME_X, 1 /* type 2: void (int x) */
#define VAR		 NAME_X, INFO(VAR, 0), 1, BTF_VAR_STATIC /* type 2 */

static int takes_types(struct skep_sys *sys, const uint32_t *words, size_t n, int *fd)
{
	struct {
		struct btf_header header;
		uint32_t words[32];
	} blob = {{.magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(blob.header)}};
	union bpf_attr attr;
	int ret;

	blob.header.type_len = blob.header.str_off = 4 * n;
	blob.header.str_len = sizeof(NAMES);
	memcpy(blob.words, words, 4 * n);
	memcpy((char *)blob.words + 4 * n, NAMES, sizeof(NAMES));
	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)&blob;
	attr.btf_size = sizeof(blob.header) + 4 * n + sizeof(NAMES);
	ret = skep_sys_bpf(sys, BPF_BTF_LOAD, &attr, SIZE_TO(btf_log_level));
	if (fd)
		*fd = ret;
	return fd ? ret >= 0 : known(sys, ret);
}

#define PROBE_TYPES(name, ...) \
	static int probe_##name(struct skep_sys *sys) \
	{ \
		static const uint32_t words[] = {__VA_ARGS__}; \
		return takes_types(sys, words, SKEP_ARRAY_SIZE(words), NULL); \
	}

PROBE_TYPES(btf, INT)
PROBE_TYPES(btf_func, INT, PROTO, NAME_F, INFO(FUNC, 0), 2)
PROBE_TYPES(btf_global_func, INT, PROTO, NAME_F, INFO(FUNC, BTF_FUNC_GLOBAL), 2)
PROBE_TYPES(btf_datasec, INT, VAR, NAME_DATA, INFO(DATASEC, 1), 4, 2, 0, 4)
PROBE_TYPES(btf_qmark_datasec, INT, VAR, NAME_QMARK, INFO(DATASEC, 1), 4, 2, 0, 4)
PROBE_TYPES(btf_float, NAME_X, INFO(FLOAT, 0), 4)
PROBE_TYPES(btf_decl_tag, INT, VAR, NAME_X, INFO(DECL_TAG, 0), 2, (uint32_t)-1)
PROBE_TYPES(btf_type_tag, INT, NAME_X, INFO(TYPE_TAG, 0), 1, 0, INFO(PTR, 0), 2)
PROBE_TYPES(btf_enum64, NAME_X, INFO(ENUM64, 1), 8, NAME_F, 1, 0)

/* Kernels with BTF of modules tell the name of BTF. */
static int probe_module_btf(struct skep_sys *sys)
{
	static const uint32_t words[] = {INT};
	struct bpf_btf_info info;
	union bpf_attr attr;
	char name[16];
	int fd, ret;

	if (!takes_types(sys, words, SKEP_ARRAY_SIZE(words), &fd))
		return known(sys, fd);
	memset(&attr, 0, sizeof(attr));
	memset(&info, 0, sizeof(info));
	info.name = (uintptr_t)name;
	info.name_len = sizeof(name);
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info = (uintptr_t)&info;
	attr.info.info_len = sizeof(info);
	ret = skep_sys_bpf(sys, BPF_OBJ_GET_INFO_BY_FD, &attr, SIZE_TO(info));
	skep_sys_close(sys, fd);
	return ret == 0 ? 1 : known(sys, ret);
}

static int probe_raw_tracepoint(struct skep_sys *sys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t) "sched_switch";
	attr.raw_tracepoint.prog_fd = (uint32_t)-1;
	return known_bad(sys, BPF_RAW_TRACEPOINT_OPEN, &attr, SIZE_TO(raw_tracepoint));
}

static int probe_link_create(struct skep_sys *sys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = (uint32_t)-1;
	return known_bad(sys, BPF_LINK_CREATE, &attr, offsetof(union bpf_attr, link_create) + 16);
}

/* What LINK_CREATE answers for program @prog; @lc is complete but for the program. */
static int create_link(struct skep_sys *sys, const struct skep_feature_prog *prog,
		       const struct skep_link_create *lc)
{
	union {
		union bpf_attr attr;
		struct skep_link_create lc;
	} u;
	int fd, ret;

	fd = load(sys, prog, nothing, SKEP_ARRAY_SIZE(nothing), NULL, 0);
	if (fd < 0)
		return fd;
	memset(&u, 0, sizeof(u));
	u.lc = *lc;
	u.lc.prog_fd = (uint32_t)fd;
	ret = skep_sys_bpf(sys, BPF_LINK_CREATE, &u.attr, sizeof(u.lc));
	skep_sys_close(sys, fd);
	skep_sys_close(sys, ret);
	return ret;
}

static int knows_link(struct skep_sys *sys, uint32_t type, uint32_t attach_type, bool expected,
		      int sign)
{
	struct skep_feature_prog prog = {.type = type, .attach_type = expected ? attach_type : 0};
	struct skep_link_create lc = {.target = (uint32_t)-1, .attach_type = attach_type};
	int ret = create_link(sys, &prog, &lc);

	return ret == sign || ret >= 0 ? 1 : ret == -EPERM ? -EPERM : 0;
}

static int probe_cgroup_link(struct skep_sys *sys)
{
	return knows_link(sys, BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS, true, -EBADF);
}

static int probe_netns_link(struct skep_sys *sys)
{
	return knows_link(sys, BPF_PROG_TYPE_FLOW_DISSECTOR, BPF_FLOW_DISSECTOR, false, -EBADF);
}

static int probe_perf_link(struct skep_sys *sys)
{
	return knows_link(sys, BPF_PROG_TYPE_TRACEPOINT, BPF_PERF_EVENT, false, -EBADF);
}

static int probe_tcx(struct skep_sys *sys)
{
	return knows_link(sys, BPF_PROG_TYPE_SCHED_CLS, BPF_TCX_INGRESS, false, -ENODEV);
}

static int probe_iter(struct skep_sys *sys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.iter_create.link_fd = (uint32_t)-1;
	return known_bad(sys, BPF_ITER_CREATE, &attr, SIZE_TO(iter_create));
}

/* The names lie where nothing can be read: EFAULT, once the kernel wants to read them. */
static int probe_kprobe_multi(struct skep_sys *sys)
{
	static const struct skep_feature_prog prog = {.type = BPF_PROG_TYPE_KPROBE,
						      .attach_type = BPF_TRACE_KPROBE_MULTI};
	struct skep_link_create lc = {.attach_type = BPF_TRACE_KPROBE_MULTI};
	int ret;

	lc.kprobe_multi.cnt = 1;
	lc.kprobe_multi.syms = 1;
	ret = create_link(sys, &prog, &lc);
	return ret == -EFAULT ? 1 : ret == -EPERM ? ret : 0;
}

/* The root folder is no file with functions: EBADF, once the kernel looks at it. */
static int probe_uprobe_multi(struct skep_sys *sys)
{
	static const struct skep_feature_prog prog = {.type = BPF_PROG_TYPE_KPROBE,
						      .attach_type = BPF_TRACE_UPROBE_MULTI};
	struct skep_link_create lc = {.attach_type = BPF_TRACE_UPROBE_MULTI};
	const uint64_t offset = 0;
	int ret;

	lc.uprobe_multi.path = (uintptr_t) "/";
	lc.uprobe_multi.offsets = (uintptr_t)&offset;
	lc.uprobe_multi.cnt = 1;
	ret = create_link(sys, &prog, &lc);
	return ret == -EBADF ? 1 : ret == -EPERM ? ret : 0;
}

#define PROBE_INSNS(name, ...) \
	static int probe_##name(struct skep_sys *sys) \
	{ \
		static const struct bpf_insn insns[] = {__VA_ARGS__}; \
		return loads(sys, &socket_filter, insns, SKEP_ARRAY_SIZE(insns)); \
	}

PROBE_INSNS(calls, {.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 1}, EXIT,
	    MOV_K(0, 0), EXIT)
PROBE_INSNS(bounded_loops, MOV_K(0, 10),
	    {.code = BPF_ALU64 | BPF_SUB | BPF_K, .dst_reg = 0, .imm = 1},
	    {.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = 0, .off = -2}, EXIT)
PROBE_INSNS(v2, MOV_K(0, 0), JUMP(BPF_JMP, BPF_JLT, 1), MOV_K(0, 1), EXIT)
PROBE_INSNS(v3, MOV_K(0, 0), JUMP(BPF_JMP32, BPF_JLT, 1), MOV_K(0, 1), EXIT)
PROBE_INSNS(v4, MOV_K(0, 0), {.code = BPF_ALU64 | BPF_MOV | BPF_X, .off = 8}, EXIT)
PROBE_INSNS(atomics, MOV_K(0, 1), {.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -8},
	    {.code = BPF_STX | BPF_ATOMIC | BPF_DW,
	     .dst_reg = 10,
	     .off = -8,
	     .imm = BPF_ADD | BPF_FETCH},
	    MOV_K(0, 0), EXIT)

static int probe_large_insn_limit(struct skep_sys *sys)
{
	struct bpf_insn insns[BPF_MAXINSNS + 1];
	size_t i;

	for (i = 0; i < BPF_MAXINSNS; i++)
		insns[i] = (struct bpf_insn)MOV_K(0, 0);
	insns[i] = (struct bpf_insn)EXIT;
	return loads(sys, &socket_filter, insns, SKEP_ARRAY_SIZE(insns));
}

int skep_feature_prog_type(struct skep_sys *sys, const struct skep_feature_prog *prog)
{
	char log[256];
	int ret = load(sys, prog, nothing, SKEP_ARRAY_SIZE(nothing), log, sizeof(log));

	/* Who complains about the program knows its type. */
	if (ret < 0 && ret != -EPERM && ret != -EOPNOTSUPP && log[0])
		return 1;
	return known(sys, ret);
}

/* What a map of @type must look like. */
static void describe(union bpf_attr *attr, uint32_t type)
{
	attr->map_type = type;
	attr->key_size = attr->value_size = 4;
	attr->max_entries = 1;
	switch (type) {
	case BPF_MAP_TYPE_STACK_TRACE: attr->value_size = 8; break;
	case BPF_MAP_TYPE_LPM_TRIE:
		attr->key_size = attr->value_size = 8;
		attr->map_flags = BPF_F_NO_PREALLOC;
		break;
	case BPF_MAP_TYPE_CGROUP_STORAGE:
	case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
		attr->key_size = sizeof(struct bpf_cgroup_storage_key);
		attr->value_size = 8;
		attr->max_entries = 0;
		break;
	case BPF_MAP_TYPE_QUEUE:
	case BPF_MAP_TYPE_STACK:
	case BPF_MAP_TYPE_BLOOM_FILTER: attr->key_size = 0; break;
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_USER_RINGBUF:
		attr->key_size = attr->value_size = 0;
		attr->max_entries = 1 << 16; /* whole pages everywhere */
		break;
	case BPF_MAP_TYPE_ARENA:
		attr->key_size = attr->value_size = 0;
		attr->map_flags = BPF_F_MMAPABLE;
		break;
	case BPF_MAP_TYPE_STRUCT_OPS: attr->btf_vmlinux_value_type_id = 1; break;
	default: break;
	}
}

/* Storage of objects: its maps take types. */
static bool is_storage(uint32_t type)
{
	return type == BPF_MAP_TYPE_SK_STORAGE || type == BPF_MAP_TYPE_INODE_STORAGE ||
	       type == BPF_MAP_TYPE_TASK_STORAGE || type == SKEP_MAP_TYPE_CGRP_STORAGE;
}

int skep_feature_map_type(struct skep_sys *sys, uint32_t type)
{
	static const uint32_t words[] = {INT};
	bool outer = type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
	union bpf_attr attr;
	int ret, inner = -1, btf = -1;

	memset(&attr, 0, sizeof(attr));
	describe(&attr, type);
	if (outer)
		attr.inner_map_fd = (uint32_t)(inner = array(sys, 0));
	if (is_storage(type)) {
		takes_types(sys, words, SKEP_ARRAY_SIZE(words), &btf);
		attr.max_entries = 0;
		attr.map_flags = BPF_F_NO_PREALLOC;
		attr.btf_fd = (uint32_t)btf;
		attr.btf_key_type_id = attr.btf_value_type_id = 1;
	}
	ret = outer && inner < 0 ? inner
	      : is_storage(type) && btf < 0
		      ? btf
		      : skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, SIZE_TO(map_extra));
	skep_sys_close(sys, inner);
	skep_sys_close(sys, btf);
	/* -524, the kernel's ENOTSUPP: the value is no struct_ops, the type of map is known. */
	if (type == BPF_MAP_TYPE_STRUCT_OPS && (ret == -524 || ret == -ENOENT))
		return 1;
	return known(sys, ret);
}

int skep_feature_helper(struct skep_sys *sys, const struct skep_feature_prog *prog, uint32_t number)
{
	const struct bpf_insn insns[] = {CALL((int32_t)number), MOV_K(0, 0), EXIT};
	char log[1024];
	int ret = load(sys, prog, insns, SKEP_ARRAY_SIZE(insns), log, sizeof(log));

	if (ret >= 0 || ret == -EPERM)
		return known(sys, ret);
	log[sizeof(log) - 1] = '\0';
	if (strstr(log, "invalid func ") || strstr(log, "unknown func ") ||
	    strstr(log, "program of this type cannot use helper "))
		return 0;
	/* Complaints about the arguments come after the helper was found: the call is told. */
	return strstr(log, "(85) call") ? 1 : -EINVAL;
}

static const struct {
	struct skep_feature_def def;
	int (*probe)(struct skep_sys *sys);
} table[] = {
#define SKEP_FEATURE(group, id, major, minor, what, probe) \
	{{#id, what, SKEP_FEATURE_##group, (major) << 8 | (minor)}, probe_##probe},
#include "sys/feature.def"
#undef SKEP_FEATURE
};

_Static_assert(SKEP_FEATURE_MAX <= 64, "answers are bits of a 64-bit number");

const struct skep_feature_def *skep_feature_at(enum skep_feature f)
{
	return f < SKEP_FEATURE_MAX ? &table[f].def : NULL;
}

int skep_feature_ask(struct skep_sys *sys, enum skep_feature f)
{
	uint64_t bit = 1ull << f;
	char why[sizeof(sys->why)];
	int ret;

	if (sys->asked & bit)
		return sys->there & bit ? 1 : 0;
	memcpy(why, sys->why, sizeof(why));
	ret = table[f].probe(sys);
	memcpy(sys->why, why, sizeof(why));
	if (ret < 0)
		return -EPERM;
	sys->asked |= bit;
	sys->there |= ret ? bit : 0;
	return ret;
}

bool skep_feature(struct skep_sys *sys, enum skep_feature f)
{
	return skep_feature_ask(sys, f) != 0;
}
