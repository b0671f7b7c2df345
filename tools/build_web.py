#!/usr/bin/env python3
# Builds the web app of web/ and writes it as a C file (the table of src/serve/app.h): tools/build_web.py --web web --out FILE.c
# Needs Node 18 and npm; without them, or where the packages cannot be had, the file holds a page that says so and the build goes on.
# The packages are those of web/package-lock.json, in web/node_modules. The file is written only when its content changes.
import argparse, fcntl, gzip, hashlib, os, shutil, subprocess, sys, tempfile, time

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml"}
MISSING = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Convscope</title>
<h1>Convscope</h1><p>This program was built without its web app: %s. Install nodejs (18 or newer) and npm, then run make again.
Everything else works: <code>convscope report MODEL IMAGE -o report.html</code> makes a page that needs no server.</p>
<p lang="zh">此程序构建时未包含网页应用。请安装 nodejs（18 或更新）与 npm 后重新运行 make。其余功能均可使用：
<code>convscope report 模型 图片 -o report.html</code> 可生成无需服务器的报告。</p></html>
"""


class Absent(Exception):
    pass


def packages(web):
    """Makes web/node_modules what the lock file says, once for each lock file."""
    lock = open(os.path.join(web, "package-lock.json"), "rb").read()
    stamp, want = os.path.join(web, "node_modules", ".convscope"), hashlib.sha256(lock).hexdigest()
    if os.path.exists(stamp) and open(stamp).read() == want:
        return
    if not shutil.which("npm"):
        raise Absent("npm was not found")
    try:
        got = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline",
                              "--fetch-retries=1", "--fetch-timeout=30000"], cwd=web, capture_output=True, text=True,
                             timeout=300, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Absent("npm did not answer within five minutes")
    if got.returncode != 0:
        lines = [l for l in (got.stderr or got.stdout).strip().split("\n") if "code" in l or "network" in l]
        raise Absent("npm could not fetch the packages" + (" (%s)" % lines[0].strip()[:80] if lines else ""))
    with open(stamp, "w") as f:
        f.write(want)


def plotly_file(folder):
    """Plotly's file, or None where it cannot be had: those plots then say so, and it is asked for again after an hour."""
    there = os.path.join(folder, "node_modules", "plotly.js-dist-min", "plotly.min.js")
    tried = os.path.join(folder, ".tried")
    if not os.path.exists(there) and not (os.path.exists(tried) and time.time() - os.path.getmtime(tried) < 3600):
        with open(tried, "w"):
            pass
        try:
            subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1",
                            "--fetch-timeout=30000"], cwd=folder, capture_output=True, timeout=120, stdin=subprocess.DEVNULL)
        except (subprocess.TimeoutExpired, OSError):
            return None
    return there if os.path.exists(there) else None


def bundle(web, to):
    if not shutil.which("node"):
        raise Absent("node was not found")
    packages(web)
    esbuild = os.path.join(web, "node_modules", ".bin", "esbuild")
    got = subprocess.run([esbuild, "src/main.tsx", "--bundle", "--minify", "--format=iife", "--target=es2021",
                          "--jsx=automatic", "--jsx-import-source=preact", "--charset=utf8", "--log-level=warning",
                          "--legal-comments=none", "--outfile=" + os.path.join(to, "app.js")], cwd=web, text=True,
                         capture_output=True)
    if got.returncode != 0:
        sys.exit("web: " + got.stderr)
    files = {"/assets/app.js": os.path.join(to, "app.js"), "/assets/app.css": os.path.join(to, "app.css")}
    files["/assets/plotlyframe.js"] = os.path.join(web, "plotly", "frame.js")
    files["/plotly"] = os.path.join(web, "plotly", "frame.html")
    plotly = plotly_file(os.path.join(web, "plotly"))
    if plotly:
        files["/assets/plotly.js"] = plotly
    return dict(files, **{"/": os.path.join(web, "index.html"), "/favicon.svg": os.path.join(web, "favicon.svg")})


def as_c(files):
    """files: path -> (type, bytes). The table as C; a large file packed."""
    packed = {path for path, (_, data) in files.items() if len(data) > 1 << 20}
    files = {path: (kind, gzip.compress(data, 9, mtime=0) if path in packed else data) for path, (kind, data) in files.items()}
    out = ["/* SPDX-License-Identifier: MIT", " * web_assets.c - the web app, made by tools/build_web.py. */",
           '#include "serve/app.h"', ""]
    for i, (path, (_, data)) in enumerate(sorted(files.items())):
        out.append("static const unsigned char file_%d[] = { /* %s */" % (i, path))
        for k in range(0, len(data), 32):
            out.append(",".join(str(b) for b in data[k:k + 32]) + ",")
        out.append("};")
    out.append("const asset cvs_web_assets[] = {")
    for i, (path, (kind, data)) in enumerate(sorted(files.items())):
        out.append('    {"%s", "%s", %s, file_%d, %d},' % (path, kind, "true" if path in packed else "false", i, len(data)))
    out += ["};", "const int cvs_n_web_assets = %d;" % len(files), ""]
    return "\n".join(out)


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--web", required=True)
    args.add_argument("--out", required=True)
    args = args.parse_args()
    args.web, args.out = os.path.abspath(args.web), os.path.abspath(args.out)
    # one build at a time where several build folders share the packages
    with open(os.path.join(args.web, "package.json")) as lock, tempfile.TemporaryDirectory() as to:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            files = {p: (TYPES[os.path.splitext(f)[1]], open(f, "rb").read()) for p, f in bundle(args.web, to).items()}
        except (Absent, OSError) as why:
            print("convscope: built without the web app: %s" % why, file=sys.stderr)
            files = {"/": (TYPES[".html"], (MISSING % why).encode())}
    text = as_c(files)
    if not os.path.exists(args.out) or open(args.out, encoding="utf-8").read() != text:
        with open(args.out, "w", encoding="utf-8") as f:
            f.write(text)


main()
