#!/usr/bin/env python3
# usage: attributions.py CONVSCOPE FOLDER [WORD...]. Not part of make test: it needs PyTorch, captum, grad-cam and, beside the source, ../shared.
# Networks that test_explain_compat.c does not know (Tiny VGG, CIFAR-10 of Captum's tutorial, a residual net with normalisation), photographs,
# several layers, and as targets classes, a neuron, a region and a mix: every map against Captum's and pytorch-grad-cam's in float64.
# FOLDER gets the pictures and the exported nets. WORDs: networks by name, or parts of the lines of the cases to run.
import os, subprocess, sys, warnings

import numpy as np
import torch
from PIL import Image
from torch import nn

warnings.filterwarnings("ignore")
from captum import attr as C
import pytorch_grad_cam as P
import pytorch_grad_cam.base_cam as base

exe, place, words = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), sys.argv[3:]
root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
data = os.path.join(os.environ.get("CVS_SHARED") or os.path.join(os.path.dirname(root), "shared"), "data")
os.makedirs(place, exist_ok=True)
PHOTOS = ["chelsea.png", "coffee.png", "dog_and_cat.png", "rocket.jpg"]
faults, tried = [], 0


def chain(*layers):
    """Modules by name: x goes through them in order, every output is kept under its name."""
    net = nn.Sequential()
    for name, layer in layers:
        net.add_module(name, layer)
    return net


class Kept(nn.Module):
    """A network whose layers' outputs can be asked for: scores(x) [N,classes], kept {name: value}."""
    def __init__(self, body):
        super().__init__()
        self.body, self.kept = body, {}
        for name, layer in body.named_modules():
            if name:
                layer.register_forward_hook(lambda m, i, o, name=name: self.kept.__setitem__(name, o))

    def forward(self, x):
        return self.body(x)


class Asked(nn.Module):
    """Columns: the classes, then one neuron, one region's sum, one mix of two classes."""
    def __init__(self, net, layer, unit, box, mix):
        super().__init__()
        self.net, self.layer, self.unit, self.box, self.mix = net, layer, unit, box, mix

    def forward(self, x):
        s = self.net(x)
        a = self.net.kept[self.layer]
        c, y, u = self.unit
        k, y0, y1, u0, u1 = self.box
        more = [a[:, c, y, u], a[:, k, y0:y1 + 1, u0:u1 + 1].sum((1, 2)), 2 * s[:, self.mix[0]] - 0.5 * s[:, self.mix[1]]]
        return torch.cat([s, torch.stack(more, 1)], 1)


def tiny_vgg():
    L = [("conv_1_1", nn.Conv2d(3, 10, 3)), ("relu_1_1", nn.ReLU()), ("conv_1_2", nn.Conv2d(10, 10, 3)), ("relu_1_2", nn.ReLU()),
         ("max_pool_1", nn.MaxPool2d(2)), ("conv_2_1", nn.Conv2d(10, 10, 3)), ("relu_2_1", nn.ReLU()), ("conv_2_2", nn.Conv2d(10, 10, 3)),
         ("relu_2_2", nn.ReLU()), ("max_pool_2", nn.MaxPool2d(2)), ("flatten", nn.Flatten()), ("output", nn.Linear(1690, 10))]
    net = chain(*L)
    net.load_state_dict(torch.load(os.path.join(data, "models/converted-tiny-vgg/tiny_vgg_state.pth"), map_location="cpu"))
    layers = {n: n for n in ("relu_1_2", "conv_2_1", "relu_2_1", "conv_2_2", "relu_2_2", "max_pool_1", "max_pool_2")}
    return net, os.path.join(data, "tiny-vgg", "model.json"), True, 64, (0, 1), layers


def cifar():
    L = [("conv1", nn.Conv2d(3, 6, 5)), ("relu1", nn.ReLU()), ("pool1", nn.MaxPool2d(2)), ("conv2", nn.Conv2d(6, 16, 5)), ("relu2", nn.ReLU()),
         ("pool2", nn.MaxPool2d(2)), ("flat", nn.Flatten()), ("fc1", nn.Linear(400, 120)), ("relu3", nn.ReLU()), ("fc2", nn.Linear(120, 84)),
         ("relu4", nn.ReLU()), ("fc3", nn.Linear(84, 10))]
    net = chain(*L)
    net.load_state_dict(torch.load(os.path.join(data, "models/pytorch/cifar-captum/cifar_torchvision.pt"), map_location="cpu"))
    path = os.path.join(place, "cifar.onnx")
    torch.onnx.export(net, torch.zeros(1, 3, 32, 32), path, opset_version=13, input_names=["x"], output_names=["y"])
    return net, path, False, 32, (-1, 1), onnx_names(net)


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n), nn.ReLU()

    def forward(self, x):
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + x)


def residual():
    torch.manual_seed(4)
    net = chain(("stem", nn.Conv2d(3, 12, 5, 2, 2)), ("bn", nn.BatchNorm2d(12)), ("relu", nn.ReLU()), ("pool", nn.MaxPool2d(3, 2, 1)), ("one", Residual(12)),
                ("two", Residual(12)), ("down", nn.Conv2d(12, 20, 3, 2, 1)), ("relu3", nn.ReLU()), ("gap", nn.AdaptiveAvgPool2d(1)), ("flat", nn.Flatten()),
                ("fc", nn.Linear(20, 7)))
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.uniform_(m.running_mean, -.3, .3), nn.init.uniform_(m.running_var, .4, 1.5)
            nn.init.uniform_(m.weight, .6, 1.4), nn.init.uniform_(m.bias, -.3, .3)
    with torch.no_grad():
        net.fc.weight.mul_(4)
    net.eval()
    path = os.path.join(place, "residual.onnx")
    torch.onnx.export(net, torch.zeros(1, 3, 70, 54), path, opset_version=13, input_names=["x"], output_names=["y"], do_constant_folding=False,
                      training=torch.onnx.TrainingMode.PRESERVE)
    return net, path, False, (70, 54), (-1.5, 1.5), onnx_names(net)


def onnx_names(net):
    """Module name: value of the file, as PyTorch names them."""
    kinds = {nn.Conv2d: "Conv", nn.ReLU: "Relu", nn.MaxPool2d: "MaxPool"}
    return {name: "/%s/%s_output_0" % (name.replace(".", "/"), kinds[type(m)]) for name, m in net.named_modules() if type(m) in kinds}


def picture(name, side, span):
    h, w = side if isinstance(side, tuple) else (side, side)
    a = np.asarray(Image.open(os.path.join(data, "photos", name)).convert("RGB").resize((w, h), Image.BICUBIC), dtype=np.float32) / 255
    return a * (span[1] - span[0]) + span[0]


def raw_cam(kind, asked, layer, x, target):
    kept = {}
    scale = base.scale_cam_image
    base.scale_cam_image = lambda cam, size=None: (kept.setdefault("cam", np.array(cam)), scale(cam, size))[1]
    try:
        with kind(model=asked, target_layers=[layer]) as cam:
            cam(input_tensor=x, targets=[lambda out: out[target]])
    finally:
        base.scale_cam_image = scale
    return np.maximum(kept["cam"], 0)


def compare(line, args, want, within):
    global tried
    if words and not any(w in line for w in words):  # a network's name is in its lines
        return
    raw = os.path.join(place, "o.npy")
    p = subprocess.run([exe, "explain"] + args + ["--raw", raw], capture_output=True, text=True)
    tried += 1
    if p.returncode:
        faults.append("%s: %s" % (line, p.stderr.strip()[-200:]))
        print(faults[-1])
        return
    got, want = np.load(raw).astype(np.float64).ravel(), np.asarray(want, np.float64).ravel()
    if got.shape != want.shape:
        faults.append("%s: %d numbers, %d expected" % (line, got.size, want.size))
    else:
        off, most = np.abs(got - want).max(), np.abs(want).max()
        share = off / most if most > 0 else off
        said = "%-74s %.2g of %.3g" % (line, share, most)
        if not share <= within:
            faults.append(said)
            said = "WRONG " + faults[-1]
        print(said, flush=True)


def of_network(build):
    net, path, last, side, span, layers = build()
    net = net.double().eval()
    kept = Kept(net)
    mods = dict(net.named_modules())
    convs = [n for n in layers if kept_shape(kept, n, side) == 4]
    title = build.__name__
    residual_net = build is residual
    for i, photo in enumerate(PHOTOS):
        hwc = picture(photo, side, span)
        npy = os.path.join(place, "%s_%d.npy" % (title, i))
        np.save(npy, hwc if last else np.moveaxis(hwc, -1, 0)[None])
        x = torch.tensor(np.moveaxis(hwc, -1, 0)[None].astype(np.float64))
        scores = kept(x)[0]
        order = scores.argsort(descending=True).tolist()
        inner = convs[len(convs) // 2]
        maps = kept.kept[inner][0]
        c = int(maps.amax((1, 2)).argmax())
        y, u = np.unravel_index(int(maps[c].argmax()), maps[c].shape)
        k = (c + 1) % maps.shape[0]
        box = (k, 2, min(6, maps.shape[1] - 1), 1, min(7, maps.shape[2] - 1))
        asked = Asked(kept, inner, (c, int(y), int(u)), box, order[:2])
        n = len(scores)
        targets = [(str(order[0]), order[0]), (str(order[1]), order[1]), (str(order[-1]), order[-1])]
        if i < 2:
            name = layers[inner]
            targets += [("neuron:%s:%d,%d,%d" % (name, c, y, u), n), ("region:%s:%d,%d-%d,%d-%d" % ((name,) + box), n + 1),
                        ("mix:2*%d,-0.5*%d" % tuple(order[:2]), n + 2)]
        for text, t in targets:
            def case(method, extra, want, within):
                want = want.detach().numpy() if hasattr(want, "detach") else want
                if last and want.ndim == 4 and want.shape[1] == 3:
                    want = np.moveaxis(want, 1, -1)
                compare("%s %s %s %s %s" % (title, photo, text.split(":")[0], method, " ".join(extra)), [path, npy, "--method", method, "--target", text] + extra,
                        want, within)
            zero = torch.zeros_like(x)
            case("gradient", [], C.Saliency(asked).attribute(x, target=t, abs=False), 1e-4)
            case("input-x-gradient", [], C.InputXGradient(asked).attribute(x, target=t), 1e-4)
            case("guided-backprop", [], C.GuidedBackprop(asked).attribute(x, target=t), 1e-4)
            case("deconvnet", [], C.Deconvolution(asked).attribute(x, target=t), 1e-4)
            ig = C.IntegratedGradients(asked)
            for rule, theirs in (("gauss", "gausslegendre"), ("midpoint", "riemann_middle"), ("right", "riemann_right")):
                case("integrated-gradients", ["--rule", rule, "--steps", "50", "--baseline", black(place, last, x)],
                     ig.attribute(x, zero, target=t, n_steps=50, method=theirs), 2e-2)  # kinks that rounding crosses
            patch, stride = max(4, x.shape[2] // 8), max(2, x.shape[2] // 16)
            case("occlusion", ["--patch", str(patch), "--stride", str(stride), "--fill", "0.25"], occluded(asked, x, t, patch, stride, .25), 1e-4)
            if t < n:
                case("occlusion", ["--patch", str(patch), "--stride", str(stride), "--fill", "0.25", "--output", "prob"],
                     occluded(lambda v: kept(v).softmax(1), x, t, patch, stride, .25), 1e-4)
            if t < n and not residual_net:
                case("deeplift", ["--baseline", black(place, last, x)], C.DeepLift(net).attribute(x, zero, target=t), 1e-3)
                case("lrp-epsilon", ["--epsilon", "0.01"], lrp(net, x, t, .01, False), 1e-3)
                if span[0] >= 0:
                    case("lrp-zplus", ["--epsilon", "0.01"], lrp(net, x, t, .01, True), 1e-3)
            for layer in convs:
                if t >= n + 2 or t < n or layer in below(convs, inner):
                    m, L = mods[layer], ["--layer", layers[layer]]
                    for method, kind in (("gradcam", P.GradCAM), ("gradcam++", P.GradCAMPlusPlus), ("xgradcam", P.XGradCAM), ("layercam", P.LayerCAM),
                                         ("hirescam", P.HiResCAM)):
                        case(method, L, raw_cam(kind, asked, m, x, t), 1e-3)
                    if i == 0 and layer == convs[-1] and t < n:
                        case("scorecam", L, raw_cam(P.ScoreCAM, asked, m, x, t), 1e-3)
                        case("ablationcam", L, raw_cam(P.AblationCAM, asked, m, x, t), 1e-3)


def kept_shape(kept, name, side):
    h, w = side if isinstance(side, tuple) else (side, side)
    kept(torch.zeros(1, 3, h, w, dtype=torch.float64))
    return kept.kept[name].dim()


def below(convs, inner):
    return convs[:convs.index(inner)]


def black(place, last, x):
    """Zeros of the network's own input, as a file: --baseline FILE.npy."""
    path = os.path.join(place, "black_%dx%d.npy" % (x.shape[2], x.shape[3]))
    if not os.path.exists(path):
        a = np.zeros(tuple(x.shape), np.float32)
        np.save(path, np.moveaxis(a[0], 0, -1) if last else a)
    return path


def occluded(f, x, t, patch, stride, fill):
    rows, columns = (x.shape[2] - patch) // stride + 1, (x.shape[3] - patch) // stride + 1
    out = np.zeros((rows, columns))
    with torch.no_grad():
        for r in range(rows):
            batch = x.repeat(columns, 1, 1, 1)
            for c in range(columns):
                batch[c, :, r * stride:r * stride + patch, c * stride:c * stride + patch] = fill
            out[r] = f(batch)[:, t].numpy()
    return out


def lrp(net, x, t, epsilon, positive):
    """The two rules as goldens/README.md states them, on a chain of modules."""
    values = [x]
    for m in net:
        values.append(m(values[-1]).detach())
    r = torch.zeros_like(values[-1])
    r[0, t] = values[-1][0, t]
    for m, a in zip(reversed(list(net)), reversed(values[:-1])):
        a = a.detach().clone().requires_grad_(True)
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            if positive and isinstance(m, nn.Conv2d):
                z = nn.functional.conv2d(a, m.weight.clamp(min=0), None, m.stride, m.padding)
            else:
                z = m(a)
            z.backward((r / (z + epsilon * torch.where(z >= 0, 1., -1.))).detach())
            r = (a * a.grad).detach()
        elif not isinstance(m, nn.ReLU):
            m(a).backward(r)
            r = a.grad
    return r


every = (tiny_vgg, cifar, residual)
for build in every:
    if not any(w == b.__name__ for b in every for w in words) or build.__name__ in words:
        of_network(build)
print("%d of %d maps agree" % (tried - len(faults), tried))
for f in faults:
    print("WRONG " + f)
sys.exit(1 if faults else 0)
