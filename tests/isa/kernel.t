#!/usr/bin/python3
# What skep prints for a loaded program is what bpftool prints, line by line:
# for objects loaded here, pinned under a bpffs of our own mount namespace.
import os, re, shutil, subprocess, sys, tempfile

sys.path.insert(0, "tests")
from tap import *  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")


if os.geteuid():
    skip_all("needs root")
for tool in ("bpftool", "clang-14", "unshare"):
    if not shutil.which(tool):
        skip_all("needs " + tool)
if not os.environ.get("SKEP_TEST_UNSHARED"):
    os.environ["SKEP_TEST_UNSHARED"] = "1"
    os.execvp("unshare", ["unshare", "-m", sys.executable, *sys.argv])


def instructions(text):
    """Without function headers and source lines, which are not in the bytes."""
    return [l for l in text.splitlines() if re.match(r" *\d+: \(|       [0-9a-f]{2} ", l)]


def run(*args):
    return subprocess.run(args, capture_output=True, text=True)


tmp = tempfile.mkdtemp()
mounted = False
try:
    fs = os.path.join(tmp, "fs")
    os.mkdir(fs)
    if run("mount", "-t", "bpf", "bpf", fs).returncode:
        skip_all("cannot mount a bpffs")
    mounted = True
    for clang, cpu in (("clang-14", "v1"), ("clang-14", "v2"), ("clang-14", "v3"),
                       ("clang-19", "v3"), ("clang-22", "v3")):
        what = "%s -mcpu=%s" % (clang, cpu)
        if not shutil.which(clang):
            skip(what, "not installed")
            continue
        obj = os.path.join(tmp, "x.o")
        atomics = ["-DEVERY_ATOMICS"] if cpu == "v3" else []
        p = run(clang, "-O2", "-g", "-target", "bpf", "-mcpu=" + cpu, *atomics,
                "-I/usr/include/x86_64-linux-gnu", "-c", "tests/isa/every.bpf.c", "-o", obj)
        if p.returncode:
            ok(False, what, p.stderr)
            continue
        pins = os.path.join(fs, "p")
        p = run("bpftool", "prog", "loadall", obj, pins)
        if p.returncode:
            ok(False, what + " loads", *p.stderr.splitlines()[-12:])
            continue
        names = sorted(os.listdir(pins))
        ok(len(names) == (2 if atomics else 1), "%s: %s" % (what, " ".join(names)))
        for name in names:
            pin = os.path.join(pins, name)
            for opcodes in ([], ["opcodes"]):
                dump = os.path.join(tmp, "dump")
                text = run("bpftool", "prog", "dump", "xlated", "pinned", pin, *opcodes).stdout
                run("bpftool", "prog", "dump", "xlated", "pinned", pin, "file", dump)
                # A dump's file does not say where subprograms were put in memory.
                want = [re.sub(r"#(bpf_prog_[0-9a-f]{16}_\w+|0x[0-9a-f]+)$", "", l)
                        for l in instructions(text)]
                p = run(SKEP, "disasm", "--xlated", *["--" + o for o in opcodes], dump)
                got = instructions(p.stdout)
                diff = ["bpftool: %s, skep: %s" % (a, b) for a, b in zip(want, got) if a != b]
                ok(len(want) > 20 and want == got and not p.returncode,
                   "%s %s %s: %d lines" % (what, name, " ".join(opcodes), len(want)),
                   "%d lines, skep has %d" % (len(want), len(got)), *diff[:5], p.stderr)
            os.unlink(pin)
        os.rmdir(pins)
finally:
    if mounted:
        run("umount", fs)
    shutil.rmtree(tmp, ignore_errors=True)
done()
