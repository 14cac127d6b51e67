#!/usr/bin/python3
"""Objects nobody here wrote, on every kernel: the table object x kernel.

On this machine each is relocated for the stock kernels, whose types scripts/guest
keeps: what skep would hand to the kernel equals what libbpf would, byte for byte
(tests/obj/corpus.t does that for this one).  On each kernel all are loaded and
attached.  What skep cannot, libbpf is asked to do: if it can, that is a failure,
and else its reason.  Lines "# object KERNEL NAME: ..." are for
scripts/check-guest's table.
"""
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS, TESTS + "/obj"]
import corpus  # noqa: E402
from need import lacks  # noqa: E402

KERNEL = os.environ.get("SKEP_GUEST", "host")
LOADER = os.environ.get("SKEP_BUILD", "build") + "/tests/obj/corpus-loader"
CHUNK = 6  # objects that a process of the loaders takes
CACHE = os.environ.get("SKEP_GUEST_CACHE") or os.path.expanduser("~/.cache/skep-guest")
# A network for XDP, whose lo is nobody else's; a tracefs for libbpf, which attaches
# tracepoints by the numbers found there; a bpffs, as some maps are pinned.
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

    def __init__(self):
        self.said, self.progs, self.attached = {}, [], {}

    def line(self, line):
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


def see(command, objects):
    """{name: Seen} of the objects, in one process; whom it died of, and whom it left, lack."""
    r = subprocess.run(INSIDE + command + [path for name, path in objects],
                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                       errors="replace", timeout=600)
    found, names = {}, {path: name for name, path in objects}
    for line in r.stdout.splitlines():
        if line.startswith("object "):
            one = found[names[line[7:]]] = Seen()
        else:
            one.line(line)
    if r.returncode < 0 and found:  # the last is the one it died of
        found.popitem()
    return found


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
    if not ours or not theirs:
        return "skep died" if not ours else "libbpf died"
    if "open" in ours.said or not ours.progs:
        return f"skep: {ours.said}"
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
    jobs = {kernel: [pool.submit(see, [loader, "-b", btf], objects) for loader in (LOADER, oracle)]
            for kernel, btf in stock.items()}
    for kernel in ("6.1", "6.12"):
        ok(kernel in stock, f"{kernel}: its types are here", f"scripts/guest --types {kernel}")
    for kernel, (ours, theirs) in jobs.items():
        equal, worse = 0, []
        for name, _ in objects:
            diff = first_difference(ours.result().get(name), theirs.result().get(name))
            print(f"# object {kernel} {name}: relocates {'equal' if not diff else 'OTHERWISE'}")
            equal += not diff
            worse += [f"{name}: {diff}"] if diff else []
        ok(not worse and equal, f"{kernel}: {equal} objects relocated as libbpf does", *worse)


def attach(oracle, objects):
    """What this kernel makes of objects; libbpf is asked for what fails."""
    all_ours = see([LOADER], objects)
    wrong = {}
    for name, ours in all_ours.items():
        wrong[name] = [why for p, why in ours.loads() if why]
        wrong[name] += [f"program '{p}': {s}" for p, s in ours.attached.items() if s != "done"]
    asked = [o for o in objects if wrong.get(o[0])]
    all_theirs = see([oracle], asked) if asked else {}
    for name, _ in objects:
        ours, theirs = all_ours.get(name), all_theirs.get(name)
        states = ours.loads() if ours else []
        bad = [] if states else [f"skep: {ours.said}" if ours else "skep died"]
        line = f"# object {KERNEL} {name}: loads {sum(not w for p, w in states)}/{len(states)}, " \
               f"attaches {list(ours.attached.values()).count('done') if ours else 0}"
        if wrong.get(name):
            line += " (" + re.sub(r"^.*(program ')", r"\1",
                                  " ".join(wrong[name][0].split())) + ")"
            if not theirs:
                bad += ["libbpf died"]
        if theirs:
            bad += [f"{p}: libbpf loads it; skep: {why}"
                    for (p, why), (q, can) in zip(states, theirs.loads()) if why and not can]
            bad += [f"{p}: libbpf attaches it; skep: {ours.attached.get(p)}"
                    for p, s in theirs.attached.items()
                    if s == "done" and ours.attached.get(p) != "done"]
        print(line)
        ok(not bad, f"{name}: loads and attaches as far as with libbpf", *bad)


with tempfile.TemporaryDirectory() as tmp:
    made = subprocess.run(["cc", "-O1", "-o", f"{tmp}/oracle", TESTS + "/obj/oracle.c", "-lbpf",
                           "-ldl"], stderr=subprocess.PIPE, text=True)
    if made.returncode:
        print("1..0 # SKIP no libbpf-dev: " + made.stderr.splitlines()[0])
        sys.exit(0)
    found = [o for o in extract() if not sys.argv[1:] or o[0] in sys.argv[1:]]
    if KERNEL == "host":
        with concurrent.futures.ThreadPoolExecutor(2) as workers:
            relocate(workers, f"{tmp}/oracle", found)
    start = time.monotonic()
    for at in range(0, len(found), CHUNK):
        attach(f"{tmp}/oracle", found[at:at + CHUNK])
    print(f"# objects {KERNEL}: {len(found)}, in {time.monotonic() - start:.0f} s")
print(f"1..{number}" if number else "1..0 # SKIP none of the packages is installed")
sys.exit(bool(failed))
