/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CO-RE: where a field of a program's own idea of a type lies in the types of
 * the kernel it is about to run on.
 *
 * A struct skep_core holds the candidates found so far; skep_core_prepare()
 * finds those of many types in one walk of the target's headers.  Rules and
 * results are those of libbpf (tools/lib/bpf/relo_core.c in the kernel's
 * sources is the reference), including the poison of what cannot be resolved.
 */
#ifndef SKEP_BTF_CORE_H
#define SKEP_BTF_CORE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "btf/btf.h"

struct skep_core;

/* @local: the program's BTF; @target: the kernel's (or NULL: only local type ids).  Borrowed. */
struct skep_core *skep_core_create(const struct skep_btf *local, const struct skep_btf *target,
				   struct skep_err *err);
/*
 * More targets, which are asked for only when @target has no type of a name:
 * @more gives the one with index @i (the kernel's modules; split BTF on top of
 * @target, of which only its own types count), NULL behind the last.
 */
void skep_core_set_more(struct skep_core *core, const struct skep_btf *(*more)(void *ctx, size_t i),
			void *ctx);

/* NULL-safe. */
void skep_core_destroy(struct skep_core *core);

/*
 * Finds the candidates of the root types of @n relocations in one walk;
 * those not prepared cost a walk each when they are resolved.  0 or -errno.
 */
int skep_core_prepare(struct skep_core *core, const struct bpf_core_relo *relos, size_t n,
		      struct skep_err *err);

struct skep_core_result {
	uint64_t old_val; /* what the compiler put into the instruction */
	uint64_t new_val; /* what belongs there */
	bool poison; /* nothing fits: the instruction must not run */
	bool validate; /* old_val must be found in the instruction */
	bool bad_size; /* a load whose width would change and cannot */
	uint32_t old_size,
		new_size; /* bytes of the field, for the width of loads; 0: no adjustment */
	uint32_t target_id; /* the target's root type, 0: none */
	const struct skep_btf *target; /* and where: the kernel's or a module's, NULL: none */
};

/*
 * Resolves one relocation.  0 also when nothing fits (then .poison); -errno
 * when the relocation itself is malformed or its candidates disagree
 * (E_CORE_UNRESOLVED).
 */
int skep_core_resolve(struct skep_core *core, const struct bpf_core_relo *relo,
		      struct skep_core_result *res, struct skep_err *err);

/* The helper number, 0xbad2310, that stands for what cannot be resolved; libbpf's. */
#define SKEP_CORE_POISON 195896080

/* A type of the target that a relocation was tried on. */
struct skep_core_tried {
	const struct skep_btf *btf;
	uint32_t id;
	enum {
		SKEP_CORE_FITS, /* its value is `val` */
		SKEP_CORE_UNFIT, /* see why */
		SKEP_CORE_DROPPED, /* it fits, but an earlier relocation did not fit it */
	} verdict;
	uint64_t val;
	char why[200];
};

/*
 * What skep_core_resolve(@relo), called just before, looked at: *@n malloc'ed
 * accounts, the caller's to free.  0 or -ENOMEM.
 */
int skep_core_explain(struct skep_core *core, const struct bpf_core_relo *relo,
		      struct skep_core_tried **tried, size_t *n, struct skep_err *err);

/* "struct", "union", "enum", "typedef" or the like, for messages; "" for what needs no word. */
const char *skep_core_type_word(const struct btf_type *t);

/*
 * Puts @res into @insn (and insn[1] of a 64-bit immediate; @left: how many
 * instructions there are from @insn on).  @insn_idx and @relo_idx are for
 * messages.  The poison is a call of function SKEP_CORE_POISON, which the
 * verifier names if the program can get there.
 */
int skep_core_patch(struct bpf_insn *insn, size_t left, uint32_t insn_idx, uint32_t relo_idx,
		    const struct skep_core_result *res, struct skep_err *err);

/*
 * Whether type @id of @local can stand for type @target_id of @target as far as
 * calls and variables go, names of members aside: 1, 0, or -EINVAL (malformed).
 */
int skep_core_types_fit(const struct skep_btf *local, uint32_t id, const struct skep_btf *target,
			uint32_t target_id);

/* "byte_off" for BPF_CORE_FIELD_BYTE_OFFSET, as libbpf's messages say. */
const char *skep_core_kind_name(uint32_t kind);

/* "struct task_struct.pid (0:52 @ offset 1234)"-like text of @relo into @buf; returns @buf. */
const char *skep_core_describe(const struct skep_core *core, const struct bpf_core_relo *relo,
			       char *buf, size_t size);

#endif
