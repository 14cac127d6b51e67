#!/usr/bin/python3
# The mistakes that users make most: each is answered with what is wrong, where
# it is, and what to do about it.  (A stale pin: tests/unit/test_obj_maps.c.)
import os
import shutil
import subprocess
import sys
import tempfile

SKEP = os.environ.get("SKEP", "build/skep")
if os.geteuid() or not all(map(shutil.which, ("clang", "setpriv"))):
    print("1..0 # SKIP needs root, clang and setpriv")
    sys.exit(0)

# what is wrong, compiler options, words of the answer
CASES = [
    ("wrong section name", ['-DSECTION="tracepiont/syscalls/sys_enter_getpgid"'],
     ["tracepiont/syscalls", "did you mean tracepoint?"]),
    ("missing licence", ["-DNO_LICENSE", "-DGPL_HELPER"],
     ["program 'prog'", "mistakes.bpf.c:52:", 'char LICENSE[] SEC("license") = "GPL"']),
    ("field that this kernel lacks", ["-DFIELD"],
     ["program 'prog'", "mistakes.bpf.c:", "struct task_struct.no_such_field",
      "bpf_core_field_exists()"]),
    ("function that is not there or inlined", ['-DSECTION="fentry/no_such_function_here"'],
     ["program 'prog'", "no function 'no_such_function_here'", "inlined"]),
    ("wrong map type for a helper", ["-DRING"],
     ["mistakes.bpf.c:47:", "bpf_ringbuf_output", "another kind of map"]),
    ("no BTF", ["-g0"], ["no types", "compile with -g"]),
    ("global too large", ["-DLARGE=300000000"], [".bss", "300000000 bytes", "array map"]),
    ("map too small", ["-DENTRIES=0"], ["'counts'", "__uint(max_entries"]),
    ("ring buffer too small", ["-DENTRIES=0", "-DRING", "-DMAP_TYPE=BPF_MAP_TYPE_RINGBUF"],
     ["'counts'", "__uint(max_entries"]),
    ("unprivileged", [], ["CAP_BPF", "run as root, or use --engine user"]),
]

bad = 0
with tempfile.TemporaryDirectory() as tmp:
    os.chmod(tmp, 0o755)
    skep = f"{tmp}/skep"
    shutil.copy(SKEP, skep)
    for n, (what, opts, words) in enumerate(CASES, 1):
        obj = f"{tmp}/mistakes.bpf.o"
        subprocess.run(["clang", "-O2", "-g", "-target", "bpf",
                        f"-I/usr/include/{os.uname().machine}-linux-gnu", *opts, "-c",
                        "tests/obj/mistakes.bpf.c", "-o", obj], check=True)
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        r = subprocess.run((user if what == "unprivileged" else []) +
                           [skep, "run", "--engine", "kernel", obj, "--", "true"],
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=60)
        said = r.stdout.replace(tmp, "")
        missing = [w for w in words if w not in said]
        ok = r.returncode != 0 and not missing
        bad += not ok
        print(f"{'ok' if ok else 'not ok'} {n} - {what}")
        if not ok:
            print(f"#   status {r.returncode}, without {missing}")
            print("#   " + said.replace("\n", "\n#   "))
print(f"1..{len(CASES)}")
sys.exit(bad != 0)
