#!/bin/sh
# Machine code, interpreter, maps and library under valgrind: nothing is read
# that nobody wrote, nothing is touched that is not ours, nothing is lost.
command -v valgrind >/dev/null || { echo "1..0 # SKIP no valgrind"; exit 0; }
nm "$SKEP" 2>/dev/null | grep -q __asan_init && { echo "1..0 # SKIP a sanitized build"; exit 0; }
out=$(mktemp)
known=$(mktemp)
trap 'rm -f "$out" "$known"' EXIT
# bpf(2) takes NULL for results that nobody wants; valgrind 3.19 does not know.
cat >"$known" <<'EOF'
{
   test_run_without_data_out
   Memcheck:Param
   bpf(attr->test.data_out)
   fun:syscall
}
EOF
n=0
failed=0
try() { # WHAT COMMAND...
	what=$1
	shift
	n=$((n + 1))
	if timeout 300 valgrind -q --suppressions="$known" --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
		--errors-for-leak-kinds=definite "$@" >"$out" 2>&1; then
		echo "ok $n - $what"
	else
		echo "not ok $n - $what"
		failed=1
		grep -v '^ok' "$out" | sed 's/^/# /' | head -n 60
	fi
}
try "a helper below two functions" "$SKEP_BUILD/tests/lib/backtrace"
try "the JIT" "$SKEP_BUILD/tests/unit/unit-jit"
try "the cases of calls" "$SKEP_BUILD/tests/run/runner" tests/run/call.bpf
if [ -n "${LONG-}" ]; then
	try "the library" "$SKEP_BUILD/tests/unit/unit-lib"
	try "conformance" "$SKEP" conform
	try "the cases of memory" "$SKEP_BUILD/tests/run/runner" tests/run/mem.bpf
	try "the cases of atomics" "$SKEP_BUILD/tests/run/runner" tests/run/atomic.bpf
fi
echo "1..$n"
exit $failed
