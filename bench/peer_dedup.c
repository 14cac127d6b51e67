/* SPDX-License-Identifier: BSD-2-Clause */
/* What dedup.c does, by libbpf: the deduplication of pahole and bpftool. */
#include <bpf/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
	struct btf *kernel = btf__load_vmlinux_btf(), *btf = btf__new_empty();
	int i, times = argc > 1 ? atoi(argv[1]) : 2;
	unsigned int before;
	double from, to;
	__u32 len;

	if (!kernel || !btf)
		return 1;
	for (i = 0; i < times; i++)
		if (btf__add_btf(btf, kernel) < 0)
			return 1;
	before = btf__type_cnt(btf) - 1;
	from = ms();
	if (btf__dedup(btf, NULL))
		return 1;
	btf__raw_data(btf, &len);
	to = ms();
	printf("%u types, %u remain, %u bytes, %.3f ms\n", before, btf__type_cnt(btf) - 1, len,
	       to - from);
	btf__free(btf);
	btf__free(kernel);
	return 0;
}
