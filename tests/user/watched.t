#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""skep run on the user engine's own sources: a running process (-p), samples
with named stacks, raw tracepoints of a process."""
import os, shutil, subprocess, sys, tempfile

sys.path.insert(0, "tests")
from tap import *  # noqa: E402

SKEP, BUILD = os.environ['SKEP'], os.environ['SKEP_BUILD']
VICTIM = os.path.join(BUILD, 'tests/user/user-victim')
RAW = '''
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, __u64);
	__type(value, __u64);
} calls SEC(".maps");
SEC("raw_tp/sys_enter")
int count(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 nr = ctx->args[1], one = 1, *n = bpf_map_lookup_elem(&calls, &nr);

	if (n)
		*n += 1;
	else
		bpf_map_update_elem(&calls, &nr, &one, BPF_ANY);
	return 0;
}
'''


def run(*args):
    return subprocess.run([SKEP, 'run', '--engine', 'user', *args], capture_output=True, text=True,
                          timeout=120)


def main():
    if not shutil.which('clang'):
        skip_all('no clang')
    r = run('examples/profile.bpf.c', '--', VICTIM, 'spin', '1000')
    ok(r.returncode == 0 and all(n in r.stdout for n in ('leaf+', 'middle+', 'spin+')),
       'samples of a command have named stacks', r.stdout, r.stderr)
    p = subprocess.Popen([VICTIM, 'loop'], stdout=subprocess.PIPE, text=True)
    p.stdout.readline()
    with tempfile.TemporaryDirectory() as work:
        with open(work + '/raw.bpf.c', 'w') as f:
            f.write(RAW)
        for what, args in (('a tracepoint', ['examples/opens.bpf.c']),
                           ('a raw tracepoint', [work + '/raw.bpf.c'])):
            r = run('-p', str(p.pid), '--duration', '1', *args)
            want = '/nonexistent/loop' if what == 'a tracepoint' else '257'
            ok(r.returncode == 0 and want in r.stdout, f'-p with {what}', r.stdout, r.stderr)
    p.terminate()
    ok(p.communicate()[0] == 'done\n' and p.returncode == 5, 'the process goes on as ever')
    done()


main()
