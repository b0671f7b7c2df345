# SPDX-License-Identifier: MIT
"""The explanation methods one by one, time and memory, each against the library that has it: SqueezeNet 1.1, one picture of 224 x 224,
the same weights and settings on both sides, outputs compared before anything is timed. Writes methods.csv and methods.md; run.py calls
it, or  python3 bench/methods.py [--only PATTERN]... [--build DIR] [--env DIR] [--out DIR] [--seconds S]"""
import argparse
import csv
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import drive
import peers
import table

NET, LAYER, TARGET = "squeezenet1_1", "fire9/parallel_8", 281
SECONDS = 0.9
COLUMNS = ["method", "peer", "settings", "compared", "peer_best_ms", "ours_best_ms", "ratio", "peer_peak_mb", "ours_peak_mb", "peer_idle_mb",
           "ours_idle_mb", "foreign"]


@dataclass
class Task:
    method: str
    peer: str            # the library, for people; its version is looked up by `version`
    version: str
    settings: str = ""   # both sides', for people
    ours: dict = field(default_factory=dict)
    theirs: dict = field(default_factory=dict)
    compare: str = "same"  # same: numbers; like: places (scaled maps, chance); other: other formulas, so nothing to compare;
    # grid: their map is the mean of our patches; pieces: like, and they are given the pieces of our map; coarse: like, squares of 8 x 8;
    # level: the mean alone, chance has the rest

    def name(self):
        return "%s | %s" % (self.method, self.peer)


def captum(method, settings="", ours=None, theirs=None, compare="same"):
    return Task(method, "Captum", "captum", settings, dict(ours or {}, compat="captum") if compare == "same" else dict(ours or {}),
                theirs or {}, compare)


def cam(method, settings="last maps, 13 x 13", **ours):
    return Task(method, "pytorch-grad-cam", "grad-cam", settings, dict(ours, layer=LAYER), {}, "like")


def pair(method, settings, steps, compare="same", **ours):
    return Task(method, "PAIR saliency", "saliency", settings, dict(ours, steps=steps), {"steps": steps}, compare)


def zennit(method, settings=""):
    return Task(method, "Zennit", "zennit", settings, {"epsilon": "1e-6"}, {}, "same")


def keras(method, settings="last maps, 13 x 13, not enlarged", ours=None, theirs=None):
    return Task(method, "tf-keras-vis", "tf-keras-vis", settings, dict(ours or {"layer": LAYER}, compat="tf-keras-vis"), theirs or {}, "same")


def tasks():
    noise, copies = dict(samples=16, noise=0), "16 copies, noise 0"
    at = {"layer": LAYER}
    draws = dict(samples=400)
    return [
        captum("gradient"), keras("gradient", "", {"samples": 0}), captum("input-x-gradient"), captum("guided-backprop"), captum("deconvnet"),
        captum("guided-gradcam", "last maps", at),
        captum("smoothgrad", copies, noise), keras("smoothgrad", copies, noise, {"samples": 16}), captum("smoothgrad-squared", copies, noise),
        Task("vargrad", "Captum", "captum", "16 copies, noise 0.5", dict(samples=16, noise=0.5, compat="captum"), {}, "coarse"),
        captum("integrated-gradients", "20 Gauss points from 0", dict(steps=20)),
        captum("gradientshap", "50 draws from 0, noise 0", dict(samples=50, noise=0), {"samples": 50}, "like"),
        captum("deeplift", "from 0; overlapping maxima: there the parts miss 65 % of the difference, here none", compare="other"),
        captum("lrp-epsilon", "epsilon 1e-9"),
        zennit("lrp-gamma", "gamma 0.25"), zennit("lrp-alphabeta", "alpha 2, beta 1"), zennit("lrp-zplus"),
        zennit("lrp-composite", "box at the picture, then gamma 0.25"), zennit("deep-taylor", "box at the picture, then z+"),
        zennit("excitation-backprop"),
        captum("conductance", "20 steps, last maps", dict(at, steps=20)),
        captum("layer-integrated-gradients", "20 points, last maps", dict(at, steps=20)),
        Task("channel-ablation", "Captum", "captum", "512 maps", at, {}, "same"),
        Task("occlusion", "Captum", "captum", "patch 32, stride 16, 169 places, fill 0", dict(patch=32, stride=16, fill=0), {"patch": 32, "stride": 16},
             "grid"),
        Task("lime", "Captum", "captum", "400 pictures of the same pieces, fill 0", dict(draws, fill=0), draws, "pieces"),
        Task("kernelshap", "Captum", "captum", "400 pictures of the same pieces, fill 0", draws, draws, "pieces"),
        Task("rise", "DIANNA", "dianna", "400 masks of 7 x 7 cells, zero elsewhere", draws, draws, "level"),
        Task("cam", "TorchCAM", "torchcam", "last maps, 13 x 13", {}, {}, "like"),
        cam("gradcam"), keras("gradcam"), cam("gradcam++"), keras("gradcam++"), cam("xgradcam"), cam("layercam"), keras("layercam"), cam("hirescam"),
        cam("eigencam", signed=1), cam("scorecam", "512 maps"), keras("scorecam", "512 maps, 32 pictures at a time there"),
        cam("ablationcam", "512 maps"), cam("fullgrad", ""),
        pair("blur-ig", "20 steps, blur to 50", 20, rule="left"), pair("guided-ig", "20 steps from 0", 20, "like", rule="left"),
        pair("xrai", "20 steps from darkest and brightest", 20, "like"),
    ]


def places(grid, patch, stride, side):
    """A grid [rows, columns] of patches over the picture: every pixel the mean of the patches that cover it."""
    import numpy as np
    total, count = np.zeros((side, side)), np.zeros((side, side))
    for i in range(grid.shape[0]):
        for k in range(grid.shape[1]):
            at = np.s_[i * stride:i * stride + patch, k * stride:k * stride + patch]
            total[at] += grid[i, k]
            count[at] += 1
    return total / np.maximum(count, 1)


def distance(t, mine, theirs):
    """What was compared, in words; fails where outputs differ. The bounds are those of float32 through 26 layers."""
    import numpy as np
    a, b = mine.astype(np.float64), theirs.astype(np.float64)
    if t.compare == "other" or not np.isfinite(a).all():
        if not np.isfinite(a).all():
            raise drive.Failed("our map is not finite")
        return "not the same thing"
    if t.compare == "grid":  # ours is the target with the patch there, theirs what it loses: their sum is the same everywhere
        b = b[0, 0]
        both = places(a.reshape(a.shape[-2:]), t.ours["patch"], t.ours["stride"], b.shape[0]) + b
        a, b = both - both.mean() + b, b
    if t.compare in ("same", "grid"):
        if a.size != b.size:
            raise drive.Failed("shapes %s and %s" % (a.shape, b.shape))
        d = np.linalg.norm(a.ravel() - b.ravel()) / max(np.linalg.norm(b), 1e-30)
        if d > 0.03:
            raise drive.Failed("outputs differ by %.3g of their size" % d)
        return "to %.1g" % d
    a = a.reshape((-1,) + a.shape[-2:]).sum(0)
    b = b.reshape((-1,) + b.shape[-2:]).sum(0)
    if a.shape != b.shape:  # theirs enlarged
        step = b.shape[0] / a.shape[0]
        at = [int((i + 0.5) * step) for i in range(a.shape[0])]
        b = b[np.ix_(at, at)]
    if t.compare == "level":
        d = abs(a.mean() / b.mean() - 1)
        if d > 0.1:
            raise drive.Failed("levels differ by %.3g" % d)
        return "level to %.1g" % d
    if t.compare == "coarse":
        a, b = (v.reshape(v.shape[0] // 8, 8, -1, 8).mean((1, 3)) for v in (a, b))
    if a.std() == 0 or b.std() == 0:
        raise drive.Failed("a map is the same everywhere")
    if t.method == "eigencam":  # there the sign is arbitrary and what is below zero is cut off: ours with its signs, either way round
        a = max((np.maximum(a, 0), np.maximum(-a, 0)), key=lambda v: np.corrcoef(v.ravel(), b.ravel())[0, 1])
    r = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    if r < 0.8:
        raise drive.Failed("maps do not agree: correlation %.3f" % r)
    return "correlation %.3f" % r


def megabytes(driver):
    return float(driver.ask("memory")[0]) / 2 ** 20


def start(env, t):
    """The peer's process."""
    if t.peer == "tf-keras-vis":
        command, _ = env.command("keras")
        return drive.Driver(t.peer, [command[0], os.path.join(peers.HERE, "peer_methods_keras.py")], {"PYTHONPATH": env.at("keras-extra")})
    command, more = env.command("torch")
    return drive.Driver(t.peer, [command[0], os.path.join(peers.HERE, "peer_methods.py")],
                        {"PYTHONPATH": os.pathsep.join((more["PYTHONPATH"], env.at("methods-extra")))})


def cut(path, to):
    """The pieces of a map that is the same all over each, numbered."""
    import numpy as np
    a = np.load(path)
    np.save(to, np.unique(a, return_inverse=True)[1].reshape(a.shape[-2:]))


def in_turns(sides, seconds):
    """Some turns of about a third of `seconds` on each side; two where one run takes longer than that."""
    watch = drive.Watch()
    for side in sides:
        side.each = max(1, min(200, int(seconds / 3 * 1e3 / side.ms[0])))
    slow = max(side.ms[0] for side in sides) > 1e3 * seconds
    for _ in range(2 if slow else 3):
        for side, other in (sides, sides[::-1]):
            other.driver.pause()
            side.turn(watch)
    for side in sides:
        side.driver.resume()
    return watch.shares()[0]


def measure(env, t, seconds):
    import numpy as np
    ours = theirs = None
    common = dict(input=env.model(NET + "_1.npy"), target=TARGET, warm=0)
    mine = dict(common, task="explain", model=env.model(NET + ".onnx"), keep="gradients", threads=2, method=t.method, **t.ours)
    other = dict(common, task=t.method, net=NET, weights=env.model(NET + ".npz"), config="eager", **t.theirs)
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, n) for n in ("ours.npy", "theirs.npy")]
        mine["baseline"] = os.path.join(folder, "zeros.npy")  # what the libraries start from
        np.save(mine["baseline"], np.zeros_like(np.load(env.model(NET + "_1.npy"))))
        try:
            theirs = start(env, t)
            ours = drive.Driver("Convscope", *env.command("ours"))
            ours.prepare(**mine)
            sides, idle = [drive.Side(ours), drive.Side(theirs)], [megabytes(ours)]
            sides[0].ms += ours.run(1)
            ours.ask("dump", paths[0])
            if t.compare == "pieces":
                other["pieces"] = os.path.join(folder, "pieces.npy")
                cut(paths[0], other["pieces"])
            theirs.prepare(**other)
            idle.append(megabytes(theirs))
            sides[1].ms += theirs.run(1)
            theirs.ask("dump", paths[1])
            compared = distance(t, np.load(paths[0]), np.load(paths[1]))
            foreign = in_turns(sides, seconds)
            peak = megabytes(ours), megabytes(theirs)
        finally:
            for d in (ours, theirs):
                if d:
                    d.close()
    return {"method": t.method, "peer": "%s %s" % (t.peer, env.known_versions.get(t.version, "")), "settings": t.settings, "compared": compared,
            "peer_best_ms": "%.3f" % sides[1].best(), "ours_best_ms": "%.3f" % sides[0].best(),
            "ratio": "%.2f" % (sides[1].best() / sides[0].best()), "peer_peak_mb": "%.0f" % peak[1], "ours_peak_mb": "%.0f" % peak[0],
            "peer_idle_mb": "%.0f" % idle[1], "ours_idle_mb": "%.0f" % idle[0], "foreign": "%.2f" % foreign}


def read(path):
    if not os.path.exists(path):
        return []
    with open(path, newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def write(path, rows):
    with open(path + ".part", "w", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, COLUMNS, lineterminator="\n", extrasaction="ignore")
        w.writeheader()
        w.writerows(rows)
    os.replace(path + ".part", path)


def markdown(rows, failed, bare):
    page = ["# Explanation methods beside the libraries that have them", "",
            "Written by `make bench` (bench/methods.py). SqueezeNet 1.1, random weights, one picture of 224 x 224, 2 threads and float32 on both sides,",
            "the same settings, there four pictures at a time (Score-CAM of tf-keras-vis: 32); best of several runs in turns. *Compared*: how far outputs agree (relative second norm, or the correlation of maps that",
            "the library scales or that are drawn by chance). Memory is the most the whole process has had, the interpreter and library included; in",
            "brackets what it had before the first explanation.", "",
            "| method | library | settings | compared | library ms | ours ms | ratio | library MB | ours MB |", "|---|---|---|---|---|---|---|---|---|"]
    for r in rows:
        page.append("| %s | %s | %s | %s | %s | %s | **%s** | %s (%s) | %s (%s) |" % (
            r["method"], r["peer"], r["settings"], r["compared"], table.number(r["peer_best_ms"]), table.number(r["ours_best_ms"]), r["ratio"],
            r["peer_peak_mb"], r["peer_idle_mb"], r["ours_peak_mb"], r["ours_idle_mb"]))
    page += ["", "No library at hand has " + " and ".join(bare) + "." if bare else "Every method of Convscope has a row.", ""]
    if failed:
        page += ["## Not measured", ""] + ["- " + f for f in failed] + [""]
    return "\n".join(page)


def without_peer(env):
    """Methods of ours that no row measures."""
    text = subprocess.run([env.convscope, "explain", "--method", "list"], capture_output=True, text=True).stdout
    return [m for m in (line.split()[0] for line in text.splitlines()) if m not in {t.method for t in tasks()}]


def run(env, out, only, seconds):
    """Rows that match, merged into what is there; what failed, in words. SECONDS at most, of each side of a row, unless once takes longer."""
    path, failed = os.path.join(out, "methods.csv"), []
    order = {t.name() + t.settings: i for i, t in enumerate(tasks())}
    key = lambda r: "%s | %s" % (r["method"], r["peer"].rsplit(" ", 1)[0]) + r["settings"]  # a row of other settings goes
    for t in tasks():
        if only and not any(re.search(p, "method: " + t.name(), re.I) for p in only):
            continue
        try:
            new = measure(env, t, min(seconds, SECONDS))
        except (drive.Failed, OSError, ValueError) as e:
            failed.append("%s, against %s: %s" % (t.method, t.peer, e))
            print("    FAILED: %s" % failed[-1], flush=True)
            continue
        print("    %s: ours %s ms %s MB, %s %s ms %s MB, ratio %s; %s" % (
            t.method, new["ours_best_ms"], new["ours_peak_mb"], new["peer"], new["peer_best_ms"], new["peer_peak_mb"], new["ratio"],
            new["compared"]), flush=True)
        rows = [r for r in read(path) if key(r) != t.name() + t.settings and key(r) in order] + [new]
        write(path, sorted(rows, key=lambda r: order[key(r)]))
    rows = [r for r in read(path) if key(r) in order]
    here = {key(r) for r in rows}
    bare = ["%s, against %s: no row yet" % (t.method, t.peer) for t in tasks() if t.name() + t.settings not in here]
    with open(os.path.join(out, "methods.md"), "w", encoding="utf-8") as f:
        f.write(markdown(rows, failed + [b for b in bare if not any(f.startswith(b.split(":")[0]) for f in failed)], without_peer(env)))
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--build", default=os.path.join(peers.ROOT, "build"))
    parser.add_argument("--env", default=os.path.join(peers.ROOT, "build-bench"))
    parser.add_argument("--out", default=peers.HERE)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    env = peers.Env(options.env, options.build)
    env.torch = peers.torch_python()
    if not env.torch or not os.path.exists(env.at("methods-extra")):
        sys.exit("bench: the libraries are not there; make bench installs them")
    env.known_versions = env.versions()
    return 1 if run(env, options.out, options.only, options.seconds) else 0


if __name__ == "__main__":
    sys.exit(main())
