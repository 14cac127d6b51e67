/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interpreter: threaded code over the decoded form, RFC 9669.
 *
 * interp_body.h is the one source of both modes.  `checked` asks for every
 * memory access and every helper argument whether the program may; `trusted`
 * is for verified programs and asks nothing.
 */
#include <errno.h>
#include <string.h>

#include "isa/eval.h"
#include "vm/run.h"

#define SKEP_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* Labels as values are the point of this file. */
#pragma GCC diagnostic ignored "-Wpedantic"

#define INTERP	skep_vm_interp_checked
#define CHECKED 1
#include "vm/interp_body.h"
#undef INTERP
#undef CHECKED

#define INTERP	skep_vm_interp_trusted
#define CHECKED 0
#include "vm/interp_body.h"
