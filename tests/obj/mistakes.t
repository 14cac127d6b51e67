#!/usr/bin/python3
# The mistakes that users make most: each is answered with what is wrong, where
# it is, and what to do about it.
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
     ["program 'prog'", "mistakes.bpf.c:55:", 'char LICENSE[] SEC("license") = "GPL"']),
    ("field that this kernel lacks", ["-DFIELD"],
     ["program 'prog'", "mistakes.bpf.c:", "struct task_struct.no_such_field",
      "bpf_core_field_exists()"]),
    ("function that is not there or inlined", ['-DSECTION="fentry/no_such_function_here"'],
     ["program 'prog'", "no function 'no_such_function_here'", "inlined"]),
    ("wrong map type for a helper", ["-DRING"],
     ["mistakes.bpf.c:50:", "the map is a BPF_MAP_TYPE_HASH, and bpf_ringbuf_output() takes RINGBUF",
      "__uint(type, ...)"]),
    ("no BTF", ["-g0"], ["no types", "compile with -g"]),
    ("global too large", ["-DLARGE=300000000"], [".bss", "300000000 bytes", "array map"]),
    ("map too small", ["-DENTRIES=0"], ["'counts'", "(HASH)", "__uint(max_entries"]),
    ("ring buffer too small", ["-DENTRIES=0", "-DRING", "-DMAP_TYPE=BPF_MAP_TYPE_RINGBUF"],
     ["'counts'", "__uint(max_entries"]),
    ("unprivileged", [], ["CAP_BPF", "run as root, or use --engine user"]),
    ("stale pin", ["-DPIN", "-DENTRIES=32"],
     ["'counts'", "/bpf/counts is pinned by somebody with another layout", "16 entries",
      "if it is stale, rm "]),
    ("one program of two rejected", ["-DTWO"],
     ["program 'second'", "test the pointer for NULL first", "attached 1 program"]),
]
# what went before: the pin of an object whose map has 16 entries
PINNED = 'mkdir -p {tmp}/bpf && mount -t bpf bpf {tmp}/bpf && {skep} run --engine kernel ' \
         '--pin-root {tmp}/bpf {tmp}/first.o -- true && exec {skep} run --engine kernel ' \
         '--pin-root {tmp}/bpf {obj} -- true'



def compile(opts, obj):
    subprocess.run(["clang", "-O2", "-g", "-target", "bpf",
                    f"-I/usr/include/{os.uname().machine}-linux-gnu", *opts, "-c",
                    "tests/obj/mistakes.bpf.c", "-o", obj], check=True)


bad = 0
with tempfile.TemporaryDirectory() as tmp:
    os.chmod(tmp, 0o755)
    skep = f"{tmp}/skep"
    shutil.copy(SKEP, skep)
    for n, (what, opts, words) in enumerate(CASES, 1):
        obj = f"{tmp}/mistakes.bpf.o"
        compile(opts, obj)
        command = [skep, "run", "--engine", "kernel", obj, "--", "true"]
        if what == "unprivileged":
            command[:0] = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if what == "one program of two rejected":
            command.insert(2, "-v")
        if what == "stale pin":
            compile(["-DPIN", "-DENTRIES=16"], f"{tmp}/first.o")
            command = ["unshare", "-m", "sh", "-c", PINNED.format(tmp=tmp, skep=skep, obj=obj)]
        r = subprocess.run(command,
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True, timeout=60)
        said = r.stdout.replace(tmp, "")
        missing = [w for w in words if w not in said]
        status = {"one program of two rejected": (3,), "missing licence": (3,),
                  "wrong map type for a helper": (3,)}.get(what, (1, 4))
        ok = r.returncode in status and not missing
        bad += not ok
        print(f"{'ok' if ok else 'not ok'} {n} - {what}")
        if not ok:
            print(f"#   status {r.returncode}, without {missing}")
            print("#   " + said.replace("\n", "\n#   "))
print(f"1..{len(CASES)}")
sys.exit(bad != 0)
