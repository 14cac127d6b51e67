#!/bin/sh
# gdb names BPF functions in backtraces, and finds its way through their frames.
command -v gdb >/dev/null || { echo "1..0 # SKIP no gdb"; exit 0; }
[ "$(uname -m)" = x86_64 ] || { echo "1..0 # SKIP no JIT for this processor"; exit 0; }
out=$(mktemp)
trap 'rm -f "$out"' EXIT
ASAN_OPTIONS=detect_leaks=0 timeout 120 gdb -nx -batch -ex 'set debuginfod enabled off' \
	-ex 'set breakpoint pending on' -ex 'break here' -ex run -ex bt -ex 'up 2' -ex 'info frame' \
	-ex 'delete' -ex continue "$SKEP_BUILD/tests/lib/backtrace" </dev/null >"$out" 2>&1
n=0
failed=0
ok() {
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n - $2"; else
		echo "not ok $n - $2"
		failed=1
		sed 's/^/# /' "$out"
	fi
}
grep -Eq '^#[0-9]+ .* bpf_prog_outer_3 ' "$out"
ok $? "the inner function"
grep -Eq '^#[0-9]+ .* bpf_prog_outer ' "$out"
ok $? "the outer function"
grep -Eq '^#[0-9]+ .* bpf_enter_outer ' "$out"
ok $? "the way in"
grep -Eq '^#[0-9]+ .* main ' "$out"
ok $? "and beyond them main"
grep -q 'exited normally' "$out"
ok $? "the process goes on"
echo "1..$n"
exit $failed
