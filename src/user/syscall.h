/* SPDX-License-Identifier: BSD-2-Clause */
/* System calls by the names of the kernel's tracepoints; one .def file an architecture. */
#ifndef SKEP_USER_SYSCALL_H
#define SKEP_USER_SYSCALL_H

/* Numbers are below this; what is above is no call of this architecture's own ABI. */
#define SKEP_SYSCALL_MAX 512

/* The number of "openat" (of sys_enter_openat), or -ENOENT. */
int skep_syscall_nr(const char *name);
/* "openat" for 257, or NULL. */
const char *skep_syscall_name(long nr);

#endif
