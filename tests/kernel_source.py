#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The kernel's own BPF selftests, of Debian's package linux-source-6.12.

    tests/kernel_source.py      the directory, or status 1 and the reason on stdout
    from kernel_source import selftests, lacks

They are unpacked once into $SKEP_SOURCE_CACHE (default ~/.cache/skep-source),
which takes a quarter of a minute, and never copied into this tree.
"""
import os
import subprocess
import sys
import tempfile
import zlib

TAR = "/usr/src/linux-source-6.12.tar.xz"
TOP = "linux-source-6.12"
BELOW = f"{TOP}/tools/testing/selftests/bpf"
# What the selftests include from elsewhere in tools/.
WANT = [f"{BELOW}/*.[ch]", f"{TOP}/tools/lib/bpf/*.h", f"{TOP}/tools/include/uapi/linux/*.h",
        f"{TOP}/scripts/bpf_doc.py"]


def lacks():
    """None, or why there are no selftests."""
    return None if os.path.exists(TAR) else "no package linux-source-6.12"


def selftests():
    """The directory tools/testing/selftests/bpf of 6.12."""
    cache = os.environ.get("SKEP_SOURCE_CACHE") or os.path.expanduser("~/.cache/skep-source")
    st = os.stat(TAR)
    key = zlib.crc32(repr((st.st_size, int(st.st_mtime), WANT)).encode())
    where = f"{cache}/{key:08x}"
    if not os.path.isdir(where):
        os.makedirs(cache, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as tmp:
            subprocess.run(["tar", "-xJf", TAR, "-C", tmp, "--wildcards", *WANT], check=True)
            os.chmod(tmp, 0o755)
            try:
                os.rename(tmp, where)
                os.mkdir(tmp)  # for the context manager to remove
            except OSError:
                pass  # another run was faster
    return f"{where}/{BELOW}"


if __name__ == "__main__":
    why = lacks()
    print(why or selftests())
    sys.exit(1 if why else 0)
