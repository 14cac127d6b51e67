#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""bits.py keep A.json: C definitions of a variable of every named struct and
union with bit fields.  bits.py compare A.json B.json: whether the bit fields of
B's types - compiled from A's C header - lie where A's do.  Both are what
`skep btf dump ... --json` prints; names used twice are left out."""
import collections
import json
import sys


def load(path):
    types = [json.loads(line) for line in open(path)]
    tags = collections.Counter(t["name"] for t in types
                               if t["kind"] in ("STRUCT", "UNION", "ENUM", "ENUM64"))
    return {t["name"]: t for t in types if t["kind"] in ("STRUCT", "UNION") and
            t["name"] != "(anon)" and tags[t["name"]] == 1 and
            any("bitfield_size" in m for m in t["members"])}


def bits(t):
    return [(m["name"], m["bits_offset"], m["bitfield_size"]) for m in t["members"]
            if "bitfield_size" in m and m["name"] != "(anon)"]


a = load(sys.argv[2])
if sys.argv[1] == "keep":
    for name, t in a.items():
        print("%s %s keep_%s;" % (t["kind"].lower(), name, name))
    sys.exit(0)
b = load(sys.argv[3])
bad = 0
for name, t in a.items():
    if not bits(t) or (name in b and bits(b[name]) == bits(t)):
        continue
    bad += 1
    print("# %s: want %s, got %s" % (name, bits(t), bits(b[name]) if name in b else None))
print("# %d structs with bit fields" % len(a))
sys.exit(1 if bad or not a else 0)
