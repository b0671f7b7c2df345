#!/usr/bin/env python3
# Every file that git holds is whole: no conflict of a merge is left in it, and every Python program parses.
import ast, os, re, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
if listed.returncode != 0:
    print("tree: skipped, no git checkout")
    sys.exit(77)
paths = [p for p in listed.stdout.split("\n") if p and os.path.isfile(os.path.join(ROOT, p))]
bad = []
for p in paths:
    with open(os.path.join(ROOT, p), "rb") as f:
        data = f.read()
    if b"\0" in data[:8000]:
        continue
    mark = re.search(rb"^(<{7}|>{7}|\|{7}) ", data, re.M)
    if mark:
        bad.append("%s:%d: a conflict is left over" % (p, data.count(b"\n", 0, mark.start()) + 1))
    elif p.endswith(".py"):
        try:
            ast.parse(data, p)
        except SyntaxError as e:
            bad.append("%s:%s: %s" % (p, e.lineno, e.msg))
for b in bad:
    print(b)
print("tree: %d files, %d faults" % (len(paths), len(bad)))
sys.exit(1 if bad else 0)
