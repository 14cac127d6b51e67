/* SPDX-License-Identifier: BSD-2-Clause */
/* skep btf core: why each CO-RE relocation of an object becomes what it becomes. */
#ifndef SKEP_CLI_BTF_CORE_H
#define SKEP_CLI_BTF_CORE_H

#include <stdbool.h>

#include "cli/cli.h"

struct btf_core_args {
	const char *path; /* the object */
	const char *which; /* PROG or PROG:INSN, NULL: all */
	const char *btf; /* file with the target's types, NULL: the running kernel's */
	bool json;
};

extern const char btf_core_help[];

int btf_core(struct skep_cli *cli, const struct btf_core_args *args, struct skep_err *err);

#endif
