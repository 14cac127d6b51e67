#!/usr/bin/python3
# skep cc, what is said of files that are no programs, and what a person who
# types the commands is told on the way.
import pty
import select
import shutil
import signal
import time

from skeptest import *

if not shutil.which("clang"):
    skip_all("no clang")
WHO = "root" if ROOT else "nobody"
HERE = f"{dir}/{WHO}"


def write(name, data):
    path = f"{HERE}/{name}"
    with open(path, "wb") as f:
        f.write(data)
    os.chmod(path, 0o644)
    return path


def says(args, status, text, what, **kw):
    got, out, err = skep(args, WHO, **kw)
    ok(got == status and text in err, what, f"status {got}, want {status}", out, err)


# Compiling.
got, out, err = skep(["cc", example("hello")], WHO)
ok(got == 0 and not out and not err, "skep cc", out, err)
with open(f"{HERE}/hello.bpf.o", "rb") as f:
    elf = f.read()
ok(elf[:4] == b"\x7fELF" and elf[18] == 247, "... writes a BPF object into this folder")
got, out, err = skep(["cc", example("hello"), "-o", f"{HERE}/other.o"], WHO)
with open(f"{HERE}/other.o", "rb") as f:
    ok(got == 0 and f.read() == elf, "... or where -o says, the same", err)
got, out, err = skep(["run", "--engine", "user", "other.o", "--", "true"], "nobody" if not ROOT else WHO)
ok(got == 0 and "hello, " in out, "... which runs", out, err)
got, out, err = skep(["cc", "-X", "-DLIMIT=", "--flag", "-Dx86=", example("hello"), "-o", "x.o"], WHO)
ok(got == 0, "--flag", err)
says(["cc"], 2, "needs one FILE", "no file")
says(["cc", "--nonsense"], 2, "unknown option '--nonsense'", "an unknown option")
says(["cc", example("hello"), "-o"], 2, "-o needs an argument", "an option without its argument")
says(["cc", example("hello"), "-o", "/nonexistent/x.o"], 1, "/nonexistent/x.o: No such file",
     "a folder that does not exist")
says(["cc", write("syntax.bpf.c", b"int x = ;\n")], 1, "syntax.bpf.c:1:9: error", "clang's words")

# Files that are no programs.
says(["run", write("empty.bpf.o", b"")], 1, "empty.bpf.o: is empty", "an empty file")
says(["run", write("text.bpf.o", b"hello\n")], 1, "text.bpf.o: is no ELF object", "text named .o")
says(["run", write("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")], 1,
     "picture.png: is neither a BPF object (ELF) nor C source", "a picture")
says(["run", "/bin/true"], 1, "not a BPF object", "a program for this machine")
says(["run", HERE], 1, "Is a directory", "a folder")
status = set()
for n in range(0, len(elf), 97):
    got, out, err = skep(["run", "--engine", "user", write("cut.bpf.o", elf[:n]), "--", "true"], WHO)
    if not (got == 1 and "cut.bpf.o: " in err and "Sanitizer" not in err):
        status.add((n, got, err))
ok(not status, "an object cut at any length is refused in a sentence", *status)
with open(example("hello"), "rb") as f:
    crlf = write("crlf.bpf.c", f.read().replace(b"\n", b"\r\n"))
got, out, err = skep(["run", "--engine", "user", crlf, "--", "true"], WHO)
ok(got == 0 and "hello, " in out and not err, "lines that end in CR LF", out, err)

says(["run", "--pcap", "/dev/null", example("hello")], 1, "no program for packets in it",
     "--pcap without a packet program")
says(["run", write("none.bpf.c", b"int x;\n"), "--", "true"], 1, "no program in it", "no program")
says(["disasm", "-s"], 2, "-s needs an argument", "disasm: an option without its argument")
says(["asm", "-o"], 2, "-o needs an argument", "asm: an option without its argument")

says(["btf", "dump", "file", example("hello")], 1, "is neither BTF", "btf dump of a source")

# Without the kernel's types.
if ROOT and shutil.which("unshare"):
    os.mkdir(f"{HERE}/nothing")
    hide = f"mount --bind {HERE}/nothing /sys/kernel/btf && exec {SKEP} run --no-cache "
    p = subprocess.run(["unshare", "-m", "sh", "-c",
                        hide + f"--engine user {example('readhist')} -- true"],
                       capture_output=True, text=True, env=env(WHO), timeout=60)
    ok(p.returncode == 1 and "CONFIG_DEBUG_INFO_BTF" in p.stderr and
       "vmlinux.h" in p.stderr, "no BTF, vmlinux.h wanted", p.stderr)
    os.mkdir(f"{HERE}/own")
    write("own/vmlinux.h", b"typedef int own;\n")
    own = write("own/own.bpf.c", b"""#include "vmlinux.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("tracepoint/syscalls/sys_enter_execve") own f(void *ctx) { bpf_printk("own"); return 0; }
""")
    p = subprocess.run(["unshare", "-m", "sh", "-c", hide + f"--engine user {own} -- true"],
                       capture_output=True, text=True, env=env(WHO), timeout=60)
    ok(p.returncode == 0 and "own" in p.stdout, "... unless it lies beside the program", p.stderr)
else:
    skip("no BTF", "needs root and unshare")

# What a person is told.
says(["disam"], 2, "no verb 'disam'; did you mean disasm?", "a verb mistyped")
got, out, err = skep(["help", "cc"], WHO)
ok(got == 0 and "usage: skep cc" in out and not err, "skep help VERB", out, err)
got, out, err = skep(["version", "--nonsense"], WHO)
ok(got == 2 and "--nonsense" in err, "skep version takes nothing", err)
got, out, err = skep(["btf", "--nonsense"], WHO)
ok(got == 2 and "--nonsense" in err, "skep btf names the option", err)
says(["run", "-v", "--engine", "user", example("hello"), "--", "true"], 0,
     "skep: attached 1 program\n", "-v tells when everything is attached")
says(["run", "--engine", "user", example("hello")], 2, "add -- COMMAND",
     "skep's own engine with nothing to observe")
if ROOT:
    master, slave = pty.openpty()
    p = popen(["run", "--engine", "kernel", example("writes")], stdout=subprocess.DEVNULL,
              stderr=slave)
    said = b""
    end = time.time() + 30
    while b"\n" not in said and time.time() < end and p.poll() is None:
        if select.select([master], [], [], 0.2)[0]:
            said += os.read(master, 4096)
    ok(re.search(rb"skep: attached \d programs?; Ctrl-C ends", said), "at a terminal: how to end it", said)
    p.send_signal(signal.SIGINT)
    ok(p.wait(timeout=20) == 0, "... and Ctrl-C does")
    os.close(master)
    os.close(slave)
else:
    skip("at a terminal: how to end it", "needs root")
done()
