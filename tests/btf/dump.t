#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The dumps against bpftool's and against the compilers.
SKEP=${SKEP:-build/skep}
vmlinux=/sys/kernel/btf/vmlinux
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
n=0

result() { # STATUS WHAT
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" || echo "not ok $n - $2"
}

skip() { # WHAT WHY
	n=$((n + 1))
	echo "ok $n - $1 # SKIP $2"
}

same_raw() { # FILE WHAT
	if ! command -v bpftool >/dev/null; then
		skip "raw dump of $2 is bpftool's" "no bpftool"
		return
	fi
	"$SKEP" btf dump file "$1" format raw >"$tmp/ours" &&
		bpftool btf dump file "$1" format raw >"$tmp/theirs" && [ -s "$tmp/ours" ] &&
		cmp "$tmp/ours" "$tmp/theirs" >&2
	result $? "raw dump of $2 is bpftool's"
}

same_layout() { # FILE WHAT
	"$SKEP" btf dump file "$1" format c >"$tmp/types.h" &&
		"$SKEP" btf dump file "$1" --json | tests/btf/asserts.py >"$tmp/asserts.h"
	result $? "$2 as C"
	printf '#include "%s/types.h"\n#include "%s/asserts.h"\n' "$tmp" "$tmp" >"$tmp/layout.c"
	for clang in clang-14 clang-19 clang-22; do
		what="$2: sizes and offsets in $clang ($(grep -c Static_assert "$tmp/asserts.h"))"
		if ! command -v $clang >/dev/null; then
			skip "$what" "no $clang"
			continue
		fi
		$clang -target bpf -Wall -Werror -O2 -g -c "$tmp/layout.c" -o "$tmp/layout.o" >"$tmp/log" 2>&1 &&
			[ "$(grep -c Static_assert "$tmp/asserts.h")" -gt 20 ]
		result $? "$what"
		sed -n '1,8s/^/# /p' "$tmp/log"
	done
	clang=$(command -v clang-19 || command -v clang-14 || command -v clang-22)
	if [ -z "$clang" ]; then
		skip "$2: bit fields" "no clang"
		return
	fi
	"$SKEP" btf dump file "$1" --json >"$tmp/a.json"
	printf '#include "%s/types.h"\n' "$tmp" >"$tmp/bits.c"
	tests/btf/bits.py keep "$tmp/a.json" >>"$tmp/bits.c"
	$clang -target bpf -O2 -g -c "$tmp/bits.c" -o "$tmp/bits.o" &&
		"$SKEP" btf dump file "$tmp/bits.o" --json >"$tmp/b.json" &&
		tests/btf/bits.py compare "$tmp/a.json" "$tmp/b.json"
	result $? "$2: bit fields"
}

if [ -r $vmlinux ]; then
	same_raw $vmlinux "the kernel"
	same_layout $vmlinux "the kernel"
else
	skip "the kernel" "no $vmlinux"
fi
for clang in clang-14 clang-19 clang-22; do
	if ! command -v $clang >/dev/null; then
		skip "objects of $clang" "no $clang"
		continue
	fi
	$clang -target bpf -O2 -g -c tests/btf/types.bpf.c -o "$tmp/types.o"
	result $? "$clang: odd types compile"
	same_raw "$tmp/types.o" "odd types by $clang"
	same_layout "$tmp/types.o" "odd types by $clang"
done
echo "1..$n"
