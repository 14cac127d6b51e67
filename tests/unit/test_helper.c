/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * helper.def against the kernel header: every helper that <linux/bpf.h> names
 * is a row with that number and name; rows make sense by themselves.
 */
#include <linux/bpf.h>

#include "helper/helper.h"
#include "tap.h"

#define NAME(name) #name
static const char *const mapper[] = {__BPF_FUNC_MAPPER(NAME)};

static bool row_ok(unsigned int i, const struct skep_helper *h)
{
	unsigned int n;
	bool end = false;

	if (strncmp(h->name, "bpf_", 4) || h->since < 0x0312 || h->since > 0x060c)
		return false;
	if (i != BPF_FUNC_tail_call && !h->fn == !h->why)
		return false;
	for (n = 0; n < 5; n++) {
		if (end && h->args[n] != SKEP_ARG_NONE)
			return false;
		end = h->args[n] == SKEP_ARG_NONE;
	}
	return true;
}

/* A pointer with a size is followed by the size. */
static bool sizes_ok(const struct skep_helper *h)
{
	unsigned int n;

	for (n = 0; n < 5; n++) {
		uint8_t next = n < 4 ? h->args[n + 1] : SKEP_ARG_NONE;

		if (h->args[n] != SKEP_ARG_MEM && h->args[n] != SKEP_ARG_MEM_OR_NULL &&
		    h->args[n] != SKEP_ARG_MEM_OUT && h->args[n] != SKEP_ARG_MEM_OUT_OR_NULL)
			continue;
		if (next != SKEP_ARG_SIZE && next != SKEP_ARG_SIZE_OR_ZERO)
			return false;
	}
	return true;
}

int main(void)
{
	unsigned int i, n = sizeof(mapper) / sizeof(mapper[0]);
	unsigned int since = 0, implemented = 0;

	ok(n >= 210, "the header knows %u numbers", n);
	for (i = 1; i < n && i < SKEP_HELPER_MAX; i++) {
		const struct skep_helper *h = skep_helper_find(i);

		ok(h && h->name && !strcmp(h->name + 4, mapper[i]), "helper %u is bpf_%s", i,
		   mapper[i]);
	}
	for (i = 1; i < SKEP_HELPER_MAX; i++) {
		const struct skep_helper *h = skep_helper_find(i);

		ok(h->since >= since, "%s did not come before its predecessor", h->name);
		ok(row_ok(i, h), "the row of %s makes sense", h->name);
		ok(sizes_ok(h), "the sizes of %s follow their pointers", h->name);
		since = h->since;
		implemented += h->fn != NULL;
	}
	ok(implemented > 50, "%u helpers are implemented", implemented);
	ok(!skep_helper_find(0), "number 0 is no helper");
	ok(!skep_helper_find(SKEP_HELPER_MAX), "number 212 is no helper");
	ok(!skep_helper_allowed(skep_helper_find(BPF_FUNC_xdp_adjust_head), BPF_PROG_TYPE_KPROBE),
	   "kprobes do not adjust packets");
	ok(skep_helper_allowed(skep_helper_find(BPF_FUNC_xdp_adjust_head), BPF_PROG_TYPE_XDP),
	   "XDP programs do");
	ok(skep_helper_find(BPF_FUNC_trace_printk)->gpl, "bpf_trace_printk() is GPL only");
	ok(skep_helper_find(BPF_FUNC_trace_printk)->since == 0x0401,
	   "bpf_trace_printk() is there since 4.1");
	return done();
}
