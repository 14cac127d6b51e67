/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two objects of anybody's making linked: the first's length in four bytes,
 * both behind it.  What comes out must open or be refused in words, and be
 * fit to be linked again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "obj/merge.h"
#include "obj/obj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int link_two(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len, void **out,
		    size_t *len)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_merge *merge;
	int ret;

	*out = NULL;
	ret = skep_merge_create(&merge, NULL, &err);
	if (!ret)
		ret = skep_merge_add(merge, a, a_len, "a.o", &err);
	if (!ret && b_len)
		ret = skep_merge_add(merge, b, b_len, "b.o", &err);
	if (!ret)
		ret = skep_merge_finish(merge, out, len, &err);
	if (ret && !err.msg[0])
		__builtin_trap(); /* a refusal without a sentence */
	skep_merge_destroy(merge);
	skep_err_deinit(&err);
	return ret;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct skep_err err = SKEP_ERR_INIT;
	void *out, *again;
	struct skep_obj *obj;
	size_t len, len2;
	uint32_t n;

	if (size < 4)
		return 0;
	memcpy(&n, data, 4);
	size -= 4;
	n = n < size ? n : (uint32_t)size;
	if (link_two(data + 4, n, data + 4 + n, size - n, &out, &len))
		return 0;
	if (!skep_obj_open(&obj, out, len, "out.o", NULL, &err))
		skep_obj_destroy(obj);
	skep_err_deinit(&err);
	if (link_two(out, len, NULL, 0, &again, &len2))
		__builtin_trap();
	free(again);
	free(out);
	return 0;
}
