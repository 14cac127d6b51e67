/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64: how the frames of compiled code unwind, as DWARF call frame
 * information (DWARF 5, 6.4; register numbers: the psABI's figure 3.36).
 *
 * One row for each function, from where its prologue is done: what gdb sees of
 * it is mostly the inside of helpers.  rbp is BPF's frame pointer and no
 * frame of C's, so that nothing can be found without this.
 */
#if defined(__x86_64__)

#include <string.h>

#include "jit/gdb.h"

enum { DW_RBX = 3, DW_RBP = 6, DW_RSP = 7, DW_R12 = 12, DW_RA = 16 };
enum { CFA_ADVANCE4 = 0x04, CFA_DEF = 0x0c, CFA_DEF_OFFSET = 0x0e, CFA_OFFSET = 0x80 };

static uint8_t *put(uint8_t *p, uint64_t v, unsigned int bytes)
{
	memcpy(p, &v, bytes);
	return p + bytes;
}

/* Fills up with DW_CFA_nop, which is 0, and writes the length in front. */
static uint8_t *finish(uint8_t *start, uint8_t *p)
{
	while ((p - start) % 8)
		*p++ = 0;
	put(start, (uint64_t)(p - start) - 4, 4);
	return p;
}

static uint8_t *cie(uint8_t *buf)
{
	static const uint8_t rules[] = {1, /* version */
					0, /* no augmentation */
					1, /* code alignment */
					0x78, /* data alignment: -8 */
					DW_RA, CFA_DEF, DW_RSP, 8, CFA_OFFSET | DW_RA, 1};
	uint8_t *p = put(buf, 0, 8); /* length, and that it is a CIE */

	memcpy(p, rules, sizeof(rules));
	return finish(buf, p + sizeof(rules));
}

/* @saved: numbers of the registers pushed first to last; @offset: of the CFA from rsp. */
static uint8_t *fde(uint8_t *at, const uint8_t *cie_at, const uint8_t *pc, uint32_t len,
		    uint32_t body, uint32_t offset, const uint8_t *saved, int nr)
{
	uint8_t *p = put(at, 0, 4);
	int i;

	p = put(p, (uint64_t)(p - cie_at), 4);
	p = put(p, (uintptr_t)pc, 8);
	p = put(p, len, 8);
	*p++ = CFA_ADVANCE4;
	p = put(p, body, 4);
	*p++ = CFA_DEF_OFFSET;
	for (; offset >= 0x80; offset >>= 7)
		*p++ = (uint8_t)(offset | 0x80);
	*p++ = (uint8_t)offset;
	for (i = 0; i < nr; i++) {
		*p++ = (uint8_t)(CFA_OFFSET | saved[i]);
		*p++ = (uint8_t)(i + 2);
	}
	return finish(at, p);
}

/* DWARF's numbers of those of r6 to r9 whose bits are set. */
static int numbers(uint8_t bits, uint8_t *to)
{
	static const uint8_t bpf[] = {DW_RBX, 13, 14, 15};
	int i, nr = 0;

	for (i = 0; i < 4; i++)
		if (bits & 1 << i)
			to[nr++] = bpf[i];
	return nr;
}

size_t skep_gdb_frames(const struct skep_gdb_code *code, uint8_t *buf)
{
	uint8_t stub[6] = {DW_RBP, DW_R12}, saved[4], *p = cie(buf);
	uint32_t i, body = code->frame ? 4 + 4 : 4; /* endbr64; sub rsp, imm8 */
	int in_stub = 2 + numbers(code->stub_saved, stub + 2), nr = numbers(code->saved, saved);

	for (i = 0; i < (uint32_t)nr; i++)
		body += saved[i] >= 8 ? 2 : 1;
	/* The stub: return address, registers, two values, a multiple of 16. */
	p = fde(p, buf, code->start, code->funcs[0].end, code->stub_body,
		(8 * (uint32_t)(in_stub + 3) + 15) & ~15u, stub, in_stub);
	for (i = 1; i < code->nr; i++) {
		const struct skep_gdb_func *f = &code->funcs[i];

		p = fde(p, buf, code->start + f->start, f->end - f->start, body,
			8 + 8 * (uint32_t)nr + code->frame, saved, nr);
	}
	return (size_t)(put(p, 0, 4) - buf);
}

#endif
