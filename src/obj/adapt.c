/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fits what is given to an older kernel to what it knows.
 *
 * Only a refusal leads here: a kernel that takes everything is asked nothing.
 * What is left away is what the kernel turned out not to have (sys/feature.h),
 * never what its version suggests.
 */
#include <errno.h>

#include "base/cleanup.h"
#include "isa/uapi.h"
#include "obj/load_int.h"
#include "sys/feature.h"

bool skep_adapt(struct skep_load *load)
{
	static const struct {
		enum skep_feature feature;
		unsigned int drop;
	} rows[] = {
		{SKEP_FEATURE_PROG_NAME, SKEP_DROP_NAMES},
		{SKEP_FEATURE_ARRAY_MMAP, SKEP_DROP_MMAP},
		{SKEP_FEATURE_EXP_ATTACH_TYPE, SKEP_DROP_ATTACH_TYPE},
		{SKEP_FEATURE_BTF_FUNC, SKEP_DROP_TYPES | SKEP_DROP_LINES},
	};
	unsigned int had = load->drop;
	size_t i;

	if (!load->adapted)
		for (i = 0; i < SKEP_ARRAY_SIZE(rows); i++)
			if (!skep_feature(load->sys, rows[i].feature)) {
				load->drop |= rows[i].drop;
				skep_debug(load->sys->log, "%s: this kernel has no %s",
					   load->obj->name, skep_feature_at(rows[i].feature)->what);
			}
	load->adapted = true;
	return load->drop != had;
}

static bool is_helper_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && !insn->src_reg;
}

/* The helper of before 5.5 that read from the kernel and from processes alike, or 0. */
static int older_probe_read(const struct bpf_insn *insn)
{
	if (!is_helper_call(insn))
		return 0;
	switch (insn->imm) {
	case BPF_FUNC_probe_read_kernel:
	case BPF_FUNC_probe_read_user: return BPF_FUNC_probe_read;
	case BPF_FUNC_probe_read_kernel_str:
	case BPF_FUNC_probe_read_user_str: return BPF_FUNC_probe_read_str;
	default: return 0;
	}
}

bool skep_adapt_insns(struct skep_load *load, struct bpf_insn *insns, size_t n)
{
	bool changed = false;
	size_t i;
	int older;

	for (i = 0; i < n; i++) {
		older = older_probe_read(&insns[i]);
		if (!older)
			continue;
		if (skep_feature(load->sys, SKEP_FEATURE_PROBE_READ_KERNEL))
			return false;
		insns[i].imm = older;
		changed = true;
	}
	return changed;
}

bool skep_adapt_needs_globals(struct skep_load *load, const struct bpf_insn *insns, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (insns[i].code == (BPF_LD | BPF_IMM | BPF_DW) &&
		    insns[i].src_reg == BPF_PSEUDO_MAP_VALUE)
			return !skep_feature(load->sys, SKEP_FEATURE_GLOBAL_DATA);
	return false;
}

int skep_fail_globals(struct skep_load *load, const char *prog, struct skep_err *err)
{
	skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
		  "it uses global variables or strings, which this kernel lacks (they came with "
		  "Linux 5.2): keep them in a map or on the stack");
	return prog ? skep_wrap(err, -EOPNOTSUPP, "%s: program '%s'", load->obj->name, prog)
		    : -EOPNOTSUPP;
}
