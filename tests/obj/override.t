#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
# What users change in an object that they cannot compile again: where its
# programs attach, how many entries its maps have.  In both engines.
import sys

HERE = __file__.rsplit("/", 1)[0]
sys.path[:0] = [HERE + "/../cli", HERE + "/.."]
from skeptest import *  # noqa: E402
from need import lacks  # noqa: E402

if lacks("root", "clang"):
    skip_all(lacks("root", "clang"))

# As tools leave it: a place of nobody's, a probe of nowhere, sizes to be settled.
SOURCE = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct { __uint(type, BPF_MAP_TYPE_HASH); __type(key, int); __type(value, long); }
	counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_STACK_TRACE); __uint(key_size, 4); } stacks SEC(".maps");
int variable;
static int count(void *ctx, int key)
{
	long one = 1, *n = bpf_map_lookup_elem(&counts, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
	else
		bpf_map_update_elem(&counts, &key, &one, 0);
	return 0;
}
SEC("kprobe/nowhere") int first(void *ctx) { return count(ctx, 1); }
SEC("usdt") int second(void *ctx) { return count(ctx, 2); }
SEC("tracepoint/syscalls/sys_enter_openat") int third(void *ctx)
{
	return count(ctx, bpf_get_stackid(ctx, &stacks, 0) == -22 ? -22 : 3) + variable;
}
"""
OBJ = f"{dir}/root/override.o"
with open(f"{dir}/override.bpf.c", "w") as f:
    f.write(SOURCE)
subprocess.run(["clang", "-g", "-O2", "-target", "bpf", "-I/usr/include/x86_64-linux-gnu", "-c",
                f"{dir}/override.bpf.c", "-o", OBJ], check=True)
AT = "tracepoint/syscalls/sys_enter_getcwd"


def run(*options, engine="kernel"):
    """status, {key: count} of the map, what was said"""
    status, out, err = skep(["run", "--json", "--engine", engine, *options, OBJ, "--", "pwd"])
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return status, {r["key"]: r["value"] for r in rows
                    if r["type"] == "element" and r["map"] == "counts"}, err


def fails(what, status, words, *options):
    got, _, err = run(*options)
    ok(got == status and all(w in err for w in words), what, got, err)


SIZES = ("--max-entries", "counts=8", "--max-entries", "stacks=16")
for engine in ("kernel", "user"):
    status, counts, err = run(*SIZES, "--attach", f"first={AT}", "--attach", "second=",
                              "--attach", "third=", engine=engine)
    ok(status == 0 and counts == {1: 1}, f"{engine}: another place, the others left out",
       status, counts, err)
status, counts, err = run(*SIZES, "--attach", f"first={AT}", "--attach", f"second=raw_tp/sys_exit",
                          "--attach", "third=")
ok(status == 0 and counts.get(1) == 1 and counts.get(2, 0) > 10, "programs of another type",
   status, counts, err)
status, counts, err = run(*SIZES, "--attach", "first=", "--attach", "second=")
ok(status == 0 and counts.get(3, 0) > 0 and -22 not in counts,
   "stacks of a map without a depth", status, counts, err)

fails("no entries", 1, ["map 'counts' (HASH)", "max_entries is 0", "--max-entries MAP=N"],
      "--max-entries", "stacks=16")
fails("no place", 1, ["program 'second'", "does not say where to attach",
                      "--attach second=usdt/..."], *SIZES, "--attach", "first=",
      "--attach", "third=")
fails("no such program", 1, ["has no program 'frist'", "did you mean first?"],
      "--attach", f"frist={AT}")
fails("no such section", 1, ["program 'first'", "tracepiont", "did you mean tracepoint?"],
      "--attach", "first=tracepiont/syscalls/sys_enter_getcwd")
fails("no such map", 1, ["has no map 'cuonts'", "did you mean counts?"],
      "--max-entries", "cuonts=8")
fails("variables", 1, ["map '.bss' holds variables"], "--max-entries", ".bss=8")
fails("usage: attach", 2, ["--attach takes PROGRAM=SECTION"], "--attach", "first")
fails("usage: no number", 2, ["--max-entries takes MAP=N"], "--max-entries", "counts=many")
fails("usage: nothing", 2, ["--max-entries takes MAP=N"], "--max-entries", "counts=0")
done()
