/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver: labels, passes, pages; and how compiled code and the machine
 * call each other.  What a processor needs stands in that processor's file.
 */
#include "jit/jit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "jit/emit.h"
#include "jit/fault.h"
#include "jit/gdb.h"
#include "jit/opt.h"

struct code {
	struct skep_vm_native native; /* first: what the machine knows */
	uint8_t *pages;
	size_t len, size; /* of the code; of the mapping */
	uint32_t nr; /* slots */
	struct skep_fault_code fault; /* at NULL: not registered */
	struct skep_gdb *gdb; /* NULL: not told */
	uint32_t at[]; /* offset of the code of each slot that is a function */
};

bool skep_jit_room(struct skep_jit *j)
{
	uint8_t *code = j->oom ? NULL : skep_jit_take(j, j->cap, 2);

	if (!code) {
		j->oom = true;
		return false;
	}
	memcpy(code, j->code, j->len);
	j->code = code;
	j->cap *= 2;
	return true;
}

void skep_jit_u64(struct skep_jit *j, uint64_t v)
{
	skep_jit_u32(j, (uint32_t)v);
	skep_jit_u32(j, (uint32_t)(v >> 32));
}

uint32_t skep_jit_label(struct skep_jit *j)
{
	uint32_t label = j->nr_labels, cap = j->cap_labels * 2;
	uint32_t *at, *old;

	if (label < j->cap_labels) {
		j->label_at[label] = UINT32_MAX;
		j->nr_labels++;
		return label;
	}
	at = skep_jit_take(j, cap, sizeof(*at));
	old = j->old_at ? skep_jit_take(j, cap, sizeof(*old)) : NULL;
	if (!at || (j->old_at && !old)) {
		j->oom = true;
		return 0;
	}
	j->label_at = memcpy(at, j->label_at, j->cap_labels * sizeof(*at));
	if (old)
		j->old_at = memcpy(old, j->old_at, j->cap_labels * sizeof(*old));
	j->cap_labels = cap;
	j->label_at[label] = UINT32_MAX;
	j->nr_labels++;
	return label;
}

void skep_jit_place(struct skep_jit *j, uint32_t label)
{
	j->label_at[label] = (uint32_t)j->len;
}

#define LARGE 4096 /* slots: one pass, if it goes well */
#define GUESS 8 /* slots that a short jump reaches, mostly */

bool skep_jit_near(const struct skep_jit *j, uint32_t label, unsigned int behind)
{
	if (j->pass == 0)
		return false;
	if (j->label_at[label] != UINT32_MAX) /* backwards: known */
		return j->len + behind - j->label_at[label] <= 128;
	if (j->guesses)
		return label < j->prog->nr && label > j->slot && label - j->slot <= GUESS;
	/* Forwards: no farther than in the pass before, counted from the slot's start. */
	return j->old_at[label] - j->old_at[j->slot] <= 127;
}

void skep_jit_disp(struct skep_jit *j, uint32_t label, bool is_short)
{
	struct skep_jit_fixup fixup = {(uint32_t)j->len, label, is_short};

	if (skep_vec_push(&j->fixups, fixup) < 0)
		j->oom = true;
	if (is_short)
		skep_jit_byte(j, 0);
	else
		skep_jit_u32(j, 0);
}

/* Fills in where jumps lead.  False: a short one does not reach. */
static bool resolve(struct skep_jit *j)
{
	struct skep_jit_fixup *f;

	skep_vec_each (&j->fixups, f) {
		int64_t to = (int64_t)j->label_at[f->label] - f->pos - (f->is_short ? 1 : 4);
		int32_t disp = (int32_t)to;

		if (f->is_short && (to < -128 || to > 127))
			return false;
		if (f->is_short)
			j->code[f->pos] = (uint8_t)to;
		else
			memcpy(j->code + f->pos, &disp, 4);
	}
	return true;
}

/* Copies the program and finds out on the way what it is made of. */
static void read_program(struct skep_jit *j)
{
	const struct skep_vm_prog *prog = j->prog;
	uint32_t i;

	for (i = 0; i < prog->nr; i++) {
		const struct skep_vm_insn *in = &prog->insns[i];

		j->ir[i] = *in;
		j->named |= (uint16_t)(1 << in->dst | 1 << in->src);
		if (prog->is_func[i] || i == 0) {
			j->leader[i] |= 1;
			j->nr_funcs++;
		}
		switch (skep_jit_kind(in)) {
		case SKEP_KIND_COND:
		case SKEP_KIND_JA:
		case SKEP_KIND_MAY_GOTO:
			j->may_goto |= in->op == SKEP_OP_MAY_GOTO;
			j->leader[(int64_t)i + in->off] |= in->off <= 0 ? 3 : 1;
			j->loops |= in->off <= 0;
			break;
		case SKEP_KIND_CALL: j->calls = true; break;
		case SKEP_KIND_CALL_PC:
		case SKEP_KIND_CALL_KFUNC:
		case SKEP_KIND_CALLX: j->local_calls = true; break;
		case SKEP_KIND_LDDW: j->ir[++i] = (struct skep_vm_insn){.op = SKEP_JIT_NOP}; break;
		case SKEP_KIND_LD_ABS:
		case SKEP_KIND_LD_IND: j->packets = true; break;
		default: j->tails |= in->op == SKEP_VM_OP_TAIL_CALL;
		}
	}
}

/* Leaders between a jump back and its target: in a loop, as far as alignment and sites care. */
static void find_loops(struct skep_jit *j)
{
	int64_t low = INT64_MAX;
	uint32_t i;

	if (j->checked && j->nr_funcs > 1) {
		for (i = 1; !j->prog->is_func[i]; i++)
			;
		memset(&j->likely[i], SKEP_JIT_LOOPED, j->prog->nr - i);
	}
	for (i = j->loops ? j->prog->nr : 0; i-- > 0;) {
		const struct skep_vm_insn *in = &j->ir[i];
		uint8_t kind = skep_jit_kind(in);

		if ((kind == SKEP_KIND_COND || kind == SKEP_KIND_JA) && i + (int64_t)in->off < low)
			low = i + (int64_t)in->off;
		if (low < i && j->leader[i])
			j->leader[i] |= 4;
		if (low <= i && j->checked)
			j->likely[i] = SKEP_JIT_LOOPED;
	}
}

static void emit_pass(struct skep_jit *j, unsigned int pass)
{
	uint32_t *swap = j->label_at;

	j->pass = pass;
	j->len = 0;
	j->nr_labels = j->prog->nr * 2;
	j->fixups.len = j->colds.len = 0;
	if (!j->guesses) {
		j->label_at = j->old_at;
		j->old_at = swap;
	}
	memset(j->label_at, 0xff, j->nr_labels * sizeof(*j->label_at));
	skep_jit_emit(j);
}

static int emit(struct skep_jit *j, struct skep_err *err)
{
	bool good = false;

	/* After all else: it will not need all of its room. */
	j->cap = 4096 + (size_t)j->prog->nr * 16;
	j->code = skep_jit_take(j, j->cap, 1);
	if (!j->code)
		return skep_fail_nomem(err);
	j->guesses = j->prog->nr > LARGE && !j->blocks;
	if (j->guesses) {
		emit_pass(j, 1);
		good = !j->oom && resolve(j);
	}
	if (!good && !j->oom) {
		j->guesses = false;
		j->old_at = skep_jit_take(j, j->cap_labels, sizeof(*j->old_at));
		if (!j->old_at)
			return skep_fail_nomem(err);
		emit_pass(j, 0);
		emit_pass(j, 1);
		good = !j->oom && resolve(j);
	}
	if (j->oom)
		return skep_fail_nomem(err);
	return good ? 0
		    : skep_fail(err, SKEP_E_SYSTEM, EFAULT, "internal: a short jump is too long");
}

static enum skep_vm_step run(struct skep_vm *vm, uint64_t r[11], const struct skep_vm_insn **pc,
			     unsigned int base)
{
	const struct code *code = (const struct code *)vm->prog->native;
	void (*stub)(struct skep_vm *, uint64_t *, const void *);
	const void *at = code->pages + SKEP_JIT_STUB;

	memcpy(&stub, &at, sizeof(stub));
	stub(vm, r, code->pages + code->at[*pc - vm->prog->insns]);
	if (vm->failed)
		return SKEP_VM_FAILED;
	if (vm->depth == base)
		return SKEP_VM_DONE;
	*pc = skep_vm_pop(vm, r);
	return SKEP_VM_SWITCH;
}

static void destroy(struct skep_vm_native *native)
{
	struct code *code = (struct code *)native;

	if (code->fault.prog)
		skep_fault_remove(&code->fault);
	skep_gdb_destroy(code->gdb);
	free((void *)code->fault.at);
	munmap(code->pages, code->size);
	free(code);
}

const void *skep_jit_callx(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t addr)
{
	const struct skep_vm_insn *to = skep_vm_func(vm, addr);
	const struct code *code = (const struct code *)vm->prog->native;

	if (to)
		return code->pages + code->at[to - vm->prog->insns];
	skep_vm_fail(vm, pc, SKEP_E_RUN_ACCESS, EFAULT,
		     "callx to 0x%llx, which is not a function of the program",
		     (unsigned long long)addr);
	return NULL;
}

const void *skep_jit_tail(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t a[6])
{
	const struct skep_vm_prog *caller = vm->prog, *prog;
	const struct code *code;
	uint64_t r[11] = {0};

	if (vm->checked && !skep_vm_check_args(vm, pc, a))
		return NULL;
	memcpy(&r[1], a, 5 * sizeof(r[0]));
	prog = skep_vm_tail(vm, pc, r);
	if (!prog)
		return NULL;
	code = (const struct code *)prog->native;
	if (code && code->native.run == run)
		return code->pages + code->at[0];
	r[10] = vm->lo + SKEP_VM_STACK;
	if (skep_vm_finish_frame(vm, r) < 0)
		return NULL;
	a[5] = r[0];
	if (vm->prog == caller)
		memcpy(a, &r[1], 5 * sizeof(r[0]));
	else
		memset(a, 0, 5 * sizeof(r[0])); /* as skep_vm_pop() does */
	skep_vm_enter(vm, caller);
	return SKEP_JIT_TAIL_RAN;
}

void skep_jit_faulted(struct skep_vm *vm, const struct skep_vm_insn *pc, uint64_t addr, bool write)
{
	uint32_t len = pc->op < SKEP_OP_MAX ? skep_insn_table[pc->op].width / 8 : 0;

	if (vm->err && !vm->failed && addr != UINT64_MAX) {
		vm->err->addr = addr;
		vm->err->len = len;
		vm->err->write = write;
	}
	if (addr == UINT64_MAX)
		skep_vm_fail(vm, pc, SKEP_E_RUN_ACCESS, EFAULT,
			     "an access to an address that no process has");
	else
		skep_vm_fail(vm, pc, SKEP_E_RUN_ACCESS, EFAULT,
			     "%s memory that is not there, at 0x%llx", write ? "writes" : "reads",
			     (unsigned long long)addr);
}

static bool register_faults(const struct skep_jit *j, struct code *code,
			    const struct skep_vm_prog *prog)
{
	struct skep_jit_block all = {.end = prog->nr}, *blocks = j->blocks ? j->blocks : &all;
	uint32_t nr = j->blocks ? j->nr_blocks : 1, n = 0, b, i;
	struct skep_fault_at *at = malloc(prog->nr * sizeof(*at));

	if (!at)
		return false;
	for (b = 0; b < nr; b++)
		for (i = blocks[b].start; i < blocks[b].end; i++)
			at[n++] = (struct skep_fault_at){j->label_at[i], skep_jit_access_at(j, i)};
	code->fault = (struct skep_fault_code){
		.start = (uintptr_t)code->pages,
		.end = (uintptr_t)code->pages + code->len,
		.landing = (uintptr_t)code->pages + j->label_at[j->landing],
		.prog = prog,
		.at = at,
	};
	if (skep_fault_add(&code->fault) == 0)
		return true;
	code->fault.prog = NULL;
	return false;
}

static int finish(struct skep_jit *j, struct skep_vm_prog *prog, struct skep_err *err)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (j->len + page - 1) & ~(page - 1);
	struct code *code = calloc(1, sizeof(*code) + prog->nr * sizeof(code->at[0]));
	const void *at;
	uint32_t i;

	if (!code)
		return skep_fail_nomem(err);
	code->pages = mmap(NULL, size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (code->pages == MAP_FAILED) {
		free(code);
		return skep_fail_nomem(err);
	}
	memcpy(code->pages, j->code, j->len);
	code->len = j->len;
	code->size = size;
	code->nr = prog->nr;
	for (i = 0; i < (j->nr_funcs > 1 ? prog->nr : 1); i++)
		if (i == 0 || prog->is_func[i])
			code->at[i] = j->label_at[prog->nr + i];
	at = code->pages + j->enter;
	code->native.run = run;
	memcpy(&code->native.enter, &at, sizeof(at));
	code->native.sites = j->nr_sites;
	memcpy(code->native.use, j->use, sizeof(j->use));
	code->native.destroy = destroy;
	if (mprotect(code->pages, size, PROT_READ | PROT_EXEC) < 0) {
		int ret = -errno;

		destroy(&code->native);
		return skep_fail(err, SKEP_E_PERMISSION, -ret,
				 "%s: the system allows no executable memory (%s)", prog->name,
				 strerror(-ret));
	}
	if (j->faults && !register_faults(j, code, prog)) {
		destroy(&code->native);
		return skep_fail_nomem(err);
	}
	prog->native = &code->native;
	return 0;
}

/* The functions of @prog and their code; the stub and what stands behind it first. */
static struct skep_gdb_func *functions(const struct skep_vm_prog *prog, uint32_t *nr)
{
	const struct code *code = (const struct code *)prog->native;
	struct skep_gdb_func *funcs = calloc(prog->nr + 1, sizeof(*funcs));
	uint32_t i, n = 0;

	if (!funcs)
		return NULL;
	snprintf(funcs[n++].name, sizeof(funcs->name), "bpf_enter_%s", prog->name);
	for (i = 0; i < prog->nr; i++) {
		if (!prog->is_func[i])
			continue;
		funcs[n].start = funcs[n - 1].end = code->at[i];
		if (i)
			snprintf(funcs[n].name, sizeof(funcs->name), "bpf_prog_%s_%u", prog->name,
				 i);
		else
			snprintf(funcs[n].name, sizeof(funcs->name), "bpf_prog_%s", prog->name);
		n++;
	}
	funcs[n - 1].end = (uint32_t)code->len;
	*nr = n;
	return funcs;
}

/* Without memory for it gdb is not told, and the program runs all the same. */
static void tell_gdb(const struct skep_jit *j, const struct skep_vm_prog *prog)
{
	struct code *code = (struct code *)prog->native;
	struct skep_gdb_code told = {
		.start = code->pages,
		.len = code->len,
		.stub_body = j->stub_body,
		.stub_saved = j->stub_saved,
		.saved = j->saved,
		.frame = j->frame,
	};
	struct skep_gdb_func *funcs = functions(prog, &told.nr);

	told.funcs = funcs;
	if (funcs)
		code->gdb = skep_gdb_create(&told);
	free(funcs);
}

/* perf(1) reads "START SIZE NAME" lines, in hexadecimal, of code that no file has. */
static void tell_perf(const struct skep_vm_prog *prog)
{
	const struct code *code = (const struct code *)prog->native;
	struct skep_gdb_func *funcs;
	uint32_t i, n = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	f = fopen(path, "ae");
	if (!f)
		return;
	funcs = functions(prog, &n);
	for (i = 1; i < n; i++)
		fprintf(f, "%llx %x %s\n",
			(unsigned long long)(uintptr_t)code->pages + funcs[i].start,
			funcs[i].end - funcs[i].start, funcs[i].name);
	free(funcs);
	fclose(f);
}

static uint64_t blinding(void)
{
	uint64_t seed = 0;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return 0;
	return seed | 1;
}

static int begin(struct skep_jit *j, const struct skep_jit_opts *opts, struct skep_err *err)
{
	if (!skep_jit_arch())
		return skep_fail(err, SKEP_E_UNSUPPORTED, EOPNOTSUPP,
				 "skep has no JIT for this processor yet");
	if (!opts || !opts->blind)
		return 0;
	j->blind = blinding();
	return j->blind ? 0
			: skep_fail(err, SKEP_E_SYSTEM, EIO,
				    "the system gives no random numbers to blind constants with");
}

/* What is kept by slot. */
static bool take_all(struct skep_jit *j)
{
	uint32_t nr = j->prog->nr;

	j->cap_labels = nr * (j->checked ? 4 : 2) + 256;
	if (!skep_jit_scratch_init(j))
		return false;
	j->label_at = skep_jit_take(j, j->cap_labels, sizeof(*j->label_at));
	j->leader = skep_jit_take(j, nr + 1, 1);
	j->ir = skep_jit_take(j, nr, sizeof(*j->ir));
	j->proof = skep_jit_take(j, nr, 1);
	j->select = skep_jit_take(j, nr, 1);
	j->group = skep_jit_take(j, j->checked ? nr : 1, sizeof(*j->group));
	j->likely = skep_jit_take(j, j->checked ? nr : 1, 1);
	return j->label_at && j->leader && j->ir && j->proof && j->select && j->group && j->likely;
}

int skep_jit_compile(struct skep_vm_prog *prog, const struct skep_jit_opts *opts,
		     struct skep_err *err)
{
	struct skep_jit j = {
		.prog = prog,
		.checked = prog->checked,
		.counted = prog->counted,
	};
	int ret = begin(&j, opts, err);

	if (ret < 0)
		return ret;
	j.faults = opts && opts->faults && !j.checked;
	j.passes = SKEP_JIT_PASS_ALL & ~(opts ? opts->without : 0);
	if (prog->native)
		return 0;
	if (!take_all(&j)) {
		ret = skep_fail_nomem(err);
	} else {
		read_program(&j);
		find_loops(&j);
		ret = skep_jit_optimise(&j) < 0 ? skep_fail_nomem(err) : emit(&j, err);
		if (ret == 0)
			ret = finish(&j, prog, err);
	}
	skep_vec_deinit(&j.fixups);
	skep_vec_deinit(&j.colds);
	if (ret == 0 && opts && opts->gdb)
		tell_gdb(&j, prog);
	if (ret == 0 && opts && opts->perf_map)
		tell_perf(prog);
	skep_jit_scratch_deinit(&j);
	return ret;
}

size_t skep_jit_code(const struct skep_vm_prog *prog, const void **pages)
{
	const struct code *code = (const struct code *)prog->native;

	if (!code)
		return 0;
	*pages = code->pages;
	return code->len;
}
