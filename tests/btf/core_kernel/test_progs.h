/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel's prog_tests/core_reloc.c finds in place of its own
 * test_progs.h: the same words, with skep behind them.  libbpf stays behind
 * btf__*(), which the test uses to know better than the loader.
 */
#ifndef CORE_KERNEL_TEST_PROGS_H
#define CORE_KERNEL_TEST_PROGS_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim.h"

typedef int64_t s64; /* bpf_testmod.h is the kernel's own */
typedef uint64_t u64;
typedef int32_t s32;
typedef uint32_t u32;
typedef uint16_t u16;
typedef uint8_t u8;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	bool has_testmod;
} env;

#define test__start_subtest(name)   shim_start(name)
#define test__skip()		    shim_skip()
#define trigger_module_test_read(n) ((void)(n))
#define sys_gettid()		    syscall(SYS_gettid)

#define CHECK(cond, tag, ...)	((cond) ? (shim_bad(tag), 1) : 0)
#define CHECK_FAIL(cond)	CHECK(cond, #cond)
#define ASSERT_OK(err, tag)	((err) ? (shim_bad(tag), false) : true)
#define ASSERT_OK_PTR(p, tag)	((p) ? true : (shim_bad(tag), false))
#define ASSERT_FALSE(cond, tag) ((cond) ? (shim_bad(tag), false) : true)
#define ASSERT_GE(a, b, tag)	((a) >= (b) ? true : (shim_bad(tag), false))

/* A program is its object, a map the .bss of it, a link nothing: one of each is enough. */
#define bpf_object__open_file(file, o)		    ((void *)shim_open(file, (o)->btf_custom_path))
#define bpf_object__find_program_by_name(obj, name) ((void *)shim_prog((void *)(obj), name))
#define bpf_object__load(obj)			    shim_load((void *)(obj))
#define bpf_object__find_map_by_name(obj, name)	    ((void *)(obj))
#define bpf_map__fd(map)			    0
#define bpf_program__attach_raw_tracepoint(p, tp)   ((void *)(p))
#define bpf_link__destroy(link)			    ((void)(link))
#define bpf_object__close(obj)			    shim_close((void *)(obj))
#define mmap(addr, len, prot, flags, fd, off)	    shim_map(len)
#define munmap(addr, len)			    shim_unmap(addr, len)
#define usleep(n)				    shim_run()

#endif
