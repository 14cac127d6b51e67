#!/usr/bin/python3
# examples/xdp_icmp.bpf.c: over a file of packets in both engines, and on a pair
# of network devices in a network namespace of the test's own.
import shutil
import signal
import socket
import struct
import threading

from skeptest import *

if not shutil.which("clang"):
    skip_all("no clang")

VERDICTS = """xdp_icmp: XDP_DROP 3 packets 162 bytes
xdp_icmp: XDP_PASS 11 packets 700 bytes
"""


def ip4(proto, payload):
    return (b"\2" * 6 + b"\4" * 6 + b"\x08\x00" +
            struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 0, 0, 64, proto, 0,
                        bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])) + payload)


def write_pcap(path, packets, link=1):
    with open(path, "wb") as f:
        f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, link))
        for i, p in enumerate(packets):
            f.write(struct.pack("<IIII", 1700000000 + i, i, len(p), len(p)) + p)


def read_pcap(path):
    with open(path, "rb") as f:
        data = f.read()
    at, packets = 24, []
    while at < len(data):
        sec, usec, caplen, length = struct.unpack_from("<IIII", data, at)
        packets.append((sec, usec, data[at + 16:at + 16 + caplen]))
        at += 16 + caplen
    return packets


PACKETS = ([ip4(1, b"x" * 20)] * 3 + [ip4(6, b"y" * 40)] * 4 + [ip4(17, b"z" * 30)] * 5 +
           [b"\xff" * 6 + b"\4" * 6 + b"\x08\x06" + b"a" * 28] * 2)
write_pcap(dir + "/in.pcap", PACKETS)
os.chmod(dir + "/in.pcap", 0o644)


def over_file(who, *options):
    status, out, err = skep(["run", *options, "--pcap", dir + "/in.pcap", example("xdp_icmp")],
                            who)
    out = re.sub(r"first_ns = \d+", "first_ns = NS", plain(out))
    return status, out, err


for who, engine in (("root", "kernel"), ("nobody", "user")):
    if who == "root" and not ROOT:
        skip("packets of a file in the kernel", "not root")
        continue
    passed = f"{dir}/{who}/out.pcap"
    status, out, err = over_file(who, "--engine", engine, "--pcap-out", passed)
    is_(status, 0, f"{engine}: exit status", err)
    golden("xdp_icmp", out, f"{engine}: actions and counts", err)
    want = [(1700000000 + i, i, p) for i, p in enumerate(PACKETS) if p[23:24] != b"\1" or
            p[12:14] != b"\x08\x00"]
    is_(read_pcap(passed), want, f"{engine}: --pcap-out has what passed, with its times")

if ROOT:
    status, out, err = over_file("root", "--engine", "both", "--ignore", ".bss")
    ok(status == 0 and "both engines gave the same" in err, "both engines agree on every packet",
       out, err)
    status, out, err = over_file("root", "--engine", "both")
    ok(status == 1 and "maps differ" in err, "... but not on clocks: exit status 1", err)

write_pcap(dir + "/raw.pcap", PACKETS, 101)
os.chmod(dir + "/raw.pcap", 0o644)
status, out, err = skep(["run", "--engine", "user", "--pcap", dir + "/raw.pcap",
                         example("xdp_icmp")], "nobody")
ok(status == 4 and "Ethernet" in err, "packets that are not of Ethernet", status, err)
with open(dir + "/in.pcap", "rb") as f:
    data = f.read()
with open(dir + "/short.pcap", "wb") as f:
    f.write(data[:-10])
os.chmod(dir + "/short.pcap", 0o644)
status, out, err = skep(["run", "--engine", "user", "--pcap", dir + "/short.pcap",
                         example("xdp_icmp")], "nobody")
ok(status == 1 and "short.pcap: packet 14: " in err, "a file that is cut short", status, err)


def sh(cmd, check=True):
    return subprocess.run(cmd, shell=True, check=check, capture_output=True, text=True)


NS = f"skep{os.getpid()}"


def in_ns(cmd):
    return f"ip netns exec {NS}b {cmd}"


def udp_echo(ready):
    """In namespace b: answers one TCP connection and UDP datagrams."""
    code = ("import socket,sys\n"
            "t=socket.create_server(('10.77.0.2',7));u=socket.socket(socket.AF_INET,2)\n"
            "u.bind(('10.77.0.2',7));print('up',flush=True)\n"
            "for i in range(5):\n m,a=u.recvfrom(100);u.sendto(m,a)\n"
            "c,a=t.accept();c.sendall(c.recv(100));c.close()\n")
    return subprocess.Popen(["ip", "netns", "exec", NS + "b", "python3", "-c", code],
                            stdout=subprocess.PIPE, text=True)


CLIENT = ("import socket;u=socket.socket(socket.AF_INET,2);u.settimeout(3);n=0\n"
          "for i in range(5):\n u.sendto(b'ping',('10.77.0.2',7));n+=u.recv(9)==b'ping'\n"
          "t=socket.create_connection(('10.77.0.2',7),3);t.sendall(b'hello')\n"
          "print(n,t.recv(9).decode())\n")


def tcp_sent(ns):
    """Segments that a namespace has sent, as its kernel counts them."""
    lines = [l.split() for l in sh(f"ip netns exec {ns} cat /proc/net/snmp").stdout.splitlines()
             if l.startswith("Tcp:")]
    tcp = dict(zip(*lines))
    return int(tcp["OutSegs"]) + int(tcp["OutRsts"])


def veth():
    began = time.monotonic()
    sh(f"ip netns add {NS}a && ip netns add {NS}b && "
       f"ip link add skA netns {NS}a type veth peer name skB netns {NS}b && "
       f"ip -n {NS}a addr add 10.77.0.1/24 dev skA && ip -n {NS}b addr add 10.77.0.2/24 dev skB && "
       f"ip -n {NS}a link set skA up && ip -n {NS}b link set skB up")
    p = subprocess.Popen(["ip", "netns", "exec", NS + "b", SKEP, "run", "--engine", "kernel",
                          "--json", "--dev", "skB", example("xdp_icmp")], env=env("root"),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for i in range(100):
        if "xdp" in sh(f"ip -n {NS}b link show skB").stdout:
            break
        time.sleep(0.1)
    ok("xdp" in sh(f"ip -n {NS}b link show skB").stdout, "the program is on the device")
    server = udp_echo(None)
    server.stdout.readline()
    for i in range(2):  # a second apart
        ping = sh(f"ip netns exec {NS}a ping -c {2 + i} -i 0.2 -W 1.2 10.77.0.2", check=False)
        ok(ping.returncode != 0 and "100% packet loss" in ping.stdout, "ping gets no answer",
           ping.stdout, ping.stderr)
    got = subprocess.run(["ip", "netns", "exec", NS + "a", "python3", "-c", CLIENT],
                         capture_output=True, text=True)
    is_(got.stdout.strip(), "5 hello", "UDP and TCP pass", got.stderr)
    server.wait(5)
    time.sleep(0.5)
    segments = tcp_sent(f"{NS}a")
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=20)
    is_(p.returncode, 0, "Ctrl-C: exit status", err)
    rows = [json.loads(l) for l in out.splitlines()]
    proto = {(r["key"]["ethertype"], r["key"]["ip_protocol"]): r["value"] for r in rows
             if r.get("map") == "by_protocol"}
    is_(proto.get((2048, 1)), {"packets": 5, "bytes": 5 * 98, "dropped": 5}, "5 pings, 5 dropped",
        out)
    is_(proto.get((2048, 17)), {"packets": 5, "bytes": 5 * 46, "dropped": 0}, "5 datagrams")
    tcp = proto.get((2048, 6), {})
    ok(segments >= 3, "TCP was sent", segments)
    is_((tcp.get("packets"), tcp.get("dropped")), (segments, 0), "each segment of TCP, and it passed")
    seconds = {r["key"]: r["value"] for r in rows if r.get("map") == "by_second"}
    is_({f: sum(s[f] for s in seconds.values()) for f in ("packets", "bytes", "dropped")},
        {f: sum(v[f] for v in proto.values()) for f in ("packets", "bytes", "dropped")},
        "the seconds sum up to the protocols", out)
    drops = [k for k, s in seconds.items() if s["dropped"]]
    ok(max(drops, default=0) - min(drops, default=0) >= 1, "the pings are in their own seconds",
       seconds)
    ok(max(seconds, default=0) <= time.monotonic() - began, "no second is counted ahead", seconds)
    ok("xdp" not in sh(f"ip -n {NS}b link show skB").stdout, "the program is gone from the device")


if ROOT and shutil.which("ip") and shutil.which("ping") and \
        sh(f"ip netns add {NS} && ip netns del {NS}", check=False).returncode == 0:
    try:
        veth()
    finally:
        sh(f"ip netns del {NS}a; ip netns del {NS}b", check=False)
else:
    skip("XDP on a device", "needs root, ip and ping")
done()
