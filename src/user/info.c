/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * OBJ_GET_INFO_BY_FD.  Infos are versioned by size as attributes are; arrays
 * inside are filled as far as the caller's counts allow, and the counts then
 * say how many there are.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "btf/btf.h"
#include "user/engine.h"

/* Copies up to *@n of @have records to @to (an address, or 0); *@n: how many there are. */
static int fill(uint64_t to, uint32_t *n, uint32_t have, const void *from, size_t size)
{
	uint32_t room = *n;

	*n = have;
	if (!room || !have)
		return 0;
	if (!to)
		return -EFAULT;
	memcpy(skep_ptr(to), from, (room < have ? room : have) * size);
	return 0;
}

static int check_rec(uint32_t n, uint32_t size, uint32_t want)
{
	return (n || size) && size != want ? -EINVAL : 0;
}

static int prog_lines(const struct skep_prog *prog, struct bpf_prog_info *info)
{
	int ret = check_rec(info->nr_func_info, info->func_info_rec_size, sizeof(*prog->funcs));

	if (ret == 0)
		ret = check_rec(info->nr_line_info, info->line_info_rec_size, sizeof(*prog->lines));
	if (ret == 0)
		ret = fill(info->func_info, &info->nr_func_info, prog->nr_funcs, prog->funcs,
			   sizeof(*prog->funcs));
	if (ret == 0)
		ret = fill(info->line_info, &info->nr_line_info, prog->nr_lines, prog->lines,
			   sizeof(*prog->lines));
	info->func_info_rec_size = sizeof(*prog->funcs);
	info->line_info_rec_size = sizeof(*prog->lines);
	info->nr_jited_line_info = 0;
	info->jited_line_info_rec_size = sizeof(uint64_t);
	info->nr_prog_tags = 0;
	return ret;
}

static int prog_info(const struct skep_prog *prog, struct bpf_prog_info *info)
{
	uint32_t room = info->nr_map_ids, i;
	uint32_t *ids = skep_ptr(info->map_ids);
	int ret;

	for (i = 0; ids && i < room && i < prog->maps.len; i++)
		ids[i] = prog->maps.data[i]->id;
	if (!ids && room && prog->maps.len)
		return -EFAULT;
	info->nr_map_ids = (uint32_t)prog->maps.len;
	ret = fill(info->xlated_prog_insns, &info->xlated_prog_len,
		   prog->nr_insns * (uint32_t)sizeof(*prog->insns), prog->insns, 1);
	if (ret == 0)
		ret = prog_lines(prog, info);
	info->type = prog->type;
	info->id = prog->id;
	memcpy(info->tag, prog->tag, sizeof(info->tag));
	info->jited_prog_len = 0;
	info->nr_jited_ksyms = info->nr_jited_func_lens = 0;
	info->load_time = prog->load_ns;
	info->created_by_uid = getuid();
	memcpy(info->name, prog->name, sizeof(info->name));
	info->ifindex = 0;
	info->gpl_compatible = prog->gpl;
	info->netns_dev = info->netns_ino = 0;
	info->btf_id = prog->types ? prog->types->id : 0;
	info->run_time_ns = prog->run_ns;
	info->run_cnt = prog->run_cnt;
	info->recursion_misses = 0;
	info->verified_insns = 0;
	info->attach_btf_obj_id = 0;
	info->attach_btf_id = prog->btf_id;
	return ret;
}

static int map_info(const struct skep_map *map, struct bpf_map_info *info)
{
	const struct skep_types *types = map->owner;

	*info = (struct bpf_map_info){
		.type = map->type,
		.id = map->id,
		.key_size = map->key_size,
		.value_size = map->value_size,
		.max_entries = map->max_entries,
		.map_flags = map->flags,
		.btf_id = types ? types->id : 0,
		.btf_key_type_id = types ? map->btf_key : 0,
		.btf_value_type_id = types ? map->btf_value : 0,
		.map_extra = map->map_extra,
	};
	memcpy(info->name, map->name, sizeof(info->name));
	return 0;
}

static int btf_info(const struct skep_types *types, struct bpf_btf_info *info)
{
	size_t len;
	const void *raw = skep_btf_raw(types->btf, &len);
	int ret = fill(info->btf, &info->btf_size, (uint32_t)len, raw, 1);

	info->id = types->id;
	info->name_len = 0;
	info->kernel_btf = 0;
	return ret;
}

static int link_info(const struct skep_link *link, struct bpf_link_info *info)
{
	uint32_t room = info->raw_tracepoint.tp_name_len, len;
	char *to = skep_ptr(info->raw_tracepoint.tp_name);

	info->type = link->type;
	info->id = link->id;
	info->prog_id = link->prog->id;
	if (link->type != BPF_LINK_TYPE_RAW_TRACEPOINT || !link->tp_name)
		return 0;
	if (!to != !room)
		return -EINVAL;
	len = (uint32_t)strlen(link->tp_name) + 1;
	info->raw_tracepoint.tp_name_len = len;
	if (!to)
		return 0;
	memcpy(to, link->tp_name, len < room ? len : room);
	to[room - 1] = '\0';
	return len > room ? -ENOSPC : 0;
}

static int one_info(const struct skep_slot *slot, void *info)
{
	switch (slot->kind) {
	case SKEP_USER_PROG: return prog_info(slot->obj, info);
	case SKEP_USER_MAP: return map_info(slot->obj, info);
	case SKEP_USER_BTF: return btf_info(slot->obj, info);
	default: return link_info(slot->obj, info);
	}
}

int skep_bpf_obj_get_info_by_fd(struct skep_user *user, struct skep_call *call)
{
	static const uint32_t sizes[] = {
		[SKEP_USER_MAP] = sizeof(struct bpf_map_info),
		[SKEP_USER_PROG] = sizeof(struct bpf_prog_info),
		[SKEP_USER_BTF] = sizeof(struct bpf_btf_info),
		[SKEP_USER_LINK] = sizeof(struct bpf_link_info),
	};
	union {
		struct bpf_prog_info prog;
		struct bpf_map_info map;
		struct bpf_btf_info btf;
		struct bpf_link_info link;
	} info;
	struct skep_slot *slot = skep_user_slot(user, (int)call->attr.info.bpf_fd);
	uint32_t len = call->attr.info.info_len, i;
	char *to = skep_ptr(call->attr.info.info);
	int ret;

	if (!slot)
		return -EBADF;
	if (slot->kind >= SKEP_USER_IDS)
		return -EINVAL;
	if (!to && len)
		return -EFAULT;
	for (i = sizes[slot->kind]; i < len; i++) {
		if (to[i])
			return -E2BIG;
	}
	len = len < sizes[slot->kind] ? len : sizes[slot->kind];
	memset(&info, 0, sizeof(info));
	memcpy(&info, to, len);
	ret = one_info(slot, &info);
	if (ret && ret != -ENOSPC)
		return ret;
	memcpy(to, &info, len);
	skep_call_set(call, info.info_len, len);
	return ret;
}
