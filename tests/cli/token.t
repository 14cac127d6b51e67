#!/usr/bin/python3
# BPF tokens: in a user namespace, where no capability counts for bpf(2), what
# an administrator delegated through a BPF file system is enough to run programs
# (Documentation of the options: kernel/bpf/inode.c; Linux 6.9).
import array
import ctypes
import os
import shutil
import socket
import subprocess
import sys
import tempfile

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path[:0] = [TESTS]
from need import lacks  # noqa: E402
from tap import *  # noqa: E402

SKEP = os.path.abspath(os.environ.get("SKEP", "build/skep"))
libc = ctypes.CDLL(None, use_errno=True)
MOVE_MOUNT, FSOPEN, FSCONFIG, FSMOUNT = 429, 430, 431, 432  # the same everywhere
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
SET_STRING, CMD_CREATE = 1, 6


def call(nr, *args):
    ret = libc.syscall(ctypes.c_long(nr), *[ctypes.c_long(a) if isinstance(a, int) else
                                            ctypes.c_char_p(a) for a in args])
    if ret < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return ret


def delegate(fs, options):
    """As root of the machine: what the file system of the namespace hands out."""
    for key, value in options.items():
        call(FSCONFIG, fs, SET_STRING, key.encode(), value.encode(), 0)
    call(FSCONFIG, fs, CMD_CREATE, 0, 0, 0)


def inside(to_parent, folder, command, environ):
    """The child: a user namespace, a BPF file system of its own, then @command."""
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNS):
        os._exit(90)
    to_parent.send(b"u")
    to_parent.recv(1)  # ids are mapped
    fs = call(FSOPEN, b"bpf", 0)
    to_parent.sendmsg([b"f"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fs]))])
    if to_parent.recv(1) != b"y":
        os._exit(91)
    mount = call(FSMOUNT, fs, 0, 0)
    call(MOVE_MOUNT, mount, b"", -100, folder.encode(), 4)  # MOVE_MOUNT_F_EMPTY_PATH
    got = subprocess.run(command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, timeout=120)
    to_parent.send(got.stdout[:60000] + bytes([got.returncode]))


def run(folder, command, options, **environ):
    """(status, output), or (None, why it cannot be)"""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(150)
    pid = os.fork()
    if not pid:
        ours.close()
        try:
            inside(theirs, folder, command, dict(os.environ, **environ))
            os._exit(0)
        except BaseException as e:
            theirs.send(b"E" + str(e).encode() + bytes([93]))
            os._exit(92)
    theirs.close()
    try:
        if ours.recv(1) != b"u":
            return None, "no user namespaces"
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{name}", "w") as f:
                f.write("0 0 1")
        ours.send(b"m")
        _, rights, _, _ = ours.recvmsg(100, socket.CMSG_SPACE(4))
        if not rights:
            return None, "no BPF file system in user namespaces"
        fs = array.array("i", rights[0][2])[0]
        try:
            delegate(fs, options)
        except OSError as e:
            ours.send(b"n")
            return None, f"nothing can be delegated here: {e}"
        finally:
            os.close(fs)
        ours.send(b"y")
        said = ours.recv(65536)
        return said[-1], said[:-1].decode(errors="replace")
    finally:
        ours.close()
        os.waitpid(pid, 0)


if lacks("root", "clang"):
    skip_all(lacks("root", "clang"))
ALL = {f"delegate_{what}": "any" for what in ("cmds", "maps", "progs", "attachs")}
with tempfile.TemporaryDirectory() as tmp:
    os.chmod(tmp, 0o755)
    folder, obj = f"{tmp}/bpf", f"{tmp}/raw_tp.o"
    os.mkdir(folder)
    kept = os.environ.get("SKEP_TEST_OBJECTS", tmp) + "/caps-raw_tp.o"
    if os.path.exists(kept):
        shutil.copy(kept, obj)
    else:
        subprocess.run(["clang", "-O2", "-g", "-target", "bpf",
                        f"-I/usr/include/{os.uname().machine}-linux-gnu",
                        '-DSECTION="raw_tp/sys_enter"', "-DRETURN=0", "-c",
                        TESTS + "/cli/caps.bpf.c", "-o", obj], check=True)
    skep = [SKEP, "run", "--engine", "kernel"]
    command = [obj, "--", "true"]
    status, said = run(folder, [*skep, "--token", folder, *command], ALL)
    if status is None:
        skip_all(said)
    ok(status == 0 and "counts" in said, "--token: a program runs that all is delegated for", said)
    status, said = run(folder, [*skep, *command], ALL, LIBBPF_BPF_TOKEN_PATH=folder)
    ok(status == 0 and "counts" in said, "libbpf's variable says the same", said)
    status, said = run(folder, [*skep, *command], ALL)
    ok(status == 1 and "of a user namespace" in said, "without: refused, and why",
       said)
    status, said = run(folder, [*skep, "--token", folder, *command],
                       dict(ALL, delegate_progs="socket_filter"))
    ok(status == 1 and "the BPF token does not cover it" in said,
       "a type of program that is not delegated is refused", said)
    status, said = run(folder, [*skep, "--token", folder, *command], {})
    ok(status == 1 and "nothing is delegated" in said, "nothing delegated: the sentence says so",
       said)
    status, said = run(folder, [*skep, "--token", tmp, *command], ALL)
    ok(status == 1 and "no BPF file system" in said, "another file system: the sentence says so",
       said)
    status, said = run(folder, [SKEP, "run", "--token", folder, *command], ALL)
    ok(status == 0 and "counts" in said and "own engine" not in said,
       "with a token the kernel is the default engine", said)
done()
