/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links a program: the subprograms that it reaches are appended, each once
 * and in the order in which a walk from the program's start first meets them
 * (libbpf's order), calls get their distance, and function and line info move
 * along.  Then maps and variables become descriptors.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "isa/uapi.h"
#include "obj/load_int.h"

struct walk {
	uint32_t func, relo; /* the next of its relocations to look at */
};

void skep_image_deinit(struct skep_image *image)
{
	skep_vec_deinit(&image->insns);
	skep_vec_deinit(&image->relos);
	skep_vec_deinit(&image->funcs);
	skep_vec_deinit(&image->func_info);
	skep_vec_deinit(&image->line_info);
}

static int append(struct skep_load *load, struct skep_image *image, uint32_t index,
		  uint32_t *starts, struct skep_err *err)
{
	const struct skep_obj_func *func = &load->funcs[index];
	struct skep_image_func place = {index, image->insns.len, func->nr_insns};
	uint32_t i;

	if (load->func_errs[index].tag != SKEP_E_NONE)
		return skep_fail(err, load->func_errs[index].tag, load->func_errs[index].err, "%s",
				 load->func_errs[index].msg);
	if (skep_vec_reserve(&image->insns, func->nr_insns) ||
	    skep_vec_reserve(&image->line_info, func->nr_lines) ||
	    skep_vec_push(&image->funcs, place) ||
	    skep_vec_push(&image->func_info, (struct bpf_func_info){place.start, func->type}))
		return skep_fail_nomem(err);
	memcpy(image->insns.data + image->insns.len, func->insns,
	       func->nr_insns * sizeof(*func->insns));
	image->insns.len += func->nr_insns;
	for (i = 0; i < func->nr_lines; i++)
		image->line_info.data[image->line_info.len++] = (struct bpf_line_info){
			place.start + func->lines[i].insn, func->lines[i].file_off,
			func->lines[i].line_off, func->lines[i].line_col};
	starts[index] = place.start;
	return 0;
}

/* Appends @first and, depth first, what it calls. */
static int append_all(struct skep_load *load, struct skep_image *image, uint32_t first,
		      uint32_t *starts, struct skep_err *err)
{
	SKEP_VEC(struct walk) stack = {0};
	const struct skep_obj_relo *relo;
	const struct skep_obj_func *func;
	int ret = append(load, image, first, starts, err);

	if (!ret && skep_vec_push(&stack, (struct walk){first, 0}))
		ret = skep_fail_nomem(err);
	while (!ret && stack.len) {
		struct walk *top = &stack.data[stack.len - 1];

		func = &load->funcs[top->func];
		if (top->relo == func->nr_relos) {
			stack.len--;
			continue;
		}
		relo = &func->relos[top->relo++];
		if ((relo->kind != SKEP_RELO_CALL && relo->kind != SKEP_RELO_FUNC) ||
		    starts[relo->target] != SKEP_NO_MAP)
			continue;
		ret = append(load, image, relo->target, starts, err);
		if (!ret && skep_vec_push(&stack, (struct walk){relo->target, 0}))
			ret = skep_fail_nomem(err);
	}
	skep_vec_deinit(&stack);
	return ret;
}

static int patch_calls(struct skep_load *load, struct skep_image *image, const uint32_t *starts)
{
	const struct skep_image_func *place;
	const struct skep_obj_func *func;
	struct skep_obj_relo relo;
	struct bpf_insn *insn;
	uint32_t i;

	skep_vec_each (&image->funcs, place) {
		func = &load->funcs[place->func];
		for (i = 0; i < func->nr_relos; i++) {
			relo = func->relos[i];
			relo.insn += place->start;
			insn = &image->insns.data[relo.insn];
			if (relo.kind == SKEP_RELO_CALL) {
				insn->src_reg = BPF_PSEUDO_CALL;
				insn->imm = (int32_t)(starts[relo.target] - relo.insn - 1);
			} else if (relo.kind == SKEP_RELO_FUNC) {
				insn[0].src_reg = BPF_PSEUDO_FUNC;
				insn[0].imm = (int32_t)(starts[relo.target] - relo.insn - 1);
				insn[1].imm = 0;
			} else if (relo.kind != SKEP_RELO_CORE) {
				if (skep_vec_push(&image->relos, relo))
					return -ENOMEM;
			}
		}
	}
	return 0;
}

/* The kernel wants info on all functions of a program or on none. */
static void drop_partial_info(struct skep_load *load, struct skep_image *image)
{
	const struct skep_image_func *place;

	skep_vec_each (&image->funcs, place) {
		if (!load->funcs[place->func].type)
			image->func_info.len = 0;
		if (!load->funcs[place->func].nr_lines || load->funcs[place->func].lines[0].insn)
			image->line_info.len = 0;
	}
	if (!image->func_info.len)
		image->line_info.len = 0;
}

int skep_image_link(struct skep_load *load, uint32_t func, struct skep_image *image,
		    struct skep_err *err)
{
	SKEP_AUTO_FREE uint32_t *starts = malloc(load->obj->nr_funcs * sizeof(*starts));
	uint32_t callback;
	int ret;

	if (!starts)
		return skep_fail_nomem(err);
	memset(starts, 0xff, load->obj->nr_funcs * sizeof(*starts));
	ret = append_all(load, image, func, starts, err);
	callback = load->funcs[func].exception_cb;
	if (!ret && callback && starts[callback - 1] == SKEP_NO_MAP)
		ret = append_all(load, image, callback - 1, starts, err);
	if (ret)
		return ret;
	if (patch_calls(load, image, starts))
		return skep_fail_nomem(err);
	drop_partial_info(load, image);
	return 0;
}

/* A map that was not made: libbpf's mark for code that must not be reached. */
static void poison(struct bpf_insn *insn, uint32_t map)
{
	insn[0] = insn[1] = (struct bpf_insn){
		.code = BPF_JMP | BPF_CALL,
		.imm = (int32_t)(SKEP_POISON_MAP + map),
	};
}

int skep_image_resolve(struct skep_load *load, struct skep_image *image, struct skep_err *err)
{
	const struct skep_loaded_map *map;
	const struct skep_obj_relo *relo;
	struct bpf_insn *insn;
	int ret;

	skep_vec_each (&image->relos, relo) {
		insn = &image->insns.data[relo->insn];
		if (relo->kind == SKEP_RELO_EXTERN) {
			ret = skep_extern_resolve(load, relo->target, insn, err);
			if (ret)
				return ret;
			continue;
		}
		map = &load->loaded->maps[relo->target];
		if (relo->kind == SKEP_RELO_VALUE) {
			insn[0].src_reg = 0;
			memcpy(&insn[0].imm, (const char *)map->spec->init + relo->addend, 4);
			insn[1].imm = 0;
			continue;
		}
		if (map->fd < 0 && skep_load_is_global(map->spec))
			return skep_fail_globals(load, NULL, err);
		if (map->fd < 0) {
			poison(insn, relo->target);
			continue;
		}
		insn[0].imm = map->fd;
		if (relo->kind == SKEP_RELO_MAP) {
			insn[0].src_reg = BPF_PSEUDO_MAP_FD;
		} else {
			insn[0].src_reg = BPF_PSEUDO_MAP_VALUE;
			insn[1].imm = (int32_t)relo->addend;
		}
	}
	return 0;
}

bool skep_image_source(const struct skep_load *load, const struct skep_image *image, uint32_t insn,
		       const char **file, const char **text, uint32_t *line)
{
	const struct skep_image_func *place;
	uint32_t col;

	skep_vec_each (&image->funcs, place) {
		if (insn >= place->start && insn < place->start + place->nr)
			return skep_obj_source(load->obj, &load->funcs[place->func],
					       insn - place->start, file, text, line, &col);
	}
	return false;
}
