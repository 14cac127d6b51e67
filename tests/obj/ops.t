#!/usr/bin/python3
# A congestion control written here is used by a socket of a network namespace
# of the test's own, is gone when skep is, and what can be wrong with a table of
# functions is told.  The same file runs in the guests: 6.1 has no links for it.
import os
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/cli")
sys.path.insert(0, __file__.rsplit("/", 2)[0])
from need import lacks  # noqa: E402
from skeptest import *  # noqa: E402

if not ROOT or not shutil.which("clang"):
    skip_all("needs root and clang")
if lacks("netns"):
    skip_all(lacks("netns"))
with open("/sys/kernel/btf/vmlinux", "rb") as f:
    if b"\0bpf_struct_ops_tcp_congestion_ops\0" not in f.read():
        skip_all("this kernel has no tcp_congestion_ops for programs")

CLIENT = r'''
import socket, subprocess, sys
if subprocess.run(["ip", "link", "set", "lo", "up"]).returncode:
    sys.exit("no ip(8)")
server = socket.create_server(("127.0.0.1", 0))
client = socket.socket()
try:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, sys.argv[1].encode())
except FileNotFoundError:
    print("no such congestion control")
    sys.exit(0)
client.connect(server.getsockname())
peer, _ = server.accept()
for i in range(20):
    client.sendall(bytes(10000))
    left = 10000
    while left:
        left -= len(peer.recv(left))
print(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode())
'''
client = f"{dir}/client.py"
with open(client, "w") as f:
    f.write(CLIENT)
use = ["unshare", "-n", sys.executable, client, "skep_test"]


def build(*flags):
    src, obj = TOP + "/tests/obj/ops.bpf.c", f"{dir}/ops.bpf.o"
    r = subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-w",
                        f"-I/usr/include/{os.uname().machine}-linux-gnu", *flags, "-c", src,
                        "-o", obj], capture_output=True, text=True)
    if r.returncode:
        ok(False, f"compiles {flags}", r.stderr)
    return obj


def run(obj, *more):
    return skep(["run", "--engine", "kernel", "--json", obj, *more], timeout=120)


def is_gone(what):
    r = subprocess.run(use, capture_output=True, text=True, timeout=60)
    is_(r.stdout, "no such congestion control\n", what, r.stderr)


for flags, what in (((), "links"), (('-DSECTION=".struct_ops"',), "SEC(\".struct_ops\")"),
                    (("-DSTRUCT=tcp_congestion_ops___mine",), "a flavour of the kernel's struct"),
                    (("-DOPTIONAL",), "beside SEC(\"?.struct_ops.link\"), which is not made")):
    status, out, err = run(build(*flags), "--", *use)
    got = {}
    for line in out.splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            if row.get("type") == "variable":
                got[row["name"]] = row["value"]
    ok(status == 0 and "skep_test" in out.splitlines(), f"{what}: a socket uses it", out, err)
    ok(got.get("inits", 0) >= 1 and got.get("acks", 0) >= 1, f"{what}: its programs run", out, err)
is_gone("it is gone when skep has ended")

p = popen(["run", "--engine", "kernel", "-v", "--duration", "100", build()])
for line in p.stderr:
    if "attached" in line:
        break
r = subprocess.run(use, capture_output=True, text=True, timeout=60)
is_(r.stdout, "skep_test\n", "a socket uses it while skep runs", r.stderr)
status, out, err = run(build(), "--", "true")
ok(status == 1 and "struct_ops 'ops'" in err and "has one of that name already" in err,
   "a second one of that name is refused", status, err)
linked = "BPF_LINK_CREATE" in skep(["run", "--engine", "kernel", "--log-bpf", build('-DNAME="x"'),
                                    "--", "true"])[2]
if linked:
    p.kill()
    p.communicate()
    time.sleep(0.5)  # links end in the background
    is_gone("it is gone after kill -9")
else:
    p.terminate()
    p.communicate()
    skip("it is gone after kill -9", "before 6.4 there are no links for struct_ops")
    is_gone("it is gone after SIGTERM")

# flags, status, words of the answer
MISTAKES = [
    ("a struct that this kernel does not take", ["-DSTRUCT=no_such_ops"], 4,
     ["struct_ops 'ops'", "takes no struct no_such_ops from programs"]),
    ("a member that this kernel does not have", ["-DABSENT"], 1,
     ["member 'not_in_any_kernel' is set, but is not in this kernel's struct"]),
    ("a program for such a member", ["-DABSENT_PROG"], 1,
     ["member 'not_in_any_kernel_either' is set, but is not in this kernel's struct"]),
    ("a bit field", ["-DBITFIELD"], 1, ["member 'key' is a bit field"]),
    ("another size", ["-DSIZE"], 1, ["member 'key' has 8 bytes, in this kernel 4"]),
    ("another kind", ["-DKIND"], 1, ["member 'key' is of another kind than in this kernel"]),
    ("a pointer to nothing of the object", ["-DPOINTER"], 1,
     ["member 'owner' is a pointer to what is no program"]),
    ("the address of a variable", ["-DADDRESS"], 1,
     ["struct_ops 'ops': the address of 'inits'", "no member for a function"]),
    ("a program twice", ["-DTWICE"], 1, ["program 'ops_ssthresh' is another member already"]),
    ("a program of another kind", ["-DNOT_OPS"], 1,
     ["member 'undo_cwnd' is 'not_ops', which is no program of SEC(\"struct_ops\")"]),
    ("programs in no struct", ["-DALONE"], 1,
     ["program 'ops_init': no struct in SEC(\".struct_ops.link\") has it as a member"]),
    ("a member missing that must be there", ["-DINCOMPLETE"], 1,
     ["the kernel refuses its values: a member that must be set is not"]),
    ("no struct", ["-DNO_STRUCT"], 1, ["variable 'number'", "is no struct with a name"]),
    ("no types", ["-g0"], 1, ["section '.struct_ops.link' has no types", "compile with -g"]),
]
for what, flags, want, words in MISTAKES:
    status, out, err = run(build(*flags), "--", "true")
    missing = [w for w in words if w not in err]
    ok(not missing and status == want, what, f"status {status}, without {missing}",
       err)

status, out, err = skep(["run", "--engine", "user", build(), "--", "true"])
ok(status == 4 and "replaces functions of the kernel" in err, "skep's own engine says it cannot",
   status, err)
done()
