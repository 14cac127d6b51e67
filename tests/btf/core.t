#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""CO-RE against the real thing: the instructions that libbpf (in bpftool, seen
by strace) hands to this kernel, and those that we make, are the same."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

BUILD = os.environ.get("SKEP_BUILD", "build")


def signed(v):
    return v - (1 << 32) if v >= 1 << 31 else v


def libbpf(obj, tmp):
    """{program: [instruction]} as given to BPF_PROG_LOAD."""
    # In a mount namespace of its own: neither the bpffs nor the pins outlive it.
    pin = "/sys/fs/bpf/skep-core-test"
    out = os.path.join(tmp, "strace")
    subprocess.run(["unshare", "-m", "strace", "-o", out, "-e", "trace=bpf", "-e", "abbrev=none",
                    "-X", "raw", "-v", "bpftool", "prog", "loadall", obj, pin], capture_output=True)
    progs = {}
    for line in open(out, errors="replace"):
        line = re.sub(r" ?/\*.*?\*/", "", line)
        m = re.search(r'insns=\[(.*?)\], license.*prog_name="([pd]\d+)"', line)
        if not m:
            continue
        insns = []
        for i in re.finditer(r"\{code=([\w|]+), dst_reg=(\w+), src_reg=(\w+), off=(-?\w+), "
                             r"imm=(-?\w+)\}", m.group(1)):
            c = sum(int(v, 0) for v in i.group(1).split("|"))
            dst, src, off, imm = (int(v, 0) for v in i.groups()[1:])
            insns.append("%02x %d %d %d %d" % (c, dst, src, off, signed(imm)))
        progs[m.group(2)] = insns
    return progs


def ours(obj, prog):
    sec = ("raw_tp/" + prog) if prog[0] == "p" else "tp_btf/task_rename"
    r = subprocess.run([BUILD + "/tests/btf/core-apply", obj, sec], capture_output=True, text=True)
    return r.stdout.split("\n")[:-1], r.stderr


def main():
    for tool in ("strace", "bpftool"):
        if not shutil.which(tool):
            print("1..0 # SKIP no %s" % tool)
            return 0
    if os.geteuid() != 0 or not os.path.exists("/sys/kernel/btf/vmlinux"):
        print("1..0 # SKIP needs root and a kernel with BTF")
        return 0
    clangs = [c for c in ("clang-14", "clang-19", "clang-22") if shutil.which(c)]
    n = bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        for clang in clangs:
            for case in range(6):
                obj = os.path.join(tmp, "core.o")
                subprocess.run([clang, "-O2", "-g", "-target", "bpf", "-DCASE=%d" % case,
                                "-I/usr/include/%s-linux-gnu" % os.uname().machine, "-c",
                                "tests/btf/core.bpf.c", "-o", obj], check=True)
                want = libbpf(obj, tmp)
                names = ["p%d" % i for i in range(1, 10)] if case == 0 else ["d%d" % case]
                for name in names:
                    n += 1
                    got, stderr = ours(obj, name)
                    good = name in want and len(want[name]) > 1 and got == want[name]
                    bad += not good
                    print("%sok %d - %s: %s" % ("" if good else "not ", n, clang, name))
                    if good:
                        continue
                    print("#", stderr.strip(), len(got), len(want.get(name, [])))
                    for i, (a, b) in enumerate(zip(got, want.get(name, []))):
                        if a != b:
                            print("# %d: got %s, want %s" % (i, a, b))
    print("1..%d" % n)
    return 1 if bad else 0


sys.exit(main())
