#!/usr/bin/python3
# A room includes headers only from rooms above it in the order of DESIGN.md
# (docs/design.md has the order that holds here); fails on each include that
# looks down.
import os
import re

ORDER = ["skep", "base", "isa", "btf", "sys", "event", "obj", "map", "helper", "verify", "vm", "jit",
         "user", "lib", "cc", "lang", "trace", "view", "cli"]
# Doors: one header of a lower room that an upper room may see, and why.
DOORS = {
    ("helper", "vm/vm.h"): "helpers are called by the machine that runs them",
    ("map", "vm/vm.h"): None,
}

problems = []
rooms = sorted(d for d in os.listdir("src") if os.path.isdir("src/" + d))
for room in rooms:
    if room not in ORDER:
        problems.append(f"src/{room}: not in the order")
count = 0
for room in rooms:
    if room not in ORDER:
        continue
    for name in sorted(os.listdir("src/" + room)):
        if not name.endswith((".c", ".h", ".def")):
            continue
        path = f"src/{room}/{name}"
        with open(path) as f:
            for n, line in enumerate(f, 1):
                m = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
                if not m:
                    continue
                count += 1
                target = m.group(1)
                if "/" not in target:
                    problems.append(f"{path}:{n}: \"{target}\" does not name its room")
                    continue
                other = target.split("/")[0]
                if other not in ORDER:
                    problems.append(f"{path}:{n}: no room '{other}'")
                elif ORDER.index(other) > ORDER.index(room) and not DOORS.get((room, target)):
                    problems.append(f"{path}:{n}: {room} looks down at {target}")

print("1..2")
print("ok 1 - includes were read" if count > 100 else f"not ok 1 - only {count} includes read")
print("ok 2 - no room looks down" if not problems else "not ok 2 - rooms look down")
for p in problems:
    print("# " + p)
raise SystemExit(1 if problems or count <= 100 else 0)
