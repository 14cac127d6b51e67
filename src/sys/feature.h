/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the engine behind a struct skep_sys can do, found by asking it and
 * never by its version; see feature.def.
 *
 * A question is asked when its answer is first needed, and once: the answer
 * lies in the struct skep_sys.  A loader asks after a refusal, so that kernels
 * that refuse nothing are asked nothing.
 */
#ifndef SKEP_SYS_FEATURE_H
#define SKEP_SYS_FEATURE_H

#include "sys/sys.h"

enum skep_feature {
#define SKEP_FEATURE(group, id, major, minor, what, probe) SKEP_FEATURE_##id,
#include "sys/feature.def"
#undef SKEP_FEATURE
	SKEP_FEATURE_MAX,
};

enum skep_feature_group { SKEP_FEATURE_LOAD, SKEP_FEATURE_LINK, SKEP_FEATURE_ISA };

struct skep_feature_def {
	const char *id; /* "PROG_NAME" */
	const char *what;
	enum skep_feature_group group;
	uint16_t since; /* kernel version, 0xMMmm: 0x0603 for 6.3 */
};

const struct skep_feature_def *skep_feature_at(enum skep_feature f);

/* 1: there; 0: not; -EPERM: this process may not ask.  Leaves sys->why as it is. */
int skep_feature_ask(struct skep_sys *sys, enum skep_feature f);

/* False only when the engine does not have it; who may not ask is told so elsewhere. */
bool skep_feature(struct skep_sys *sys, enum skep_feature f);

/* Program types and helpers: 1, 0 or -EPERM as above; not remembered. */
struct skep_feature_prog {
	uint32_t type, attach_type, flags; /* BPF_PROG_TYPE_*, expected attach type, BPF_F_* */
	uint32_t attach_btf_id;
};
/* Also 1 for types that load only with a target, which the probe does not give. */
int skep_feature_prog_type(struct skep_sys *sys, const struct skep_feature_prog *prog);
int skep_feature_map_type(struct skep_sys *sys, uint32_t type);
/* May programs like @prog call helper @number?  -EINVAL: they do not load for another reason. */
int skep_feature_helper(struct skep_sys *sys, const struct skep_feature_prog *prog,
			uint32_t number);

#endif
