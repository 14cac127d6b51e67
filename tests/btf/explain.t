#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""CO-RE that does not fit: each kind of relocation is refused, or ended when it
runs, with program, source line, type and field; skep btf core says why."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, "tests")
from tap import *  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")
SRC = "tests/btf/explain.bpf.c"


def run(*args):
    return subprocess.run([SKEP, *args], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL)


# program -> what its message must name, and what guards against it
POISONED = {
    "p_off": ("struct thing.gone", "bpf_core_field_exists()"),
    "p_size": ("struct thing.gone", "bpf_core_field_exists()"),
    "p_signed": ("struct thing.bits", "bpf_core_field_exists()"),
    "p_left": ("struct thing.bits", "bpf_core_field_exists()"),
    "p_right": ("struct thing.bits", "bpf_core_field_exists()"),
    "p_union": ("union pile.gone", "bpf_core_field_exists()"),
    "p_enum": ("enum kind::KIND_B", "bpf_core_enum_value_exists()"),
    "p_ambiguous": ("struct thing.moved", "they disagree"),
}

# what is asked for -> verdict on the first candidate, words of the reason, outcome
EXPLAINED = {
    "byte_off struct thing.kept": ("fits", "", "set"),
    "field_exists struct thing.arr[3]": ("unfit", "no element [3], only 2", "set"),
    "field_exists struct thing.shape": ("unfit", "'shape' is an integer there and a pointer here",
                                        "set"),
    "field_exists struct thing.in.deeper": ("unfit", "has no field 'deeper'", "set"),
    "field_exists struct nowhere.x": (None, "", "set"),
    "type_size union pile": ("fits", "", "set"),
    "enumval_value enum kind::KIND_A": ("fits", "", "set"),
}


def refused(engine, obj, target, lines):
    r = run("run", "--engine", engine, "--btf", target, obj, "--", "true")
    for prog, (what, more) in POISONED.items():
        said = [l for l in r.stderr.splitlines() if re.search(rf"\b{prog}\b", l)]
        text = "\n".join(said)
        m = re.search(r"explain\.bpf\.c:(\d+)", text)
        good = what in text and more in text and m and int(m.group(1)) in lines[prog]
        ok(good, f"{engine}: {prog}: program, line, type and field", text,
           f"wanted {what}, {more}, line {lines[prog]}")


def explained(obj, target):
    r = run("btf", "core", obj, "explained", "--btf", target, "--json")
    rows = {f"{o['kind']} {o['what']}": o for o in map(json.loads, r.stdout.splitlines())}
    for what, (verdict, why, outcome) in EXPLAINED.items():
        o = rows.get(what, {})
        first = (o.get("candidates") or [{}])[0]
        ok(o.get("outcome") == outcome and first.get("verdict") == verdict and
           why in first.get("why", ""), f"explained: {what}", o, r.stderr)
    # struct thing.kept drops the twin, which has no such field: nothing is ambiguous any more.
    o = rows.get("byte_off struct thing.moved", {})
    ok([c["verdict"] for c in o.get("candidates", [])] == ["fits", "dropped"] and
       o["value"] == 8, "a candidate that an earlier relocation dropped", o)
    insn = rows["byte_off struct thing.kept"]["insn"]
    r = run("btf", "core", obj, f"explained:{insn}", "--btf", target)
    ok("fits, byte 0" in r.stdout and "=> byte 0 instead of byte 8" in r.stdout and
       "1 relocations: 1 set" in r.stdout, "one relocation as text", r.stdout, r.stderr)
    r = run("btf", "core", obj, "p_ambiguous", "--btf", target)
    ok("they disagree" in r.stdout and r.stdout.count("fits, byte") == 2, "two that disagree",
       r.stdout)


def wrong(obj, target, tmp):
    for args, words, status in (
            ((obj, "nothing"), "no function 'nothing'", 1),
            ((obj, "explained:9999"), "no CO-RE relocation at 'explained:9999'", 1),
            ((obj, "explained:x"), "PROGRAM:INSN", 2),
            ((obj, "--btf"), "lacks its value", 2),
            ((), "core OBJECT", 2),
            ((obj, "--btf", f"{tmp}/none"), "No such file", 1),
            ((SRC,), "not an ELF object", 1),
            ((obj, "a", "b"), "expected", 2)):
        r = run("btf", "core", *args)
        ok(r.returncode == status and words in r.stderr, f"core {' '.join(args[1:])}: {words}",
           r.returncode, r.stderr)
    r = run("btf", "core", "--help")
    ok(r.returncode == 0 and "PROGRAM[:INSN]" in r.stdout, "help")


def main():
    if not shutil.which("clang-19"):
        skip_all("no clang-19")
    # The compiler gives the line where it prepares the value: the program's own first one,
    # or that of the function which the address comes from.
    text = open(SRC).read().split("\n")
    inlined = 1 + next(n for n, l in enumerate(text) if "return (void *)" in l)
    lines = {}
    for n, l in enumerate(text, 1):
        m = re.search(r"// LINE (\w+)", l)
        if m:
            start = 1 + next(k for k, s in enumerate(text) if f"PROG({m.group(1)})" in s)
            lines[m.group(1)] = (inlined, *range(start, n + 1))
    with tempfile.TemporaryDirectory() as tmp:
        obj, target = f"{tmp}/explain.bpf.o", f"{tmp}/target.o"
        for out, more in ((obj, []), (target, ["-DTARGET"])):
            subprocess.run(["clang-19", "-O2", "-g", "-target", "bpf", "-mcpu=v3", *more,
                            f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", SRC, "-o", out],
                           check=True, timeout=120)
        if os.geteuid() == 0:
            refused("kernel", obj, target, lines)
        refused("user", obj, target, lines)
        explained(obj, target)
        wrong(obj, target, tmp)
    done()


main()
