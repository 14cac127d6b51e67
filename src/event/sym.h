/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Symbols: from a function's name to its place in a file (uprobes), and from
 * an address in a process to a function's name (stacks).
 *
 * Names come from .symtab and .dynsym of the file and from its separate debug
 * file (by build id under /usr/lib/debug).  ELF files are untrusted: every
 * offset is checked.
 */
#ifndef SKEP_EVENT_SYM_H
#define SKEP_EVENT_SYM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * The file that uprobes mean by @name, as libbpf resolves it: with a slash it
 * is a path; "*.so" and "*.so.N" are searched where the loader searches; else
 * PATH.  A bare library name ("libc", "c") finds its lib*.so.N as well.
 * malloc'ed absolute path, or NULL with @err.
 */
char *skep_sym_file(const char *name, struct skep_err *err);

/*
 * The same as process @pid means it: a path by its root, a name without a
 * slash first among the files that it has mapped ("libc.so.6", "libc", "c").
 * The result is a path that this process can open: of another mount namespace
 * it begins with /proc/PID/root.
 */
char *skep_sym_file_of(const char *name, pid_t pid, struct skep_err *err);

/*
 * Where process @pid has mapped byte @offset of the file at @path to run it.
 * 0, or -ENOENT: nowhere; else -errno, without an error told.
 */
int skep_sym_mapped_at(const char *path, uint64_t offset, pid_t pid, uint64_t *addr);

/*
 * The file offset of function @func ("malloc", "malloc@GLIBC_2.2.5",
 * "malloc@@GLIBC_2.2.5") of ELF file @path, in bytes.  0 or -errno, with near
 * names when there is no such function.
 */
int skep_sym_offset(const char *path, const char *func, uint64_t *offset, struct skep_err *err);

/* Address to symbol, for processes whose mappings were told. */
struct skep_symtab;

struct skep_symtab *skep_symtab_create(void);
void skep_symtab_destroy(struct skep_symtab *tab);

/* Takes the mappings that the live process @pid has now from /proc.  0 or -errno. */
int skep_symtab_add_pid(struct skep_symtab *tab, pid_t pid);
/*
 * Tells the table of a perf record of a TASKS buffer (struct skep_rec's type,
 * misc, data, len): MMAP2 adds a mapping, FORK copies the parent's, COMM at
 * exec drops the old ones.  Others are ignored.  0 or -errno.
 */
int skep_symtab_record(struct skep_symtab *tab, uint32_t type, uint16_t misc, const void *data,
		       size_t len, uint64_t time);
/* One mapping, as in /proc/PID/maps. */
int skep_symtab_map(struct skep_symtab *tab, pid_t pid, uint64_t start, uint64_t end,
		    uint64_t offset, const char *path);

struct skep_symbol {
	const char *name; /* NULL: only the address is known */
	const char *module; /* file's path, "[kernel]", "[vdso]"; NULL: not mapped */
	uint64_t offset; /* from the symbol's start; without a name, in the module's file */
};

/*
 * What @ip is in process @pid (pid -1, or an address of the kernel: the
 * kernel's symbols, if /proc/kallsyms shows addresses).  The strings live as
 * long as the table.
 */
void skep_symtab_find(struct skep_symtab *tab, pid_t pid, uint64_t ip, struct skep_symbol *sym);
/* "func+0x12", "0x12 in file" or "0xaddress" into @buf; returns @buf. */
const char *skep_symtab_text(struct skep_symtab *tab, pid_t pid, uint64_t ip, char *buf,
			     size_t size);

#endif
