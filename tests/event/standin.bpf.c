/* SPDX-License-Identifier: BSD-2-Clause */
/* Probes of openat(2) that should all see what the tracepoint sees. */
#include <linux/bpf.h>

/* What vmlinux.h would say: the names that only the kernel's types have. */
#define __VMLINUX_H__
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip,
		cs, flags, sp, ss;
} __attribute__((preserve_access_index));

#include <bpf/bpf_helpers.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "GPL";

struct seen {
	char who[4];
	int dfd, flags;
	char name[32];
};

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
	__type(value, struct seen);
} records SEC(".maps");

static __always_inline int tell(const char *who, int dfd, const char *name, int flags)
{
	struct seen *s = bpf_ringbuf_reserve(&records, sizeof(*s), 0);

	if (!s)
		return 0;
	__builtin_memset(s, 0, sizeof(*s));
	__builtin_memcpy(s->who, who, 3);
	s->dfd = dfd;
	s->flags = flags;
	bpf_probe_read_user_str(s->name, sizeof(s->name), name);
	bpf_ringbuf_submit(s, 0);
	return 0;
}

struct sys_enter {
	__u64 common;
	long nr;
	long args[6];
};

SEC("tracepoint/syscalls/sys_enter_openat")
int point(struct sys_enter *ctx)
{
	return tell("tp", ctx->args[0], (const char *)ctx->args[1], ctx->args[2]);
}

SEC("ksyscall/openat")
int BPF_KSYSCALL(ksyscall, int dfd, const char *name, int flags)
{
	return tell("ks", dfd, name, flags);
}

SEC("kprobe/__x64_sys_openat")
int BPF_KPROBE(kprobe, struct pt_regs *regs)
{
	char pad[64];

	/* A frame in use, whose bytes must stay what they are. */
	__builtin_memset(pad, 7, sizeof(pad));
	asm volatile("" : : "r"(pad) : "memory");
	if (pad[0] != 7 || pad[63] != 7)
		return 0;
	return tell("kp", (int)PT_REGS_PARM1_CORE(regs), (const char *)PT_REGS_PARM2_CORE(regs),
		    (int)PT_REGS_PARM3_CORE(regs));
}

#ifdef SE
SEC("kprobe/__se_sys_openat")
int BPF_KPROBE(se, int dfd, const char *name, int flags)
{
	return tell("se", dfd, name, flags);
}
#endif

__s64 results, results_point, failed;

SEC("kretsyscall/openat")
int BPF_KRETPROBE(back, int ret)
{
	__sync_fetch_and_add(&results, ret);
	if (ret < 0)
		__sync_fetch_and_add(&failed, 1);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_openat")
int point_back(struct sys_enter *ctx)
{
	__sync_fetch_and_add(&results_point, (int)ctx->args[0]);
	return 0;
}
