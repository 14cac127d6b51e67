/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Local ideas of kernel types, wrong in every way that CO-RE sets right.  Each
 * section is a program that uses one kind of relocation; CASE says which are built.
 */
#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char LICENSE[] SEC("license") = "GPL";

#define CORE __attribute__((preserve_access_index))

typedef int pid_t;

struct list_head {
	struct list_head *next, *prev;
} CORE;

struct mm_struct {
	unsigned long start_code, end_code;
} CORE;

/* Order, padding and neighbours are not the kernel's. */
struct task_struct {
	char comm[16];
	char junk[3];
	pid_t tgid;
	struct mm_struct *mm;
	pid_t pid;
	struct task_struct *group_leader;
	unsigned int flags;
	struct list_head children;
	unsigned int sched_reset_on_fork : 3;
	unsigned int no_cgroup_migration : 1;
	unsigned long nvcsw;
} CORE;

struct task_struct___flavour {
	int exit_code;
	long never_there;
	pid_t pid;
} CORE;

/* A wider and a narrower load than the kernel's field needs. */
struct task_struct___wide {
	unsigned long flags;
	unsigned short ptrace;
} CORE;

struct task_struct___signed {
	long pid;
} CORE;

struct task_struct___longer {
	char comm[64];
} CORE;

struct no_such_struct {
	int a;
} CORE;

enum pid_type___x { PIDTYPE_PID___y, PIDTYPE_NOPE = 77, PIDTYPE_PGID = 9 };
enum no_such_enum { NOPE };

/* Nameless members on one side only. */
struct sk_buff {
	struct {
		unsigned int len, data_len;
	};
	__u16 protocol;
	__u8 pkt_type : 3;
	__u8 cloned : 1;
} CORE;

struct fdtable___flex {
	unsigned int max_fds;
	void **fd;
} CORE;

struct bpf_insn___x {
	__u8 code;
	__u8 dst_reg : 4;
	__u8 src_reg : 4;
	__s16 off;
	__s32 imm;
} CORE;

#if CASE == 0
#define PROG(n) SEC("raw_tp/p" #n) int p##n(unsigned long *ctx)

PROG(1)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	return BPF_CORE_READ(t, pid) + BPF_CORE_READ(t, tgid) + BPF_CORE_READ(t, flags);
}

PROG(2)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	char c;

	bpf_core_read(&c, 1, &t->comm[5]);
	return c + (long)BPF_CORE_READ(t, group_leader, group_leader, mm, end_code);
}

PROG(3)
{
	struct task_struct *t = (void *)bpf_get_current_task();

	return BPF_CORE_READ_BITFIELD_PROBED(t, no_cgroup_migration) +
	       BPF_CORE_READ_BITFIELD_PROBED(t, sched_reset_on_fork);
}

PROG(4)
{
	struct task_struct___flavour *t = (void *)bpf_get_current_task();
	long sum = bpf_core_field_size(t->exit_code) + bpf_core_field_exists(t->exit_code);

	if (bpf_core_field_exists(t->never_there))
		sum += BPF_CORE_READ(t, never_there);
	return sum + BPF_CORE_READ(t, pid);
}

PROG(5)
{
	struct no_such_struct *n = (void *)bpf_get_current_task();

	if (bpf_core_type_exists(struct no_such_struct))
		return BPF_CORE_READ(n, a) + bpf_core_type_size(struct no_such_struct);
	return bpf_core_type_exists(struct task_struct) + bpf_core_type_size(struct task_struct) +
	       bpf_core_type_id_kernel(struct task_struct) +
	       bpf_core_type_id_kernel(struct no_such_struct) +
	       bpf_core_type_id_local(struct no_such_struct);
}

PROG(6)
{
	long sum = bpf_core_enum_value(enum pid_type___x, PIDTYPE_PGID) +
		   bpf_core_enum_value_exists(enum pid_type___x, PIDTYPE_PID___y);

	if (bpf_core_enum_value_exists(enum pid_type___x, PIDTYPE_NOPE))
		sum += bpf_core_enum_value(enum pid_type___x, PIDTYPE_NOPE);
	if (bpf_core_enum_value_exists(enum no_such_enum, NOPE))
		sum += bpf_core_enum_value(enum no_such_enum, NOPE);
	return sum;
}

PROG(7)
{
	struct sk_buff *skb = (void *)ctx[0];

	return BPF_CORE_READ(skb, len) + BPF_CORE_READ(skb, data_len) +
	       BPF_CORE_READ(skb, protocol) + BPF_CORE_READ_BITFIELD_PROBED(skb, pkt_type) +
	       BPF_CORE_READ_BITFIELD_PROBED(skb, cloned) + bpf_core_field_size(skb->protocol);
}

PROG(8)
{
	struct bpf_insn___x *insn = (void *)ctx[0];

	return BPF_CORE_READ_BITFIELD_PROBED(insn, src_reg) + BPF_CORE_READ(insn, imm);
}

PROG(9)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct fdtable___flex *f = (void *)ctx[1];

	return (long)BPF_CORE_READ(t, children.next, prev) + (long)BPF_CORE_READ(f, fd) +
	       bpf_core_field_offset(t->nvcsw) + bpf_core_field_size(t->children);
}

#endif

/* Direct loads: the width of the instruction follows the kernel's type. */
#define DIRECT(n) SEC("tp_btf/task_rename") int d##n(unsigned long *ctx)

/* The kernel stops at the first program that it refuses: one build for each of these. */
#if CASE == 1
DIRECT(1)
{
	struct task_struct___wide *t = (void *)ctx[0];

	return t->flags + t->ptrace;
}
#elif CASE == 2
DIRECT(2)
{
	struct task_struct___signed *t = (void *)ctx[0];

	return t->pid;
}
#elif CASE == 3
DIRECT(3)
{
	struct task_struct *t = (void *)ctx[0];

	return t->pid + t->comm[3] + t->group_leader->tgid;
}
#elif CASE == 4
DIRECT(4)
{
	struct task_struct___longer *t = (void *)ctx[0];

	return t->comm[3];
}
#elif CASE == 5
DIRECT(5)
{
	struct task_struct___longer *t = (void *)ctx[0];

	return t->comm[40];
}
#endif
