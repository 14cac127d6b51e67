/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One thread of execution: runs, frames, callbacks, tail calls, and what a
 * run holds.  Neither calls nor tail calls of a program grow the C stack; a
 * callback does, once for each of the eight frames at most.
 */
#include <errno.h>
#include <stdio.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vm/run.h"

int skep_vm_create(struct skep_vm **vm, struct skep_err *err)
{
	struct timespec now;

	*vm = calloc(1, sizeof(**vm));
	if (!*vm)
		return skep_fail_nomem(err);
	clock_gettime(CLOCK_MONOTONIC, &now);
	(*vm)->random = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^ (uintptr_t)*vm;
	return 0;
}

void skep_vm_destroy(struct skep_vm *vm)
{
	if (!vm)
		return;
	skep_vec_deinit(&vm->held);
	skep_vec_deinit(&vm->tails);
	free(vm);
}

void skep_vm_vfail(struct skep_vm *vm, const struct skep_vm_insn *pc, enum skep_tag tag, int code,
		   const char *fmt, va_list ap)
{
	char text[768];

	if (vm->failed)
		return;
	vm->failed = code;
	vsnprintf(text, sizeof(text), fmt, ap);
	skep_fail(vm->err, tag, code, "instruction %td: %s", pc - vm->prog->insns, text);
	if (vm->err && vm->err->insn < 0)
		vm->err->insn = (int)(pc - vm->prog->insns);
}

void skep_vm_fail(struct skep_vm *vm, const struct skep_vm_insn *pc, enum skep_tag tag, int code,
		  const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	skep_vm_vfail(vm, pc, tag, code, fmt, ap);
	va_end(ap);
}

uint64_t skep_vm_stop(struct skep_vm *vm, enum skep_tag tag, const char *fmt, ...)
{
	int code = tag == SKEP_E_RUN_LIMIT ? ELOOP : tag == SKEP_E_RUN_HELPER ? EPERM : EFAULT;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	skep_vm_fail(vm, vm->pc, tag, code, "%s(): %s", vm->pc->helper->name, text);
	return 0;
}

void skep_vm_enter(struct skep_vm *vm, const struct skep_vm_prog *prog)
{
	vm->prog = prog;
	vm->checked = prog->checked;
	vm->counted = prog->counted;
	if (vm->checked) /* nobody else remembers */
		skep_vm_moved(vm);
}

/* The frame at @depth, which is vm->depth, begins.  @clear: without what others left there. */
static inline void open_frame(struct skep_vm *vm, unsigned int depth, bool clear)
{
	skep_vm_set_stack(vm, depth);
	vm->frames[depth].may_goto = SKEP_VM_MAY_GOTO;
	if (clear) {
		size_t len = SKEP_VM_STACK;

		/* With a length that compilers know they write `rep stos`: five times as long. */
		__asm__("" : "+r"(len));
		memset((void *)(uintptr_t)vm->lo, 0, len);
	}
}

bool skep_vm_push(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t r[11],
		  const struct skep_vm_insn *func, const struct skep_vm_insn *ret)
{
	struct skep_vm_frame *frame;

	if (vm->depth + 1 >= SKEP_VM_FRAMES) {
		skep_vm_fail(vm, pc, SKEP_E_RUN_LIMIT, ELOOP, "calls nest deeper than %d frames",
			     SKEP_VM_FRAMES);
		return false;
	}
	frame = &vm->frames[++vm->depth];
	frame->prog = vm->prog;
	frame->ret = ret;
	memcpy(frame->saved, &r[6], sizeof(frame->saved));
	if (vm->prog->is_func[func - vm->prog->insns] & SKEP_VM_FRAMELESS)
		return true;
	open_frame(vm, vm->depth, vm->checked);
	r[10] = vm->lo + SKEP_VM_STACK;
	return true;
}

const struct skep_vm_insn *skep_vm_pop(struct skep_vm *vm, uint64_t r[11])
{
	struct skep_vm_frame *frame = &vm->frames[vm->depth--];

	skep_vm_set_stack(vm, vm->depth);
	memcpy(&r[6], frame->saved, sizeof(frame->saved));
	if (frame->prog != vm->prog) {
		skep_vm_enter(vm, frame->prog);
		memset(&r[1], 0, 5 * sizeof(r[0]));
	}
	return frame->ret;
}

const struct skep_vm_insn *skep_vm_func(const struct skep_vm *vm, uint64_t addr)
{
	uint64_t off = addr - (uintptr_t)vm->prog->insns;

	if (off / sizeof(struct skep_vm_insn) >= vm->prog->nr ||
	    off % sizeof(struct skep_vm_insn) ||
	    !vm->prog->is_func[off / sizeof(struct skep_vm_insn)])
		return NULL;
	return &vm->prog->insns[off / sizeof(struct skep_vm_insn)];
}

const struct skep_vm_prog *skep_vm_tail(struct skep_vm *vm, const struct skep_vm_insn *pc,
					const uint64_t r[11])
{
	struct skep_map *map = (struct skep_map *)(uintptr_t)r[2];
	struct skep_vm_prog *prog;
	bool checked = vm->checked;

	if (map->type != BPF_MAP_TYPE_PROG_ARRAY) {
		skep_vm_fail(vm, pc, SKEP_E_RUN_ACCESS, EFAULT,
			     "bpf_tail_call(): the map '%s' is no prog array", map->name);
		return NULL;
	}
	prog = skep_prog_array_get(map, (uint32_t)r[3]);
	if (prog && map->prog_ops && map->prog_ops->vm_prog)
		prog = (struct skep_vm_prog *)map->prog_ops->vm_prog(prog);
	if (!prog || prog->type != vm->prog->type || vm->tail_calls >= SKEP_VM_TAIL_CALLS)
		return NULL;
	skep_vm_prog_get(prog);
	if (skep_vec_push(&vm->tails, prog) < 0) {
		skep_vm_prog_put(prog);
		skep_vm_fail(vm, pc, SKEP_E_NOMEM, ENOMEM, "out of memory");
		return NULL;
	}
	vm->tail_calls++;
	skep_vm_enter(vm, prog);
	open_frame(vm, vm->depth, prog->checked && !checked);
	return prog;
}

bool skep_vm_refill(struct skep_vm *vm, const struct skep_vm_insn *pc)
{
	uint64_t slice = SKEP_VM_SLICE;

	if (atomic_load_explicit(&vm->stop, memory_order_relaxed)) {
		atomic_store_explicit(&vm->stop, 0, memory_order_relaxed);
		skep_vm_fail(vm, pc, SKEP_E_RUN_STOPPED, ECANCELED,
			     "the run of the program '%s' was interrupted", vm->prog->name);
		return false;
	}
	/* What was charged at once may be more than a slice. */
	if (vm->left < -(int64_t)slice)
		slice += (uint64_t)-vm->left;
	slice = vm->rest < slice ? vm->rest : slice;
	vm->rest -= slice;
	vm->left += (int64_t)slice;
	if (vm->left >= 0)
		return true;
	skep_vm_fail(vm, pc, SKEP_E_RUN_LIMIT, ELOOP,
		     "the instruction budget of the program '%s' is used up", vm->prog->name);
	return false;
}

void skep_vm_interrupt(struct skep_vm *vm)
{
	atomic_store_explicit(&vm->stop, 1, memory_order_relaxed);
}

static skep_vm_runner *runner(const struct skep_vm_prog *prog)
{
	if (prog->native)
		return prog->native->run;
	return prog->checked ? skep_vm_interp_checked : skep_vm_interp_trusted;
}

/* Runs from @pc until frame @base exits. */
static int execute(struct skep_vm *vm, uint64_t r[11], const struct skep_vm_insn *pc,
		   unsigned int base)
{
	enum skep_vm_step step;

	do
		step = runner(vm->prog)(vm, r, &pc, base);
	while (step == SKEP_VM_SWITCH);
	return step == SKEP_VM_DONE ? 0 : -vm->failed;
}

int skep_vm_finish_frame(struct skep_vm *vm, uint64_t r[11])
{
	return execute(vm, r, vm->prog->insns, vm->depth);
}

static void let_go(struct skep_vm_hold *hold)
{
	void *addr = (void *)(uintptr_t)hold->start;

	switch (hold->kind) {
	case SKEP_VM_HELD_RINGBUF: skep_ringbuf_submit(hold->map, addr, true); break;
	case SKEP_VM_HELD_LOCK: __atomic_store_n((uint32_t *)addr, 0, __ATOMIC_RELEASE); break;
	case SKEP_VM_HELD_MAP: skep_map_put(hold->map); break;
	case SKEP_VM_HELD_MEM: break;
	}
}

static void let_all_go(struct skep_vm *vm)
{
	size_t i;

	for (i = 0; i < vm->held.len; i++)
		let_go(&vm->held.data[i]);
	for (i = 0; i < vm->tails.len; i++)
		skep_vm_prog_put(vm->tails.data[i]);
	vm->held.len = vm->tails.len = 0;
	vm->tail_calls = 0;
}

/*
 * Between two runs nothing has failed, and depth is 0.
 * @ret: 0, or -errno: the run has failed, wherever it was.
 */
static inline int finish(struct skep_vm *vm, int ret)
{
	if (vm->held.len | vm->tails.len)
		let_all_go(vm);
	if (ret < 0) {
		vm->failed = 0;
		vm->depth = 0;
	}
	vm->run = NULL;
	vm->prog = NULL;
	return ret;
}

static int interpret(struct skep_vm *vm, const struct skep_vm_run *run, uint64_t *result)
{
	uint64_t r[11]; /* one by one below: compilers make a slow `rep stos` of = {0} */
	int ret;

	r[0] = 0;
	r[1] = (uint64_t)(uintptr_t)run->ctx;
	r[2] = run->ctx_len;
	r[3] = r[4] = r[5] = r[6] = r[7] = r[8] = r[9] = 0;
	r[10] = vm->lo + SKEP_VM_STACK;
	ret = execute(vm, r, run->prog->insns, 0);
	if (ret == 0)
		*result = r[0];
	return ret;
}

int skep_vm_run(struct skep_vm *vm, const struct skep_vm_run *run, uint64_t *result,
		struct skep_err *err)
{
	const struct skep_vm_prog *prog = run->prog;
	uint64_t r0;

	*result = 0;
	if (vm->run)
		return skep_fail(err, SKEP_E_SYSTEM, EBUSY,
				 "this machine already runs the program '%s'", vm->prog->name);
	vm->run = run;
	vm->err = err;
	vm->cpu = run->env ? run->env->cpu : 0;
	vm->left = prog->first;
	vm->rest = prog->rest;
	skep_vm_enter(vm, prog);
	if (atomic_load_explicit(&vm->stop, memory_order_relaxed) &&
	    !skep_vm_refill(vm, prog->insns))
		return finish(vm, -vm->failed);
	open_frame(vm, 0, vm->checked);
	if (!prog->native)
		return finish(vm, interpret(vm, run, result));
	r0 = prog->native->enter(vm, run->ctx, run->ctx_len);
	if (vm->failed)
		return finish(vm, -vm->failed);
	*result = r0;
	return finish(vm, 0);
}

int skep_vm_call(struct skep_vm *vm, uint64_t addr, const uint64_t args[5], uint64_t *result)
{
	const struct skep_vm_insn *func = skep_vm_func(vm, addr), *pc = vm->pc;
	uint64_t r[11] = {0};
	unsigned int base;
	int ret;

	if (!func) {
		skep_vm_stop(vm, SKEP_E_RUN_ACCESS, "0x%llx is not a function of the program",
			     (unsigned long long)addr);
		return -EFAULT;
	}
	memcpy(&r[1], args, 5 * sizeof(r[0]));
	if (vm->prog->native)
		vm->left -= SKEP_VM_CALL_COST(vm->prog->nr);
	if (vm->left < 0 && !skep_vm_refill(vm, pc))
		return -vm->failed;
	if (!skep_vm_push(vm, pc, r, func, NULL))
		return -vm->failed;
	base = vm->depth;
	ret = execute(vm, r, func, base);
	if (ret < 0)
		return ret;
	skep_vm_pop(vm, r);
	vm->pc = pc;
	*result = r[0];
	return 0;
}

int skep_vm_hold(struct skep_vm *vm, enum skep_vm_held kind, struct skep_map *map, void *addr,
		 size_t len)
{
	struct skep_vm_hold *hold = skep_vec_add(&vm->held);

	if (!hold)
		return -ENOMEM;
	hold->start = (uintptr_t)addr;
	hold->end = hold->start + len;
	hold->kind = kind;
	hold->map = map;
	return 0;
}

bool skep_vm_unhold(struct skep_vm *vm, enum skep_vm_held kind, const void *addr,
		    struct skep_map **map)
{
	size_t i;

	for (i = vm->held.len; i-- > 0;) {
		struct skep_vm_hold *hold = &vm->held.data[i];

		if (hold->kind != kind || hold->start != (uintptr_t)addr)
			continue;
		if (map)
			*map = hold->map;
		*hold = vm->held.data[--vm->held.len];
		skep_vm_moved(vm);
		return true;
	}
	return false;
}

struct skep_vm_env *skep_vm_env(struct skep_vm *vm)
{
	return vm->run->env;
}

struct skep_vm_packet *skep_vm_packet(struct skep_vm *vm)
{
	return vm->run->packet;
}

void *skep_vm_ctx(struct skep_vm *vm, size_t *len)
{
	*len = vm->run->ctx_len;
	return vm->run->ctx;
}

const struct skep_helper *skep_vm_helper(const struct skep_vm *vm)
{
	return vm->pc->helper;
}

uint32_t skep_vm_prog_type(const struct skep_vm *vm)
{
	return vm->prog->type;
}

/* xorshift64*: fast, and as unpredictable as an in-process engine needs. */
uint32_t skep_vm_random(struct skep_vm *vm)
{
	uint64_t x = vm->random ? vm->random : 1;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	vm->random = x;
	return (uint32_t)(x * 0x2545f4914f6cdd1dull >> 32);
}
