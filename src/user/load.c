/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PROG_LOAD: from the caller's instructions to a program that can run.
 *
 * Map descriptors in 64-bit immediates become places among the program's maps;
 * a copy with map ids instead stays for prog info.  Every refusal leaves its sentence in
 * the log buffer, with the source line when there is one, as the kernel's
 * verifier would.  kernel/bpf/syscall.c and verifier.c decide the errnos.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "btf/btf.h"
#include "jit/jit.h"
#include "user/engine.h"

#define MAX_INSNS     1000000u
#define BUDGET	      (64u << 20) /* instructions a run: the kernel's programs end earlier */
#define LOG_LEVELS    15u
#define OFF_TRUE_SIZE 140 /* of log_true_size in the attributes of PROG_LOAD, 6.4 */
#define KNOWN_FLAGS   0x1ffu /* up to BPF_F_TEST_REG_INVARIANTS, 6.8 */
#define LAST_TYPE     BPF_PROG_TYPE_NETFILTER

void skep_prog_free(struct skep_prog *prog)
{
	struct skep_note *note;
	struct skep_map **it;

	skep_vm_prog_put(prog->vm);
	skep_vec_each (&prog->notes, note)
		free(note->text);
	skep_vec_deinit(&prog->notes);
	skep_vec_each (&prog->maps, it)
		skep_obj_put(SKEP_USER_MAP, *it);
	skep_vec_deinit(&prog->maps);
	skep_obj_put(SKEP_USER_BTF, prog->types);
	free(prog->insns);
	free(prog->funcs);
	free(prog->lines);
	free(prog);
}

static int check_attr(const struct skep_user *user, const union bpf_attr *attr,
		      struct skep_err *err)
{
	bool buf = attr->log_buf, size = attr->log_size;

	if (attr->prog_flags & ~KNOWN_FLAGS)
		return skep_fail(err, SKEP_E_PROG_LOAD, EINVAL, "unknown prog_flags 0x%x",
				 attr->prog_flags);
	if (!attr->insn_cnt || attr->insn_cnt > MAX_INSNS)
		return skep_fail(err, SKEP_E_PROG_LOAD, E2BIG, "%u instructions (up to %u)",
				 attr->insn_cnt, MAX_INSNS);
	if (attr->prog_type > LAST_TYPE || (!attr->prog_type && !user->opts.any_type))
		return skep_fail(err, SKEP_E_PROG_LOAD, EINVAL, "unknown program type %u",
				 attr->prog_type);
	if (!attr->license || !attr->insns)
		return skep_fail(err, SKEP_E_PROG_LOAD, EFAULT, "no %s",
				 attr->insns ? "license" : "instructions");
	if (buf != size || (buf && !attr->log_level) || attr->log_level & ~LOG_LEVELS ||
	    attr->log_size > UINT32_MAX >> 2)
		return skep_fail(err, SKEP_E_PROG_LOAD, EINVAL,
				 "log_level, log_size and log_buf do not go together");
	return 0;
}

static int copy_name(struct skep_prog *prog, const char *name, struct skep_err *err)
{
	size_t i;

	for (i = 0; i < BPF_OBJ_NAME_LEN && name[i]; i++) {
		char c = name[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '_' && c != '.')
			i = BPF_OBJ_NAME_LEN;
	}
	if (i >= BPF_OBJ_NAME_LEN)
		return skep_fail(err, SKEP_E_PROG_LOAD, EINVAL,
				 "a program name has up to 15 of letters, digits, '_' and '.'");
	memcpy(prog->name, name, i);
	return 0;
}

static bool is_gpl(const char *license)
{
	static const char *const known[] = {
		"GPL",		"GPL v2",	"GPL and additional rights",
		"Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL"};
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(known); i++) {
		if (!strcmp(license, known[i]))
			return true;
	}
	return false;
}

/* Notes that @prog uses @map, once.  Its place among the program's maps, or -ENOMEM. */
static int use_map(struct skep_prog *prog, struct skep_map *map)
{
	size_t i;

	for (i = 0; i < prog->maps.len; i++) {
		if (prog->maps.data[i] == map)
			return (int)i;
	}
	if (skep_vec_push(&prog->maps, map))
		return -ENOMEM;
	skep_obj_get(SKEP_USER_MAP, map);
	return (int)i;
}

/* The place of the map that the 64-bit immediate at @i means. */
static int find_map(struct skep_prog *prog, const union bpf_attr *attr, const struct bpf_insn *insn,
		    uint32_t i, struct skep_err *err)
{
	const int *fds = skep_ptr(attr->fd_array);
	struct skep_map *map;
	int fd = insn->imm, ret;

	if (insn->src_reg == BPF_PSEUDO_MAP_IDX || insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE) {
		if (!fds)
			return skep_fail(err, SKEP_E_PROG_REJECTED, EPROTO,
					 "insn %u: fd_idx without fd_array is invalid", i);
		fd = fds[insn->imm];
	}
	map = skep_user_obj(prog->user, fd, SKEP_USER_MAP, &ret);
	if (!map)
		return skep_fail(err, SKEP_E_PROG_REJECTED, -ret,
				 "insn %u: fd %d is not pointing to valid bpf_map", i, fd);
	ret = use_map(prog, map);
	return ret < 0 ? skep_fail_nomem(err) : ret;
}

/* Descriptors become places among the program's maps; in the copy for info, ids. */
static int relocate(struct skep_prog *prog, const union bpf_attr *attr, struct bpf_insn *insn,
		    uint32_t i, struct skep_err *err)
{
	bool value =
		insn->src_reg == BPF_PSEUDO_MAP_VALUE || insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
	uint32_t off = (uint32_t)insn[1].imm;
	const struct skep_map *map;
	int place;

	if (!value && off)
		return skep_fail(err, SKEP_E_PROG_REJECTED, EINVAL,
				 "insn %u: unrecognized bpf_ld_imm64 insn", i);
	place = find_map(prog, attr, insn, i, err);
	if (place < 0)
		return place;
	map = prog->maps.data[place];
	if (value &&
	    (map->type != BPF_MAP_TYPE_ARRAY || map->max_entries != 1 || off >= map->value_size))
		return skep_fail(err, SKEP_E_PROG_REJECTED, EINVAL,
				 "insn %u: no direct value access at %u of map '%s'", i, off,
				 map->name);
	prog->insns[i].src_reg = value ? BPF_PSEUDO_MAP_VALUE : BPF_PSEUDO_MAP_FD;
	prog->insns[i].imm = (int32_t)map->id;
	insn->src_reg = value ? BPF_PSEUDO_MAP_IDX_VALUE : BPF_PSEUDO_MAP_IDX;
	insn->imm = place;
	return 0;
}

static int relocate_all(struct skep_prog *prog, const union bpf_attr *attr, struct bpf_insn *insns,
			struct skep_err *err)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; !ret && i + 1 < prog->nr_insns; i++) {
		struct bpf_insn *insn = &insns[i];

		if (insn->code != (BPF_LD | BPF_IMM | BPF_DW))
			continue;
		switch (insn->src_reg) {
		case BPF_PSEUDO_MAP_FD:
		case BPF_PSEUDO_MAP_VALUE:
		case BPF_PSEUDO_MAP_IDX:
		case BPF_PSEUDO_MAP_IDX_VALUE: ret = relocate(prog, attr, insn, i, err); break;
		}
		i++;
	}
	return ret;
}

/* Copies a table of records that may be longer or shorter than ours. */
static void *copy_table(const void *from, uint32_t n, uint32_t from_size, size_t size)
{
	char *to = calloc(n ? n : 1, size);
	uint32_t i;

	for (i = 0; to && i < n; i++)
		memcpy(to + i * size, (const char *)from + (size_t)i * from_size,
		       from_size < size ? from_size : size);
	return to;
}

static int take_info(struct skep_prog *prog, const union bpf_attr *attr, struct skep_err *err)
{
	uint32_t nf = attr->func_info_cnt, nl = attr->line_info_cnt;
	int ret;

	if (!nf && !nl)
		return 0;
	prog->types = skep_user_obj(prog->user, (int)attr->prog_btf_fd, SKEP_USER_BTF, &ret);
	if (!prog->types)
		return skep_fail(err, SKEP_E_PROG_LOAD, -ret, "prog_btf_fd is no BTF");
	skep_obj_get(SKEP_USER_BTF, prog->types);
	if ((nf && (attr->func_info_rec_size < 8 || attr->func_info_rec_size > 252)) ||
	    (nl && (attr->line_info_rec_size < 16 || attr->line_info_rec_size > 252)))
		return skep_fail(err, SKEP_E_PROG_LOAD, EINVAL, "func or line info rec size");
	if ((nf && !attr->func_info) || (nl && !attr->line_info))
		return skep_fail(err, SKEP_E_PROG_LOAD, EFAULT, "no func or line info");
	if (nf > prog->nr_insns || nl > prog->nr_insns)
		return skep_fail(err, SKEP_E_PROG_LOAD, EINVAL,
				 "more func or line info than instructions");
	prog->funcs = copy_table(skep_ptr(attr->func_info), nf, attr->func_info_rec_size,
				 sizeof(*prog->funcs));
	prog->lines = copy_table(skep_ptr(attr->line_info), nl, attr->line_info_rec_size,
				 sizeof(*prog->lines));
	if (!prog->funcs || !prog->lines)
		return skep_fail_nomem(err);
	prog->nr_funcs = nf;
	prog->nr_lines = nl;
	return 0;
}

/* Interpreting gives the same results, later: a system without executable memory is no failure. */
static void compile(struct skep_prog *prog)
{
	struct skep_err err = SKEP_ERR_INIT;

	if (skep_jit_compile(prog->vm, &prog->user->opts.jit, &err) < 0)
		skep_info(prog->user->log, "program '%s' is interpreted: %s", prog->name, err.msg);
	skep_err_deinit(&err);
}

static int build(struct skep_prog *prog, const union bpf_attr *attr, struct skep_err *err)
{
	size_t len = attr->insn_cnt * sizeof(struct bpf_insn);
	SKEP_AUTO_FREE struct bpf_insn *insns = malloc(len);
	struct skep_vm_prog_opts opts = {.sz = sizeof(opts),
					 .name = prog->name,
					 .type = attr->prog_type,
					 .attach_type = attr->expected_attach_type,
					 .gpl = prog->gpl,
					 .trusted = prog->user->opts.trusted,
					 .budget = prog->user->opts.budget,
					 .helper = prog->user->opts.helper,
					 .helper_ctx = prog->user->opts.helper_ctx};
	int ret;

	prog->insns = malloc(len);
	if (!insns || !prog->insns)
		return skep_fail_nomem(err);
	memcpy(insns, skep_ptr(attr->insns), len);
	memcpy(prog->insns, insns, len);
	prog->nr_insns = attr->insn_cnt;
	ret = take_info(prog, attr, err);
	if (ret == 0)
		ret = relocate_all(prog, attr, insns, err);
	if (ret)
		return ret;
	if (!opts.budget && !opts.trusted)
		opts.budget = BUDGET;
	opts.maps = prog->maps.data;
	opts.nr_maps = (uint32_t)prog->maps.len;
	ret = skep_vm_prog_create(&prog->vm, insns, prog->nr_insns, &opts, err);
	if (ret == 0)
		skep_prog_tag(prog);
	if (ret == 0 && !prog->user->opts.no_jit)
		compile(prog);
	return ret;
}

/* The log as the kernel keeps it: its end when it is too long.  0 or -ENOSPC. */
static int give_log(struct skep_call *call, const char *text)
{
	const union bpf_attr *attr = &call->attr;
	uint32_t len = (uint32_t)strlen(text) + 1, room = attr->log_size;
	char *to = skep_ptr(attr->log_buf);

	if (!attr->log_level)
		return 0;
	if (len == 1)
		len = 0;
	skep_call_put(call, OFF_TRUE_SIZE, &len, sizeof(len));
	if (!to || !room)
		return 0;
	if (len <= room) {
		memcpy(to, text, strlen(text) + 1);
		return 0;
	}
	if (attr->log_level & 8) /* BPF_LOG_FIXED: its start */
		memcpy(to, text, room);
	else
		memcpy(to, text + (len - room), room);
	to[room - 1] = '\0';
	return -ENOSPC;
}

static int log_result(struct skep_call *call, const struct skep_prog *prog, int ret)
{
	struct skep_buf log = SKEP_BUF_INIT;
	char where[160];
	int r;

	if (ret < 0) {
		skep_prog_where(prog, call->err->insn, where, sizeof(where));
		skep_buf_printf(&log, "%s%s\n", call->err->msg, where);
		if (where[0])
			skep_wrap(call->err, ret, "%s", where + 2);
	} else {
		skep_buf_printf(&log,
				"%u insns; not proven, every access is checked when it runs\n",
				prog->nr_insns);
	}
	r = give_log(call, skep_buf_str(&log));
	skep_buf_deinit(&log);
	return ret < 0 && ret != -ENOSPC ? ret : r < 0 ? r : ret;
}

int skep_bpf_prog_load(struct skep_user *user, struct skep_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct skep_prog *prog;
	struct timespec now;
	int ret = check_attr(user, attr, call->err);

	if (ret)
		return ret;
	prog = calloc(1, sizeof(*prog));
	if (!prog)
		return skep_fail_nomem(call->err);
	clock_gettime(CLOCK_BOOTTIME, &now);
	prog->refs = 1;
	prog->user = user;
	prog->type = attr->prog_type;
	prog->attach_type = attr->expected_attach_type;
	prog->btf_id = attr->attach_btf_id;
	prog->load_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	prog->gpl = is_gpl(skep_ptr(attr->license));
	ret = copy_name(prog, attr->prog_name, call->err);
	if (ret == 0)
		ret = log_result(call, prog, build(prog, attr, call->err));
	if (ret == 0)
		ret = skep_user_register(user, SKEP_USER_PROG, prog);
	if (ret == 0)
		return skep_user_fd(user, SKEP_USER_PROG, prog);
	skep_obj_put(SKEP_USER_PROG, prog);
	return ret;
}
