#!/usr/bin/python3
# Objects nobody here wrote: those of libbpf-tools, xdp-tools, libxdp1 and
# ir-keytable.  All open and relocate; what skep gives the kernel equals, byte
# for byte, what libbpf gives it (map descriptors by name); what the kernel
# takes from libbpf it takes from skep, and what libbpf attaches, skep does.
import concurrent.futures
import os
import re
import shutil
import sys
import tempfile

sys.path.insert(0, "tests/obj")
import corpus

build = os.environ.get("SKEP_BUILD", "build")
loader = build + "/tests/obj/corpus-loader"
# libbpf refuses these by name; then only skep's own result counts.
LIBBPF_REFUSES = {
    "ir-keytable": "their maps are in 'lirc_mode2/maps', which only ir-keytable itself reads",
}
if os.geteuid() or not all(map(shutil.which, ("cc", "unshare", "mount", "dpkg"))):
    print("1..0 # SKIP needs root, cc, unshare, mount and dpkg")
    sys.exit(0)
if not os.path.exists(loader):
    print(f"1..0 # SKIP {loader} is not built")
    sys.exit(0)


tests, notes = [], []
count = dict.fromkeys(("objects", "equal", "progs", "progs equal", "loaded by libbpf",
                       "loaded by skep", "attached by libbpf", "attached by skep"), 0)


exceptions = {}  # what this kernel does not take: reason -> programs


def note_exceptions(name, seen):
    # Heads of programs are cut to 15 characters; messages have whole names.
    for what, states in (("not loaded", [(h.split()[1], s) for h, s, _ in seen.progs
                                         if s != "loaded"]),
                         ("not attached", [(p, s) for p, s in seen.attached.items()
                                           if s != "done"])):
        for prog, state in states:
            why = re.sub(r"^\S+: ", "", state)
            prog = (re.findall(r"program '([^']*)'", why) or [prog])[0]
            why = re.sub(r"^program '[^']*': ", "", why)
            why = re.sub(r"'[^']*'|\b(kprobe|kretprobe|fentry|fexit|uprobe|usdt)/\S+:", "...", why)
            exceptions.setdefault(f"{what}: {why}", []).append(f"{name}/{prog}")


def differences(ours, theirs):
    if ours.status:
        yield f"skep's loader ended with {ours.status}"
    if ours.open or ours.load != "done":
        yield f"skep: {ours.open or ours.load}"
        return
    if len(ours.progs) != len(theirs.progs):
        yield f"{len(ours.progs)} programs, libbpf has {len(theirs.progs)}"
    for a, b in zip(ours.progs, theirs.progs):
        count["progs"] += 1
        count["loaded by skep"] += a[1] == "loaded"
        count["loaded by libbpf"] += b[1] == "loaded"
        same = a[0] == b[0] and a[2] == b[2]
        count["progs equal"] += same
        if not same:
            where = [i for i, (x, y) in enumerate(zip(a[2], b[2])) if x != y]
            yield (f"{a[0]} / {b[0]}: {len(a[2])} and {len(b[2])} instructions"
                   + (f", {where[0]}: {a[2][where[0]]} / {b[2][where[0]]}" if where else "")
                   + f" ({a[1]})")
        if b[1] == "loaded" and a[1] != "loaded":
            yield f"{a[0]}: the kernel takes it from libbpf, not from skep: {a[1]}"
    for name, state in theirs.attached.items():
        count["attached by libbpf"] += state == "done"
        if state == "done" and ours.attached.get(name) != "done":
            yield f"{name}: libbpf attaches it, skep does not: {ours.attached.get(name)}"
    count["attached by skep"] += sum(s == "done" for s in ours.attached.values())


with tempfile.TemporaryDirectory() as tmp:
    oracle = f"{tmp}/oracle"
    lacks = corpus.build_oracle(oracle)
    if lacks:
        print("1..0 # SKIP no libbpf-dev: " + lacks)
        sys.exit(0)
    # Most of the time goes by waiting for the kernel to detach.
    pool = concurrent.futures.ThreadPoolExecutor(4)
    jobs = []
    for package, objs in corpus.extract(tmp).items():
        if not objs:
            notes.append(f"SKIP {package} is not installed")
        if package == "libbpf-tools" and objs and not sys.argv[1:]:
            tools, others = corpus.commands(package)
            have = {name.rsplit("-", 1)[0] if name[-1].isdigit() else name for name, _ in objs}
            notes.append(f"{package}: {len(tools) + len(others)} commands: {len(tools)} binaries "
                         f"and {len(others)} more names of them, {len(objs)} objects")
            tests.append((not tools - have, f"{package}: an object of each tool",
                          sorted(tools - have)))
        for name, path in objs:
            if not sys.argv[1:] or name in sys.argv[1:]:
                jobs.append((package, name, pool.submit(corpus.Seen, [loader, path]),
                             pool.submit(corpus.Seen, [oracle, path])))
    for package, name, ours, theirs in jobs:
        ours, theirs = ours.result(), theirs.result()
        count["objects"] += 1
        note_exceptions(name, ours)
        if theirs.open and package in LIBBPF_REFUSES:
            ok = (not ours.status and ours.load == "done" and bool(ours.progs)
                  and all(p[2] for p in ours.progs))
            tests.append((ok, f"{package}: {name}: opens and relocates; libbpf cannot "
                          f"({LIBBPF_REFUSES[package]})", [ours.open or ours.load] * (not ok)))
            continue
        diffs = list(differences(ours, theirs))
        if theirs.open or theirs.load != "done":
            diffs.append(f"libbpf: {theirs.open or theirs.load}")
        count["equal"] += not diffs
        tests.append((not diffs, f"{package}: {name}: {len(ours.progs)} programs", diffs))

for n, (ok, what, why) in enumerate(tests, 1):
    print(f"{'ok' if ok else 'not ok'} {n} - {what}")
    for w in why:
        print("#  ", w)
for n in notes:
    print("#", n)
for what, n in count.items():
    print(f"# {what}: {n}")
# Each exception with its reason.
for why, progs in sorted(exceptions.items(), key=lambda e: -len(e[1])):
    print(f"# {len(progs)} {why}:\n#   {' '.join(progs)}")
print(f"1..{len(tests)}" if tests else "1..0 # SKIP none of the packages is installed")
sys.exit(not all(t[0] for t in tests))
