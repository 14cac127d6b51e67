#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own test of CO-RE (prog_tests/core_reloc.c of linux-source-6.12,
its case table and its comparison as they stand) with skep in libbpf's place, in
both engines.  Its objects are compiled here, into a directory that goes."""
import glob
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, "tests")
import kernel_source

BUILD = os.path.abspath(os.environ.get("SKEP_BUILD", "build"))
CLANG = "clang-19"


def compile_objects(src, tmp):
    """test_core_reloc_X.bpf.o and btf__core_reloc_X.bpf.o in @tmp."""
    files = [f for kind in ("btf__core_reloc_*.c", "test_core_reloc_*.c")
             for f in sorted(glob.glob(f"{src}/progs/{kind}")) if "_module.c" not in f]
    flags = ["-O2", "-g", "-mcpu=v3", "-target", "bpf", "-w", f"-I{src}", f"-I{src}/progs",
             f"-I/usr/include/{os.uname().machine}-linux-gnu"]
    # One run of the compiler for all files: it writes X.o for each X.c.
    subprocess.run([CLANG, *flags, "-c", *files], cwd=tmp, check=True, timeout=300)
    for f in os.listdir(tmp):
        os.rename(f"{tmp}/{f}", f"{tmp}/{f[:-2]}.bpf.o")
    return len(files)


def main():
    why = kernel_source.lacks()
    for tool in (CLANG, "gcc"):
        if not shutil.which(tool):
            why = f"no {tool}"
    if not os.path.exists("/usr/include/bpf/btf.h"):
        why = "no libbpf-dev"
    if why:
        print(f"1..0 # SKIP {why}")
        return 0
    src = kernel_source.selftests()
    here = os.path.abspath("tests/btf/core_kernel")
    n = bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        print(f"# {compile_objects(src, tmp)} objects of the kernel compiled")
        subprocess.run(["gcc", "-shared", "-fPIC", "-w", "-O1", "-o", "cases.so", f"-I{here}",
                        f"-I{src}", f"{src}/prog_tests/core_reloc.c", "-lbpf"], cwd=tmp,
                       check=True, timeout=60)
        for engine in ("kernel", "user"):
            if engine == "kernel" and os.geteuid():
                print(f"# engine kernel: needs root")
                continue
            r = subprocess.run([f"{BUILD}/tests/btf/core-kernel", engine, f"{tmp}/cases.so"],
                               cwd=tmp, stdout=subprocess.PIPE, text=True, timeout=300)
            for line in r.stdout.splitlines():
                words = line.split(" - ")
                if "ok " in words[0] and words[0][-1].isdigit():
                    n += 1
                    bad += line.startswith("not")
                    line = f"{words[0].rsplit(' ', 1)[0]} {n} - {words[1]}"
                print(line)
            if r.returncode not in (0, 1) or "cases as the kernel's test" not in r.stdout:
                n += 1
                bad += 1
                print(f"not ok {n} - {engine}: ended with status {r.returncode}")
    print(f"1..{n}")
    return 1 if bad else 0


sys.exit(main())
