#!/usr/bin/python3
# What is said of objects that are wrong: objects made by a compiler from wrong
# source, and objects spoiled byte by byte, as no compiler makes them.  Each row
# is a message of src/obj and how to come by it; scripts/messages finds those
# that have none.
import os
import shutil
import struct
import subprocess
import sys
import tempfile

SKEP = os.environ.get("SKEP", "build/skep")
if os.geteuid() or not shutil.which("clang"):
    print("1..0 # SKIP needs root and clang")
    sys.exit(0)

HEAD = """#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
"""
PROG = """
SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx) { return 0; }
"""
# A function that calls, takes addresses and looks up: for spoiling.
WHOLE = HEAD + """
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int);
__type(value, long); } counts SEC(".maps");
int variable = 7;
static __noinline long second(void *map, int *key, long *val) { return variable & 1; }
__noinline int third(int x) { return x * variable; }
SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx)
{
	int key = 0;
	long *val = bpf_map_lookup_elem(&counts, &key);
	bpf_for_each_map_elem(&counts, second, &key, 0);
	return val ? *val + third(key) : 0;
}
"""


def map_def(members, extra="", init=""):
    return f"{HEAD}{extra} struct {{ {members} }} m SEC(\".maps\"){init};{PROG}"


HASH = "__uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1);"

# Its answer is on the command line.
KCONFIG = HEAD + """
extern int CONFIG_HZ __kconfig;
SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx)
{
	bpf_printk("HZ is %d", CONFIG_HZ);
	return 0;
}
"""

# what, source, words of the answer; compiled with -g
SOURCES = [
    ("a key of no size", map_def(HASH + "__type(key, struct nothing); __type(value, int);"),
     ["map 'm'", "the type of its key has no size"]),
    ("a size against a type",
     map_def(HASH + "__type(key, int); __uint(key_size, 8); __type(value, int);"),
     ["map 'm'", "key_size is 8, but its type has 4 bytes"]),
    ("a type against a size",
     map_def(HASH + "__uint(key_size, 8); __type(key, int); __type(value, int);"),
     ["map 'm'", "key_size is 8, but the key's type has 4 bytes"]),
    ("a pinning of its own",
     map_def(HASH + "__type(key, int); __type(value, int); __uint(pinning, 7);"),
     ["map 'm'", "pinning is 7", "LIBBPF_PIN_BY_NAME"]),
    ("a number that is none", map_def("int type; __uint(max_entries, 1);"),
     ["map 'm'", "'type' is not written as __uint"]),
    ("maps in what holds none",
     map_def(HASH + "__type(key, int); __array(values, struct { __uint(type, "
             "BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1); __type(key, int); "
             "__type(value, int); });"),
     ["map 'm'", "has maps as values, but is no ARRAY_OF_MAPS"]),
    ("maps of maps of which nothing is known",
     map_def("__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); "
             "__type(key, int);"),
     ["map 'm'", "__array(values, struct"]),
    ("values that are no array",
     map_def("__uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); "
             "__type(key, int); int values;"),
     ["map 'm'", "'values' is not written as __array"]),
    ("maps in maps in maps",
     map_def("__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); "
             "__type(key, int); __array(values, struct { __uint(type, "
             "BPF_MAP_TYPE_ARRAY_OF_MAPS); __uint(max_entries, 1); __type(key, int); "
             "__array(values, struct { __uint(type, BPF_MAP_TYPE_ARRAY); "
             "__uint(max_entries, 1); __type(key, int); __type(value, int); }); });"),
     ["map 'm'", "maps in maps in maps"]),
    ("a map that is no struct", HEAD + 'int m SEC(".maps") = 1;' + PROG,
     ["map 'm'", "is not a struct"]),
    ("a value that is no program",
     map_def("__uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 1); "
             "__uint(key_size, 4); __array(values, int (void *));",
             "int variable;", " = { .values = { (void *)&variable } }"),
     ["map 'm': value 0 is 'variable', which is no program of this object"]),
    ("a member that is initialised",
     map_def(HASH + "__type(key, int); __type(value, int); void *other;", "int variable;",
             " = { .other = &variable }"), ["map 'm'"]),
    ("a function of another object",
     HEAD + 'extern int elsewhere(int); SEC("tracepoint/syscalls/sys_enter_getpgid")'
     "int prog(void *ctx) { return elsewhere(1); }",
     ["program 'prog'", "calls 'elsewhere', which is no function of this object", "skep link"]),
    ("a variable of another object",
     HEAD + 'extern int elsewhere; SEC("tracepoint/syscalls/sys_enter_getpgid")'
     "int prog(void *ctx) { return elsewhere; }",
     ["program 'prog'", "needs 'elsewhere', which this object only declares"]),
    ("a license that is a novel",
     f'#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nchar L[] SEC("license") = "{"G" * 300}";' +
     PROG, ["the license is longer than"]),
    ("a version that is no number", HEAD + 'char v[] SEC("version") = "6.1";' +
     'long long w SEC("version") = 1;' + PROG, ["section 'version' has", "instead of 4"]),
    ("a legacy map cut short",
     HEAD + 'struct { int type, key_size; } m SEC("maps") = { 1, 4 };' + PROG,
     ["map 'm' has 8 bytes in section 'maps'", "are 16"]),
    ("a parameter of a remote control that is too small",
     HEAD + 'struct { int type, key_size, value_size, max_entries, flags; } m '
     'SEC("lirc_mode2/maps") = { 1, 4, 4, 1 }; char small = 3; '
     'SEC("lirc_mode2") int prog(void *ctx) { return (int)(long)&small; }',
     ["takes the value of 'small', which has no 4 bytes"]),
    ("a program of a million and one",
     HEAD + 'SEC("tracepoint/syscalls/sys_enter_getpgid") int prog(void *ctx) { '
     'asm volatile(".rept 1000001\\nr0 += 1\\n.endr" ::: "r0"); return 0; }',
     ["program 'prog' is too large: 10000", "the kernel takes 1000000"]),
]


class Elf:
    """An ELF object to be spoiled."""

    def __init__(self, data):
        self.data = bytearray(data)
        self.shoff, = struct.unpack_from("<Q", data, 40)
        self.nr, self.strndx = struct.unpack_from("<HH", data, 60)
        self.secs = [list(struct.unpack_from("<IIQQQQIIQQ", data, self.shoff + 64 * i))
                     for i in range(self.nr)]
        self.names = [self.text(self.strndx, s[0]) for s in self.secs]

    def text(self, sec, off):
        start = self.secs[sec][4] + off
        return self.data[start:self.data.index(0, start)].decode()

    def put(self, sec, field, value):
        """A field of a section's header, by number (1 sh_type, 2 sh_flags, ...)."""
        self.secs[self.names.index(sec)][field] = value
        i = self.names.index(sec)
        struct.pack_into("<IIQQQQIIQQ", self.data, self.shoff + 64 * i, *self.secs[i])

    def offset(self, sec):
        return self.secs[self.names.index(sec)][4]

    def size(self, sec):
        return self.secs[self.names.index(sec)][5]

    def symbol(self, name):
        """Where its 24 bytes are: name, info, other, shndx, value, size."""
        tab = self.names.index(".symtab")
        strs = self.secs[tab][6]
        for at in range(self.secs[tab][4], self.secs[tab][4] + self.secs[tab][5], 24):
            if self.text(strs, struct.unpack_from("<I", self.data, at)[0]) == name:
                return at
        raise KeyError(name)


    def types(self):
        return types(self.data, self.offset(".BTF"))


def types(data, at):
    """Of the BTF at an offset: (number, where it is, name, kind, members)."""
    hdr, type_off, type_len, str_off = struct.unpack_from("<IIII", data, at + 4)
    strs, end = at + hdr + str_off, at + hdr + type_off + type_len
    # Bytes behind the common 12, and for each member.
    more = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0),
            15: (0, 12), 17: (4, 0), 19: (0, 12)}
    at, n = at + hdr + type_off, 1
    while at < end:
        name, info = struct.unpack_from("<II", data, at)
        start, kind, vlen = strs + name, info >> 24 & 31, info & 0xffff
        yield n, at, data[start:data.index(0, start)].decode(), kind, vlen
        fixed, each = more.get(kind, (0, 0))
        at, n = at + 12 + fixed + each * vlen, n + 1


def module_types(kernel, name):
    """BTF of a module with one function, on top of @kernel's."""
    nr = sum(1 for _ in types(kernel, 0)) + 1
    strs, = struct.unpack_from("<I", kernel, 20)
    names = name.encode() + b"\0"
    body = struct.pack("<III", 0, 13 << 24, 0) + struct.pack("<III", strs, 12 << 24, nr)
    return struct.pack("<HBBIIIII", 0xeb9f, 1, 0, 24, 0, len(body), len(body),
                       len(names)) + body + names


TP = "tracepoint/syscalls/sys_enter_getpgid"


def relocation(e, n=0):
    return e.offset(".rel" + TP) + 16 * n


def at_symbol(e, name):
    """The relocation of the program against @name."""
    want = (e.symbol(name) - e.offset(".symtab")) // 24
    for n in range(e.size(".rel" + TP) // 16):
        if struct.unpack_from("<I", e.data, relocation(e, n) + 12)[0] == want:
            return relocation(e, n)
    raise KeyError(name)


def poke(at, fmt, value):
    return lambda e: struct.pack_into(fmt, e.data, at(e), value)


def cut(n):
    def spoil(e):
        del e.data[n:]
    return spoil


def core_record(field, value):
    """A word of the first CO-RE record: 0 instruction, 1 type, 2 access, 3 kind."""
    def spoil(e):
        ext = e.offset(".BTF.ext")
        hdr, _, _, _, _, core, size = struct.unpack_from("<IIIIIII", e.data, ext + 4)
        assert size
        struct.pack_into("<I", e.data, ext + hdr + core + 4 + 8 + 4 * field,
                         value(e) if callable(value) else value)
    return spoil


def exit_of(e):
    """Where the program ends, in its section."""
    return e.size("raw_tp/sys_enter") - 8


def variable_of(sec, field, value):
    """A word of the first entry of section @sec's types: 0 type, 1 offset, 2 size."""
    def spoil(e):
        at, = [at for _, at, name, kind, _ in e.types() if name == sec and kind == 15]
        number = value(e) if callable(value) else value
        struct.pack_into("<I", e.data, at + 12 + 4 * field, number)
    return spoil


def function_type(e):
    return next(n for n, _, _, kind, _ in e.types() if kind == 12)


def addends(sec, addend):
    """The relocations of @sec with addends, as other compilers write them."""
    def spoil(e):
        at, n = e.offset(sec), e.size(sec) // 16
        table = b"".join(bytes(e.data[at + 16 * i:at + 16 * i + 16]) + struct.pack("<q", addend)
                         for i in range(n))
        for field, value in ((1, 4), (4, len(e.data)), (5, len(table)), (9, 24)):
            e.put(sec, field, value)
        e.data += table
    return spoil


# what, how it is spoiled, words of the answer
SPOILED = [
    ("sections that are not there", lambda e: struct.pack_into("<H", e.data, 62, 0xffff) or
     struct.pack_into("<Q", e.data, 40, 0) or struct.pack_into("<H", e.data, 60, 0),
     ["has no section names"]),
    ("a function among the maps", variable_of(".maps", 0, function_type),
     ["section '.maps' holds what is not a variable"]),
    ("an addend without room", addends(".rel" + TP, 1 << 40),
     ["relocation at offset", "with an addend of 1099511627776, for which the instruction has"]),
    ("a text called .o", lambda e: e.data.__setitem__(slice(0, 4), b"int "), ["is no ELF object, though"]),
    ("nothing", cut(0), ["is empty"]),
    ("a 32-bit file", poke(lambda e: 4, "<B", 1), ["32-bit ELF file; BPF objects are 64-bit"]),
    ("a big-endian file", poke(lambda e: 5, "<B", 2), ["big-endian", "bpfel"]),
    ("a header cut short", cut(40), ["is not an ELF object"]),
    ("a header cut short by one", cut(63), ["is not an ELF object"]),
    ("another machine", poke(lambda e: 18, "<H", 62), ["another kind of machine (ELF machine 62)"]),
    ("no section names", poke(lambda e: 62, "<H", 999), ["section 1 has no readable header or name"]),
    ("a name beyond the names", poke(lambda e: e.shoff + 64 * 3, "<I", 1 << 30),
     ["section 3 has no readable header or name"]),
    ("a compressed section", lambda e: e.put("license", 2, 0x800), ["'license' is compressed"]),
    ("two symbol tables", lambda e: (e.put("license", 1, 2), e.put("license", 5, 0)),
     ["more than one symbol table"]),
    ("no symbol table", lambda e: e.put(".symtab", 1, 1), ["has no symbol table", "stripped"]),
    ("a function larger than its section", poke(lambda e: e.symbol("prog") + 16, "<Q", 1 << 20),
     ["function 'prog'", "does not lie in section"]),
    ("functions that overlap", poke(lambda e: e.symbol("third") + 8, "<Q", 8),
     ["functions 'third' and 'second' overlap"]),
    ("a relocation beside the instructions", poke(relocation, "<Q", 4),
     ["relocation at offset 4, which is no instruction"]),
    ("a relocation behind the function",
     lambda e: (struct.pack_into("<Q", e.data, e.symbol("prog") + 16, 16),
                struct.pack_into("<Q", e.data, relocation(e), 24)),
     ["belongs to no function"]),
    ("a relocation of unknown type", poke(lambda e: relocation(e) + 8, "<I", 77),
     ["relocation of unknown type 77"]),
    ("a relocation against no symbol", poke(lambda e: relocation(e) + 12, "<I", 9999),
     ["against symbol 9999, which is not there"]),
    ("an instruction relocated twice",
     lambda e: e.data.__setitem__(slice(relocation(e, 1), relocation(e, 1) + 16),
                                  e.data[relocation(e):relocation(e) + 16]),
     ["function 'prog': instruction", "is relocated twice"]),
    ("a symbol in no section", poke(lambda e: e.symbol("counts") + 6, "<H", 0xfff0),
     ["'counts'"]),
    ("a map beside the maps", poke(lambda e: e.symbol("counts") + 8, "<Q", 4096), ["counts"]),
    ("an address within an instruction",
     lambda e: struct.pack_into("<i", e.data, e.offset(TP) + struct.unpack_from(
         "<Q", e.data, next(relocation(e, n) for n in range(9)
                            if e.data[e.offset(TP) + struct.unpack_from(
                                "<Q", e.data, relocation(e, n))[0] + 1] >> 4 == 0 and
                            struct.unpack_from("<I", e.data, relocation(e, n) + 12)[0] ==
                            text_symbol(e)))[0] + 4, 12),
     ["the middle of an instruction"]),
    ("data beyond its section", poke(lambda e: e.symbol("variable") + 8, "<Q", 1 << 20),
     ["'variable'"]),
]


def text_symbol(e):
    """The number of the section symbol of .text."""
    text = e.names.index(".text")
    at = e.offset(".symtab")
    for n in range(e.size(".symtab") // 24):
        info, _, shndx = struct.unpack_from("<BBH", e.data, at + 24 * n + 4)
        if info & 15 == 3 and shndx == text:
            return n
    raise KeyError(".text")


# The same for CORE.  With relocations that fail, what is left of the object runs.
SPOILED_CORE = [
    ("a CO-RE record beside the functions", core_record(0, 1 << 20),
     ["CO-RE record 0 of section", "is at offset 1048576, where no function is"]),
    ("a CO-RE record of no type", core_record(1, 1 << 20),
     ["CO-RE relocation of type [1048576], which does not exist"]),
    ("a CO-RE record without access", core_record(2, 1 << 20), ["malformed access"]),
    ("a CO-RE record of another kind", core_record(3, 99),
     ["program 'prog'", "CO-RE relocation of unknown kind 99"]),
    ("a CO-RE record of an instruction that has no number", core_record(0, exit_of),
     ["program 'prog'", "struct task_struct.pid"]),
    ("types of another machine", poke(lambda e: e.offset(".BTF"), ">H", 0xeb9f),
     ["section '.BTF'", "byte order of another machine"]),
    ("lines of another machine", poke(lambda e: e.offset(".BTF.ext"), ">H", 0xeb9f),
     ["section '.BTF.ext'", "byte order of another machine"]),
    ("types of another version", poke(lambda e: e.offset(".BTF") + 2, "<B", 9),
     ["section '.BTF'", "BTF version 9; only 1 is known"]),
    ("a program for no map", poke(lambda e: e.offset(".rel.maps") + 12, "<I", 9999),
     ["section '.maps': the relocation at", "is of no map or no symbol"]),
    ("a program for the key of a map",
     lambda e: struct.pack_into("<Q", e.data, e.offset(".rel.maps"), struct.unpack_from(
         "<Q", e.data, e.symbol("jumps") + 8)[0]),
     ["map 'jumps' is initialised outside of 'values'"]),
]

# What the linker says of WHOLE spoiled.
SPOILED_LINK = [
    ("an alignment", lambda e: e.put(".data", 8, 1 << 40), ["'.data' wants to be aligned to"]),
    ("half an instruction", lambda e: e.put(TP, 5, e.size(TP) - 4),
     ["section '" + TP + "' ends within an instruction"]),
    ("a section of 3 GiB", lambda e: (e.put(TP, 1, 8), e.put(TP, 5, 3 << 30)),
     ["section '" + TP + "' of all objects together is larger than 2 GiB"]),
    ("a section shorter than its variable", lambda e: (
        e.put(".data", 5, 2), struct.pack_into("<Q", e.data, e.symbol("variable") + 16, 0)),
     ["section '.data'", "ends at 2"]),
    ("lines of another machine", poke(lambda e: e.offset(".BTF.ext"), ">H", 0xeb9f),
     [".BTF.ext in the byte order of another machine"]),
    ("an unaligned relocation", poke(relocation, "<Q", 4), ["relocation at offset 4"]),
    ("a relocation against no symbol", poke(lambda e: relocation(e) + 12, "<I", 9999),
     ["section '" + TP + "': relocation at offset"]),
    ("a relocation of nothing", lambda e: e.put(".rel" + TP, 7, 999),
     ["relocates section 999, which is not there"]),
    ("a symbol of another binding", poke(lambda e: e.symbol("variable") + 4, "<B", 0x51),
     ["symbol 'variable' is neither local, global nor weak"]),
    ("a symbol in no section", poke(lambda e: e.symbol("prog") + 6, "<H", 999),
     ["symbol 'prog' is in section 999, which is not there"]),
    ("a symbol beyond its section", poke(lambda e: e.symbol("variable") + 8, "<Q", 1 << 20),
     ["symbol 'variable' lies outside of section '.data'"]),
    ("a symbol without a name", poke(lambda e: e.symbol("prog"), "<I", 0),
     ["global symbol", "has no name"]),
]

# What is said of a table of functions.
SPOILED_OPS = [
    ("a table beyond its section", lambda e: e.put(".struct_ops.link", 5, 4),
     ["variable 'table' lies beyond the end of section '.struct_ops.link'"]),
    ("a function beside the tables", lambda e: struct.pack_into(
        "<Q", e.data, e.offset(".rel.struct_ops.link"), 4096),
     ["section '.struct_ops.link' has a relocation at 4096, where no struct is"]),
]

# Two objects that do not go together: a map that is wrong in one of them.
WRONG_MAP = "struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); " \
            "__type(key, int); __uint(key_size, 8); __type(value, int); }"
RIGHT_MAP = WRONG_MAP.replace("__uint(key_size, 8); ", "")
USES_MAP = """
SEC("tracepoint/syscalls/sys_enter_getpgid") int user(void *ctx)
{ int key = 0; return bpf_map_lookup_elem(&m, &key) != 0; }"""
PAIRS = [
    ("a map that is wrong where it is", HEAD + WRONG_MAP + ' m SEC(".maps");' + PROG,
     HEAD + "extern " + RIGHT_MAP + ' m SEC(".maps");' + USES_MAP,
     ["map 'm'", "key_size is 8, but its type has 4 bytes"]),
    ("a map that is wrong where it is used", HEAD + RIGHT_MAP + ' m SEC(".maps");' + PROG,
     HEAD + "extern " + WRONG_MAP + ' m SEC(".maps");' + USES_MAP,
     ["map 'm'", "key_size is 8, but its type has 4 bytes"]),
]
SECTIONS = 40000  # of each of two objects

# A kernel without types: section, and the words of the answer.
UNTYPED = [
    ("fentry/do_exit", ["program 'prog' needs the kernel's types", "CONFIG_DEBUG_INFO_BTF"]),
    ("tp_btf/sched_switch", ["program 'prog' needs the kernel's types"]),
]
PLACE = "S" * 64
OPS = """
struct tcp_congestion_ops { void (*init)(void *); char name[16]; };
SEC("struct_ops/init") void init(void *sk) { }
SEC(".struct_ops.link") struct tcp_congestion_ops table = { .init = (void *)init, .name = "x" };
"""
KSYM = HEAD + """
extern const int runqueues __ksym;
SEC("raw_tp/sys_enter") int prog(void *ctx) { return runqueues; }
"""
CORE = HEAD + """
struct task_struct { int pid; } __attribute__((preserve_access_index));
int tail(void *ctx);
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2); __uint(key_size, 4);
__array(values, int (void *)); } jumps SEC(".maps") = { .values = { [1] = (void *)&tail } };
SEC("tracepoint/syscalls/sys_enter_getpgid") int tail(void *ctx) { return 0; }
SEC("raw_tp/sys_enter") int prog(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	int pid = 0;
	bpf_probe_read_kernel(&pid, sizeof(pid), &t->pid);
	return pid;
}
"""
HIDE = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "-"]
# A kernel whose table is not what its name says, as BTF of its own.
OTHER_OPS = """
struct tcp_congestion_ops { void (*init)(void *); char name[16]; } ops;
struct bpf_struct_ops_tcp_congestion_ops { int refcnt; } value;
"""
count = bad = 0


def check(what, path, words, options=(), before=()):
    told(what, [*before, SKEP, "run", "--engine", "kernel", *options, path, "--", "true"], words,
         (1, 3, 4))


def told(what, argv, words, statuses=(1, 4)):
    global count, bad
    r = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    missing = [w for w in words if w not in r.stderr]
    ok = r.returncode in statuses and not missing
    count += 1
    bad += not ok
    print(f"{'ok' if ok else 'not ok'} {count} - {what}")
    if not ok:
        print(f"#   status {r.returncode}, without {missing}")
        print("#   " + r.stderr[-1500:].replace("\n", "\n#   "))


def write_spoiled(data, spoil, path):
    e = Elf(data)
    spoil(e)
    with open(path, "wb") as f:
        f.write(e.data)


def compile_(text, path, *options):
    subprocess.run(["clang", "-O2", "-g", "-w", "-target", "bpf", *options,
                    f"-I/usr/include/{os.uname().machine}-linux-gnu", "-xc", "-c", "-",
                    "-o", path], input=text, text=True, check=True)


with tempfile.TemporaryDirectory() as tmp:
    path = tmp + "/it.bpf.o"
    for what, text, words in SOURCES:
        compile_(text, path)
        check(what, path, words)
    compile_(WHOLE, path)
    with open(path, "rb") as f:
        whole = f.read()
    r = subprocess.run([SKEP, "run", "--engine", "kernel", path, "--", "true"],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    count += 1
    bad += r.returncode != 0
    print(f"{'ok' if r.returncode == 0 else 'not ok'} {count} - the object that is spoiled runs")
    if r.returncode:
        print("#   " + r.stderr.replace("\n", "\n#   "))
    for what, spoil, words in SPOILED:
        write_spoiled(whole, spoil, path)
        check(what, path, words)
    for what, spoil, words in SPOILED_LINK:
        write_spoiled(whole, spoil, path)
        told("link: " + what, [SKEP, "link", path, "-o", tmp + "/linked.o"], words)
    with open(path, "wb") as f:
        f.write(whole)
    # A file that may not grow.
    told("link: no room", ["sh", "-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "-", SKEP,
                           "link", path, "-o", tmp + "/linked.o"],
         ["the linked object cannot be written"])
    compile_(HEAD + "int variable = 7;" + PROG, path, "-g0")
    with open(path, "rb") as f:
        bare = f.read()
    write_spoiled(bare, poke(lambda e: e.symbol("variable") + 8, "<Q", 1 << 20), path)
    told("link: without types, a symbol beyond its section",
         [SKEP, "link", path, "-o", tmp + "/linked.o"],
         ["symbol 'variable' lies outside of section '.data'"])
    for what, left, right, words in PAIRS:
        compile_(left, path)
        compile_(right, tmp + "/other.o")
        told("link: " + what, [SKEP, "link", path, tmp + "/other.o", "-o", tmp + "/linked.o"],
             words)
    # Static ones of all objects stay apart.
    compile_("".join(f"static int v{i} __attribute__((used)) = 1;" for i in range(1000)), path)
    told("link: more variables than types can tell of",
         [SKEP, "link", *[path] * 66, "-o", tmp + "/linked.o"],
         ["section '.data' has 66000 variables; 65535 are the most"])
    for n, file in enumerate((path, tmp + "/other.o")):
        compile_("".join(f'__asm__(".section .data.v{n}_{i},\\"aw\\"\\n.long 1\\n");'
                         for i in range(SECTIONS)), file, "-g0")
    told("link: more sections than a file can have",
         [SKEP, "link", path, tmp + "/other.o", "-o", tmp + "/linked.o"],
         ["the objects have more than 65280 sections together"])
    compile_(CORE, path)
    check("a kernel without types, and CO-RE", path,
          ["CO-RE needs the kernel's types", "CONFIG_DEBUG_INFO_BTF"], before=HIDE)
    with open(tmp + "/text", "w") as f:
        f.write("a text, which has no types at all")
    check("types from a text", path, [tmp + "/text: is neither BTF"], ["--btf", tmp + "/text"])
    with open(path, "rb") as f:
        core = f.read()
    for what, spoil, words in SPOILED_CORE:
        write_spoiled(core, spoil, path)
        told(what, [SKEP, "run", "--engine", "kernel", path, "--", "true"], words, (0, 1, 4))
    with open(path, "wb") as f:
        f.write(core[:63])
    told("types of an ELF file cut short", [SKEP, "btf", "dump", "file", path], ["ELF: "])
    compile_(HEAD + f'SEC("{PLACE}") int prog(void *ctx) {{ return 0; }}', path)
    with open(path, "rb") as f:
        prog = f.read()
    for sec, words in UNTYPED:
        with open(path, "wb") as f:
            f.write(prog.replace(PLACE.encode(), sec.encode().ljust(len(PLACE), b"\0")))
        check(f"a kernel without types, and {sec}", path, words, before=HIDE)
    compile_(KSYM, path)
    check("a kernel without types, and a variable of it", path,
          ["'runqueues' needs the kernel's types"], before=HIDE)
    compile_(HEAD + OPS, path)
    check("a kernel without types, and a table", path,
          ["struct_ops 'table' needs the kernel's types"], before=HIDE)
    with open(path, "rb") as f:
        ops = f.read()
    for what, spoil, words in SPOILED_OPS:
        write_spoiled(ops, spoil, path)
        check(what, path, words)
    # Types of a kernel made here: a folder that stands where the kernel shows its own.
    btf = tmp + "/btf"
    os.mkdir(btf)
    MADE = ["unshare", "-m", "sh", "-c", f'mount --bind {btf} /sys/kernel/btf && exec "$@"', "-"]
    compile_(OTHER_OPS, path)
    with open(path, "rb") as f:
        e = Elf(f.read())
    with open(btf + "/vmlinux", "wb") as f:
        f.write(e.data[e.offset(".BTF"):e.offset(".BTF") + e.size(".BTF")])
    with open(path, "wb") as f:
        f.write(ops)
    check("a table that the kernel's value does not hold", path,
          ["the kernel's struct bpf_struct_ops_tcp_congestion_ops holds no struct "
           "tcp_congestion_ops"], before=MADE)
    with open("/sys/kernel/btf/vmlinux", "rb") as f:
        kernel = f.read()
    with open(btf + "/vmlinux", "wb") as f:
        f.write(kernel)
    with open(btf + "/made", "wb") as f:
        f.write(module_types(kernel, "made_function"))
    with open(btf + "/broken", "w") as f:
        f.write("no types")
    for sec, words in (
            ("fentry/made:made_function", ["SEC(\"fentry/made:made_function\"): the kernel engine "
                                           "does not know the kernel's module 'made'"]),
            ("fentry/made:made_functoin", ["the types of the module 'made' have no "
                                           "'made_functoin'"]),
            ("fentry/broken:made_function", ["no module 'broken' with types is loaded"])):
        with open(path, "wb") as f:
            f.write(prog.replace(PLACE.encode(), sec.encode().ljust(len(PLACE), b"\0")))
        check(sec, path, words, before=MADE)
    compile_(HEAD + "int variable;" + PROG, path, "-g0")
    told("no types to print", [SKEP, "btf", "dump", "file", path],
         ["no .BTF section; compile with -g"])
    check("--set without types", path, ["has no types", "compile with -g"],
          ["--set", "variable=1"])
    compile_(KCONFIG, path)
    check("a configuration that is not there", path,
          ["CONFIG_HZ", "/nonexistent: cannot be read as a kernel configuration"],
          ["--kconfig", "/nonexistent"])
    with open(tmp + "/config", "w") as f:
        f.write("# CONFIG_X is not set\nCONFIG_HZ=1234\n")
    r = subprocess.run([SKEP, "run", "--engine", "kernel", "--kconfig", tmp + "/config", path,
                        "--", sys.executable, "-c", "import os; os.getpgid(0)"],
                       stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    count += 1
    bad += "HZ is 1234" not in r.stdout
    print(f"{'ok' if 'HZ is 1234' in r.stdout else 'not ok'} {count} - a configuration from a file")
print(f"1..{count}")
sys.exit(bad != 0)
