#!/usr/bin/env python3
# Includes go to a lower layer only (DESIGN 3); folders of equal number never include each other; cli, serve and examples see
# public headers only; file names are unique; no file over 700 lines without a reason in its header; no vector intrinsics outside kernels;
# no operator is named outside ops and formats: what another layer needs to know is a field of its descriptor.
import collections, os, re, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAYER = {"base": 0, "tensor": 1, "graph": 2, "kernels": 2, "ops": 3, "formats": 4, "engine": 4, "data": 5, "explain": 5,
         "watch": 5, "train": 6, "draw": 7, "serve": 8, "cli": 8}
PUBLIC_ONLY = {"serve", "cli"}
LONG = "Over 700 lines because"


def files():
    out = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True,
                         check=True).stdout.split("\n")
    return [f for f in out if f.endswith((".c", ".h")) and os.path.exists(os.path.join(ROOT, f))]


def code(path):
    """A file without its comments."""
    return re.sub(r"/\*.*?\*/", "", open(os.path.join(ROOT, path), encoding="utf-8").read(), flags=re.S)


operators = set()
for path in files():
    if path.startswith("src/ops/"):
        operators |= set(re.findall(r'\.name = "([A-Z][A-Za-z0-9]+)"', code(path)))
bad, names = [], collections.defaultdict(list)
if len(operators) < 100:
    bad.append("only %d operators were found: this check does not see the table any more" % len(operators))
for path in files():
    text = open(os.path.join(ROOT, path), encoding="utf-8").read()
    lines = text.split("\n")
    if len(lines) > 701 and LONG not in "\n".join(lines[:14]):
        bad.append("%s has %d lines and no reason ('%s ...') in its header" % (path, len(lines) - 1, LONG))
    if "SPDX-License-Identifier: MIT" not in "\n".join(lines[:2]):
        bad.append("%s does not start with its licence line" % path)
    if not path.startswith("src/"):
        continue
    folder = path.split("/")[1]
    if path.endswith(".c"):
        names[os.path.basename(path)].append(path)
    if folder != "kernels" and re.search(r"#include <(imm|xmm|emm|arm_neon)", text):
        bad.append("%s uses vector intrinsics outside src/kernels" % path)
    if folder not in ("ops", "formats"):
        for name in sorted(operators & set(re.findall(r'"([A-Z][A-Za-z0-9]+)"', code(path)))):
            bad.append('%s names the operator "%s": make it a field of the descriptor' % (path, name))
    for number, line in enumerate(lines, 1):
        m = re.match(r'\s*#\s*include "([^"]+)"', line)
        first = m.group(1).split("/")[0] if m and "/" in m.group(1) else None
        if first is None or first == "convscope":
            continue
        if first not in LAYER:
            bad.append("%s:%d includes %s, which is in no layer" % (path, number, m.group(1)))
        elif folder in PUBLIC_ONLY and first != folder:
            bad.append("%s:%d includes %s: %s may see public headers only" % (path, number, m.group(1), folder))
        elif first != folder and LAYER[first] >= LAYER[folder]:
            bad.append("%s:%d includes %s: layer %d may not look at layer %d"
                       % (path, number, m.group(1), LAYER[folder], LAYER[first]))
for name, where in names.items():
    if len(where) > 1:
        bad.append("file name %s stands in %s" % (name, ", ".join(where)))
for b in bad:
    print(b)
print("layers: %d files, %d faults" % (len(files()), len(bad)))
sys.exit(1 if bad else 0)
