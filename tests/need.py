#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a test needs, found by trying the thing and never by the kernel's version.

    tests/need.py kprobe netns     exit status 0; else 1 and the reason on stdout
    from need import lacks         lacks("kprobe") -> None, or the reason

Nothing of skep is asked: a defect of skep must fail a test, not skip it.
A name that is not in the table is a program to be found in PATH.
"""
import ctypes
import os
import shutil
import struct
import subprocess
import sys

libc = ctypes.CDLL(None, use_errno=True)
machine = os.uname().machine
SYS_BPF, SYS_PERF = {"x86_64": (321, 298)}.get(machine, (280, 241))
PROG_LOAD, RAW_TRACEPOINT_OPEN, LINK_CREATE = 5, 17, 28
KPROBE, TRACING, LSM = 2, 26, 29
FENTRY, LSM_MAC, KPROBE_MULTI = 24, 27, 42
GETPGID = {"x86_64": "__x64_sys_getpgid"}.get(machine, "__arm64_sys_getpgid")
EXIT_0 = struct.pack("<BBhiBBhi", 0xb7, 0, 0, 0, 0x95, 0, 0, 0)
opened = []  # closed with the process


def call(nr, *args):
    """(result or -errno)"""
    ret = libc.syscall(ctypes.c_long(nr), *[ctypes.c_long(a) if isinstance(a, int) else a
                                            for a in args])
    if ret >= 0:
        opened.append(ret)
        return ret
    return -ctypes.get_errno()


def bpf(cmd, attr):
    attr = attr.ljust(144, b"\0")
    return call(SYS_BPF, cmd, ctypes.create_string_buffer(attr, len(attr)), len(attr))


def load(kind, insns=EXIT_0, attach=0, btf_id=0):
    """(fd or -errno, the verifier's log)"""
    code = ctypes.create_string_buffer(insns, len(insns))
    log = ctypes.create_string_buffer(16384)
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("<IIQQIIQII", kind, len(insns) // 8, ctypes.addressof(code),
                       ctypes.addressof(licence), 1, len(log), ctypes.addressof(log), 0, 0)
    attr += bytes(16) + struct.pack("<II", 0, attach) + bytes(36) + struct.pack("<I", btf_id)
    return bpf(PROG_LOAD, attr), log.value.decode(errors="replace")


def btf_func(name):
    """The id of a function among the kernel's types; 0: not there."""
    with open("/sys/kernel/btf/vmlinux", "rb") as f:
        b = f.read()
    _, _, _, hdr, type_off, type_len, str_off, _ = struct.unpack_from("<HBBIIIII", b)
    want = b.find(b"\0" + name.encode() + b"\0", hdr + str_off) + 1 - hdr - str_off
    # Bytes that follow the common 12, by kind and number of members.
    extra = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0),
             15: (0, 12), 17: (4, 0), 19: (0, 12)}
    at, end, n = hdr + type_off, hdr + type_off + type_len, 0
    while at < end:
        n += 1
        name_off, info = struct.unpack_from("<II", b, at)
        kind = info >> 24 & 31
        if kind == 12 and name_off == want:
            return n
        fixed, each = extra.get(kind, (0, 0))
        at += 12 + fixed + each * (info & 0xffff)
    return 0


def root():
    return None if os.geteuid() == 0 else "not root"


def typed(kind, attach, function, what):
    if root():
        return root()
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        return "this kernel shows no types"
    btf_id = btf_func(function)
    if not btf_id:
        return f"this kernel's types have no {function}"
    fd, log = load(kind, attach=attach, btf_id=btf_id)
    if fd < 0:
        return f"this kernel does not load {what}: {os.strerror(-fd)} {log.strip()}"
    ret = bpf(RAW_TRACEPOINT_OPEN, struct.pack("<QI", 0, fd))
    return None if ret >= 0 else f"this kernel does not attach {what}: {os.strerror(-ret)}"


def perf_probe(device, config1):
    """Opens an event of a dynamic probe."""
    try:
        with open(f"/sys/bus/event_source/devices/{device}/type") as f:
            kind = int(f.read())
    except OSError:
        return f"this kernel has no {device}s"
    name = ctypes.create_string_buffer(config1.encode())
    attr = struct.pack("<II", kind, 112) + bytes(48) + struct.pack("<QQ", ctypes.addressof(name), 0)
    attr = attr.ljust(112, b"\0")
    ret = call(SYS_PERF, ctypes.create_string_buffer(attr, 112), -1, 0, -1, 8)
    return None if ret >= 0 else f"no {device} here: {os.strerror(-ret)}"


def kprobe_multi():
    if root():
        return root()
    fd, _ = load(KPROBE, attach=KPROBE_MULTI)
    if fd < 0:
        return "this kernel has no kprobe.multi programs"
    names = (ctypes.c_char_p * 1)(GETPGID.encode())
    ret = bpf(LINK_CREATE, struct.pack("<IIIIIIQQQ", fd, 0, KPROBE_MULTI, 0, 0, 1,
                                       ctypes.addressof(names), 0, 0))
    return None if ret >= 0 else f"this kernel has no fprobes: {os.strerror(-ret)}"


def uprobe_session():
    """Such a link exists only among others' numbers: the kernel's types tell it."""
    with open("/sys/kernel/btf/vmlinux", "rb") as f:
        return None if b"\0BPF_TRACE_UPROBE_SESSION\0" in f.read() else \
            "this kernel has no uprobe sessions"


def helper(number):
    """Whether the verifier knows a helper: it says so before it looks at arguments."""
    if root():
        return root()
    _, log = load(KPROBE, struct.pack("<BBhi", 0x85, 0, 0, number) + EXIT_0)
    unknown = "invalid func" in log or "unknown func" in log
    return f"this kernel has no helper {number}" if unknown else None


def runs(*command):
    r = subprocess.run(command, capture_output=True, text=True)
    return None if r.returncode == 0 else f"'{' '.join(command)}': {r.stderr.strip()[:100]}"


def loop():
    """A loop device can be had (the guests' kernels have it as a module)."""
    if root():
        return root()
    subprocess.run(["modprobe", "loop"], capture_output=True)
    if not os.path.exists("/dev/loop-control"):
        return "this kernel has no loop devices"
    return runs("losetup", "-f")


def ext4():
    subprocess.run(["modprobe", "ext4"], capture_output=True)
    with open("/proc/filesystems") as f:
        return None if "\text4\n" in f.read() else "this kernel has no ext4"


NEEDS = {
    "root": root,
    "kprobe": lambda: perf_probe("kprobe", GETPGID),
    "uprobe": lambda: None if os.path.exists("/sys/bus/event_source/devices/uprobe/type")
    else "this kernel has no uprobes",
    "kprobe_multi": kprobe_multi,
    "uprobe_session": uprobe_session,
    "fentry": lambda: typed(TRACING, FENTRY, GETPGID, "fentry"),
    "lsm": lambda: typed(LSM, LSM_MAC, "bpf_lsm_file_open", "lsm"),
    "bpf_loop": lambda: helper(181),
    "netns": lambda: runs("unshare", "-n", "true"),
    "loop": loop,
    "ext4": ext4,
}


def lacks(*names):
    """The first reason why something of @names is not to be had; None: all is there."""
    for name in names:
        why = NEEDS[name]() if name in NEEDS else \
            None if shutil.which(name) else f"no {name}"
        if why:
            return why
    return None


if __name__ == "__main__":
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    reason = lacks(*sys.argv[1:])
    if reason:
        print(reason)
    sys.exit(1 if reason else 0)
