#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# What programs attach to that the user names: maps and tasks of iterators,
# functions of loaded programs, events that perf samples.  The same file runs
# in the guests.
import sys

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../cli", HERE + "/.."]
from skeptest import *  # noqa: E402
from need import lacks  # noqa: E402

if lacks("root", "clang"):
    skip_all(lacks("root", "clang"))
with open("/proc/kallsyms") as f:
    KERNEL = {line.split()[2] for line in f}


def build(name, text):
    src, obj = f"{dir}/{name}.bpf.c", f"{dir}/root/{name}.bpf.o"
    with open(src, "w") as f:
        f.write("#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
                'char LICENSE[] SEC("license") = "GPL";\n' + text)
    r = subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-D__TARGET_ARCH_x86",
                        "-I/usr/include/x86_64-linux-gnu", "-c", src, "-o", obj],
                       capture_output=True, text=True)
    if not ok(r.returncode == 0, f"{name}: compiles", r.stderr):
        done()
    return obj


def run(obj, *command, options=(), engine="kernel"):
    args = ["run", "--json", "--engine", engine, *options, obj]
    status, out, err = skep(args + (["--", *command] if command else []), timeout=120)
    rows = [json.loads(l) for l in out.splitlines() if l.startswith("{")]
    return status, {r["name"]: r["value"] for r in rows if r["type"] == "variable"}, err, rows


def usage(what, *options):
    status, out, err = skep(["run", *options, "x.o"])
    ok(status == 2 and options[0] in err, f"usage: {what}", status, err)


# Iterators.
CORE = "__attribute__((preserve_access_index));\n"
META = (f"struct seq_file; struct bpf_iter_meta {{ struct seq_file *seq; }} {CORE}"
        "#define OUT(ctx, fmt, v) ({ static const char f[] = fmt; __u64 a = (v); "
        "bpf_seq_printf((ctx)->meta->seq, f, sizeof(f), &a, sizeof(a)); })\n")
elem = build("elem", META + f"""
struct bpf_iter__bpf_map_elem {{ struct bpf_iter_meta *meta; void *key; void *value; }} {CORE}
struct {{ __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 3); __type(key, __u32);
__type(value, __u64); }} squares SEC(".maps");
SEC("iter/bpf_map_elem") int walk(struct bpf_iter__bpf_map_elem *ctx)
{{ __u32 *key = ctx->key; if (key) OUT(ctx, "key %d\\n", *key); return 0; }}
""")


def text_of(rows):
    return [r["text"] for r in rows if r["type"] == "iter"]


status, got, err, rows = run(elem, options=("--iter", "map=squares"))
is_(text_of(rows), ["key 0", "key 1", "key 2"], "iter: a map of the object by its name", err)
status, got, err, rows = run(elem)
ok(status == 1 and "--iter map=NAME" in err, "iter: which map is asked", err)
status, got, err, rows = run(elem, options=("--iter", "map=squarse"))
ok(status == 1 and "no map of the object" in err and "did you mean squares" in err,
   "iter: no such map, near names", err)
status, got, err, rows = run(elem, options=("--iter", "map=4294967290"))
ok(status == 1 and "map=4294967290" in err, "iter: no such id", err)
if lacks("bpftool"):
    skip("iter: a map by id", lacks("bpftool"))
else:
    # Another process's map, which ends with it.
    holder = popen(["run", "--engine", "kernel", "--duration", "20",
                    build("holder", 'struct { __uint(type, BPF_MAP_TYPE_ARRAY); '
                          '__uint(max_entries, 2); __type(key, __u32); __type(value, __u64); } '
                          'skep_held SEC(".maps"); SEC("tracepoint/syscalls/sys_enter_getpgid") '
                          "int p(void *c) { __u32 k = 0; return bpf_map_lookup_elem(&skep_held, "
                          "&k) != 0; }")])
    found = []
    for _ in range(100):
        r = subprocess.run(["bpftool", "-j", "map"], capture_output=True, text=True)
        found = [m["id"] for m in json.loads(r.stdout or "[]") if m.get("name") == "skep_held"]
        if found:
            break
        time.sleep(0.1)
    status, got, err, rows = run(elem, options=("--iter", f"map={found and found[0]}"))
    is_(text_of(rows), ["key 0", "key 1"], "iter: a map by its id", err, found)
    holder.terminate()
    holder.communicate()
tasks = build("tasks", META + f"""
struct task_struct {{ int pid; int tgid; }} {CORE}
struct bpf_iter__task {{ struct bpf_iter_meta *meta; struct task_struct *task; }} {CORE}
SEC("iter/task") int walk(struct bpf_iter__task *ctx)
{{ struct task_struct *t = ctx->task; if (t) OUT(ctx, "tid %d\\n", t->pid); return 0; }}
""")
if "bpf_iter_task_link_info" in KERNEL or "bpf_iter_attach_task" in KERNEL:
    me = os.getpid()
    for key in ("tid", "pid"):
        status, got, err, rows = run(tasks, options=("--iter", f"{key}={me}"))
        is_(text_of(rows), [f"tid {me}"], f"iter: tasks by {key}", err)
else:
    skip("iter: tasks by tid and pid", "this kernel's iterators take no parameters")
vma = build("vma", META + f"""
struct vm_area_struct {{ unsigned long vm_start; }} {CORE}
struct bpf_iter__task_vma {{ struct bpf_iter_meta *meta; void *task; struct vm_area_struct *vma; }}
{CORE}
SEC("iter/task_vma") int walk(struct bpf_iter__task_vma *ctx)
{{ struct vm_area_struct *v = ctx->vma; if (v) OUT(ctx, "%lx\\n", v->vm_start); return 0; }}
""")
status, got, err, rows = run(vma, options=("--iter", f"pid={os.getpid()}"))
with open("/proc/self/maps") as f:
    starts = {l.split("-")[0].lstrip("0") for l in f if "vsyscall" not in l}
ok(len(starts & set(text_of(rows))) > len(starts) // 2, "iter: mappings of one process", err)
ksym = build("ksym", META + f"""
struct kallsym_iter {{ char name[128]; }} {CORE}
struct bpf_iter__ksym {{ struct bpf_iter_meta *meta; struct kallsym_iter *ksym; }} {CORE}
__u64 n;
SEC("iter/ksym") int walk(struct bpf_iter__ksym *ctx) {{ if (ctx->ksym) n++; return 0; }}
""")
status, got, err, rows = run(ksym)
if "bpf_iter_ksym" in KERNEL:
    ok(got.get("n", 0) > 10000, "iter: the kernel's symbols", err, got)
else:
    ok(status and "bpf_iter_ksym" in err or "ksym" in err, "iter: what this kernel lacks", err)
cgroup = build("cgroup", META + f"""
struct bpf_iter__cgroup {{ struct bpf_iter_meta *meta; void *cgroup; }} {CORE}
SEC("iter/cgroup") int walk(struct bpf_iter__cgroup *ctx)
{{ if (ctx->cgroup) OUT(ctx, "one %d\\n", 1); return 0; }}
""")
groups = [l.split()[1] for l in open("/proc/mounts") if l.split()[2] == "cgroup2"]
if not groups or "bpf_iter_cgroup" not in KERNEL:
    skip("iter: control groups", "no cgroup v2 is mounted, or this kernel cannot walk them")
else:
    status, got, err, rows = run(cgroup, options=("--cgroup", groups[0], "--iter", "order=self"))
    is_(text_of(rows), ["one 1"], "iter: a control group by itself", err)
usage("--iter without a key", "--iter", "squares")
usage("--iter with an unknown key", "--iter", "what=1")
usage("--iter with a bad id", "--iter", "tid=x")

# Functions of loaded programs.
base = build("base", """
__u64 n;
__attribute__((noinline)) int answer(int x) { asm volatile("" : "+r"(x)); return x ? 1 : 2; }
SEC("tracepoint/syscalls/sys_enter_getpgid") int skep_base(void *ctx)
{ int r = answer(bpf_get_prandom_u32() | 1); __sync_fetch_and_add(&n, r); return 0; }
""")
replace = build("replace", """
int x; SEC("freplace/answer") int other(int a) { return 100; }
""")
spy = build("spy", """
__u64 seen; SEC("fentry/answer") int see(void *ctx) { __sync_fetch_and_add(&seen, 1); return 0; }
""")
status, got, err, rows = run(replace)
ok(status == 1 and "--target" in err, "freplace: which program is asked", err)
status, got, err, rows = run(replace, options=("--target", "4294967290"))
ok(status == 1 and "no such program" in err, "freplace: no such program", err)
if lacks("bpftool"):
    skip("freplace, fentry on a program", lacks("bpftool"))
else:
    holder = popen(["run", "--json", "--engine", "kernel", "--duration", "30", base])
    ids = []
    for _ in range(100):
        r = subprocess.run(["bpftool", "-j", "prog"], capture_output=True, text=True)
        ids = [p["id"] for p in json.loads(r.stdout or "[]") if p.get("name") == "skep_base"]
        if ids:
            break
        time.sleep(0.1)
    CALL = ("python3", "-c", "import os\nfor i in range(7): os.getpgid(0)")
    to = ("--target", str(ids[0] if ids else 0))
    status, got, err, rows = run(replace, *CALL, options=("--target", to[1] + ":anser"))
    ok(status == 1 and "has no function 'anser'" in err and "did you mean answer" in err,
       "freplace: no such function, near names", err)
    status, got, err, rows = run(spy, *CALL, options=to)
    if lacks("fentry"):
        ok(status and len(err) > 40, "fentry on a program: says why not", err)
        status, got, err, rows = run(replace, *CALL, options=to)
        skip("freplace", lacks("fentry"))
    else:
        is_(got.get("seen"), 7, "fentry on a program", err)
        status, got, err, rows = run(replace, *CALL, options=to)
        ok(status == 0, "freplace attaches", err)
    holder.terminate()
    out, err = holder.communicate()
    total = [json.loads(l)["value"] for l in out.splitlines() if '"name":"n"' in l]
    if lacks("fentry"):
        skip("freplace: the other function ran", lacks("fentry"))
    else:
        ok(total and total[0] >= 700, "freplace: the other function ran", total, out, err)

# A writable raw tracepoint: what it writes is what the test run returns.
if "__traceiter_bpf_test_finish" not in KERNEL:
    skip("raw_tp.w", "this kernel has no tracepoint bpf_test_finish")
else:
    writer = build("writer", """
__u64 n;
SEC("raw_tp.w/bpf_test_finish") int w(struct bpf_raw_tracepoint_args *ctx)
{ int *err = (void *)ctx->args[0]; *err = -5; n++; return 0; }
""")
    pass_ = build("pass", 'SEC("xdp") int pass(void *ctx) { return 2; }\n')
    pcap = f"{dir}/root/one.pcap"
    with open(pcap, "wb") as f:
        f.write(bytes.fromhex("d4c3b2a1020004000000000000000000ffff000001000000"
                              "00000000000000003c0000003c000000") + bytes(60))
    one = (SKEP, "run", "--engine", "kernel", "--pcap", pcap, pass_)
    status, got, err, rows = run(writer, *one)
    ok(got.get("n") == 1 and "program 'pass': Input/output error" in err, "raw_tp.w: what it writes is read", err,
       got)

# Events to sample.
perf = build("perf", '__u64 n; SEC("perf_event") int p(void *c) { __sync_fetch_and_add(&n, 1); '
             "return 0; }")
TOUCH = ("python3", "-c", "b = bytearray(40 << 20)\nfor i in range(0, len(b), 4096): b[i] = 1")
status, got, err, rows = run(perf, *TOUCH, options=("--event", "page-faults", "--period", "100"))
ok(got.get("n", 0) >= 20, "perf: each hundredth page fault", err, got)
few = got.get("n", 0)
status, got, err, rows = run(perf, *TOUCH, options=("--event", "page-faults", "--period", "1000"))
ok(0 < got.get("n", 0) < few, "perf: each thousandth", err, got)
SPIN = ("python3", "-c", "import time\nt = time.process_time()\nwhile time.process_time() < t + 1: pass")
status, got, err, rows = run(perf, *SPIN, options=("-F", "200"))
ok(40 <= got.get("n", 0) <= 400, "perf: -F, times a second", err, got)
status, got, err, rows = run(perf, *SPIN, options=("--event", "task-clock", "-F", "50"))
ok(10 <= got.get("n", 0) <= 100, "perf: another clock", err, got)
status, got, err, rows = run(perf, "true", options=("--event", "cycles"))
ok(status == 0 or ("cycles at 99 Hz" in err and "no such counter" in err and "cpu-clock" in err),
   "perf: hardware, or a sentence that this machine has none", status, err)
status, got, err, rows = run(perf, "true", options=("--event", "cycels"))
ok(status == 1 and "no event 'cycels'" in err and "page-faults" in err, "perf: unknown events", err)
usage("--frequency and --period", "--frequency", "9", "--period", "9")
usage("--period without a number", "--period", "x")
done()
