/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's tag: the first 8 bytes of the SHA-1 of its instructions, map
 * references blanked, as kernels up to 6.17 make it.  FIPS 180-4.
 */
#include <endian.h>
#include <string.h>

#include "user/engine.h"

struct sha1 {
	uint32_t h[5];
	uint8_t block[64];
	uint64_t len;
};

static uint32_t rol(uint32_t v, int n)
{
	return v << n | v >> (32 - n);
}

static void compress(struct sha1 *s)
{
	uint32_t w[80], a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4];
	uint32_t f, k, t;
	int i;

	for (i = 0; i < 80; i++) {
		if (i < 16) {
			memcpy(&w[i], s->block + 4 * i, 4);
			w[i] = be32toh(w[i]);
		} else {
			w[i] = rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
		}
		if (i < 20) {
			f = (b & c) | (~b & d);
			k = 0x5a827999;
		} else if (i < 40) {
			f = b ^ c ^ d;
			k = 0x6ed9eba1;
		} else if (i < 60) {
			f = (b & c) | (b & d) | (c & d);
			k = 0x8f1bbcdc;
		} else {
			f = b ^ c ^ d;
			k = 0xca62c1d6;
		}
		t = rol(a, 5) + f + e + k + w[i];
		e = d;
		d = c;
		c = rol(b, 30);
		b = a;
		a = t;
	}
	s->h[0] += a;
	s->h[1] += b;
	s->h[2] += c;
	s->h[3] += d;
	s->h[4] += e;
}

static void add(struct sha1 *s, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len; len--) {
		s->block[s->len++ % 64] = *p++;
		if (s->len % 64 == 0)
			compress(s);
	}
}

void skep_prog_tag(struct skep_prog *prog)
{
	struct sha1 s = {.h = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
	static const uint8_t pad[64] = {0x80};
	uint64_t bits;
	uint32_t i;
	bool map = false;

	for (i = 0; i < prog->nr_insns; i++) {
		struct bpf_insn insn = prog->insns[i];

		if (map) {
			insn.imm = 0;
			map = false;
		} else if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) &&
			   (insn.src_reg == BPF_PSEUDO_MAP_FD ||
			    insn.src_reg == BPF_PSEUDO_MAP_VALUE)) {
			insn.imm = 0;
			map = true;
		}
		add(&s, &insn, sizeof(insn));
	}
	bits = htobe64(s.len * 8);
	add(&s, pad, 1 + (119 - s.len % 64) % 64);
	add(&s, &bits, sizeof(bits));
	for (i = 0; i < BPF_TAG_SIZE / 4; i++) {
		uint32_t w = htobe32(s.h[i]);

		memcpy(prog->tag + 4 * i, &w, 4);
	}
}
