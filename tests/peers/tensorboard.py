#!/usr/bin/env python3
# usage: tensorboard.py CONVSCOPE FOLDER. Not part of make test: it installs packages into FOLDER/venv. The real TensorBoard (its Python loader, and
# the program with its Rust loader, asked over HTTP) reads a run that Convscope wrote; `convscope watch` reads what TensorBoard's own writer
# (as Keras uses it) and tensorboardX (PyTorch's format) wrote.
import json, math, os, shutil, subprocess, sys, time, urllib.request

exe, place = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
python = os.path.join(place, "venv", "bin", "python")
if os.path.abspath(sys.prefix) != os.path.join(place, "venv"):
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", os.path.join(place, "venv")], check=True)
        subprocess.run([python, "-m", "pip", "-q", "install", "tensorboard", "tensorboardX", "setuptools<81", "pillow"], check=True)
    sys.exit(subprocess.run([python, os.path.abspath(__file__), exe, place]).returncode)

# this file is called like the package
sys.path = [p for p in sys.path if os.path.abspath(p or ".") != os.path.dirname(os.path.abspath(__file__))]
import numpy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.plugins.histogram import summary_v2 as histogram_v2
from tensorboard.plugins.image import summary_v2 as image_v2
from tensorboard.plugins.scalar import summary_v2 as scalar_v2
from tensorboard.plugins.text import summary_v2 as text_v2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util
from tensorboardX import SummaryWriter

faults = []


def check(what, good):
    print("%-72s %s" % (what, "ok" if good else "WRONG"))
    if not good:
        faults.append(what)


def near(a, b):
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-9) for x, y in zip(a, b))


# ---- what we write -----------------------------------------------------------------------------------------
logs = os.path.join(place, "logs")
shutil.rmtree(logs, ignore_errors=True)
os.makedirs(logs)
run = os.path.join(logs, "ours")
train = [exe, "train", os.path.join(root, "models", "digits.net"), "--data", "generated:digits", "--limit", "1280", "-o", run]
subprocess.run(train + ["--epochs", "3"], check=True, stderr=subprocess.DEVNULL)
history = json.load(open(os.path.join(run, "history.json")))
ours = {}
for part in ("train", "validation"):
    ours[part] = EventAccumulator(os.path.join(run, part), size_guidance={"tensors": 0, "scalars": 0})
    ours[part].Reload()
a = ours["train"]
check("TensorBoard's loader: epoch_loss of train", near([e.value for e in a.Scalars("epoch_loss")], history["loss"]))
check("TensorBoard's loader: epoch_accuracy of validation",
      near([e.value for e in ours["validation"].Scalars("epoch_accuracy")], history["val_accuracy"]))
check("TensorBoard's loader: a loss for every step", [e.step for e in a.Scalars("batch_loss")] == list(range(1, history["steps"] + 1)))
plugins = {t: a.summary_metadata[t].plugin_data.plugin_name for t in a.Tags()["tensors"]}
check("TensorBoard's loader: histograms, pictures, text, hparams", {"histograms", "images", "text", "hparams"} <= set(plugins.values()))
tag = next(t for t, p in plugins.items() if p == "histograms" and "weight" in t)
bins = tensor_util.make_ndarray(a.Tensors(tag)[-1].tensor_proto)
weights = numpy.prod(bins.shape) and bins[:, 2].sum()
check("TensorBoard's loader: a histogram counts every weight", bins.shape == (30, 3) and weights > 0 and weights == int(weights))
check("TensorBoard's loader: the graph", any(n.op == "Conv" for n in a.Graph().node) and a.Graph().node[0].op == "Placeholder")

port = 16006
server = subprocess.Popen([python, "-m", "tensorboard.main", "--logdir", logs, "--port", str(port), "--bind_all"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def get(path):
    return urllib.request.urlopen("http://127.0.0.1:%d/data/%s" % (port, path), timeout=20).read()


try:
    for _ in range(120):
        try:
            if len(json.loads(get("runs"))) == 2:
                break
        except OSError:
            pass
        time.sleep(0.5)
    check("the program: runs", sorted(json.loads(get("runs"))) == ["ours/train", "ours/validation"])
    points = json.loads(get("plugin/scalars/scalars?run=ours/train&tag=epoch_loss"))
    check("the program: scalars", near([p[2] for p in points], history["loss"]) and [p[1] for p in points] == [0, 1, 2])
    points = json.loads(get("plugin/histograms/histograms?run=ours/train&tag=" + tag))
    check("the program: histograms", len(points) == 3 and len(points[0][2]) == 30)
    image = next(t for t, p in plugins.items() if p == "images")
    images = json.loads(get("plugin/images/images?run=ours/train&sample=0&tag=" + image))
    picture = get("plugin/images/individualImage?" + images[-1]["query"])
    check("the program: pictures", len(images) == 3 and picture[:8] == b"\x89PNG\r\n\x1a\n")
    text = json.loads(get("plugin/text/text?run=ours/train&tag=recipe"))
    check("the program: text", "optimizer" in text[0]["text"])
    ask = urllib.request.Request("http://127.0.0.1:%d/data/plugin/hparams/experiment" % port, data=b"{}",
                                 headers={"Content-Type": "application/json"})
    experiment = urllib.request.urlopen(ask, timeout=20).read()
    check("the program: hyper-parameters", "learning_rate" in experiment.decode())
    graph = get("plugin/graphs/graph?run=ours/train&conceptual=false")
    check("the program: graph", b'op: "Conv"' in graph)
finally:
    server.terminate()
    server.wait()

# a run that goes on: no step twice
subprocess.run(train + ["--epochs", "4", "--resume"], check=True, stderr=subprocess.DEVNULL)
a = EventAccumulator(os.path.join(run, "train"), size_guidance={"scalars": 0})
a.Reload()
steps = [e.step for e in a.Scalars("batch_loss")]
check("TensorBoard's loader: a run that went on has every step once", steps == sorted(set(steps)) and len(steps) == history["steps"] // 3 * 4)

# ---- what others write -------------------------------------------------------------------------------------
keras, torch = os.path.join(logs, "keras", "train"), os.path.join(logs, "torch")
w = EventFileWriter(keras)
numbers = numpy.random.default_rng(1).normal(size=1000)
square = numpy.random.default_rng(2).integers(0, 255, (1, 8, 9, 3)).astype(numpy.uint8)
from PIL import Image
import io
png = io.BytesIO()
Image.fromarray(square[0]).save(png, "png")
for step in range(5):
    for summary in (scalar_v2.scalar_pb("epoch_loss", 1.5 / (step + 1)), histogram_v2.histogram_pb("dense/kernel/histogram", numbers * (step + 1)),
                    text_v2.text_pb("note", "step %d 你好" % step)):
        w.add_event(Event(wall_time=1700000000 + step, step=step, summary=summary))
w.close()
x = SummaryWriter(torch)
for step in range(7):
    x.add_scalar("loss/train", math.exp(-step), step)
    x.add_histogram("fc.weight", numbers, step)
    x.add_image("pic", square[0], step, dataformats="HWC")
x.add_text("words", "some *words*", 3)
x.add_hparams({"lr": 0.1, "net": "small"}, {"best": 0.5}, name="h")
x.close()

out = json.loads(subprocess.run([exe, "watch", logs, "--json"], check=True, capture_output=True, text=True).stdout)
series = {(s["run"], s["tag"]): s for s in out["series"]}
s = series[("keras/train", "epoch_loss")]
check("watch reads Keras's scalars", near(s["value"], [1.5 / (i + 1) for i in range(5)]) and s["step"] == list(range(5)))
check("watch reads Keras's histograms and texts", series[("keras/train", "dense/kernel/histogram")]["kind"] == "histogram"
      and any(k[1].startswith("note") and v["kind"] == "text" for k, v in series.items()))
s = series[("torch", "loss/train")]
check("watch reads PyTorch's scalars", near(s["value"], [float(numpy.float32(math.exp(-i))) for i in range(7)]))
check("watch reads PyTorch's histograms and pictures", series[("torch", "fc.weight")]["kind"] == "histogram" and len(series[("torch", "fc.weight")]["step"]) == 7
      and series[("torch", "pic")]["kind"] == "picture")
check("watch reads PyTorch's hyper-parameters", {(h["name"], h["value"]) for h in out["hparams"] if h["run"] == "torch/h"} >= {("lr", "0.1"), ("net", "small")})
s = series[("ours/train", "batch_loss")]
check("watch reads our own run", s["step"] == steps)
print("%d faults" % len(faults))
sys.exit(1 if faults else 0)
