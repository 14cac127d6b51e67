#!/usr/bin/python3
# The instructions that skep gives the kernel are those that libbpf (bpftool's)
# gives it, byte for byte, for the same object: seen with strace, in both cases,
# with map descriptors replaced by the names of the maps.
import os
import re
import shutil
import subprocess
import sys
import tempfile

build = os.environ.get("SKEP_BUILD", "build")
loader = build + "/tests/unit/unit-obj"
if os.geteuid() or not all(map(shutil.which, ("strace", "bpftool", "clang-14", "unshare"))):
    print("1..0 # SKIP needs root, strace, bpftool, clang-14 and unshare")
    sys.exit(0)
if not os.path.exists(loader):
    print(f"1..0 # SKIP {loader} is not built")
    sys.exit(0)

INSN = re.compile(r"\{code=([^,]+), dst_reg=(\w+), src_reg=(\w+), off=(-?\w+), imm=(-?\w+)\}")


def traced(command, out):
    """{program name: [instructions]} of the programs that `command` got into the kernel"""
    subprocess.run(["strace", "-f", "-v", "-s", "100000", "-e", "trace=bpf", "-o", out] + command,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    maps, progs = {}, {}
    with open(out) as f:
        for line in f:
            ok = re.search(r"\) = (\d+)", line)
            if not ok:
                continue
            name = re.search(r'(?:map|prog)_name="([^"]*)"', line)
            name = name.group(1) if name else ""
            if "BPF_MAP_CREATE" in line:
                # libbpf puts the object's name before those of data sections, cut to 15
                dot = name.find(".")
                maps[int(ok.group(1))] = name[dot:][:7] if dot >= 0 else name
            elif "BPF_PROG_LOAD" in line:
                progs[name] = [normal(m, maps) for m in INSN.findall(line)]
    return progs


def normal(m, maps):
    code, dst, src, off, imm = m
    if code == "BPF_LD|BPF_DW|BPF_IMM" and src in ("0x1", "0x2", "BPF_REG_1", "BPF_REG_2"):
        imm = maps.get(int(imm, 0), imm)
    return (code, dst, src, off, imm)


tests = []
with tempfile.TemporaryDirectory() as tmp:
    for clang in ("clang-14", "clang-19", "clang-22"):
        if not shutil.which(clang):
            continue
        for src, progs in (("lossy", ["lose"]), ("scoped", ["count"]),
                           ("core", ["there", "guarded"]), ("plain", ["calls", "data"])):
            obj = f"{tmp}/{src}.{clang}.o"
            subprocess.run([clang, "-O2", "-g", "-target", "bpf", "-D__TARGET_ARCH_x86",
                            f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c",
                            f"tests/obj/{src}.bpf.c", "-o", obj], check=True)
            ours = traced([loader, obj], tmp + "/ours")
            theirs = traced(["unshare", "-m", "bpftool", "prog", "loadall", obj,
                             "/sys/fs/bpf/skep-test"], tmp + "/theirs")
            for p in progs:
                a, b = ours.get(p), theirs.get(p)
                tests.append((bool(a) and a == b, f"{clang} {src} {p}: {len(a or [])} instructions"))
                if a != b:
                    tests[-1] += ([(i, x, y) for i, (x, y) in enumerate(zip(a or [], b or []))
                                   if x != y][:3], len(b or []))

for n, t in enumerate(tests, 1):
    print(f"{'ok' if t[0] else 'not ok'} {n} - {t[1]}")
    for d in t[2:]:
        print("#", d)
print(f"1..{len(tests)}")
sys.exit(not all(t[0] for t in tests))
