/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gdb's JIT interface (gdb manual, "JIT Compilation Interface"): an ELF file
 * in memory for each program, with the names of its functions and how their
 * frames unwind, in a list that gdb finds by its name.  Costs nothing until
 * the first program asks for it; then some KiB a program.
 */
#ifndef SKEP_JIT_GDB_H
#define SKEP_JIT_GDB_H

#include <stddef.h>
#include <stdint.h>

struct skep_gdb;

struct skep_gdb_func {
	char name[96];
	uint32_t start, end; /* offsets in the code */
};

struct skep_gdb_code {
	const uint8_t *start;
	size_t len;
	uint32_t stub_body; /* offset where the stub at the start has its frame */
	uint8_t stub_saved, saved, frame; /* its, and of each function, as in struct skep_jit */
	const struct skep_gdb_func *funcs; /* by address; the first is the stub */
	uint32_t nr;
};

/* Tells gdb, if one is attached or comes.  NULL: out of memory. */
struct skep_gdb *skep_gdb_create(const struct skep_gdb_code *code);
void skep_gdb_destroy(struct skep_gdb *gdb); /* NULL-safe */

/*
 * The architecture's: the bytes of .eh_frame into @buf, which has room for
 * SKEP_GDB_FRAME for each function and one more.  Their number.
 */
#define SKEP_GDB_FRAME 96
size_t skep_gdb_frames(const struct skep_gdb_code *code, uint8_t *buf);

#endif
