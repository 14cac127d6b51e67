#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Arguments, results and counts to the last one, through skep run: fentry and
# fexit, tp_btf, XDP and TC on a pair of veth devices, page faults of a range of
# addresses.  In a network namespace of its own.
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [TESTS, TESTS + "/cli"]
from need import lacks  # noqa: E402
from tap import skip_all  # noqa: E402

if lacks("root", "clang") or not all(map(shutil.which, ("unshare", "ip"))):
    skip_all(lacks("root", "clang") or "needs unshare and ip")
if not os.environ.get("SKEP_TEST_UNSHARED"):
    os.environ["SKEP_TEST_UNSHARED"] = "1"
    os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
from skeptest import *  # noqa: E402


def python(code):
    return ("/usr/bin/python3", "-S", "-c", code)


def run(define, *cmd, options=()):
    """(variables, stderr) of the programs that @define brings in."""
    obj = f"{dir}/{define}.bpf.o"
    r = subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-D__TARGET_ARCH_x86",
                        f"-I/usr/include/{os.uname().machine}-linux-gnu", f"-D{define}", "-c",
                        HERE + "/values.bpf.c", "-o", obj], capture_output=True, text=True)
    if not ok(r.returncode == 0, f"{define}: compiles", r.stderr):
        return {}, r.stderr
    status, out, err = skep(["run", "--json", "--engine", "kernel", *options, obj, "--", *cmd],
                            timeout=120)
    rows = [json.loads(l) for l in out.splitlines() if l.startswith("{")]
    return {r["name"]: r["value"] for r in rows if r["type"] == "variable"}, f"{status}\n{err}"


# Five calls that work, and two of a process that is not there: -ESRCH.
GONE = 1 << 30
CALLS = python("import os\nfor p in [0] * 4 + [os.getpid()]: os.getpgid(p)\n"
               f"for p in ({GONE}, {GONE}):\n try: os.getpgid(p)\n except OSError: pass\n"
               "os.write(2, f'{os.getpid()} {os.getpgrp()}\\n'.encode())")


def told(err):
    """What the command said of itself: its process and its group."""
    return tuple(map(int, re.search(r"^(\d+) (\d+)$", err, re.M).groups()))


if lacks("fentry"):
    skip("fentry, fexit: arguments and results", lacks("fentry"))
else:
    got, err = run("TYPED", *CALLS)
    pid, group = told(err)
    is_((got.get("entries"), got.get("arguments")), (7, pid + 2 * GONE),
        "fentry: calls and their arguments", err)
    is_((got.get("returns"), got.get("results")), (7, 5 * group - 2 * 3),
        "fexit: calls and their results", err)

got, err = run("TP_BTF", *CALLS)
pid, group = told(err)
is_((got.get("enters"), got.get("enter_arguments")), (7, pid + 2 * GONE),
    "tp_btf: calls and their arguments", err)

# A page is touched twice, and faults once.
got, err = run("PERF", *python(
    "import ctypes\nm = ctypes.CDLL(None).mmap\nm.restype = ctypes.c_void_p\n"
    "m.argtypes = [ctypes.c_void_p] + [ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]\n"
    "at = m(0x600000000000, 200 * 4096, 3, 0x32, -1, 0)\n"
    "for i in range(0, 200, 2): ctypes.memset(at + i * 4096, 1, 1)\n"
    "for i in range(0, 200, 2): ctypes.memset(at + i * 4096, 2, 1)\n"),
    options=("--event", "page-faults", "--period", "1"))
is_(got.get("faults"), 100, "perf_event: each page's fault", err)

made = [subprocess.run(["ip", *c.split()], capture_output=True, text=True) for c in
        ("link add left type veth peer name right", "link set left up", "link set right up")]
SEND = python("import socket\n"
              "for name, n in (('right', 7), ('left', 3)):\n"
              " s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\n s.bind((name, 0))\n"
              " for i in range(n): s.send(b'\\xff' * 6 + b'\\2' * 6 + b'\\x88\\xb5' + bytes(86))\n"
              "import time; time.sleep(0.5)")
if any(m.returncode for m in made):
    skip("XDP and TC on veth", "no veth devices: " + made[0].stderr.strip())
else:
    got, err = run("XDP", *SEND, options=("--dev", "left"))
    is_(got.get("xdp_received"), 7, "XDP on veth: each frame", err)
    got, err = run("NET", *SEND, options=("--dev", "left"))
    is_((got.get("received"), got.get("sent")), (7 * 100, 3),
        "TC on veth: each frame, in and out", err)
done()
