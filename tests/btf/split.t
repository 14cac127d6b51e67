#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Types that go on from others': a made-up module on top of a compiled object's
types, as bpftool prints it, and as an ELF file that carries its base along."""
import os
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, "tests")
from tap import *  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")
STRUCT, PTR, FUNC, FUNC_PROTO = 4, 2, 12, 13


def run(*args):
    return subprocess.run(args, capture_output=True, text=True, timeout=60)


def split_btf(base_nr, base_strs, int_id):
    """struct late { int a; struct late *next; } and a function of it."""
    strs = b"\0late\0a\0next\0late_use\0"
    at = {n: base_strs + strs.index(b"\0" + n.encode() + b"\0") + 1
          for n in ("late", "a", "next", "late_use")}
    late, ptr, proto = base_nr, base_nr + 1, base_nr + 2
    types = struct.pack("<9I", at["late"], STRUCT << 24 | 2, 16, at["a"], int_id, 0,
                        at["next"], ptr, 64)
    types += struct.pack("<3I", 0, PTR << 24, late)
    types += struct.pack("<5I", 0, FUNC_PROTO << 24 | 1, int_id, at["a"], ptr)
    types += struct.pack("<3I", at["late_use"], FUNC << 24 | 1, proto)
    return struct.pack("<HBBIIIII", 0xeb9f, 1, 0, 24, 0, len(types), len(types),
                       len(strs)) + types + strs


def main():
    for tool in ("clang-19", "llvm-objcopy-19", "bpftool"):
        if not shutil.which(tool):
            skip_all(f"no {tool}")
    with tempfile.TemporaryDirectory() as tmp:
        base, split, elf, obj = (f"{tmp}/{n}" for n in ("base", "split", "module.ko", "obj.o"))
        open(f"{tmp}/obj.c", "w").write("struct early { int x; } e; int use(int a) { return a; }")
        subprocess.run(["clang-19", "-O2", "-g", "-target", "bpf", "-c", f"{tmp}/obj.c", "-o",
                        obj], check=True, timeout=60)
        subprocess.run(["llvm-objcopy-19", "--dump-section", f".BTF={base}", obj, "/dev/null"],
                       check=True, timeout=60)
        dump = run("bpftool", "btf", "dump", "file", base).stdout.splitlines()
        nr = sum(line.startswith("[") for line in dump) + 1
        int_id = next(int(l[1:l.index("]")]) for l in dump if "INT 'int'" in l)
        raw = open(base, "rb").read()
        open(split, "wb").write(split_btf(nr, struct.unpack_from("<I", raw, 20)[0], int_id))
        subprocess.run(["llvm-objcopy-19", "--remove-section", ".BTF", "--remove-section",
                        ".BTF.ext", "--add-section", f".BTF={split}", "--add-section",
                        f".BTF.base={base}", obj, elf], check=True, timeout=60)
        for form in ((), ("format", "c")):
            name = " ".join(form) or "raw"
            want = run("bpftool", "-B", base, "btf", "dump", "file", split, *form)
            got = run(SKEP, "btf", "dump", "file", split, *form, "--base-btf", base)
            ok(got.returncode == 0 and "late" in got.stdout and
               (form or got.stdout == want.stdout), f"{name}: on top of a given base",
               got.stdout, got.stderr, want.stdout)
            also = run(SKEP, "btf", "dump", "file", elf, *form)
            ok(also.stdout == got.stdout and "late" in also.stdout,
               f"{name}: on top of .BTF.base", also.stdout, also.stderr)
        r = run(SKEP, "btf", "dump", "file", split)
        ok(r.returncode == 1 and split in r.stderr, "without its base it is refused", r.stderr)
    done()


main()
