/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two halves of the C output share: when (dump_c.c) and how (dump_c_type.c). */
#ifndef SKEP_BTF_DUMP_C_INT_H
#define SKEP_BTF_DUMP_C_INT_H

#include "base/buf.h"
#include "base/hash.h"
#include "btf/dump.h"
#include "btf/layout.h"

/* What was done about a type; bits of skep_dump_c.state[]. */
#define SKEP_DC_WEAK	 0x01 /* what its name needs stands above */
#define SKEP_DC_STRONG	 0x02 /* what its size needs stands above */
#define SKEP_DC_BUSY	 0x04 /* its definition comes after what is being written */
#define SKEP_DC_DEFINED	 0x08
#define SKEP_DC_DECLARED 0x10
#define SKEP_DC_USED	 0x20 /* another type refers to it */

struct skep_dump_c {
	const struct skep_btf *btf;
	struct skep_buf *out;
	struct skep_err *err;
	uint32_t nr;
	uint8_t *state; /* an entry an id */
	uint16_t *number; /* an entry an id: 0 not known, 1 the first of its name, n: NAME___n */
	struct skep_hash tags, idents; /* how often a name was taken */
	struct skep_layout lay;
	size_t limit; /* bytes of output that no sane BTF makes */
	int ret; /* the first failure */
};

/* Records malformed BTF; what follows is dropped. */
void skep_dump_c_bad(struct skep_dump_c *d, uint32_t id, const char *what);

/* "struct foo {...}" of a named or nameless composite or enum, without ";". */
void skep_dump_c_define(struct skep_dump_c *d, uint32_t id, int indent);
/* "int (*name[3])(void)": type @id of something called @name, which may be "". */
void skep_dump_c_declare(struct skep_dump_c *d, uint32_t id, const char *name, int indent);
/* True for __builtin_va_list. */
bool skep_dump_c_builtin(const struct skep_dump_c *d, const struct btf_type *t);
/* "struct foo" or "foo___2": how others call @id, which has a name. */
void skep_dump_c_name(struct skep_dump_c *d, uint32_t id);

#endif
