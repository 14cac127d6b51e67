/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interpreter's loop, included once for each mode: INTERP names the
 * function, CHECKED is 1 or 0.  There is no include guard on purpose.
 *
 * Each row of isa.def becomes one piece of code, found through its address;
 * what an instruction computes is the row's expression (isa/eval.h), what its
 * kind does is a DO_ macro here.  A kind without macro does not compile.
 *
 * Instructions are counted where control moves: `left` goes down by the
 * length of the straight piece that ends, `start` is where the next begins.
 */

#define SRC(src_) ((src_) == SKEP_F_READ ? r[i->src] : (uint64_t)i->imm)
#define NEXT \
	do { \
		i++; \
		goto *labels[i->op]; \
	} while (0)
/* Ends a straight piece at this instruction. */
#define CHARGE (left -= i - start + 1)
#define GO(to) \
	do { \
		const struct skep_vm_insn *to_ = (to); \
		CHARGE; \
		start = to_; \
		if (SKEP_UNLIKELY(left < 0)) \
			goto limit; \
		i = to_; \
		goto *labels[i->op]; \
	} while (0)
#define FAIL(...) \
	do { \
		skep_vm_fail(vm, i, __VA_ARGS__); \
		goto failed; \
	} while (0)

#if CHECKED
#define ACCESS(addr, len, write) \
	do { \
		if (SKEP_UNLIKELY((addr)-vm->lo > vm->span - (len) && \
				  (addr)-vm->hit[write].start > vm->hit[write].size - (len) && \
				  !skep_vm_check(vm, i, addr, len, write))) \
			goto failed; \
	} while (0)
#else
#define ACCESS(addr, len, write) (void)(addr)
#endif

/* An atomic access must be aligned: what is not is no access that C knows. */
#define ALIGNED(addr, len) \
	do { \
		if (SKEP_UNLIKELY((addr) & ((len)-1))) \
			FAIL(SKEP_E_RUN_ACCESS, EFAULT, \
			     "atomic access of %u bytes at 0x%llx is not aligned", \
			     (unsigned int)(len), (unsigned long long)(addr)); \
	} while (0)

#define LOAD(name, type, result) \
	L_##name: \
	{ \
		uint64_t a = r[i->src] + (int64_t)i->off; \
		type v; \
\
		ACCESS(a, sizeof(v), 0); \
		memcpy(&v, (const void *)a, sizeof(v)); \
		r[i->dst] = (result)v; \
		NEXT; \
	}
#define STORE(name, type, value) \
	L_##name: \
	{ \
		uint64_t a = r[i->dst] + (int64_t)i->off; \
		type v = (type)(value); \
\
		ACCESS(a, sizeof(v), 1); \
		memcpy((void *)a, &v, sizeof(v)); \
		NEXT; \
	}
#define DO_LDX(name, width, src_, imm_)	 LOAD(name, uint##width##_t, uint64_t)
#define DO_LDSX(name, width, src_, imm_) LOAD(name, int##width##_t, int64_t)
#define DO_ST(name, width, src_, imm_)	 STORE(name, uint##width##_t, i->imm)
#define DO_STX(name, width, src_, imm_)	 STORE(name, uint##width##_t, r[i->src])

#define DO_LOAD_ACQ(name, width, src_, imm_) \
	L_##name: \
	{ \
		uint64_t a = r[i->src] + (int64_t)i->off; \
\
		ACCESS(a, width / 8, 0); \
		ALIGNED(a, width / 8); \
		r[i->dst] = __atomic_load_n((uint##width##_t *)a, __ATOMIC_ACQUIRE); \
		NEXT; \
	}
#define DO_STORE_REL(name, width, src_, imm_) \
	L_##name: \
	{ \
		uint64_t a = r[i->dst] + (int64_t)i->off; \
\
		ACCESS(a, width / 8, 1); \
		ALIGNED(a, width / 8); \
		__atomic_store_n((uint##width##_t *)a, (uint##width##_t)r[i->src], \
				 __ATOMIC_RELEASE); \
		NEXT; \
	}
#define ROW_ATOMIC(name, code, dst_, src_, off_, imm_, width, text, group, cpu, kernel, expr) \
	L_##name: \
	{ \
		uint64_t a = r[i->dst] + (int64_t)i->off; \
		uint##width##_t old, new; \
\
		ACCESS(a, width / 8, 1); \
		ALIGNED(a, width / 8); \
		old = __atomic_load_n((uint##width##_t *)a, __ATOMIC_RELAXED); \
		do \
			new = (uint##width##_t)skep_eval_##name(old, r[i->src]); \
		while (!__atomic_compare_exchange_n((uint##width##_t *)a, &old, new, true, \
						    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED)); \
		if ((imm_)&BPF_FETCH) \
			r[i->src] = old; \
		NEXT; \
	}
#define DO_CMPXCHG(name, width, src_, imm_) \
	L_##name: \
	{ \
		uint64_t a = r[i->dst] + (int64_t)i->off; \
		uint##width##_t old = (uint##width##_t)r[0]; \
\
		ACCESS(a, width / 8, 1); \
		ALIGNED(a, width / 8); \
		__atomic_compare_exchange_n((uint##width##_t *)a, &old, \
					    (uint##width##_t)r[i->src], false, __ATOMIC_SEQ_CST, \
					    __ATOMIC_SEQ_CST); \
		r[0] = old; \
		NEXT; \
	}

#define ROW_ALU(name, code, dst_, src_, off_, imm_, width, text, group, cpu, kernel, expr) \
	L_##name : r[i->dst] = skep_eval_##name(r[i->dst], SRC(src_)); \
	NEXT;
#define ROW_COND(name, code, dst_, src_, off_, imm_, width, text, group, cpu, kernel, expr) \
	L_##name : if (skep_eval_##name(r[i->dst], SRC(src_))) GO(i + i->off); \
	NEXT;
#define DO_LDDW(name, width, src_, imm_) \
	L_##name : r[i->dst] = (uint64_t)i->imm; \
	i++; \
	NEXT;
#define DO_JA(name, width, src_, imm_) L_##name : GO(i + i->off);
#define DO_MAY_GOTO(name, width, src_, imm_) \
	L_##name : if (!vm->frames[vm->depth].may_goto) GO(i + i->off); \
	vm->frames[vm->depth].may_goto--; \
	NEXT;

#define ENTER(to) \
	do { \
		const struct skep_vm_insn *callee_ = (to); \
\
		if (!skep_vm_push(vm, i, r, callee_, i + 1)) \
			goto failed; \
		GO(callee_); \
	} while (0)
#define DO_CALL_PC(name, width, src_, imm_) L_##name : ENTER(i + i->off);
#define DO_CALLX(name, width, src_, imm_) \
	L_##name: \
	{ \
		const struct skep_vm_insn *to = skep_vm_func(vm, r[i->dst]); \
\
		if (SKEP_UNLIKELY(!to)) \
			FAIL(SKEP_E_RUN_ACCESS, EFAULT, \
			     "callx to 0x%llx, which is not a function of the program", \
			     (unsigned long long)r[i->dst]); \
		ENTER(to); \
	}
#if CHECKED
#define ARGS \
	if (!skep_vm_check_args(vm, i, r + 1)) \
		goto failed;
#else
#define ARGS
#endif
#define DO_CALL(name, width, src_, imm_) \
	L_##name : CHARGE; \
	start = i + 1; \
	vm->left = left; \
	if (SKEP_UNLIKELY(left < 0) && !skep_vm_refill(vm, i)) \
		goto failed; \
	ARGS; \
	vm->pc = i; \
	r[0] = i->helper->fn(vm, r + 1); \
	left = vm->left; \
	if (SKEP_UNLIKELY(vm->failed)) \
		goto failed; \
	NEXT;

#define DO_LD_ABS(name, width, src_, imm_) \
	L_##name : if (skep_vm_load_packet(vm, (int32_t)i->imm, width / 8, &r[0])) NEXT; \
	if (vm->failed) \
		goto failed; \
	r[0] = 0; \
	goto L_EXIT;
#define DO_LD_IND(name, width, src_, imm_) \
	L_##name : if (skep_vm_load_packet(vm, (int32_t)(r[i->src] + (uint64_t)i->imm), width / 8, \
					   &r[0])) NEXT; \
	if (vm->failed) \
		goto failed; \
	r[0] = 0; \
	goto L_EXIT;

#define DO_EXIT(name, width, src_, imm_) \
	L_##name : CHARGE; \
	if (vm->depth == base) { \
		vm->left = left; \
		return SKEP_VM_DONE; \
	} \
	start = i = skep_vm_pop(vm, r); \
	if (SKEP_UNLIKELY(vm->prog->checked != CHECKED)) \
		goto change; \
	goto *labels[i->op];

/* skep_vm_prog_create() refuses these. */
#define NEVER(name) \
	L_##name: \
	{ \
		FAIL(SKEP_E_INSN_INVALID, EINVAL, "not executable"); \
	}
#define DO_CAST(name, width, src_, imm_)       NEVER(name)
#define DO_CALL_KFUNC(name, width, src_, imm_) NEVER(name)
#define DO_INTERNAL(name, width, src_, imm_)   NEVER(name)

enum skep_vm_step INTERP(struct skep_vm *vm, uint64_t r[11], const struct skep_vm_insn **pc,
			 unsigned int base)
{
	static const void *const labels[SKEP_VM_OP_MAX] = {
#define SKEP_INSN(name, ...) &&L_##name,
#include "isa/isa.def"
		&&L_TAIL_CALL,
	};
	const struct skep_vm_insn *i = *pc, *start = i;
	int64_t left = vm->left;

	goto *labels[i->op];

#define SKEP_INSN(name, kind, code, dst, src, off, imm, width, ...) DO_##kind(name, width, src, imm)
#define SKEP_ALU						    ROW_ALU
#define SKEP_COND						    ROW_COND
#define SKEP_ATOMIC						    ROW_ATOMIC
#include "isa/isa.def"

L_TAIL_CALL:
	CHARGE;
	start = i + 1;
	ARGS;
	if (!skep_vm_tail(vm, i, r)) {
		if (vm->failed)
			goto failed;
		r[0] = (uint64_t)-EINVAL;
		NEXT;
	}
	start = vm->prog->insns;
	vm->left = left;
	if (left < 0 && !skep_vm_refill(vm, start))
		goto failed;
	left = vm->left;
	i = start;
	if (SKEP_UNLIKELY(vm->prog->checked != CHECKED || vm->prog->native))
		goto change;
	goto *labels[i->op];

change:
	*pc = i;
	vm->left = left;
	return SKEP_VM_SWITCH;
limit: /* the jump at i to start goes on, or not */
	vm->left = left;
	if (!skep_vm_refill(vm, i))
		goto failed;
	left = vm->left;
	i = start;
	goto *labels[i->op];
failed:
	return SKEP_VM_FAILED;
}

#undef SRC
#undef NEXT
#undef CHARGE
#undef GO
#undef FAIL
#undef ACCESS
#undef ALIGNED
#undef LOAD
#undef STORE
#undef ENTER
#undef ARGS
#undef NEVER
#undef ROW_ALU
#undef ROW_COND
#undef ROW_ATOMIC
#undef DO_LDX
#undef DO_LDSX
#undef DO_ST
#undef DO_STX
#undef DO_LOAD_ACQ
#undef DO_STORE_REL
#undef DO_CMPXCHG
#undef DO_LDDW
#undef DO_JA
#undef DO_MAY_GOTO
#undef DO_CALL_PC
#undef DO_CALLX
#undef DO_CALL
#undef DO_LD_ABS
#undef DO_LD_IND
#undef DO_EXIT
#undef DO_CAST
#undef DO_CALL_KFUNC
#undef DO_INTERNAL
