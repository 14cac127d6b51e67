#!/bin/sh
# libskep as it is installed: what it shows, its headers in C and C++, and
# examples/embed.c built against the shared and the static library.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
failed=0
ok() { # STATUS WHAT [LOG]
	n=$((n + 1))
	if [ "$1" = 0 ]; then
		echo "ok $n - $2"
	else
		echo "not ok $n - $2"
		failed=1
		[ -z "${3-}" ] || sed 's/^/# /' "$3" | head -n 40
	fi
}
skip() {
	n=$((n + 1))
	echo "ok $n # SKIP $1: $2"
}

DESTDIR=$work/root meson install -C "$SKEP_BUILD" --no-rebuild >"$work/log" 2>&1
ok $? "meson install" "$work/log"
so=$(find "$work/root" -name libskep.so)
ar=$(find "$work/root" -name libskep.a)
pc=$(find "$work/root" -name skep.pc)
inc=$(find "$work/root" -path '*/include' -type d)
[ -f "$so" ] && [ -f "$ar" ] && [ -f "$pc" ] && [ -d "$inc/skep" ] &&
	[ -x "$(find "$work/root" -path '*/bin/skep')" ]
ok $? "the binary, both libraries, the headers and skep.pc are there"
[ -z "$so" ] && echo "1..$n" && exit 1

# What include/skep declares, and nothing else, in a sanitized build, too.
nm -D --defined-only "$so" | awk '$2 != "A" && !/__jit_debug_/ { sub("@.*", "", $3); print $3 }' |
	sort -u >"$work/shown"
grep -hv '^#define' "$inc"/skep/*.h | tr '\n' ' ' | grep -o 'SKEP_API [^;]*;' |
	sed 's/(.*//; s/.*[ *]//' | sort -u >"$work/declared"
diff "$work/declared" "$work/shown" >"$work/log"
ok $? "the shared library shows what the headers declare" "$work/log"
[ "$(wc -l <"$work/declared")" -gt 40 ]
ok $? "... and they declare something"
case $(readelf -d "$so") in *libskep.so.0*) true ;; *) false ;; esac
ok $? "its name says which interface it has"

CC=gcc CXX=g++ SAN=
if nm -D "$so" | grep -q __asan_init; then
	CC=clang-14 CXX=clang++-14 SAN="-fsanitize=address,undefined -fno-sanitize=vptr"
fi
PKG_CONFIG_PATH=$(dirname "$pc")
PKG_CONFIG_SYSROOT_DIR=$work/root
export PKG_CONFIG_PATH PKG_CONFIG_SYSROOT_DIR
cflags=$(pkg-config --cflags skep)
libs=$(pkg-config --libs skep)
static=$(pkg-config --static --libs skep)
case $static in *-lelf*) true ;; *) false ;; esac
ok $? "pkg-config knows what the static library needs"

bad=0
for h in "$inc"/skep/*.h; do
	h=skep/$(basename "$h")
	echo "#include <$h>
int main(void) { return 0; }" >"$work/h.c"
	cp "$work/h.c" "$work/h.cc"
	$CC -std=c11 -Wall -Wextra -Wpedantic -Werror $cflags -fsyntax-only "$work/h.c" \
		>>"$work/log" 2>&1 || bad=1
	! command -v $CXX >/dev/null ||
		$CXX -std=c++11 -Wall -Wextra -Wpedantic -Werror $cflags -fsyntax-only \
			"$work/h.cc" >>"$work/log" 2>&1 || bad=1
done
ok $bad "each header stands alone, in C11 and C++11" "$work/log"

$CC $SAN -Wall -Wextra -Wpedantic -Werror $cflags examples/embed.c $libs -o "$work/shared" \
	>"$work/log" 2>&1
ok $? "embed.c with the shared library" "$work/log"
mkdir "$work/a"
cp "$ar" "$work/a"
$CC $SAN $cflags examples/embed.c -L"$work/a" $static -o "$work/static" >"$work/log" 2>&1
ok $? "... and with the static one" "$work/log"
[ "$(wc -l <examples/embed.c)" -le 100 ]
ok $? "it has a hundred lines"
! readelf -d "$work/static" | grep -q libskep
ok $? "the static one needs no libskep.so"

cat >"$work/want" <<'EOF'
dropped: 10.0.0.2, port is blocked
packet 0: pass
packet 1: pass
packet 2: pass
packet 3: drop
from 10.0.0.1: 1
from 10.0.0.2: 2
EOF
if ! "$SKEP" cc examples/embed.bpf.c -o "$work/embed.bpf.o" >"$work/log" 2>&1; then
	if command -v clang >/dev/null; then ok 1 "embed.bpf.c compiles" "$work/log"; else
		skip "running embed" "no clang"; fi
else
	for how in shared static; do
		LD_LIBRARY_PATH=$(dirname "$so") timeout 60 "$work/$how" "$work/embed.bpf.o" \
			>"$work/out" 2>&1
		# The order of a hash map's keys is nobody's business.
		{ head -n 5 "$work/out"; tail -n +6 "$work/out" | sort; } >"$work/sorted"
		diff "$work/want" "$work/sorted" >"$work/log"
		ok $? "embed runs: $how" "$work/log"
	done
	LD_LIBRARY_PATH=$(dirname "$so") timeout 60 "$work/shared" /nonexistent >"$work/out" 2>&1
	[ $? = 1 ] && grep -q '^embed: /nonexistent: ' "$work/out"
	ok $? "... and says what is wrong" "$work/out"
fi
echo "1..$n"
exit $failed
