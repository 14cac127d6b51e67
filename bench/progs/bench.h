/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One source, three runners: the same function is a BPF program for the
 * kernel and for skep, and a plain function for the native compiler.
 *
 * BENCH(name) { ... } defines the body.  It may use `pkt`, BENCH_PKT readable
 * bytes in which the runner put a frame, and must return a 32-bit number that
 * depends on all the work, so that the runners can be compared and the work
 * cannot be optimised away.  GLOBAL data have external linkage for both compilers:
 * neither may take their values for constants, or leave out writing them.
 */
#ifndef BENCH_H
#define BENCH_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define BENCH_PKT 128

/* Keeps a loop a loop: without it clang computes some of these at compile time. */
#define OPAQUE(x) asm volatile("" : "+r"(x))

#ifdef __bpf__
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define BENCH(name) \
	static __attribute__((always_inline)) u32 body_##name(const u8 *pkt); \
	SEC("xdp") int name(struct xdp_md *ctx) \
	{ \
		const u8 *data = (const u8 *)(long)ctx->data; \
\
		if (data + BENCH_PKT > (const u8 *)(long)ctx->data_end) \
			return 0; \
		return (int)body_##name(data); \
	} \
	char LICENSE[] SEC("license") = "Dual BSD/GPL"; \
	static __attribute__((always_inline)) u32 body_##name(const u8 *pkt)
#define GLOBAL
#else
#define BENCH(name) \
	u32 name(const u8 *pkt); \
	u32 name(const u8 *pkt)
#define GLOBAL __attribute__((visibility("hidden")))
#endif

#endif
