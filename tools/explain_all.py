#!/usr/bin/env python3
# Every explanation method on every model of ../shared/data/models (and the built-in ones) that opens, with a photograph or noise: a map of
# finite numbers, or a sentence that says why not; never a crash. Prints a table of seconds. Exit 77, a visible skip, without that folder.
#   tools/explain_all.py [PART OF A MODEL'S PATH ...]
import glob, os, subprocess, sys, tempfile, time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED = os.environ.get("CVS_SHARED") or os.path.join(os.path.dirname(ROOT), "shared")
DATA = os.path.join(SHARED, "data")
QUICK = {"rise": ["--samples", "60"], "lime": ["--samples", "120"], "kernelshap": ["--samples", "120"], "smoothgrad": ["--samples", "4"],
         "smoothgrad-squared": ["--samples", "4"], "vargrad": ["--samples", "4"], "gradientshap": ["--samples", "4"], "xrai": ["--steps", "6"],
         "integrated-gradients": ["--steps", "6"], "guided-ig": ["--steps", "6"], "blur-ig": ["--steps", "6"], "conductance": ["--steps", "6"],
         "layer-integrated-gradients": ["--steps", "6"]}
# Files that need another one beside them, and what they are opened with.
PAIRS = {"det1.prototxt": "det1.caffemodel", "det2.prototxt": "det2.caffemodel", "slim-320.prototxt": "slim-320.caffemodel",
         "topology.json": "weights.h5"}
SKIP = (".caffemodel", ".bin", ".weights", ".names", ".bmp", "info.json", "weights.h5", "group1-shard1of1")
# Why a method may rightly not apply: parts of sentences, each of which must name what is missing or what would apply.
REASONS = ("which have no gradient", "reads the weights of a class", "global average pooling", "average over all positions", "no convolution before",
           "feature maps [N,C,H,W] are needed", "is no picture", "must be float32", "differentiable", "looks at what the pooling reads",
           "too few for the", "leave the output at logit")


def models():
    for path in sorted(glob.glob(os.path.join(DATA, "models", "*", "*", "*"))):
        if not path.endswith(SKIP) and "netscope" not in path:
            yield path
    yield os.path.join(DATA, "tiny-vgg")
    for path in sorted(glob.glob(os.path.join(ROOT, "models", "*.onnx"))):
        yield path


def run(args, limit=900):
    began = time.time()
    p = subprocess.run(args, capture_output=True, text=True, timeout=limit, env=dict(os.environ, LC_ALL="C.UTF-8"))
    return p.returncode, (p.stderr + p.stdout).strip(), time.time() - began


def finite(path):
    import array
    b = open(path, "rb").read()
    n = int.from_bytes(b[8:10], "little")
    a = array.array("f", b[10 + n:])
    return len(a) > 0 and all(v == v and abs(v) != float("inf") for v in a)


def main():
    program = os.path.join(os.environ.get("CVS_BUILD_ROOT", os.path.join(ROOT, "build")), "convscope")
    wanted = sys.argv[1:]
    if not os.path.isdir(DATA):
        print("skipped: ../shared/data is not there")
        sys.exit(77)
    methods = [line.split()[0] for line in subprocess.run([program, "explain", "--method", "list"], capture_output=True, text=True).stdout.splitlines()]
    photo = os.path.join(DATA, "photos", "chelsea.png")
    bad, table = [], {}
    with tempfile.TemporaryDirectory() as tmp:
        for model in models():
            name = os.path.relpath(model, DATA)
            if wanted and not any(w in name for w in wanted):
                continue
            args = ["--weights", os.path.join(os.path.dirname(model), PAIRS[os.path.basename(model)])] if os.path.basename(model) in PAIRS else []
            code, text, _ = run([program, "info", model] + args)
            if code != 0:
                print("%-52s does not open: %s" % (name, text.splitlines()[-1][:100]))
                continue
            made, refused = 0, {}
            for m in methods:
                raw = os.path.join(tmp, "o.npy")
                if os.path.exists(raw):
                    os.remove(raw)
                cmd = [program, "explain", model, photo, "--method", m, "--raw", raw] + args + QUICK.get(m, [])
                try:
                    code, text, seconds = run(cmd)
                    if code != 0 and "one score per class" in text:  # no classifier: a channel of its last convolution
                        code, text, seconds = run(cmd + ["--target", "region:last-conv:0"])
                except subprocess.TimeoutExpired:
                    bad.append("%s %s: takes too long" % (name, m))
                    continue
                table.setdefault(m, []).append(seconds)
                if code == 0 and finite(raw):
                    made += 1
                elif code == 0:
                    bad.append("%s %s: the map is not finite: %s" % (name, m, text[-200:]))
                elif code < 0 or not any(r in text for r in REASONS):
                    bad.append("%s %s: exit %d, %s" % (name, m, code, text[-200:]))
                else:
                    refused.setdefault(text.splitlines()[-1][:150], []).append(m)
            print("%-52s %d maps" % (name, made))
            for why, which in refused.items():
                print("    %s: %s" % (", ".join(which) if len(which) < 6 else "%d methods" % len(which), why))
    print("\nseconds, worst over models")
    for m in sorted(table, key=lambda k: -max(table[k])):
        print("  %-28s %6.2f" % (m, max(table[m])))
    for b in bad:
        print("WRONG: " + b)
    sys.exit(1 if bad else 0)


main()
