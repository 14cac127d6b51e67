/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lines of bpf_printk(), for the kernel engine.
 *
 * The kernel tells each line at its tracepoint bpf_trace_printk (Linux 5.9).
 * A perf event there would miss the lines of most tracing programs: those run
 * inside of perf's own handler, and perf drops what nests in it.  trace_pipe
 * has one reader for the whole system.  So a program of ours sits at the raw
 * tracepoint and copies each line to perf buffers; nothing of it outlives its
 * descriptors.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "sys/kernel.h"
#include "sys/uapi.h"

/* What bpf_trace_printk() formats into, bytes: BPF_TRACE_PRINTK_SIZE, 512 before 6.3. */
#define LINE_MAX_BYTES 1024
/* What a tracepoint's raw record has before: 8 common bytes, then length << 16 | offset. */
#define LINE_AT 12

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define CALL(func) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, func)
#define MOV(d, s)  INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOVI(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADDI(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LD_MAP(d, m) \
	INSN(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_MAP_FD, 0, m), INSN(0, 0, 0, 0, 0)

static int create_map(struct skep_sys *sys, uint32_t type, uint32_t value_size, uint32_t entries,
		      const char *name)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = 4;
	attr.value_size = value_size;
	attr.max_entries = entries;
	strncpy(attr.map_name, name, sizeof(attr.map_name) - 1);
	return skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr));
}

/* Copies the tracepoint's argument to the line's per-CPU room and from there to the buffer. */
static int load(struct skep_sys *sys, int lines, int buffers)
{
	/* The room's first bytes stay what they are: zero. */
	const struct bpf_insn insns[] = {
		MOV(BPF_REG_6, BPF_REG_1),
		INSN(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_7, BPF_REG_1, 0, 0),
		INSN(BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0),
		LD_MAP(BPF_REG_1, lines),
		MOV(BPF_REG_2, BPF_REG_10),
		ADDI(BPF_REG_2, -4),
		CALL(BPF_FUNC_map_lookup_elem),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 18, 0),
		MOV(BPF_REG_8, BPF_REG_0),
		MOV(BPF_REG_1, BPF_REG_0),
		ADDI(BPF_REG_1, LINE_AT),
		MOVI(BPF_REG_2, LINE_MAX_BYTES),
		MOV(BPF_REG_3, BPF_REG_7),
		CALL(BPF_FUNC_probe_read_kernel_str),
		INSN(BPF_JMP | BPF_JSLE | BPF_K, BPF_REG_0, 0, 11, 0),
		MOV(BPF_REG_5, BPF_REG_0),
		ADDI(BPF_REG_5, LINE_AT),
		INSN(BPF_ALU64 | BPF_LSH | BPF_K, BPF_REG_0, 0, 0, 16),
		INSN(BPF_ALU64 | BPF_OR | BPF_K, BPF_REG_0, 0, 0, LINE_AT),
		INSN(BPF_STX | BPF_MEM | BPF_W, BPF_REG_8, BPF_REG_0, LINE_AT - 4, 0),
		MOV(BPF_REG_1, BPF_REG_6),
		LD_MAP(BPF_REG_2, buffers),
		INSN(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, -1), /* BPF_F_CURRENT_CPU */
		MOV(BPF_REG_4, BPF_REG_8),
		CALL(BPF_FUNC_perf_event_output),
		MOVI(BPF_REG_0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = SKEP_ARRAY_SIZE(insns);
	attr.license = (uintptr_t) "Dual BSD/GPL";
	strcpy(attr.prog_name, "skep_printk");
	return skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, sizeof(attr));
}

static int attach(struct skep_kernel *k, int prog)
{
	union bpf_attr attr;
	int ret;

	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.name = (uintptr_t) "bpf_trace_printk";
	attr.raw_tracepoint.prog_fd = (uint32_t)prog;
	ret = skep_sys_bpf(&k->sys, BPF_RAW_TRACEPOINT_OPEN, &attr, sizeof(attr.raw_tracepoint));
	if (ret == -ENOENT) {
		skep_kernel_why(k,
				"this kernel does not tell bpf_printk()'s lines (it is older than "
				"5.9); `cat /sys/kernel/tracing/trace_pipe` shows them");
		return -EOPNOTSUPP;
	}
	return ret;
}

static int start(struct skep_kernel *k)
{
	SKEP_AUTO_CLOSE int lines = -1, buffers = -1, prog = -1;
	int link;

	lines = create_map(&k->sys, BPF_MAP_TYPE_PERCPU_ARRAY, LINE_AT + LINE_MAX_BYTES, 1,
			   "skep_line");
	if (lines < 0)
		return lines;
	buffers = create_map(&k->sys, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, (uint32_t)skep_nr_cpus(),
			     "skep_printk");
	if (buffers < 0)
		return buffers;
	prog = load(&k->sys, lines, buffers);
	if (prog < 0)
		return prog;
	link = attach(k, prog);
	if (link < 0)
		return link;
	/* The link holds the program, and that its maps. */
	k->printk_link = link;
	k->printk_map = SKEP_TAKE_FD(buffers);
	return 0;
}

static void stop(struct skep_kernel *k)
{
	if (k->printk_link >= 0)
		close(k->printk_link);
	if (k->printk_map >= 0)
		close(k->printk_map);
	k->printk_link = k->printk_map = -1;
}

int skep_kernel_printk_add(struct skep_kernel *k, int cpu, int fd)
{
	uint32_t key = (uint32_t)cpu, value = (uint32_t)fd;
	union bpf_attr attr;
	int ret = k->printk_link < 0 ? start(k) : 0;

	if (ret < 0)
		return ret;
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)k->printk_map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	ret = skep_sys_bpf(&k->sys, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
	if (ret == 0)
		ret = skep_vec_push(&k->printk_fds, fd);
	if (ret < 0 && !k->printk_fds.len)
		stop(k);
	return ret;
}

void skep_kernel_printk_del(struct skep_kernel *k, int fd)
{
	size_t i;

	for (i = 0; i < k->printk_fds.len && k->printk_fds.data[i] != fd; i++)
		;
	if (i == k->printk_fds.len)
		return;
	k->printk_fds.data[i] = k->printk_fds.data[--k->printk_fds.len];
	if (!k->printk_fds.len)
		stop(k);
}

void skep_kernel_printk_deinit(struct skep_kernel *k)
{
	stop(k);
	skep_vec_deinit(&k->printk_fds);
}
