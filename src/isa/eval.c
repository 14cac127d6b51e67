/* SPDX-License-Identifier: BSD-2-Clause */
/* The expressions of isa.def by number, for those who do not switch over the table themselves. */
#include "isa/eval.h"

/* clang-format off */
#define SKEP_EVAL_CASE(name, ...) case SKEP_OP_##name: return skep_eval_##name(d, s);
/* clang-format on */

uint64_t skep_isa_eval_alu(enum skep_op op, uint64_t d, uint64_t s)
{
	switch (op) {
#define SKEP_ALU    SKEP_EVAL_CASE
#define SKEP_ATOMIC SKEP_EVAL_CASE
#define SKEP_COND(...)
#include "isa/isa.def"
	default: return 0;
	}
}

bool skep_isa_eval_cond(enum skep_op op, uint64_t d, uint64_t s)
{
	switch (op) {
#define SKEP_COND SKEP_EVAL_CASE
#include "isa/isa.def"
	default: return false;
	}
}
