#!/usr/bin/python3
# The programs of every BPF tutorial (examples/), each with real work and with
# what it must show of it.  They need kprobes, fentry, security hooks or block
# devices: most of this runs in the guests only.
import ctypes
import signal
import socket
import sys

TESTS = __file__.rsplit("/", 2)[0]
sys.path[:0] = [TESTS, TESTS + "/cli"]
from need import lacks  # noqa: E402
from skeptest import *  # noqa: E402

if lacks("root", "clang"):
    skip_all(lacks("root", "clang"))


def sh(cmd):
    return subprocess.run(cmd, shell=True, capture_output=True, text=True)


def rows_of(out):
    return [json.loads(l) for l in out.splitlines() if l.startswith("{")]


def records(rows):
    return [r["data"] for r in rows if r.get("type") == "record"]


def elements(rows, name):
    return [(r["key"], r["value"]) for r in rows if r.get("map") == name]


def variables(rows):
    return {r["name"]: r["value"] for r in rows if r.get("type") == "variable"}


compiled = {}


def program(name):
    """An example, compiled once."""
    src = example(name)
    if src not in compiled:
        obj = src[:-1] + "o"
        r = subprocess.run([SKEP, "cc", "-o", obj, src], capture_output=True, text=True,
                           env=env("root"))
        if not ok(r.returncode == 0, f"{name}: compiles", r.stderr):
            return src
        os.chmod(obj, 0o644)
        compiled[src] = obj
    return compiled[src]


def run(name, *cmd, options=(), engine="kernel", **kw):
    """An example with a command: (status, rows, the command's own lines, stderr)."""
    status, out, err = skep(["run", "--json", "--engine", engine, *options, program(name), "--",
                             *cmd], timeout=120, **kw)
    own = [l for l in out.splitlines() if not l.startswith("{")]
    return status, rows_of(out), own, err


def attached(pid):
    """The links that a skep holds."""
    n = 0
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{fd}")
            n += "bpf_link" in target or "bpf-raw-tracepoint" in target
    except OSError:
        pass
    return n


def observe(name, links, work, *options):
    """An example that observes everything while work() is done: (status, rows, stderr)."""
    p = popen(["run", "--json", "--engine", "kernel", *options, program(name)])
    for i in range(600):
        if attached(p.pid) >= links or p.poll() is not None:
            break
        time.sleep(0.1)
    time.sleep(0.5)
    work()
    p.send_signal(signal.SIGINT)
    try:
        out, err = p.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        return -99, [], err + "\n(did not end)"
    return p.returncode, rows_of(out), err


def python(code):
    return ("/usr/bin/python3", "-S", "-c", code)


def clones():
    status, rows, own, err = run("clones", *python(
        "import os,threading\nkids=[]\n"
        "for i in range(4):\n p=os.fork()\n if not p: os._exit(0)\n kids.append(p);"
        "os.waitpid(p,0)\n"
        "t=threading.Thread(target=lambda: print('thread',threading.get_native_id()))\n"
        "t.start();t.join()\nprint('kids',os.getpid(),*kids)"))
    said = {l.split()[0]: list(map(int, l.split()[1:])) for l in own if l.split()}
    got = records(rows)
    is_(status, 0, "clones: exit status", err)
    is_([(r["pid"], r["child"]) for r in got if not r["thread"]],
        [(said["kids"][0], k) for k in said["kids"][1:]] if "kids" in said else None,
        "clones: every child once, in order", rows, err)
    is_([r["child"] for r in got if r["thread"]], said.get("thread"), "clones: the thread")


def unix_bytes():
    status, rows, own, err = run("unix_bytes", *python(
        "import socket\na,b=socket.socketpair()\n"
        "for n in (1,100,5000):\n a.sendall(b'x'*n);b.recv(n,socket.MSG_WAITALL)\n"
        "b.close()\ntry: a.send(b'x')\nexcept BrokenPipeError: pass\n"
        "import os;print(os.getpid(),open('/proc/self/comm').read(),end='')"))
    is_(status, 0, "unix_bytes: exit status", err)
    is_([(f"{k['pid']} {k['comm']}", v) for k, v in elements(rows, "unix_sent")],
        [(l, {"bytes": 5101, "calls": 4, "failed": 1}) for l in own],
        "unix_bytes: who sent, bytes, calls and failures", rows, err)


def tcp_connects():
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    status, rows, own, err = run("tcp_connects", *python(
        f"import socket\nfor i in range(3): socket.create_connection(('127.0.0.1',{port})).close()\n"
        "s=socket.socket()\ntry: s.connect(('240.0.0.1',9))\nexcept OSError as e: print(e.errno)\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.connect(('127.0.0.1',9))"))
    server.close()
    is_(status, 0, "tcp_connects: exit status", err)
    got = [(r["to"], r["port"], r["ret"]) for r in records(rows)]
    is_(got[:3], [([127, 0, 0, 1], port, 0)] * 3, "tcp_connects: three that worked", rows, err)
    is_([(a, p, -r) for a, p, r in got[3:]], [([240, 0, 0, 1], 9, int(own[0]) if own else 0)],
        "tcp_connects: one without a way, and no datagrams", own)


def loop_device(image, megabytes):
    """A loop device of its own over a file in memory: its name and its dev_t."""
    with open(image, "wb") as f:
        f.truncate(megabytes << 20)
    name = sh(f"losetup --show -f {image}").stdout.strip()
    if not name and sh("losetup -f").stdout.strip():
        spare = sh("losetup -f").stdout.strip()
        os.mknod(spare, 0o60600, os.makedev(7, int(spare[9:])))
        name = sh(f"losetup --show -f {image}").stdout.strip()
    number = os.stat(name).st_rdev
    return name, os.major(number) << 20 | os.minor(number)


def writeback():
    device, number = loop_device(f"{dir}/ext4.img", 16)
    there = f"{dir}/mnt"
    os.mkdir(there)
    try:
        made = sh(f"mkfs.ext4 -q -F {device} && mount {device} {there}")
        if not ok(made.returncode == 0, "writeback: a file system to write to", made.stderr):
            return
        inodes = set()

        def work():
            for i in range(3):
                with open(f"{there}/file{i}", "w") as f:
                    f.write("x" * 20000)
                inodes.add(os.stat(f"{there}/file{i}").st_ino)
            os.mkdir(f"{there}/folder")
            sh("sync")

        status, rows, err = observe("writeback", 1, work, "--set", f"device={number}")
        is_(status, 0, "writeback: exit status", err)
        got = elements(rows, "written")
        is_({k["inode"] for k, v in got}, inodes, "writeback: the inodes that sync wrote", rows,
            err)
        ok(all(k["device"] == number and v >= 1 for k, v in got), "writeback: of this device", got)
    finally:
        sh(f"umount {there}; losetup -d {device}")


SLOW_NS = 9_000_000  # of a made-up device's each request


def slow_device():
    """A device of memory whose requests take SLOW_NS or a little more: its name, or None."""
    sh("modprobe configfs; mount -t configfs c /sys/kernel/config; modprobe null_blk nr_devices=0")
    there = "/sys/kernel/config/nullb/skep"
    before = set(os.listdir("/sys/block"))
    try:
        os.mkdir(there)
        for name, value in (("irqmode", 2), ("completion_nsec", SLOW_NS), ("queue_mode", 2),
                            ("size", 4), ("memory_backed", 0), ("power", 1)):
            with open(f"{there}/{name}", "w") as f:
                f.write(str(value))
    except OSError:
        return None
    return "/dev/" + (set(os.listdir("/sys/block")) - before).pop()


def block_latency():
    device, number = loop_device(f"{dir}/loop.img", 4)
    try:
        measure_latency(device, number)
    finally:
        sh(f"losetup -d {device}")
    device = slow_device()
    if not device:
        skip("block_latency: a device of known latency", "no null_blk that can be set up")
        return
    number = os.stat(device).st_rdev
    slots = measure_latency(device, os.major(number) << 20 | os.minor(number))
    first = (SLOW_NS // 1000).bit_length() - 1
    # A busy machine may be late, never early.
    is_([(k, v) for k, v in slots if k < first], [], f"block_latency: none below 2^{first} us")
    ok(sum(v for k, v in slots if k <= first + 2) >= 20,
       f"block_latency: most take less than 2^{first + 3} us", slots)
    with open("/sys/kernel/config/nullb/skep/power", "w") as f:
        f.write("0")
    os.rmdir("/sys/kernel/config/nullb/skep")


def measure_latency(device, number):
    """The histogram's slots that are not empty: of 40 requests, each in exactly one."""
    def work():
        done = sh(f"dd if=/dev/zero of={device} bs=4096 count=24 oflag=direct && "
                  f"dd if={device} of=/dev/null bs=4096 count=16 iflag=direct")
        ok(done.returncode == 0, f"block_latency: 24 writes and 16 reads of {device}", done.stderr)

    status, rows, err = observe("block_latency", 2, work, "--set", f"device={number}")
    is_(status, 0, "block_latency: exit status", err)
    slots = [(k, v) for k, v in elements(rows, "latency_us_hist") if v]
    is_(sum(v for k, v in slots), 40, "block_latency: 40 requests in the histogram", rows, err)
    is_(elements(rows, "issued"), [], "block_latency: none is left open")
    return slots


def execs():
    command = ("sh", "-c", "/bin/echo one 'two three' four; /nonexistent/x y; /bin/true; :")
    want = [("/bin/echo one two three four", 0), ("/nonexistent/x y", -2), ("/bin/true", 0)]
    for who, engine in (("root", "kernel"), ("nobody", "user")):
        status, rows, own, err = run("execs", *command, engine=engine, who=who)
        is_(status, 0, f"execs in the {engine} engine: exit status", err)
        got = [(r["args"], r["ret"]) for r in records(rows)]
        is_([g for g in got if not g[0].startswith("sh -c")], want,
            f"execs in the {engine} engine: arguments and results", rows, err)


def unlinks():
    status, rows, own, err = run("unlinks", "sh", "-c",
                                 "touch a1 a2; rm a1 a2; rm -f nothing; exec rm nothing2")
    is_([(r["path"], r["ret"]) for r in records(rows)],
        [("a1", 0), ("a2", 0)] + [(r["path"], -2) for r in records(rows)[2:]],
        "unlinks: names and return values", rows, err)
    ok(len(records(rows)) >= 2, "unlinks: both were seen")
    is_(variables(rows).get("begun", 0), len(records(rows)), "unlinks: as many entries as returns")
    status, rows, own, err = run("unlinks", *python(
        "import os\nfor i in range(5):\n try: os.unlink('/tmp/skep-none-%d' % i)\n"
        " except FileNotFoundError: pass"))
    is_([(r["path"], r["ret"]) for r in records(rows)],
        [(f"/tmp/skep-none-{i}", -2) for i in range(5)], "unlinks: five that fail, exactly", err)


def deny_open():
    secret = f"{dir}/secret"
    for path in (secret, f"{dir}/open"):
        with open(path, "w") as f:
            f.write("text\n")
    # Somebody else, who must not be hindered: opens it when told, between two of our refusals.
    ask, told = f"{dir}/ask", f"{dir}/told"
    os.mkfifo(ask)
    os.mkfifo(told)
    other = subprocess.Popen(python(
        f"ask=open({ask!r}); told=open({told!r}, 'w', buffering=1)\n"
        "for line in ask:\n"
        f" try: f=open({secret!r}); print(f.read().strip(), file=told)\n"
        " except OSError as e: print(e.errno, file=told)"))
    status, rows, own, err = run("deny_open", *python(
        f"ask=open({ask!r}, 'w', buffering=1); told=open({told!r})\n"
        "def mine(p):\n"
        " try: open(p).close(); print(0)\n"
        " except OSError as e: print(e.errno)\n"
        f"for i in range(3):\n mine({secret!r}); print('open', file=ask)\n"
        f" print(told.readline().strip()); mine({f'{dir}/open'!r})\nmine({secret!r})"),
        options=("--set", f"inode={os.stat(secret).st_ino}"))
    other.kill()
    other.wait()
    is_(own, ["13", "text", "0"] * 3 + ["13"],
        "deny_open: EACCES for the one file, while another process reads it", err)
    is_(variables(rows).get("denied"), 4, "deny_open: denied as often as asked", rows, err)
    with open(secret) as f:
        is_(f.read(), "text\n", "deny_open: afterwards the file is open to all")


NEEDS = {
    clones: ("kprobe",), unix_bytes: ("kprobe",), tcp_connects: ("kprobe",),
    writeback: ("kprobe", "loop", "ext4", "mkfs.ext4"), block_latency: ("fentry", "loop"),
    execs: (), unlinks: ("fentry",), deny_open: ("lsm",),
}
wanted = sys.argv[1:]
for test, needs in NEEDS.items():
    if wanted and test.__name__ not in wanted:
        continue
    program(test.__name__)  # other kernels may have what this one lacks
    why = lacks(*needs)
    if why:
        skip(test.__name__, why)
        continue
    try:
        test()
    except Exception as e:  # the others still run
        import traceback
        ok(False, f"{test.__name__}: runs to its end", traceback.format_exc(), e)
done()
