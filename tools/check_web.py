#!/usr/bin/env python3
# The web app's sources: TypeScript finds no fault (strict), nothing remote is named, no markup is made from text. Exit 77, a visible skip of
# the first, where the packages of web/ are not installed (tools/build_web.py installs them where Node and npm are).
import os, re, shutil, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
WEB = os.path.join(ROOT, "web")
FORBIDDEN = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\(|new Function|https?://(?!www\.w3\.org/)")
bad = []
for folder, _, names in os.walk(os.path.join(WEB, "src")):
    for name in names:
        for number, line in enumerate(open(os.path.join(folder, name), encoding="utf-8"), 1):
            if FORBIDDEN.search(line):
                bad.append("web/src/%s:%d: %s" % (name, number, FORBIDDEN.search(line).group(0)))
tsc = os.path.join(WEB, "node_modules", ".bin", "tsc")
checked = os.path.exists(tsc) and shutil.which("node")
if checked:
    got = subprocess.run([tsc, "--noEmit", "-p", WEB], capture_output=True, text=True)
    bad += [line for line in got.stdout.split("\n") if line]
for line in bad:
    print(line)
print("web: %d faults%s" % (len(bad), "" if checked else "; skipped: TypeScript (web/node_modules is not there)"))
sys.exit(1 if bad else 0 if checked else 77)
