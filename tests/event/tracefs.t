#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Probes of kernels that have no perf PMU for them: through tracefs.  The PMUs
# are hidden by an empty folder, in a mount namespace of the command's own.
# What is left behind is looked for in a tracefs that the test itself opens.
# scripts/guest 6.12 -- env SKEP=build/skep tests/event/tracefs.t
import ctypes
import signal
import sys

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../cli", HERE + "/.."]
from skeptest import *  # noqa: E402
from need import lacks  # noqa: E402

if lacks("root", "clang", "cc", "unshare"):
    skip_all(lacks("root", "clang", "cc", "unshare"))
target = f"{dir}/target"
odd = f"{dir}/an odd:name"
if subprocess.run(["cc", "-O1", "-w", "-o", target, HERE + "/target.c"]).returncode:
    skip_all("no C compiler")
shutil.copy(target, odd)
HIDE = ["unshare", "-m", "sh", "-c",
        'mount -t tmpfs none /sys/bus/event_source/devices && exec "$@"', "sh"]
CALLS = (target, "calls", "5", "2")  # 5 in each of three processes
FUNC = "__x64_sys_getpgid" if os.uname().machine == "x86_64" else "__arm64_sys_getpgid"

libc = ctypes.CDLL(None, use_errno=True)


def tracefs():
    """A tracefs that is mounted nowhere: fsopen, fsconfig, fsmount."""
    fs = libc.syscall(430, b"tracefs", 1)
    libc.syscall(431, fs, 6, None, None, 0)
    fd = libc.syscall(432, fs, 1, 0)
    os.close(fs) if fs >= 0 else None
    return fd


TRACEFS = tracefs()
if TRACEFS < 0:
    skip_all("no tracefs can be mounted")


def events(kind):
    try:
        with open(os.open(f"{kind}_events", os.O_RDONLY, dir_fd=TRACEFS)) as f:
            return [l for l in f if ":skep/" in l]
    except FileNotFoundError:
        return None


def build(name, body):
    src, obj = f"{dir}/{name}.bpf.c", f"{dir}/{name}.bpf.o"
    with open(src, "w") as f:
        f.write("#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
                'char LICENSE[] SEC("license") = "GPL";\n')
        for var, sec in body:
            f.write(f'__u64 {var};\nSEC("{sec}") int prog_{var}(void *ctx)\n'
                    f"{{ __sync_fetch_and_add(&{var}, 1); return 0; }}\n")
    r = subprocess.run(["clang", "-g", "-O2", "-target", "bpf",
                        f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", src, "-o", obj],
                       capture_output=True, text=True)
    if not ok(r.returncode == 0, f"{name}: compiles", r.stderr):
        done()
    return obj


def hidden(obj, *command, options=()):
    return HIDE + [os.path.abspath(os.environ.get("SKEP", TOP + "/build/skep")), "run", "--json", "--engine",
                   "kernel", *options, obj, "--", *command]


def run(obj, *command):
    r = subprocess.run(hidden(obj, *command), cwd=dir, capture_output=True, text=True, timeout=60)
    rows = [json.loads(l) for l in r.stdout.splitlines()]
    return {x["name"]: x["value"] for x in rows if x["type"] == "variable"}, r.stderr


def check(kind, obj, names, typo, near):
    before = events(kind)
    if before is None:
        skip(kind, f"this kernel has no {kind}s")
        got, err = run(obj, *CALLS)
        ok(f"no {kind}s" in err or not err, f"{kind}: says that the kernel has none", err, got)
        return
    is_(before, [], f"{kind}: nothing is left from before")
    got, err = run(obj, *CALLS)
    for name in names:
        is_(got.get(name), 15, f"{kind}: {name}, through tracefs", err)
    is_(events(kind), [], f"{kind}: removed with the run")
    got, err = run(typo, "true")
    ok(near in err, f"{kind}: what cannot be probed is told", err)
    is_(events(kind), [], f"{kind}: nothing is left of a probe that failed")

    # Killed while it runs, beside another that lives.
    procs = []
    for _ in range(2):
        p = subprocess.Popen(hidden(obj, "sleep", "30"), cwd=dir, stderr=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL)
        procs.append(p)
        for _ in range(150):
            mine = [l for l in events(kind) if f"/p{p.pid}_" in l]
            if len(mine) == len(names):
                break
            time.sleep(0.1)
        is_(len(mine), len(names), f"{kind}: its events are named after process {len(procs)}")
    procs[0].send_signal(signal.SIGKILL)
    procs[0].wait()
    for _ in range(60):
        left = events(kind)
        if len(left) == len(names):
            break
        time.sleep(0.05)
    ok(len(left) == len(names) and all(f"/p{procs[1].pid}_" in l for l in left),
       f"{kind}: a kill removes its events, and no others", left)
    procs[1].terminate()
    procs[1].wait()
    is_(events(kind), [], f"{kind}: none is left in the end")


check("uprobe", build("uprobe", [("entry", "uprobe/./target:work"),
                                 ("back", "uretprobe/./target:work")]), ("entry", "back"),
      build("nothing", [("x", "uprobe/./nothing.bpf.c:0x7fffffff")]), "nothing.bpf.c")
if events("uprobe") is not None:
    # One descriptor too few for the guard's socket: which, nobody knows.
    for n in range(8, 40):
        r = subprocess.run(["prlimit", f"--nofile={n}", *hidden(f"{dir}/uprobe.bpf.o", "true")],
                           cwd=dir, capture_output=True, text=True)
        if "no process can be started that removes the probe" in r.stderr or not r.stderr:
            break
    ok("removes the probe later: Too many open files" in r.stderr, "uprobe: no guard, no probe", n,
       r.stderr)
    is_(events("uprobe"), [], "uprobe: nothing is left of that")
    got, err = run(build("odd", [("entry", "uprobe/./an odd:name:work")]), odd, "calls", "5", "2")
    is_(got.get("entry"), 15, "uprobe: a file whose name has a blank and a colon", err)
    is_(events("uprobe"), [], "uprobe: that one is removed, too")
check("kprobe", build("kprobe", [("entry", f"kprobe/{FUNC}"), ("back", f"kretprobe/{FUNC}")]),
      ("entry", "back"), build("typo", [("x", "kprobe/do_unlinkatt")]), "do_unlinkat")
done()
