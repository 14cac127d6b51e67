#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Static probes on kernels without cookies for programs (before 5.15): the
# object's map from addresses to specifications.  tests/obj/old.c acts as 5.10.
import sys

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../cli", HERE + "/.."]
from skeptest import *  # noqa: E402
from need import lacks  # noqa: E402

if lacks("root", "clang", "cc", "uprobe"):
    skip_all(lacks("root", "clang", "cc", "uprobe"))
if os.uname().machine != "x86_64":
    skip_all("the observed program has static probes on x86-64 only")
LOADER = os.path.join(os.environ.get("SKEP_BUILD", "build"), "tests/obj/corpus-loader")

SRC = HERE + "/usdt_ip.c"
lib, prog, fixed = f"{dir}/libfour.so", f"{dir}/pie", f"{dir}/fixed"
for command in (["-shared", "-fPIC", "-DLIBRARY", "-o", lib, SRC],
                ["-fPIE", "-pie", "-o", prog, SRC, lib],
                ["-fno-pie", "-no-pie", "-o", fixed, SRC, lib]):
    r = subprocess.run(["cc", "-O1", *command], capture_output=True, text=True)
    if not ok(r.returncode == 0, f"compiles: {command[0]}", r.stderr):
        done()

NAMES = ("one", "two", "three", "four")


def build(name, where):
    text = ("#include <linux/bpf.h>\n#include <linux/ptrace.h>\n#include <bpf/bpf_helpers.h>\n"
            "#include <bpf/bpf_tracing.h>\n#include <stdbool.h>\n#include <bpf/usdt.bpf.h>\n"
            'char LICENSE[] SEC("license") = "GPL";\nstruct { long hits, sum, nr, last; } out[4];\n')
    for i, n in enumerate(NAMES):
        text += (f'SEC("usdt/{where[i // 2]}:probes:{n}") int p{i}(struct pt_regs *ctx)\n'
                 f"{{ long v = -1, nr = bpf_usdt_arg_cnt(ctx); bpf_usdt_arg(ctx, 0, &v);\n"
                 f"out[{i}].hits++; out[{i}].sum += v; out[{i}].nr = nr;\n"
                 f"if (nr == 2) bpf_usdt_arg(ctx, 1, &out[{i}].last); return 0; }}\n")
    src, obj = f"{dir}/{name}.bpf.c", f"{dir}/{name}.bpf.o"
    with open(src, "w") as f:
        f.write(text)
    r = subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-D__TARGET_ARCH_x86",
                        "-I/usr/include/x86_64-linux-gnu", "-c", src, "-o", obj],
                       capture_output=True, text=True)
    if not ok(r.returncode == 0, f"{name}: compiles", r.stderr):
        done()
    return obj


def start(command, **more):
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            env={**os.environ, "LD_LIBRARY_PATH": dir}, **more)


def fire(observed):
    observed.stdin.write("\n")
    observed.stdin.flush()
    return observed.stdout.readline() == "fired\n"


def run(observed, obj, version, pid):
    """(what attached, the numbers of out)"""
    loader = start([LOADER, "-p", version, str(pid), obj])
    said = []
    for line in loader.stdout:
        said.append(line)
        if line == "attached\n":
            break
    for _ in range(3):
        fire(observed)
    rest = loader.communicate("\n", timeout=60)[0]
    got = [int(w) for l in rest.splitlines() if l.startswith("out ") for w in l.split()[1:]]
    return "".join(said), got


for name, path in (("PIE", prog), ("fixed", fixed)):
    obj = build(name, (path, lib))
    for version in ("5.10", "6.18"):
        observed = start([path])
        fire(observed)
        said, got = run(observed, obj, version, observed.pid)
        sums = 11 + 12 + 13
        is_(got, [3, sums, 1, 0, 3, sums, 2, 2, 3, sums, 1, 0, 3, sums, 2, 4],
            f"{name}, {version}: each probe's arguments, of program and library", said)
        observed.communicate()
    observed = start([path])
    said, got = run(observed, obj, "5.10", -1)
    ok("name a running process that has it (-p PID)" in said, f"{name}: which process is asked",
       said)
    is_(said.count(": done"), 2 if path == fixed else 0,
        f"{name}: what needs no process is attached", said)
    observed.communicate()
    other = subprocess.Popen(["sleep", "100"])
    observed = start([path])
    said, got = run(observed, obj, "5.10", other.pid)
    ok(f"process {other.pid} has not mapped" in said, f"{name}: a process without it", said)
    observed.communicate()
    other.kill()
    other.wait()
done()
