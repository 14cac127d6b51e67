#!/bin/sh
# libskep used by many threads, under ThreadSanitizer: what programs are made
# of and run in, and maps.  Machine code is not seen by it, so it also runs
# interpreted; races of programs with each other are theirs (atomics there).
[ -n "${LONG-}" ] || { echo "1..0 # SKIP compiles half the sources again: LONG=1"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo 'int main(void) { return 0; }' >"$work/x.c"
gcc -fsanitize=thread "$work/x.c" -o "$work/x" 2>/dev/null && "$work/x" 2>/dev/null ||
	{ echo "1..0 # SKIP no ThreadSanitizer here"; exit 0; }
gcc -std=gnu11 -D_GNU_SOURCE -DSKEP_VERSION='"0.1.0"' -fno-strict-aliasing -O1 -g \
	-DSKEP_SYSCALL_DEF="\"user/syscall_$(uname -m).def\"" -fsanitize=thread -Isrc -Iinclude \
	src/base/*.c src/isa/*.c src/map/*.c src/helper/*.c src/vm/*.c src/jit/*.c \
	src/sys/sys.c src/sys/ring.c src/event/sym*.c \
	src/lib/engine.c src/lib/err.c src/lib/map.c src/lib/program.c src/lib/thread.c \
	tests/unit/test_lib_threads.c tests/lib/no_objects.c \
	-lelf -lz -lpthread -ldl -o "$work/threads" >"$work/log" 2>&1 ||
	{ echo "not ok 1 - builds"; sed 's/^/# /' "$work/log" | tail -n 30; echo 1..1; exit 1; }
# Not data of ours: what programs do to values, and values copied while programs change them.
printf 'race_top:skep_vm_interp_\nrace:copy_out\n' >"$work/known"
TSAN_OPTIONS="halt_on_error=0 exitcode=66 suppressions=$work/known" timeout 300 "$work/threads" >"$work/out" 2>"$work/log"
status=$?
n=$(grep -c 'WARNING: ThreadSanitizer' "$work/log")
if [ $status = 0 ] && [ "$n" = 0 ]; then echo "ok 1 - no data race"; else
	echo "not ok 1 - $n reports, status $status"
	grep '^not ok' "$work/out" | sed 's/^/# /'
	sed 's/^/# /' "$work/log" | head -n 60
fi
echo 1..1
