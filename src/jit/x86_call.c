/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x86-64: calls of helpers, functions and programs, packet access through C,
 * and what the passes of opt.c make.  The emitters of plain instructions are
 * in x86.c.
 */
#if defined(__x86_64__)

#include <errno.h>
#include <string.h>

#include "jit/opt.h"
#include "jit/x86_emit.h"

#define map skep_x86_map

/* Calls. */

static void epilogue(struct x86 *x)
{
	int i;

	if (x->here_frame)
		x_imm(x->j, true, X_ADD, RSP, x->here_frame);
	for (i = 3; i >= 0; i--)
		if (x->here_save & 1 << i)
			x_pop(x->j, skep_x86_saved[i]);
}

FN(EXIT)
{
	skep_x86_look(x);
	epilogue(x);
	x_ret(x->j);
}

static void remember_pc(struct x86 *x)
{
	x_const(x->j, R11, (uint64_t)(uintptr_t)pc_of(x));
	x_store(x->j, true, VM, AT(pc), R11);
}

static void spill_args(struct x86 *x, int n)
{
	int i;

	for (i = 0; i < n; i++)
		x_store(x->j, true, RSP, i * 8, map[1 + i]);
}

static void reload_args(struct x86 *x)
{
	int i;

	for (i = 0; i < 5; i++)
		x_load(x->j, true, map[1 + i], RSP, i * 8);
}

static void fail_if_failed(struct x86 *x)
{
	x_mem_imm(x->j, false, X_CMP, VM, AT(failed), 0);
	x_jcc(x->j, CC_NE, x->fail);
}

FN(CALL)
{
	struct skep_jit *j = x->j;
	int n = 0;

	while (n < 5 && in->helper->args[n] != SKEP_ARG_NONE)
		n++;
	spill_args(x, j->checked ? 5 : n);
	skep_x86_charge(x, 1);
	remember_pc(x);
	if (j->checked) {
		x_mov(j, true, RDI, VM);
		x_mov(j, true, RSI, R11);
		x_mov(j, true, RDX, RSP);
		x_call_c(j, (const void *)(uintptr_t)skep_vm_check_args);
		x_rr8(j, false, 0x84, RAX, RAX);
		x_jcc(j, CC_E, x->fail);
	}
	x_mov(j, true, RDI, VM);
	x_mov(j, true, RSI, RSP);
	x_call_c(j, (const void *)(uintptr_t)in->helper->fn);
	fail_if_failed(x);
	/* Without proof nobody said that the program leaves r1 to r5 alone. */
	if (j->checked)
		reload_args(x);
}

FN(tail_call)
{
	struct skep_jit *j = x->j;
	uint32_t through = skep_jit_label(j), ran = skep_jit_label(j);

	spill_args(x, 5);
	skep_x86_charge(x, 1);
	remember_pc(x);
	x_mov(j, true, RDI, VM);
	x_mov(j, true, RSI, R11);
	x_mov(j, true, RDX, RSP);
	x_call_c(j, (const void *)(uintptr_t)skep_jit_tail);
	if (!j->counted) /* the target's may be */
		x_load(j, true, LEFT, VM, AT(left));
	fail_if_failed(x);
	x_mov(j, true, R11, RAX);
	reload_args(x);
	x_imm(j, true, X_CMP, R11, 1);
	x_jcc(j, CC_B, through);
	x_jcc(j, CC_E, ran);
	epilogue(x);
	x_indirect(j, 4, R11);
	skep_jit_place(j, ran);
	x_load(j, true, RAX, RSP, 40);
	epilogue(x);
	x_ret(j);
	skep_jit_place(j, through);
	x_const(j, RAX, (uint64_t)-EINVAL);
}

static void move_frame(struct x86 *x, uint8_t down, uint8_t up, uint8_t what)
{
	/* Nobody but those who call asks how deep they are. */
	if (!(what & SKEP_VM_LEAF))
		x_mem_imm(x->j, false, up, VM, AT(depth), 1);
	if (what & SKEP_VM_FRAMELESS)
		return;
	x_imm(x->j, true, down, RBP, SKEP_VM_STACK);
	if (!x->j->checked)
		return;
	x_mem_imm(x->j, true, down, VM, AT(lo), SKEP_VM_STACK);
	x_mem_imm(x->j, true, up, VM, AT(span), SKEP_VM_STACK);
}

/* There must be a frame left for a function. */
static void check_depth(struct x86 *x)
{
	x_mem_imm(x->j, false, X_CMP, VM, AT(depth), SKEP_VM_FRAMES - 1);
	x_jcc(x->j, CC_AE, skep_x86_cold(x, COLD_DEPTH, 0, false, NULL));
}

/* @what is known of the function that is called: of enum SKEP_VM_FUNC and its like. */
static void before_call(struct x86 *x, uint8_t what)
{
	skep_x86_charge(x, SKEP_VM_CALL_COST(x->j->prog->nr));
	move_frame(x, X_SUB, X_ADD, what);
	if (x->j->may_goto && !(what & SKEP_VM_LEAF)) {
		skep_x86_frame_address(x);
		x_rex(x->j, true, 0, 0, R11, false);
		skep_jit_byte(x->j, 0xc7); /* mov qword, imm32 */
		x_address(x->j, 0, R11, AT(frames[0].may_goto));
		skep_jit_u32(x->j, SKEP_VM_MAY_GOTO);
	}
	if (x->j->checked && !(what & SKEP_VM_FRAMELESS))
		x_call(x->j, x->zero);
}

static void after_call(struct x86 *x, uint8_t what)
{
	struct skep_jit *j = x->j;
	uint32_t slow, back;

	move_frame(x, X_ADD, X_SUB, what);
	if (!x->j->tails || (what & SKEP_VM_LEAF))
		return;
	/* The callee may have ended as another program. */
	slow = skep_x86_cold(x, COLD_ENTER, 0, false, &back);
	x_const(j, R11, (uint64_t)(uintptr_t)j->prog);
	x_mem(j, 0, true, X_CMP, R11, VM, AT(prog), false);
	x_jcc(j, CC_NE, slow);
	skep_jit_place(j, back);
}

FN(CALL_PC)
{
	uint8_t what = x->j->prog->is_func[target(x, in)];

	check_depth(x);
	before_call(x, what);
	x_call(x->j, skep_x86_entry(x, target(x, in)));
	after_call(x, what);
}

FN(CALLX)
{
	struct skep_jit *j = x->j;

	spill_args(x, 5);
	x_store(j, true, RSP, 40, RAX); /* the callee may look at r0 */
	x_mov(j, true, RDX, DST);
	x_mov(j, true, RDI, VM);
	x_const(j, RSI, (uint64_t)(uintptr_t)pc_of(x));
	x_call_c(j, (const void *)(uintptr_t)skep_jit_callx);
	x_rr(j, true, X_TEST, RAX, RAX);
	x_jcc(j, CC_E, x->fail);
	x_mov(j, true, R11, RAX);
	x_load(j, true, RAX, RSP, 40);
	x_store(j, true, RSP, 40, R11);
	reload_args(x);
	check_depth(x);
	before_call(x, 0);
	x_mem(j, 0, false, 0xff, 2, RSP, 40, false); /* call [rsp + 40] */
	after_call(x, 0);
}

/* Packet accesses: the offset in r11, the length in r10; nothing there ends the function with 0. */
static void packet(struct x86 *x, uint32_t width)
{
	struct skep_jit *j = x->j;
	uint32_t there = skep_jit_label(j);

	x_const(j, R10, width / 8);
	x_call(j, x->packet);
	x_rr(j, false, X_TEST, R11, R11);
	x_jcc(j, CC_NE, there);
	x_const(j, RAX, 0);
	skep_x86_look(x);
	epilogue(x);
	x_ret(j);
	skep_jit_place(j, there);
}

static void packet_at(struct x86 *x, const struct skep_vm_insn *in, uint32_t width, bool indexed)
{
	if (x->j->blind) {
		skep_x86_blind(x, (int32_t)in->imm);
		if (indexed)
			x_rr(x->j, true, X_ADD, SRC, R11);
	} else if (indexed) {
		x_lea(x->j, R11, SRC, (int32_t)in->imm);
	} else {
		x_const(x->j, R11, (uint32_t)in->imm);
	}
	packet(x, width);
}

ROW(LD_ABS8, packet_at(x, in, width, false))
ROW(LD_ABS16, packet_at(x, in, width, false))
ROW(LD_ABS32, packet_at(x, in, width, false))
ROW(LD_IND8, packet_at(x, in, width, true))
ROW(LD_IND16, packet_at(x, in, width, true))
ROW(LD_IND32, packet_at(x, in, width, true))

/* What the passes make. */

FN(lea_index)
{
	int base = SRC, index = map[in->imm];

	x_lea_index(x->j, true, DST, base, index, 0);
}

ROW(nop, (void)x)
FN(lea)
{
	if (!x->j->blind) {
		x_lea(x->j, DST, SRC, (int32_t)in->imm);
		return;
	}
	skep_x86_blind(x, (int32_t)in->imm);
	x_lea_index(x->j, true, DST, SRC, R11, 0);
}

FN(lea32)
{
	if (!x->j->blind) {
		x_mem(x->j, 0, false, 0x8d, DST, SRC, (int32_t)in->imm, false);
		return;
	}
	skep_x86_blind(x, (int32_t)in->imm);
	x_lea_index(x->j, false, DST, SRC, R11, 0);
}

FN(lea32_index)
{
	x_lea_index(x->j, false, DST, SRC, map[in->imm], 0);
}

ROW(zext8, x_rr8(x->j, false, 0x0fb6, DST, SRC))
ROW(zext16, x_rr(x->j, false, 0x0fb7, DST, SRC))

static void rotate(struct x86 *x, const struct skep_vm_insn *in, bool w)
{
	if (DST != SRC)
		x_mov(x->j, w, DST, SRC);
	x_shift(x->j, w, 0, DST, (unsigned int)in->imm);
}

ROW(rotate64, rotate(x, in, true))
ROW(rotate32, rotate(x, in, false))

/* What of r1 to r5 is read behind a call, to or from the call area. */
static void keep_args(struct x86 *x, int32_t which, bool store)
{
	int i;

	for (i = 0; i < 5; i++)
		if (which & 2 << i)
			x_mem(x->j, 0, true, store ? 0x89 : 0x8b, map[1 + i], RSP, i * 8, false);
}

/* lookup(map, key, cpu) of the map's kind: map and key are known to be good. */
FN(lookup)
{
	struct skep_jit *j = x->j;
	const struct skep_map *m = (const struct skep_map *)(uintptr_t)in->imm;
	skep_map_lookup_fn *fn = m->ops->lookup;

	keep_args(x, in->off, true);
	x_const(j, RDI, (uint64_t)in->imm);
	x_load(j, false, RDX, VM, AT(cpu));
	if (m->ops->own_lookup && m->ops->own_lookup(m))
		fn = m->ops->own_lookup(m);
	x_call_c(j, (const void *)(uintptr_t)fn);
	keep_args(x, in->off, false);
}

#define LOOPS (1 << 23) /* BPF_MAX_LOOPS */
#define KEPT  40 /* of the call area: what reload_args() leaves alone */
#define COUNT RBX /* r6's: how often the callback has run, if it cannot see that; else KEPT is */

/* Without proof what names r6, or may jump into who does, can see it. */
static bool counts_in_memory(const struct skep_jit *j)
{
	return j->checked && (j->tails || j->named & 1 << BPF_REG_6);
}

/*
 * Without proof the callback of bpf_loop() may look at r6 to r9, which are 0
 * for it: keeps the caller's below the call area, or brings them back.
 */
static void loop_registers(struct x86 *x, bool keep)
{
	int i;

	if (!x->j->checked) {
		x_mem(x->j, 0, true, keep ? 0x89 : 0x8b, COUNT, RSP, KEPT, false);
		return;
	}
	if (keep)
		x_imm(x->j, true, X_SUB, RSP, 32);
	for (i = 0; i < 4; i++)
		x_mem(x->j, 0, true, keep ? 0x89 : 0x8b, skep_x86_saved[i], RSP, i * 8, false);
	if (!keep)
		x_imm(x->j, true, X_ADD, RSP, 32);
}

/* One call of the callback at slot @func; rax: its result.  @area: from rsp to the call area. */
static void loop_call(struct x86 *x, uint32_t func, int32_t area)
{
	struct skep_jit *j = x->j;
	uint8_t what = j->prog->is_func[func];
	int i;

	before_call(x, what);
	if (counts_in_memory(j))
		x_load(j, false, map[1], RSP, area + KEPT);
	else
		x_mov(j, false, map[1], COUNT);
	x_load(j, true, map[2], RSP, area + 16);
	for (i = 0; i < 10 && j->checked; i++)
		if (i != 1 && i != 2 && (i < 6 || j->tails || j->named & 1 << i))
			x_const(j, map[i], 0);
	x_call(j, skep_x86_entry(x, func));
	after_call(x, what);
}

/* Counts one more, goes to @done if rax is not 0, and leaves there how many in rax. */
static void loop_count(struct x86 *x, uint32_t again, uint32_t done, int32_t area)
{
	struct skep_jit *j = x->j;

	if (counts_in_memory(j))
		x_mem_imm(j, true, X_ADD, RSP, area + KEPT, 1);
	else
		x_imm(j, false, X_ADD, COUNT, 1);
	x_rr(j, true, X_TEST, RAX, RAX);
	if (counts_in_memory(j))
		x_load(j, true, RAX, RSP, area + KEPT);
	else
		x_mov(j, true, RAX, COUNT);
	x_jcc(j, CC_NE, done);
	x_mem(j, 0, false, 0x3b, RAX, RSP, area, false);
	x_jcc(j, CC_B, again);
}

/* bpf_loop(r1 times, the function at slot imm, r3, flags r4): calls it without the helper. */
FN(loop)
{
	struct skep_jit *j = x->j;
	uint32_t flags = skep_jit_label(j), many = skep_jit_label(j), end = skep_jit_label(j);
	uint32_t again = skep_jit_label(j), done = skep_jit_label(j);
	int32_t area = j->checked ? 32 : 0;

	spill_args(x, j->checked ? 5 : 3);
	skep_x86_charge(x, 1);
	x_rr(j, true, X_TEST, map[4], map[4]);
	x_jcc(j, CC_NE, flags);
	x_imm(j, false, X_CMP, map[1], LOOPS);
	x_jcc(j, CC_A, many);
	x_const(j, RAX, 0);
	x_rr(j, false, X_TEST, map[1], map[1]);
	x_jcc(j, CC_E, end);
	check_depth(x);
	loop_registers(x, true);
	if (counts_in_memory(j))
		x_mem_imm(j, true, X_AND, RSP, area + KEPT, 0);
	else
		x_const(j, COUNT, 0);
	skep_jit_place(j, again);
	loop_call(x, (uint32_t)in->imm, area);
	loop_count(x, again, done, area);
	skep_jit_place(j, done);
	loop_registers(x, false);
	x_jmp(j, end);
	skep_jit_place(j, flags);
	x_const(j, RAX, (uint64_t)-EINVAL);
	x_jmp(j, end);
	skep_jit_place(j, many);
	x_const(j, RAX, (uint64_t)-E2BIG);
	skep_jit_place(j, end);
	if (j->checked)
		reload_args(x);
}

/* skep_vm_prog_create() refuses these. */
ROW(ADDR_SPACE_CAST, x_ud2(x->j))
ROW(CALL_KFUNC, x_ud2(x->j))
ROW(MOV_PERCPU_ADDR, x_ud2(x->j))
ROW(NOSPEC, x_ud2(x->j))
ROW(CALL_PC_LOADED, x_ud2(x->j))

#endif
