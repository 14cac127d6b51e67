#!/bin/sh
# skep conform: every group holds in every engine that is here, and the plugin's form.
n=0
check() { # NAME STATUS
	n=$((n + 1))
	[ "$2" -eq 0 ] || { printf 'not '; }
	echo "ok $n - $1"
}
plugin() { # WANT PROGRAM [ARGUMENT...]
	want=$1
	program=$2
	shift 2
	for engine in checked trusted jit jit-checked blinded; do
		got=$(echo "$program" | "$SKEP" conform --plugin --engine "$engine" "$@" 2>&1)
		[ "$got" = "$want" ]
		check "$engine: $want" $?
		[ "$got" = "$want" ] || echo "# got $got"
	done
}
out=$("$SKEP" conform -v 2>&1)
check "no group fails in any engine" $?
echo "$out" | sed 's/^/# /'
for group in base32 base64 atomic32 atomic64 divmul32 divmul64 packet; do
	echo "$out" | grep -Eq "^$group +yes \([0-9]+\) +yes \([0-9]+\)"
	check "$group holds in both interpreters" $?
done
plugin 2a 'b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00'
plugin ffffffffffffffff 'b700000000000000 1700000001000000 9500000000000000'
# r0 = *(u32 *)(r1 + 1) + r2
plugin 5040307 '61100100000000000f200000000000009500000000000000' 0102030405
plugin 0 'bf200000000000009500000000000000'
# A byte behind the memory is an error in checked engines.
for engine in checked jit-checked blinded; do
	echo '7110050000000000 9500000000000000' |
		"$SKEP" conform --plugin --engine $engine 0102030405 2>/dev/null
	[ $? -ne 0 ]
	check "$engine: a read behind the memory is refused" $?
done
for bad in 95 'b7 0' 'xx00000000000000' ''; do
	echo "$bad" | "$SKEP" conform --plugin 2>/dev/null
	[ $? -eq 2 ]
	check "'$bad' is wrong usage" $?
done
echo 1..$n
