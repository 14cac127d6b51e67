#!/usr/bin/python3
# The examples that look into programs, and what skep run does besides: several
# processes, -p, --interval, --duration, --set, --per-cpu, --engine both.
import shutil

from skeptest import *

if not shutil.which("clang"):
    skip_all("no clang")
if not build_target(static=False):
    skip_all("no C compiler")


def run(name, *options, cmd=("./target",), who="root"):
    forget_pid(who)
    status, out, err = skep(["run", *options, name if "/" in name else example(name), "--", *cmd],
                            who)
    pid = pid_of(who) if os.path.exists(f"{dir}/{who}/pid") else None
    return status, out, err, pid


def source(name, text):
    path = f"{dir}/{name}.bpf.c"
    with open(path, "w") as f:
        f.write("#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n"
                'char LICENSE[] SEC("license") = "Dual BSD/GPL";\n' + text)
    os.chmod(path, 0o644)
    return path


if not ROOT:
    skip("uprobes and profiles", "not root")
else:
    for name in ("uprobe_args", "uretprobe_count"):
        status, out, err, pid = run(name, "--engine", "kernel")
        is_(status, 0, f"{name}: exit status", err)
        golden(name, plain(out, pid), f"{name}: output", err)
    burn = "x=0\nwhile [ $x -lt 150000 ]; do x=$((x+1)); done"
    status, out, err, pid = run("profile", "--engine", "kernel", "--json", "--frequency", "499",
                                cmd=("sh", "-c", burn))
    rows = [json.loads(l) for l in out.splitlines()]
    samples = [r for r in rows if r.get("map") == "samples"]
    ok(status == 0 and sum(r["value"] for r in samples) > 10, "profile: samples", out, err)
    frames = [f for r in samples for f in r.get("stacks", {}).get("user_stack_id", [])]
    ok(any(re.match(r"[a-zA-Z_]\w+\+0x", f) or re.search(r" in .*(sh|dash|libc)", f)
           for f in frames), "... with functions or files", frames[:20])
    ok(all(r["key"]["comm"] in ("sh", "skep") for r in samples), "... of the command only",
       samples[:5])

COUNT = source("count", """
const volatile __u64 step = 1;
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1);
__type(key, __u32); __type(value, __u64); } writes SEC(".maps");
SEC("tracepoint/syscalls/sys_enter_write")
int count(void *ctx) { __u32 k = 0; __u64 *n = bpf_map_lookup_elem(&writes, &k);
if (n) *n += step; return 0; }
""")
HIST = source("hist", """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 16);
__type(key, __u32); __type(value, __u64); } size_hist SEC(".maps");
struct enter { __u64 common; __s64 nr; __u64 args[6]; };
SEC("tracepoint/syscalls/sys_enter_write")
int count(struct enter *ctx) { __u64 v = ctx->args[2], *n; __u32 k = 0;
while (v > 1 && k < 15) { v >>= 1; k++; }
n = bpf_map_lookup_elem(&size_hist, &k); if (n) *n += 1; return 0; }
""")

for who, engine in (("root", "kernel"), ("nobody", "user")):
    if who == "root" and not ROOT:
        continue
    on = ("--engine", engine)
    status, out, err, pid = run(COUNT, *on, who=who)
    ok(status == 0 and re.search(r"writes:\nkey +value\n +0 +4\n", out),
       f"{engine}: per-CPU values are summed", out, err)
    status, out, err, pid = run(COUNT, *on, "--set", "step=10", who=who)
    ok(re.search(r"\n +0 +40\n", out), f"{engine}: --set", out, err)
    status, out, err, pid = run(COUNT, *on, "--set", "step=many", who=who)
    ok(status != 0 and "step" in err, f"{engine}: --set with a bad value", status, err)
    status, out, err, pid = run(COUNT, *on, "--per-cpu", who=who)
    ok(re.search(r"key +cpu +value", out), f"{engine}: --per-cpu", out, err)
    status, out, err, pid = run(HIST, *on, who=who)
    ok(re.search(r"4 -> 7 +: 1 .*\n +8 -> 15 +: 1 ", out) and
       re.search(r"512 -> 1023 +: 1 ", out), f"{engine}: an array called *hist is drawn", out, err)
    start = time.time()
    status, out, err = skep(["run", *on, "--duration", "1.5", "--interval", "0.5", COUNT, "--",
                             "sleep", "30"], who)
    ok(status == 0 and 1.4 < time.time() - start < 8 and
       len(re.findall(r"^\d\d:\d\d:\d\d$", out, re.M)) >= 2,
       f"{engine}: --duration and --interval", out, err, time.time() - start)
    status, out, err = skep(["run", *on, "--json", "--duration", "0.7", "--interval", "0.3", COUNT,
                             "--", "./target", "0", "sleep"], who)
    rounds = [json.loads(x)["type"] for x in out.splitlines() if x.startswith("{")]
    ok(status == 0 and rounds.count("interval") >= 1 and "element" in
       rounds[rounds.index("interval"):], f"{engine}: --interval with --json", out, err)
    # The descendants of the command, too, and nobody else.
    for i in range(2):
        status, out, err = skep(["run", *on, COUNT, "--", "sh", "-c",
                                 "./target; (./target; ./target) & wait; echo"], who)
        ok(re.search(r"\n +0 +13\n", out), f"{engine}: a command's descendants, all of them", out,
           err)
    # A process that runs already.
    forget_pid(who)
    kw = {"preexec_fn": drop} if who == "nobody" and ROOT else {}
    p = subprocess.Popen(["sh", "-c", "sleep 1.5; ./target; ./target; sleep 20"],
                         cwd=f"{dir}/{who}", **kw)
    status, out, err = skep(["run", *on, "--duration", "4", "-p", str(p.pid), COUNT], who)
    p.kill()
    p.wait()
    ok(status == 0 and re.search(r"\n +0 +8\n", out), f"{engine}: -p", out, err)

if ROOT:
    for name in ("hello", "opens", "opens_perf", "writes", "readhist"):
        status, out, err, pid = run(name, "--engine", "both")
        ok(status == 0 and "both engines gave the same" in err, f"both: {name}", out, err)
    NS = source("now", """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
__type(key, __u32); __type(value, __u64); } last SEC(".maps");
SEC("tracepoint/syscalls/sys_enter_write")
int now(void *ctx) { __u32 k = 0; __u64 t = bpf_ktime_get_ns();
bpf_map_update_elem(&last, &k, &t, BPF_ANY); return 0; }
""")
    status, out, err, pid = run(NS, "--engine", "both")
    ok(status == 1 and "maps differ" in err and "differences between" in err,
       "both: a difference is shown, exit status 1", status, err)
    status, out, err, pid = run(NS, "--engine", "both", "--ignore", "last")
    ok(status == 0, "both: --ignore", err)
done()
