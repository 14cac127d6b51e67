#!/usr/bin/python3
# The house style that a machine can see: clang-format 14, file and function
# lengths, the licence line, names that libbpf owns.
import re
import subprocess

files = subprocess.run(["git", "ls-files", "*.c", "*.h"], capture_output=True, text=True,
                       check=True).stdout.split()
sources = [f for f in files if f.startswith("src/")]
problems = {"format": [], "length": [], "function": [], "licence": [], "width": [], "names": []}

r = subprocess.run(["clang-format-14", "--dry-run", "--Werror"] + files, capture_output=True,
                   text=True)
problems["format"] = [l for l in r.stderr.splitlines() if "error:" in l][:20]

for path in files:
    with open(path) as f:
        lines = f.read().split("\n")
    if not any("SPDX-License-Identifier:" in l for l in lines[:3]):
        problems["licence"].append(f"{path}: no SPDX line")
    if len(lines) > 1001:
        problems["length"].append(f"{path}: {len(lines) - 1} lines, 1,000 is the stop")
    for n, l in enumerate(lines, 1):
        if len(l.expandtabs(8)) > 100:
            problems["width"].append(f"{path}:{n}: wider than 100 columns")

for path in sources:
    with open(path) as f:
        lines = f.read().split("\n")
    start = None
    for n, l in enumerate(lines, 1):
        if l == "{":
            start = n
        elif l == "}" and start is not None:
            if n - start > 61:
                problems["function"].append(f"{path}:{start}: {n - start - 1} lines, 60 is the stop")
            start = None

import os
build = os.environ.get("SKEP_BUILD")
if build and os.path.exists(build + "/libskep.a"):
    nm = subprocess.run(["nm", "-g", "--defined-only", build + "/libskep.a"], capture_output=True,
                        text=True).stdout
    for l in nm.splitlines():
        m = re.match(r"^[0-9a-f]+ [A-Z] (\S+)$", l)
        if m and not m.group(1).startswith(("skep_", "__jit_debug_", "__asan", "__odr_asan", "___asan")):
            problems["names"].append(f"exported: {m.group(1)}")

print(f"1..{len(problems) + 1}")
n = 1
print(("ok" if len(files) > 20 else "not ok") + f" {n} - {len(files)} files read")
for key, found in problems.items():
    n += 1
    print(("not ok" if found else "ok") + f" {n} - {key}")
    for p in found[:30]:
        print("# " + p)
raise SystemExit(1 if any(problems.values()) else 0)
