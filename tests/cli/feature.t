#!/usr/bin/python3
# skep feature: the kernel's answers, against those of Debian's bpftool and
# against the kernel itself where the two differ; names against bpftool's.
import json
import os
import shutil
import subprocess
import sys

sys.path.insert(0, "tests")
import need  # noqa: E402
from tap import *  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")


def run(*command, user=()):
    return subprocess.run([*user, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=120)


def verifier_says(kind, attach, sleepable, helper):
    """the verifier's own words on a call of `helper`"""
    call = need.struct.pack("<BBhi", 0x85, 0, 0, helper) + need.EXIT_0
    # prog_flags stand where load() has zeroes: a load of our own
    code = need.ctypes.create_string_buffer(call, len(call))
    log = need.ctypes.create_string_buffer(16384)
    gpl = need.ctypes.create_string_buffer(b"GPL")
    attr = need.struct.pack("<IIQQIIQII", kind, len(call) // 8, need.ctypes.addressof(code),
                            need.ctypes.addressof(gpl), 1, len(log), need.ctypes.addressof(log),
                            0, 16 if sleepable else 0)
    ret = need.bpf(need.PROG_LOAD, attr + bytes(16) + need.struct.pack("<II", 0, attach))
    if ret >= 0:
        os.close(ret)
    return ret, log.value.decode(errors="replace")


# expected attach types of programs that do not load without
ATTACH = {"cgroup_sock_addr": 8, "sk_lookup": 36, "cgroup_sockopt": 21, "netfilter": 45}
NO = ("program of this type cannot use helper", "unknown func", "invalid func")
groups = {g: run(SKEP, "feature", "list_builtins", g).stdout.split()
          for g in ("prog_types", "map_types", "attach_types", "link_types", "helpers")}
got = run(SKEP, "feature", "probe", "-j")
ours = json.loads(got.stdout) if got.returncode == 0 else {}
ok(bool(ours), "probe --json is one JSON object", got.stdout[:500], got.stderr)
if not ours:
    done()

if not shutil.which("bpftool"):
    skip("bpftool's names and answers", "no bpftool")
    theirs = None
else:
    for group, names in groups.items():
        have = run("bpftool", "feature", "list_builtins", group).stdout.split()
        # newer kernels only add, so that ours begin with what an older bpftool has
        ok(names[:len(have)] == have and have, f"{group}: {len(names)} names, the first "
           f"{len(have)} are bpftool's", sorted(set(have) ^ set(names[:len(have)])))
    theirs = json.loads(run("bpftool", "-j", "feature", "probe").stdout)
    for key in ("system_config", "syscall_config", "misc", "map_types"):
        diff = {k: (v, ours[key].get(k, "nothing")) for k, v in theirs[key].items()
                if ours[key].get(k, "nothing") != v}
        ok(not diff, f"{key}: all {len(theirs[key])} of bpftool's, with its answers", diff)

if os.geteuid():
    skip("program types and helpers", "needs root")
elif theirs:
    # libbpf 1.1 expects words of the verifier that later kernels chose otherwise.  A type is there
    # if the verifier gets to see a program of it: its log is not empty.
    why = []
    for number, name in list(enumerate(groups["prog_types"]))[1:]:
        key = f"have_{name}_prog_type"
        we, they = ours["program_types"][key], theirs["program_types"].get(key)
        ret, log = need.load(number, attach=ATTACH.get(name, 0))
        if we != they and we != bool(ret >= 0 or log):
            why.append((name, we, they, ret, log[:200]))
    ok(not why, "program types: bpftool's answers, or those of the verifier's log", *why)

    why, pairs, asked = [], 0, 0
    for number, name in list(enumerate(groups["prog_types"]))[1:]:
        key = f"{name}_available_helpers"
        we, they = set(ours["helpers"][key]), set(theirs["helpers"].get(key, []))
        attach = ATTACH.get(name, 0)
        # bpftool cannot ask at all: see below
        if not they:
            continue
        pairs += len(groups["helpers"])
        for helper in we ^ they:
            asked += 1
            ret, log = verifier_says(number, attach, name == "syscall",
                                     groups["helpers"].index(helper))
            there = ret >= 0 or not any(no in log for no in NO)
            if there != (helper in we):
                why.append((name, helper, helper in we, ret, log[:300]))
    ok(not why and pairs, f"helpers: {pairs} pairs, {asked} of which bpftool answers otherwise "
       "and the verifier as skep does", *why[:20])
    for name in ("socket_filter", "xdp", "sched_cls", "kprobe"):
        have = ours["helpers"][f"{name}_available_helpers"]
        odd = "bpf_redirect" if name in ("socket_filter", "kprobe") else "bpf_probe_write_user"
        ok("bpf_map_lookup_elem" in have and odd not in have,
           f"{name}: {len(have)} helpers, one that all have and not {odd}")
    have = ours["helpers"]["tracing_available_helpers"]
    if need.lacks("fentry"):
        skip("tracing: helpers are asked at a function", need.lacks("fentry"))
    else:
        ok("bpf_get_func_arg" in have and "bpf_xdp_adjust_head" not in have,
           f"tracing: {len(have)} helpers, asked at a function of the kernel", have)

text = run(SKEP, "feature", "probe").stdout
for title in ("Scanning system configuration...", "Scanning eBPF program types...",
              "Scanning eBPF map types...", "Scanning eBPF helper functions...",
              "Scanning miscellaneous eBPF features...", "Scanning ways to attach...",
              "eBPF helpers supported for program type xdp:", "bpf() syscall is available"):
    ok(f"{title}\n" in text, f"text: {title}", text[:300])
for kind, key in (("program_type", "prog"), ("map_type", "map")):
    lines = {line.split()[2]: "NOT" not in line and "may not" not in line
             for line in text.splitlines() if line.startswith(f"eBPF {kind} ")}
    part = ours["program_types" if key == "prog" else "map_types"]
    ok({f"have_{k}_{key}_type": v for k, v in lines.items()} == part,
       f"text and JSON agree on the {len(lines)} {kind}s")

got = run(SKEP, "feature", "probe", "--engine", "user", "-j")
user = json.loads(got.stdout)
ok(user["program_types"]["have_xdp_prog_type"] and user["map_types"]["have_hash_map_type"]
   and "bpf_map_lookup_elem" in user["helpers"]["xdp_available_helpers"]
   and "bpf_clone_redirect" not in user["helpers"]["sched_cls_available_helpers"]
   and user["loader"]["have_global_data"], "skep's own engine answers, too", got.stdout[-900:])

if os.geteuid() or not shutil.which("setpriv"):
    skip("as nobody", "needs root and setpriv")
else:
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    got = run(SKEP, "feature", "probe", "-j", user=nobody)
    mine = json.loads(got.stdout)
    ok(got.returncode == 0 and not mine["program_types"]["have_kprobe_prog_type"]
       and "CAP_BPF" in got.stderr, "nobody: nothing is available, and the reason is told",
       got.stderr)
    drop = json.loads(run(SKEP, "feature", "probe", "unprivileged", "-j").stdout)
    parts = ("program_types", "map_types", "helpers")
    ok(all(drop[p] == mine[p] for p in parts), "unprivileged: root sees what nobody can use")
    got = run(SKEP, "feature", "probe", "--engine", "user", "-j", user=nobody)
    ok(json.loads(got.stdout)["helpers"] == user["helpers"], "nobody: skep's own engine as for root")

for args, words in ((["probe", "dev", "lo"], "no probe of devices"), ([], "probe or list_builtins"),
                    (["list_builtins", "x"], "GROUP is"), (["probe", "--engine", "x"], "kernel or user")):
    got = run(SKEP, "feature", *args)
    ok(got.returncode == 2 and words in got.stderr, f"wrong usage: {' '.join(args) or 'nothing'}",
       got.stderr)
done()
