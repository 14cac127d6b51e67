/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf(2) as it is, for those who ask the kernel without any of skep's loading. */
#ifndef TESTS_RUN_ORACLE_H
#define TESTS_RUN_ORACLE_H

#include <linux/bpf.h>

/* >= 0, or -errno. */
int oracle_bpf(int cmd, union bpf_attr *attr);

/* A descriptor of BTF with one function type, static int f(void): what callbacks need; -errno. */
int oracle_btf(void);

#endif
