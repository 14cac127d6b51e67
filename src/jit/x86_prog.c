/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64: a whole program.  First the stub that C calls and the common code,
 * then the functions in the order of their instructions, then the cold part.
 */
#if defined(__x86_64__)

#include <errno.h>
#include <string.h>

#include "jit/jit.h"
#include "jit/opt.h"
#include "jit/x86_emit.h"

const uint8_t skep_x86_map[12] = {RAX, RDI, RSI, RDX, RCX, R8, RBX, R13, R14, R15, RBP, R11};
const uint8_t skep_x86_saved[4] = {RBX, R13, R14, R15};

static skep_x86_fn *const emitters[SKEP_JIT_OP_MAX] = {
#define SKEP_INSN(name, ...) [SKEP_OP_##name] = skep_x86_##name,
#include "isa/isa.def"
	[SKEP_VM_OP_TAIL_CALL] = skep_x86_tail_call,
	[SKEP_JIT_NOP] = skep_x86_nop,
	[SKEP_JIT_LEA] = skep_x86_lea,
	[SKEP_JIT_LEA_INDEX] = skep_x86_lea_index,
	[SKEP_JIT_LEA32] = skep_x86_lea32,
	[SKEP_JIT_LEA32_INDEX] = skep_x86_lea32_index,
	[SKEP_JIT_ZEXT8] = skep_x86_zext8,
	[SKEP_JIT_ZEXT16] = skep_x86_zext16,
	[SKEP_JIT_ROL64] = skep_x86_rotate64,
	[SKEP_JIT_ROL32] = skep_x86_rotate32,
	[SKEP_JIT_LOOKUP] = skep_x86_lookup,
	[SKEP_JIT_LOOKUP_ROW] = skep_x86_lookup_row,
	[SKEP_JIT_GET] = skep_x86_get,
	[SKEP_JIT_BIT] = skep_x86_nop, /* emit_select() */
	[SKEP_JIT_CONST] = skep_x86_LDDW,
	[SKEP_JIT_LOOP] = skep_x86_loop,
	[SKEP_JIT_OPERAND] = skep_x86_operand,
	[SKEP_JIT_CHECK] = skep_x86_check,
	[SKEP_JIT_CHANGE] = skep_x86_change,
};

const char *skep_jit_arch(void)
{
	return "x86-64";
}

/*
 * The frame of both stubs: what C wants back of the registers that programs
 * use, then two values and what aligns the stack.  rdi is the machine.
 *
 * Who fails, however deep in calls, returns to the stub as the program would:
 * the address for it stands below native_sp as long as the program runs.
 */
static void stub_head(struct x86 *x)
{
	struct skep_jit *j = x->j;
	int i;

	x_endbr64(j);
	x_push(j, RBP);
	x_push(j, R12);
	for (i = 0; i < 4; i++)
		if (x->host_save & 1 << i)
			x_push(j, skep_x86_saved[i]);
}

static void stub_enter(struct x86 *x)
{
	struct skep_jit *j = x->j;

	j->stub_body = (uint32_t)j->len - j->enter;
	x_mov(j, true, VM, RDI);
	x_store(j, true, VM, AT(native_sp), RSP);
	skep_x86_take_left(j);
}

static void stub_tail(struct x86 *x)
{
	struct skep_jit *j = x->j;
	int i;

	for (i = 3; i >= 0; i--)
		if (x->host_save & 1 << i)
			x_pop(j, skep_x86_saved[i]);
	x_pop(j, R12);
	x_pop(j, RBP);
	x_ret(j);
}

/* What aligns the stack: the return address, both registers and values make an odd number. */
static int32_t stub_padding(const struct x86 *x)
{
	return __builtin_popcount(x->host_save) % 2 ? 0 : 8;
}

/* vm->left is what the program says that has ended, which tail calls may have changed. */
static void left_of_ended(struct x86 *x)
{
	struct skep_jit *j = x->j;
	uint32_t skip = skep_jit_label(j);

	if (!j->tails) {
		skep_x86_keep_left(j);
		return;
	}
	x_mem(j, 0, false, 0x80, 7, VM, AT(counted), false); /* cmp byte, 0 */
	skep_jit_byte(j, 0);
	x_jcc(j, CC_E, skip);
	x_store(j, true, VM, AT(left), LEFT);
	skep_jit_place(j, skip);
}

/* False for what C keeps in the register of BPF's r@i: the program does not name it. */
static bool belongs(const struct x86 *x, int i)
{
	return i < 6 || i == 10 || x->host_save & 1 << (i - 6);
}

/*
 * uint64_t enter(struct skep_vm *vm, ctx, len): the program from its start; r0.
 * It does not hand native_sp from run to run: that would be a chain through memory.
 */
static void enter_stub(struct x86 *x)
{
	struct skep_jit *j = x->j;
	int32_t frame = 16 + stub_padding(x);
	int i;

	j->enter = (uint32_t)j->len;
	stub_head(x);
	x_imm(j, true, X_SUB, RSP, frame);
	stub_enter(x);
	x_mov(j, true, skep_x86_map[1], RSI);
	x_mov(j, true, skep_x86_map[2], RDX);
	x_lea(j, RBP, VM, AT(stack) + (int32_t)sizeof(((struct skep_vm *)0)->stack));
	for (i = 0; i < 10; i++)
		if (i != 1 && i != 2 && belongs(x, i))
			x_const(j, skep_x86_map[i], 0);
	x_call(j, skep_x86_entry(x, 0));
	left_of_ended(x);
	x_imm(j, true, X_ADD, RSP, frame);
	stub_tail(x);
}

/* void stub(struct skep_vm *vm, uint64_t r[11], const void *entry): the function at entry; r[0]. */
static void stub(struct x86 *x)
{
	struct skep_jit *j = x->j;
	int32_t padding = stub_padding(x);
	int i;

	stub_head(x);
	x_push(j, RSI);
	x_mem(j, 0, false, 0xff, 6, RDI, AT(native_sp), false); /* push: callbacks nest */
	if (padding)
		x_imm(j, true, X_SUB, RSP, padding);
	stub_enter(x);
	x_mov(j, true, R11, RDX);
	for (i = 0; i < 11; i++)
		if (i != 2 && belongs(x, i)) /* rsi, the array's address, last */
			x_load(j, true, skep_x86_map[i], RSI, i * 8);
	x_load(j, true, RSI, RSI, 2 * 8);
	x_indirect(j, 2, R11);
	left_of_ended(x);
	if (padding)
		x_imm(j, true, X_ADD, RSP, padding);
	x_mem(j, 0, false, 0x8f, 0, VM, AT(native_sp), false); /* pop */
	x_pop(j, RSI);
	x_store(j, true, RSI, 0, RAX);
	stub_tail(x);
}

/* Ends the run, which has failed. */
static void fail(struct x86 *x)
{
	struct skep_jit *j = x->j;

	skep_jit_place(j, x->fail);
	x_load(j, true, RSP, VM, AT(native_sp));
	x_imm(j, true, X_SUB, RSP, 8);
	x_ret(j);
}

/* The stack as it was when the program began, for calls of C that end it. */
static void unwind(struct skep_jit *j)
{
	x_load(j, true, RSP, VM, AT(native_sp));
	x_imm(j, true, X_SUB, RSP, 16); /* the way back to the stub is kept */
}

static const uint8_t volatile_regs[] = {RAX, RDI, RSI, RDX, RCX, R8};
#define NR_VOLATILE ((int)sizeof(volatile_regs))

/* Saves what C may change, aligns the stack; rax is the way back. */
static void enter_c(struct skep_jit *j, int first)
{
	int i;

	for (i = first; i < NR_VOLATILE; i++)
		x_push(j, volatile_regs[i]);
	x_mov(j, true, RAX, RSP);
	x_imm(j, true, X_AND, RSP, -16);
	x_push(j, RAX);
	x_push(j, RAX);
}

static void leave_c(struct skep_jit *j, int first)
{
	int i;

	x_load(j, true, RSP, RSP, 8);
	for (i = NR_VOLATILE - 1; i >= first; i--)
		x_pop(j, volatile_regs[i]);
}

/* r11: address, r9: bytes.  Flags as of cc E: the access is not good. */
static void find_thunk(struct x86 *x, bool write)
{
	struct skep_jit *j = x->j;

	skep_jit_place(j, x->find[write]);
	enter_c(j, 0);
	x_mov(j, true, RDI, VM);
	x_mov(j, true, RSI, R11);
	x_mov(j, true, RDX, R9);
	x_const(j, RCX, write);
	x_call_at(j, (const void *)(uintptr_t)skep_vm_find);
	x_rr(j, false, 0x84, RAX, RAX);
	leave_c(j, 0);
	x_ret(j);
}

/* The same, r10: instruction.  Comes back only if the access is good. */
static void check_thunk(struct x86 *x, bool write)
{
	struct skep_jit *j = x->j;

	skep_jit_place(j, x->check[write]);
	enter_c(j, 0);
	x_mov(j, true, RDI, VM);
	x_mov(j, true, RSI, R10);
	x_mov(j, true, RDX, R11);
	x_mov(j, true, RCX, R9);
	x_const(j, R8, write);
	x_call_at(j, (const void *)(uintptr_t)skep_vm_check);
	x_rr(j, false, 0x84, RAX, RAX); /* test al, al; neither mov nor pop change flags */
	leave_c(j, 0);
	x_jcc(j, CC_E, x->fail);
	x_ret(j);
}

/* r11: offset, r10: bytes.  rax: the value; r11: 0 if there is none. */
static void packet_thunk(struct x86 *x)
{
	struct skep_jit *j = x->j;

	skep_jit_place(j, x->packet);
	enter_c(j, 1);
	x_imm(j, true, X_SUB, RSP, 16);
	x_mov(j, true, RDI, VM);
	x_mov(j, true, RSI, R11);
	x_mov(j, true, RDX, R10);
	x_mov(j, true, RCX, RSP);
	x_call_c(j, (const void *)(uintptr_t)skep_vm_load_packet);
	x_rr8(j, false, 0x0fb6, R11, RAX);
	x_load(j, true, RAX, RSP, 0);
	x_imm(j, true, X_ADD, RSP, 16);
	leave_c(j, 1);
	x_mem_imm(j, false, X_CMP, VM, AT(failed), 0);
	x_jcc(j, CC_NE, x->fail);
	x_ret(j);
}

/* Clears the frame below rbp: without proof nobody said that it is written before it is read. */
static void zero_thunk(struct x86 *x)
{
	struct skep_jit *j = x->j;
	int i;

	skep_jit_place(j, x->zero);
	skep_jit_byte(j, 0x0f); /* xorps xmm0, xmm0 */
	skep_jit_byte(j, 0x57);
	skep_jit_byte(j, 0xc0);
	for (i = -SKEP_VM_STACK; i < 0; i += 16)
		x_mem(j, 0, false, 0x0f11, 0, RBP, i, false); /* movups */
	x_ret(j);
}

/* Which of r6 to r9 an instruction names, as bits. */
static uint8_t saves(const struct skep_vm_insn *in)
{
	uint8_t save = 0;

	if (in->dst >= 6 && in->dst <= 9)
		save |= (uint8_t)(1 << (in->dst - 6));
	if (in->src >= 6 && in->src <= 9)
		save |= (uint8_t)(1 << (in->src - 6));
	return save;
}

/* What a leaf uses of r6 to r9: it needs no more of a frame. */
static uint8_t leaf_saves(const struct skep_vm_prog *prog, uint32_t slot)
{
	uint8_t save = 0;
	uint32_t i;

	for (i = slot; i < prog->nr && (i == slot || !prog->is_func[i]); i++)
		save |= saves(&prog->insns[i]);
	return save;
}

static void function(struct x86 *x, uint32_t slot)
{
	struct skep_jit *j = x->j;
	bool leaf = j->prog->is_func[slot] & SKEP_VM_LEAF;
	int i;

	x->here_save = leaf ? leaf_saves(j->prog, slot) : x->save;
	x->here_frame = leaf ? 0 : x->frame;
	skep_jit_place(j, skep_x86_entry(x, slot));
	x_endbr64(j);
	for (i = 0; i < 4; i++)
		if (x->here_save & 1 << i)
			x_push(j, skep_x86_saved[i]);
	if (x->here_frame)
		x_imm(j, true, X_SUB, RSP, x->here_frame);
}

/* To a multiple of @size. */
static void align(struct skep_jit *j, size_t size)
{
	/* nop, with prefixes and addresses that make it as long as it has to be. */
	static const uint64_t nops[] = {0x90,	    0x9066,   0x1f0f,	0x401f0f,  0x441f0f,
					0x441f0f66, 0x801f0f, 0x841f0f, 0x841f0f66};
	/* In the first pass, where distances are bounds, the most that it can be. */
	size_t n = j->pass ? -j->len & (size - 1) : size - 1;

	while (n) {
		size_t len = n > 9 ? 9 : n;

		skep_jit_bytes(j, nops[len - 1], len > 8 ? 8 : (unsigned int)len);
		if (len > 8) /* the last byte of the displacement */
			skep_jit_byte(j, 0);
		n -= len;
	}
}

/* The form of @in with its immediate in r11, if blinding is wanted and it has one. */
static const struct skep_vm_insn *blinded(struct x86 *x, const struct skep_vm_insn *in,
					  struct skep_vm_insn *copy)
{
	const struct skep_insn_info *row;
	uint8_t op;

	if (!x->j->blind || in->op >= SKEP_OP_MAX)
		return in;
	row = &skep_insn_table[in->op];
	op = row->code & 0xf0;
	if (row->imm != SKEP_F_ANY)
		return in;
	if (row->kind != SKEP_KIND_ALU && row->kind != SKEP_KIND_COND)
		return in;
	/* Six bits of a shift are nothing to write programs with. */
	if (row->kind == SKEP_KIND_ALU && (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH))
		return in;
	skep_x86_blind(x, (int32_t)in->imm);
	*copy = *in;
	copy->op++; /* the row of the same operation by register */
	copy->src = SKEP_X86_CONST;
	return copy;
}

/* The instruction at the current slot. */
static void emit_one(struct x86 *x)
{
	const struct skep_vm_insn *in = &x->j->ir[x->j->slot];
	bool row = in->op < SKEP_OP_MAX;
	struct skep_vm_insn copy;

	in = blinded(x, in, &copy);
	emitters[in->op](x, in, row ? skep_insn_table[in->op].width : 0);
}

/*
 * What the code of @slot is aligned to: tops of loops to a line of the cache, so
 * that small ones have no more of them than they need; and inside of loops what
 * is only jumped to, where padding costs no time.
 */
static size_t alignment(const struct skep_jit *j, uint32_t slot, bool falls)
{
	if (j->leader[slot] & (j->tops ? 8 : 2))
		return 64;
	return (j->leader[slot] & 4) && !falls ? 16 : 1;
}

/* What the jump at the current slot would jump over: in r11, or where it belongs. */
static void emit_selected(struct x86 *x, bool in_place)
{
	struct skep_jit *j = x->j;
	const struct skep_vm_insn *in = &j->ir[j->slot], *k;
	uint8_t reg = in[1].dst;

	for (k = in + 1; k <= in + j->select[j->slot]; k++) {
		const struct skep_insn_info *row = &skep_insn_table[k->op];
		struct skep_vm_insn copy = *k;

		if (!in_place) {
			if (k == in + 1 && row->dst == SKEP_F_RDWR)
				x_mov(j, true, R11, x->into);
			copy.dst = SKEP_X86_CONST;
			if (k != in + 1 && copy.src == reg && row->src == SKEP_F_READ)
				copy.src = SKEP_X86_CONST;
		}
		emitters[k->op](x, &copy, row->width);
	}
}

/* The jump at the current slot and what it would jump over, without jumping. */
static void emit_select(struct x86 *x)
{
	struct skep_jit *j = x->j;
	const struct skep_vm_insn *in = &j->ir[j->slot];
	bool bit = in[1].op == SKEP_JIT_BIT;
	uint8_t copy = j->copy[j->slot];

	x->into = skep_x86_map[in[1].dst];
	x->from = bit ? -1 : copy ? skep_x86_map[copy - 1] : R11;
	x->when = copy || (bit && !in[1].imm);
	if (bit)
		x_const(j, x->into, 0);
	else
		emit_selected(x, copy);
	emitters[in->op](x, in, skep_insn_table[in->op].width);
	x->into = -1;
}

/* True if a loop begins at @i that is emitted twice. */
static bool begins_copied(const struct skep_jit *j, uint32_t i)
{
	return j->unroll && j->unroll[i];
}

/* The loop that begins at the current slot, once more. */
static void emit_copy(struct x86 *x)
{
	struct skep_jit *j = x->j;
	uint32_t top = j->slot, last = top + j->unroll[top];

	skep_jit_place(j, top);
	x->flags_at = SIZE_MAX;
	for (; j->slot < last; j->slot = skep_jit_next(j, j->slot))
		emit_one(x);
	x->top = top;
	x->out = skep_jit_next(j, last);
	emit_one(x);
	x->out = UINT32_MAX;
	j->slot = top;
}

/* Emits the instruction at @i and says whether control may come out at its end. */
static bool emit_slot(struct x86 *x, uint32_t i)
{
	struct skep_jit *j = x->j;
	uint8_t kind = skep_jit_kind(&j->ir[i]);
	uint32_t end;

	if (!begins_copied(j, i))
		skep_jit_place(j, i);
	if (j->leader[i]) /* who jumps here has left other flags, even if this slot emits nothing */
		x->flags_at = SIZE_MAX;
	x->turned = false;
	if (j->select[i]) {
		emit_select(x);
		for (end = i + j->select[i]; i < end;)
			skep_jit_place(j, ++i);
		return true;
	}
	emit_one(x);
	if (kind == SKEP_KIND_LDDW)
		skep_jit_place(j, i + 1);
	return kind != SKEP_KIND_JA && kind != SKEP_KIND_EXIT && !x->turned;
}

/* Emits @block; the block at @next follows.  @falls: what stands before runs into it. */
static bool emit_block(struct x86 *x, const struct skep_jit_block *block, uint32_t next, bool falls)
{
	struct skep_jit *j = x->j;
	const struct skep_vm_prog *prog = j->prog;
	uint32_t i, behind;

	for (i = block->start; i < block->end; i = behind) {
		j->slot = i;
		behind = j->select[i] ? i + 1 + j->select[i] : skep_jit_next(j, i);
		x->next = behind < block->end ? behind : next;
		/* Functions begin with more than their first instruction. */
		if (x->next < prog->nr && prog->is_func[x->next])
			x->next = UINT32_MAX;
		if (i == 0 || prog->is_func[i])
			function(x, i);
		if (j->leader[i] && (j->passes & SKEP_JIT_PASS_ALIGN))
			align(j, alignment(j, i, falls));
		if (j->leader[i] && begins_copied(j, i))
			emit_copy(x);
		falls = emit_slot(x, i);
		if (falls && x->next != behind && behind < prog->nr) {
			x_jmp(j, behind);
			falls = false;
		}
		falls |= x->turned;
	}
	return falls;
}

static void body(struct x86 *x)
{
	struct skep_jit *j = x->j;
	struct skep_jit_block all = {.end = j->prog->nr}, *blocks = j->blocks ? j->blocks : &all;
	uint32_t nr = j->blocks ? j->nr_blocks : 1, b;
	bool falls = false;

	for (b = 0; b < nr; b++)
		falls = emit_block(x, &blocks[b], b + 1 < nr ? blocks[b + 1].start : UINT32_MAX,
				   falls);
}

/* What ends a run from compiled code. */
static void too_deep(struct skep_vm *vm, const struct skep_vm_insn *pc)
{
	skep_vm_fail(vm, pc, SKEP_E_RUN_LIMIT, ELOOP, "calls nest deeper than %d frames",
		     SKEP_VM_FRAMES);
}

static void unaligned(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t addr,
		      uint32_t len)
{
	skep_vm_fail(vm, pc, SKEP_E_RUN_ACCESS, EFAULT,
		     "atomic access of %u bytes at 0x%llx is not aligned", len,
		     (unsigned long long)addr);
}

/* fn(vm, instruction, r11, len), then the run is over. */
static void cold_fail(struct x86 *x, const struct skep_jit_cold *c, const void *fn)
{
	struct skep_jit *j = x->j;

	unwind(j);
	x_mov(j, true, RDI, VM);
	x_const(j, RSI, (uint64_t)(uintptr_t)&j->prog->insns[c->slot]);
	x_mov(j, true, RDX, R11);
	x_const(j, RCX, c->len);
	x_call_c(j, fn);
	x_jmp(j, x->fail);
}

/* Goes to @no unless r11 is in the range at @start and @size of the machine.  r10: how far. */
static void compare_span(struct skep_jit *j, int32_t start, int32_t size, uint32_t len, uint32_t no)
{
	x_mov(j, true, R10, R11);
	x_mem(j, 0, true, 0x2b, R10, VM, start, false);
	x_load(j, true, R9, VM, size);
	x_imm(j, true, X_SUB, R9, (int32_t)len);
	x_jcc(j, CC_B, no);
	x_rr(j, true, X_CMP, R9, R10);
	x_jcc(j, CC_A, no);
}

/* From a check, which has used r9. */
static void go_back(struct skep_jit *j, const struct skep_jit_cold *c)
{
	skep_x86_take_left(j);
	x_jmp(j, c->back);
}

/* The entry's frame, which is there as long as the run: remembered for the site. */
static void compare_entry(struct skep_jit *j, const struct skep_jit_cold *c, uint32_t no)
{
	int32_t frame = AT(stack) + SKEP_VM_STACK * (SKEP_VM_FRAMES - 1);

	x_lea(j, R9, VM, frame);
	x_mov(j, true, R10, R11);
	x_rr(j, true, X_SUB, R9, R10);
	x_imm(j, true, X_CMP, R10, (int32_t)(SKEP_VM_STACK - c->len));
	x_jcc(j, CC_A, no);
	if (c->site >= 0) {
		x_store(j, true, VM, SITE_AT(c->site, start), R9);
		x_const(j, R9, SKEP_VM_STACK - c->len);
		x_store(j, true, VM, SITE_AT(c->site, last), R9);
	}
	go_back(j, c);
}

/* What was found is good for this site, too, unless that was too little to remember. */
static void remember(struct skep_jit *j, const struct skep_jit_cold *c)
{
	uint32_t end = skep_jit_label(j);

	if (c->site >= 0) {
		x_load(j, true, R9, VM, HIT_AT(c->write, size));
		x_imm(j, true, X_SUB, R9, (int32_t)c->len);
		x_jcc(j, CC_B, end);
		x_store(j, true, VM, SITE_AT(c->site, last), R9);
		x_load(j, true, R9, VM, HIT_AT(c->write, start));
		x_store(j, true, VM, SITE_AT(c->site, start), R9);
	}
	skep_jit_place(j, end);
	go_back(j, c);
}

/* Its accesses once more, each with its own check, for one of them will fail, or nearly. */
static void each_by_itself(struct x86 *x, const struct skep_jit_cold *c)
{
	struct skep_jit *j = x->j;
	uint32_t i;

	skep_x86_take_left(j);
	x->careful = true;
	for (i = c->slot; i <= c->last; i = skep_jit_next(j, i)) {
		j->slot = i;
		emit_one(x);
	}
	x->careful = false;
	x_jmp(j, i);
}

/* The entry's frame, what any site found last, the stack, then the slow check. */
static void cold_check(struct x86 *x, const struct skep_jit_cold *c)
{
	struct skep_jit *j = x->j;
	bool group = c->kind == COLD_GROUP;
	uint32_t hit = skep_jit_label(j), stack = skep_jit_label(j), slow = skep_jit_label(j);
	uint32_t found = skep_jit_label(j), bad = skep_jit_label(j);

	skep_x86_keep_left(j);
	if (c->site >= 0)
		x_mem(j, 0, true, 0x03, R11, VM, SITE_AT(c->site, start), false);
	compare_entry(j, c, hit);
	skep_jit_place(j, hit);
	compare_span(j, HIT_AT(c->write, start), HIT_AT(c->write, size), c->len, stack);
	x_jmp(j, found);
	skep_jit_place(j, stack);
	compare_span(j, AT(lo), AT(span), c->len, slow);
	go_back(j, c);
	skep_jit_place(j, slow);
	x_const(j, R10, (uint64_t)(uintptr_t)&j->prog->insns[c->slot]);
	x_const(j, R9, c->len);
	x_call(j, group ? x->find[c->write] : x->check[c->write]);
	if (group)
		x_jcc(j, CC_E, bad);
	skep_jit_place(j, found);
	remember(j, c);
	skep_jit_place(j, bad);
	if (group)
		each_by_itself(x, c);
}

/* The slice is used up.  Blinded immediates of the instruction wait in r11. */
static void cold_refill(struct x86 *x, const struct skep_jit_cold *c)
{
	struct skep_jit *j = x->j;

	x_push(j, R11);
	enter_c(j, 0);
	x_mov(j, true, RDI, VM);
	x_const(j, RSI, (uint64_t)(uintptr_t)&j->prog->insns[c->slot]);
	x_call_c(j, (const void *)(uintptr_t)skep_vm_refill);
	x_rr(j, false, 0x84, RAX, RAX); /* test al, al */
	leave_c(j, 0);
	x_pop(j, R11);
	x_jcc(j, CC_E, x->fail);
	x_jmp(j, c->back);
}

static void cold_enter(struct x86 *x, const struct skep_jit_cold *c)
{
	struct skep_jit *j = x->j;
	int i;

	left_of_ended(x);
	enter_c(j, 0);
	x_mov(j, true, RDI, VM);
	x_mov(j, true, RSI, R11);
	x_call_at(j, (const void *)(uintptr_t)skep_vm_enter);
	skep_x86_take_left(j);
	leave_c(j, 0);
	for (i = 1; i <= 5; i++) /* as skep_vm_pop() does */
		x_const(j, skep_x86_map[i], 0);
	x_jmp(j, c->back);
}

/* A signal handler has put the rest of the arguments into their registers. */
static void landing(struct x86 *x)
{
	struct skep_jit *j = x->j;

	skep_jit_place(j, j->landing);
	unwind(j);
	x_mov(j, true, RDI, VM);
	x_call_c(j, (const void *)(uintptr_t)skep_jit_faulted);
	x_jmp(j, x->fail);
}

static void cold_part(struct x86 *x)
{
	size_t i;

	for (i = 0; i < x->j->colds.len; i++) {
		const struct skep_jit_cold c = x->j->colds.data[i];

		x->j->slot = c.slot;
		skep_jit_place(x->j, c.label);
		switch ((enum skep_x86_cold)c.kind) {
		case COLD_CHECK:
		case COLD_GROUP: cold_check(x, &c); break;
		case COLD_ENTER: cold_enter(x, &c); break;
		case COLD_DIVISION:
			skep_x86_rare_division(x, c.len);
			x_jmp(x->j, c.back);
			break;
		case COLD_NULL:
			x_const(x->j, RAX, 0);
			x_jmp(x->j, c.back);
			break;
		case COLD_LIMIT: cold_refill(x, &c); break;
		case COLD_DEPTH: cold_fail(x, &c, (const void *)(uintptr_t)too_deep); break;
		case COLD_UNALIGNED: cold_fail(x, &c, (const void *)(uintptr_t)unaligned); break;
		}
	}
}

/* Which registers the program uses and whether it calls: the frame of its functions. */
static void plan(struct x86 *x)
{
	unsigned int pushes;

	x->save = x->j->named >> 6 & 15;
	/* 48 bytes for r1 to r5 and one more; with the return address a multiple of 16. */
	pushes = (unsigned int)__builtin_popcount(x->save);
	if (x->j->calls || x->j->local_calls || x->j->tails)
		x->frame = 48 + (pushes % 2 ? 0 : 8);
	/* What programs entered by tail calls use, and what calls of callbacks clear. */
	x->host_save = x->j->calls || x->j->tails ? 15 : x->save;
	x->bmi2 = __builtin_cpu_supports("bmi2");
}

void skep_jit_emit(struct skep_jit *j)
{
	struct x86 x = {.j = j, .into = -1, .out = UINT32_MAX};
	int i;

	plan(&x);
	j->slot = j->enter = 0;
	x.fail = skep_jit_label(j);
	x.check[0] = skep_jit_label(j);
	x.check[1] = skep_jit_label(j);
	x.find[0] = skep_jit_label(j);
	x.find[1] = skep_jit_label(j);
	x.packet = skep_jit_label(j);
	x.zero = skep_jit_label(j);
	stub(&x);
	enter_stub(&x);
	fail(&x);
	if (j->checked) {
		for (i = 0; i < 2; i++) {
			check_thunk(&x, i);
			find_thunk(&x, i);
		}
		zero_thunk(&x);
	}
	if (j->packets)
		packet_thunk(&x);
	body(&x);
	cold_part(&x);
	j->nr_sites = x.nr_sites;
	if (j->faults) {
		j->landing = skep_jit_label(j);
		landing(&x);
	}
	j->saved = x.save;
	j->stub_saved = x.host_save;
	j->frame = x.frame;
}

#endif
