#!/usr/bin/python3
# Bytes and text, both ways: a line a case in tests/isa/*.txt.
#   BYTES | TEXT   disassembles to TEXT, and TEXT assembles to BYTES
#   BYTES < TEXT   TEXT assembles to BYTES
#   BYTES ! TAG    is refused by both; lines of a TEXT are parted by " / "
import glob, os, re, subprocess, sys

sys.path.insert(0, "tests")
from tap import *  # noqa: E402

SKEP = os.environ.get("SKEP", "build/skep")


def skep(*args, data):
    p = subprocess.run([SKEP, *args], input=data, capture_output=True)
    return p.returncode, p.stdout, p.stderr.decode()


# What each kind of error says, so that a wrong reason does not pass.
SAYS = {
    "E_INSN_INVALID": r"instruction \d+: (unknown opcode|opcode 0x|half a 64-bit|[A-Z0-9_]+[: ])",
    "E_INSN_TRUNCATED": r"half a 64-bit immediate: the program ends",
    "E_INSN_JUMP": r"instruction \d+: (jump|call) to -?\d+ is (outside|into the middle)",
}


def case(where, bytes_, op, text):
    raw = bytes.fromhex(bytes_)
    lines = text.replace(" / ", "\n") + "\n"
    if op in "|<":
        rc, out, err = skep("asm", "-", data=lines.encode())
        ok(rc == 0 and out == raw, "%s: asm %s" % (where, text), out.hex(" "), err)
    if op == "|":
        rc, out, err = skep("disasm", "--raw", "-", data=raw)
        got = "\n".join(re.sub(r"^ *\d+: \(..\) ", "", l) for l in out.decode().splitlines())
        ok(rc == 0 and got == lines.strip(), "%s: disasm %s" % (where, text), got, err)
    if op == "!":
        # Where jumps lead is no question of one instruction's text.
        if text == "E_INSN_JUMP":
            rc, out, err = skep("disasm", "--raw", "-", data=raw)
            listing = out
            ok(rc == 0, "%s: a jump to nowhere still prints" % where, err)
            rc, out, err = skep("asm", "-", data=listing)
        else:
            rc, out, err = skep("disasm", "--raw", "-", data=raw)
        ok(rc == 1 and re.search(SAYS[text], err), "%s: %s is %s" % (where, bytes_, text), rc, err)


for path in sorted(glob.glob("tests/isa/*.txt")):
    for nr, line in enumerate(open(path), 1):
        line = line.rstrip("\n")
        if not line or line.startswith("#"):
            continue
        m = re.match(r"((?:[0-9a-f]{2} )+)([|<!]) +(.*)$", line)
        if not m:
            ok(False, "%s:%d: not a case" % (path, nr))
            continue
        case("%s:%d" % (os.path.basename(path), nr), m[1], m[2], m[3])

# hex input: bytes, runs, C arrays
for text in ("b7 01 00 00 21 0a 00 00\n95 00 00 00 00 00 00 00\n",
             "b7010000210a0000\n9500000000000000\n",
             "0xb7, 0x01, 0x00, 0x00, 0x21, 0x0a, 0, 0x00".replace(" 0,", " 0x00,")
             + ",\n0x95, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00\n"):
    rc, out, err = skep("disasm", "-", data=text.encode())
    ok(rc == 0 and out == b"   0: (b7) r1 = 2593\n   1: (95) exit\n", "hex %.12s" % text, out, err)
rc, out, err = skep("disasm", "--opcodes", "-", data=bytes.fromhex("b7010000210a0000"))
ok(out == b"   0: (b7) r1 = 2593\n       b7 01 00 00 21 0a 00 00\n", "--opcodes", out)
rc, out, err = skep("asm", "--hex", "-", data=b"r1 = 2593\n")
ok(out == b"b7 01 00 00 21 0a 00 00\n", "asm --hex", out)
rc, out, err = skep("disasm", "-", data=b"\x95\0\0")
ok(rc == 1 and "multiple of the 8 bytes" in err, "bytes that are no instructions", err)
rc, out, err = skep("disasm", "-", data=bytes.fromhex("ff" + "00" * 7 + "95" + "00" * 7))
ok(rc == 1 and b"0: (ff) invalid: " in out and b"1: (95) exit" in out,
   "what follows an invalid instruction is still printed", out, err)
rc, out, err = skep("disasm", "-", data=bytes.fromhex("0500010000000000 9500000000000000 9500000000000000"))
ok(out == b"   0: (05) goto pc+1 <L1>\n   1: (95) exit\nL1:\n   2: (95) exit\n", "labels", out)
rc, again, err = skep("asm", "--hex", "-", data=out)
ok(rc == 0 and again.startswith(b"05 00 01 00"), "a listing with labels assembles", again, err)
for args in (["disasm"], ["disasm", "--nonsense", "-"], ["asm"], ["asm", "a", "b"],
             ["disasm", "-c", "-x", "-"]):
    ok(skep(*args, data=b"")[0] == 2, "wrong usage: %s" % " ".join(args))
ok(skep("disasm", "/nonexistent", data=b"")[0] == 1, "a file that does not exist")

done()
