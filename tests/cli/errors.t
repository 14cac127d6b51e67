#!/usr/bin/python3
# Whatever goes wrong is told in a sentence, has the right exit status, and
# leaves nothing behind.
import re
import shutil
import signal
import time

from skeptest import *

if not shutil.which("clang"):
    skip_all("no clang")
if not build_target(static=True):
    skip_all("no C compiler with a static libc")
WHO = "root" if ROOT else "nobody"
ENGINES = (("kernel", "root"), ("user", "nobody")) if ROOT else (("user", "nobody"),)


def source(name, text):
    path = f"{dir}/{name}.bpf.c"
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o644)
    return path


HEAD = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "Dual BSD/GPL";
"""


def expect(args, status, pattern, what, who=WHO, **kw):
    got, out, err = skep(["run"] + args, who, **kw)
    ok(got == status and re.search(pattern, err), what, f"status {got}, want {status}", out, err)
    ok("Sanitizer" not in err and not re.search(r"errno|-\d+\)", err), "... in words", err)
    return out, err


# Usage.
expect([], 2, "which FILE", "no file")
expect(["--nonsense", "x"], 2, "no option '--nonsense'", "an unknown option")
expect(["--duration", "soon", "x"], 2, "--duration takes seconds", "a bad value")
expect([example("hello"), "--"], 2, "no command", "no command after --")
expect(["--pcap-out", "x", example("hello")], 2, "needs --pcap", "--pcap-out alone")
status, out, err = skep(["run", "--help"], WHO)
ok(status == 0 and "--engine" in out and not err, "--help")

# The file.
expect(["/nonexistent.bpf.c"], 1, "/nonexistent.bpf.c: No such file", "no such file")
expect([source("bad", HEAD + "int x = ;\n")], 1, r"bad.bpf.c:4:9: error:", "what clang says")
got, out, err = skep(["run", source("bad", HEAD + "int x = ;\n")], WHO)
ok("^" in err, "... with its caret", err)
with open(dir + "/trunc.bpf.o", "wb") as f:
    f.write(b"\x7fELF\x02\x01\x01")
expect([dir + "/trunc.bpf.o"], 1, "trunc.bpf.o: ", "a truncated object")
expect([example("hello")], 1, "no clang in PATH.*apt-get install", "no clang",
       env=env(WHO, PATH="/nonexistent", XDG_CACHE_HOME="/nonexistent"))

# Records.
RING = HEAD + """
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); %s } rb SEC(".maps");
struct seen { __u32 number; };
SEC("tracepoint/syscalls/sys_enter_getcwd") int prog(void *ctx)
{
	struct seen *s = bpf_ringbuf_reserve(&rb, sizeof(*s), 0);

	if (s) {
		s->number = 0x12345;
		bpf_ringbuf_submit(s, 0);
	}
	return 0;
}
"""
for engine, who in ENGINES:
    args = ["--engine", engine, source("untyped", RING % ""), "--", "sh", "-c", "pwd -P; pwd -P"]
    out, err = expect(args, 0, "records of map 'rb' are shown as bytes.*__type\\(value, struct",
                      f"{engine}: records without a type", who)
    ok("45 23 01 00" in out and err.count("shown as bytes") == 1, "... as bytes, told once",
       out, err)
    args[2] = source("typed", RING % "__type(value, struct seen);")
    out, err = expect(args, 0, "^$", f"{engine}: records with a type", who)
    ok(re.search(r"^\s*number\n\s*74565$", out, re.M), "... as columns", out)

# Globals.
expect(["--set", "nothing=1", example("hello")], 1, "nothing", "--set of a variable there is not")

for engine, who in ENGINES:
    on = ["--engine", engine]
    # The command.
    expect(on + [example("opens"), "--", "/nonexistent"], 1, "/nonexistent: No such file",
           f"{engine}: a command that does not exist", who)
    expect(on + [example("opens"), "--", "./target", "7"], 0, "target exited with status 7",
           f"{engine}: the command fails", who)
    expect(on + [example("opens"), "--", "./target", "0", "kill"], 0,
           r"target was killed by signal 9 \(Killed\)", f"{engine}: the command is killed", who)
    # The verifier, or the engine.
    big = HEAD + """SEC("tracepoint/syscalls/sys_enter_openat")
int big(void *ctx) { long i = 0; do asm volatile("%0 += 1" : "+r"(i)); while (i < 100000000);
return 0; }
"""
    if engine == "kernel":
        expect(on + [source("big", big), "--", "true"], 3, "program 'big'",
               "kernel: a program that runs too long is rejected", who, timeout=240)
        out, err = expect(on + [source("wild", HEAD + """
SEC("tracepoint/syscalls/sys_enter_openat")
int wild(unsigned long *args) { return *(int *)args[2]; }
"""), "--", "true"], 3, r"wild.bpf.c:6: .*mem access.*bpf_probe_read_user", "kernel: a rejected "
                          "program: source line, reason, what helps", who)
        ok("skep_scope" not in err and "r1 = *(u64 *)(r1 +16)" in err,
           "... the path is the program's own", err)
        expect(on + [source("gpl", HEAD.replace("Dual BSD/GPL", "BSD") + """
SEC("tracepoint/syscalls/sys_enter_openat") int gpl(void *c) { bpf_printk("x"); return 0; }
"""), "--", "true"], 3, r'GPL-restricted.*SEC\("license"\)', "kernel: no GPL licence", who)
    else:
        expect(on + [source("wild", HEAD + """
SEC("tracepoint/syscalls/sys_enter_openat")
int wild(unsigned long *args) { return *(int *)args[2]; }
"""), "--", "./target"], 1, r"(?s)'wild': instruction .* reads 4 bytes at 0x\w+: .*wild.bpf.c:6\n"
               r".*runs? of programs ended early", "user: a bad access ends the run, status 1", who)
        expect(on + [source("gpl", HEAD.replace("Dual BSD/GPL", "BSD") + """
SEC("tracepoint/syscalls/sys_enter_openat") int gpl(void *c) { bpf_printk("x"); return 0; }
"""), "--", "true"], 3, r'GPL-compatible.*SEC\("license"\)', "user: no GPL licence", who)
    expect(on + [source("call", HEAD + """
SEC("tracepoint/syscalls/sys_enter_opneat") int call(void *c) { return 0; }
"""), "--", "true"], 1, "no tracepoint syscalls/sys_enter_opneat.*did you mean sys_enter_openat",
           f"{engine}: an unknown system call", who)
    expect(on + [source("section", HEAD + 'SEC("tracepoimt/a/b") int p(void *c) { return 0; }\n'),
                 "--", "true"], 1, "tracepoimt.*tracepoint", f"{engine}: an unknown section", who)
    # A full map: counted, by place.
    full = HEAD + """struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 2);
__type(key, __u64); __type(value, __u64); } tiny SEC(".maps");
__u64 n;
SEC("tracepoint/syscalls/sys_enter_write")
int fill(void *ctx) { __u64 k = __sync_fetch_and_add(&n, 1);
bpf_map_update_elem(&tiny, &k, &k, BPF_ANY);
return 0; }
"""
    path = source("full", full)
    out, err = expect(on + [path, "--", "./target"], 0,
                      r"lost 2 updates: map 'tiny' was full \(.*full.bpf.c:9, program 'fill'\)",
                      f"{engine}: what a full map refuses is counted by place", who)
    ok("n = 4" in out, "... variables are shown", out)
    # A full ring buffer.
    ring = HEAD + """struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, 4096); }
rb SEC(".maps");
SEC("tracepoint/syscalls/sys_enter_write")
int flood(void *ctx) { int i; static const char big[1024];
for (i = 0; i < 10; i++) bpf_ringbuf_output(&rb, (void *)big, sizeof(big), BPF_RB_NO_WAKEUP);
return 0; }
"""
    expect(on + [source("ring", ring), "--", "./target"], 0,
           r"lost \d+ records: buffer 'rb' was full \(.*ring.bpf.c:8, program 'flood'\)",
           f"{engine}: what a full ring buffer refuses is counted", who)
    # Output that cannot be written.
    with open("/dev/full", "w") as f:
        status, out, err = skep(["run"] + on + [example("opens"), "--", "./target"], who, stdout=f)
    ok(status == 1 and "standard output: No space left" in err, f"{engine}: a full disk",
       status, err)
    # Ctrl-C: what was collected is shown.
    forget_pid(who)
    p = popen(["run"] + on + [example("writes"), "--", "./target", "0", "sleep"], who)
    wait_pid(who)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=20)
    ok(p.returncode == 0 and re.search(r"target\s+4\s+1117", out), f"{engine}: Ctrl-C", out, err)

# No permission.
if ROOT:
    expect(["--engine", "kernel", example("opens"), "--", "true"], 1, "(?i)permi|privilege|CAP_",
           "no permission for the kernel's engine", "nobody")

# Injected failures of each call: a sentence each, never a crash.
if ROOT:
    for nth in range(1, 12):
        status, out, err = skep(["run", "--engine", "kernel", "--inject", f"-1:{nth}:12",
                                 example("opens"), "--", "true"])
        ok(status >= 0 and status <= 4 and (status == 0 or "skep: " in err),
           f"call {nth} fails: status {status}", err)

# kill -9: no program and no link of skep's stays.
if ROOT and shutil.which("bpftool"):
    forget_pid("root")
    p = popen(["run", "--engine", "kernel", example("opens"), "--", "./target", "0", "sleep"])
    wait_pid("root")
    during = {n for k, i, n in bpf_ids() if k == "prog"}
    p.kill()
    p.wait()
    ok("exit_openat2" in during, "programs are there while skep runs", during)
    left = {"exit_openat2"}
    for i in range(50):
        left = {(k, i, n) for k, i, n in bpf_ids() if n == "exit_openat2"}
        if not left:
            break
        time.sleep(0.1)
    ok(not left, "kill -9 leaves no program behind", left)
    os.kill(pid_of("root"), 9)
else:
    skip("kill -9 leaves nothing behind", "needs root and bpftool")
done()
