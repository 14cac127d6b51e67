#!/usr/bin/python3
"""Objects nobody here wrote, on every kernel: the table object x kernel.

On this machine each is relocated for the stock kernels, whose types scripts/guest
keeps: what skep would hand to the kernel equals what libbpf would, byte for byte
(tests/obj/corpus.t does that for this one).  On each kernel each (in guests every eighth, or
all with LONG=1) is loaded and attached.  What skep
cannot, libbpf is asked to do: if it can, that is a failure, and else its
reason.  Lines "# object KERNEL NAME: ..." are for scripts/check-guest's table.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, TESTS + "/obj"]
import corpus  # noqa: E402
from need import lacks  # noqa: E402

KERNEL = os.environ.get("SKEP_GUEST", "host")
LOADER = os.environ.get("SKEP_BUILD", "build") + "/tests/obj/corpus-loader"
CACHE = os.environ.get("SKEP_GUEST_CACHE") or os.path.expanduser("~/.cache/skep-guest")
# A network for XDP, whose lo is nobody else's; a tracefs for libbpf, which attaches tracepoints by the numbers found there.
INSIDE = ["unshare", "-m", "-n", "env", "CORPUS_DEVICE=lo", "sh", "-c",
          'mount -t tracefs t /sys/kernel/tracing; mount -t bpf b /sys/fs/bpf; exec "$0" "$@"']

if lacks("root", "cc", "unshare", "mount", "dpkg"):
    print(f"1..0 # SKIP {lacks('root', 'cc', 'unshare', 'mount', 'dpkg')}")
    sys.exit(0)
if "SKEP_KEPT" not in os.environ:
    print("1..0 # SKIP make check-guest runs this; tests/obj/corpus.t has this kernel")
    sys.exit(0)
if not os.path.exists(LOADER):
    print(f"1..0 # SKIP {LOADER} is not built")
    sys.exit(0)
number = failed = 0


def ok(good, what, *why):
    global number, failed
    number += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {what}")
    for line in why if not good else ():
        print("#  ", line)
    sys.stdout.flush()


class Seen:
    """What a loader did with an object: programs as [head, state, instructions]."""

    def __init__(self, command):
        r = subprocess.run(INSIDE + command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           text=True, errors="replace", timeout=200)
        self.status, self.said, self.progs, self.attached = r.returncode, {}, [], {}
        for line in r.stdout.splitlines():
            word, _, rest = line.partition(" ")
            name, _, state = rest.partition(": ")
            if word == "prog":
                self.progs.append([name, state, []])
            elif word == "attach":
                self.attached[name] = state
            elif word in ("open:", "load:"):
                self.said[word[:-1]] = rest
            elif self.progs and word != "map":
                self.progs[-1][2].append(line)

    def code(self):
        return [(head, insns) for head, state, insns in self.progs]

    def loads(self):
        """[(name, why not, or "")]; names as short as the kernel's, so not as keys"""
        return [(head.split(" ")[0], "" if state == "loaded" else state or "not loaded")
                for head, state, insns in self.progs]


def extract():
    """[(name, path)], taken out of the packages once for all kernels."""
    where = f"{os.environ['SKEP_KEPT']}/objects"
    if not os.path.exists(f"{where}/list"):
        os.makedirs(where, exist_ok=True)
        with open(f"{where}/list.new", "w") as f:
            for package, objs in corpus.extract(where).items():
                # libbpf refuses ir-keytable's; tests/obj/corpus.t has them.
                f.writelines(f"{name} {path}\n" for name, path in objs
                             if package != "ir-keytable")
        os.rename(f"{where}/list.new", f"{where}/list")
    with open(f"{where}/list") as f:
        return [line.split() for line in f]


def first_difference(ours, theirs):
    if ours.status or "open" in ours.said or not ours.progs:
        return f"skep: status {ours.status}, {ours.said}"
    for (a, x), (b, y) in zip(ours.code(), theirs.code()):
        if a != b:
            return f"'{a}' is '{b}' for libbpf"
        for i, (s, t) in enumerate(zip(x, y)):
            if s != t:
                return f"{a}: instruction {i}: {s}; libbpf: {t}"
        if len(x) != len(y):
            return f"{a}: {len(x)} instructions; libbpf: {len(y)}"
    if len(ours.progs) != len(theirs.progs):
        return f"{len(ours.progs)} programs; libbpf: {len(theirs.progs)}"
    return None


def relocate(pool, oracle, objects):
    """What both make of the objects for each kernel whose types are at hand."""
    stock = {re.search(r"image-(\d+\.\d+)", p)[1]: p
             for p in sorted(glob.glob(f"{CACHE}/linux-image-*/boot/vmlinux.btf"))}
    for kernel, btf in stock.items():
        jobs = [(name, pool.submit(Seen, [LOADER, "-b", btf, path]),
                 pool.submit(Seen, [oracle, "-b", btf, path])) for name, path in objects]
        equal, worse = 0, []
        for name, ours, theirs in jobs:
            diff = first_difference(ours.result(), theirs.result())
            print(f"# object {kernel} {name}: relocates {'equal' if not diff else 'OTHERWISE'}")
            equal += not diff
            worse += [f"{name}: {diff}"] if diff else []
        ok(not worse and equal, f"{kernel}: {equal} objects relocated as libbpf does", *worse)


def attach(oracle, name, path):
    """What this kernel makes of an object; libbpf is asked for what fails."""
    ours = Seen([LOADER, path])
    states = ours.loads()
    wrong = [why for p, why in states if why]
    wrong += [f"program '{p}': {s}" for p, s in ours.attached.items() if s != "done"]
    line = f"# object {KERNEL} {name}: loads {sum(not why for p, why in states)}/{len(states)}, " \
           f"attaches {list(ours.attached.values()).count('done')}"
    bad = [f"skep: status {ours.status}, {ours.said}"] if ours.status < 0 or not states else []
    if wrong:
        theirs = Seen([oracle, path])
        bad += [f"{p}: libbpf loads it; skep: {why}"
                for (p, why), (q, can) in zip(states, theirs.loads()) if why and not can]
        bad += [f"{p}: libbpf attaches it; skep: {ours.attached.get(p)}"
                for p, s in theirs.attached.items()
                if s == "done" and ours.attached.get(p) != "done"]
        line += " (" + re.sub(r"^.*(program ')", r"\1", " ".join(wrong[0].split())) + ")"
    return line, bad


with tempfile.TemporaryDirectory() as tmp:
    made = subprocess.run(["cc", "-O1", "-o", f"{tmp}/oracle", TESTS + "/obj/oracle.c", "-lbpf",
                           "-ldl"], stderr=subprocess.PIPE, text=True)
    if made.returncode:
        print("1..0 # SKIP no libbpf-dev: " + made.stderr.splitlines()[0])
        sys.exit(0)
    found = [o for o in extract() if not sys.argv[1:] or o[0] in sys.argv[1:]]
    with concurrent.futures.ThreadPoolExecutor(4) as workers:
        if KERNEL == "host":
            relocate(workers, f"{tmp}/oracle", found)
        # Under emulation each takes seconds: a sample, unless LONG=1 asks for all.
        if KERNEL != "host" and "SKEP_GUEST_LONG" not in os.environ and not sys.argv[1:]:
            found = found[::8]
        for (what, _), (line, bad) in zip(found, workers.map(
                lambda o: attach(f"{tmp}/oracle", *o), found)):
            print(line)
            ok(not bad, f"{what}: loads and attaches as far as with libbpf", *bad)
print(f"1..{number}" if number else "1..0 # SKIP none of the packages is installed")
sys.exit(bool(failed))
