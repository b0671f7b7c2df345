#!/usr/bin/env python3
# The register blocks of the AVX2 and AVX-512 levels must keep their accumulators in registers: a spilled one costs half the speed
# (measured). Disassembles the object files given, and fails on a vector register stored to or loaded from the stack inside a loop
# of a register block that multiplies and adds. Skipped (exit 77) where objdump is absent or no object is given.
import re, shutil, subprocess, sys

BLOCK = re.compile(r"(micro32|micro16|micro8|depthwise|grid|square|stream32|outer16|outer8)_\d")
STACK = {frame: re.compile(r"%%[xyz]mm\d+.*\(%%r%sp|\(%%r%sp[^)]*\).*%%[xyz]mm" % (frame, frame)) for frame in ("s", "[sb]")}


def functions(path):
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True).stdout
    name, body = None, []
    for line in text.split("\n"):
        head = re.match(r"^[0-9a-f]+ <(.+)>:$", line)
        code = re.match(r"^\s+([0-9a-f]+):\s+(.*)$", line)
        if head:
            if name:
                yield name, body
            name, body = head.group(1), []
        elif code:
            body.append((int(code.group(1), 16), code.group(2)))
    if name:
        yield name, body


def loops(body):
    """Address ranges of innermost-first loops: a jump backwards inside the function."""
    starts = {a for a, _ in body}
    for at, code in body:
        jump = re.match(r"j\w+\s+([0-9a-f]+)", code)
        if jump and int(jump.group(1), 16) <= at and int(jump.group(1), 16) in starts:
            yield int(jump.group(1), 16), at


if not shutil.which("objdump") or len(sys.argv) < 2:
    print("skipped: no objdump, or no object of these levels")
    sys.exit(77)
seen, bad = 0, []
for path in sys.argv[1:]:
    for name, body in functions(path):
        if not BLOCK.search(name):
            continue
        framed = any(re.match(r"mov\s+%rsp,%rbp", c) for _, c in body)  # otherwise rbp is a register like others
        stack = STACK["[sb]" if framed else "s"]
        for low, high in loops(body):
            inside = [(a, c) for a, c in body if low <= a <= high]
            if any("vfmadd" in c for _, c in inside):
                seen += 1
                bad += ["%s: %s at %x: %s" % (path, name, a, c) for a, c in inside if stack.search(c)]
if seen == 0:
    bad.append("no loop of a register block was found: this check looks at the wrong objects")
print("\n".join(bad) if bad else "%d loops of register blocks, no vector register on the stack" % seen)
sys.exit(1 if bad else 0)
