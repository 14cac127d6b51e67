#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# What stands in for kprobes: the same object sees the same calls as a
# tracepoint does, where there are kprobes, where there are none, and where
# skep is made to believe that there are none (--inject fails the question).
# scripts/guest 6.12 -- env SKEP=build/skep tests/event/standin.t
import sys

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../cli", HERE + "/.."]
from skeptest import *  # noqa: E402
from need import lacks  # noqa: E402

if lacks("root", "clang"):
    skip_all(lacks("root", "clang"))
if os.uname().machine != "x86_64":
    skip_all("stand-ins are known for x86-64 only")
KPROBES = lacks("kprobe")  # None: there are some
FORCED = ("--inject", "-2:1:95")  # the first event asked for does not exist
with open("/proc/kallsyms") as f:
    KERNEL = {line.split()[2] for line in f}


def build(name, *flags, text=None, clang="clang"):
    src = f"{HERE}/{name}.bpf.c"
    if text:
        src = f"{dir}/{name}.bpf.c"
        with open(src, "w") as f:
            f.write("#include <linux/bpf.h>\n#include <linux/ptrace.h>\n"
                    "#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_tracing.h>\n"
                    'char LICENSE[] SEC("license") = "GPL"; __u64 n;\n' + text)
    obj = f"{dir}/{name}{clang}.bpf.o"
    r = subprocess.run([clang, "-g", "-O2", "-target", "bpf", "-D__TARGET_ARCH_x86",
                        "-I/usr/include/x86_64-linux-gnu", *flags, "-c", src, "-o", obj],
                       capture_output=True, text=True)
    if not ok(r.returncode == 0, f"{name}: compiles", r.stderr):
        done()
    return obj


def run(obj, *command, options=(), engine="kernel"):
    status, out, err = skep(["run", "--json", "--engine", engine, *options, obj, "--", *command],
                            timeout=120)
    rows = [json.loads(l) for l in out.splitlines()]
    return status, rows, {r["name"]: r["value"] for r in rows if r["type"] == "variable"}, err


def by_who(rows):
    seen = {}
    for r in rows:
        if r["type"] == "record":
            v = r["data"]
            seen.setdefault(v["who"], []).append((v["dfd"], v["flags"], v["name"]))
    return seen


flags = ["-DSE"] if KPROBES or "__se_sys_openat" in KERNEL else []
# Compilers of today compare halves of registers, too: what is constant must be seen all the same.
halves = build("standin", *flags, "-mcpu=v3",
               clang="clang-19" if shutil.which("clang-19") else "clang")
obj = build("standin", *flags, "-mcpu=v1")
LS = ("cmp", "-s", "/etc/hostname", "/etc/no-such-file-here")
for how, options in (("as it is", ()), ("without kprobes", FORCED),
                     ("without kprobes, -mcpu=v3", FORCED)):
    status, rows, got, err = run(halves if "v3" in how else obj, *LS, options=options)
    seen = by_who(rows)
    want = seen.get("tp", [])
    ok(len(want) > 3 and any(n == "/etc/no-such-file-here" for _, _, n in want),
       f"{how}: the tracepoint sees openat()", err, rows)
    for who, what in (("ks", "ksyscall"), ("kp", "kprobe on __x64_sys_"),
                      ("se", "kprobe on __se_sys_")):
        if who == "se" and not flags:
            skip(f"{how}: {what}", "this kernel has it inlined")
            continue
        is_(seen.get(who), want, f"{how}: {what} sees the same, argument by argument", err)
    ok(got["results"] == got["results_point"] != 0 and got["failed"] > 0,
       f"{how}: kretsyscall sees the results of the tracepoint", err, got)
    told = "tracepoint/syscalls/sys_enter_openat stands in for ksyscall/openat" in err
    is_(told, bool(KPROBES or options), f"{how}: stderr says so if something stands in", err)

# Functions that are no system calls.
func = build("standin_func")
CALL = ("python3", "-c", "import os\nfor i in range(7): os.getpgid(os.getpid())")


def sees(got):
    """Each getpid(2) asks with PIDTYPE_TGID, 1, and gets a number."""
    return got.get("calls", 0) >= 7 and got["returns"] == got["calls"] and \
        got["sum"] == got["low"] >= 7 and got["found"] >= 7


if KPROBES:
    status, rows, got, err = run(func, *CALL)
    ok(status and "no kprobes" in err and "nothing stands in for this one: fentry" in err,
       "a function: neither kprobes nor fentry, and both are said", err)
    skip("a function: fentry sees what the kprobe does", KPROBES)
else:
    status, rows, got, err = run(func, *CALL)
    ok(sees(got), "a function: kprobes", err, got)
    status, rows, got, err = run(func, *CALL, options=FORCED)
    if lacks("fentry"):
        skip("a function: fentry sees what the kprobe does", lacks("fentry"))
    else:
        ok("fentry/__task_pid_nr_ns stands in" in err and "fexit/__task_pid_nr_ns stands in" in err
           and sees(got), "a function: fentry and fexit stand in and see the same", err, got)

# What nothing can stand in for is said with its reason; the rest of the object runs.
for nr, (text, reason) in enumerate((
        ('SEC("kprobe/__x64_sys_getpgid") int p(struct pt_regs *c) { n += PT_REGS_IP(c); return 0; }',
         "reads what only a kprobe sees"),
        ('SEC("kprobe/__x64_sys_getpgid") int p(struct pt_regs *c) { long v; '
         "bpf_probe_read_kernel(&v, 8, &PT_REGS_PARM1(c)); n += v; return 0; }",
         "hands its context to helper 113"),
        ('SEC("kprobe/__x64_sys_getpgid") int p(struct pt_regs *c) { n += bpf_get_func_ip(c); '
         "return 0; }", "hands its context to helper 173"),
        ('static __attribute__((noinline)) int f(struct pt_regs *c) { return c->rdi; }\n'
         'SEC("kprobe/__x64_sys_getpgid") int p(struct pt_regs *c) { n += f(c); return 0; }',
         "hands its context to a function"),
        ('struct pt_regs *volatile kept; SEC("kprobe/__x64_sys_getpgid") int p(struct pt_regs *c) '
         "{ kept = c; return 0; }", "stores its context"),
        ('SEC("kprobe/__x64_sys_getpgid+4") int p(struct pt_regs *c) { n++; return 0; }',
         "only kprobes can be inside of a function"),
        ('SEC("kprobe/no_such_function_here") int p(struct pt_regs *c) { n++; return 0; }',
         "types have no function"))):
    bad = build(f"refused{nr}", text=text)
    if KPROBES:
        status, rows, got, err = run(bad, "true")
        ok(status == 4 and "no kprobes" in err and reason in err, f"refused: {reason}", err)
    else:
        skip(f"refused: {reason}", "this kernel has kprobes, so the probe is simply attached")

# The user engine has no kprobes either, but it has the tracepoints.
some = build("some", text='SEC("ksyscall/getpgid") int p(void *c) { __sync_fetch_and_add(&n, 1); '
             "return 0; }\nlong got; SEC(\"kretsyscall/getpgid\") int BPF_KRETPROBE(r, long ret) "
             "{ got += ret >= 0; return 0; }")
status, rows, got, err = run(some, *CALL, engine="user")
ok((got.get("n"), got.get("got")) == (7, 7) and "stands in" in err,
   "user engine: a ksyscall as a tracepoint", err, got)
done()
