/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The registry of machine code and the handlers, see fault.h.
 *
 * The handler takes no lock: entries stand in chunks that are never freed, and
 * each is read under a sequence count.  The entry of code that a thread is in
 * does not change while it is in it; others may, and are passed over.
 */
#include "jit/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "isa/insn.h"
#include "vm/run.h"

#define CHUNK 64

struct entry {
	_Atomic uint32_t seq; /* odd: being changed */
	_Atomic uintptr_t start, end; /* 0: free */
	_Atomic(const struct skep_fault_code *) code;
};

struct chunk {
	struct entry entries[CHUNK];
	_Atomic(struct chunk *) next;
};

static struct chunk first;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of writers */
static unsigned int users;
static bool installed;
static struct sigaction before[2]; /* of SIGSEGV, SIGBUS */
static const int signals[2] = {SIGSEGV, SIGBUS};

static void set(struct entry *e, const struct skep_fault_code *code)
{
	atomic_fetch_add_explicit(&e->seq, 1, memory_order_acq_rel);
	atomic_store_explicit(&e->code, code, memory_order_relaxed);
	atomic_store_explicit(&e->start, code ? code->start : 0, memory_order_relaxed);
	atomic_store_explicit(&e->end, code ? code->end : 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&e->seq, 1, memory_order_release);
}

/* The entry with @code, or a free one for NULL; NULL: none. */
static struct entry *entry_of(const struct skep_fault_code *code, struct chunk **last)
{
	struct chunk *c;
	int i;

	for (c = &first; c; c = atomic_load(&c->next)) {
		*last = c;
		for (i = 0; i < CHUNK; i++)
			if (atomic_load(&c->entries[i].code) == code)
				return &c->entries[i];
	}
	return NULL;
}

int skep_fault_add(const struct skep_fault_code *code)
{
	struct chunk *last = NULL, *more;
	struct entry *e;

	pthread_mutex_lock(&lock);
	e = entry_of(NULL, &last);
	if (!e) {
		more = calloc(1, sizeof(*more));
		if (more) {
			e = &more->entries[0];
			atomic_store(&last->next, more);
		}
	}
	if (e)
		set(e, code);
	pthread_mutex_unlock(&lock);
	return e ? 0 : -ENOMEM;
}

void skep_fault_remove(const struct skep_fault_code *code)
{
	struct chunk *last;
	struct entry *e;

	pthread_mutex_lock(&lock);
	e = entry_of(code, &last);
	if (e)
		set(e, NULL);
	pthread_mutex_unlock(&lock);
}

/* The code that holds @pc, or NULL. */
static const struct skep_fault_code *find(uintptr_t pc)
{
	struct chunk *c;
	int i;

	for (c = &first; c; c = atomic_load_explicit(&c->next, memory_order_acquire)) {
		for (i = 0; i < CHUNK; i++) {
			struct entry *e = &c->entries[i];
			uint32_t seq = atomic_load_explicit(&e->seq, memory_order_acquire);
			uintptr_t start = atomic_load_explicit(&e->start, memory_order_relaxed);
			uintptr_t end = atomic_load_explicit(&e->end, memory_order_relaxed);
			const struct skep_fault_code *code =
				atomic_load_explicit(&e->code, memory_order_relaxed);

			atomic_thread_fence(memory_order_acquire);
			if (seq % 2 || atomic_load_explicit(&e->seq, memory_order_relaxed) != seq)
				continue;
			if (pc >= start && pc < end)
				return code;
		}
	}
	return NULL;
}

/* What may fault: accesses, and look-ups that were put in the place of a call. */
static bool may_fault(const struct skep_vm_insn *in)
{
	if (in->op >= SKEP_OP_MAX)
		return false;
	switch ((enum skep_kind)skep_insn_table[in->op].kind) {
	case SKEP_KIND_LDX:
	case SKEP_KIND_LDSX:
	case SKEP_KIND_ST:
	case SKEP_KIND_STX:
	case SKEP_KIND_ATOMIC:
	case SKEP_KIND_CMPXCHG:
	case SKEP_KIND_LOAD_ACQ:
	case SKEP_KIND_STORE_REL:
	case SKEP_KIND_CALL: return true;
	default: return false;
	}
}

/* The instruction whose code is at @pc: the last that begins at or before it. */
static const struct skep_vm_insn *insn_at(const struct skep_fault_code *code, uintptr_t pc)
{
	uint32_t off = (uint32_t)(pc - code->start), low = 0, high = code->prog->nr, mid;
	const struct skep_vm_insn *in;

	while (high - low > 1) {
		mid = low + (high - low) / 2;
		if (code->at[mid].at <= off)
			low = mid;
		else
			high = mid;
	}
	in = &code->prog->insns[code->at[low].slot];
	return code->at[low].at <= off && may_fault(in) ? in : NULL;
}

/* As if we had never been there. */
static void hand_on(int sig, siginfo_t *info, void *ucontext)
{
	const struct sigaction *old = &before[sig == SIGBUS];
	struct sigaction none = {.sa_handler = SIG_DFL};

	if (old->sa_flags & SA_SIGINFO) {
		old->sa_sigaction(sig, info, ucontext);
	} else if (old->sa_handler == SIG_DFL ||
		   (old->sa_handler == SIG_IGN && info->si_code > 0)) {
		/* A fault happens again when we return, and ends the process as it should. */
		sigaction(sig, &none, NULL);
		if (info->si_code <= 0)
			raise(sig);
	} else if (old->sa_handler != SIG_IGN) {
		old->sa_handler(sig);
	}
}

static void handler(int sig, siginfo_t *info, void *ucontext)
{
	uintptr_t pc = skep_fault_pc(ucontext);
	const struct skep_fault_code *code = info->si_code > 0 ? find(pc) : NULL;
	const struct skep_vm_insn *in = code ? insn_at(code, pc) : NULL;
	/* SI_KERNEL: an address that no address space has; the processor does not say which. */
	uint64_t addr = info->si_code == SI_KERNEL ? UINT64_MAX : (uintptr_t)info->si_addr;

	if (in)
		skep_fault_resume(ucontext, code->landing, in, addr, skep_fault_is_write(ucontext));
	else
		hand_on(sig, info, ucontext);
}

static bool is_ours(int sig)
{
	struct sigaction now;

	return sigaction(sig, NULL, &now) == 0 && now.sa_flags & SA_SIGINFO &&
	       now.sa_sigaction == handler;
}

int skep_fault_acquire(struct skep_err *err)
{
	struct sigaction ours = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
	int i, ret = 0;

	sigemptyset(&ours.sa_mask);
	pthread_mutex_lock(&lock);
	if (!installed) {
		for (i = 0; i < 2 && ret == 0; i++)
			if (sigaction(signals[i], &ours, &before[i]) < 0)
				ret = -errno;
		installed = ret == 0;
	}
	users += ret == 0;
	pthread_mutex_unlock(&lock);
	return ret < 0 ? skep_fail(err, SKEP_E_SYSTEM, -ret, "sigaction: %s", strerror(-ret)) : 0;
}

void skep_fault_release(void)
{
	int i;

	pthread_mutex_lock(&lock);
	/* Who came later may call us: then we stay, and hand on. */
	if (--users == 0 && is_ours(SIGSEGV) && is_ours(SIGBUS)) {
		for (i = 0; i < 2; i++)
			sigaction(signals[i], &before[i], NULL);
		installed = false;
	}
	pthread_mutex_unlock(&lock);
}
