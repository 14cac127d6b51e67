#!/usr/bin/python3
# Every kind of section that skep attaches, triggered a known number of times.
# What this kernel lacks is skipped after asking the kernel, not skep.  The
# same file runs on the machine's own kernel and in the guests:
# scripts/guest 6.12 -- env SKEP=build/skep tests/event/attach.t
import glob
import signal
import sys
import time

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/cli")
from skeptest import *  # noqa: E402
from need import lacks  # noqa: E402

if not shutil.which("clang"):
    skip_all("no clang")
if not ROOT:
    skip_all("not root")
target = f"{dir}/target"
if subprocess.run(["cc", "-O1", "-w", "-o", target, TOP + "/tests/event/target.c"]).returncode:
    skip_all("no C compiler")
os.chmod(target, 0o755)
AT = "../target"  # from where skep runs: sections do not change with the folder's name

with open("/proc/kallsyms") as f:
    KERNEL = {line.split()[2] for line in f}


def build(name, body, *flags):
    """An object with a counter and a program for each (variable, section) of @body, or text."""
    src = f"{dir}/{name}.bpf.c"
    with open(src, "w") as f:
        f.write("#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
                'char LICENSE[] SEC("license") = "GPL";\n')
        if isinstance(body, str):
            f.write(body)
        else:
            for var, sec, ret in body:
                f.write(f'__u64 {var};\nSEC("{sec}") int prog_{var}(void *ctx)\n'
                        f"{{ __sync_fetch_and_add(&{var}, 1); return {ret}; }}\n")
    obj = f"{dir}/{name}.bpf.o"
    command = ["clang", "-g", "-O2", "-target", "bpf", "-D__TARGET_ARCH_x86",
               "-I/usr/include/x86_64-linux-gnu", *flags, "-c", src, "-o", obj]
    r = subprocess.run(command, capture_output=True, text=True)
    if r.returncode:
        ok(False, f"{name}: compiles", r.stderr)
    return obj


def run(obj, *cmd, options=()):
    args = ["run", "--json", "--engine", "kernel", *options, obj]
    status, out, err = skep(args + (["--", *cmd] if cmd else []), timeout=120)
    rows = [json.loads(l) for l in out.splitlines()]
    got = {r["name"]: r["value"] for r in rows if r.get("type") == "variable"}
    return status, got, err, rows


def counts(obj, want, what, *cmd, options=()):
    status, got, err, _ = run(obj, *cmd, options=options)
    for name, n in want.items():
        is_(got.get(name, 0), n, f"{what}: {name} counts {n}", f"status {status}", err)


def loads(obj):
    """Whether libbpf gets the object into this kernel."""
    # In a mount namespace of its own: neither the bpffs nor the pin outlives it.
    r = subprocess.run(["unshare", "-m", "bpftool", "prog", "load", obj, "/sys/fs/bpf/skep-test"],
                       capture_output=True, text=True)
    return r.returncode == 0


def takes(kind, where):
    """Whether this kernel takes a probe of tracefs there: it knows where instructions begin."""
    there = f"{dir}/tracefs"
    if not os.path.isdir(there):
        os.mkdir(there)
    # In a mount namespace of its own; nothing is enabled.
    r = subprocess.run(["unshare", "-m", "sh", "-c", 'mount -t tracefs t "$1" && cd "$1" && '
                        'echo "$2:skep_test/at $3" >>kprobe_events && '
                        "echo -:skep_test/at >>kprobe_events", "-", there, kind, where],
                       stderr=subprocess.DEVNULL)
    return r.returncode == 0


def offsets(function, kind):
    """The first bytes of a function, one by one: counted if an instruction begins there."""
    sec = {"p": "kprobe", "r": "kretprobe"}[kind]
    at = range(1, 12)
    obj = build(f"offset_{sec}", [(f"at{n}", f"{sec}/{function}+{n}", 0) for n in at])
    good = [n for n in at if takes(kind, f"{function}+{n}")]
    status, got, err, _ = run(obj, *CALLS)
    is_({n: got.get(f"at{n}", 0) for n in at}, {n: 15 if n in good else 0 for n in at},
        f"{sec}: at each offset where an instruction begins ({good})", err)
    why = {"p": "lets nobody probe", "r": "begins, for the kernel not at"}[kind]
    is_([n for n in at if re.search(rf"{why} {re.escape(function)}\+0x{n:x}\b", err)],
        [n for n in at if n not in good], f"{sec}: a word about each other offset", err)
    ok(len(good) < len(at), f"{sec}: some offsets are refused")
    if kind == "p":
        ok(good, "kprobe: some offsets are taken", err)


CALLS = (target, "calls", "5", "2")  # 5 in each of three processes

# Kernel functions.
FUNC = "__x64_sys_getpgid"
obj = build("kprobe", [("entry", f"kprobe/{FUNC}", 0), ("ret", f"kretprobe/{FUNC}", 0),
                       ("call", "ksyscall/getpgid", 0), ("back", "kretsyscall/getpgid", 0)])
typo = build("typo", [("x", "kprobe/do_unlinkatt", 0)])
if os.path.exists("/sys/bus/event_source/devices/kprobe"):
    counts(obj, dict.fromkeys(("entry", "ret", "call", "back"), 15), "kprobe", *CALLS)
    offsets(FUNC, "p")
    offsets(FUNC, "r")
    status, got, err, _ = run(typo, "true")
    ok("no function 'do_unlinkatt'" in err and "did you mean do_unlinkat" in err,
       "kprobe: near names", err)
else:
    counts(obj, dict.fromkeys(("entry", "ret", "call", "back"), 15), "kprobe: stand-ins", *CALLS)
    status, got, err, _ = run(typo, "true")
    ok(status == 4 and "no kprobes" in err and "fentry/" in err,
       "kprobe: says what works instead", err)

obj = build("kmulti", [("entry", "kprobe.multi/__x64_sys_getpgi?", 0),
                       ("ret", "kretprobe.multi/__x64_sys_*pgid", 0),
                       ("one", f"kprobe.multi/{FUNC}", 0)])
if "bpf_kprobe_multi_link_attach" in KERNEL and "register_fprobe_ips" in KERNEL:
    counts(obj, {"entry": 15, "ret": 15, "one": 15}, "kprobe.multi", *CALLS)
elif os.path.exists("/sys/bus/event_source/devices/kprobe"):
    counts(obj, {"entry": 15, "ret": 15, "one": 15}, "kprobe.multi, one by one", *CALLS)
    many = build("many", [("x", "kprobe.multi/__x64_sys_*", 0)])
    status, got, err, _ = run(many, "true")
    ok(status == 4 and "CONFIG_FPROBE" in err and "narrower" in err,
       "kprobe.multi, one by one: how many at most", status, err)
    # Two events keep the scope, the third is the list of functions; then comes each of them.
    some = build("some", [("x", "kprobe.multi/__x64_sys_*pgid", 0)])
    status, got, err, _ = run(some, *CALLS, options=("--inject", "-2:4:5"))
    ok(status == 0 and "Input/output error" in err and "1 probes one by one" in err,
       "kprobe.multi, one by one: what cannot be probed is left out", status, err)
    none = build("none", [("x", "kprobe.multi/no_such_*", 0)])
    status, got, err, _ = run(none, "true")
    ok(status == 1 and "no function of the kernel that can be probed matches 'no_such_*'" in err,
       "kprobe.multi: no function matches", status, err)
else:
    skip("kprobe.multi", "this kernel has no fprobes")
    status, got, err, _ = run(obj, "true")
    ok(status == 4 and "no kprobes" in err or "CONFIG_FPROBE" in err
       or "functions that can be probed" in err, "kprobe.multi: says why", err)
obj = build("ksession", [("both", f"kprobe.session/{FUNC}", 0)])
if "bpf_session_is_return" in KERNEL and "register_fprobe_ips" in KERNEL:
    counts(obj, {"both": 30}, "kprobe.session", *CALLS)
else:
    skip("kprobe.session", "this kernel has no kprobe sessions")

# Typed: fentry and its like, security hooks.
obj = build("fentry", [("entry", f"fentry/{FUNC}", 0), ("leave", f"fexit/{FUNC}", 0)])
mod = build("fmod", [("modify", "fmod_ret/security_task_getpgid", 0)])
one = build("one", [("entry", f"fentry/{FUNC}", 0)])
lsm = build("lsm", [("hook", "lsm/task_getpgid", 0)])
if loads(one):
    counts(obj, {"entry": 15, "leave": 15}, "fentry and fexit", *CALLS)
    counts(mod, {"modify": 15}, "fmod_ret", *CALLS)
    deny = build("deny", [("modify", "fmod_ret/security_task_getpgid", -1)])
    status, got, err, _ = run(deny, "python3", "-c",
                              "import os\ntry: os.getpgid(os.getpid())\n"
                              "except PermissionError: os._exit(9)")
    ok("exited with status 9" in err, "fmod_ret: its value is what the call returns", err)
    counts(lsm, {"hook": 15}, "lsm", *CALLS)
    # Kernels before 6.8 tell their security modules in a file only.
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 8):
        r = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /sys/kernel/security "
                            '&& echo lockdown,capability > /sys/kernel/security/lsm && exec "$@"',
                            "-", SKEP, "run", "--engine", "kernel", lsm, "--", "true"],
                           capture_output=True, text=True, env=env("root"))
        ok("attached but will not run" in r.stderr and "add bpf to lsm=" in r.stderr,
           "lsm: a kernel that runs no such programs", r.stderr)
else:
    skip("fentry, fexit, fmod_ret, lsm", "this kernel does not let libbpf load them either")
    status, got, err, _ = run(one, "true")
    ok(status and len(err) > 40, "fentry: says why not", err)

# Iterators.
obj = build("iter", """
struct seq_file; struct task_struct { int pid; int tgid; char comm[16]; }
__attribute__((preserve_access_index));
struct bpf_iter_meta { struct seq_file *seq; } __attribute__((preserve_access_index));
struct bpf_iter__task { struct bpf_iter_meta *meta; struct task_struct *task; }
__attribute__((preserve_access_index));
SEC("iter/task") int tasks(struct bpf_iter__task *ctx)
{ static const char fmt[] = "%d %s\\n"; struct task_struct *t = ctx->task; __u64 args[2];
if (t) { args[0] = t->pid; args[1] = (__u64)t->comm;
bpf_seq_printf(ctx->meta->seq, fmt, sizeof(fmt), args, sizeof(args)); } return 0; }
""")
# In a namespace of processes of its own, who there is is known to the last one.
alone = subprocess.run(
    ["unshare", "-p", "-m", "--mount-proc", "--fork", "sh", "-c",
     'sleep 60 & a=$!; sleep 61 & "$@"; kill $a $!', "-", SKEP, "run", "--engine", "kernel", obj],
    capture_output=True, text=True, env=env("root"), timeout=120)
told = [l.split() for l in alone.stdout.splitlines()]
is_(sorted(name for pid, name in told), ["sh", "skep", "sleep", "sleep"],
    "iter: each process of the namespace, once", alone.stderr)
is_(len({pid for pid, name in told}), 4, "iter: each by its own number", told)
status, out, err = skep(["run", "--engine", "kernel", "-p", str(os.getpid()), obj])
if "bpf_iter_task_link_info" in KERNEL or "bpf_iter_attach_task" in KERNEL:
    with open("/proc/self/comm") as f:
        is_(out, f"{os.getpid()} {f.read()}", "iter: -p asks for one process", err)
else:
    skip("iter: -p", "this kernel's iterators take no parameters")

# Functions of programs: children are seen, strangers are not.
flag = f"{dir}/flag"
open(flag, "w").close()
stranger = subprocess.Popen([target, "wait", flag])
obj = build("uprobe", [("entry", f"uprobe/{AT}:work", 0), ("ret", f"uretprobe/{AT}:work", 0)])
counts(obj, {"entry": 15, "ret": 15}, "uprobe", *CALLS)
obj = build("umulti", [("entry", f"uprobe.multi/{AT}:wor*", 0),
                       ("ret", f"uretprobe.multi/{AT}:w?rk", 0)])
if "bpf_uprobe_multi_link_attach" in KERNEL:
    counts(obj, {"entry": 15, "ret": 15}, "uprobe.multi", *CALLS)
else:
    counts(obj, {"entry": 15, "ret": 15}, "uprobe.multi, one by one", *CALLS)
    status, got, err, _ = run(obj, *CALLS)
    ok(err.count("1 probes one by one") == 2, "uprobe.multi, one by one: says so", err)
    slept = build("slept", [("entry", f"uprobe.multi.s/{AT}:work", 0),
                            ("by", f"uprobe.multi/{AT}:work", 0)])
    counts(slept, {"entry": 15, "by": 15}, "uprobe.multi.s, one by one", *CALLS)
    many = build("many", [("x", "uprobe.multi/libc.so.6:*", 0)])
    status, got, err, _ = run(many, "true")
    ok(status == 4 and "came with 6.6" in err and "narrower" in err,
       "uprobe.multi, one by one: how many at most", status, err)
obj = build("usession", [("both", f"uprobe.session/{AT}:work", 0)])
if "bpf_uprobe_multi_link_attach" in KERNEL and \
        not lacks("uprobe_session"):
    counts(obj, {"both": 30}, "uprobe.session", *CALLS)
else:
    skip("uprobe.session", "this kernel has no uprobe sessions")
os.unlink(flag)
stranger.wait()

# Static probes: arguments in registers, memory and as constants; a semaphore.
obj = build("usdt", """
#include <stdbool.h>
#include <linux/ptrace.h>
#include <bpf/usdt.bpf.h>
__u64 hits; __s64 first, neg, byte, constant, nr; __u64 guarded;
SEC("usdt/%s:probes:plain") int plain(struct pt_regs *ctx)
{ long v; __sync_fetch_and_add(&hits, 1); if (!bpf_usdt_arg(ctx, 0, &v)) __sync_fetch_and_add(&first, v);
if (!bpf_usdt_arg(ctx, 1, &v)) neg = v; if (!bpf_usdt_arg(ctx, 2, &v)) byte = v;
if (!bpf_usdt_arg(ctx, 3, &v)) constant = v; nr = bpf_usdt_arg_cnt(ctx); return 0; }
SEC("usdt/%s:probes:guarded") int with(struct pt_regs *ctx)
{ long v; if (!bpf_usdt_arg(ctx, 0, &v)) __sync_fetch_and_add(&guarded, v); return 0; }
""" % (AT, AT))
if os.uname().machine == "x86_64":
    counts(obj, {"hits": 15, "first": 180, "neg": -5, "byte": 200, "constant": -7, "nr": 4,
                 "guarded": 180}, "usdt", *CALLS)
    obj = build("nousdt", [("x", f"usdt/{AT}:probes:plan", 0)])
    status, got, err, _ = run(obj, "true")
    ok("no static probe probes:plan" in err and "probes:plain" in err, "usdt: near names", err)
else:
    skip("usdt", "the observed program has static probes on x86-64 only")

# Run once.
obj = build("once", [("ran", "syscall", 7)])
status, got, err, _ = run(obj)
ok(status == 0 and got.get("ran") == 1 and "returned 7" in err, "syscall: runs once", err, got)

# The user engine refuses with what works instead; it is the same in guests.
REFUSED = (("kprobe/do_unlinkat", "tracepoint/syscalls"), ("ksyscall/getpgid+4", "run as root"),
           ("kprobe.multi/do_un*", "tracepoint/syscalls"), ("fentry/do_unlinkat", "run as root"),
           ("lsm/file_open", "tracepoint/syscalls"), ("iter/task", "run as root"),
           (f"uprobe/{AT}:work", "run as root"), (f"uprobe.multi/{AT}:work", "run as root"),
           (f"usdt/{AT}:probes:plain", "run as root"), ("tc/ingress", "--pcap"),
           ("socket", "--pcap"), ("cgroup/connect4", "run as root"))
for sec, word in REFUSED if "SKEP_GUEST" not in os.environ else ():
    obj = build("user", [("x", sec, 0)])
    shutil.copy(obj, f"{dir}/nobody/")
    status, out, err = skep(["run", "--engine", "user", "--dev", "lo", "--cgroup", "/tmp",
                             "user.bpf.o", "--", "true"], "nobody")
    ok(status == 4 and word in err, f"user engine: {sec.split('/')[0]}", status, err)

exec(open(TOP + "/tests/event/net.py").read())
done()
