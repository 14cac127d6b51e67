#!/usr/bin/python3
# skep link: what it makes of two objects runs in both engines as the sources
# say; libbpf opens it and gives the kernel the same instructions and maps as
# for what `bpftool gen object` makes of the same two; objects of Debian's
# packages, the kernel's own tests of its linker, and what must be refused.
import itertools
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path[:0] = ["tests", "tests/obj"]
import corpus  # noqa: E402
import kernel_source  # noqa: E402
from tap import *  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")
LOADER = os.environ.get("SKEP_BUILD", "build") + "/tests/obj/corpus-loader"
LONG = bool(os.environ.get("LONG"))
CLANG = next((c for c in ("clang-19", "clang-22", "clang-14") if shutil.which(c)), None)
if os.geteuid() or not CLANG or not all(map(shutil.which, ("bpftool", "unshare", "mount"))):
    skip_all("needs root, clang, bpftool, unshare and mount")


def run(*args, **kw):
    return subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120, **kw)


def said(r):
    return r.stderr.decode(errors="replace")


def compile_(source, out, *flags, clang=CLANG):
    """@source: a file, or text."""
    text = "\n" in source
    r = subprocess.run([clang, "-O2", "-g", "-w", "-target", "bpf", "-mcpu=v3", *flags,
                        f"-I/usr/include/{os.uname().machine}-linux-gnu", "-xc", "-c",
                        "-" if text else source, "-o", out], input=source if text else "",
                       text=True, stderr=subprocess.PIPE)
    if r.returncode:
        raise RuntimeError(r.stderr)
    return out


def link(out, *objs):
    return run(SKEP, "link", *objs, "-o", out)


def values(engine, obj, *options):
    """The global variables after a run of `true`: {name: text}."""
    r = run(SKEP, "run", "--engine", engine, *options, obj, "--", "/bin/true")
    found = dict(re.findall(r"^(\w+) = (.*)$", r.stdout.decode(), re.M))
    return found, said(r)


def holds(what, obj, want, engines=("kernel", "user"), *options):
    for engine in engines:
        got, err = values(engine, obj, *options)
        wrong = {k: got.get(k) for k, v in want.items() if got.get(k) != str(v)}
        ok(not wrong, f"{what}: {engine} engine", f"got {wrong}", err)


tmp = tempfile.mkdtemp(prefix="skep-link.")
oracle = tmp + "/oracle"
no_oracle = corpus.build_oracle(oracle)
for d in ("ours", "theirs", "corpus"):
    os.mkdir(f"{tmp}/{d}")


def loaded(command):
    """What the kernel was given: maps, programs with their instructions."""
    s = corpus.Seen(command)
    return {m for m in s.maps if not m.startswith("libbpf_")}, \
        sorted((head, insns) for head, _, insns in s.progs), s


def against_bpftool(what, *objs, broken=None):
    """@broken: what bpftool's object is expected to lack."""
    ours, theirs = f"{tmp}/ours/it.o", f"{tmp}/theirs/it.o"
    r = link(ours, *objs)
    b = run("bpftool", "gen", "object", theirs, *objs)
    if not ok(r.returncode == 0 and b.returncode == 0, f"{what}: links", said(r), said(b)):
        return
    a, b = loaded([oracle, ours]), loaded([oracle, theirs])
    if broken and b[2].open:
        ok(a[2].load == "done" and a[1], f"{what}: libbpf loads it; bpftool's it does not: {broken}",
           a[2].open or a[2].load)
        return
    same = a[2].load == b[2].load == "done" and a[:2] == b[:2] and a[1]
    ok(same, f"{what}: libbpf loads it as bpftool's, {len(a[0])} maps, {len(a[1])} programs",
       a[2].open or a[2].load, b[2].open or b[2].load, sorted(a[0] ^ b[0]),
       [x[0] for x, y in zip(a[1], b[1]) if x != y])
    s = loaded([LOADER, ours])
    ok(s[1] == a[1], f"{what}: skep loads the same instructions",
       [(x[0], y[0]) for x, y in zip(s[1], a[1]) if x != y])


def contents(obj):
    """Sections, symbols, relocations and types as text."""
    return (run("readelf", "-SWsr", obj).stdout +
            run(SKEP, "btf", "dump", "file", obj).stdout).replace(obj.encode(), b"")


WANT = {"a_result": 1017, "a_sum_of_map": 111, "a_picks": 103102061, "a_kernel": 7,
        "b_result": 9019, "b_kernel": 3}


def own_pair():
    for clang in ("clang-14", "clang-19", "clang-22"):
        if not shutil.which(clang):
            skip(f"{clang}'s objects", f"no {clang}")
            continue
        a = compile_("tests/obj/link_a.bpf.c", f"{tmp}/a.o", clang=clang)
        b = compile_("tests/obj/link_b.bpf.c", f"{tmp}/b.o", clang=clang)
        r = link(f"{tmp}/ab.o", a, b)
        if ok(r.returncode == 0 and not r.stderr, f"{clang}'s objects link without a word", said(r)):
            holds(f"{clang}'s objects", f"{tmp}/ab.o", WANT)
    b = compile_("tests/obj/link_b.bpf.c", f"{tmp}/b.o", "-DINNER")
    link(f"{tmp}/ab.o", a, b)
    holds("with a map in a map", f"{tmp}/ab.o", WANT, ("kernel",))
    r = link(f"{tmp}/ba.o", b, a)
    holds("in the other order", f"{tmp}/ba.o", {**WANT, "a_picks": 103102062},
          ("kernel",))
    r = link(f"{tmp}/one.o", f"{tmp}/ab.o")
    once, again = contents(f"{tmp}/ab.o"), contents(f"{tmp}/one.o")
    ok(r.returncode == 0 and once == again and len(once) > 5000,
       "what is linked already stays as it is", said(r))
    r = run("bpftool", "btf", "dump", "file", f"{tmp}/ab.o")
    names = re.findall(r"^\[\d+\] (?:STRUCT|VAR|FUNC) '(\w+)'", r.stdout.decode(), re.M)
    ok(r.returncode == 0 and names.count("point") == 1 and names.count("points") == 1 and
       names.count("a_sum") == 1 and names.count("same") == 2,
       "bpftool reads its types: what is one is described once", sorted(names))
    r = run("bpftool", "gen", "skeleton", f"{tmp}/ab.o")
    ok(r.returncode == 0 and b"b_result" in r.stdout, "bpftool makes a skeleton of it", said(r))
    r = run("readelf", "-SW", f"{tmp}/ab.o")
    ok(b".debug" not in r.stdout and b".BTF.ext" in r.stdout, "without debug information", r.stdout)
    if no_oracle:
        skip("bpftool's linker", "no libbpf-dev")
        return
    against_bpftool("the definition first", b, a)
    against_bpftool("the declaration first", a, b,
                    broken="bpftool 7.1 takes the offset of a map from its declaration")


def corpus_pairs():
    if no_oracle:
        skip("objects of Debian's packages", "no libbpf-dev")
        return
    objs = [p for pkg in ("libbpf-tools", "libxdp1", "xdp-tools")
            for _, p in corpus.extract(tmp + "/corpus").get(pkg, [])]
    if not objs:
        skip("objects of Debian's packages", "none is installed")
        return
    pairs, clashes, used = [], 0, set()
    for a, b in itertools.combinations(objs, 2):
        if len(pairs) >= (40 if LONG else 8):
            break
        if a in used or b in used:
            continue
        r = link(f"{tmp}/ours/it.o", a, b)
        if r.returncode and re.search("is defined in both|is not the '|the license is", said(r)):
            clashes += 1
            continue
        used |= {a, b}
        pairs.append((a, b))
        against_bpftool(f"{os.path.basename(a)} and {os.path.basename(b)}", a, b)
    print(f"# {len(pairs)} pairs; {clashes} have symbols of one name")
    ok(len(pairs) >= 8, "eight pairs at least")


def kernel_selftests():
    why = kernel_source.lacks()
    if why:
        skip("the kernel's tests of its linker", why)
        return
    top = kernel_source.selftests()
    with open(f"{tmp}/vmlinux.h", "wb") as f:
        f.write(run(SKEP, "btf", "dump", "file", "/sys/kernel/btf/vmlinux", "format", "c").stdout)
    for name in ("linked_funcs", "linked_maps", "linked_vars", "test_static_linked"):
        objs = []
        for half in "12":
            with open(f"{top}/progs/{name}{half}.c") as f:
                # The test turns on what the mark turns off, and knows its thread.
                text = f.read().replace("?raw_tp/", "raw_tp/") \
                    .replace("bpf_get_current_pid_tgid()", "0")
            objs.append(compile_(text, f"{tmp}/{name}{half}.o", f"-I{tmp}", f"-I{top}/progs",
                                 "-D__TARGET_ARCH_x86"))
        r = link(f"{tmp}/{name}.o", *objs)
        ok(r.returncode == 0 and not r.stderr, f"the kernel's {name} links", said(r))
        if not no_oracle:
            against_bpftool(f"the kernel's {name}", *objs,
                            broken="as above" if name == "linked_maps" else None)
    # The numbers are those that prog_tests/linked_*.c and static_linked.c expect.
    both = ("kernel", "user")
    holds("the kernel's linked_maps", f"{tmp}/linked_maps.o",
          {"output_first1": 2000, "output_second1": 2, "output_weak1": 2}, both)
    holds("the kernel's linked_vars", f"{tmp}/linked_vars.o",
          {"output_bss1": 6000, "output_bss2": 6000, "output_data1": 13, "output_data2": 13,
           "output_rodata1": 133, "output_rodata2": 133}, both,
          "--set", "input_bss1=1000", "--set", "input_bss2=2000", "--set", "input_bss_weak=3000")
    holds("the kernel's static_linked", f"{tmp}/test_static_linked.o",
          {"var1": 1 * 2 + 2 + 3, "var2": 4 * 3 + 5 + 6}, both,
          "--set", "rovar1=1", "--set", "rovar2=4")
    # `true` ends by exit_group.
    nr = 231 if os.uname().machine == "x86_64" else 94
    holds("the kernel's linked_funcs", f"{tmp}/linked_funcs.o",
          {"output_val1": 4000, "output_ctx1": nr, "output_weak1": 42, "output_val2": 6000,
           "output_ctx2": nr, "output_weak2": 0}, both, "--set", f"syscall_id={nr}")


HEAD = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
"""
MAP = """struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, %s); __type(key, int);
__type(value, %s); } m SEC(".maps");
"""
USE = """
SEC("raw_tp/sys_enter") int %s(void *ctx) { %s }
"""


def refused(what, words, a, b, *flags):
    """@a and @b compile, and do not link; @words is what is said, with A and B for the files."""
    x, y = compile_(a, f"{tmp}/x.o", *flags), compile_(b, f"{tmp}/y.o", *flags)
    out = f"{tmp}/refused.o"
    r = link(out, x, y)
    text = said(r).replace(x, "A").replace(y, "B")
    ok(r.returncode == 1 and all(w in text for w in words) and not os.path.exists(out),
       f"refused: {what}", f"status {r.returncode}", text)


def mistakes():
    f = USE % ("f", "return 0;")
    refused("two definitions", ["'f' is defined in both A and B", "static or __weak"], HEAD + f, HEAD + f)
    refused("another number of parameters",
            ["'g' in A is not the 'g' of B: numbers of parameters differ"],
            HEAD + "extern int g(int x);" + USE % ("f", "return g(1);"),
            HEAD + "int g(int x, int y) { return x + y; }")
    refused("a parameter of another size", ["'g'", "parameter 1: sizes differ"],
            HEAD + "extern int g(int x);" + USE % ("f", "return g(1);"),
            HEAD + "int g(long x) { return x; }")
    refused("a return value of another kind", ["'g'", "return value: kinds of types differ"],
            HEAD + "extern int *g(int x);" + USE % ("f", "return g(1) != 0;"),
            HEAD + "int g(int x) { return x; }")
    refused("a variable of another size", ["'v' in A is not the 'v' of B: sizes differ"],
            HEAD + "extern int v;" + USE % ("f", "return v;"), HEAD + "long v = 1;")
    refused("a struct of another layout", ["'v'", "member 'b': names differ"],
            HEAD + "struct s { int a, b; }; extern struct s v;" + USE % ("f", "return v.b;"),
            HEAD + "struct s { int a, c; } v = { 1 };")
    refused("an array of another length", ["'v'", "lengths of arrays differ"],
            HEAD + "extern int v[3];" + USE % ("f", "return v[1];"), HEAD + "int v[4] = { 1 };")
    refused("a function for a variable", ["'v'", "kinds of types differ"],
            HEAD + "extern int v;" + USE % ("f", "return v;"), HEAD + "int v(int x) { return x; }")
    use = USE % ("f", "return (long)bpf_map_lookup_elem(&m, ctx);")
    extern = "extern " + MAP
    refused("a map of another size", ["map 'm' in A is not the 'm' of B: their max_entries differ"],
            HEAD + extern % (4, "int") + use, HEAD + MAP % (5, "int"))
    refused("a map of other values", ["map 'm'", "their value differ"],
            HEAD + extern % (4, "struct { int a; int b; }") + use,
            HEAD + MAP % (4, "struct { int a; int c; }"))
    refused("a map for a variable", ["'m' is a map in A, but not in B"],
            HEAD + extern % (4, "int") + use, HEAD + "int m = 1;")
    refused("two licenses", ["the license is 'GPL' in A and 'MIT' in B"], HEAD + f,
            HEAD.replace("GPL", "MIT"))
    refused("two versions", ["section 'version' of B is not the one of A"],
            HEAD + 'int v SEC("version") = 1;', HEAD + 'int v SEC("version") = 2;')
    refused("the kernel's option that is a variable",
            ["'CONFIG_HZ' is the kernel's in A (.kconfig), but defined in B"],
            HEAD + "extern int CONFIG_HZ __kconfig;" + USE % ("f", "return CONFIG_HZ;"),
            HEAD + "int CONFIG_HZ = 1;")
    refused("code and data in one section", ["section 'odd' holds instructions in A, but not in B"],
            HEAD + 'SEC("odd") int f(void *ctx) { return 0; }', HEAD + 'int v SEC("odd") = 1;')
    refused("variables without a section", ["has no section", "-fno-common"],
            HEAD + f, HEAD + "int v;", "-fcommon")


def inputs():
    good = compile_(HEAD + USE % ("f", "return 0;"), f"{tmp}/good.o")
    with open(good, "rb") as f:
        data = f.read()
    big = compile_(HEAD + USE % ("g", "return 0;"), f"{tmp}/big.o", "--target=bpfeb")
    for what, content, words in (
            ("a program of this machine", "/bin/true", "another kind of machine"),
            ("a text", b"hello\n", "is not an ELF object"),
            ("nothing", b"", ""),
            ("a half", data[:len(data) // 2], ""),
            ("a header", data[:64], ""),
            ("the other byte order", big, "is big-endian"),
            ("no file", "/nonexistent.o", "/nonexistent.o: No such file")):
        path = content
        if isinstance(content, bytes):
            path = f"{tmp}/bad.o"
            with open(path, "wb") as f:
                f.write(content)
        r = link(f"{tmp}/none.o", good, path)
        ok(r.returncode == 1 and path in said(r) and words in said(r) and
           not os.path.exists(f"{tmp}/none.o"), f"an input that is {what}",
           f"status {r.returncode}", said(r))
    r = run(SKEP, "link", good)
    ok(r.returncode == 2 and "needs -o" in said(r), "no output: wrong usage", said(r))
    r = run(SKEP, "link", "-o", f"{tmp}/none.o")
    ok(r.returncode == 2 and "at least one FILE.o" in said(r), "no input: wrong usage", said(r))
    r = run(SKEP, "link", "--help")
    ok(r.returncode == 0 and b"usage: skep link" in r.stdout, "--help")
    r = run(SKEP, "link", good, "-o", "-")
    link(f"{tmp}/file.o", good)
    with open(f"{tmp}/file.o", "rb") as f:
        ok(r.returncode == 0 and r.stdout == f.read(), "-o - is standard output")
    a = compile_("tests/obj/link_a.bpf.c", f"{tmp}/a.o")
    r = link(f"{tmp}/partial.o", a)
    ok(r.returncode == 0 and "'b_scale' is declared in" in said(r) and
       "no object defines it" in said(r), "what is not defined is told", said(r))
    b = compile_("tests/obj/link_b.bpf.c", f"{tmp}/b.o")
    r = link(f"{tmp}/later.o", f"{tmp}/partial.o", b)
    ok(r.returncode == 0 and not r.stderr, "and can be linked later", said(r))
    holds("linked in two steps", f"{tmp}/later.o", WANT, ("kernel",))


def full_disk():
    good = f"{tmp}/good.o"
    r = run(SKEP, "link", good, "-o", "/dev/full")
    ok(r.returncode == 1 and "No space left" in said(r) and not os.path.isfile("/dev/full"),
       "a full device", said(r))
    compile_(HEAD + "".join(f"int v{i} = {i};" for i in range(999)),
             good + ".b")
    r = run("unshare", "-m", "sh", "-c",
            'mount -t tmpfs -o size=4k t "$2" && "$0" link "$1" "$1.b" -o "$2/out.o"; s=$?;'
            'ls -A "$2"; exit $s', SKEP, good, tmp + "/theirs")
    ok(r.returncode == 1 and "No space left" in said(r) and not r.stdout,
       "a full disk: nothing is left behind", said(r), r.stdout)


def as_rela(path, out):
    """The same object with addends in its relocations: SHT_RELA."""
    with open(path, "rb") as f:
        d = bytearray(f.read())
    shoff, = struct.unpack_from("<Q", d, 40)
    nr, = struct.unpack_from("<H", d, 60)
    for i in range(nr):
        at = shoff + 64 * i
        name, kind, flags, addr, off, size, lnk, info, align, ent = \
            struct.unpack_from("<IIQQQQIIQQ", d, at)
        if kind != 9:
            continue
        target = struct.unpack_from("<IIQQQQIIQQ", d, shoff + 64 * info)
        code, rela = target[2] & 4, b""
        for k in range(off, off + size, 16):
            where, how = struct.unpack_from("<QQ", d, k)
            field = target[4] + where
            if code:
                imm, = struct.unpack_from("<i", d, field + 4)
                addend = (imm + 1) * 8 if d[field] == 0x85 else imm
                struct.pack_into("<i", d, field + 4, 0)
            elif how & 0xffffffff == 2:
                addend, = struct.unpack_from("<q", d, field)
                struct.pack_into("<q", d, field, 0)
            else:
                addend, = struct.unpack_from("<i", d, field)
            rela += struct.pack("<QQq", where, how, addend)
        d += b"\0" * (-len(d) % 8)
        struct.pack_into("<IIQQQQIIQQ", d, at, name, 4, flags, addr, len(d), len(rela), lnk, info,
                         8, 24)
        d += rela
    with open(out, "wb") as f:
        f.write(d)
    return out


def addends():
    a = compile_("tests/obj/link_a.bpf.c", f"{tmp}/a.o")
    b = compile_("tests/obj/link_b.bpf.c", f"{tmp}/b.o", "-DINNER")
    link(f"{tmp}/ab.o", a, b)
    r = link(f"{tmp}/rela.o", as_rela(a, f"{tmp}/a.rela.o"), as_rela(b, f"{tmp}/b.rela.o"))
    with open(f"{tmp}/ab.o", "rb") as x, open(f"{tmp}/rela.o", "rb") as y:
        ok(r.returncode == 0 and x.read() == y.read(),
           "objects with SHT_RELA give the same, byte for byte", said(r))
    holds("an object with SHT_RELA", as_rela(f"{tmp}/ab.o", f"{tmp}/ab.rela.o"), WANT, ("kernel",))


try:
    own_pair()
    mistakes()
    inputs()
    full_disk()
    addends()
    corpus_pairs()
    kernel_selftests()
finally:
    shutil.rmtree(tmp)
done()
