#!/usr/bin/python3
# What works without root: CAP_BPF with CAP_PERFMON or CAP_NET_ADMIN, and each
# one missing: the sentence says which.
import os
import shutil
import subprocess
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, TESTS + "/cli"]
from need import lacks  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")
if lacks("root", "clang", "setpriv"):
    print("1..0 # SKIP", lacks("root", "clang", "setpriv"))
    sys.exit(0)

OBJECTS = {
    "raw_tp": ['-DSECTION="raw_tp/sys_enter"', "-DRETURN=0"],
    "tracepoint": ['-DSECTION="tracepoint/sched/sched_process_exec"', "-DRETURN=0"],
    "perf": ['-DSECTION="perf_event"', "-DRETURN=0"],
    "xdp": ['-DSECTION="xdp"', "-DRETURN=2"],
    "print": ['-DSECTION="xdp"', "-DRETURN=2", "-DPRINT"],
    "socks": ['-DSECTION="raw_tp/sys_enter"', "-DRETURN=0", "-DSOCKS"],
    "socket": ['-DSECTION="socket"', "-DRETURN=0"],
}
COMMAND = ["--", "true"]
LO = ["--dev", "lo", "--duration", "0.1"]
BOTH = ["CAP_BPF and CAP_NET_ADMIN", "lacks CAP_NET_ADMIN"]
PERFMON = ["CAP_BPF and CAP_PERFMON", "lacks CAP_PERFMON"]
# Debian's kernels have a level of this sysctl that leaves perf events to CAP_SYS_ADMIN.
with open("/proc/sys/kernel/perf_event_paranoid") as f:
    paranoid = int(f.read())
EVENTS = (1, [f"perf_event_paranoid is {paranoid}", "CAP_SYS_ADMIN"]) if paranoid > 2 else (0, [])
# capabilities, object, arguments, exit status, words of the output
CASES = [
    ("", "raw_tp", COMMAND, 1, ["CAP_BPF", "unprivileged_bpf_disabled is", "--engine user"]),
    ("perfmon", "raw_tp", COMMAND, 1, ["CAP_BPF, which this process lacks"]),
    ("bpf", "raw_tp", COMMAND, 1, PERFMON),
    ("bpf,net_admin", "raw_tp", COMMAND, 1, PERFMON),
    ("bpf,perfmon", "raw_tp", COMMAND, 0, ["counts", "7"]),
    ("bpf,perfmon", "tracepoint", COMMAND, 1, ["tracefs", "CAP_SYS_ADMIN", "raw_tp/"]),
    ("bpf,perfmon", "perf", COMMAND, *EVENTS),
    ("bpf", "xdp", LO, 1, BOTH),
    ("bpf,perfmon", "xdp", LO, 1, BOTH),
    ("net_admin", "xdp", LO, 1, ["CAP_BPF, which this process lacks"]),
    ("bpf,net_admin", "xdp", LO, 0, []),
    ("bpf,net_admin", "print", LO, 3, ["bpf_trace_printk", "without CAP_PERFMON"]),
    ("bpf,net_admin,perfmon", "print", LO, *EVENTS),
    ("bpf,perfmon", "socks", COMMAND, 1, ["'socks'", *BOTH]),
    ("bpf,perfmon,net_admin", "socks", COMMAND, 0, ["counts"]),
    ("bpf", "socket", LO, 1, ["CAP_NET_RAW"]),
    ("bpf,net_raw", "socket", LO, 0, []),
]

bad = 0
with tempfile.TemporaryDirectory() as tmp:
    os.chmod(tmp, 0o755)
    skep = f"{tmp}/skep"
    shutil.copy(SKEP, skep)
    for name, opts in OBJECTS.items():
        kept = os.environ.get("SKEP_TEST_OBJECTS", tmp) + f"/caps-{name}.o"
        if not os.path.exists(kept):
            if not os.access(os.path.dirname(kept), os.W_OK):
                kept = f"{tmp}/caps-{name}.o"
            subprocess.run(["clang", "-O2", "-g", "-target", "bpf",
                            f"-I/usr/include/{os.uname().machine}-linux-gnu", *opts, "-c",
                            TESTS + "/cli/caps.bpf.c", "-o", kept], check=True)
        OBJECTS[name] = f"{tmp}/{name}.o"
        shutil.copy(kept, OBJECTS[name])
    for n, (caps, name, args, status, words) in enumerate(CASES, 1):
        signed = ",".join("+" + c for c in caps.split(",")) if caps else "-all"
        r = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                            f"--inh-caps={signed}", f"--ambient-caps={signed}", skep, "run",
                            "--engine", "kernel", *args[:-2 if args is COMMAND else None],
                            OBJECTS[name], *(COMMAND if args is COMMAND else [])],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=120, cwd="/")
        said = r.stdout.replace(tmp, "")
        missing = [w for w in words if w not in said]
        ok = r.returncode == status and not missing
        bad += not ok
        print(f"{'ok' if ok else 'not ok'} {n} - {name} with {caps or 'no capability'}: "
              + ("works" if status == 0 else f"{status}, {words[-1]}"))
        if not ok:
            print(f"#   status {r.returncode}, not {status}; without {missing}")
            print("#   " + said.replace("\n", "\n#   "))
print(f"1..{len(CASES)}")
sys.exit(bad != 0)
