/* SPDX-License-Identifier: BSD-2-Clause */
/* What core_kernel.c offers to the kernel's test; it says what each is for. */
#ifndef CORE_KERNEL_SHIM_H
#define CORE_KERNEL_SHIM_H

#include <stdbool.h>
#include <stddef.h>

struct shim;

bool shim_start(const char *name);
void shim_skip(void);
void shim_bad(const char *tag);
struct shim *shim_open(const char *path, const char *btf);
struct shim *shim_prog(struct shim *s, const char *name);
int shim_load(struct shim *s);
void *shim_map(size_t len);
int shim_unmap(void *p, size_t len);
void shim_run(void);
void shim_close(struct shim *s);

#endif
