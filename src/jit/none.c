/* SPDX-License-Identifier: BSD-2-Clause */
/* Machines without a back end: said in words by skep_jit_compile(). */
#if !defined(__x86_64__)

#include "jit/emit.h"
#include "jit/jit.h"

const char *skep_jit_arch(void)
{
	return NULL;
}

void skep_jit_emit(struct skep_jit *j)
{
	j->oom = true;
}

#endif
