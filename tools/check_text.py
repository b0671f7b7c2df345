#!/usr/bin/env python3
# Every English literal that goes through cvi_fail or cvi_tr has a Chinese row in src/base/zh/*.def, with conversions of the
# same types in the same order (or positional ones), and no row is dead (every row's English stands somewhere in the code).
import os, re, subprocess, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
STRING = r'"(?:[^"\\\n]|\\.)*"'
STRINGS = r"%s(?:\s*%s)*" % (STRING, STRING)
CONVERSION = re.compile(r"%(?:(\d+)\$)?[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(hh|h|ll|l|z|t|j)?([diouxXeEfgGcsp%])")


def literal(text):
    return "".join(s[1:-1] for s in re.findall(STRING, text))


def conversions(fmt):
    found = []
    for position, length, kind in CONVERSION.findall(fmt):
        if kind != "%":
            found.append((int(position) if position else len(found) + 1, length, "d" if kind in "di" else kind))
    return [f[1:] for f in sorted(found)]


def says_something(english):
    return re.search(r"[A-Za-z]{2}", CONVERSION.sub("", english))


used, written, rows, bad = {}, set(), {}, []
listing = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "src"], capture_output=True, text=True,
                         check=True).stdout.split("\n")
for path in listing:
    full = os.path.join(ROOT, path)
    if not path.endswith((".c", ".h", ".def", ".inc")) or not os.path.exists(full):
        continue
    text = open(full, encoding="utf-8").read()
    if path.startswith("src/base/zh/"):
        for m in re.finditer(r"CVI_ZH\(\s*(%s)\s*,\s*(%s)\s*\)" % (STRINGS, STRINGS), re.sub(r"/\*.*?\*/", "", text, flags=re.S)):
            en, zh = literal(m.group(1)), literal(m.group(2))
            if en in rows and rows[en][0] != zh:
                bad.append('%s: two translations of "%s"' % (path, en))
            rows[en] = (zh, path)
            if conversions(en) != conversions(zh):
                bad.append('%s: conversions differ: "%s" / "%s"' % (path, en, zh))
        continue
    written |= {literal(m.group(0)) for m in re.finditer(STRINGS, text)}
    for pattern in (r"\bcvi_model_note\([^;\"]*?,\s*(%s)", r"\bcvi_fail\([^;\"]*?,\s*(%s)", r"\bcvi_tr\([^;\"]*?,\s*(%s)\)",
                    r"\bcvi_say\([^;\"]*?,\s*(%s)") + ((r"\.(?:title|why|advice)\s*=\s*(%s)",) if "/rules_" in path else ()):
        for m in re.finditer(pattern % STRINGS, text):
            used.setdefault(literal(m.group(1)), path)
for en, path in sorted(used.items(), key=lambda x: (x[1], x[0])):
    if en not in rows and says_something(en):
        bad.append('%s: no Chinese for "%s"' % (path, en))
for en, (zh, path) in sorted(rows.items()):
    if en not in written:
        bad.append('%s: nobody says "%s"' % (path, en))
for b in bad:
    print(b)
print("text: %d sentences, %d rows, %d faults" % (len(used), len(rows), len(bad)))
sys.exit(1 if bad else 0)
