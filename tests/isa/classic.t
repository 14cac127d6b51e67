#!/usr/bin/python3
# Classic BPF: printed as tcpdump -d prints it, refused where the kernel
# refuses it, and, converted to eBPF, giving what the kernel's own conversion
# gives for the same packets (both attached to sockets).
import ctypes, os, platform, re, shutil, socket, struct, subprocess, sys

sys.path.insert(0, "tests")
from tap import *  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")
if not shutil.which("tcpdump"):
    skip_all("needs tcpdump")

FILTERS = """
arp|ip|ip6|tcp|udp|icmp|icmp6|sctp|host 10.0.0.1|src host 10.0.0.1|dst net 10.0.0.0/8
net 192.168.0.0/16|port 53|tcp port 80|udp portrange 1000-2000|src port 22 and dst port 1024
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0|ip[0] & 0xf != 5|ip[6:2] & 0x1fff = 0|greater 100|less 64
ether broadcast|ether multicast|ether host 02:00:00:00:00:01|ip broadcast|ip multicast
vlan|vlan 5 and ip|mpls|pppoes|ip6 and tcp port 443|ip6 host 2001:db8::1|ip proto 47
tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420|len > 200|len <= 60 or arp|not ip
icmp[icmptype] = icmp-echo|icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
ip[2:2] > 576|ether[0] & 1 = 1|ether proto 0x88cc|tcp and not port 22 and not port 80
udp[8:4] * 3 = 9|ip[8] - 1 > 5|ip[8] / ip[9] > 1|ip[8] % 7 = 3|((ip[1] << 2) | 3) = 3
(ip[8] ^ 0x40) = 0|ip[4:2] >> ip[9] = 0|tcp[4:4] = 0xffffffff|ip host 10.0.0.1 and ip host 10.0.0.2
""".replace("\n", "|")
# "|" within brackets belongs to the expression
FILTERS = [f for f in re.split(r"\|(?![^()]*\))", FILTERS) if f]
FILTERS = [f for f in FILTERS if f.strip()]


def run(*args, data=None):
    p = subprocess.run(args, input=data, capture_output=True)
    return p.returncode, p.stdout, p.stderr.decode()


def tcpdump(how, expr):
    # The optimizer's choice is the same for each way of printing.
    rc, out, err = run("tcpdump", "-y", "EN10MB", how, expr)
    return out if rc == 0 else None


def raw(ddd):
    rows = [tuple(map(int, l.split())) for l in ddd.decode().split("\n")[1:] if l]
    return b"".join(struct.pack("=HBBI", *r) for r in rows)


def packets():
    eth = bytes.fromhex("ffffffffffff 020000000001")
    mac = bytes.fromhex("020000000001 020000000002")

    def ip(proto, payload, ttl=64, ihl=5, frag=0, src=(10, 0, 0, 1), dst=(10, 0, 0, 2), id_=7):
        return struct.pack(">BBHHHBBH4s4s", 0x40 | ihl, 0, ihl * 4 + len(payload), id_, frag, ttl,
                           proto, 0, bytes(src), bytes(dst)) + b"\1" * (ihl * 4 - 20) + payload

    def tcp(sport, dport, flags=0x10, data=b"", seq=1):
        return struct.pack(">HHIIBBHHH", sport, dport, seq, 0xffffffff, 0x50, flags, 100, 0, 0) + data

    def udp(sport, dport, data=b""):
        return struct.pack(">HHHH", sport, dport, 8 + len(data), 0) + data

    def ip6(nxt, payload):
        a = bytes.fromhex("20010db8000000000000000000000001")
        return struct.pack(">IHBB", 0x60000000, len(payload), nxt, 64) + a + a[:-1] + b"\2" + payload

    t4, t6 = b"\x08\0", b"\x86\xdd"
    full = [mac + t4 + ip(6, tcp(1024, 80, 2)), mac + t4 + ip(6, tcp(22, 1024, 0x11)),
            mac + t4 + ip(6, tcp(4000, 80, 0x18, b"GET / HTTP/1.0\r\n\r\n")),
            mac + t4 + ip(6, tcp(4000, 443), ihl=7), mac + t4 + ip(17, udp(53, 1500, b"\0\0\0\3" * 9)),
            mac + t4 + ip(17, udp(1500, 53), frag=100), mac + t4 + ip(1, b"\x08\0\0\0" + b"a" * 60),
            mac + t4 + ip(1, b"\0\0\0\0" * 2, ttl=3), mac + t4 + ip(132, b"\0" * 12),
            mac + t4 + ip(47, b"\0" * 200), mac + t4 + ip(0, b"\0" * 8),
            mac + t4 + ip(17, udp(1, 2), src=(192, 168, 3, 4), dst=(224, 0, 0, 1)),
            eth + b"\x08\x06" + bytes.fromhex("0001080006040001") + b"\x0a\0\0\1" * 5,
            mac + t6 + ip6(6, tcp(443, 5000)), mac + t6 + ip6(58, b"\x80\0\0\0"),
            mac + t6 + ip6(44, b"\x3a\0\0\0\0\0\0\0\x80\0"), mac + b"\x81\0\0\5" + t4 + ip(17, udp(7, 8)),
            mac + b"\x88\x47\0\0\1\x40" + ip(6, tcp(1, 2)), mac + b"\x88\xcc" + b"\2\7" * 20,
            mac + b"\x88\x64\x11\0\0\1\0\x30\0\x21" + ip(6, tcp(1, 80)), eth + b"\0\x40" + b"\xff" * 64,
            mac + t4 + ip(6, tcp(9, 9), ttl=64, dst=(255, 255, 255, 255)), mac + t4 + ip(17, b"x" * 700)]
    cut = [p[:n] for p in full[:6] for n in (1, 13, 14, 20, 23, 34, 36)]
    return full + cut


PACKETS = packets()
libc = ctypes.CDLL(None, use_errno=True)
SYS_BPF = {"x86_64": 321, "aarch64": 280, "riscv64": 280}.get(platform.machine())


def load(code):
    """A socket filter of the converted program, or the verifier's log."""
    log = ctypes.create_string_buffer(65536)
    insns = ctypes.create_string_buffer(code, len(code))
    gpl = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("=IIQQIIQ", 1, len(code) // 8, ctypes.addressof(insns), ctypes.addressof(gpl),
                       1, len(log), ctypes.addressof(log)).ljust(120, b"\0")
    buf = ctypes.create_string_buffer(attr, len(attr))
    fd = libc.syscall(SYS_BPF, 5, buf, len(attr))
    return (fd, "") if fd >= 0 else (-1, log.value.decode() or os.strerror(ctypes.get_errno()))


def receive(option, value, inputs):
    """What arrives of each input through a socket with the filter: None is dropped."""
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        b.setsockopt(socket.SOL_SOCKET, option, value)
        b.setblocking(False)
        got = []
        for p in inputs:
            a.send(p)
            try:
                got.append(b.recv(4096))
            except BlockingIOError:
                got.append(None)
        return got
    finally:
        a.close()
        b.close()


def receive_classic(filter_, inputs):
    buf = ctypes.create_string_buffer(filter_, len(filter_))
    fprog = struct.pack("@HP", len(filter_) // 8, ctypes.addressof(buf))
    return receive(26, fprog, inputs)


def same_answers(what, filter_):
    rc, code, err = run(SKEP, "asm", "--classic", "-", data=filter_)
    if rc:
        ok(False, what + " converts", err)
        return
    fd, log = load(code)
    if fd < 0:
        ok(False, what + " loads", *log.splitlines()[-6:])
        return
    want = receive_classic(filter_, PACKETS)
    got = receive(50, struct.pack("=i", fd), PACKETS)
    os.close(fd)
    wrong = [i for i in range(len(PACKETS)) if want[i] != got[i]]
    ok(not wrong, "%s: same answers for %d packets (%d pass)"
       % (what, len(PACKETS), sum(w is not None for w in want)), "packets %s" % wrong)


def stmt(code, k=0, jt=0, jf=0):
    return struct.pack("=HBBI", code, jt, jf, k & 0xffffffff)


kernel = os.geteuid() == 0 and SYS_BPF and load(stmt(0xb7) + stmt(0x95))[0] >= 0
compared = 0
for f in FILTERS:
    d, dd, ddd = tcpdump("-d", f), tcpdump("-dd", f), tcpdump("-ddd", f)
    if d is None:
        ok(False, "tcpdump takes '%s'" % f)
        continue
    outs = [run(SKEP, "disasm", "--classic", "-", data=x) for x in (ddd, dd, raw(ddd))]
    ok(all(o[0] == 0 and o[1] == d for o in outs), "tcpdump -d '%s'" % f,
       *[l for o in outs for l in (o[1].decode() + o[2]).splitlines() if l.encode() not in d][:5])
    if kernel:
        same_answers("'%s'" % f, raw(ddd))
    compared += 1
ok(compared >= 40, "%d filters" % compared)

# What tcpdump does not make: every operation, memory, division by X, all kinds of branches.
RET_A = stmt(0x16)
PROGRAMS = {
    "M[] and tax": stmt(0x30, 3) + stmt(0x02, 15) + stmt(0x80) + stmt(0x07) + stmt(0x60, 15)
    + stmt(0x03, 0) + stmt(0x61, 0) + stmt(0x0c) + RET_A,
    "division by X of zero": stmt(0x00, 100) + stmt(0x01, 0) + stmt(0x3c) + stmt(0x06, 50),
    "modulo by X": stmt(0x80) + stmt(0x01, 7) + stmt(0x9c) + stmt(0x04, 20) + RET_A,
    "neg and shifts": stmt(0x80) + stmt(0x84) + stmt(0x74, 4) + stmt(0x01, 3) + stmt(0x7c) + RET_A,
    "xor, or, sub, mul": stmt(0x80) + stmt(0xa4, 0x55) + stmt(0x44, 3) + stmt(0x14, 1)
    + stmt(0x24, 3) + stmt(0x54, 0xff) + RET_A,
    "ldx msh": stmt(0x00, 9) + stmt(0xb1, 14) + stmt(0x0c) + RET_A,
    "ldx len": stmt(0x81) + stmt(0x87) + stmt(0x14, 5) + RET_A,
    "jset with jt 0": stmt(0x30, 13) + stmt(0x45, 1, 0, 1) + stmt(0x06, 20) + stmt(0x06, 30),
    "jgt x": stmt(0x80) + stmt(0x01, 60) + stmt(0x2d, 0, 1, 0) + stmt(0x06, 20) + stmt(0x06, 30),
    "jge with a large constant": stmt(0x20, 0) + stmt(0x35, 0x80000000, 0, 1) + stmt(0x06, 20)
    + stmt(0x06, 30),
    "both ways": stmt(0x30, 13) + stmt(0x15, 0, 2, 2) + stmt(0x06, 1) + stmt(0x06, 2) + stmt(0x06, 3),
    "ja": stmt(0x05, 1) + stmt(0x06, 1) + stmt(0x06, 20),
    "ind": stmt(0x01, 9) + stmt(0x48, 3) + stmt(0x54, 0x3f) + RET_A,
    "outside by ind": stmt(0x01, 0xffffff) + stmt(0x50, 0) + stmt(0x06, 20),
    "mark, ifindex, protocol": stmt(0x20, -0x1000 + 20) + stmt(0x07) + stmt(0x28, -0x1000 + 0)
    + stmt(0x0c) + stmt(0x04, 20) + RET_A,
    "xor x": stmt(0x80) + stmt(0x01, 0x1f) + stmt(0x20, -0x1000 + 40) + stmt(0x54, 0x7f) + RET_A,
}
if kernel:
    for what, p in PROGRAMS.items():
        same_answers(what, p)
else:
    skip("answers of converted filters", "needs root and bpf(2)")

REFUSED = {
    "empty count": (b"2\n6 0 0 1\n", "the first line says 2 instructions"),
    "three numbers": (b"1\n6 0 0\n", "line 2: an instruction has four numbers"),
    "words": (b"hello\n", "line 1: expected"),
    "no ret": (stmt(0x80), "does not end in ret"),
    "unknown opcode": (stmt(0xff) + RET_A, "instruction 0: unknown opcode"),
    "jump outside": (stmt(0x80) + stmt(0x15, 1, 0, 9) + RET_A, "instruction 1: jump past"),
    "M[16]": (stmt(0x02, 16) + RET_A, "memory has words 0 to 15"),
    "M[] not written": (stmt(0x60, 3) + RET_A, "instruction 0: reads a word"),
    "written on one path": (stmt(0x80) + stmt(0x15, 0, 1, 0) + stmt(0x02, 1) + stmt(0x60, 1) + RET_A,
                            "instruction 3: reads a word"),
    "division by zero": (stmt(0x34, 0) + RET_A, "division by zero"),
    "shift by 32": (stmt(0x64, 32) + RET_A, "shift by 32"),
    "no such ancillary": (stmt(0x20, -0x1000 + 68) + RET_A, "ancillary"),
    "7 bytes": (b"\0" * 7, "7 bytes"),
}
for what, (p, says) in REFUSED.items():
    rc, out, err = run(SKEP, "disasm", "--classic", "-", data=p)
    good = rc == 1 and says in err
    if kernel and not p[:1].isalnum() and len(p) % 8 == 0:
        try:
            receive_classic(p, [b"x"])
            good = False
            err += "the kernel takes it"
        except OSError:
            pass
    ok(good, "refused: " + what, rc, err)
rc, out, err = run(SKEP, "asm", "--classic", "-", data=stmt(0x20, -0x1000 + 28) + RET_A)
ok(rc == 4 and "cannot load ancillary value 28" in err, "hardware type is unsupported, not wrong", rc, err)

done()
