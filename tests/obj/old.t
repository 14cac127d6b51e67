#!/usr/bin/python3
# Kernels that nobody has at hand: old.c acts as one, above the real kernel.
# Objects nobody here wrote still load, with all that such a kernel takes; what
# does not load says what the kernel lacks.
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path[:0] = ["tests", "tests/obj"]
import corpus  # noqa: E402
from tap import *  # noqa: E402

build = os.environ.get("SKEP_BUILD", "build")
loader = build + "/tests/obj/corpus-loader"
if os.geteuid() or not all(map(shutil.which, ("clang", "dpkg"))):
    skip_all("needs root, clang and dpkg")

# Sentences that say what the kernel lacks, and helpers newer than it.
LACKS = re.compile(r"this kernel (lacks|has no)|there are no maps of its type here"
                   r"|came with Linux|does not have the helper"
                   # no fault of the kernel's: the tool sizes it, here it is a placeholder
                   r"|max_entries is 0")


def run(path, version="6.18", attach="-K"):
    """(programs: state, attachments: state, counts of what was given, all the text)"""
    command = [loader, attach, version, path]
    got = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         timeout=120)
    progs, attached, given = {}, {}, {}
    for line in got.stdout.splitlines():
        if line.startswith("prog "):
            head, state = line.split(": ", 1)
            progs[head.split()[1], len(progs)] = state
        elif line.startswith("attach "):
            name, state = line[7:].split(": ", 1)
            attached[name] = state
        elif line.startswith("given: "):
            words = line.split()[1:]
            given = dict(zip(words[::2], map(int, words[1::2])))
        elif line.startswith(("load: ", "open: ")):
            progs.setdefault(("object", 0), line[6:])
    return progs, attached, given, got.stdout + got.stderr, got.returncode


def state(version, real, old):
    """what an older kernel did otherwise than this one, and gives no reason for"""
    for key, now in real[0].items():
        if key == ("object", 0):
            then = old[0].get(key, "nothing")
            if now == "done" and then != "done" and not LACKS.search(then):
                yield f"{version}: {then}"
            if then != "done":
                return
            continue
        then = old[0].get(key, "nothing")
        if now == "loaded" and then != "loaded" and not LACKS.search(then):
            yield f"{version}: {key[0]}: {then}"


with tempfile.TemporaryDirectory() as tmp:
    # Every kind of type, on every kernel.
    cc = "clang-19" if shutil.which("clang-19") else "clang"
    obj = f"{tmp}/old.bpf.o"
    subprocess.run([cc, "-O2", "-g", "-target", "bpf",
                    f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c",
                    "tests/obj/old.bpf.c", "-o", obj], check=True)
    dump = subprocess.run([os.environ.get("SKEP", build + "/skep"), "btf", "dump", "file", obj],
                          stdout=subprocess.PIPE, text=True).stdout
    kinds = {k for k in ("FLOAT", "DECL_TAG", "TYPE_TAG", "ENUM64", "DATASEC", "VAR", "FUNC",
                         "FUNC_PROTO") if f" {k} " in dump}
    ok(len(kinds) >= 7, f"the test's object has types of the kinds {' '.join(sorted(kinds))}", dump)
    real = run(obj)
    ok(list(real[0].values()) == ["done", "loaded", "loaded", "loaded"], "this kernel takes it",
       real[3])
    for version, funcs in (("4.18", 0), ("5.4", 2), ("5.10", 2), ("5.15", 3)):
        progs, attached, given, text, status = run(obj, version, "-k")
        types = [v for (name, _), v in progs.items() if name != "object"]
        ok(status == 0 and progs["object", 0] == "done" and types[0] == "loaded",
           f"{version}: the program without globals loads", text)
        ok(given["functions"] == funcs and given["lines"] == funcs,
           f"{version}: {funcs} programs with function and line information", given)
        ok(given["types"] == 1, f"{version}: its types are taken", text)
        if version == "4.18":
            ok("global variables" in types[1], f"{version}: globals are explained", text)
        else:
            ok(types[1] == "loaded", f"{version}: the program with globals loads", text)
        if version in ("4.18", "5.4"):
            ok(re.search(r"85\d\d 0 00000004\n", text) and
               not re.search(r"85\d\d 0 00000071\n", text),
               f"{version}: bpf_probe_read_kernel() became bpf_probe_read()", text)
        if version in ("5.4", "5.10"):
            ok(given["events"] == 1 and "done" in attached.values(),
               f"{version}: attached without a link", text)
    # 4.14 makes the map of a variable, whose name it does not know, but has no instruction
    # for its address; 4.18 takes no such name.
    for sec in ("", "int x = 1; "):
        with open(f"{tmp}/var.c", "w") as f:
            f.write(f'#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nint v; {sec}'
                    'SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx) '
                    '{ return v++; }\nchar L[] SEC("license") = "GPL";\n')
        subprocess.run([cc, "-O2", "-g", "-target", "bpf",
                        f"-I/usr/include/{os.uname().machine}-linux-gnu", "-c", f"{tmp}/var.c",
                        "-o", f"{tmp}/var.o"], check=True)
        for version in ("4.14", "4.18"):
            progs, attached, given, text, status = run(f"{tmp}/var.o", version, "-k")
            ok("program 'prog': it uses global variables" in text,
               f"{version}: a variable is explained", text)
    progs, attached, given, text, status = run(obj, "4.14")
    ok(status == 0 and list(progs.values())[1] == "loaded" and not given["names"]
       and not given["maps"], "4.14: loads without names or types", text)

    pool = concurrent.futures.ThreadPoolExecutor(4)
    jobs = []
    versions = ("4.14", "4.18", "5.4", "5.10", "5.15") if os.environ.get("LONG") else ("5.4", "5.10")
    for package, objs in corpus.extract(tmp).items():
        if package == "ir-keytable":
            continue
        for name, path in objs:
            jobs.append((name, pool.submit(run, path),
                         [(v, pool.submit(run, path, v)) for v in versions]))
    count = dict.fromkeys(versions, 0)
    every = 0
    for name, real, olds in jobs:
        real = real.result()
        every += sum(s == "loaded" for s in real[0].values())
        why = []
        for version, old in olds:
            old = old.result()
            if old[4]:
                why.append(f"{version}: the loader ended with {old[4]}: {old[3]}")
            why += state(version, real, old)
            count[version] += sum(s == "loaded" for s in old[0].values())
        ok(not why, f"{name}: loads, or says what {' and '.join(versions)} lack", *why)
    for version, progs in count.items():
        print(f"# {version}: {progs} programs load, of {every} on this kernel")
done()
