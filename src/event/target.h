/* SPDX-License-Identifier: BSD-2-Clause */
/* Which type of the kernel, or of which module, a program attaches to. */
#ifndef SKEP_EVENT_TARGET_H
#define SKEP_EVENT_TARGET_H

#include "event/event.h"
#include "sys/ktypes.h"

/*
 * The BTF type id that a program of @def with @args ("FUNCTION", or
 * "MODULE:FUNCTION" as libbpf has it) attaches to: > 0, or -errno.  *@fd: the
 * engine's descriptor of the module's BTF, kt's, for attach_btf_obj_fd; 0: the
 * kernel's own.
 */
int skep_event_target(const struct skep_event_def *def, const char *args, struct skep_ktypes *kt,
		      int *fd, struct skep_err *err);

/*
 * The expected_attach_type that a program of @def is loaded with: the row's.
 * A kprobe.multi program on a kernel that was built without fprobe, and a
 * uprobe.multi program on one before 6.6, is loaded as a kprobe program (0), as
 * which attach_multi.c attaches it there, so that bpf_get_func_ip() is the one
 * for such probes.
 */
uint32_t skep_event_attach_type(const struct skep_event_def *def, struct skep_ktypes *kt);

#endif
