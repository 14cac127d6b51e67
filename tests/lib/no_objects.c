/* SPDX-License-Identifier: BSD-2-Clause */
/* For tests/lib/tsan.t, which leaves out the loader of objects. */
#include "lib/int.h"

const void *skep_lib_maker(const struct skep_program *program)
{
	return program->engine;
}
