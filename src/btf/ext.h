/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * .BTF.ext: which function, which source line and which CO-RE relocation
 * belongs to which instruction of an object file.
 *
 * Records are grouped by ELF section.  Their size is the file's: longer ones
 * than we know are cut, shorter ones refused.  Format: the kernel's
 * Documentation/bpf/btf.rst, ".BTF.ext section".
 */
#ifndef SKEP_BTF_EXT_H
#define SKEP_BTF_EXT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "btf/btf.h"

enum skep_ext_kind { SKEP_EXT_FUNC, SKEP_EXT_LINE, SKEP_EXT_CORE, SKEP_EXT_NR };

struct skep_btf_ext {
	const struct skep_btf *btf; /* has the strings; borrowed */
	struct {
		const uint8_t *data; /* behind the record size */
		size_t len;
		uint32_t rec_size; /* bytes of a record, 0: there are none */
	} info[SKEP_EXT_NR];
};

/*
 * Checks all of @data (borrowed, any alignment): afterwards walking cannot
 * fail.  0; -EINVAL with E_BTF_INVALID; -EOPNOTSUPP for the other byte order.
 */
int skep_btf_ext_open(struct skep_btf_ext *ext, const void *data, size_t len,
		      const struct skep_btf *btf, struct skep_err *err);

/* Walks the records of one kind: zero, set ext and kind - and sec, to see only its records. */
struct skep_btf_ext_iter {
	const struct skep_btf_ext *ext;
	enum skep_ext_kind kind;
	const char *sec; /* only of this ELF section; NULL: all */
	/* The record: instruction offsets are in bytes from the start of the ELF section. */
	const char *sec_name;
	uint32_t index; /* of the record within its section's group */
	union {
		struct bpf_func_info func;
		struct bpf_line_info line;
		struct bpf_core_relo core;
	};
	size_t pos; /* private */
	uint32_t left; /* private */
	bool first; /* private */
};

bool skep_btf_ext_next(struct skep_btf_ext_iter *it);

#endif
