/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Editing the instructions of one function before it is loaded.
 *
 * All that counts instructions moves along: jumps of every form, relocations,
 * source lines, CO-RE records.  A jump to the place where something is
 * inserted goes to what stood there before, behind the insertion; so do
 * insertions after a call belong to the call alone.
 */
#ifndef SKEP_OBJ_EDIT_H
#define SKEP_OBJ_EDIT_H

#include "base/arena.h"
#include "obj/obj.h"

/*
 * Inserts @n instructions (no jump of theirs may leave them other than by
 * falling off the end) before instruction @at of @func; @at == nr_insns is
 * not a place.  @relos: their relocations, `insn` counted from @at.  Memory
 * comes from @arena.  -EINVAL if @at is the second half of a 64-bit
 * immediate, -E2BIG if a jump gets too long for its encoding; @func is then
 * unchanged.
 */
int skep_obj_insert(struct skep_arena *arena, struct skep_obj_func *func, uint32_t at,
		    const struct bpf_insn *insns, uint32_t n, const struct skep_obj_relo *relos,
		    uint32_t nr_relos, struct skep_err *err);

#endif
