/* SPDX-License-Identifier: BSD-2-Clause */
/* BTF as text: type by type as bpftool's raw dump, or whole as a C header. */
#ifndef SKEP_BTF_DUMP_H
#define SKEP_BTF_DUMP_H

#include "base/buf.h"
#include "base/err.h"
#include "btf/btf.h"

struct json_object;

/* Appends type @id as `bpftool btf dump ... format raw` prints it, with its newline. */
void skep_btf_dump_raw(struct skep_buf *out, const struct skep_btf *btf, uint32_t id);

/* The same as one JSON object with bpftool's names; NULL out of memory.  The caller's. */
struct json_object *skep_btf_dump_json(const struct skep_btf *btf, uint32_t id);

struct skep_dump_c_opts {
	size_t sz; /* of this struct */
	const char *
		guard; /* name of the include guard; NULL: "__VMLINUX_H__"; "": none of the frame */
};

/*
 * Appends all named types of @btf as a C header, definitions before uses:
 * guarded, every struct with preserve_access_index, every size and offset as in
 * @btf when compiled with clang -target bpf.  0, -ENOMEM, or -EINVAL with
 * E_BTF_INVALID for types that no C text describes.
 */
int skep_btf_dump_c(struct skep_buf *out, const struct skep_btf *btf,
		    const struct skep_dump_c_opts *opts, struct skep_err *err);

#endif
