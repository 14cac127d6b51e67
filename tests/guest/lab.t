#!/usr/bin/python3
"""scripts/guest itself: what it does when things go wrong.

LAB_KERNEL=6.1 takes another kernel than 6.12.  Each case boots one: this runs
in scripts/check-guest only, or by hand.
"""
import glob
import os
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

    p = guest("--shell", env=env)
    said = ""
    while "# " not in said:  # what is typed before the prompt is lost
        c = p.stdout.read(1)
        if not c:
            break
        said += c
    status, out, err = ended(p, "uname -r\nexit 3\n")
    ok(status == 3 and KERNEL + "." in out, "--shell: a shell that ends as told", status, out, err)

    p = guest("--", "sleep", "1000", env=env, start_new_session=True)
    mine = machine(p)
    os.killpg(p.pid, signal.SIGINT)
    status, out, err = ended(p)
    ok(mine and status == 130, "Ctrl-C ends it", mine, status, err)
    ok(not any(map(runs, mine)), "... with its guest", mine)

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
print(f"1..{number}")
sys.exit(bool(failed))
