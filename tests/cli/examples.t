#!/usr/bin/python3
# Every example that both engines can run gives the same, known output: in the
# kernel as root, in the user engine as nobody.
import glob
import json
import shutil

from skeptest import *

if not shutil.which("clang"):
    skip_all("no clang")
if not build_target(static=True):
    skip_all("no C compiler with a static libc")

EXAMPLES = ("hello", "opens", "opens_perf", "writes", "readhist")


def run(name, who, *options):
    forget_pid(who)
    status, out, err = skep(["run", *options, example(name), "--", "./target"], who)
    pid = pid_of(who) if os.path.exists(f"{dir}/{who}/pid") else None
    return status, plain(out, pid), err


for name in EXAMPLES:
    for who, engine in (("root", "kernel"), ("nobody", "user")):
        if who == "root" and not ROOT:
            skip(f"{name} in the kernel", "not root")
            continue
        status, out, err = run(name, who, "--engine", engine)
        is_(status, 0, f"{name} as {who}, engine {engine}: exit status", err)
        golden(name, out, f"{name} as {who}, engine {engine}: output", err)

# Without --engine nobody gets the user engine, and is told.
if ROOT:
    status, out, err = run("opens", "nobody")
    ok(status == 0 and "user engine" in err or "own engine" in err,
       "as nobody the user engine is taken, with a line that says so", err)
    golden("opens", out, "... and gives the same")

status, out, err = skep(["run", "--engine", "user", "--json", example("opens"), "--", "./target"],
                        "nobody")
records = [json.loads(l) for l in out.splitlines()]
ok(status == 0 and [r["data"]["path"] for r in records if r["type"] == "record"][:3] ==
   ["one", "missing", "two"], "--json is one object a line", out, err)

# All examples with each clang there is, warnings being errors.
headers = glob.glob(f"{dir}/*/skep/vmlinux-*")
arch = {"x86_64": "x86", "aarch64": "arm64"}.get(os.uname().machine)
for version in (14, 19, 22):
    clang = shutil.which(f"clang-{version}")
    if not clang or not headers or not arch:
        skip(f"examples with clang {version}", "no such clang, types or machine")
        continue
    bad = []
    for path in sorted(glob.glob(dir + "/examples/*.bpf.c")):
        r = subprocess.run([clang, "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-Werror",
                            "-D__TARGET_ARCH_" + arch, "-I" + headers[0], "-idirafter",
                            f"/usr/include/{os.uname().machine}-linux-gnu", "-c", path, "-o",
                            dir + "/x.o"], capture_output=True, text=True)
        if r.returncode:
            bad.append(r.stderr)
    ok(not bad, f"all examples compile with clang {version}", *bad)
    who, engine = ("root", "kernel") if ROOT else ("nobody", "user")
    status, out, err = skep(["run", "--engine", engine, example("opens"), "--", "./target"], who,
                            env=env(who, SKEP_CLANG=clang))
    golden("opens", plain(out, pid_of(who)), f"opens compiled by clang {version} runs", err)

# The real thing: the opens of ls, in order, from both.
if ROOT:
    paths = {}
    for who in ("root", "nobody"):
        status, out, err = skep(["run", "--json", example("opens"), "--", "ls", "/"], who)
        paths[who] = [(r["data"]["path"], r["data"]["ret"]) for r in
                      (json.loads(l) for l in out.splitlines() if l.startswith("{"))
                      if r["type"] == "record"]
    ok(len(paths["root"]) > 3, "ls / opens files", paths)
    is_(paths["nobody"], paths["root"], "the same files in the same order from both engines")
else:
    skip("the same opens from both engines", "not root")
done()
