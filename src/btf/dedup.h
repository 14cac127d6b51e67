/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Deduplication: of types that cannot be told apart, one remains.
 *
 * Two types are the same if their kinds, names, sizes and members are, and
 * the types they refer to are the same - in graphs with cycles the coarsest
 * relation for which that holds (bisimilarity).  Besides:
 *  - a forward declaration is the definition, if all definitions of that name
 *    are one type; an enum without values is one, too;
 *  - static variables are never the same, whatever they are called;
 *  - a type that a declaration tag belongs to is not the same as one without.
 */
#ifndef SKEP_BTF_DEDUP_H
#define SKEP_BTF_DEDUP_H

#include "btf/btf.h"
#include "btf/write.h"

/*
 * Appends the types of @btf (without a base) to the empty @out, each once, in
 * the order of their first appearance.  @map: skep_btf_nr(@btf) entries, get
 * the new id of every old one.  O(m log n) for n types with m references.
 * 0, -ENOMEM, -EINVAL for BTF that skep_btf_check() refuses.
 */
int skep_btf_dedup(const struct skep_btf *btf, struct skep_btf_writer *out, uint32_t *map,
		   struct skep_err *err);

#endif
