# The BPF objects of other people's Debian packages, read at test time.
#
# libbpf-tools carry theirs inside of their binaries: an ELF image of machine
# BPF (247), whose length is where its section headers end.  The others are files.
import os
import struct
import subprocess

PACKAGES = ("libbpf-tools", "xdp-tools", "libxdp1", "ir-keytable")


def images(data):
    """every BPF object embedded in `data`"""
    at = data.find(b"\x7fELF\x02\x01", 1)
    while at >= 0:
        if len(data) - at >= 64:
            kind, machine = struct.unpack_from("<HH", data, at + 16)
            shoff, = struct.unpack_from("<Q", data, at + 40)
            entsize, num = struct.unpack_from("<HH", data, at + 58)
            end = shoff + entsize * num
            if kind == 1 and machine == 247 and entsize == 64 and at + end <= len(data):
                yield data[at:at + end]
        at = data.find(b"\x7fELF\x02\x01", at + 1)


def files(package):
    got = subprocess.run(["dpkg", "-L", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                         text=True)
    return sorted(f for f in set(got.stdout.splitlines())
                  if os.path.isfile(f) and not os.path.islink(f))


def commands(package):
    """(names of the programs that `package` installs, names that are links to them)"""
    got = subprocess.run(["dpkg", "-L", package], stdout=subprocess.PIPE, text=True)
    paths = [f for f in got.stdout.splitlines() if os.path.dirname(f).endswith("bin")
             and os.path.isfile(f)]
    return ({os.path.basename(f) for f in paths if not os.path.islink(f)},
            {os.path.basename(f) for f in paths if os.path.islink(f)})


def extract(to):
    """{package: [(name, path of the object)]}, those in binaries written under `to`"""
    found = {}
    for package in PACKAGES:
        seen, objs = set(), []
        for path in files(package):
            with open(path, "rb") as f:
                data = f.read()
            if data[:4] != b"\x7fELF":
                continue
            name = os.path.basename(path)
            if data[18:20] == b"\xf7\0":
                objs.append((name, path))
                continue
            for n, image in enumerate(images(data)):
                if image in seen:
                    continue
                seen.add(image)
                out = f"{to}/{package}-{name}{'-%d' % n if n else ''}.o"
                with open(out, "wb") as f:
                    f.write(image)
                objs.append((name + ("-%d" % n if n else ""), out))
        found[package] = objs
    return found


def build_oracle(out):
    """libbpf's loader as a program; None, or why it cannot be had"""
    cc = subprocess.run(["cc", "-O1", "-Wall", "-Werror", "tests/obj/oracle.c", "-o", out, "-lbpf",
                         "-ldl"], stderr=subprocess.PIPE, text=True)
    return cc.stderr.splitlines()[0] if cc.returncode else None


class Seen:
    """what a loader did with an object: programs, in order, as (head, state, instructions)"""

    def __init__(self, command):
        # tracefs is for libbpf, which attaches tracepoints by the numbers found there;
        # the network is for XDP programs
        got = subprocess.run(["unshare", "-m", "-n", "sh", "-c", "ip link set lo up; "
                              "mount -t tracefs t /sys/kernel/tracing; mount -t bpf b /sys/fs/bpf; "
                              'CORPUS_DEVICE=lo exec "$0" "$@"', *command],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
        self.progs, self.attached, self.open, self.load = [], {}, None, None
        self.maps = set()
        self.status = got.returncode
        for line in got.stdout.decode(errors="replace").splitlines():
            if line.startswith("prog "):
                head, state = line.split(": ", 1)
                self.progs.append((head, state, []))
            elif line.startswith("attach "):
                name, state = line[7:].split(": ", 1)
                self.attached[name] = state
            elif line.startswith("map "):
                self.maps.add(line[4:])
            elif line.startswith("open: "):
                self.open = line[6:]
            elif line.startswith("load: "):
                self.load = line[6:]
            elif self.progs:
                self.progs[-1][2].append(line)


if __name__ == "__main__":
    import sys
    for package, objs in extract(sys.argv[1]).items():
        print(package, len(objs), "objects")
        for name, path in objs:
            print(" ", name, path)
