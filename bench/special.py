# SPDX-License-Identifier: MIT
"""Rows that are not two warm processes in turns: whole processes from their start, work beside a busy process, shares of the
machine's peak, convolution layers one by one; and the page that shows all results."""
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

import drive
import table

SHORT = {"VGG16": "vgg16", "ResNet-50": "resnet50", "SqueezeNet 1.1": "squeezenet", "MobileNetV2": "mobilenet"}


class Times:
    def __init__(self, ms):
        self.ms = ms

    def best(self):
        return min(self.ms)

    def median(self):
        return statistics.median(self.ms)


# ---- from process start to the first result ---------------------------------------------------------------


def cold_commands(env, row):
    """(label, command) of ours and of the peer's ways to get a first result of SqueezeNet."""
    net, x = env.model("squeezenet1_1.onnx"), env.model("squeezenet1_1_1.npy")
    mine = [env.convscope, "predict", net, x, "--threads", "2"]
    if row.peer == "PyTorch":
        code = ("import numpy as np, torch, torchvision\ntorch.set_num_threads(2)\nm = torchvision.models.squeezenet1_1()\n"
                "m.load_state_dict(torch.load(%r)); m.eval()\nx = torch.from_numpy(np.load(%r))\n"
                "with torch.no_grad(): print(int(m(x).argmax()))\n" % (env.model("squeezenet1_1.pt"), x))
        return mine, [("python, torchvision", [env.torch, "-c", code], "torch", "PyTorch")]
    script = ("import numpy as np, onnxruntime as o\ns = o.SessionOptions(); s.intra_op_num_threads = 2\n"
              "m = o.InferenceSession(%r, s, providers=['CPUExecutionProvider'])\n"
              "print(int(m.run(None, {m.get_inputs()[0].name: np.load(%r)})[0].argmax()))\n" % (net, x))
    node = ("const ort=require(%r);const {readNpy}=require(%r);(async()=>{const s=await ort.InferenceSession.create(%r,"
            "{intraOpNumThreads:2});const {shape,data}=readNpy(%r);const r=await s.run({[s.inputNames[0]]:"
            "new ort.Tensor('float32',data,shape)});const d=r[s.outputNames[0]].data;let b=0;for(let i=0;i<d.length;i++)"
            "if(d[i]>d[b])b=i;console.log(b);process.exit(0)})()" % (
                env.at("npm", "node_modules", "onnxruntime-node"), os.path.join(os.path.dirname(__file__), "serve.js"), net, x))
    return mine, [("python", [env.at("venv", "bin", "python"), "-c", script], "ort", "ONNX Runtime"),
                  ("node", ["node", "-e", node], "node", "ONNX Runtime")]


def make_state(env):
    """SqueezeNet's weights as PyTorch stores them, ours."""
    path = env.model("squeezenet1_1.pt")
    if not os.path.exists(path):
        code = ("import sys; sys.path.insert(0, %r)\nimport torch, peer_torch as p\n"
                "torch.save(p.weigh(p.build('squeezenet1_1'), %r, 224).state_dict(), %r)\n" % (
                    os.path.dirname(os.path.abspath(__file__)), env.model("squeezenet1_1.npz"), path))
        p = subprocess.run([env.torch, "-c", code], capture_output=True, text=True)
        if p.returncode:
            raise drive.Failed("weights for PyTorch: " + p.stderr[-300:])


def whole(command, watch):
    begun = time.perf_counter()
    p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=drive.ends_with_parent)
    out, err = p.communicate(timeout=120)
    ms = (time.perf_counter() - begun) * 1e3
    if p.returncode:
        raise drive.Failed("%s ended: %s" % (os.path.basename(command[0]), err.strip()[-300:]))
    return ms, out


def cold(env, row, seconds, run):
    if row.peer == "PyTorch":
        make_state(env)
    mine, forms = cold_commands(env, row)
    ours, best = [], None
    first = whole(mine, None)[1]
    for label, command, version, name in forms:
        times, answer = [], ""
        for _ in range(7 if row.peer != "PyTorch" else 5):
            ours.append(whole(mine, None)[0])
            ms, answer = whole(command, None)
            times.append(ms)
            ours.append(whole(mine, None)[0])
        if answer.split()[-1] not in first.replace("(", " ").replace(")", " ").split():
            raise drive.Failed("our first answer does not name class %s: %s" % (answer.strip(), first[:120]))
        if best is None or min(times) < best[0].best():
            best = (Times(times), label, version, name)

    class F:
        version, name = best[2], best[3]
    t = Times(ours)
    return run.record(env, row, F, best[1] + ", whole processes, warm files", t, best[0], best[0].best() / t.best(), 0)


# ---- beside a busy process --------------------------------------------------------------------------------


def busy_process():
    """In a scheduling session of its own, and gone after a while by itself."""
    code = "import time\nend = time.time() + 60\nwhile time.time() < end: pass"
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True, preexec_fn=drive.ends_with_parent)


def for_a_while(driver, n, seconds):
    """Times of up to n repetitions, asked for a few at a time, no longer than about `seconds` (three of them at least): beside a busy
    process some libraries take a hundred times as long as alone, and n at once would outlast both the neighbour and our patience."""
    times, end = [], time.monotonic() + seconds
    while len(times) < n and (len(times) < 3 or time.monotonic() < end):
        times += driver.run(max(1, min(n - len(times), int(250 / max(times[-1], 0.01)))) if times else 1)
    return times


def beside(env, kind, settings, seconds, run):
    """Medians of the same work quiet and beside one busy process."""
    driver = run.open_driver(env, kind, kind)
    try:
        driver.prepare(**settings)
        quiet, loud = [], []
        n = max(3, int(seconds * 250 / max(min(driver.run(3)), 0.01)))
        for _ in range(4):
            quiet += driver.run(min(n, 400))
            driver.pause()
            other = busy_process()
            try:
                time.sleep(0.2)
                driver.resume()
                loud += for_a_while(driver, min(n, 400), max(1.0, seconds / 2))
            finally:
                other.kill()
                other.wait()
        return Times(quiet), Times(loud)
    finally:
        driver.close()


def busy(env, row, seconds, run):
    quiet, loud = beside(env, "ours", row.ours, seconds, run)

    class F:
        version, name = "", ""
    limit = Times([2.5 * t for t in quiet.ms])
    slower = loud.median() / quiet.median()
    new = run.record(env, row, F, "ours: median %.2f ms quiet, %.2f ms beside, %.2f times slower" % (quiet.median(), loud.median(), slower),
                     loud, limit, 2.5 / slower, 0)
    new["peer_version"] = ""
    return new


def busy_peer(env, row, seconds, run):
    _, mine = beside(env, "ours", row.ours, seconds, run)
    form = row.forms[0]
    quiet, theirs = beside(env, form.kind, form.settings, seconds, run)
    return run.record(env, row, form, "%s; %.2f ms quiet; ratio of medians" % (form.config, quiet.median()), mine, theirs,
                      theirs.median() / mine.median(), 0)


# ---- floors and layers --------------------------------------------------------------------------------------


LINE = re.compile(r"^(\S+)\s+(\d+)x(\d+)\s+->\s+(\d+)\s+(\d+)x\d+/(\d+)\s+g(\d+)\s+x(\d+)\s+(\S+)\s+best\s+([\d.]+) ms\s+median\s+([\d.]+) ms")
FIELDS = ("net", "channels", "side", "filters", "kernel", "stride", "groups", "count", "algorithm", "best_ms", "median_ms")


def kernels(env, net, algorithm):
    """The layers of a net as bench_kernels measures them, and the FMA peak of the same process: the higher of those at its start and end."""
    command = [os.path.join(env.build, "bench", "bench_kernels"), "--threads", "2", "--net", SHORT[net], "--algorithm", algorithm]
    p = subprocess.run(command, capture_output=True, text=True, timeout=170)
    peak = max(map(float, re.findall(r"FMA peak ([\d.]+) GFLOP/s", p.stdout)), default=0)
    layers = [dict(zip(FIELDS, m.groups())) for m in map(LINE.match, p.stdout.split("\n")) if m]
    if p.returncode or not peak or not layers:
        raise drive.Failed("bench_kernels: " + (p.stderr or p.stdout)[-300:])
    for l in layers:
        for ms, share in (("best_ms", "best_share"), ("median_ms", "median_share")):
            l[share] = gflop(l) / (float(l[ms]) * 1e-3) / peak
    return layers, peak


def gflop(l):
    """Multiplications and additions of a layer of these nets, whose padding keeps side / stride but for SqueezeNet's first layer."""
    side, k, s = int(l["side"]), int(l["kernel"]), int(l["stride"])
    out = (side - k) // s + 1 if l["net"] == "squeezenet" and l["channels"] == "3" else (side - 1) // s + 1
    return 2e-9 * float(l["channels"]) * float(l["filters"]) / float(l["groups"]) * k * k * out * out


FLOORS = {"direct 3x3": ("direct", 0.70), "1x1": ("auto", 0.70), "Winograd 3x3": ("f4x4", 1.60)}


def floor(env, row, seconds, run):
    """All layers of one kind in a net, each as often as the net has it: time at the peak / our time, over the floor."""
    kind, net = row.extra["kind"], row.extra["net"]
    algorithm, least = FLOORS[kind]
    ideal = [0.0, 0.0]
    spent = [0.0, 0.0]
    lowest = None
    layers, peak = kernels(env, net, algorithm)
    for l in layers:
        side3 = int(l["kernel"]) == 3 and int(l["groups"]) == 1 and int(l["channels"]) > 3
        chosen = {"direct 3x3": side3 and l["algorithm"] == "direct", "1x1": int(l["kernel"]) == 1 and int(l["groups"]) == 1,
                  "Winograd 3x3": side3 and l["algorithm"].startswith("f")}[kind]
        if not chosen:
            continue
        for i, (ms, share) in enumerate((("best_ms", "best_share"), ("median_ms", "median_share"))):
            spent[i] += float(l[ms]) * int(l["count"])
            ideal[i] += float(l[ms]) * float(l[share]) * int(l["count"])
        if lowest is None or float(l["best_share"]) < lowest[0]:
            lowest = (float(l["best_share"]), "%sx%s^2 -> %s /%s" % (l["channels"], l["side"], l["filters"], l["stride"]))
    if not spent[0]:
        raise drive.Failed("no such layer was measured")
    share = ideal[0] / spent[0]

    class F:
        version, name = "", ""
    new = run.record(env, row, F, "%.0f %% of %.0f GFLOP/s, floor %.0f %%; lowest layer %.0f %%: %s" % (
        100 * share, peak, 100 * least, 100 * lowest[0], lowest[1]), Times([spent[0]]), Times([ideal[0] / least]), share / least, 0)
    new["ours_median_ms"], new["peer_median_ms"], new["peer_version"] = "%.4f" % spent[1], "%.4f" % (ideal[1] / least), ""
    return new


def dnnl(env, row, seconds, run):
    """Our bare convolutions of a net, layer by layer, and oneDNN's: sums of the bests, each layer as often as the net has it."""
    layers, _ = kernels(env, row.extra["net"], "auto")
    def pad(l):  # of these four nets only SqueezeNet's first layer has none
        return 0 if row.extra["net"].startswith("Squeeze") and l["channels"] == "3" else int(l["kernel"]) // 2
    lines = "".join("%s %s %s %s %s %s %d\n" % (*(l[k] for k in ("channels", "side", "filters", "kernel", "stride", "groups")), pad(l))
                    for l in layers)
    p = subprocess.run([env.at("peer_dnnl"), "2"], input=lines, capture_output=True, text=True, preexec_fn=drive.ends_with_parent, timeout=170)
    if p.returncode:
        raise drive.Failed("oneDNN: " + p.stderr[-300:])
    answer = [l.split() for l in p.stdout.strip().split("\n")]
    version = answer[0][0]
    best = [float(a[0]) for a in answer[1:]]
    median = [float(a[1]) for a in answer[1:]]
    count = [int(l["count"]) for l in layers]
    total = lambda v: sum(float(x) * c for x, c in zip(v, count))
    pairs = sorted((b / float(l["best_ms"]), "%sx%s^2 -> %s %sx%s /%s" % (l["channels"], l["side"], l["filters"], l["kernel"], l["kernel"],
                                                                       l["stride"])) for b, l in zip(best, layers))
    ours, ours_median = total(l["best_ms"] for l in layers), total(l["median_ms"] for l in layers)

    class F:
        name = "oneDNN"
    F.version = version
    env.known_versions[version] = version
    new = run.record(env, row, F, "%s; lowest %.2f: %s; highest %.2f: %s" % (
        answer[0][1], pairs[0][0], pairs[0][1], pairs[-1][0], pairs[-1][1]), Times([ours]), Times([total(best)]), total(best) / ours, 0)
    new["ours_median_ms"], new["peer_median_ms"] = "%.4f" % ours_median, "%.4f" % total(median)
    return new


# ---- what it costs to watch a run -------------------------------------------------------------------------------


def watched(env, row, seconds, run):
    """Whole processes in turns: a training with its statistics, event files and record, and one without the first two."""
    recipe = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "models", "digits.net")
    with_all, without = [], []
    for i in range(5):
        for more, times in (([], with_all), (["--no-events"], without)):
            with tempfile.TemporaryDirectory() as folder:
                times.append(whole([env.convscope, "train", recipe, "--data", "generated:digits", "--limit", "6000", "--epochs", "10",
                                    "--threads", "2", "-o", os.path.join(folder, "run")] + more, None)[0])

    class F:
        version, name = "", ""
    new = run.record(env, row, F, "whole processes", Times(with_all), Times(without), min(without) / min(with_all), 0)
    new["peer_version"] = ""
    return new


def measure(env, row, seconds, run):
    return {"watched": watched, "cold": cold, "busy": busy, "busy_peer": busy_peer, "floor": floor, "dnnl": dnnl}[row.special](env, row, seconds, run)


# ---- the page -------------------------------------------------------------------------------------------------


def processor():
    try:
        with open("/proc/cpuinfo") as f:
            text = f.read()
        name = next(l.split(":", 1)[1].strip() for l in text.split("\n") if l.startswith("model name"))
        flags = [f for f in ("avx2", "avx512f") if " %s " % f in text.replace("\n", " ")]
        return "%s, %d processors seen (%s)" % (name, os.cpu_count(), ", ".join(flags))
    except (OSError, StopIteration):
        return platform.processor()


def write_markdown(env, out, rows, growth_rows, failed):
    page = ["# Convscope beside its peers", "",
            "Written by `make bench`; docs/performance.md says how. %s, 2 threads on every side, float32, random weights, the same" %
            processor(),
            "numbers into both sides and outputs compared before timing. `ratio` is the peer's best time over ours. %s." % table.summary(rows),
            "", table.markdown(rows)]
    if growth_rows:
        page += ["## Growth", "", "Our time and memory, and ONNX Runtime's, answer only, best of some runs; memory is the most the",
                 "process had at any time, model and library included.", ""]
        import growth
        page.append(growth.markdown(growth_rows))
    if failed:
        page += ["## Not measured", ""] + ["- " + f for f in failed] + [""]
    whole_path = os.path.join(out, "results.md")
    with open(whole_path + ".part", "w", encoding="utf-8") as f:
        f.write("\n".join(page).rstrip() + "\n")
    os.replace(whole_path + ".part", whole_path)
