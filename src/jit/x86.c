/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The x86-64 back end.
 *
 * BPF registers live in machine registers all the time (map[]); r12 is the
 * struct skep_vm, r9 the count of instructions left, if they are counted;
 * r10, r11 and else r9 are scratch.  Stack frames of 512 bytes follow
 * each other downwards, so rbp only moves by 512 around a call.  All functions
 * of a program save the same registers: a jump from one into another, which
 * no verifier would pass, finds the frame it expects.
 *
 * Checks (only without proof): an access through r10 within its frame is
 * decided here; any other is compared inline with the range that its site
 * found last, or begins with (skep_vm_moved()), and goes to the cold part: to
 * the stack's range, to what any site found last, then to skep_vm_check().  The
 * first access of a group checks for all; where that fails, a copy of the code
 * up to the last checks each.
 */
#if defined(__x86_64__)

#include <errno.h>
#include <string.h>

#include "jit/jit.h"
#include "jit/opt.h"
#include "jit/x86_emit.h"

#define map skep_x86_map

/* A label in the cold part for this instruction; *@back is where it comes back to. */
uint32_t skep_x86_cold(struct x86 *x, enum skep_x86_cold kind, uint32_t len, bool write,
		       uint32_t *back)
{
	struct skep_jit_cold c = {
		.label = skep_jit_label(x->j),
		.back = back ? skep_jit_label(x->j) : 0,
		.slot = x->j->slot,
		.kind = kind,
		.len = len,
		.write = write,
	};

	if (skep_vec_push(&x->j->colds, c) < 0)
		x->j->oom = true;
	if (back)
		*back = c.back;
	return c.label;
}

/* Counts @n instructions against the budget. */
void skep_x86_charge(struct x86 *x, uint32_t n)
{
	uint32_t back;

	if (!x->j->counted)
		return;
	x_imm(x->j, true, X_SUB, LEFT, (int32_t)n);
	x_jcc(x->j, CC_L, skep_x86_cold(x, COLD_LIMIT, 0, false, &back));
	skep_jit_place(x->j, back);
}

void skep_x86_look(struct x86 *x)
{
	uint32_t back;

	if (!x->j->overdraws)
		return;
	x_rr(x->j, true, X_TEST, LEFT, LEFT);
	x_jcc(x->j, CC_S, skep_x86_cold(x, COLD_LIMIT, 0, false, &back));
	skep_jit_place(x->j, back);
}

/* A number for @slot that the program's author cannot know; the same in both passes. */
static uint64_t secret(const struct x86 *x)
{
	uint64_t v = x->j->blind ^ (x->j->slot + 1) * 0x9e3779b97f4a7c15ull;

	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ v >> 27) * 0x94d049bb133111ebull;
	return v ^ v >> 31;
}

void skep_x86_blind(struct x86 *x, int32_t imm)
{
	uint32_t key = x->j->blind ? (uint32_t)secret(x) : 0;

	x_const(x->j, R11, (uint32_t)imm ^ key);
	if (key)
		x_imm(x->j, false, X_XOR, R11, (int32_t)key);
	x_rr(x->j, true, 0x63, R11, R11);
}

#define NOBODY UINT16_MAX

/* Accesses that share a site have this in common. */
static uint16_t shares_by(const struct skep_jit *j, const struct x_addr *at)
{
	/* In loops each has its own, so that they do not take it from each other every time. */
	if (j->likely[j->slot] & SKEP_JIT_LOOPED)
		return NOBODY;
	/* There is but one context, and one packet. */
	return j->likely[j->slot] ? 0 : (uint16_t)((at->base + 1) << 5 | (at->index + 1));
}

/*
 * A site for an access: what is remembered there holds for its length and
 * direction.  What runs once shares one with what ran before, by the same
 * registers; when there are no more, any accesses do.  -1: none.
 */
static int site_for(struct x86 *x, const struct x_addr *at, uint32_t len, bool write)
{
	struct skep_jit *j = x->j;
	struct skep_vm_site_use use = {
		.len = (uint16_t)len,
		.write = write,
		.likely = j->likely[j->slot] & ~SKEP_JIT_LOOPED,
	};
	uint16_t by = shares_by(j, at);
	unsigned int i, k;

	for (i = 0; i < x->nr_sites && by != NOBODY; i++)
		if (x->site_by[i] == by && j->use[i].likely == use.likely && j->use[i].len == len &&
		    j->use[i].write == write)
			return (int)i;
	if (x->nr_sites < SKEP_VM_SITES) {
		i = x->nr_sites++;
		x->site_by[i] = by;
		j->use[i] = use;
		return (int)i;
	}
	for (k = 0; k < SKEP_VM_SITES; k++) {
		i = x->next_site++ % SKEP_VM_SITES;
		if (j->use[i].len == len && j->use[i].write == write)
			return (int)i;
	}
	return -1;
}

/* r11 = the address. */
static void lea(struct skep_jit *j, const struct x_addr *a)
{
	if (a->base < 0 && a->index < 0)
		x_const(j, R11, (uint64_t)(int64_t)a->disp);
	else if (a->index < 0 && !a->disp)
		x_mov(j, true, R11, a->base);
	else
		x_mem_at(j, 0, true, 0x8d, R11, a, false);
}

static uint32_t cold_check_label(struct x86 *x, uint32_t len, bool write, int site,
				 const struct skep_jit_group *group, uint32_t *back)
{
	uint32_t label = skep_x86_cold(x, group ? COLD_GROUP : COLD_CHECK, len, write, back);

	if (x->j->colds.len) {
		struct skep_jit_cold *c = &x->j->colds.data[x->j->colds.len - 1];

		c->site = (int16_t)site;
		c->last = group ? x->j->slot + group->span : 0;
	}
	return label;
}

/* Makes sure that the program may touch @width bits at @at.  Uses r11. */
static void check_at(struct x86 *x, const struct x_addr *at, uint32_t width, bool write)
{
	struct skep_jit *j = x->j;
	const struct skep_jit_group *group = &j->group[j->checked && !x->careful ? j->slot : 0];
	uint32_t len = width / 8, slow, back;
	struct x_addr a = *at;
	int site;

	if (!j->checked || j->proof[j->slot])
		return;
	if (x->careful)
		group = NULL;
	else if (group->member)
		return;
	else if (!group->len)
		group = NULL;
	if (group) {
		len = group->len;
		a.disp += group->min;
	}
	/* What is careful runs when a run is about to end: not worth a site. */
	site = x->careful ? -1 : site_for(x, at, len, write);
	slow = cold_check_label(x, len, write, site, group, &back);
	lea(j, &a);
	if (site < 0) {
		x_jmp(j, slow);
	} else {
		x_mem(j, 0, true, 0x2b, R11, VM, SITE_AT(site, start), false);
		x_mem(j, 0, true, 0x3b, R11, VM, SITE_AT(site, last), false);
		x_jcc(j, CC_A, slow);
	}
	skep_jit_place(j, back);
}

static void check(struct x86 *x, int bpf_base, int32_t off, uint32_t width, bool write)
{
	struct x_addr a = {.base = map[bpf_base], .index = -1, .disp = off};

	if (bpf_base != BPF_REG_10 || off < -SKEP_VM_STACK || off + (int32_t)width / 8 > 0)
		check_at(x, &a, width, write);
}

/* Atomic accesses must be aligned.  Leaves the address in r11. */
static void check_atomic(struct x86 *x, int bpf_base, int32_t off, uint32_t width, bool write)
{
	check(x, bpf_base, off, width, write);
	x_lea(x->j, R11, map[bpf_base], off);
	if (width == 8)
		return;
	x_rex(x->j, false, 0, 0, R11, false);
	skep_jit_byte(x->j, 0xf6); /* test r11b, len - 1 */
	skep_jit_byte(x->j, 0xc0 | (R11 & 7));
	skep_jit_byte(x->j, (uint8_t)(width / 8 - 1));
	x_jcc(x->j, CC_NE, skep_x86_cold(x, COLD_UNALIGNED, width / 8, write, NULL));
}

/* Arithmetic. */

/* The flags say how the result of this operation compares with 0. */
static void leave_flags(struct x86 *x, int reg, bool w)
{
	x->flags_at = x->j->len;
	x->flags_reg = reg;
	x->flags_w = w;
}

static bool has_flags(const struct x86 *x, int reg, bool w)
{
	return x->flags_at == x->j->len && x->flags_reg == reg && x->flags_w == w &&
	       (x->j->passes & SKEP_JIT_PASS_FUSE);
}

static void binary_x(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, uint8_t op)
{
	x_rr(x->j, W, op, SRC, DST);
	leave_flags(x, DST, W);
}

static void binary_k(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, uint8_t op)
{
	int32_t imm = (int32_t)in->imm;

	if (op == X_AND && imm == 0xff)
		x_rr8(x->j, false, 0x0fb6, DST, DST);
	else if (op == X_AND && imm == 0xffff)
		x_rr(x->j, false, 0x0fb7, DST, DST);
	else if (op == X_AND && imm > 0)
		x_imm(x->j, false, op, DST, imm);
	else if (op == X_XOR && imm == -1 && W)
		x_group3(x->j, true, 2, DST);
	else {
		x_imm(x->j, W, op, DST, imm);
		leave_flags(x, DST, W);
	}
}

#define BINARY(name, op) FORMS(name, binary_k(x, in, width, op), binary_x(x, in, width, op))
BINARY(ADD, X_ADD)
BINARY(SUB, X_SUB)
BINARY(OR, X_OR)
BINARY(AND, X_AND)
BINARY(XOR, X_XOR)
#undef BINARY

/* A multiplication takes three cycles: a shift, or an address of dst and dst scaled, one. */
static void multiply_k(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	struct x_addr a = {.base = DST, .index = DST};
	int32_t imm = (int32_t)in->imm;

	if (imm == 3 || imm == 5 || imm == 9) {
		a.scale = __builtin_ctz((unsigned int)imm - 1);
		x_mem_at(x->j, 0, W, 0x8d, DST, &a, false);
		return;
	}
	if (imm > 1 && (imm & (imm - 1)) == 0) {
		x_shift(x->j, W, 4, DST, (unsigned int)__builtin_ctz((unsigned int)imm));
		return;
	}
	x_rr(x->j, W, fits8(imm) ? 0x6b : 0x69, DST, DST);
	if (fits8(imm))
		skep_jit_byte(x->j, (uint8_t)imm);
	else
		skep_jit_u32(x->j, (uint32_t)imm);
}

FORMS(MUL, multiply_k(x, in, width), x_rr(x->j, W, 0x0faf, DST, SRC))

static void shift_k(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, int digit)
{
	unsigned int by = (unsigned int)in->imm & (width - 1);

	if (by)
		x_shift(x->j, W, digit, DST, by);
	else if (!W)
		x_mov(x->j, false, DST, DST);
}

/* Without BMI2 the count must be in cl. */
static void shift_by_cl(struct x86 *x, int dst, int src, bool w, int digit)
{
	struct skep_jit *j = x->j;

	if (src == RCX && dst != RCX) {
		x_rr(j, w, 0xd3, digit, dst);
		return;
	}
	x_mov(j, true, R11, RCX);
	x_mov(j, true, RCX, src);
	x_rr(j, w, 0xd3, digit, dst == RCX ? R11 : dst);
	x_mov(j, true, RCX, R11);
}

static void shift_x(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, int digit)
{
	static const uint8_t pp[8] = {[4] = 1, [5] = 3, [7] = 2};

	if (x->bmi2)
		x_shift_by(x->j, W, pp[digit], DST, DST, SRC);
	else
		shift_by_cl(x, DST, SRC, W, digit);
}

#define SHIFT(name, digit) FORMS(name, shift_k(x, in, width, digit), shift_x(x, in, width, digit))
SHIFT(LSH, 4)
SHIFT(RSH, 5)
SHIFT(ARSH, 7)
#undef SHIFT

static void move(struct x86 *x, int dst, int src, bool w)
{
	if (!w || dst != src)
		x_mov(x->j, w, dst, src);
}

FORMS(MOV, x_const(x->j, DST, W ? (uint64_t)in->imm : (uint32_t)in->imm), move(x, DST, SRC, W))
ROW(NEG64, x_group3(x->j, true, 3, DST))
ROW(NEG32, x_group3(x->j, false, 3, DST))
ROW(MOVSX64_8, x_rr8(x->j, true, 0x0fbe, DST, SRC))
ROW(MOVSX64_16, x_rr(x->j, true, 0x0fbf, DST, SRC))
ROW(MOVSX64_32, x_rr(x->j, true, 0x63, DST, SRC))
ROW(MOVSX32_8, x_rr8(x->j, false, 0x0fbe, DST, SRC))
ROW(MOVSX32_16, x_rr(x->j, false, 0x0fbf, DST, SRC))

static void swap16(struct x86 *x, int reg)
{
	skep_jit_byte(x->j, 0x66); /* ror r16, 8 */
	x_shift(x->j, false, 1, reg, 8);
	x_rr(x->j, false, 0x0fb7, reg, reg);
}

static void swap(struct x86 *x, int reg, bool w)
{
	x_rex(x->j, w, 0, 0, reg, false);
	skep_jit_byte(x->j, 0x0f);
	skep_jit_byte(x->j, (uint8_t)(0xc8 | (reg & 7)));
}

ROW(LE16, x_rr(x->j, false, 0x0fb7, DST, DST))
ROW(LE32, x_mov(x->j, false, DST, DST))
ROW(LE64, (void)x)
ROW(BE16, swap16(x, DST))
ROW(BE32, swap(x, DST, false))
ROW(BE64, swap(x, DST, true))
ROW(BSWAP16, swap16(x, DST))
ROW(BSWAP32, swap(x, DST, false))
ROW(BSWAP64, swap(x, DST, true))

/* Jumps. */

static void branch(struct x86 *x, const struct skep_vm_insn *in, int cc)
{
	if (x->into >= 0 && x->from < 0) /* setcc */
		x_rr8(x->j, false, 0x0f90u | (uint32_t)(cc ^ !x->when), 0, x->into);
	else if (x->into >= 0) /* cmovcc */
		x_rr(x->j, true, 0x0f40u | (uint32_t)(cc ^ !x->when), x->into, x->from);
	else if (x->out != UINT32_MAX) {
		uint32_t slot = x->j->slot;

		x->j->slot = x->top; /* distances are counted from where the copy begins */
		x_jcc(x->j, cc ^ 1, x->out);
		x->j->slot = slot;
	} else if (target(x, in) == x->next && in->off != 1) {
		x->turned = true;
		x_jcc(x->j, cc ^ 1, x->j->slot + 1);
	} else
		x_jcc(x->j, cc, target(x, in));
}

static void charge_back(struct x86 *x, const struct skep_vm_insn *in)
{
	uint32_t n = (uint32_t)-in->off + 1;

	if (in->off <= 0 && x->j->proof[x->j->slot])
		x_imm(x->j, true, X_SUB, LEFT, (int32_t)n);
	else if (in->off <= 0)
		skep_x86_charge(x, n);
}

static void compare_k(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, int cc)
{
	int32_t imm = (int32_t)in->imm;

	charge_back(x, in);
	if (imm == 0 && (cc == CC_E || cc == CC_NE) && has_flags(x, DST, W))
		; /* as the last operation has left them */
	else if (imm == 0 && cc != CC_B && cc != CC_AE)
		x_rr(x->j, W, X_TEST, DST, DST);
	else
		x_imm(x->j, W, X_CMP, DST, imm);
	branch(x, in, cc);
}

static void compare_x(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, int cc)
{
	charge_back(x, in);
	x_rr(x->j, W, X_CMP, SRC, DST);
	branch(x, in, cc);
}

#define COMPARE(name, cc) FORMS(name, compare_k(x, in, width, cc), compare_x(x, in, width, cc))
COMPARE(JEQ, CC_E)
COMPARE(JNE, CC_NE)
COMPARE(JGT, CC_A)
COMPARE(JGE, CC_AE)
COMPARE(JLT, CC_B)
COMPARE(JLE, CC_BE)
COMPARE(JSGT, CC_G)
COMPARE(JSGE, CC_GE)
COMPARE(JSLT, CC_L)
COMPARE(JSLE, CC_LE)
#undef COMPARE

static void test_k(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	charge_back(x, in);
	x_test_imm(x->j, W, DST, (int32_t)in->imm);
	branch(x, in, CC_NE);
}

static void test_x(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	charge_back(x, in);
	x_rr(x->j, W, X_TEST, SRC, DST);
	branch(x, in, CC_NE);
}

FORMS(JSET, test_k(x, in, width), test_x(x, in, width))

static void jump(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	charge_back(x, in);
	if (target(x, in) != x->next)
		x_jmp(x->j, target(x, in));
}

ROW(JA, jump(x, in, width))
ROW(JA32, jump(x, in, width))

/* r11 = &vm->frames[vm->depth].may_goto, less the place of the frames in the vm */
void skep_x86_frame_address(struct x86 *x)
{
	x_load(x->j, false, R11, VM, AT(depth));
	x_rr(x->j, true, 0x69, R11, R11);
	skep_jit_u32(x->j, sizeof(struct skep_vm_frame));
	x_rr(x->j, true, X_ADD, VM, R11);
}

FN(MAY_GOTO)
{
	uint32_t go_on = skep_jit_label(x->j);

	skep_x86_frame_address(x);
	x_mem_imm(x->j, true, X_SUB, R11, AT(frames[0].may_goto), 1);
	x_jcc(x->j, CC_AE, go_on);
	/* It was 0: used up, and stays so. */
	x_mem_imm(x->j, true, X_ADD, R11, AT(frames[0].may_goto), 1);
	charge_back(x, in);
	x_jmp(x->j, target(x, in));
	skep_jit_place(x->j, go_on);
}

/* Loads and stores. */

/* The address of a load or store. */
static struct x_addr address(const struct skep_vm_insn *in, uint8_t bpf_base)
{
	unsigned int index = skep_jit_index(in);

	return (struct x_addr){
		.base = index & SKEP_JIT_NO_BASE ? -1 : map[bpf_base],
		.index = index & SKEP_JIT_INDEX ? map[(index & SKEP_JIT_INDEX) - 1] : -1,
		.scale = (int)(index >> 4 & 3),
		.disp = in->off,
	};
}

static void load(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, bool w, uint32_t op)
{
	struct x_addr a = address(in, in->src);

	if (!skep_jit_in_frame(in))
		check_at(x, &a, width, false);
	x_mem_at(x->j, 0, w, op, DST, &a, false);
}

ROW(LDX8, load(x, in, width, false, 0x0fb6))
ROW(LDX16, load(x, in, width, false, 0x0fb7))
ROW(LDX32, load(x, in, width, false, 0x8b))
ROW(LDX64, load(x, in, width, true, 0x8b))
ROW(LDSX8, load(x, in, width, true, 0x0fbe))
ROW(LDSX16, load(x, in, width, true, 0x0fbf))
ROW(LDSX32, load(x, in, width, true, 0x63))

/* What operand.c makes of a load and its use: the check, then the operation. */
FN(check)
{
	const struct skep_insn_info *row = &skep_insn_table[SKEP_JIT_OP(in)];
	struct x_addr a = address(in, in->src);

	if (!skep_jit_is_frame_access(in, in->src, row->width))
		check_at(x, &a, row->width, false);
}

/* By a row's code: the operation on memory, with 32 or 64 bits. */
static const uint8_t memory_ops[16] = {
	[BPF_ADD >> 4] = X_ADD, [BPF_SUB >> 4] = X_SUB, [BPF_OR >> 4] = X_OR,
	[BPF_AND >> 4] = X_AND, [BPF_XOR >> 4] = X_XOR,
};

FN(operand)
{
	const struct skep_insn_info *row = &skep_insn_table[SKEP_JIT_OP(in)];
	struct x_addr a = address(in, in->src);
	uint8_t op = memory_ops[row->code >> 4];

	/* With another bit of the operation memory is the second operand. */
	x_mem_at(x->j, 0, row->width == 64, op ? op | 2u : 0x0faf, DST, &a, false);
	if (op)
		leave_flags(x, DST, row->width == 64);
}

FN(change)
{
	const struct skep_insn_info *row = &skep_insn_table[SKEP_JIT_OP(in)];
	struct x_addr a = address(in, in->dst);
	unsigned int bits = SKEP_JIT_WIDTH_OF(in);
	uint8_t op = memory_ops[row->code >> 4], prefix = bits == 16 ? 0x66 : 0;
	int32_t imm = (int32_t)(in->imm >> 32);

	if (!skep_jit_is_frame_access(in, in->dst, bits))
		check_at(x, &a, bits, true);
	if (row->src == SKEP_F_READ) { /* without the lowest bit: bytes */
		x_mem_at(x->j, prefix, bits == 64, bits == 8 ? op & ~1u : op, SRC, &a, bits == 8);
		return;
	}
	x_mem_at(x->j, prefix, bits == 64,
		 bits == 8    ? 0x80
		 : fits8(imm) ? 0x83
			      : 0x81,
		 op >> 3 & 7, &a, false);
	if (fits8(imm))
		skep_jit_byte(x->j, (uint8_t)imm);
	else
		skep_jit_u32(x->j, (uint32_t)imm);
}

static void store(struct x86 *x, const struct x_addr *a, int reg, uint32_t width)
{
	x_mem_at(x->j, width == 16 ? 0x66 : 0, W, width == 8 ? 0x88 : 0x89, reg, a, width == 8);
}

static void store_k(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	struct x_addr a = address(in, in->dst);
	struct skep_jit *j = x->j;

	if (!skep_jit_in_frame(in))
		check_at(x, &a, width, true);
	if (j->blind) {
		skep_x86_blind(x, (int32_t)in->imm);
		store(x, &a, R11, width);
		return;
	}
	x_mem_at(j, width == 16 ? 0x66 : 0, W, width == 8 ? 0xc6 : 0xc7, 0, &a, false);
	if (width == 8) {
		skep_jit_byte(j, (uint8_t)in->imm);
	} else if (width == 16) {
		skep_jit_byte(j, (uint8_t)in->imm);
		skep_jit_byte(j, (uint8_t)(in->imm >> 8));
	} else {
		skep_jit_u32(j, (uint32_t)in->imm);
	}
}

static void store_x(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	struct x_addr a = address(in, in->dst);

	if (!skep_jit_in_frame(in))
		check_at(x, &a, width, true);
	store(x, &a, SRC, width);
}

/* x86 orders loads after loads and stores after all: plain moves have acquire and release. */
static void load_acquire(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	static const uint16_t op[] = {[1] = 0x0fb6, [2] = 0x0fb7, [4] = 0x8b, [8] = 0x8b};

	check_atomic(x, in->src, in->off, width, false);
	x_mem(x->j, 0, W, op[width / 8], DST, R11, 0, false);
}

static void store_release(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	struct x_addr a = {.base = map[in->dst], .index = -1, .disp = in->off};

	check_atomic(x, in->dst, in->off, width, true);
	store(x, &a, SRC, width);
}

#define WIDTHS(name, emit) \
	ROW(name##8, emit) \
	ROW(name##16, emit) \
	ROW(name##32, emit) \
	ROW(name##64, emit)
WIDTHS(ST, store_k(x, in, width))
WIDTHS(STX, store_x(x, in, width))
WIDTHS(LOAD_ACQ, load_acquire(x, in, width))
WIDTHS(STORE_REL, store_release(x, in, width))
#undef WIDTHS

#define LOCK 0xf0

/* An operation on memory at r11, with src. */
static void atomic(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, uint8_t prefix,
		   uint32_t op)
{
	check_atomic(x, in->dst, in->off, width, true);
	x_mem(x->j, prefix, W, op, SRC, R11, 0, false);
}

/* or, and, xor have no form that gives the old value: compare and exchange until it holds. */
static void fetch_loop(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, uint8_t op)
{
	struct skep_jit *j = x->j;
	uint32_t again = skep_jit_label(j);

	check_atomic(x, in->dst, in->off, width, true);
	skep_x86_keep_left(j);
	x_mov(j, true, R10, RAX);
	x_load(j, W, RAX, R11, 0);
	skep_jit_place(j, again);
	x_mov(j, true, R9, RAX);
	x_rr(j, W, op, SRC == RAX ? R10 : SRC, R9);
	x_mem(j, LOCK, W, 0x0fb1, R9, R11, 0, false);
	x_jcc(j, CC_NE, again);
	skep_x86_take_left(j);
	if (SRC == RAX)
		return;
	x_mov(j, W, SRC, RAX);
	x_mov(j, true, RAX, R10);
}

static void compare_exchange(struct x86 *x, const struct skep_vm_insn *in, uint32_t width)
{
	atomic(x, in, width, LOCK, 0x0fb1);
	if (!W) /* eax is left alone when it was equal */
		x_mov(x->j, false, RAX, RAX);
}

#define RMW(name, plain, fetch) \
	ROW(ATOMIC_##name##_32, plain) \
	ROW(ATOMIC_##name##_64, plain) \
	ROW(ATOMIC_##name##_FETCH32, fetch) \
	ROW(ATOMIC_##name##_FETCH64, fetch)
RMW(ADD, atomic(x, in, width, LOCK, X_ADD), atomic(x, in, width, LOCK, 0x0fc1))
RMW(OR, atomic(x, in, width, LOCK, X_OR), fetch_loop(x, in, width, X_OR))
RMW(AND, atomic(x, in, width, LOCK, X_AND), fetch_loop(x, in, width, X_AND))
RMW(XOR, atomic(x, in, width, LOCK, X_XOR), fetch_loop(x, in, width, X_XOR))
#undef RMW
ROW(ATOMIC_XCHG32, atomic(x, in, width, 0, 0x87))
ROW(ATOMIC_XCHG64, atomic(x, in, width, 0, 0x87))
ROW(ATOMIC_CMPXCHG32, compare_exchange(x, in, width))
ROW(ATOMIC_CMPXCHG64, compare_exchange(x, in, width))

FN(LDDW)
{
	uint64_t key = x->j->blind ? secret(x) : 0;

	x_const(x->j, DST, (uint64_t)in->imm ^ key);
	if (!key)
		return;
	x_const(x->j, R11, key);
	x_rr(x->j, true, X_XOR, R11, DST);
}

#define CONSTANT(name) ROW(name, x_const(x->j, DST, (uint64_t)in->imm))
CONSTANT(LDDW_MAP_FD)
CONSTANT(LDDW_MAP_VALUE)
CONSTANT(LDDW_VAR)
CONSTANT(LDDW_FUNC)
CONSTANT(LDDW_MAP_IDX)
CONSTANT(LDDW_MAP_IDX_VALUE)
#undef CONSTANT

#endif
