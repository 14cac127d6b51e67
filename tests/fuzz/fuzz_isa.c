/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instructions: what skep_insns_check() accepts must come back from
 * disassembling and assembling as the same bytes.  The same input is also
 * read as assembly text and as a classic program; what those accept must be
 * accepted by the check.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "isa/asm.h"
#include "isa/classic.h"
#include "isa/disasm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(const struct bpf_insn *insns, size_t n)
{
	struct skep_buf text = SKEP_BUF_INIT;
	struct skep_err err = SKEP_ERR_INIT;
	struct bpf_insn *back;
	size_t back_n;

	if (skep_insns_check(insns, n, NULL)) {
		/* Must not crash, and says what is wrong. */
		assert(skep_insns_check(insns, n, &err) < 0 && err.msg[0]);
		skep_disasm(&text, insns, n, NULL, NULL);
	} else {
		assert(!skep_disasm(&text, insns, n, NULL, NULL));
		assert(!skep_asm(text.data, text.len, NULL, &back, &back_n, NULL));
		assert(back_n == n && !memcmp(back, insns, n * sizeof(*insns)));
		free(back);
	}
	skep_err_deinit(&err);
	skep_buf_deinit(&text);
}

static void as_text(const uint8_t *data, size_t size)
{
	struct skep_err err = SKEP_ERR_INIT;
	struct bpf_insn *insns;
	size_t n;

	if (skep_asm((const char *)data, size, NULL, &insns, &n, &err)) {
		assert(err.msg[0]);
	} else {
		assert(!skep_insns_check(insns, n, NULL));
		round_trip(insns, n);
		free(insns);
	}
	skep_err_deinit(&err);
}

static void as_classic(const uint8_t *data, size_t size)
{
	struct skep_buf text = SKEP_BUF_INIT;
	struct sock_filter *filter;
	struct bpf_insn *insns;
	size_t n, len;

	if (skep_classic_read(data, size, &filter, &len, NULL))
		return;
	skep_classic_disasm(&text, filter, len, NULL);
	if (!skep_classic_to_ebpf(filter, len, &insns, &n, NULL)) {
		assert(!skep_insns_check(insns, n, NULL));
		free(insns);
	}
	skep_buf_deinit(&text);
	free(filter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = size / sizeof(struct bpf_insn);
	struct bpf_insn *insns = malloc(size + 1);

	if (!insns)
		return 0;
	memcpy(insns, data, size);
	round_trip(insns, n);
	free(insns);
	as_text(data, size);
	as_classic(data, size);
	return 0;
}
