/* SPDX-License-Identifier: BSD-2-Clause */
/* Deduplicates the kernel's types, given as often as asked; peer_dedup.c is libbpf's turn. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "btf/btf.h"
#include "btf/dedup.h"
#include "btf/write.h"

static double ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int append(struct skep_btf_writer *w, const struct skep_btf *kernel)
{
	uint32_t i, n = skep_btf_nr(kernel), base = skep_btf_writer_nr(w) - 1;
	struct skep_btf_iter it = {.btf = kernel};
	uint32_t *ids = calloc(n, sizeof(*ids));

	for (i = 1; ids && i < n; i++)
		ids[i] = base + i;
	while (ids && skep_btf_next(&it))
		skep_btf_writer_copy(w, kernel, it.t, ids);
	free(ids);
	return ids ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct skep_btf_writer many = {0}, once = {0};
	struct skep_err err = SKEP_ERR_INIT;
	struct skep_btf *kernel = NULL, *btf = NULL;
	int i, times = argc > 1 ? atoi(argv[1]) : 2;
	uint32_t *map = NULL;
	void *data = NULL, *out = NULL;
	size_t len, out_len = 0;
	double from = 0, to = 0;
	int ret;

	ret = skep_btf_open_kernel(&kernel, &err);
	for (i = 0; !ret && i < times; i++)
		ret = append(&many, kernel);
	if (!ret)
		ret = skep_btf_writer_finish(&many, &data, &len, &err);
	if (!ret)
		ret = skep_btf_open_raw(&btf, data, len, SKEP_BTF_TAKE, NULL, &err);
	if (!ret) {
		map = calloc(skep_btf_nr(btf), sizeof(*map));
		from = ms();
		ret = map ? skep_btf_dedup(btf, &once, map, &err) : -1;
		if (!ret)
			ret = skep_btf_writer_finish(&once, &out, &out_len, &err);
		to = ms();
	}
	if (ret)
		fprintf(stderr, "%s\n", err.msg);
	else
		printf("%u types, %u remain, %zu bytes, %.3f ms\n", skep_btf_nr(btf) - 1,
		       skep_btf_writer_nr(&once) - 1, out_len, to - from);
	free(map);
	free(out);
	skep_btf_writer_deinit(&many);
	skep_btf_writer_deinit(&once);
	skep_btf_destroy(btf);
	skep_btf_destroy(kernel);
	skep_err_deinit(&err);
	return ret != 0;
}
