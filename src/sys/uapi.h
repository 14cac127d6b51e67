/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * <linux/bpf.h> of the machine that builds, plus what newer kernels (up to
 * 6.12) added since Debian 12's headers.  Numbers are facts of the kernel ABI;
 * each row says since when.  Use these names, not literals.  What belongs to
 * the instruction set is in isa/uapi.h.
 */
#ifndef SKEP_SYS_UAPI_H
#define SKEP_SYS_UAPI_H

#include "isa/uapi.h"

/* Attach types after 6.1. */
#define BPF_STRUCT_OPS		    44 /* 6.4 */
#define BPF_NETFILTER		    45 /* 6.4 */
#define BPF_TCX_INGRESS		    46 /* 6.6 */
#define BPF_TCX_EGRESS		    47
#define BPF_TRACE_UPROBE_MULTI	    48 /* 6.6 */
#define BPF_CGROUP_UNIX_CONNECT	    49 /* 6.7 */
#define BPF_CGROUP_UNIX_SENDMSG	    50
#define BPF_CGROUP_UNIX_RECVMSG	    51
#define BPF_CGROUP_UNIX_GETPEERNAME 52
#define BPF_CGROUP_UNIX_GETSOCKNAME 53
#define BPF_NETKIT_PRIMARY	    54 /* 6.7 */
#define BPF_NETKIT_PEER		    55
#define BPF_TRACE_KPROBE_SESSION    56 /* 6.10 */
#define BPF_TRACE_UPROBE_SESSION    57 /* 6.13 */

/*
 * LINK_CREATE as of 6.13, behind the four fields that every kind has: what
 * stands in union bpf_attr, with the members that 6.1's header lacks.
 */
struct skep_link_create {
	uint32_t prog_fd;
	uint32_t target; /* descriptor or ifindex */
	uint32_t attach_type;
	uint32_t flags;
	union {
		struct {
			uint64_t cookie;
		} perf_event;
		struct {
			uint64_t info; /* union bpf_iter_link_info */
			uint32_t info_len;
		} iter;
		struct {
			uint32_t flags, cnt;
			uint64_t syms, addrs, cookies;
		} kprobe_multi; /* 5.18 */
		struct {
			uint32_t pf, hooknum;
			int32_t priority;
			uint32_t flags;
		} netfilter; /* 6.4 */
		struct {
			uint64_t path, offsets, ref_ctr_offsets, cookies;
			uint32_t cnt, flags, pid;
		} uprobe_multi; /* 6.6 */
	};
};

/* MAP_CREATE as of 6.9: what follows map_extra. */
union skep_map_create {
	union bpf_attr a;
	struct {
		char until_6_1[72];
		int32_t value_type_btf_obj_fd;
		int32_t map_token_fd;
	};
};

/* Maps after 6.1. */
#define BPF_F_LINK	       (1u << 13) /* 6.4: struct_ops */
#define BPF_F_VTYPE_BTF_OBJ_FD (1u << 15) /* 6.9: value_type_btf_obj_fd is given */
#define BPF_MAP_TYPE_ARENA     33 /* 6.9 */

/* Program types and commands after 6.1. */
#define BPF_PROG_TYPE_NETFILTER	   32 /* 6.4 */
#define SKEP_MAP_TYPE_CGRP_STORAGE 32 /* 6.2 */
#define BPF_TOKEN_CREATE	   36 /* 6.9 */
#define BPF_PROG_STREAM_READ_BY_FD 37 /* 6.17 */

#endif
