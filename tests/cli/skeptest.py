# What the tests of the command line share: TAP, running skep as root or as
# nobody, golden files.  "TEST --bless" (or BLESS=1) rewrites the golden files.
import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import *  # noqa: E402

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
GOLDEN = os.path.join(TOP, "tests", "cli", "golden")
BLESS = "--bless" in sys.argv or bool(os.environ.get("BLESS"))
ROOT = os.geteuid() == 0
NOBODY = 65534

blessed = set()
dir = tempfile.mkdtemp(prefix="skep-cli.")
os.chmod(dir, 0o755)
atexit.register(shutil.rmtree, dir, ignore_errors=True)


def copy_skep():
    """The binary and the examples where nobody can read them."""
    shutil.copy(os.environ.get("SKEP", os.path.join(TOP, "build", "skep")), dir + "/skep")
    os.chmod(dir + "/skep", 0o755)
    shutil.copytree(os.path.join(TOP, "examples"), dir + "/examples")
    return dir + "/skep"


SKEP = copy_skep()
for who in ("root", "nobody"):
    os.mkdir(f"{dir}/{who}")
    if ROOT:
        os.chown(f"{dir}/{who}", 0 if who == "root" else NOBODY, -1)


def env(who, **more):
    e = {"PATH": os.environ["PATH"], "XDG_CACHE_HOME": f"{dir}/{who}", "LANG": "C",
         "HOME": "/nonexistent", "TMPDIR": f"{dir}/{who}"}
    # SKEP_KEPT: what was compiled for the guests (tests/guest/bin/kept).
    e.update({k: os.environ[k] for k in ("ASAN_OPTIONS", "SKEP_KEPT", "SKEP_GUEST", "GCOV_PREFIX")
              if k in os.environ})
    if who == "nobody" and ROOT and "GCOV_PREFIX" in e:
        e["GCOV_PREFIX"] += ".nobody"
    e.update(more)
    return e


def drop():
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def popen(args, who="root", **kw):
    if who == "nobody" and ROOT:
        kw["preexec_fn"] = drop
    kw.setdefault("cwd", f"{dir}/{who}")
    kw.setdefault("env", env(who))
    kw.setdefault("stdout", subprocess.PIPE)
    kw.setdefault("stderr", subprocess.PIPE)
    return subprocess.Popen([SKEP] + args, stdin=subprocess.DEVNULL, text=True, **kw)


def skep(args, who="root", timeout=60, **kw):
    """Runs skep: (status, stdout, stderr)."""
    p = popen(args, who, **kw)
    try:
        out, err = p.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        p.kill()
        out, err = p.communicate()
        return -99, out or "", (err or "") + "\n(did not end)"
    return p.returncode, out, err


def example(name):
    return f"{dir}/examples/{name}.bpf.c"


def build_target(static):
    """The observed command, in each user's folder with the files that it reads."""
    for who in ("root", "nobody"):
        there = f"{dir}/{who}"
        cmd = ["cc", "-O1", "-w", "-o", there + "/target", TOP + "/tests/cli/target.c"]
        if subprocess.run(cmd + (["-static"] if static else []), capture_output=True).returncode:
            return False
        with open(there + "/one", "w") as f:
            f.write("x" * 5000)
        open(there + "/two", "w").close()
    return True


def pid_of(who):
    with open(f"{dir}/{who}/pid") as f:
        return int(f.read())


def forget_pid(who):
    if os.path.exists(f"{dir}/{who}/pid"):
        os.unlink(f"{dir}/{who}/pid")


def wait_pid(who, seconds=30):
    """Until the observed command is through with its calls."""
    path = f"{dir}/{who}/pid"
    for i in range(seconds * 20):
        if os.path.exists(path) and os.path.getsize(path) == 7:
            time.sleep(0.2)
            return
        time.sleep(0.05)


def plain(text, pid=None):
    """Blanks collapsed, the observed process's id replaced."""
    lines = []
    for line in text.splitlines():
        if pid:
            line = re.sub(rf"\b{pid}\b", "PID", line)
        lines.append(re.sub(r"\s+", " ", line).strip())
    return "\n".join(lines).strip() + "\n"


def golden(name, text, what, *why):
    path = os.path.join(GOLDEN, name + ".txt")
    # The first to come sets it, so that a blessed run still compares the engines.
    if BLESS and name not in blessed:
        blessed.add(name)
        with open(path, "w") as f:
            f.write(text)
    with open(path) as f:
        want = f.read()
    return ok(text == want, what, "--- got", text, "--- want", want, *why)


def bpf_ids():
    """Ids of all programs and links of the kernel, if bpftool is there."""
    ids = set()
    for kind in ("prog", "link"):
        r = subprocess.run(["bpftool", "-j", kind, "list"], capture_output=True, text=True)
        for o in json.loads(r.stdout or "[]"):
            if "id" in o:  # else an error: it ended while bpftool looked
                ids.add((kind, o["id"], o.get("name", o.get("type"))))
    return ids
