/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Layouts by member name.  A string is either an array inside of the struct or
 * a "__data_loc_NAME" word that says where behind the struct it lies; which of
 * the two is the kernel's business.  See Documentation/trace/events.rst.
 */
#include "user/context.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "btf/btf.h"

static const char *const structs[SKEP_LAYOUT_NR] = {
	[SKEP_LAYOUT_FORK] = "trace_event_raw_sched_process_fork",
	[SKEP_LAYOUT_EXEC] = "trace_event_raw_sched_process_exec",
	[SKEP_LAYOUT_EXIT] = "trace_event_raw_sched_process_exit",
	[SKEP_LAYOUT_FREE] = "trace_event_raw_sched_process_template",
};

static const char *const members[SKEP_M_NR] = {
	[SKEP_M_COMM] = "comm",
	[SKEP_M_PID] = "pid",
	[SKEP_M_PRIO] = "prio",
	[SKEP_M_GROUP_DEAD] = "group_dead",
	[SKEP_M_PARENT_COMM] = "parent_comm",
	[SKEP_M_PARENT_PID] = "parent_pid",
	[SKEP_M_CHILD_COMM] = "child_comm",
	[SKEP_M_CHILD_PID] = "child_pid",
	[SKEP_M_FILENAME] = "filename",
	[SKEP_M_OLD_PID] = "old_pid",
};

/* Linux 6.1, x86_64 and arm64. */
static const struct skep_layout linux_6_1[SKEP_LAYOUT_NR] = {
	[SKEP_LAYOUT_FORK] = {48,
			      {[SKEP_M_PARENT_COMM] = {8, 16},
			       [SKEP_M_PARENT_PID] = {24, 4},
			       [SKEP_M_CHILD_COMM] = {28, 16},
			       [SKEP_M_CHILD_PID] = {44, 4}}},
	[SKEP_LAYOUT_EXEC] = {20,
			      {[SKEP_M_FILENAME] = {8, 4, true},
			       [SKEP_M_PID] = {12, 4},
			       [SKEP_M_OLD_PID] = {16, 4}}},
	[SKEP_LAYOUT_EXIT] =
		{32, {[SKEP_M_COMM] = {8, 16}, [SKEP_M_PID] = {24, 4}, [SKEP_M_PRIO] = {28, 4}}},
	[SKEP_LAYOUT_FREE] =
		{32, {[SKEP_M_COMM] = {8, 16}, [SKEP_M_PID] = {24, 4}, [SKEP_M_PRIO] = {28, 4}}},
};

static void read_member(struct skep_layout *l, const struct skep_btf *btf, const struct btf_type *t,
			uint32_t i)
{
	const struct btf_member *member = &skep_btf_members(t)[i];
	const char *name = skep_btf_str(btf, member->name_off);
	int64_t size = skep_btf_sizeof(btf, member->type);
	bool loc = !strncmp(name, "__data_loc_", 11);
	uint32_t bit, bits;
	int m;

	if (size <= 0 || !skep_btf_member(btf, t, i, &bit, &bits) || bits || bit % 8 ||
	    bit / 8 + size > l->size)
		return;
	for (m = 0; m < SKEP_M_NR; m++) {
		if (strcmp(members[m], name + (loc ? 11 : 0)))
			continue;
		l->m[m].off = bit / 8;
		l->m[m].size = (uint32_t)size;
		l->m[m].loc = loc && size == 4;
	}
}

/* False when this kernel's types have no such struct. */
static bool read_layout(struct skep_layout *l, const struct skep_btf *btf, const char *name)
{
	int id = skep_btf_find(btf, name, BTF_KIND_STRUCT, 0);
	const struct btf_type *t = id > 0 ? skep_btf_type(btf, (uint32_t)id) : NULL;
	uint32_t i;

	if (!t || t->size > 1024)
		return false;
	memset(l, 0, sizeof(*l));
	l->size = t->size;
	for (i = 0; i < skep_btf_vlen(t); i++)
		read_member(l, btf, t, i);
	return true;
}

void skep_layouts_init(struct skep_layouts *layouts, struct skep_log *log)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *btf = NULL;
	int i;

	if (layouts->ready)
		return;
	layouts->ready = true;
	memcpy(layouts->l, linux_6_1, sizeof(linux_6_1));
	if (skep_btf_open_kernel(&btf, &err)) {
		skep_debug(log, "contexts of sched/* laid out as in Linux 6.1: %s", err.msg);
		skep_err_deinit(&err);
		return;
	}
	for (i = 0; i < SKEP_LAYOUT_NR; i++) {
		if (read_layout(&layouts->l[i], btf, structs[i]))
			continue;
		/* Up to 6.15 sched_process_exit was one of the template's. */
		if (i == SKEP_LAYOUT_EXIT &&
		    read_layout(&layouts->l[i], btf, structs[SKEP_LAYOUT_FREE]))
			continue;
		skep_debug(log, "no struct %s in the kernel's BTF: laid out as in Linux 6.1",
			   structs[i]);
	}
	skep_btf_destroy(btf);
}

uint64_t skep_ctx_ent(pid_t pid)
{
	return (uint64_t)(uint32_t)pid << 32;
}

void skep_ctx_begin(struct skep_ctx *ctx, const struct skep_layout *layout, pid_t pid)
{
	uint64_t ent = skep_ctx_ent(pid);

	ctx->layout = layout;
	ctx->len = layout->size;
	memset(ctx->data, 0, layout->size);
	memcpy(ctx->data, &ent, sizeof(ent));
}

void skep_ctx_int(struct skep_ctx *ctx, enum skep_member m, int64_t value)
{
	unsigned char *p = ctx->data + ctx->layout->m[m].off;

	switch (ctx->layout->m[m].size) {
	case 1: *(uint8_t *)p = (uint8_t)value; break;
	case 2: memcpy(p, &(uint16_t){(uint16_t)value}, 2); break;
	case 4: memcpy(p, &(uint32_t){(uint32_t)value}, 4); break;
	case 8: memcpy(p, &value, 8); break;
	default: break;
	}
}

void skep_ctx_str(struct skep_ctx *ctx, enum skep_member m, const char *text)
{
	uint32_t off = ctx->layout->m[m].off, size = ctx->layout->m[m].size;
	size_t len = strlen(text);
	uint32_t loc;

	if (!size)
		return;
	if (!ctx->layout->m[m].loc) {
		snprintf((char *)ctx->data + off, size, "%s", text);
		return;
	}
	if (len > sizeof(ctx->data) - ctx->len - 1)
		len = sizeof(ctx->data) - ctx->len - 1;
	loc = (uint32_t)ctx->len | (uint32_t)(len + 1) << 16;
	memcpy(ctx->data + off, &loc, sizeof(loc));
	memcpy(ctx->data + ctx->len, text, len);
	ctx->data[ctx->len + len] = 0;
	ctx->len += len + 1;
}
