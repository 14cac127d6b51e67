# The packet, socket and control group half of attach.t, in a network namespace of its own.
CLONE_NEWNET = 0x40000000
import ctypes  # noqa: E402
import socket  # noqa: E402
import struct  # noqa: E402

libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(CLONE_NEWNET) or subprocess.run(["ip", "link", "set", "lo", "up"]).returncode:
    skip("networks", "no network namespace of one's own")
    done()
UDP, TCP = (target, "udp", "6"), (target, "tcp", "3")
LO = ("--dev", "lo")

obj = build("socket", [("seen", "socket", 0)])
status, got, err, _ = run(obj, *UDP, options=LO)
# A packet socket sees each packet of lo twice: going out and coming in.
is_(got.get("seen"), 12, "socket filter: 6 packets, both ways", err)
obj = build("tcx", [("inward", "tc/ingress", -1), ("outward", "tcx/egress", -1)])
tc = build("tc", [("seen", "tc", -1)])
if "tcx_link_attach" in KERNEL:
    counts(obj, {"inward": 6, "outward": 6}, "tcx", *UDP, options=LO)
    status, got, err, _ = run(tc, *UDP, options=LO)
    ok(got.get("seen") == 6 and "names no direction" in err, "tc: ingress, and says so", err)
    status, got, err, _ = run(tc, *UDP)
    ok(status == 1 and "--dev" in err, "tc: needs a device", err)
else:
    skip("tcx", "this kernel has no tcx")

# Without tcx: filters, which somebody must remove.  Where there is tcx, LINK_CREATE is refused.
WITHOUT = LO + (("--inject", "28:1:22:9") if "tcx_link_attach" in KERNEL else ())


def tc_state():
    return "".join(subprocess.run(f"tc {what} show dev lo {where}", shell=True,
                                  capture_output=True, text=True).stdout
                   for what, where in (("qdisc", ""), ("filter", "ingress"), ("filter", "egress")))


def guards():
    found, here = 0, os.readlink("/proc/self/ns/net")
    for name in glob.glob("/proc/[0-9]*"):
        try:
            with open(name + "/comm") as f:
                found += f.read() == "skep-guard\n" and os.readlink(name + "/ns/net") == here
        except OSError:
            pass
    return found


def gone(what):
    for _ in range(100):
        if tc_state() == before and not guards():
            break
        time.sleep(0.05)
    is_(tc_state(), before, f"clsact: {what}: nothing is left on the device")
    is_(guards(), 0, f"clsact: {what}: no guard is left")


def started(obj, *options):
    p = subprocess.Popen([SKEP, "run", "--engine", "kernel", *WITHOUT, *options, obj],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env("root"))
    for _ in range(400):
        if tc_state().count(f"skep/p{p.pid}_") == 2:
            break
        time.sleep(0.05)
    is_(tc_state().count(f"skep/p{p.pid}_"), 2, "clsact: its filters have its name", tc_state())
    return p


before = tc_state()
# What traffic control is made of is in modules on most kernels: one that finds none.
modprobe = "/proc/sys/kernel/modprobe"
if not any(n in KERNEL for n in ("clsact_init", "cls_bpf_change")) and os.path.exists(modprobe):
    with open(modprobe) as f:
        was = f.read()
    with open(modprobe, "w") as f:
        f.write("/bin/false")
    status, got, err, _ = run(tc, *UDP, options=WITHOUT)
    with open(modprobe, "w") as f:
        f.write(was)
    ok(status == 4 and "without CONFIG_NET_SCH_INGRESS or CONFIG_NET_CLS_BPF" in err,
       "clsact: a kernel without", status, err)
    gone("a kernel without")
else:
    skip("clsact: a kernel without", "it is built into this one, or loaded")
r = subprocess.run(["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", SKEP, "run",
                    "--engine", "kernel", *WITHOUT, obj, "--", "true"], capture_output=True,
                   text=True, env=env("root"))
ok("needs CAP_NET_ADMIN, which this process lacks" in r.stderr, "clsact: which capability it takes",
   r.stderr)
gone("not allowed")
# One descriptor too few for the last guard's socket: which, nobody knows.
four = build("four", [(f"v{i}", "tc/ingress", -1) for i in range(4)])
for n in range(8, 40):
    r = subprocess.run(["prlimit", f"--nofile={n}", SKEP, "run", "--engine", "kernel", *WITHOUT,
                        "--duration", "0.1", four], capture_output=True, text=True, env=env("root"))
    if "that removes the filter" in r.stderr or (not r.returncode and "error" not in r.stderr):
        break
ok("removes the filter later: Too many open files" in r.stderr, "clsact: no guard, no filter", n,
   r.stderr)
gone("without a guard")
counts(obj, {"inward": 6, "outward": 6}, "clsact", *UDP, options=WITHOUT)
gone("in order")
order = build("order", [("first", "tc/ingress", 0), ("second", "tc/ingress", 0)])
counts(order, {"first": 6, "second": 0}, "clsact: one after the other", *UDP, options=WITHOUT)
status, got, err, _ = run(tc, *UDP, options=WITHOUT)
ok(got.get("seen") == 6 and "names no direction" in err, "clsact: SEC(\"tc\")", err)
p = started(obj)
os.kill(p.pid, signal.SIGKILL)
p.communicate()  # to the end: a guard that held the pipe would keep it open
gone("killed")
# Two at a time: the qdisc goes with the last.
a, b = started(obj), started(obj)
a.terminate()
a.communicate()
ok("clsact" in tc_state() and f"skep/p{b.pid}_" in tc_state() and f"/p{a.pid}_" not in tc_state(),
   "clsact: the other's filters stay", tc_state())
os.kill(b.pid, signal.SIGKILL)
b.communicate()
gone("the last of two")
# Ctrl-C goes to the whole group of the terminal.
p = subprocess.Popen([SKEP, "run", "--engine", "kernel", *WITHOUT, obj], start_new_session=True,
                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env("root"))
for _ in range(400):
    if f"skep/p{p.pid}_" in tc_state():
        break
    time.sleep(0.05)
time.sleep(0.3)
os.killpg(p.pid, signal.SIGINT)
p.communicate()
gone("Ctrl-C")
# What is others' stays: a qdisc without filters, and with them.
subprocess.run("tc qdisc add dev lo clsact", shell=True)
before = tc_state()
p = started(obj)
os.kill(p.pid, signal.SIGKILL)
p.communicate()
gone("in somebody's qdisc")
subprocess.run("tc filter add dev lo ingress protocol all bpf bytecode '1,6 0 0 4294967295' "
               "classid 1:1", shell=True)
before = tc_state()
ok("classid" in before or "flowid" in before, "clsact: somebody's filter is there", before)
counts(obj, {"inward": 6, "outward": 6}, "clsact: before others' filters", *UDP, options=WITHOUT)
gone("beside somebody's filter")
subprocess.run("tc qdisc del dev lo clsact; tc qdisc add dev lo ingress", shell=True)
before = tc_state()
status, got, err, _ = run(obj, *UDP, options=WITHOUT)
ok("knows no packets that leave" in err and "tc qdisc del" in err and got.get("inward") == 6,
   "clsact: an ingress qdisc in its place", err, got)
gone("an ingress qdisc")
subprocess.run("tc qdisc del dev lo ingress", shell=True)


# XDP in the mode asked for.  lo has no driver with XDP, veth has one.
def xdp_mode(dev, mode, obj):
    p = subprocess.Popen([SKEP, "run", "--engine", "kernel", "--dev", dev, "--xdp-mode", mode, obj],
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env("root"))
    shown = ""
    while p.poll() is None and "xdp" not in shown:
        shown = subprocess.run(["ip", "link", "show", dev], capture_output=True, text=True).stdout
        time.sleep(0.05)
    p.send_signal(signal.SIGINT)
    said = p.communicate()[0].decode()
    return p.returncode, set(shown.split()) & {"xdp", "xdpgeneric", "xdpoffload"}, said


obj = build("xdp", [("seen", "xdp", 2)])
# No map: a device that runs programs itself need not keep maps.
bare = build("bare", 'SEC("xdp") int bare(void *ctx) { return 2; }\n')
for mode in ("native", "offload"):
    said = skep(["run", "--engine", "kernel", "--dev", "nodev0", "--xdp-mode", mode, bare])
    ok(said[0] == 1 and "--dev nodev0: there is no such network device" in said[2],
       f"xdp: no such device, {mode}", said)
said = skep(["run", "--xdp-mode", "skb", "--dev", "lo", bare])
ok(said[0] == 2 and "--xdp-mode is native, generic or offload" in said[2], "xdp: no such mode", said)
said = skep(["run", "--xdp-mode", "native", bare])
ok(said[0] == 2 and "--xdp-mode needs --dev" in said[2], "xdp: a mode of no device", said)
status, shown, said = xdp_mode("lo", "generic", obj)
is_((status, shown), (0, {"xdpgeneric"}), "xdp: generic mode on lo", said)
counts(obj, {"seen": 6}, "xdp: generic mode", *UDP, options=LO + ("--xdp-mode", "generic"))
status, shown, said = xdp_mode("lo", "native", obj)
ok(status == 4 and not shown and "'prog_seen': xdp on lo: its driver has no XDP" in said
   and "--xdp-mode generic works" in said, "xdp: native mode on lo is refused", said)
status, shown, said = xdp_mode("lo", "offload", bare)
ok(status == 4 and not shown and "program 'bare': the network device does not run programs" in said,
   "xdp: lo runs no programs itself", said)
status, shown, said = xdp_mode("lo", "offload", obj)
ok(status == 4 and not shown and "map '.bss': the device that is to run the program" in said,
   "xdp: lo keeps no maps itself", said)
said = skep(["run", "--engine", "kernel", "--log-bpf", *LO, "--xdp-mode", "offload", bare])[2]
ok("prog_ifindex=1" in said, "xdp: offload loads the program for the device", said)
if subprocess.run("ip link add xleft type veth peer name xright && ip link set xleft up && "
                  "ip link set xright up", shell=True, capture_output=True).returncode:
    skip("xdp: native mode", "no veth devices")
else:
    for mode, want in (("native", "xdp"), ("generic", "xdpgeneric")):
        status, shown, said = xdp_mode("xleft", mode, obj)
        is_((status, shown), (0, {want}), f"xdp: {mode} mode on veth", said)
    subprocess.run("ip link del xleft", shell=True)


def make_netkit(name):
    """RTM_NEWLINK of kind netkit: Debian's ip(8) is older."""
    def attr(kind, data):
        raw = struct.pack("HH", 4 + len(data), kind) + data
        return raw + b"\0" * (-len(raw) % 4)

    body = bytes(16) + attr(3, name.encode() + b"\0") + attr(18, attr(1, b"netkit"))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.send(struct.pack("IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)
        return struct.unpack_from("i", s.recv(4096), 16)[0] == 0


obj = build("netkit", [("first", "netkit/primary", 2), ("second", "netkit/peer", 2)])
if make_netkit("first"):  # the other end is called nk0
    subprocess.run("sysctl -qw net.ipv6.conf.all.disable_ipv6=1; ip link set nk0 up; "
                   "ip link set first up; ip addr add 10.9.9.1/24 dev first", shell=True)
    send = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n" \
           "for i in range(4): s.sendto(b'x', ('10.9.9.2', 9))"
    counts(obj, {"first": 4, "second": 0}, "netkit", "python3", "-c", send,
           options=("--dev", "first"))
else:
    skip("netkit", "no netkit device can be made here")
    status, got, err, _ = run(obj, "true", options=LO)
    ok(status and "netkit" in err, "netkit: refused", err)
obj = build("nf", [("seen", "netfilter", 1)])
if "bpf_nf_link_attach" in KERNEL:
    counts(obj, {"seen": 6}, "netfilter", *UDP, options=("--hook", "input"))
    status, got, err, _ = run(obj, *UDP)
    ok(status == 1 and "--hook" in err, "netfilter: needs a place", err)
else:
    skip("netfilter", "this kernel has no netfilter links")
    status, got, err, _ = run(obj, *UDP, options=("--hook", "input"))
    ok(status, "netfilter: refused", err)
obj = build("lookup", [("asked", "sk_lookup", 1)])
counts(obj, {"asked": 3}, "sk_lookup: 3 connections", *TCP)
obj = build("dissect", [("asked", "flow_dissector", 0)])
status, got, err, _ = run(obj, *UDP)
is_(status, 0, "flow_dissector: attaches", err)

mounts = [l.split()[1] for l in open("/proc/mounts") if l.split()[2] == "cgroup2"]
if not mounts:
    skip("control groups", "cgroup v2 is not mounted")
else:
    group = f"{mounts[0]}/skep-test-{os.getpid()}"
    os.mkdir(group)
    CG = ("--cgroup", group)
    obj = build("cgroup", [
        ("created", "cgroup/sock_create", 1), ("released", "cgroup/sock_release", 1),
        ("bound", "cgroup/post_bind4", 1), ("binds", "cgroup/bind4", 1),
        ("connects", "cgroup/connect4", 1), ("names", "cgroup/getsockname4", 1),
        ("ingress", "cgroup_skb/ingress", 1), ("egress", "cgroup_skb/egress", 1)])
    counts(obj, {"created": 7, "released": 7, "bound": 1, "binds": 1, "connects": 6, "names": 1,
                 "ingress": 6, "egress": 6}, "cgroup", *UDP, group, options=CG)
    obj = build("ops", """
__u64 connected, accepted;
SEC("sockops") int ops(struct bpf_sock_ops *ctx)
{ if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) __sync_fetch_and_add(&connected, 1);
if (ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) __sync_fetch_and_add(&accepted, 1); return 1; }
""")
    counts(obj, {"connected": 3, "accepted": 3}, "sockops", *TCP, group, options=CG)
    obj = build("msg", """
struct { __uint(type, BPF_MAP_TYPE_SOCKHASH); __uint(max_entries, 8); __type(key, __u32);
__type(value, __u64); } socks SEC(".maps");
__u64 sent;
SEC("sockops") int ops(struct bpf_sock_ops *ctx)
{ __u32 k = ctx->local_port; if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB)
bpf_sock_hash_update(ctx, &socks, &k, BPF_ANY); return 1; }
SEC("sk_msg") int msg(struct sk_msg_md *m) { __sync_fetch_and_add(&sent, 1); return SK_PASS; }
""")
    counts(obj, {"sent": 3}, "sk_msg", *TCP, group, options=CG)
    obj = build("lsmcg", [("sockets", "lsm_cgroup/socket_create", 1)])
    if "bpf_trampoline_link_cgroup_shim" in KERNEL and loads(lsm):
        counts(obj, {"sockets": 7}, "lsm_cgroup", *UDP, group, options=CG)
    else:
        skip("lsm_cgroup", "this kernel does not have it or let libbpf load lsm programs")
    obj = build("nowhere", [("x", "cgroup/connect4", 1)])
    status, got, err, _ = run(obj, "true")
    ok(status == 1 and "--cgroup" in err, "cgroup: needs a folder", err)
    status, got, err, _ = run(obj, "true", options=("--cgroup", "/tmp"))
    ok(status == 1 and "cgroup v2" in err, "cgroup: /tmp is none", err)
    os.rmdir(group)
