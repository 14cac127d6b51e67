#!/usr/bin/python3
# Disassembling and assembling gives the same bytes for every section of code
# that clang 14, 19 and 22 make, for each version of the instruction set, out
# of every example and of tests/isa/every.bpf.c.
import glob, os, shutil, struct, subprocess, sys, tempfile

sys.path.insert(0, "tests")
from tap import *  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")


def code_sections(path):
    """(name, bytes) of each section with code, read without libelf."""
    data = open(path, "rb").read()
    shoff, = struct.unpack_from("<Q", data, 40)
    shentsize, shnum, shstrndx = struct.unpack_from("<HHH", data, 58)
    heads = [struct.unpack_from("<IIQQQQ", data, shoff + i * shentsize) for i in range(shnum)]
    strs = heads[shstrndx][4]
    for name, typ, flags, _, off, size in heads:
        if typ == 1 and flags & 4 and size:
            text = data[strs + name:data.index(b"\0", strs + name)].decode()
            yield text, data[off:off + size]


def skep(*args, data=None):
    p = subprocess.run([SKEP, *args], input=data, capture_output=True)
    return p.returncode, p.stdout, p.stderr.decode()


tmp = tempfile.mkdtemp()
try:
    os.system("mkdir -p %s/inc && cd %s/inc && bpftool btf dump file /sys/kernel/btf/vmlinux "
              "format c >vmlinux.h 2>/dev/null" % (tmp, tmp))
    sources = ["tests/isa/every.bpf.c"] + sorted(glob.glob("examples/*.bpf.c"))
    clangs = (("clang-14", "v1 v2 v3"), ("clang-19", "v1 v2 v3 v4"), ("clang-22", "v1 v2 v3 v4"))
    combinations = sum(len(cpus.split()) for _, cpus in clangs)
    combination = -1
    for clang, cpus in clangs:
        if not shutil.which(clang):
            skip(clang, "not installed")
            continue
        for cpu in cpus.split():
            combination += 1
            for i, src in enumerate(sources):
                # An example in one of them, or with LONG=1 in all: clang takes seconds for each.
                if i and i % combinations != combination and "LONG" not in os.environ:
                    continue
                what = "%s -mcpu=%s %s" % (clang, cpu, src)
                obj = os.path.join(tmp, "x.o")
                flags = ["-DEVERY_ATOMICS"] if cpu in ("v3", "v4") else []
                p = subprocess.run([clang, "-O2", "-g", "-target", "bpf", "-mcpu=" + cpu,
                                    "-D__TARGET_ARCH_x86", "-I" + tmp + "/inc", "-Iexamples",
                                    "-I/usr/include/x86_64-linux-gnu", *flags,
                                    "-c", src, "-o", obj], capture_output=True)
                if p.returncode:
                    skip(what, "does not compile: "
                         + (p.stderr.decode().splitlines() or ["?"])[0].replace("#", ""))
                    if src == "tests/isa/every.bpf.c":
                        ok(False, what + " must compile", p.stderr.decode())
                    continue
                n = bad = 0
                for name, raw in code_sections(obj):
                    rc, text, err = skep("disasm", "--raw", "--section", name, obj)
                    # A call before relocation may lead anywhere.
                    rc2, back, err2 = skep("asm", "--no-check", "-", data=text)
                    n += len(raw) // 8
                    if rc or rc2 or back != raw:
                        bad += 1
                        print("# section %s: %s%s" % (name, err, err2))
                    rc, text, err = skep("disasm", "--section", name, obj)
                    if rc or ("; section %s\n" % name) not in text.decode():
                        bad += 1
                        print("# section %s with names: %s" % (name, err))
                ok(n and not bad, "%s: %d slots" % (what, n))

    # What names show: maps and data by relocation, functions, source lines.
    if shutil.which("clang-14"):
        obj = os.path.join(tmp, "every.o")
        subprocess.run(["clang-14", "-O2", "-g", "-target", "bpf",
                        "-I/usr/include/x86_64-linux-gnu", "-c", "tests/isa/every.bpf.c",
                        "-o", obj], check=True)
        text = skep("disasm", obj)[1].decode()
        for want in ("every:\n", "divide:\n", "= map[counts]\n", "= map[.bss][0]+0 ; total\n",
                     "= map[.rodata][0]+", "call bpf_map_lookup_elem#1\n",
                     "#divide\n", "#compare\n", "; __u8 b = skb->cb[0];\n", "L1:\n", " <L1>\n"):
            ok(want in text, "names: %s" % want.strip().replace("#", "\\#"), text)
        rc, out, err = skep("disasm", "--section", "nothing", obj)
        ok(rc == 1 and "no section 'nothing' with code" in err, "a section that is not there", err)
    rc, out, err = skep("disasm", "/bin/true")
    ok(rc == 1 and "not for BPF" in err, "an ELF file of another machine", err)
finally:
    shutil.rmtree(tmp)
done()
