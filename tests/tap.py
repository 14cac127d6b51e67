# SPDX-License-Identifier: BSD-2-Clause
"""What a test in Python says: TAP on standard output."""
import sys

LINES = 40  # of one note
_said = _failed = 0


def ok(good, what, *why):
    """One test; @why is told if it failed."""
    global _said, _failed
    _said += 1
    _failed += not good
    what = what.replace("#", "\\#")
    print(f"{'ok' if good else 'not ok'} {_said} - {what}")
    for note in () if good else why:
        for line in str(note).splitlines()[:LINES]:
            print(f"#   {line}")
    sys.stdout.flush()
    return bool(good)


def is_(got, want, what, *why):
    return ok(got == want, what, f"got:  {got!r}", f"want: {want!r}", *why)


def skip(what, reason):
    global _said
    _said += 1
    print(f"ok {_said} - {what} # SKIP {reason}", flush=True)


def skip_all(reason):
    print(f"1..0 # SKIP {reason}")
    sys.exit(0)


def done():
    print(f"1..{_said}")
    sys.exit(_failed != 0)
