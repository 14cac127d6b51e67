/* SPDX-License-Identifier: BSD-2-Clause */
/* skep feature: what its two files share; feature_probe.c asks, feature.c tells. */
#ifndef SKEP_CLI_FEATURE_H
#define SKEP_CLI_FEATURE_H

#include "base/err.h"
#include "sys/feature.h"

#define FEATURE_PROGS	64 /* more than there are program types */
#define FEATURE_MAPS	64
#define FEATURE_HELPERS 256

/* Answers: 1, 0, or -EPERM: may not be asked. */
struct feature_answers {
	struct skep_sys *sys;
	struct {
		struct skep_feature_prog how; /* with which it loads, for its helpers */
		int there;
		const char *why; /* helpers cannot be told apart, because...; NULL: they can */
		int8_t helpers[FEATURE_HELPERS];
	} progs[FEATURE_PROGS];
	int maps[FEATURE_MAPS];
	int features[SKEP_FEATURE_MAX];
	bool full; /* also the helpers that leave a line in the kernel's log */
};

/* True for helpers that a probe leaves out unless it is full. */
bool feature_leaves_traces(uint32_t helper);

/*
 * Asks engine @name ("kernel", "user") everything.  Helpers are asked by as
 * many threads as there are CPUs (at most 4), each with an engine of its own.
 */
int feature_probe(struct feature_answers *answers, const char *name, struct skep_err *err);
struct skep_sys *feature_engine(const char *name);

#endif
