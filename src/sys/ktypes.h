/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The types of the running kernel: its own, and, for who finds nothing there,
 * those of its modules.
 *
 * A module's BTF continues the kernel's (split BTF): its types may refer to
 * the kernel's by id, its own ids start where those end.  Modules are read
 * from /sys/kernel/btf the first time somebody asks; a descriptor of a
 * module's BTF, which attaching to it and calling it take, comes from the
 * engine.  Format: the kernel's Documentation/bpf/btf.rst.
 */
#ifndef SKEP_SYS_KTYPES_H
#define SKEP_SYS_KTYPES_H

#include "base/vec.h"
#include "btf/btf.h"
#include "sys/sys.h"

struct skep_kmodule {
	char name[64];
	struct skep_btf *btf;
	int fd; /* of its BTF in the engine, -1: none yet */
};

/* Zeroed but for `sys` it is valid. */
struct skep_ktypes {
	struct skep_sys *sys; /* borrowed */
	struct skep_btf *kernel; /* NULL: not opened */
	SKEP_VEC(struct skep_kmodule) modules; /* by name; empty until asked for */
	bool listed, opened_fds;
};

/* Opens the kernel's own types.  0 or -errno as of skep_btf_open_kernel(). */
int skep_ktypes_open(struct skep_ktypes *kt, struct skep_err *err);

/*
 * Opens the modules' types as well.  A module whose BTF cannot be read is left
 * out and told to the log at debug level.  0 or -errno.
 */
int skep_ktypes_open_modules(struct skep_ktypes *kt, struct skep_err *err);

/* The BTF of module @i, NULL behind the last; for skep_core_set_more(). */
const struct skep_btf *skep_ktypes_module(void *kt, size_t i);

/*
 * The engine's descriptor of the BTF of module @i: kt's, valid until it ends.
 * -errno with a sentence where the engine has none, or may not give it.
 */
int skep_ktypes_fd(struct skep_ktypes *kt, size_t i, struct skep_err *err);

/*
 * The first type @name of @kind in the kernel or, where that has none, in a
 * module (@module NULL), or in the module or "vmlinux" that @module names.
 * Its id, and in *@where its BTF and in *@index its module (-1: the kernel).
 * -ENOENT without a record: there is none.
 */
int skep_ktypes_find(struct skep_ktypes *kt, const char *module, const char *name, uint32_t kind,
		     const struct skep_btf **where, int *index, struct skep_err *err);

/* NULL-safe on what is zeroed. */
void skep_ktypes_deinit(struct skep_ktypes *kt);

#endif
