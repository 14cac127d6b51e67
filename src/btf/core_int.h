/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the CO-RE engine share. */
#ifndef SKEP_BTF_CORE_INT_H
#define SKEP_BTF_CORE_INT_H

#include "base/vec.h"
#include "btf/btf.h"
#include "btf/core.h"

struct skep_core_cand {
	const struct skep_btf *btf;
	uint32_t id;
};

/* The target's types that a local root type may stand for. */
struct skep_core_cands {
	uint32_t local_id;
	const struct btf_type *type; /* the local one */
	const char *name;
	size_t len; /* of the name, without its flavour */
	/* The first `nr` are in use; the others were dropped for those, by an access they lack. */
	SKEP_VEC(struct skep_core_cand) v;
	size_t nr;
	bool walked, walked_more;
};

struct skep_core {
	const struct skep_btf *local, *target;
	const struct skep_btf *(*more)(void *ctx, size_t i); /* NULL: no modules */
	void *more_ctx;
	SKEP_VEC(struct skep_core_cands) cands;
};

/* The list of @local_id, or NULL: nobody asked for it. */
struct skep_core_cands *skep_core_cands(struct skep_core *core, uint32_t local_id);

/* Steps of an access ("0:1:2:3") at most, as libbpf has it. */
#define SKEP_CORE_DEPTH 64

/* One step: member `idx` called `name` of composite `id`, or element `idx` of `id`s. */
struct skep_core_step {
	uint32_t id, idx;
	const char *name; /* NULL: an element */
};

/* An access into a type, in one BTF: nameless members are passed through, not noted. */
struct skep_core_spec {
	const struct skep_btf *btf;
	uint32_t root; /* id, before typedefs and qualifiers are skipped */
	struct skep_core_step step[SKEP_CORE_DEPTH];
	uint32_t len;
	uint32_t raw_len; /* steps, nameless members counted */
	uint32_t bit_off;
};

/* Takes @relo's access in the local BTF apart.  0, -EINVAL or -E2BIG. */
int skep_core_spec_parse(struct skep_core_spec *spec, const struct skep_btf *btf,
			 const struct bpf_core_relo *relo);
/* The access @local in type @id of @target: 1, 0: it does not fit, -errno. */
int skep_core_spec_match(uint32_t kind, const struct skep_core_spec *local,
			 const struct skep_btf *target, uint32_t id, struct skep_core_spec *spec);
/* What it comes to; @spec NULL: nothing fits.  0 or -EINVAL. */
int skep_core_spec_calc(uint32_t kind, const struct skep_core_spec *local,
			const struct skep_core_spec *spec, struct skep_core_result *res);

/* True if two types can be each other's counterpart by kind: the same, or both enums. */
bool skep_core_kinds_fit(const struct btf_type *a, const struct btf_type *b);

/* Whether a type is there in a matching form: 1, 0 or -EINVAL. */
int skep_core_types_match(const struct skep_btf *local, uint32_t local_id,
			  const struct skep_btf *target, uint32_t target_id);

/* True if the names are equal but for flavours, or both empty. */
bool skep_core_names_match(const char *local, const char *target);

#endif
