/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What RFC 9669 says of each instruction, from its bits: section 4.1 for
 * arithmetic, 4.2 for byte order, 4.3 for jumps, 5 for memory.  Written from
 * the text, with other means than the evaluator of src/isa: signs by hand,
 * bytes one at a time.
 */
#include "cli/conform.h"

#include <string.h>

#include "isa/uapi.h"

static uint64_t low(uint64_t v, unsigned int bits)
{
	return bits == 64 ? v : v & ((1ull << bits) - 1);
}

static bool negative(uint64_t v, unsigned int bits)
{
	return v >> (bits - 1) & 1;
}

static uint64_t extended(uint64_t v, unsigned int bits)
{
	v = low(v, bits);
	return negative(v, bits) ? v - (bits == 64 ? 0 : 1ull << bits) : v;
}

static uint64_t magnitude(uint64_t v, unsigned int bits)
{
	return negative(v, bits) ? low(~v + 1, bits) : v;
}

/* Truncating signed division: the quotient's sign is the product's, the rest's the dividend's. */
static uint64_t divided(uint64_t d, uint64_t s, unsigned int bits, bool is_signed, bool rest)
{
	uint64_t n = is_signed ? magnitude(d, bits) : d, by = is_signed ? magnitude(s, bits) : s, v;

	if (!s)
		return rest ? d : 0;
	v = rest ? n - n / by * by : n / by;
	if (is_signed && (rest ? negative(d, bits) : negative(d, bits) != negative(s, bits)))
		v = ~v + 1;
	return low(v, bits);
}

static uint64_t shifted(uint64_t d, unsigned int by, unsigned int bits, uint8_t op)
{
	bool fill = op == BPF_ARSH && negative(d, bits);

	while (by--) {
		d = op == BPF_LSH ? low(d << 1, bits) : d >> 1;
		if (fill)
			d |= 1ull << (bits - 1);
	}
	return d;
}

static uint64_t reversed(uint64_t v, unsigned int bits)
{
	uint64_t out = 0;
	unsigned int i;

	for (i = 0; i < bits; i += 8)
		out |= (v >> i & 0xff) << (bits - 8 - i);
	return out;
}

static uint64_t arithmetic(const struct bpf_insn *in, uint64_t d, uint64_t s)
{
	bool is64 = BPF_CLASS(in->code) == BPF_ALU64;
	unsigned int bits = is64 ? 64 : 32;
	uint8_t op = in->code & 0xf0;
	uint64_t v = 0;

	if (op == BPF_END) { /* the width is imm; to little endian is a cut on this machine */
		bool swap = is64 || BPF_SRC(in->code) == BPF_TO_BE;

		return swap ? reversed(d, (unsigned int)in->imm) : low(d, (unsigned int)in->imm);
	}
	d = low(d, bits);
	s = low(s, bits);
	switch (op) {
	case BPF_ADD: v = d + s; break;
	case BPF_SUB: v = d + ~s + 1; break;
	case BPF_MUL: v = d * s; break;
	case BPF_OR: v = ~(~d & ~s); break;
	case BPF_AND: v = ~(~d | ~s); break;
	case BPF_XOR: v = (d & ~s) | (~d & s); break;
	case BPF_NEG: v = ~d + 1; break;
	case BPF_MOV: v = in->off ? extended(s, (unsigned int)in->off) : s; break;
	case BPF_DIV: v = divided(d, s, bits, in->off == 1, false); break;
	case BPF_MOD: v = divided(d, s, bits, in->off == 1, true); break;
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH: v = shifted(d, (unsigned int)(s & (bits - 1)), bits, op); break;
	}
	return low(v, bits);
}

static bool taken(const struct bpf_insn *in, uint64_t d, uint64_t s)
{
	unsigned int bits = BPF_CLASS(in->code) == BPF_JMP ? 64 : 32;
	uint64_t sign = 1ull << (bits - 1), sd, ss;

	d = low(d, bits);
	s = low(s, bits);
	/* Moved by half the range, signed order is unsigned order. */
	sd = d ^ sign;
	ss = s ^ sign;
	switch (in->code & 0xf0) {
	case BPF_JEQ: return !(d ^ s);
	case BPF_JNE: return (d ^ s) != 0;
	case BPF_JSET: return (d & s) != 0;
	case BPF_JGT: return d > s;
	case BPF_JGE: return !(d < s);
	case BPF_JLT: return d < s;
	case BPF_JLE: return !(d > s);
	case BPF_JSGT: return sd > ss;
	case BPF_JSGE: return !(sd < ss);
	case BPF_JSLT: return sd < ss;
	case BPF_JSLE: return !(sd > ss);
	}
	return true;
}

static unsigned int bytes(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B: return 1;
	case BPF_H: return 2;
	case BPF_W: return 4;
	default: return 8;
	}
}

static uint64_t get(const uint8_t *p, unsigned int n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static void put(uint8_t *p, unsigned int n, uint64_t v)
{
	for (; n--; v >>= 8)
		*p++ = (uint8_t)v;
}

/* Section 5.3: a is what memory holds, b the source, c is r0. */
static void atomic(const struct bpf_insn *in, struct conform_io *io)
{
	unsigned int bits = bytes(in->code) * 8;
	uint64_t old = low(io->a, bits), s = low(io->b, bits), new = s;
	uint64_t rest = bits == 64 ? 0 : io->a >> 32 << 32;

	switch (in->imm & 0xf0) {
	case BPF_ADD: new = low(old + s, bits); break;
	case BPF_OR: new = old | s; break;
	case BPF_AND: new = old &s; break;
	case BPF_XOR: new = (old | s) - (old & s); break;
	}
	io->out[1] = io->b;
	io->out[2] = io->c;
	if (in->imm == BPF_CMPXCHG) {
		io->out[2] = old;
		if (old != low(io->c, bits))
			new = old;
	} else if (in->imm & BPF_FETCH) {
		io->out[1] = old;
	}
	io->out[0] = rest | new;
}

static void packet(const struct bpf_insn *in, struct conform_io *io)
{
	uint64_t at = (uint32_t)in->imm + (BPF_MODE(in->code) == BPF_IND ? io->b : 0), v = 0;
	unsigned int n = bytes(in->code);

	io->out[0] = 0; /* outside: the program ends with 0 */
	if (at + n > CONFORM_PACKET)
		return;
	while (n--)
		v = v << 8 | conform_packet[at++];
	io->out[0] = v;
}

void conform_rfc(const struct conform_prog *p, struct conform_io *io)
{
	const struct bpf_insn *in = &p->subject;
	bool by_register = BPF_SRC(in->code) == BPF_X;
	uint64_t s = by_register ? io->b : extended((uint32_t)in->imm, 32);
	unsigned int n = bytes(in->code);

	switch (BPF_CLASS(in->code)) {
	case BPF_ALU:
	case BPF_ALU64: io->out[0] = arithmetic(in, io->a, s); break;
	case BPF_JMP32:
	case BPF_JMP: io->out[0] = taken(in, io->a, s); break;
	case BPF_LDX:
		io->out[0] = get(io->mem + in->off, n);
		if (BPF_MODE(in->code) == BPF_MEMSX)
			io->out[0] = extended(io->out[0], n * 8);
		break;
	case BPF_ST: put(io->mem + in->off, n, extended((uint32_t)in->imm, 32)); break;
	case BPF_STX:
		if (BPF_MODE(in->code) == BPF_ATOMIC)
			atomic(in, io);
		else
			put(io->mem + in->off, n, io->b);
		break;
	case BPF_LD:
		if (BPF_MODE(in->code) == BPF_IMM)
			io->out[0] = (uint64_t)(uint32_t)p->insns[p->at + 1].imm << 32 |
				     (uint32_t)in->imm;
		else
			packet(in, io);
		break;
	}
}
