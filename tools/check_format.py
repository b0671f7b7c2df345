#!/usr/bin/env python3
# Every C file is as clang-format 14 leaves it (make fmt). Skipped (exit 77) where that version is absent.
import os, re, shutil, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
tool = shutil.which("clang-format-14") or shutil.which("clang-format")
version = tool and re.search(r"version (\d+)", subprocess.run([tool, "--version"], capture_output=True, text=True).stdout)
if not version or version.group(1) != "14":
    print("format: skipped, no clang-format 14 here")
    sys.exit(77)
out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "*.c", "*.h"], capture_output=True,
                     text=True, check=True).stdout.split("\n")
paths = [os.path.join(ROOT, p) for p in out if p and os.path.exists(os.path.join(ROOT, p))]
bad = set()
for i in range(0, len(paths), 40):
    p = subprocess.run([tool, "--dry-run", "-Werror", *paths[i:i + 40]], capture_output=True, text=True)
    bad |= {l.split(":")[0] for l in p.stderr.split("\n") if "should be clang-formatted" in l}
for b in sorted(bad):
    print(os.path.relpath(b, ROOT) + " is not formatted: make fmt")
print("format: %d files, %d faults" % (len(paths), len(bad)))
sys.exit(1 if bad else 0)
