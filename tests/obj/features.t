#!/usr/bin/python3
# What an object may hold besides programs, maps and variables in the plain
# form, loaded and run: one small source each, and what is said where it is wrong.
import os
import sys

sys.path.insert(0, __file__.rsplit("/", 2)[0] + "/cli")
from skeptest import *  # noqa: E402

if not ROOT or not all(map(shutil.which, ("clang-19", "llvm-objcopy-14"))):
    skip_all("needs root, clang-19 and llvm-objcopy-14")
with open("/proc/kallsyms") as f:
    HAS_THROW = any(line.split()[2] == "bpf_throw" for line in f)

HEAD = ('#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n'
        'char LICENSE[] SEC("license") = "GPL";\n')


def build(name, body, *flags):
    src, obj = f"{dir}/{name}.bpf.c", f"{dir}/{name}.bpf.o"
    with open(src, "w") as f:
        f.write(HEAD + body)
    r = subprocess.run(["clang-19", "-g", "-O2", "-target", "bpf", "-mcpu=v3", "-w",
                        f"-I/usr/include/{os.uname().machine}-linux-gnu", *flags, "-c", src, "-o",
                        obj], capture_output=True, text=True)
    if r.returncode:
        ok(False, f"{name}: compiles", r.stderr)
    return obj


def run(obj, *options):
    """status, {variable: value}, stderr"""
    status, out, err = skep(["run", "--engine", "kernel", "--json", *options, obj], timeout=120)
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return status, {r["name"]: r["value"] for r in rows if r.get("type") == "variable"}, err


status, got, err = run(build("sections", '''
int custom SEC(".data.mine") = 3;
const volatile int constant SEC(".rodata.mine") = 4;
int zero SEC(".bss.mine");
static volatile int hidden_static = 5;
__hidden int hidden_global = 6;
__weak int weak_global = 7;
SEC("syscall") int prog(void *ctx)
{
	zero = custom + constant + hidden_static + hidden_global + weak_global;
	return 0;
}
'''), "--set", "constant=40")
is_(got.get("zero"), 61, "custom sections, static, hidden and weak variables", status, err)

status, got, err = run(build("functions", '''
int result;
static __attribute__((noinline)) int leaf(int x) { return x * 3 + result; }
__hidden __attribute__((noinline)) int hidden(int x) { return leaf(x) + 1; }
__weak __attribute__((noinline)) int weak(int x) { return hidden(x) + leaf(x); }
__attribute__((noinline)) int global(int x) { return weak(x) + hidden(x) + 1; }
static long callback(unsigned int i, long *sum) { *sum += i; return 0; }
SEC("syscall") int prog(void *ctx)
{
	long sum = 0;

	bpf_loop(5, callback, &sum, 0);
	result = global(2) + sum;
	return 0;
}
SEC("?syscall") int off(void *ctx)
{
	return *(volatile int *)0;
}
'''))
is_((status, got.get("result")), (0, 31), "static, hidden, weak and global functions, and a callback",
    err)

status, got, err = run(build("recursion", '''
int result;
__attribute__((noinline)) int twice(int x);
__attribute__((noinline)) int once(int x) { return x > 3 ? twice(x - 1) : x + result; }
__attribute__((noinline)) int twice(int x) { return x > 2 ? once(x - 2) + 1 : x; }
SEC("syscall") int prog(void *ctx)
{
	result = once(result);
	return 0;
}
'''))
ok(status == 3 and "program 'prog'" in err, "functions that call each other are the verifier's to refuse",
   status, err)

status, got, err = run(build("text_only", "__attribute__((noinline)) int lone(int x) { return x; }\n"))
ok(status == 1 and "no program in it that can be attached" in err, "nothing but functions", status, err)

obj = build("stripped", '''
int seen;
SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx)
{
	__sync_fetch_and_add(&seen, 1);
	return 0;
}
''')
subprocess.run(["llvm-objcopy-14", "--remove-section=.BTF", "--remove-section=.BTF.ext",
                "--remove-section=.rel.BTF", "--remove-section=.rel.BTF.ext", obj], check=True)
status, out, err = skep(["run", "--engine", "kernel", obj, "--", sys.executable, "-c",
                         "import os; os.getpgid(0)"])
is_((status, err), (0, ""), "an object without types, where the program needs none", out)

THROW = '''
extern void bpf_throw(__u64 cookie) __attribute__((section(".ksyms")));
long cookie;
%s __attribute__((noinline)) int ended(__u64 c)
{
	cookie = c;
	return 0;
}
SEC("syscall") __attribute__((btf_decl_tag("exception_callback:ended"))) int prog(void *ctx)
{
	bpf_throw(cookie + 17);
	return 1;
}
'''
if HAS_THROW:
    status, got, err = run(build("throw", THROW % ""))
    is_(got.get("cookie"), 17, "an exception ends in its callback", status, err)
    status, got, err = run(build("throw_hidden", THROW % "__hidden"))
    ok(status != 0 and "its exception callback 'ended' is no global function" in err,
       "a callback that is hidden", status, err)
else:
    skip("exceptions", "this kernel has no bpf_throw")

WEAK = '''
extern int no_such_kfunc(int x) __attribute__((section(".ksyms"))) __weak;
int result = 1;
SEC("syscall") int prog(void *ctx)
{
	%s
		result = no_such_kfunc(2);
	return 0;
}
'''
status, got, err = run(build("weak", WEAK % "if (no_such_kfunc)"))
is_((status, got.get("result")), (0, 1), "a weak function that is not there, guarded", err)
status, got, err = run(build("weak_bare", WEAK % ""))
ok(status and "calls the kernel's function 'no_such_kfunc'" in err
   and "guard the call with bpf_ksym_exists()" in err, "and not guarded", status, err)

status, got, err = run(build("declared", '''
extern struct { __uint(type, BPF_MAP_TYPE_ARRAY); } elsewhere SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
	 __type(value, int); } here SEC(".maps");
SEC("syscall") int prog(void *ctx)
{
	int k = 0;

	bpf_map_lookup_elem(&here, &k);
	return bpf_map_lookup_elem(&elsewhere, &k) != 0;
}
'''))
ok(status == 1 and "'elsewhere' is only declared here" in err and "skep link" in err,
   "a map that another object is to define", status, err)
done()
