/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The user engine's inside: objects, their descriptors and ids.
 *
 * Every object is counted.  A descriptor holds one reference; the table of
 * ids holds one, too, and lets go of what nobody else holds whenever
 * something was put (skep_user_sweep).  So an object lives exactly as long as
 * the kernel's would: as long as a descriptor, a program, a link or a map of
 * programs holds it.
 *
 * One thread at a time uses an engine; the maps themselves may be used by
 * many.
 */
#ifndef SKEP_USER_ENGINE_H
#define SKEP_USER_ENGINE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"
#include "map/map.h"
#include "sys/sys.h"
#include "sys/uapi.h"
#include "user/packet.h"
#include "user/source.h"
#include "user/user.h"
#include "vm/vm.h"

struct skep_btf;
struct skep_tracer;

enum skep_user_kind {
	SKEP_USER_NONE,
	SKEP_USER_MAP,
	SKEP_USER_PROG,
	SKEP_USER_BTF,
	SKEP_USER_LINK,
	SKEP_USER_IDS, /* those above have ids */
	SKEP_USER_EVENT = SKEP_USER_IDS,
	SKEP_USER_MAX,
};

struct skep_types { /* what BTF_LOAD makes */
	int refs;
	uint32_t id;
	struct skep_btf *btf;
};

/* What the loader said of an instruction (skep_sys_ops.note). */
struct skep_note {
	uint32_t insn;
	char *text; /* malloc'ed */
};

struct skep_prog {
	int refs;
	struct skep_user *user;
	uint32_t id, type, attach_type;
	char name[BPF_OBJ_NAME_LEN];
	uint8_t tag[BPF_TAG_SIZE];
	bool gpl;
	bool reported; /* a bad access of it was told */
	uint64_t load_ns, run_ns, run_cnt;
	struct skep_vm_prog *vm;
	struct bpf_insn *insns; /* as PROG_LOAD got them, map descriptors replaced by ids */
	uint32_t nr_insns;
	SKEP_VEC(struct skep_map *) maps; /* counted */
	struct skep_types *types; /* counted, or NULL */
	uint32_t btf_id; /* attach_btf_id: a type of the kernel */
	struct bpf_func_info *funcs;
	struct bpf_line_info *lines;
	uint32_t nr_funcs, nr_lines;
	SKEP_VEC(struct skep_note) notes;
};

/* What event() opens. */
struct skep_opened {
	int refs;
	enum skep_event_kind kind;
	int cpu;
	bool raw; /* a raw tracepoint's, not from event() */
	bool pointed; /* `point` is open */
	struct skep_point point; /* TRACEPOINT, UPROBE, PERF */
	struct skep_perf_ring *ring; /* OUTPUT, PRINTK */
};

struct skep_link {
	int refs;
	uint32_t id, type;
	struct skep_prog *prog; /* counted */
	struct skep_opened *opened; /* counted */
	uint64_t cookie;
	char *tp_name; /* of a raw tracepoint */
};

struct skep_slot { /* a descriptor */
	enum skep_user_kind kind;
	void *obj; /* counted */
	bool mapped; /* watched by wait() */
	bool no_read, no_write; /* open_flags of MAP_GET_FD_BY_ID */
};

struct skep_user {
	struct skep_sys sys;
	struct skep_log *log;
	struct skep_user_opts opts;
	SKEP_VEC(struct skep_slot) slots;
	SKEP_VEC(void *) ids[SKEP_USER_IDS]; /* ascending ids */
	uint32_t next_id[SKEP_USER_IDS];
	struct skep_vm *vm;
	struct skep_packet packet; /* of test runs */
	struct skep_tracer *tracer; /* made when first asked for */
	SKEP_VEC(int) watched;
	SKEP_VEC(struct skep_command *) commands; /* not told to have ended yet */
	uint64_t faults; /* runs of programs that were ended */
};

/* One bpf(2) call: the attributes copied, and where results go. */
struct skep_call {
	union bpf_attr attr;
	unsigned char more[64]; /* newer fields than this header's */
	char *user; /* the caller's struct */
	unsigned int size; /* of it */
	struct skep_err *err;
};

/* Stores a result in the caller's attr if it is large enough for the field. */
void skep_call_put(struct skep_call *call, size_t off, const void *value, size_t len);
#define skep_call_set(call, field, value) \
	do { \
		__typeof__((call)->attr.field) v_ = (value); \
		skep_call_put(call, offsetof(union bpf_attr, field), &v_, sizeof(v_)); \
	} while (0)

static inline void *skep_ptr(uint64_t attr_ptr)
{
	return (void *)(uintptr_t)attr_ptr;
}

/* Descriptors (user.c). */
int skep_user_fd(struct skep_user *user, enum skep_user_kind kind, void *take_obj);
struct skep_slot *skep_user_slot(struct skep_user *user, int fd);
/* The borrowed object of @fd; NULL with *ret -EBADF (no such descriptor) or -EINVAL (other). */
void *skep_user_obj(struct skep_user *user, int fd, enum skep_user_kind kind, int *ret);

/* Objects and ids (object.c). */
void skep_obj_get(enum skep_user_kind kind, void *obj);
void skep_obj_put(enum skep_user_kind kind, void *obj);
uint32_t skep_obj_id(enum skep_user_kind kind, const void *obj);
/* Gives @obj an id and a place in the table.  0 or -ENOMEM. */
int skep_user_register(struct skep_user *user, enum skep_user_kind kind, void *obj);
void *skep_user_by_id(struct skep_user *user, enum skep_user_kind kind, uint32_t id);
void skep_user_sweep(struct skep_user *user);
extern const struct skep_map_prog_ops skep_user_prog_ops;
void *skep_user_output_get(void *user, int fd);
/* Attaches and gives a link; all references taken from the caller on success only. */
struct skep_link *skep_link_create(uint32_t type, struct skep_prog *prog,
				   struct skep_opened *opened, uint64_t cookie);

/* event() (source.c). */
int skep_user_event(struct skep_user *user, const struct skep_event *ev, const char *raw_tp,
		    struct skep_opened **opened, struct skep_err *err);
/* bpf_printk() of any program: to the PRINTK buffer of @env's CPU. */
/* A record of a process (PERF_RECORD_*) for the buffers of SKEP_EVENT_TASKS. */
void skep_user_task(struct skep_user *user, const void *record, size_t len);
void skep_user_printk(struct skep_user *user, struct skep_vm_env *env, const char *text,
		      size_t len);
/* Keeps @text; the program ending there will be told in these words. */
void skep_prog_note(struct skep_prog *prog, uint32_t insn, const char *text);
/* Puts what was noted of @err's instruction in place of @err's own words. */
void skep_prog_explain(const struct skep_prog *prog, struct skep_err *err);
/* Tells once a program that a run of it was ended, with its source line, and counts. */
void skep_prog_ended(struct skep_prog *prog, const struct skep_err *err);
/* ": FILE:LINE" of instruction @insn, or "". */
void skep_prog_where(const struct skep_prog *prog, int insn, char *buf, size_t size);

/* PROG_LOAD's programs (load.c). */
void skep_prog_free(struct skep_prog *prog);
void skep_prog_tag(struct skep_prog *prog); /* sha1.c */

/* Handlers of bpf.def. */
#define SKEP_BPF(number, name, last) \
	int skep_bpf_##name(struct skep_user *user, struct skep_call *call);
#define SKEP_BPF_NO(number, name, why)
#include "user/bpf.def"
#undef SKEP_BPF
#undef SKEP_BPF_NO

int skep_user_bpf(struct skep_sys *sys, int cmd, union bpf_attr *attr, unsigned int size);

#endif
