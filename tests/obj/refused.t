#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# What is said when the kernel refuses: each row makes one call of skep's fail
# (skep run --inject CMD:NTH:ERRNO[:TIMES], before the kernel hears of it) and
# has the words of the answer.  No answer is a bare errno where more is known.
import os
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/cli")
sys.path.insert(0, __file__.rsplit("/", 2)[0])
from need import lacks  # noqa: E402
from skeptest import *  # noqa: E402

if lacks("root", "clang", "cc"):
    skip_all(lacks("root", "clang", "cc"))

HEAD = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
"""
PLACE = "S" * 64
MAPS = HEAD + """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
__type(value, long); } counts SEC(".maps");
int tail(void *ctx);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); __uint(key_size, 4);
__array(values, int (void *)); } tails SEC(".maps") = { .values = { (void *)&tail } };
int variable = 7;
const volatile int fixed = 8;
SEC("tracepoint/syscalls/sys_enter_getpgid") int tail(void *ctx) { return 0; }
SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx)
{
	int key = 0;
	long *val = bpf_map_lookup_elem(&counts, &key);
	return val ? *val + variable + fixed : 0;
}
"""
SOURCES = {
    "maps": MAPS,
    # Its section's name is written into the object: one run of the compiler for all kinds.
    "prog": HEAD + f'SEC("{PLACE}") int prog(void *ctx) {{ return 0; }}',
    "pin": HEAD + """
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, int);
__type(value, long); __uint(pinning, LIBBPF_PIN_BY_NAME); } kept SEC(".maps");
SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx) { return 0; }""",
    "sockets": HEAD + """
struct { __uint(type, BPF_MAP_TYPE_SOCKMAP); __uint(max_entries, 1); __type(key, int);
__type(value, int); } sockets SEC(".maps");
SEC("sk_skb/verdict") int prog(void *ctx) { return 0; }""",
    "losses": HEAD + """
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, int);
__type(value, long); } kept SEC(".maps");
SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx)
{
	int key = 0;
	long val = 1;
	bpf_map_update_elem(&kept, &key, &val, 0);
	return 0;
}""",
    "usdt": """#include <stdbool.h>
#include <linux/bpf.h>
#include <linux/ptrace.h>
#include <bpf/bpf_helpers.h>
#define BPF_USDT_MAX_SPEC_CNT 1
#include <bpf/usdt.bpf.h>
char LICENSE[] SEC("license") = "GPL";
SEC("usdt/./target:probes:plain") int prog(struct pt_regs *ctx)
{
	long arg = 0;
	bpf_usdt_arg(ctx, 0, &arg);
	return arg;
}
SEC("usdt/./target:probes:guarded") int other(struct pt_regs *ctx)
{
	long arg = 0;
	bpf_usdt_arg(ctx, 0, &arg);
	return arg;
}""",
    "ops": HEAD + """
struct tcp_congestion_ops { void (*init)(void *); char name[16]; };
SEC("struct_ops/init") void method(void *sk) { }
SEC(".struct_ops.link") struct tcp_congestion_ops table = { .init = (void *)method, .name = "x" };
""",
    "large": HEAD + """
char zeroes[8192];
struct bpf_iter_meta { void *seq; };
struct bpf_iter__task { struct bpf_iter_meta *meta; };
SEC("iter/task") int prog(struct bpf_iter__task *ctx)
{
	for (int i = 0; i < 5; i++)
		bpf_seq_write(ctx->meta->seq, zeroes, sizeof(zeroes));
	return 0;
}""",
}
SOURCES["usdt2"] = SOURCES["usdt"].replace("#define BPF_USDT_MAX_SPEC_CNT 1\n", "")
for name, text in SOURCES.items():
    with open(f"{dir}/{name}.c", "w") as f:
        f.write(text)
    subprocess.run(["clang", "-O2", "-g", "-w", "-target", "bpf", "-D__TARGET_ARCH_x86",
                    f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", f"{dir}/{name}.c",
                    "-o", f"{dir}/{name}.o"], check=True)
with open(f"{dir}/prog.o", "rb") as f:
    PROG = f.read()
GETPGID = "tracepoint/syscalls/sys_enter_getpgid"
INFO = 15
MAP_CREATE, LOOKUP, UPDATE, PROG_LOAD, OBJ_GET, TEST_RUN = 0, 1, 2, 5, 7, 10
RAW_TP, BTF_LOAD, FREEZE, LINK, ITER, EVENT = 17, 18, 22, 28, 33, -2
EPERM, EIO, ENOMEM, EACCES, EBUSY, ENODEV, EINVAL, EMFILE = 1, 5, 12, 13, 16, 19, 22, 24
EOPNOTSUPP = 95

# (object or section, options, what is made to fail, words of the answer, status)
CASES = [
    ("maps", "", (MAP_CREATE, 1, EPERM), "map 'tails': creating maps needs CAP_BPF", 1),
    ("maps", "", (MAP_CREATE, 2, EOPNOTSUPP), "map 'counts': this kind of map is not", 4),
    ("maps", "", (MAP_CREATE, 1, ENOMEM), "map 'tails': 1 entries of 4 + 4 bytes are too much", 1),
    ("maps", "", (MAP_CREATE, 2, EIO), "map 'counts': Input/output error", 1),
    ("maps", "", (UPDATE, 1, EIO), "map '.data' cannot be filled: Input/output error", 1),
    ("maps", "", (UPDATE, 3, EIO), "map 'tails': value 0 cannot be set: Input/output error", 1),
    ("maps", "", (FREEZE, 1, EPERM), "'.rodata' cannot be frozen (EPERM)", 0),
    ("maps", "", (BTF_LOAD, 1, EINVAL), "the kernel does not take the object's types (EINVAL)", 0),
    ("maps", "", (LOOKUP, 1, EIO), "map 'counts': reading its elements: Input/output error", 1),
    ("maps", "-- true", (UPDATE, 4, EIO), "cannot be added to the processes to watch", 1),
    ("maps", "-- true", (PROG_LOAD, 3, EPERM), "following the command's processes: Operation", 1),
    ("maps", "-- true", (LINK, 1, EIO), "following the command's processes: program", 1),
    (GETPGID, "", (PROG_LOAD, 1, EPERM), "loading programs needs CAP_BPF, and CAP_PERFMON", 1),
    (GETPGID, "", (PROG_LOAD, 1, EOPNOTSUPP), "this kind of program is not supported", 4),
    (GETPGID, "", (PROG_LOAD, 1, EIO, 9), "program 'prog': Input/output error", 1),
    (GETPGID, "", (PROG_LOAD, 1, EINVAL, 99), "this kernel has no programs of the kind", 4),
    (GETPGID, "", (PROG_LOAD, 1, EINVAL, 2), "as they stand, without saying more", 1),
    (GETPGID, "", (LINK, 1, EIO), GETPGID[:10] + " syscalls/sys_enter_getpgid: Input/output", 1),
    (GETPGID, "", (LINK, 1, EOPNOTSUPP), "built without CONFIG_PERF_EVENTS", 4),
    ("pin", "--pin-root {dir}/nowhere", None, "kept: is in no directory that exists: mount -t", 1),
    ("pin", "--pin-root {dir}", None, "is not on a BPF file system: mount -t bpf bpf", 1),
    ("pin", "", (OBJ_GET, 1, EPERM), "map 'kept': pins need CAP_BPF", 1),
    ("pin", "", (OBJ_GET, 1, EACCES), "kept: may not be opened by this user", 1),
    ("iter/task", "", (ITER, 1, ENOMEM), "starting an iterator: Cannot allocate memory", 1),
    ("large", "", None, "the program wrote more than 32 KiB at one step", 1),
    ("syscall", "", (TEST_RUN, 1, EIO), "running it once, without a context: Input/output", 1),
    ("tp_btf/sched_switch", "", (RAW_TP, 1, EBUSY), "something else is attached there", 1),
    ("raw_tp/sys_enter", "", (RAW_TP, 1, EIO), "raw tracepoint sys_enter: Input/output error", 1),
    ("xdp", "--dev lo", (LINK, 1, EBUSY), "lo has an XDP program already; `ip link set dev lo", 1),
    ("xdp", "--dev lo", (LINK, 1, EINVAL), "attached in generic mode, which is slower", 0),
    ("xdp", "--dev lo", (LINK, 1, ENODEV), "there is no network device with index 1", 1),
    ("xdp", "--dev lo --xdp-mode generic", (LINK, 1, EINVAL), "the kernel has no generic XDP for", 4),
    ("xdp", "--dev lo", (LINK, 1, EIO), "xdp on lo: Input/output error", 1),
    ("tcx/ingress", "--dev lo", (LINK, 1, EOPNOTSUPP), "built without CONFIG_NET_XGRESS", 4),
    ("tcx/ingress", "--dev lo", (LINK, 1, EIO), "tcx/ingress on lo: Input/output error", 1),
    ("tcx/ingress", "--dev lo", (LINK, 1, EINVAL), "tcx/ingress on lo: the kernel refuses", 1),
    ("cgroup/bind4", "--cgroup /sys/fs/cgroup", (LINK, 1, EIO), "/sys/fs/cgroup: Input/output", 1),
    ("socket", "--dev lo", (EVENT, 1, EMFILE), "a packet socket: Too many open files", 1),
    # By a link since Linux 6.10, by the map itself before.
    ("sockets", "", (-1, 4, EIO, 2), "sk_skb/verdict: Input/output error", 1),
    ("perf_event", "", (EVENT, 1, EMFILE), "cpu-clock at 99 Hz: Too many open files", 1),
    ("sk_lookup", "", (LINK, 1, EIO), "sk_lookup in this network namespace: Input/output", 1),
    ("netfilter", "--hook input", (LINK, 1, EIO), "netfilter at input: Input/output error", 1),
    ("ops", "", (PROG_LOAD, 1, EIO, 9), "its program 'method' is not loaded", 1),
    ("ops", "", (UPDATE, 1, EPERM), "registering it needs CAP_BPF and CAP_NET_ADMIN", 1),
    ("ops", "", (UPDATE, 1, EIO), "the kernel does not register it: Input/output error", 1),
    ("kprobe.multi/do_exit", "", (LINK, 1, EIO), "kprobe.multi/do_exit: Input/output error", 1),
    ("fentry/no_such_mod:work", "", None, "no module 'no_such_mod' with types is loaded", 1),
    ("freplace", "--target 1", None, "write --target 1:FUNCTION", 1),
    ("usdt", "", (UPDATE, 2, EIO), "map '__bpf_usdt_specs': Input/output error", 0),
    ("usdt", "", None, "more than 1 different probes; define BPF_USDT_MAX_SPEC_CNT", 0),
    # The first has the cookie 0, which is none.
    ("usdt2", "", (LINK, 1, EINVAL, 3), "this kernel has no cookies for programs", 0),
    (GETPGID, "", (LINK, 1, EINVAL, 2), "", 0),
    ("tcx/ingress", "--dev lo --old", (LINK, 1, EINVAL), "that takes Linux 6.6 or newer, and", 4),
    ("pin", "--engine user -- true", None, "is not pinned: this engine's maps end with the process", 0),
    ("pin", "--pinned", (INFO, 1, EIO), "/bpf/kept is no map", 1),
    ("tp_btf/sched_switch", "", (RAW_TP, 1, 524), "none with more than six arguments", 4),
    ("losses", "", (LOOKUP, 1, EIO), "the loss counters cannot be read: Input/output error", 1),
]
subprocess.run(["cc", "-O1", "-g", "-w", "-o", f"{dir}/root/target",
                TOP + "/tests/event/target.c"], check=True)
# A BPF file system of the test's own, where the map is pinned already.
PINNED = ["unshare", "-m", "sh", "-c", f"mkdir -p {dir}/bpf && mount -t bpf bpf {dir}/bpf && "
          f"{SKEP} run --engine kernel --pin-root {dir}/bpf {dir}/pin.o -- true && "
          f'exec "$@" --pin-root {dir}/bpf {dir}/pin.o', "-"]
# What stands before skep.
BEFORE = {"--pinned": PINNED, "--old": ["setarch", "x86_64", "--uname-2.6"]}
for place, options, fails, want, status in CASES:
    obj = f"{dir}/{place}.o"
    if place not in SOURCES:
        obj = f"{dir}/one.o"
        with open(obj, "wb") as f:
            f.write(PROG.replace(PLACE.encode(), place.encode().ljust(len(PLACE), b"\0")))
    argv = ["run", "--engine", "kernel"]
    if fails:
        argv += ["--inject", ":".join(map(str, fails))]
    before, _, command = options.format(dir=dir).partition("-- ")
    if not command:
        argv += ["--duration", "0.1"]
    stands = [w for o in before.split() for w in BEFORE.get(o, [])]
    argv += [o for o in before.split() if o not in BEFORE]
    if "--pinned" not in options:
        argv += [obj, *(["--", command] if command else [])]
    r = subprocess.run([*stands, SKEP, *argv], cwd=f"{dir}/root", stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=120)
    got, err = r.returncode, r.stderr
    what = f"{place}{' ' + options if options else ''}: {want}"
    if "has no programs of the kind" in err and "has no programs" not in want:
        skip(what, "this kernel refuses the program first")
        continue
    ok(want in err and got == status and err.count("program 'prog'") <= 1, what, got, err)
done()
