/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers of the bpf(2) interface to names; see names.def. */
#ifndef SKEP_SYS_NAMES_H
#define SKEP_SYS_NAMES_H

#include <stdint.h>

enum skep_name_set {
	SKEP_NAME_CMD, /* 0: "MAP_CREATE" */
	SKEP_NAME_MAP_TYPE, /* 1: "HASH" */
	SKEP_NAME_PROG_TYPE, /* 2: "KPROBE" */
	SKEP_NAME_ATTACH_TYPE, /* 41: "PERF_EVENT" */
	SKEP_NAME_LINK_TYPE, /* 7: "PERF_EVENT" */
};

/* Without "BPF_" and the set's own prefix; NULL: no such number (up to Linux 6.18). */
const char *skep_name(enum skep_name_set set, uint32_t number);

#endif
