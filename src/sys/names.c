/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/names.h"

#include <stddef.h>

#include "base/cleanup.h"

static const struct {
	enum skep_name_set set;
	uint32_t number;
	const char *name;
} rows[] = {
#define SKEP_NAME(set, name, number) {SKEP_NAME_##set, number, #name},
#include "sys/names.def"
#undef SKEP_NAME
};

const char *skep_name(enum skep_name_set set, uint32_t number)
{
	size_t i;

	for (i = 0; i < SKEP_ARRAY_SIZE(rows); i++)
		if (rows[i].set == set && rows[i].number == number)
			return rows[i].name;
	return NULL;
}
