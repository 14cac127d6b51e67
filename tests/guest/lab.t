#!/usr/bin/python3
"""scripts/guest itself: what it does when things go wrong.

LAB_KERNEL=6.1 takes another kernel than 6.12.  Each case boots one: this runs
in scripts/check-guest only, or by hand.
"""
import glob
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
KERNEL = os.environ.get("LAB_KERNEL", "6.12")
number = failed = 0

if "SKEP_KEPT" not in os.environ and not sys.argv[1:]:
    print("1..0 # SKIP make check-guest runs this")
    sys.exit(0)
if "SKEP_GUEST" in os.environ:
    print("1..0 # SKIP it boots guests, and this is one")
    sys.exit(0)


def ok(good, what, *why):
    global number, failed
    number += 1
    failed += not good
    print(f"{'ok' if good else 'not ok'} {number} - {what}")
    for w in why if not good else ():
        for line in str(w).splitlines()[-20:]:
            print("#  ", line)
    sys.stdout.flush()


def guest(*args, **kw):
    return subprocess.Popen([f"{TOP}/scripts/guest", KERNEL, *args], cwd=TOP,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, errors="replace", **kw)


def ended(p, send=None):
    try:
        out, err = p.communicate(send, timeout=300)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
    return p.returncode, out, err


def children(pid):
    r = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(x) for x in r.stdout.split()]


def runs(pid):
    """Whether it does: nobody may be there to reap what is orphaned and dead."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def machine(p):
    """The processes that emulate @p's guest, a moment after they began."""
    for i in range(600):
        mine = []
        for c in children(p.pid):
            try:
                with open(f"/proc/{c}/comm") as f:
                    mine += [c] if f.read().startswith("qemu") else []
            except OSError:
                pass  # gone
        if mine:
            break
        time.sleep(0.1)
    time.sleep(1)
    return mine


def type_at(fd, *steps):
    """Types at a terminal what each of the @steps (pattern, keys) says once it saw the pattern."""
    said, at = "", 0
    for pattern, keys in (*steps, (None, "")):
        while pattern is None or not re.search(pattern, said[at:]):
            try:
                got = os.read(fd, 1000).decode(errors="replace")
            except OSError:  # nobody has it open any more
                return said
            said += got
        at = len(said)
        os.write(fd, keys.encode())
    return said


with tempfile.TemporaryDirectory() as tmp:
    env = dict(os.environ, TMPDIR=tmp, SKEP_GUEST_OUT=f"{tmp}/out")

    # All at once would be faster, but two processors have other guests to run.
    status, out, err = ended(guest("--", "sh", "-c", "uname -r; echo file > $SKEP_GUEST_OUT/left; "
                                   "echo x > /etc/skep-guest-was-here; id -u; exit 7", env=env))
    ok(status == 7, "a command's exit status comes back", status, err)
    lines = out.split()
    ok(len(lines) == 2 and lines[0].startswith(KERNEL + ".") and lines[1] == "0",
       "it ran as root on that kernel, and what it prints comes back", out, err)
    ok(os.path.exists(f"{tmp}/out/left"), "files come back")
    ok(not os.path.exists("/etc/skep-guest-was-here"), "what it wrote to / stayed there")

    status, out, err = ended(guest("--timeout", "10", "--", "sh", "-c",
                                   "echo before; echo said > $SKEP_GUEST_OUT/early; "
                                   "echo the console > /dev/console; sleep 1000", env=env))
    ok(status == 125 and "no answer within 10 s" in err, "a guest that hangs is ended", status, err)
    ok("the console" in err, "... with its console", err)
    ok("before" in out and os.path.exists(f"{tmp}/out/early"), "... and what there was until then",
       out)

    status, out, err = ended(guest("--", "sh", "-c", "echo 1 > /proc/sys/kernel/sysrq; "
                                   "echo c > /proc/sysrq-trigger; sleep 100", env=env))
    ok(status == 125 and "the kernel failed" in err, "a panic fails the run", status, err)
    ok("sysrq_handle_crash" in err and "Call Trace" in err, "... and shows the trace", err)

    status, out, err = ended(guest("--", "sh", "-c", "echo '<1>BUG: made up' > /dev/kmsg; true",
                                   env=env))
    ok(status == 125 and "BUG: " in err, "an oops fails a command that succeeded", status, err)

    # On a terminal, where Ctrl-C is for the command in the guest.
    us, them = pty.openpty()
    p = subprocess.Popen([f"{TOP}/scripts/guest", KERNEL, "--shell"], cwd=TOP, env=env, stdin=them,
                         stdout=them, stderr=them, start_new_session=True)
    os.close(them)
    said = type_at(us, ("# ", "uname -r; cat\n"), (r"\n%s\.\S+" % re.escape(KERNEL), "\x03"),
                   ("# ", "echo $((40+2)); exit 3\n"))
    status = p.wait(60)
    ok(status == 3 and "42" in said, "--shell: a terminal, its Ctrl-C, a shell that ends as told",
       status, said)

    p = guest("--", "sleep", "1000", env=env, start_new_session=True)
    mine = machine(p)
    os.killpg(p.pid, signal.SIGINT)
    status, out, err = ended(p)
    ok(mine and status == 130, "Ctrl-C ends it", mine, status, err)
    ok(not any(map(runs, mine)), "... with its guest", mine)

    p = guest("--", "sleep", "1000", env=env)
    mine = machine(p)
    p.terminate()
    status, out, err = ended(p)
    ok(mine and status == 130 and not any(map(runs, mine)), "SIGTERM, too", mine, status, err)

    p = guest("--", "sleep", "1000", env=env)
    mine = machine(p)
    p.kill()
    ended(p)
    for i in range(300):  # it has two gigabytes to give back
        if not any(map(runs, mine)):
            break
        time.sleep(0.1)
    ok(mine and not any(map(runs, mine)), "kill -9 of it ends its guest, too", mine)
    left = [x for x in glob.glob(f"{tmp}/skep-guest.*")]
    ok(len(left) <= 1, "only kill -9 leaves a folder in $TMPDIR", left)

    r = subprocess.run([f"{TOP}/scripts/guest", "5.4", "--", "true"], capture_output=True, text=True)
    ok(r.returncode == 125 and "known: 6.1, 6.12" in r.stderr, "an unknown kernel", r.stderr)

    # A cache that cannot be filled: no boots from here on.
    def fetch(**more):
        r = subprocess.run([f"{TOP}/scripts/guest", "--fetch", KERNEL], capture_output=True,
                           text=True, env=dict(env, **more))
        return r.returncode, r.stdout, r.stderr

    shutil.copy("/bin/true", f"{tmp}/file")
    status, out, err = fetch(SKEP_GUEST_CACHE=f"{tmp}/file/cache")
    ok(status == 125 and "SKEP_GUEST_CACHE" in err and "Traceback" not in err,
       "a cache that cannot be", status, err)
    os.mkdir(f"{tmp}/bin")
    for name, does in (("apt-get", "echo no network >&2; exit 1"),
                       ("apt-cache", f"echo ' Depends: linux-image-{KERNEL}.999-amd64'")):
        with open(f"{tmp}/bin/{name}", "w") as f:
            f.write(f"#!/bin/sh\n{does}\n")
        os.chmod(f"{tmp}/bin/{name}", 0o755)
    path = f"{tmp}/bin:{os.environ['PATH']}"
    status, out, err = fetch(SKEP_GUEST_CACHE=f"{tmp}/cache", PATH=path)
    ok(status == 125 and "could not fetch" in err and "no network" in err, "nothing to be had",
       status, err)
    old = f"{tmp}/cache/linux-image-{KERNEL}.1-amd64"
    os.mkdir(old)
    status, out, err = fetch(SKEP_GUEST_CACHE=f"{tmp}/cache", PATH=path)
    ok(status == 0 and out.strip() == old and "fetched before" in err,
       "no network, but a kernel from before", status, out, err)
    with open(f"{tmp}/bin/apt-get", "w") as f:
        f.write("#!/bin/sh\n[ $1 != download ] || echo half >$2.deb\n")
    os.rmdir(old)
    status, out, err = fetch(SKEP_GUEST_CACHE=f"{tmp}/cache", PATH=path)
    ok(status == 125 and "could not fetch" in err and not os.listdir(f"{tmp}/cache"),
       "a package that cannot be unpacked leaves nothing", status, err)

    # What scripts/check-guest makes of results.
    def table(**taps):
        """Its status and words; @taps: KERNEL=text of x/t.t, or None: the kernel ended in it."""
        shutil.rmtree(f"{tmp}/guest", ignore_errors=True)
        for kernel, text in taps.items():
            there = f"{tmp}/guest/{kernel}"
            os.makedirs(there)
            with open(f"{there}/x-t.t.root.tap", "w") as f:
                f.write(text or "ok 1 - a\n")
            if text:
                with open(f"{there}/x-t.t.root.json", "w") as f:
                    f.write('{"test": "x/t.t", "user": "root", "status": 0, "hung": %s, '
                            '"seconds": 9}' % ("true" if "1.." not in text else "false"))
        r = subprocess.run([f"{TOP}/scripts/check-guest", "--table"], capture_output=True,
                           text=True, env=dict(env, BUILD=tmp))
        return r.returncode, r.stdout + r.stderr

    def three(host, old, new):
        return table(**{"host": host, "6.1": old, "6.12": new})

    ran, left_out = "ok 1 - a\n1..1\n", "ok 1 - a # SKIP no a here\n1..1\n"
    status, out = three(left_out, ran, left_out)
    ok(status == 0 and "6.12  x/t.t (root): a: no a here" in out, "a skip here and there", out)
    status, out = three(left_out, left_out, left_out)
    ok(status == 1 and "skipped on every kernel: x/t.t as root: a" in out,
       "a skip everywhere is a failure", status, out)
    status, out = three(ran, "1..0 # SKIP none\n", ran)
    ok(status == 0, "a whole test skipped here and there", out)
    status, out = three(*["1..0 # SKIP none\n"] * 3)
    ok(status == 1 and "x/t.t as root: all of it" in out, "... and everywhere", status, out)
    for bad, why in (("not ok 1 - a\n1..1\n", "failed"), ("ok 1 - a\n1..2\n", "planned 2, ran 1"),
                     ("ok 1 - a\n", "hung: ended after 9 s"),
                     (None, "was running when the kernel ended")):
        status, out = three(ran, ran, bad)
        ok(status == 1 and f": {why}" in out and "FAILED: 6.12" in out, f"a test that {why}",
           status, out)
print(f"1..{number}")
sys.exit(bool(failed))
