/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/vec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int skep_vec_grow(void *data, size_t len, size_t *cap, size_t n, size_t size)
{
	size_t want, bytes;
	void *old, *p;

	if (__builtin_add_overflow(len, n, &want))
		return -ENOMEM;
	if (want < *cap * 2)
		want = *cap * 2;
	if (want < 8)
		want = 8;
	if (__builtin_mul_overflow(want, size, &bytes))
		return -ENOMEM;
	memcpy(&old, data, sizeof(old));
	p = realloc(old, bytes);
	if (!p)
		return -ENOMEM;
	memcpy(data, &p, sizeof(p));
	*cap = want;
	return 0;
}
