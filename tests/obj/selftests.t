#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own BPF selftests (progs/*.c of linux-source-6.12) as a corpus.

Each is compiled by clang-19 against a vmlinux.h that skep writes, opened,
relocated and given to the kernel by skep and by Debian's libbpf (oracle.c).
Where libbpf can, the instructions must be equal byte for byte, and the kernel
must take from skep what it takes from libbpf.  What only a newer libbpf knows,
skep must open, and a program that then does not load must have a reason that
is the kernel's.

A sample by rule: the first file, in order of names, with each of FEATURES, and
every 50th file.  LONG=1: all of them.  Files named as arguments: these.
"""
import collections
import concurrent.futures
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path[:0] = ["tests", "tests/obj"]
import corpus  # noqa: E402
import kernel_source  # noqa: E402

SKEP = os.path.abspath(os.environ.get("SKEP", "build/skep"))
BUILD = os.path.abspath(os.environ.get("SKEP_BUILD", "build"))
LOADER = f"{BUILD}/tests/obj/corpus-loader"
LONG = bool(os.environ.get("LONG"))
EVERY = 50

# What a file uses: a pattern of its text.
FEATURES = {
    "struct_ops": r'SEC\("\.struct_ops"\)', "struct_ops link": r'SEC\("\.struct_ops\.link"\)',
    "optional": r'SEC\("\?', "arena": r"BPF_MAP_TYPE_ARENA", "arena variables": r"^\w.*__arena .*=",
    "kfunc": r"bpf_task_acquire\(", "weak": r"__ksym __weak", "ksym exists": r"bpf_ksym_exists",
    "untyped ksym": r"extern const void \w+ __ksym", "kconfig": r"__kconfig;",
    "hidden": r"__hidden", "weak function": r"__weak", "static data": r"^static (volatile )?\w+ \w+ = ",
    "custom data": r'SEC\("\.(data|rodata|bss)\.', "map in map": r"__array\(values, struct",
    "prog array": r"BPF_MAP_TYPE_PROG_ARRAY", "pinning": r"LIBBPF_PIN_BY_NAME",
    "map_extra": r"map_extra", "numa": r"numa_node", "ring": r"BPF_MAP_TYPE_RINGBUF",
    "timer": r"struct bpf_timer", "wq": r"struct bpf_wq", "lock": r"struct bpf_spin_lock",
    "list": r"struct bpf_list_head", "rbtree": r"struct bpf_rb_root", "kptr": r"__kptr",
    "exception": r"bpf_throw", "exception callback": r"__exception_cb",
    "callback": r"bpf_for_each_map_elem", "loop": r"bpf_loop\(", "iterator": r"bpf_for\(",
    "dynptr": r"bpf_dynptr_from", "arg tags": r"__arg_", "global function": r"__noinline int ",
    "core": r"bpf_core_type_exists", "core kernel id": r"bpf_core_type_id_kernel",
    "core read": r"BPF_CORE_READ", "usdt": r"BPF_USDT", "syscall": r"BPF_KSYSCALL",
    "freplace": r'SEC\("freplace', "lsm": r'SEC\("lsm', "iter": r'SEC\("iter', "asm": r"__naked",
    "atomics": r"__sync_fetch_and_and", "sockmap": r"BPF_MAP_TYPE_SOCKMAP",
    "may_goto": r"cond_break|can_loop", "legacy": r'SEC\("maps"\)',
}

# program of libbpf 1.1 that differs for a reason: (file, program) -> reason
EXCEPTIONS = {
    ("task_kfunc_success", "test_task_kfunc"): "flavours of kernel functions: libbpf 1.3",
    ("exceptions", "exception_ext_m"): "exception callbacks: libbpf 1.3",
    ("test_ksyms_weak", "pass_handler"): "the mark of a weak function that is not there: libbpf 1.2",
}
# Objects that are told to want something before, and words of what.  libbpf refuses the
# first five, too; the last two are given their inner maps by their tests.
REFUSED = {
    "linked_maps1": "skep link", "linked_maps2": "skep link", "test_subskeleton_lib": "skep link",
    "test_pinning_invalid": "pinning is 2", "test_sk_assign": "fields after map_flags",
    "test_map_in_map": "not of which kind", "test_select_reuseport_kern": "not of which kind",
}
# Why a program that libbpf cannot be asked about may fail: the kernel says so.
KERNELS = re.compile(
    r"this kernel does not|does not have \(/proc/kallsyms\)|only declares|was another object|"
    r"\.c:\d+: |the kernel forbids|attach to unsupported member|no tracepoint|no function|"
    r"has no |have no |do not have|not loaded|no struct in SEC|the verifier|kernel's module|is rejected|"
    r"rejected|refuses programs of the kind|GPL compatible")


def lacks():
    if os.geteuid():
        return "needs root"
    for tool in ("clang-19", "cc", "unshare"):
        if not shutil.which(tool):
            return f"no {tool}"
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "this kernel shows no types"
    if not os.path.exists(LOADER):
        return f"{LOADER} is not built"
    return kernel_source.lacks()


def sample(files):
    """The files of the rule above, and which feature each stands for."""
    texts = {}
    for f in files:
        with open(f, errors="replace") as h:
            texts[f] = h.read()
    chosen = {f: ["every 50th"] for f in files[::EVERY]}
    for feature, pattern in FEATURES.items():
        found = re.compile(pattern, re.M)
        first = next((f for f in files if found.search(texts[f])), None)
        if first:
            chosen.setdefault(first, []).append(feature)
    return sorted(chosen)


def by_name(seen):
    """{name: [programs]}: names are cut to 15 characters."""
    found = collections.defaultdict(list)
    for p in seen.progs:
        found[p[0].split()[1]].append(p)
    return found


count = collections.Counter()
with open("/proc/kallsyms") as f:
    FPROBE = " register_fprobe_ips\n" in f.read()


def compare(name, ours, theirs):
    """What is wrong with an object, a line each."""
    if ours.status not in (0, 1):
        yield f"skep's loader ended with {ours.status}"
        return
    count["opened by libbpf"] += not theirs.open
    count["opened by skep"] += not ours.open
    if ours.open:
        if name not in REFUSED or REFUSED[name] not in ours.open or (
                not theirs.open and theirs.load == "done" and theirs.progs):
            yield f"open: {ours.open} (libbpf: {theirs.open or 'opens'})"
        return
    if ours.load != "done":
        if theirs.load == "done" and theirs.progs and REFUSED.get(name, "?") not in ours.load:
            yield f"load: {ours.load} (libbpf loads it)"
        elif not KERNELS.search(ours.load) and not theirs.open:
            count["refused by both"] += 1
    known = by_name(theirs)
    for prog, mine in by_name(ours).items():
        peers = known.get(prog, [])
        for i, (head, state, insns) in enumerate(mine):
            count["programs of skep"] += 1
            count["in the kernel by skep"] += state == "loaded"
            if i >= len(peers):
                if state != "loaded" and not KERNELS.search(state):
                    yield f"{head}: {state}"
                continue
            count["programs compared"] += 1
            count["in the kernel by libbpf"] += peers[i][1].startswith("loaded")
            peer = peers[i][0]
            # Without fprobe kprobe.multi is a probe for each function: event/attach_multi.c.
            if not FPROBE:
                peer = peer.replace(" attach 42 ", " attach 0 ")
            same = insns == peers[i][2] and head == peer
            # libbpf 1.1 does not see .struct_ops.link: its members are not known to it.
            if not same and insns == peers[i][2] and " type 27 " in head:
                same = True
            count["equal"] += same
            if not same and (name, prog) not in EXCEPTIONS:
                at = [k for k, (a, b) in enumerate(zip(insns, peers[i][2])) if a != b]
                yield (f"{head} / {peers[i][0]}: {len(insns)} and {len(peers[i][2])} instructions"
                       + (f", {at[0]}: {insns[at[0]]} / {peers[i][2][at[0]]}" if at else "")
                       + f" ({state})")
            elif peers[i][1] == "loaded" and state != "loaded":
                yield f"{head}: the kernel takes it from libbpf, not from skep: {state}"
    if ours.load == "done":
        for prog, peers in known.items():
            # Not asked for where the kernel has no such table.
            peers = [p for p in peers if " type 27 " not in p[0]]
            if len(peers) > len(by_name(ours).get(prog, [])):
                yield f"{prog}: libbpf has it, skep does not"


def prepare(tmp, src):
    """vmlinux.h, the helpers' declarations, the oracle."""
    top = src.removesuffix("/tools/testing/selftests/bpf")
    os.makedirs(f"{tmp}/inc/bpf")
    with open(f"{tmp}/inc/vmlinux.h", "w") as f:
        subprocess.run([SKEP, "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c"],
                       stdout=f, check=True, timeout=60)
    with open(f"{tmp}/inc/bpf/bpf_helper_defs.h", "w") as f:
        subprocess.run([sys.executable, f"{top}/scripts/bpf_doc.py", "--header", "--file",
                        f"{top}/tools/include/uapi/linux/bpf.h"], stdout=f, check=True, timeout=60)
    for h in glob.glob(f"{top}/tools/lib/bpf/*.h"):
        os.symlink(h, f"{tmp}/inc/bpf/{os.path.basename(h)}")
    subprocess.run(["cc", "-O1", "-w", "tests/obj/oracle.c", "-o", f"{tmp}/oracle", "-lbpf", "-ldl"],
                   check=True, timeout=60)
    return ["clang-19", "-g", "-O2", "-target", "bpf", "-w", "-D__TARGET_ARCH_x86",
            "-DENABLE_ATOMICS_TESTS", "-fno-strict-aliasing", f"-I{tmp}/inc", f"-I{src}",
            f"-I{top}/tools/include/uapi", f"-I/usr/include/{os.uname().machine}-linux-gnu"]


def one(path, cc, cpu, tmp):
    """(name, what the compiler said or None, ours, theirs)"""
    name = os.path.basename(path)[:-2]
    obj = f"{tmp}/{name}.{cpu}.o"
    r = subprocess.run([*cc, f"-mcpu={cpu}", "-c", path, "-o", obj], stderr=subprocess.PIPE,
                       text=True, timeout=120)
    if r.returncode:
        return name, r.stderr, None, None
    got = name, None, corpus.Seen([LOADER, "-n", obj]), corpus.Seen([f"{tmp}/oracle", "-n", obj])
    os.unlink(obj)
    return got


def main():
    why = lacks()
    if why:
        print(f"1..0 # SKIP {why}")
        return 0
    src = kernel_source.selftests()
    files = sorted(glob.glob(f"{src}/progs/*.c"))
    if sys.argv[1:]:
        files = [f"{src}/progs/{n}.c" for n in sys.argv[1:]]
    elif not LONG:
        files = sample(files)
    n = bad = 0
    with tempfile.TemporaryDirectory() as tmp:
        cc = prepare(tmp, src)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(one, f, cc, cpu, tmp) for cpu in (("v3", "v4") if LONG else ("v3",))
                    for f in files]
            for job in jobs:
                count["files"] += 1
                try:
                    name, errors, ours, theirs = job.result()
                except subprocess.TimeoutExpired as e:
                    n += 1
                    bad += 1
                    print(f"not ok {n} - {e}")
                    continue
                if errors:
                    # Types of another kernel than this one's.
                    print(f"# {name} does not compile here: {errors.splitlines()[0][-90:]}")
                    continue
                count["compiled"] += 1
                wrong = list(compare(name, ours, theirs))
                n += 1
                bad += bool(wrong)
                print(f"{'not ' if wrong else ''}ok {n} - {name}: {len(ours.progs)} programs")
                for w in wrong:
                    print(f"#   {w}")
                sys.stdout.flush()
    for what, k in count.items():
        print(f"# {what}: {k}")
    if count["compiled"] < 0.9 * count["files"]:
        bad += 1
        print(f"not ok {n + 1} - nine of ten compile")
        n += 1
    print(f"1..{n}")
    return bad != 0


sys.exit(main())
