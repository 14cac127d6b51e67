#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# What src/event says when it refuses: each message once.  Names of places
# that are wrong fail before anything is asked of a kernel, so that the same
# sentences come everywhere.
import sys

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../cli", HERE + "/.."]
from skeptest import *  # noqa: E402
from need import lacks  # noqa: E402

if lacks("root", "clang", "cc"):
    skip_all(lacks("root", "clang", "cc"))
W = f"{dir}/root"
subprocess.run(["cc", "-O1", "-g", "-w", "-o", f"{W}/target", TOP + "/tests/event/target.c"],
               check=True)
with open(f"{W}/text", "w") as f:
    f.write("no ELF")
os.mkdir(f"{W}/folder")
# A 32-bit file, and one with two functions of one name.
subprocess.run(["cc", "-m32", "-nostdlib", "-static", "-fno-pic", "-xc", "-", "-o",
                f"{W}/target32"], input=b"void _start(void) { }", check=True)
for n, main in (("1", ""), ("2", "int other(int); int main(void) { return use(1) + other(1); }")):
    with open(f"{W}/twin{n}.c", "w") as f:
        f.write(f"static __attribute__((noinline, used)) int twin(void) {{ return {n}; }}\n"
                f"int {'use' if main else 'other'}(int x) {{ return twin(); }}\n" + main)
subprocess.run(["cc", "-O1", "-w", "-o", f"{W}/twins", f"{W}/twin1.c", f"{W}/twin2.c"], check=True)

# (section, options, what the message has)
CASES = [
    ("tracepoint", (), 'write SEC("tracepoint/CATEGORY/NAME")'),
    ("tracepoint/sched_switch", (), "a tracepoint is CATEGORY/NAME"),
    ("tracepoint/no_such/event", (), "no_such"),
    ("raw_tp/no_such_raw_tp", (), "no_such_raw_tp"),
    ("tp_btf", (), "does not say where to attach"),
    ("tp_btf/no_such_raw_tp", (), "no tracepoint 'no_such_raw_tp'"),
    ("fentry/no_such_function", (), "no function 'no_such_function'"),
    ("fentry/" + "x" * 260, (), "too long"),
    ("kprobe/+4", (), "is FUNCTION[+OFFSET]"),
    ("kprobe/a+x", (), "is FUNCTION[+OFFSET]"),
    ("ksyscall/" + "x" * 260, (), "no system call has a name that long"),
    ("uprobe/target", (), "as in"),
    ("uprobe/./target:work+x", (), "as in"),
    ("uretprobe/./target:work+4", (), "a return probe takes no offset"),
    ("uprobe/./nothing:work", (), "No such file"),
    ("uprobe/no-such-program:work", (), "neither a program in PATH nor a library"),
    ("uprobe/libnothing.so.9:work", (), "no such library where the loader searches"),
    ("uprobe/./text:work", (), "not an ELF file"),
    ("uprobe/./folder:work", (), "folder"),
    ("uprobe/./target:wrk", (), "did you mean work"),
    ("uprobe/libc.so.6:memcpy", (), "indirect function"),
    ("uprobe/./twins:twin", (), "'twin' names 2 functions; give a file offset instead of a name"),
    ("uprobe.multi/target", (), "as in"),
    ("uprobe.multi/./target:wo+x", (), "is no FUNCTION[+OFFSET]"),
    ("uprobe.multi/./target:wox*", (), "no function matches 'wox*'"),
    ("uprobe.multi/./nothing:wo*", (), "No such file"),
    ("usdt/target", (), "libc.so.6:libc:setjmp"),
    ("usdt/./target:probes:", (), "libc.so.6:libc:setjmp"),
    ("usdt/./target:probes:plan", (), "did you mean probes:plain"),
    ("usdt/./nothing:a:b", (), "No such file"),
    ("usdt/./target32:probes:plain", (), "static probes are read from 64-bit ELF files"),
    ("xdp", (), "XDP needs a network device (--dev NAME)"),
    ("tc", (), "needs a network device; name one (--dev INTERFACE)"),
    ("tcx/ingress", (), "needs a network device"),
    ("netkit/peer", (), "needs a network device"),
    ("socket", (), "a socket filter is shown the packets of a network device"),
    ("netfilter", (), "needs a place: --hook"),
    ("netfilter", ("--hook", "somewhere"), "not 'somewhere'"),
    ("cgroup/skb", (), "names no direction"),
    ("cgroup/bind4", (), "attaches to a control group; name its folder"),
    ("cgroup/bind4", ("--cgroup", "/nowhere"), "cgroup /nowhere: No such file"),
    ("cgroup/bind4", ("--cgroup", "/tmp"), "is no folder of a cgroup v2 hierarchy"),
    ("sk_skb", (), "does not say when it runs"),
    ("sk_skb/verdict", (), "attaches to a map of sockets"),
    ("sk_msg", (), "attaches to a map of sockets"),
    ("xdp/devmap", (), "is put into a DEVMAP or CPUMAP"),
    ("action", (), "tc actions add"),
    ("lwt_in", (), "encap bpf in obj"),
    ("lwt_out", (), "encap bpf out obj"),
    ("lwt_xmit", (), "encap bpf xmit obj"),
    ("lwt_seg6local", (), "action End.BPF"),
    ("sk_reuseport", (), "SO_ATTACH_REUSEPORT_EBPF"),
    ("lirc_mode2", (), "ir-keytable"),
    ("perf_event", ("--event", "nothing"), "there is no event 'nothing' to sample"),
    ("nonsense/x", (), "is no kind of program that is known"),
    ("netfilter/x", (), 'nothing may follow "netfilter"'),
]
src, obj = f"{dir}/all.bpf.c", f"{W}/all.bpf.o"
# One object, whose programs are loaded one by one: each message needs no compiler run.
with open(src, "w") as f:
    f.write("#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
            'char LICENSE[] SEC("license") = "GPL";\n')
    for i, (sec, _, _) in enumerate(CASES):
        value = 1 if sec.startswith(("cgroup/", "netfilter")) else 0
        f.write(f'SEC("{sec}") int p{i}(void *ctx) {{ return {value}; }}\n')
subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu",
                "-c", src, "-o", obj], check=True)
said = {}
for options in sorted({o for _, o, _ in CASES}):
    status, out, err = skep(["run", "--engine", "kernel", "--duration", "0.1", *options, obj],
                            timeout=200)
    said[options] = err.splitlines()
    ok(0 <= status <= 4, f"comes to its end with {' '.join(options) or 'no options'}", status, err)
for i, (sec, options, want) in enumerate(CASES):
    mine = [l for l in said[options] if f"'p{i}'" in l]
    if any("has no programs of the kind" in l for l in mine):
        skip(f"{sec}: {want}", "this kernel refuses the program first")
        continue
    ok(any(want in l for l in mine), f"{sec[:40]}: {want}", "\n".join(mine))

# What the system has in files, hidden from skep.
for folder, sec, want in (("/sys/devices/system/cpu", "perf_event", "list of processors cannot be"),
                          ("/proc", "sk_lookup", "/proc/self/ns/net: No such file")):
    one = f"{W}/{sec}.o"
    src = f"{dir}/{sec}.bpf.c"
    with open(src, "w") as f:
        f.write(f'#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nSEC("{sec}") '
                'int hidden(void *ctx) { return 0; }\nchar L[] SEC("license") = "GPL";\n')
    subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu",
                    "-c", src, "-o", one], check=True)
    r = subprocess.run(["unshare", "-m", "sh", "-c",
                        f'mount -t tmpfs none {folder} && exec "$@"', "-", SKEP, "run", "--engine",
                        "kernel", "--duration", "0.1", one], capture_output=True, text=True)
    ok(want in r.stderr, f"{sec}: {want}", r.stderr)
done()
