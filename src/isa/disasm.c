/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Expands the text templates of isa.def.  A template is literal text with
 *   $d $s   dst, src as r1        $D $S  as w1
 *   $i $t   imm in decimal        $x     imm in hex
 *   $o      off with a sign       $j $J  jump by off, by imm: pc+4
 *   $u      64-bit immediate      $a $b  upper and lower half of imm
 *   $m      map by descriptor     $n $v  imm and the second slot's imm, unsigned
 *   $f      code address          $h $p $k $l  called helper, subprogram, kernel
 *                                 function, subprogram of a loaded program
 * The assembler (asm.c) matches the same templates.
 */
#include "isa/disasm.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

static const struct skep_disasm_opts no_opts = {.sz = sizeof(no_opts)};

static const char *func_name(const struct skep_disasm_opts *opts, size_t i,
			     const struct skep_insn *in)
{
	return opts->func ? opts->func(opts->ctx, i, in) : NULL;
}

/* $p and $l */
static void put_call(struct skep_buf *out, int32_t delta, size_t i, const struct skep_insn *in,
		     const struct skep_disasm_opts *opts)
{
	const char *name = func_name(opts, i, in);

	skep_buf_printf(out, "pc%+d", delta);
	if (name)
		skep_buf_printf(out, "#%s", name);
}

/* $k: the descriptor index is shown only where bpftool would show no name either. */
static void put_kfunc(struct skep_buf *out, size_t i, const struct skep_insn *in,
		      const struct skep_disasm_opts *opts)
{
	const char *name = func_name(opts, i, in);

	skep_buf_printf(out, "%s#%d", name ? name : "kernel-function", in->imm);
	if (!name && in->off)
		skep_buf_printf(out, "[%d]", in->off);
}

static void put_helper(struct skep_buf *out, const struct skep_insn *in,
		       const struct skep_disasm_opts *opts)
{
	const char *name = opts->helper ? opts->helper(opts->ctx, in->imm) : NULL;

	skep_buf_printf(out, "%s#%d", name ? name : "unknown", in->imm);
}

static void put_map(struct skep_buf *out, size_t i, const struct skep_insn *in,
		    const struct skep_disasm_opts *opts)
{
	const char *name = opts->map ? opts->map(opts->ctx, i, in) : NULL;

	if (name)
		skep_buf_puts(out, name);
	else
		skep_buf_printf(out, "id:%u", (uint32_t)in->imm);
}

static void put_operand(struct skep_buf *out, char what, size_t i, const struct skep_insn *in,
			const struct skep_disasm_opts *opts)
{
	switch (what) {
	case 'd': skep_buf_printf(out, "r%d", in->dst); break;
	case 'D': skep_buf_printf(out, "w%d", in->dst); break;
	case 's': skep_buf_printf(out, "r%d", in->src); break;
	case 'S': skep_buf_printf(out, "w%d", in->src); break;
	case 'i':
	case 't': skep_buf_printf(out, "%d", in->imm); break;
	case 'x': skep_buf_printf(out, "0x%x", (uint32_t)in->imm); break;
	case 'o': skep_buf_printf(out, "%+d", in->off); break;
	case 'j': skep_buf_printf(out, "pc%+d", in->off); break;
	case 'J': skep_buf_printf(out, "pc%+d", in->imm); break;
	case 'u': skep_buf_printf(out, "0x%" PRIx64, in->imm64); break;
	case 'a': skep_buf_printf(out, "%u", (uint32_t)in->imm >> 16); break;
	case 'b': skep_buf_printf(out, "%u", (uint32_t)in->imm & 0xffff); break;
	case 'm': put_map(out, i, in, opts); break;
	case 'n': skep_buf_printf(out, "%u", (uint32_t)in->imm); break;
	case 'v': skep_buf_printf(out, "%u", (uint32_t)(in->imm64 >> 32)); break;
	case 'f': skep_buf_printf(out, "%+d", in->imm); break;
	case 'h': put_helper(out, in, opts); break;
	case 'p': put_call(out, in->imm, i, in, opts); break;
	case 'l': put_call(out, in->off, i, in, opts); break;
	case 'k': put_kfunc(out, i, in, opts); break;
	}
}

static int disasm_one(struct skep_buf *out, const struct bpf_insn *insns, size_t n, size_t i,
		      struct skep_insn *in, const struct skep_disasm_opts *opts,
		      struct skep_err *err)
{
	const char *t, *literal;
	int ret;

	ret = opts->loaded ? skep_insn_decode_loaded(insns, n, i, in, err)
			   : skep_insn_decode(insns, n, i, in, err);
	if (ret < 0)
		return ret;
	for (t = skep_insn_table[in->op].text; *t; t++) {
		if (*t == '$') {
			put_operand(out, *++t, i, in, opts);
			continue;
		}
		for (literal = t; t[1] && t[1] != '$'; t++)
			;
		skep_buf_add(out, literal, t + 1 - literal);
	}
	return ret;
}

int skep_disasm_insn(struct skep_buf *out, const struct bpf_insn *insns, size_t n, size_t i,
		     const struct skep_disasm_opts *opts, struct skep_err *err)
{
	struct skep_insn in;

	return disasm_one(out, insns, n, i, &in, opts ? opts : &no_opts, err);
}

static void put_bytes(struct skep_buf *out, const struct bpf_insn *insns, int slots)
{
	const unsigned char *p = (const void *)insns;
	int i;

	skep_buf_puts(out, "       ");
	for (i = 0; i < slots * 8; i++)
		skep_buf_printf(out, "%s%02x", i ? " " : "", p[i]);
	skep_buf_putc(out, '\n');
}

static const char *label_at(const struct skep_disasm_opts *opts, int64_t i, size_t n)
{
	return opts->label && i >= 0 && i < (int64_t)n ? opts->label(opts->ctx, i) : NULL;
}

static int put_line(struct skep_buf *out, const struct bpf_insn *insns, size_t n, size_t i,
		    const struct skep_disasm_opts *opts, struct skep_err *err)
{
	struct skep_err why = SKEP_ERR_INIT;
	struct skep_insn in;
	const char *name;
	int ret;

	name = opts->before ? opts->before(opts->ctx, i) : NULL;
	if (name)
		skep_buf_puts(out, name);
	name = label_at(opts, i, n);
	if (name)
		skep_buf_printf(out, "%s:\n", name);
	skep_buf_printf(out, "%4zu: (%02x) ", i, insns[i].code);
	ret = disasm_one(out, insns, n, i, &in, opts, &why);
	if (ret < 0) {
		skep_buf_printf(out, "invalid: %s\n", why.msg);
		if (err && err->tag == SKEP_E_NONE)
			*err = why;
		if (opts->opcodes)
			put_bytes(out, &insns[i], 1);
		return ret;
	}
	name = label_at(opts, in.target, n);
	if (name && in.kind != SKEP_KIND_CALL_PC && in.kind != SKEP_KIND_LDDW)
		skep_buf_printf(out, " <%s>", name);
	name = opts->note ? opts->note(opts->ctx, i) : NULL;
	if (name)
		skep_buf_printf(out, " ; %s", name);
	skep_buf_putc(out, '\n');
	if (opts->opcodes)
		put_bytes(out, &insns[i], ret);
	return ret;
}

int skep_disasm(struct skep_buf *out, const struct bpf_insn *insns, size_t n,
		const struct skep_disasm_opts *opts, struct skep_err *err)
{
	int ret, first = 0;
	size_t i;

	if (!opts)
		opts = &no_opts;
	for (i = 0; i<n; i += ret> 0 ? ret : 1) {
		ret = put_line(out, insns, n, i, opts, err);
		if (ret < 0 && !first)
			first = ret;
	}
	return out->oom ? skep_fail_nomem(err) : first;
}

int skep_disasm_labels(const struct bpf_insn *insns, size_t n, bool loaded, uint32_t **labels,
		       struct skep_err *err)
{
	uint32_t nr = 0, *at;
	struct skep_insn in;
	size_t i;
	int ret;

	at = calloc(n + 1, sizeof(*at));
	if (!at)
		return skep_fail_nomem(err);
	for (i = 0; i<n; i += ret> 0 ? ret : 1) {
		ret = loaded ? skep_insn_decode_loaded(insns, n, i, &in, NULL)
			     : skep_insn_decode(insns, n, i, &in, NULL);
		if (ret < 0 || in.target < 0 || in.target >= (int64_t)n)
			continue;
		if (in.kind != SKEP_KIND_CALL_PC && in.kind != SKEP_KIND_LDDW &&
		    in.op != SKEP_OP_CALL_PC_LOADED)
			at[in.target] = 1;
	}
	for (i = 0; i < n; i++)
		if (at[i])
			at[i] = ++nr;
	*labels = at;
	return 0;
}
