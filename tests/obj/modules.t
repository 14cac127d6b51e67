#!/usr/bin/python3
# What lies in modules of the kernel: functions to attach to, fields by CO-RE,
# functions to call.  Needs modules that can be loaded: runs in the guests.
import platform
import sys

TESTS = __file__.rsplit("/", 2)[0]
sys.path[:0] = [TESTS, TESTS + "/cli"]
from need import lacks  # noqa: E402
from skeptest import *  # noqa: E402

MODULES = ("veth", "nf_conntrack", "xfs")


def sh(cmd):
    return subprocess.run(cmd, shell=True, capture_output=True, text=True)


def compiled(part):
    src = f"{TESTS}/obj/modules.bpf.c"
    flags = ["-O2", "-g", "-target", "bpf", f"-D__TARGET_ARCH_x86", f"-DPART={part}",
             f"-I/usr/include/{platform.machine()}-linux-gnu"]
    obj = f"{dir}/modules{part}.bpf.o"
    subprocess.run(["clang", *flags, "-c", src, "-o", obj], check=True, timeout=120)
    return obj


def run(part, *args):
    """(status, {variable: value}, stderr)"""
    status, out, err = skep(["run", "--json", "--engine", "kernel", *args[:args.index("--")],
                             compiled(part), *args[args.index("--"):]], timeout=120)
    rows = [json.loads(l) for l in out.splitlines() if l.startswith("{")]
    return status, {r["name"]: r["value"] for r in rows if r.get("type") == "variable"}, err


if lacks("root", "clang", "ip"):
    skip_all(lacks("root", "clang", "ip"))
# On the machine that compiles for all: before it is known to lack modules.
for part in (1, 2, 3, 4):
    compiled(part)
for m in MODULES:
    why = sh(f"modprobe {m}").stderr.strip()
    if not os.path.exists(f"/sys/kernel/btf/{m}"):
        skip_all(f"no module {m} with types: {why or 'no BTF of modules'}")

sh("ip link add skepva type veth peer name skepvb")
index = [int(open(f"/sys/class/net/{d}/ifindex").read()) for d in ("skepva", "skepvb")]
status, v, err = run(1, "--", "sh", "-c", "ip link set skepva up; ip link set skepva down")
is_(status, 0, "programs of a module's functions load, attach, and end", err)
is_(v.get("opened"), 1, "fentry/veth_open: found in the module by its name alone", err)
is_(v.get("closed"), 1, "fexit/veth:veth_close: in the module that is named", err)
is_(v.get("ifindex"), index[0], "the function's argument")
is_(v.get("peer"), index[1], "CO-RE: a field of struct veth_priv, which only the module has")
ok(v.get("size", 0) >= 16 and v.get("exists") == 1, "its size, and that its field exists", v)
is_(v.get("lacking"), 1, "and that another field does not")
is_(v.get("probed"), 1, "kprobe/veth_open", err)
sh("ip link del skepva")

sh("ip link set lo up")
status, v, err = run(2, "--dev", "lo", "--", "ping", "-c1", "-W2", "127.0.0.1")
is_(status, 0, "a program that calls functions of nf_conntrack loads", err)
ok(v.get("asked", 0) > 0 and not v.get("found"), "bpf_xdp_ct_lookup() is called", v, err)
is_(v.get("error"), -2, "and says that there is no such connection (ENOENT)", v)

status, v, err = run(3, "--", "true")
is_(status, 0, "tp_btf of a tracepoint of xfs loads and attaches", err)

status, v, err = run(4, "--", "true")
ok(status != 0 and "'veth'" in err and "'veth_openn'" in err,
   "a function that the module lacks is named with its module", err)
ok("no module 'vethh'" in err and "did you mean veth" in err and "modprobe" in err,
   "a module that is not there: which one was meant, and how to load it", err)

# The types of a module, as bpftool prints them.
if lacks("bpftool"):
    skip("types of the module veth as bpftool prints them", "no bpftool")
else:
    status, out, err = skep(["btf", "dump", "file", "/sys/kernel/btf/veth"])
    want = sh("bpftool btf dump file /sys/kernel/btf/veth").stdout
    ok(out == want and "'veth_priv'" in out, "types of the module veth as bpftool prints them",
       err, out[:300], want[:300])
    status, out, err = skep(["btf", "dump", "file", "/sys/kernel/btf/veth", "format", "c",
                             "--base-btf", "/sys/kernel/btf/vmlinux"])
    ok(status == 0 and "struct veth_priv {" in out, "as C, with the base named", err)
done()
