/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * src/sys and src/event against the running kernel: programs of a few
 * instructions are attached to what this process does itself.  Needs root.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/perf_event.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "btf/btf.h"
#include "event/event.h"
#include "event/sym.h"
#include "sys/ring.h"
#include "sys/sys.h"
#include "sys/uapi.h"
#include "tap.h"

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})

static struct skep_err err = SKEP_ERR_INIT;

static int map_create(struct skep_sys *sys, uint32_t type, uint32_t key, uint32_t value,
		      uint32_t entries)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = key;
	attr.value_size = value;
	attr.max_entries = entries;
	strcpy(attr.map_name, "skep_test");
	return skep_sys_bpf(sys, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static uint64_t counter(struct skep_sys *sys, int map)
{
	union bpf_attr attr;
	uint32_t key = 0;
	uint64_t value = 0;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	skep_sys_bpf(sys, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr));
	return value;
}

static int load(struct skep_sys *sys, const struct skep_event_def *def, const char *args,
		const struct bpf_insn *insns, size_t n)
{
	struct skep_btf *kernel = NULL;
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = def->prog_type;
	attr.expected_attach_type = def->attach_type;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = (uint32_t)n;
	attr.license = (uintptr_t) "GPL";
	strcpy(attr.prog_name, "skep_test");
	if (def->flags & SKEP_EV_BTF_ID) {
		if (skep_btf_open_kernel(&kernel, &err) == 0)
			attr.attach_btf_id = (uint32_t)skep_event_btf_id(def, args, kernel, &err);
		skep_btf_destroy(kernel);
	}
	fd = skep_sys_bpf(sys, BPF_PROG_LOAD, &attr, sizeof(attr));
	return fd;
}

/* A program that adds one to the counter for each run in process @tgid (0: any). */
static int load_counter(struct skep_sys *sys, const struct skep_event_def *def, const char *args,
			int map, pid_t tgid)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_get_current_pid_tgid),
		INSN(BPF_ALU64 | BPF_RSH | BPF_K, 0, 0, 0, 32),
		INSN(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, tgid ? 1 : 0, tgid),
		INSN(BPF_JMP | BPF_JA, 0, 0, tgid ? 4 : 0, 0),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_VALUE, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load(sys, def, args, insns, SKEP_ARRAY_SIZE(insns));
}

static uint32_t prog_id(struct skep_sys *sys, int fd)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	return skep_sys_bpf(sys, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr.info)) < 0 ? 0
										       : info.id;
}

/* True if any link of the system runs program @prog; others' come and go meanwhile. */
static bool has_link(struct skep_sys *sys, uint32_t prog)
{
	struct bpf_link_info info;
	union bpf_attr attr;
	uint32_t id = 0;
	int fd;

	for (;;) {
		memset(&attr, 0, sizeof(attr));
		attr.start_id = id;
		if (skep_sys_bpf(sys, BPF_LINK_GET_NEXT_ID, &attr, sizeof(attr)) < 0)
			return false;
		id = attr.next_id;
		memset(&attr, 0, sizeof(attr));
		attr.link_id = id;
		fd = skep_sys_bpf(sys, BPF_LINK_GET_FD_BY_ID, &attr, sizeof(attr));
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		memset(&attr, 0, sizeof(attr));
		attr.info.bpf_fd = (uint32_t)fd;
		attr.info.info_len = sizeof(info);
		attr.info.info = (uintptr_t)&info;
		skep_sys_bpf(sys, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr.info));
		skep_sys_close(sys, fd);
		if (info.prog_id == prog)
			return true;
	}
}

__attribute__((noinline, used)) int skep_test_target(int n);
__attribute__((noinline, used)) int skep_test_target(int n)
{
	__asm__ volatile("" ::: "memory");
	return n + 1;
}

/* What each kind of event is about, ten times. */
static void provoke(void)
{
	volatile int n = 0;
	int i;

	for (i = 0; i < 10; i++) {
		syscall(__NR_getppid);
		n = skep_test_target(n);
	}
}

/* Until this process has had 200 ms of processor, however long that takes on a busy machine. */
static void burn(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	do {
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	} while ((b.tv_sec - a.tv_sec) * 1000000000l + b.tv_nsec - a.tv_nsec < 200000000l);
}

/* Like burn(), but the processor is another thread's. */
static void rest(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
	do {
		usleep(5000);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
	} while ((b.tv_sec - a.tv_sec) * 1000000000l + b.tv_nsec - a.tv_nsec < 200000000l);
}

struct attachment {
	struct skep_links links;
	int map, prog;
};

static int attach(struct skep_sys *sys, const char *sec, pid_t pid, uint64_t hz,
		  struct attachment *at)
{
	const char *args;
	const struct skep_event_def *def = skep_event_find(sec, &args, &err);
	struct skep_attach a = {
		.sys = sys, .def = def, .prog = "test", .pid = pid, .frequency = hz};

	*at = (struct attachment){.prog = -1};
	at->map = map_create(sys, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	if (!def)
		return -EINVAL;
	at->prog = load_counter(sys, def, args, at->map, pid > 0 ? 0 : getpid());
	if (at->prog < 0)
		return at->prog;
	a.args = args;
	a.prog_fd = at->prog;
	return skep_attach_prog(&a, &at->links, &err);
}

static void detach(struct skep_sys *sys, struct attachment *at)
{
	skep_links_deinit(&at->links, sys);
	skep_sys_close(sys, at->prog);
	skep_sys_close(sys, at->map);
	skep_err_deinit(&err);
}

static void test_attach(struct skep_sys *sys, const char *sec, uint64_t least, uint64_t most)
{
	struct attachment at;
	uint32_t id;
	uint64_t n;

	if (!ok(attach(sys, sec, -1, 0, &at) == 0, "attach %s", sec))
		printf("# %s\n", err.msg);
	id = prog_id(sys, at.prog);
	ok(has_link(sys, id), "a link runs it");
	provoke();
	n = counter(sys, at.map);
	ok(n >= least && n <= most, "%s ran %llu times", sec, (unsigned long long)n);
	detach(sys, &at);
	provoke();
	ok(!has_link(sys, id), "no link is left of %s", sec);
}

static void test_refusal(struct skep_sys *sys, const char *sec, const char *want)
{
	struct attachment at;

	attach(sys, sec, -1, 0, &at);
	is_str(err.msg, want, sec);
	ok(at.links.fds.len == 0, "nothing stays open");
	detach(sys, &at);
}

static void *burn_thread(void *ctx)
{
	while (!__atomic_load_n((bool *)ctx, __ATOMIC_RELAXED))
		;
	return NULL;
}

/* A timer of a process sees the threads that it has already. */
static void test_threads(struct skep_sys *sys)
{
	struct attachment at;
	bool stop = false;
	pthread_t thread;
	uint64_t n;

	pthread_create(&thread, NULL, burn_thread, &stop);
	ok(attach(sys, "perf_event", getpid(), 500, &at) == 0, "timer of a process with threads");
	rest();
	n = counter(sys, at.map);
	ok(n > 20, "its busy thread gave %llu samples", (unsigned long long)n);
	detach(sys, &at);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static void test_timer(struct skep_sys *sys)
{
	struct attachment at;
	uint64_t n;

	ok(attach(sys, "perf_event", getpid(), 500, &at) == 0, "timer of this process: %s",
	   err.msg);
	burn();
	n = counter(sys, at.map);
	ok(n > 20 && n < 300, "500 Hz for 200 ms gave %llu samples", (unsigned long long)n);
	detach(sys, &at);
	ok(attach(sys, "perf_event", -1, 500, &at) == 0, "timer on each CPU: %s", err.msg);
	burn();
	n = counter(sys, at.map);
	ok(n > 20 && n < 300, "and those of this process are %llu", (unsigned long long)n);
	detach(sys, &at);
}

static void test_uprobes(struct skep_sys *sys)
{
	char self[4096], sec[4200];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	snprintf(sec, sizeof(sec), "uprobe/%s:skep_test_target", self);
	test_attach(sys, sec, 10, 10);
	snprintf(sec, sizeof(sec), "uretprobe/%s:skep_test_target", self);
	test_attach(sys, sec, 10, 10);
	test_attach(sys, "uprobe/libc.so.6:getppid", 0, 0);
}

struct seen {
	int samples;
	char text[64];
	uint64_t lost, time, bytes;
	uint64_t libc[2]; /* start and length of its code */
	int cpu;
	bool exec;
	struct skep_symtab *tab;
};

static int see_line(void *ctx, const struct skep_rec *rec)
{
	struct seen *s = ctx;
	const char *text;
	size_t len;

	if (rec->type != PERF_RECORD_SAMPLE || rec->pid != (uint32_t)getpid() ||
	    !skep_printk_text(rec->data, rec->len, &text, &len))
		return 0;
	s->samples++;
	snprintf(s->text, sizeof(s->text), "%.*s", (int)len, text);
	s->time = rec->time;
	return 0;
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* bpf_trace_printk("n=%d", 42) through the PRINTK buffers. */
static void test_printk(struct skep_sys *sys)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 0x64253d6e), /* "n=%d" */
		INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 1, -8, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -8),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 5),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 42),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_trace_printk),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	const char *args;
	const struct skep_event_def *def =
		skep_event_find("tp/syscalls/sys_enter_getppid", &args, NULL);
	struct skep_event ev = {.kind = SKEP_EVENT_PRINTK, .pid = -1};
	struct skep_links links = {0};
	struct seen s = {0};
	struct skep_attach a = {.sys = sys, .def = def, .args = args, .prog = "printk"};
	struct skep_perf perf;
	uint64_t start = now();

	a.prog_fd = load(sys, def, args, insns, SKEP_ARRAY_SIZE(insns));
	is_int(skep_perf_open(&perf, sys, &ev, -1, 8, &err), 0, "PRINTK buffers open");
	is_int(skep_attach_prog(&a, &links, &err), 0, "the printing program is attached");
	syscall(__NR_getppid);
	ok(skep_sys_wait(sys, 1000) > 0, "wait() tells of the line");
	ok(skep_perf_read(&perf, see_line, &s, &err) > 0 && s.samples == 1, "one line came");
	is_str(s.text, "n=42", "bpf_printk's text");
	ok(s.time > start && s.time < now(), "its time is CLOCK_MONOTONIC");
	skep_links_deinit(&links, sys);
	skep_perf_close(&perf);
	skep_sys_close(sys, a.prog_fd);
	skep_err_deinit(&err);
}

static int see_output(void *ctx, const struct skep_rec *rec)
{
	struct seen *s = ctx;

	s->lost += rec->lost;
	if (rec->type != PERF_RECORD_SAMPLE)
		return 0;
	s->samples++;
	s->bytes += rec->len;
	s->cpu = rec->cpu;
	snprintf(s->text, sizeof(s->text), "%.*s", (int)rec->len, (const char *)rec->data);
	return 0;
}

static int attach_syscall(struct skep_sys *sys, const struct bpf_insn *insns, size_t n,
			  struct skep_links *links)
{
	const char *args;
	const struct skep_event_def *def =
		skep_event_find("tp/syscalls/sys_enter_getppid", &args, NULL);
	struct skep_attach a = {.sys = sys, .def = def, .args = args, .prog = "out"};
	int ret;

	a.prog_fd = load(sys, def, args, insns, n);
	if (a.prog_fd < 0)
		return a.prog_fd;
	ret = skep_attach_prog(&a, links, &err);
	/* The link holds the program. */
	skep_sys_close(sys, a.prog_fd);
	return ret;
}

/* bpf_perf_event_output("seven\0..") in a buffer that then overflows. */
static void test_output(struct skep_sys *sys)
{
	struct skep_event ev = {.kind = SKEP_EVENT_OUTPUT, .pid = -1};
	int map = map_create(sys, BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, (uint32_t)skep_nr_cpus());
	const struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 0x65766573), /* "seve" */
		INSN(BPF_STX | BPF_MEM | BPF_W, 10, 1, -8, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 0x6e), /* "n" */
		INSN(BPF_STX | BPF_MEM | BPF_W, 10, 1, -4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU | BPF_MOV | BPF_K, 3, 0, 0, -1), /* BPF_F_CURRENT_CPU */
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, -8),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 5, 0, 0, 8),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_perf_event_output),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	struct skep_links links = {0};
	struct skep_perf perf;
	struct seen s = {0};
	int i;

	is_int(skep_perf_open(&perf, sys, &ev, map, 1, &err), 0, "OUTPUT buffers of one page");
	is_int(attach_syscall(sys, insns, SKEP_ARRAY_SIZE(insns), &links), 0, "its program");
	syscall(__NR_getppid);
	ok(skep_sys_wait(sys, 1000) > 0, "wait() tells of the record");
	skep_perf_read(&perf, see_output, &s, &err);
	ok(s.samples >= 1 && !strcmp(s.text, "seven") && s.bytes == 12ull * (uint64_t)s.samples,
	   "the record came, padded to 12 bytes");
	ok(s.cpu >= 0 && s.cpu < skep_nr_cpus(), "with its CPU");
	/* Wrap around, again and again. */
	s = (struct seen){0};
	for (i = 0; i < 1000; i++) {
		syscall(__NR_getppid);
		if (i % 10 == 9 && skep_perf_read(&perf, see_output, &s, &err) < 0)
			break;
	}
	ok(i == 1000 && s.samples >= 1000 && !s.lost, "1000 records through one page (%s)",
	   err.msg);
	s = (struct seen){0};
	for (i = 0; i < 1000; i++)
		syscall(__NR_getppid);
	skep_perf_read(&perf, see_output, &s, &err);
	for (i = 0; i < 3; i++)
		syscall(__NR_getppid);
	skep_perf_read(&perf, see_output, &s, &err);
	ok(s.lost > 0 && s.lost + (uint64_t)s.samples >= 1003, "what did not fit is counted (%llu)",
	   (unsigned long long)s.lost);
	skep_links_deinit(&links, sys);
	skep_perf_close(&perf);
	skep_sys_close(sys, map);
	skep_err_deinit(&err);
}

/* bpf_ringbuf_output() of 8 bytes in a ring of one page. */
static void test_ring(struct skep_sys *sys)
{
	int map = map_create(sys, BPF_MAP_TYPE_RINGBUF, 0, 0, 4096), i;
	const struct bpf_insn insns[] = {
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 0x65657262), /* "bree" */
		INSN(BPF_STX | BPF_MEM | BPF_DW, 10, 1, -8, 0),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 5),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	struct skep_links links = {0};
	struct skep_ring ring;
	struct seen s = {0};

	is_int(skep_ring_open(&ring, sys, map, 4096, &err), 0, "ring buffer opens");
	is_int(attach_syscall(sys, insns, SKEP_ARRAY_SIZE(insns), &links), 0, "its program");
	is_int(skep_ring_read(&ring, see_output, &s, &err), 0, "it is empty at first");
	for (i = 0; i < 3000; i++) {
		syscall(__NR_getppid);
		if (i % 100 == 99 && skep_ring_read(&ring, see_output, &s, &err) < 0)
			break;
	}
	ok(i == 3000 && s.samples >= 3000 && s.bytes == 5ull * (uint64_t)s.samples,
	   "3000 records of 5 bytes through one page");
	is_str(s.text, "bree", "their bytes");
	syscall(__NR_getppid);
	ok(skep_sys_wait(sys, 1000) > 0, "wait() tells of a record");
	skep_links_deinit(&links, sys);
	skep_ring_close(&ring);
	skep_sys_close(sys, map);
}

static int see_task(void *ctx, const struct skep_rec *rec)
{
	struct seen *s = ctx;

	if (rec->type == PERF_RECORD_COMM && rec->misc & PERF_RECORD_MISC_COMM_EXEC)
		s->exec = true;
	s->samples += rec->type == PERF_RECORD_MMAP2;
	/* pid, tid, start, length, offset ... path */
	if (rec->type == PERF_RECORD_MMAP2 && rec->len > 72 &&
	    strstr((const char *)rec->data + 64, "/libc.so"))
		memcpy(s->libc, (const char *)rec->data + 8, sizeof(s->libc));
	return skep_symtab_record(s->tab, rec->type, rec->misc, rec->data, rec->len, rec->time);
}

/* A command's mappings outlive it in the symbol table. */
static void test_command(struct skep_sys *sys)
{
	char *argv[] = {"sh", "-c", "exit 3", NULL}, text[128];
	struct skep_command cmd = {.argv = argv};
	struct skep_event ev = {.kind = SKEP_EVENT_TASKS, .inherit = true};
	struct seen s = {.tab = skep_symtab_create()};
	struct skep_symbol sym;
	struct skep_perf perf;
	uint64_t ip, found = 0;

	is_int(sys->ops->spawn(sys, &cmd), 0, "spawn");
	ev.pid = cmd.pid;
	is_int(skep_perf_open(&perf, sys, &ev, -1, 8, &err), 0, "TASKS buffers open");
	sys->ops->release(sys, &cmd);
	while (!cmd.ended && skep_sys_wait(sys, 5000) > 0)
		;
	ok(cmd.ended && WIFEXITED(cmd.status) && WEXITSTATUS(cmd.status) == 3, "wait() ends it");
	skep_perf_read(&perf, see_task, &s, &err);
	ok(s.exec && s.samples >= 2, "exec and %d mappings were told", s.samples);
	for (ip = s.libc[0]; ip < s.libc[0] + s.libc[1] && !found; ip += 0x1000) {
		skep_symtab_find(s.tab, cmd.pid, ip, &sym);
		if (sym.name)
			found = ip;
	}
	ok(found && strchr(skep_symtab_text(s.tab, cmd.pid, found, text, sizeof(text)), '+'),
	   "an address of the ended process has a name: %s", text);
	skep_perf_close(&perf);
	sys->ops->reap(sys, &cmd);
	skep_symtab_destroy(s.tab);
	skep_err_deinit(&err);
}

/* Sends @n frames out of device @ifindex. */
static void send_frames(int ifindex, int n)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = ifindex, .sll_halen = 6};
	unsigned char frame[64] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
				   0,	 0,    0,    0,	   1,	 0x88, 0xb5};
	SKEP_AUTO_CLOSE int fd = socket(AF_PACKET, SOCK_RAW, 0);

	memset(to.sll_addr, 0xff, 6);
	while (n-- > 0)
		if (sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)) < 0)
			printf("# sendto: %s\n", strerror(errno));
}

/* Counts the frames of our EtherType 0x88b5 and drops them; others pass. */
static int load_xdp(struct skep_sys *sys, const struct skep_event_def *def, int map)
{
	const struct bpf_insn insns[] = {
		INSN(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 4, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 14),
		INSN(BPF_JMP | BPF_JGT | BPF_X, 4, 3, 7, 0),
		INSN(BPF_LDX | BPF_MEM | BPF_H, 5, 2, 12, 0),
		INSN(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 5, 0xb588),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_VALUE, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 2, 0, 0, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, BPF_ADD),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_DROP),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return load(sys, def, "", insns, SKEP_ARRAY_SIZE(insns));
}

/* In a network namespace of its own, which ends with this process. */
static void test_xdp(struct skep_sys *sys)
{
	const char *args;
	struct skep_attach a = {
		.sys = sys, .def = skep_event_find("xdp", &args, NULL), .prog = "x"};
	int map = map_create(sys, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	struct skep_links links = {0}, second = {0};

	if (unshare(CLONE_NEWNET) < 0 ||
	    system("ip link add v0 type veth peer name v1 2>/dev/null && ip link set v0 up && "
		   "ip link set v1 up") != 0) {
		ok(true, "xdp # SKIP no veth pairs here");
		skep_sys_close(sys, map);
		return;
	}
	a.args = "";
	a.prog_fd = load_xdp(sys, a.def, map);
	ok(skep_attach_prog(&a, &links, &err) < 0, "no device: %s", err.msg);
	skep_err_deinit(&err);
	a.ifindex = 999;
	skep_attach_prog(&a, &links, &err);
	is_str(err.msg, "program 'x': there is no network device with index 999", "no such device");
	skep_err_deinit(&err);
	a.ifindex = (int)if_nametoindex("v0");
	is_int(skep_attach_prog(&a, &links, &err), 0, "xdp attaches to a veth device");
	skep_attach_prog(&a, &second, &err);
	is_str(err.msg,
	       "program 'x': v0 has an XDP program already; `ip link set dev v0 xdp off` removes "
	       "it",
	       "a second one does not");
	skep_err_deinit(&err);
	send_frames((int)if_nametoindex("v1"), 25);
	is_int((long long)counter(sys, map), 25, "it saw the 25 frames");
	skep_links_deinit(&links, sys);
	send_frames((int)if_nametoindex("v1"), 5);
	is_int((long long)counter(sys, map), 25, "detached, it sees none");
	skep_links_deinit(&second, sys);
	skep_sys_close(sys, a.prog_fd);
	skep_sys_close(sys, map);
}

static int open_fds(void)
{
	int n = 0, fd;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Whatever call of attaching fails: an error, and nothing stays open. */
static void test_inject(const char *sec, int cmd, int calls)
{
	int before = open_fds(), nth, bad = 0;
	struct skep_sys *sys;
	struct attachment at;

	for (nth = 1; nth <= calls; nth++) {
		sys = skep_sys_inject_create(skep_sys_kernel_create(NULL), cmd, nth, ENOMEM);
		bad += attach(sys, sec, -1, 0, &at) != -ENOMEM || at.links.fds.len ||
		       !strstr(err.msg, "Cannot allocate memory");
		detach(sys, &at);
		skep_sys_destroy(sys);
	}
	is_int(bad, 0, sec);
	is_int(open_fds(), before, "no descriptor stays open");
}

static void test_inject_perf(int cmd, int calls)
{
	struct skep_event ev = {.kind = SKEP_EVENT_PRINTK, .pid = -1};
	int before = open_fds(), nth, bad = 0;
	struct skep_perf perf;
	struct skep_sys *sys;

	for (nth = 1; nth <= calls; nth++) {
		sys = skep_sys_inject_create(skep_sys_kernel_create(NULL), cmd, nth, EMFILE);
		bad += skep_perf_open(&perf, sys, &ev, -1, 1, &err) != -EMFILE || perf.bufs.len;
		skep_err_deinit(&err);
		skep_sys_destroy(sys);
	}
	is_int(bad, 0, "buffers of which one cannot be opened");
	is_int(open_fds(), before, "no descriptor stays open");
}

int main(void)
{
	struct skep_sys *sys = skep_sys_kernel_create(NULL);
	int map = map_create(sys, BPF_MAP_TYPE_ARRAY, 4, 8, 1);

	if (map < 0) {
		printf("1..0 # SKIP %s\n", sys->why);
		skep_sys_destroy(sys);
		return 0;
	}
	skep_sys_close(sys, map);
	test_attach(sys, "tracepoint/syscalls/sys_enter_getppid", 10, 10);
	test_attach(sys, "tp/syscalls/sys_exit_getppid", 10, 10);
	test_attach(sys, "raw_tp/sys_enter", 10, 10000);
	test_attach(sys, "raw_tracepoint/sys_exit", 10, 10000);
	test_attach(sys, "tp_btf/sys_enter", 10, 10000);
	test_uprobes(sys);
	test_timer(sys);
	test_threads(sys);
	test_printk(sys);
	test_output(sys);
	test_ring(sys);
	test_command(sys);
	test_refusal(
		sys, "tp/syscalls/sys_enter_getpid2",
		"program 'test': this kernel has no tracepoint syscalls/sys_enter_getpid2; did you "
		"mean sys_enter_getpid, sys_enter_getgid or sys_enter_getpgid?");
	test_refusal(sys, "raw_tp/task_newtas",
		     "program 'test': this kernel has no raw tracepoint task_newtas; did you mean "
		     "task_newtask?");
	test_refusal(sys, "tp/nothing",
		     "program 'test': a tracepoint is CATEGORY/NAME, as in "
		     "\"tracepoint/sched/sched_switch\", not \"nothing\"");
	test_refusal(sys, "tp",
		     "program 'test': SEC(\"tp\") does not say where to attach; "
		     "write SEC(\"tp/CATEGORY/NAME\"), or --attach test=tp/...");
	test_refusal(sys, "kprobe/+4",
		     "program 'test': a kprobe is FUNCTION[+OFFSET], as in \"kprobe/do_unlinkat\", "
		     "not \"+4\"");
	test_refusal(
		sys, "uprobe/libc.so.6:mallocc",
		"program 'test': /lib/x86_64-linux-gnu/libc.so.6: no function 'mallocc'; did you "
		"mean malloc, calloc or mallopt?");
	test_refusal(sys, "uprobe/libc.so.6",
		     "program 'test': a uprobe is PATH:FUNCTION[+OFFSET], as in "
		     "\"uprobe/libc.so.6:malloc\", not \"libc.so.6\"");
	test_inject("tp/syscalls/sys_enter_getppid", BPF_LINK_CREATE, 1);
	test_inject("tp/syscalls/sys_enter_getppid", -2, 1);
	test_inject("raw_tp/sys_enter", BPF_RAW_TRACEPOINT_OPEN, 1);
	test_inject("perf_event", -2, (int)sysconf(_SC_NPROCESSORS_ONLN));
	test_inject("perf_event", BPF_LINK_CREATE, (int)sysconf(_SC_NPROCESSORS_ONLN));
	test_inject_perf(-2, (int)sysconf(_SC_NPROCESSORS_ONLN));
	test_xdp(sys);
	skep_sys_destroy(sys);
	return done();
}
