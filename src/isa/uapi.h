/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The instruction set's part of <linux/bpf.h>, plus what kernels newer than
 * Debian 12's headers (6.1) added up to 6.15.  Numbers are facts of the
 * kernel ABI; each row says since when.  src/sys/uapi.h includes this file.
 */
#ifndef SKEP_ISA_UAPI_H
#define SKEP_ISA_UAPI_H

#include <linux/bpf.h>

#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80 /* 6.6: load with sign extension */
#endif
#ifndef BPF_JCOND
#define BPF_JCOND 0xe0 /* 6.9: may_goto */
#endif
#ifndef BPF_LOAD_ACQ
#define BPF_LOAD_ACQ  0x100 /* 6.15: imm of an atomic */
#define BPF_STORE_REL 0x110
#endif
#define SKEP_BPF_ADDR_SPACE_CAST 1 /* 6.9: off of a 64-bit mov */
#define SKEP_BPF_MOV_PERCPU_ADDR (-1) /* 6.10: the same, inside the kernel only */
#define SKEP_BPF_NOSPEC		 0xc0 /* 5.14: mode of a store, inside the kernel only */
#define SKEP_BPF_PROBE_MEM	 0x20

#endif
