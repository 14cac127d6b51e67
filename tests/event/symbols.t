#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# Where names of functions come from: the file's own tables, separate debug
# files by link and by build id, mini debug info; versions; the file that a
# process in another mount namespace means.  Static probes of a library.
# Everything is made here with gcc, objcopy and xz.
import sys

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../cli", HERE + "/.."]
from skeptest import *  # noqa: E402
from need import lacks  # noqa: E402

NEED = ("root", "clang", "cc", "objcopy", "strip", "xz", "nm", "uprobe")
if lacks(*NEED):
    skip_all(lacks(*NEED))
W = f"{dir}/root"
SRC = os.path.realpath(HERE) + "/symbols.c"


def sh(*cmd, **kw):
    r = subprocess.run(cmd, cwd=W, capture_output=True, text=True, **kw)
    if r.returncode:
        ok(False, " ".join(cmd), r.stdout + r.stderr)
        done()
    return r.stdout


def build(name, text):
    src, obj = f"{dir}/{name}.bpf.c", f"{W}/{name}.bpf.o"
    with open(src, "w") as f:
        f.write("#include <linux/bpf.h>\n#include <linux/ptrace.h>\n#include <stdbool.h>\n"
                "#include <bpf/bpf_helpers.h>\n#include <bpf/bpf_tracing.h>\n"
                'char LICENSE[] SEC("license") = "GPL"; __u64 n, m;\n' + text)
    sh("clang", "-g", "-O2", "-target", "bpf", "-D__TARGET_ARCH_x86",
       "-I/usr/include/x86_64-linux-gnu", "-c", src, "-o", obj)
    return obj


def run(obj, *command, options=()):
    args = ["run", "--json", "--engine", "kernel", *options, obj]
    status, out, err = skep(args + (["--", *command] if command else []), timeout=120)
    rows = [json.loads(l) for l in out.splitlines()]
    return status, {r["name"]: r["value"] for r in rows if r["type"] == "variable"}, err


def count(what, want=5, obj=None, command=("./prog", "5"), options=()):
    status, got, err = run(obj or secret, *command, options=options)
    is_(got.get("n", 0), want, what, f"status {status}", err)
    return err


def counter(name, place):
    return build(name, f'SEC("uprobe/{place}") int p(void *c) '
                       "{ __sync_fetch_and_add(&n, 1); return 0; }")


secret = counter("secret", "./prog:secret")
sh("cc", "-O1", "-g", "-w", "-Wl,--build-id=sha1", "-o", "whole", SRC)
offset = None
for line in sh("nm", "whole").splitlines():
    if line.endswith(" t secret"):
        offset = int(line.split()[0], 16)


def install(name):
    shutil.copy(f"{W}/{name}", f"{W}/prog.new")
    os.rename(f"{W}/prog.new", f"{W}/prog")


def make(name, *commands):
    """A variant of `whole`; {} in commands is its name."""
    shutil.copy(f"{W}/whole", f"{W}/{name}")
    for c in commands:
        sh(*[w.replace("{}", name) for w in c.split()])
    install(name)


make("full")
count("a local function by .symtab")
make("bare", "strip {}")
err = count("stripped: not found", 0)
ok("no function 'secret'" in err and "offset helps" in err, "and what would help is said", err)

# .gnu_debuglink: beside the file, in .debug, under /usr/lib/debug; checked.
make("linked", "objcopy --only-keep-debug {} prog.debug", "strip {}",
     "objcopy --remove-section=.note.gnu.build-id --add-gnu-debuglink=prog.debug {}")
count("a debug link in the same folder")
os.mkdir(f"{W}/.debug")
os.rename(f"{W}/prog.debug", f"{W}/.debug/prog.debug")
count("a debug link in .debug")
with open(f"{W}/.debug/prog.debug", "ab") as f:
    f.write(b"x")
count("a debug file of another version is not taken", 0)

# Build id, in a mount namespace of its own.
make("byid", "objcopy --only-keep-debug {} byid.debug", "strip {}")
bid = [l for l in sh("readelf", "-n", "byid").splitlines() if "Build ID" in l][0].split()[-1]
if lacks("unshare") is None and subprocess.run(["unshare", "-m", "true"]).returncode == 0:
    script = ("mkdir -p /usr/lib/debug && mount -t tmpfs none /usr/lib/debug && "
              f"mkdir -p /usr/lib/debug/.build-id/{bid[:2]} && "
              f"cp byid.debug /usr/lib/debug/.build-id/{bid[:2]}/{bid[2:]}.debug && "
              f"exec {SKEP} run --json --engine kernel {secret} -- ./prog 5")
    out = subprocess.run(["unshare", "-m", "sh", "-c", script], cwd=W, env=env("root"),
                         capture_output=True, text=True)
    ok('"name":"n","value":5' in out.stdout.replace(" ", ""), "a debug file by build id",
       out.stdout + out.stderr)
else:
    skip("a debug file by build id", "no mount namespaces")

# Mini debug info: an ELF file with a symbol table only, packed into a section.
make("mini", "objcopy -S --keep-symbol=secret --only-keep-debug {} mini.elf",
     "xz -k -f mini.elf", "strip {}", "objcopy --add-section .gnu_debugdata=mini.elf.xz {}")
count("mini debug info")
with open(f"{W}/mini.elf.xz", "r+b") as f:
    f.seek(40)
    f.write(b"\xff" * 40)
make("broken", "strip {}", "objcopy --add-section .gnu_debugdata=mini.elf.xz {}")
count("broken mini debug info: not found", 0)
make("bare", "strip {}")
count("stripped: by offset", obj=counter("offset", f"./prog:{offset:#x}"))

# Versions of a library's function, and its static probe.
with open(f"{W}/versions", "w") as f:
    f.write("LIB_1 { global: twice; local: *; };\nLIB_2 { global: twice; } LIB_1;\n")
sh("cc", "-O1", "-w", "-shared", "-fPIC", "-DLIBRARY", "-Wl,--version-script=versions",
   "-Wl,-soname,libtwice.so.1", "-o", "libtwice.so.1", SRC)
sh("cc", "-O1", "-w", "-DUSE", "-o", "user", SRC, "./libtwice.so.1", "-Wl,-rpath,.")
USER = ("./user", "5")
count("the default version", 5, counter("v", "./libtwice.so.1:twice"), USER)
count("a version", 2, counter("v1", "./libtwice.so.1:twice@LIB_1"), USER)
count("the default version by name", 5, counter("v2", "./libtwice.so.1:twice@@LIB_2"), USER)
if os.uname().machine == "x86_64":
    usdt = build("lib", """
#include <bpf/usdt.bpf.h>
__s64 memory, last, bad;
SEC("usdt/./libtwice.so.1:lib:twice") int p(struct pt_regs *ctx)
{ long v; __sync_fetch_and_add(&n, 1); if (!bpf_usdt_arg(ctx, 1, &v)) memory += v;
if (bpf_usdt_arg(ctx, 0, &v)) bad++; if (!bpf_usdt_arg(ctx, 2, &v)) last += v; return 0; }
""")
    status, got, err = run(usdt, *USER)
    # counter goes from 42 to 46, seen at two places
    is_((got.get("n"), got.get("memory"), got.get("last")), (10, 440, -15),
        "a library's probe at two places: a variable by its name, a constant", err)
    ok(got.get("bad") == 10 and "libbpf 1.7" in err and "'8@%xmm0'" in err,
       "what usdt.bpf.h cannot read is told and gives an error", err, got)
    # A reader of its own for what only newer headers than Debian's read.
    sib = build("sib", """
enum __bpf_usdt_arg_type { BPF_USDT_ARG_CONST, BPF_USDT_ARG_REG, BPF_USDT_ARG_REG_DEREF,
BPF_USDT_ARG_SIB };
struct arg { __u64 val; enum __bpf_usdt_arg_type type : 8; __u32 index : 12; __u32 shift : 4;
__u32 pad : 8; short reg; _Bool is_signed; char bits; };
struct spec { struct arg args[12]; __u64 cookie; short nr; };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 16); __type(key, int);
__type(value, struct spec); } __bpf_usdt_specs SEC(".maps");
SEC("usdt/./libtwice.so.1:lib:twice") int p(struct pt_regs *ctx)
{ int id = bpf_get_attach_cookie(ctx); struct spec *s = bpf_map_lookup_elem(&__bpf_usdt_specs, &id);
__u64 base, index, v; if (!s || s->args[0].type != BPF_USDT_ARG_SIB) return 0;
bpf_probe_read_kernel(&base, 8, (char *)ctx + s->args[0].reg);
bpf_probe_read_kernel(&index, 8, (char *)ctx + s->args[0].index);
bpf_probe_read_user(&v, 8, (void *)(base + (index << s->args[0].shift) + s->args[0].val));
__sync_fetch_and_add(&n, 1); __sync_fetch_and_add(&m, v); return 0; }
""")
    status, got, err = run(sib, *USER)
    # 20 30 20 30 20 at one place, 30 40 30 40 30 at the other
    is_((got.get("n"), got.get("m")), (10, 290), "an argument at two registers", err, got)

# The file that a process in another mount namespace has under that name.
install("bare")
os.mkdir(f"{W}/else")
shutil.copy(f"{W}/whole", f"{W}/else/prog")
flag = f"{W}/flag"
open(flag, "w").close()
if subprocess.run(["unshare", "-m", "true"]).returncode == 0:
    p = subprocess.Popen(["unshare", "-m", "sh", "-c",
                          f"mount --bind {W}/else/prog {W}/prog && exec {W}/prog wait {flag}"])
    deadline = time.time() + 20
    while os.path.basename(os.readlink(f"/proc/{p.pid}/exe")) != "prog" and time.time() < deadline:
        time.sleep(0.05)
    there = counter("there", f"{W}/prog:secret")
    status, got, err = run(there, options=("-p", str(p.pid), "--duration", "1"))
    ok(got.get("n", 0) > 5, "-p: the path is what that process means by it", err, got)
    bare = counter("mapped", "prog:secret")
    status, got, err = run(bare, options=("-p", str(p.pid), "--duration", "1"))
    ok(got.get("n", 0) > 5, "-p: a bare name is a file that it has mapped", err, got)
    status, got, err = run(counter("gone", "/nowhere/prog:secret"),
                           options=("-p", str(p.pid), "--duration", "1"))
    ok(f"as process {p.pid} sees it" in err, "-p: no such file there", err)
    os.unlink(flag)
    p.wait()
else:
    skip("-p: files of a process", "no mount namespaces")
done()
