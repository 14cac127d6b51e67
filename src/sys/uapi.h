/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <linux/bpf.h> of the machine that builds, plus what newer kernels (up to
 * 6.12) added since Debian 12's headers.  Numbers are facts of the kernel ABI;
 * each row says since when.  Use these names, not literals.
 */
#ifndef SKEP_SYS_UAPI_H
#define SKEP_SYS_UAPI_H

#include <linux/bpf.h>

/* Instruction set v4 (6.6) and Linux's own additions. */
#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80 /* load with sign extension */
#endif
#ifndef BPF_JCOND
#define BPF_JCOND 0xe0 /* 6.9: may_goto */
#endif
#define SKEP_BPF_ADDR_SPACE_CAST 1 /* 6.9: off of a 64-bit mov */
#define SKEP_BPF_PROBE_MEM	 0x20

#endif
