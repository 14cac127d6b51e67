#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""asserts.py: reads `skep btf dump ... --json` and prints a C file that asserts
the size of every named struct, union, enum and typedef, and the offset of every
field that C can take the offset of.  Names used twice are left out."""
import collections
import json
import sys

types = [None] + [json.loads(line) for line in sys.stdin]
ANON = "(anon)"
MODS = ("CONST", "VOLATILE", "RESTRICT", "TYPE_TAG", "TYPEDEF")


def resolve(i):
    while i and types[i]["kind"] in MODS:
        i = types[i]["type_id"]
    return types[i] if i else None


def size(i):
    n = 1
    while True:
        t = resolve(i)
        if t is None:
            return None
        if t["kind"] == "ARRAY":
            n *= t["nr_elems"]
            i = t["type_id"]
        elif t["kind"] == "PTR":
            return n * 8
        else:
            return n * t["size"] if "size" in t else None


def fields(t, at):
    for m in t["members"]:
        off = at + m["bits_offset"]
        if m["name"] == ANON:
            inner = resolve(m["type_id"])
            if inner["kind"] in ("STRUCT", "UNION"):
                yield from fields(inner, off)
        elif "bitfield_size" not in m:
            yield m["name"], off // 8


tags = collections.Counter(t["name"] for t in types[1:] if t["kind"] in ("STRUCT", "UNION", "ENUM", "ENUM64"))
idents = collections.Counter(t["name"] for t in types[1:] if t["kind"] == "TYPEDEF")
for t in types[1:]:
    for v in t.get("values", ()):
        idents[v["name"]] += 1
n = 0
for t in types[1:]:
    kind, name = t["kind"], t["name"]
    if name == ANON:
        continue
    if kind in ("STRUCT", "UNION", "ENUM", "ENUM64") and tags[name] == 1:
        if kind.startswith("ENUM") and not t["vlen"]:
            continue
        c = {"STRUCT": "struct ", "UNION": "union "}.get(kind, "enum ") + name
        want = t["size"]
    elif kind == "TYPEDEF" and idents[name] == 1 and name != "__builtin_va_list":
        c, want = name, size(t["type_id"])
    else:
        continue
    if want is None:
        continue
    print('_Static_assert(sizeof(%s) == %d, "%s");' % (c, want, c))
    n += 1
    if kind in ("STRUCT", "UNION"):
        for field, off in fields(t, 0):
            print('_Static_assert(__builtin_offsetof(%s, %s) == %d, "%s.%s");' % (c, field, off, c, field))
            n += 1
print("/* %d */" % n)
