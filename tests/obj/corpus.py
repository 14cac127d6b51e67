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


if __name__ == "__main__":
    import sys
    for package, objs in extract(sys.argv[1]).items():
        print(package, len(objs), "objects")
        for name, path in objs:
            print(" ", name, path)
