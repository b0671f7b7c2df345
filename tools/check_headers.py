#!/usr/bin/env python3
# Every public header compiles alone, as C17 and as C++ (clang), and has at most 250 lines.
import glob, os, shutil, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
bad, compilers = [], []
if shutil.which("gcc"):
    compilers.append(["gcc", "-x", "c", "-std=c17", "-pedantic"])
if shutil.which("clang"):
    compilers.append(["clang", "-x", "c", "-std=c17", "-pedantic"])
    compilers.append(["clang", "-x", "c++", "-std=c++17"])
if not compilers:
    print("headers: skipped, no compiler")
    sys.exit(77)
headers = sorted(glob.glob(os.path.join(ROOT, "include", "convscope", "*.h")))
for h in headers:
    name = os.path.relpath(h, ROOT)
    n = open(h, encoding="utf-8").read().count("\n")
    if n > 250:
        bad.append("%s has %d lines, at most 250" % (name, n))
    for c in compilers:
        p = subprocess.run(c + ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", os.path.join(ROOT, "include"), "-"],
                           input='#include "convscope/%s"\n' % os.path.basename(h), capture_output=True, text=True)
        if p.returncode:
            bad.append("%s with %s: %s" % (name, " ".join(c), p.stderr.strip().split("\n")[0]))
for b in bad:
    print(b)
print("headers: %d files, %d compilers, %d faults" % (len(headers), len(compilers), len(bad)))
sys.exit(1 if bad or not headers else 0)
