/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Classic BPF: the filters of tcpdump, SO_ATTACH_FILTER and seccomp.
 *
 * Reading, printing as `tcpdump -d` does, checking as the kernel does before
 * it takes a filter, and conversion to an eBPF socket filter.  Seccomp
 * filters print and check the same; they read a struct seccomp_data instead
 * of a packet, so they do not convert.  Described in the kernel's
 * Documentation/networking/filter.rst.
 */
#ifndef SKEP_ISA_CLASSIC_H
#define SKEP_ISA_CLASSIC_H

#include <linux/bpf.h>
#include <linux/filter.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Reads a program from the text of `tcpdump -ddd` (a count, then lines of four
 * decimal numbers), of `tcpdump -dd` (C initialisers), or from raw struct
 * sock_filter.  *insns: malloc'ed.  0, -ENOMEM, or -EINVAL with the line.
 */
int skep_classic_read(const void *data, size_t len, struct sock_filter **insns, size_t *n,
		      struct skep_err *err);

/*
 * Appends a line an instruction.  Unknown ones print as "unimp"; then returns
 * what skep_classic_check() does.
 */
int skep_classic_disasm(struct skep_buf *out, const struct sock_filter *insns, size_t n,
			struct skep_err *err);

/*
 * 0, or -EINVAL with E_INSN_INVALID, E_INSN_JUMP or E_INSN_TRUNCATED and the
 * instruction's index: unknown opcodes, jumps outside, constant division by
 * zero, shifts by 32 or more, memory words that do not exist or are read
 * before they are written, no return at the end.
 */
int skep_classic_check(const struct sock_filter *insns, size_t n, struct skep_err *err);

/*
 * Converts to a socket filter (context struct __sk_buff, result as the
 * classic one's): *out is malloc'ed, *out_n slots.  -EOPNOTSUPP with
 * E_UNSUPPORTED for the few ancillary loads that eBPF cannot express
 * (hardware type, payload offset, netlink attributes).
 */
int skep_classic_to_ebpf(const struct sock_filter *insns, size_t n, struct bpf_insn **out,
			 size_t *out_n, struct skep_err *err);

#endif
