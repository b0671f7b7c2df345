# SPDX-License-Identifier: MIT
"""PyTorch, Captum and pytorch-grad-cam as peers: torchvision's architectures with the weights of our model file, each task in the
forms that people use and that are fastest: as it comes (NCHW), channels_last, MKL-DNN layout kept, frozen and fused."""
import numpy as np

from serve import THREADS, serve

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.set_num_threads(int(THREADS))
if hasattr(torch, "set_num_interop_threads"):
    torch.set_num_interop_threads(1)


class Cifar(nn.Module):
    """The network of Keras's CIFAR-10 tutorial."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(),
                                  nn.MaxPool2d(2), nn.Conv2d(64, 64, 3), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(64 * 16, 64), nn.ReLU(), nn.Linear(64, 10))

    def forward(self, x):
        return self.head(self.body(x).flatten(1))


def build(name):
    if name == "keras_cifar":
        return Cifar()
    import torchvision
    make = getattr(torchvision.models, name)
    try:
        return make(weights=None)
    except TypeError:
        return make(pretrained=False)


def weigh(model, path, side):
    """Our weights into torchvision's modules, in the order in which each runs; a shape that differs ends it."""
    stored = np.load(path)
    nodes = [(k, [stored["%s/%d" % (k, i)] for i in range(int(stored[k + "/n"]))]) for k in stored["order"]]
    modules = []
    hooks = [m.register_forward_hook(lambda m, i, o: modules.append(m)) for m in model.modules()
             if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))]
    model.eval()
    with torch.no_grad():
        model(torch.zeros(1, 3, side, side))
    for h in hooks:
        h.remove()
    if len(modules) != len(nodes):
        raise ValueError("%d layers with weights here, %d in the model file" % (len(modules), len(nodes)))
    names = {nn.Conv2d: ("weight", "bias"), nn.Linear: ("weight", "bias"),
             nn.BatchNorm2d: ("weight", "bias", "running_mean", "running_var")}
    with torch.no_grad():
        for module, (name, arrays) in zip(modules, nodes):
            for attribute, array in zip(names[type(module)], arrays):
                t = getattr(module, attribute)
                if tuple(t.shape) != array.shape:
                    raise ValueError("%s: %s here, %s in the file" % (name, tuple(t.shape), array.shape))
                t.copy_(torch.from_numpy(array))
    return model


def last_conv(name, m):
    """The layer that our "last-conv" is: the last block's output with everything that follows before pooling."""
    return {"vgg16": lambda: m.features[29], "resnet50": lambda: m.layer4, "squeezenet1_1": lambda: m.features[12],
            "mobilenet_v2": lambda: m.features[18]}[name]()


def not_in_place(m):
    for q in m.modules():
        if isinstance(q, (nn.ReLU, nn.ReLU6)):
            q.inplace = False


def read(s):
    model = weigh(build(s["net"]), s["weights"], int(s.get("side", 224)))
    x = torch.from_numpy(np.load(s["input"]))
    if s["config"] == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    return model, x


def forward_form(s, model, x):
    """The callable x -> logits in the configuration asked for, without gradients."""
    if s["config"] == "mkldnn":
        from torch.utils import mkldnn
        m = mkldnn.to_mkldnn(model)
        return lambda v: m(v.to_mkldnn()).to_dense()
    if s["config"] == "optimize_for_inference":
        with torch.no_grad():
            m = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, x)))
            for _ in range(2):
                m(x)
        return m
    return model


def forward(s):
    model, x = read(s)
    m, kept = forward_form(s, model, x), {}

    def once():
        with torch.no_grad():
            kept["y"] = m(x)
    return once, lambda: kept["y"].softmax(1).numpy()


def saliency(s):
    model, x = read(s)
    target, kept = int(s["target"]), {}
    for p in model.parameters():
        p.requires_grad_(False)
    if s["config"] == "captum":
        from captum.attr import Saliency
        method = Saliency(model)

        def once():
            kept["g"] = method.attribute(x.clone().requires_grad_(True), target=target, abs=False)
        return once, lambda: kept["g"].numpy()
    x = x.clone(memory_format=torch.preserve_format).requires_grad_(True)

    def once():
        kept["g"], = torch.autograd.grad(model(x)[0, target], x)
    return once, lambda: kept["g"].numpy()


class Guided(torch.autograd.Function):
    """ReLU, or ReLU6 where `most` is 6, that lets back only what is positive and where it was open."""

    @staticmethod
    def forward(ctx, x, most):
        y = x.clamp(0, most) if most else x.clamp(min=0)
        ctx.save_for_backward(y)
        ctx.most = most
        return y

    @staticmethod
    def backward(ctx, g):
        y, = ctx.saved_tensors
        open_here = (y > 0) & (y < ctx.most) if ctx.most else y > 0
        return g.clamp(min=0) * open_here, None


class GuidedRelu(nn.Module):
    def __init__(self, most):
        super().__init__()
        self.most = most

    def forward(self, x):
        return Guided.apply(x, self.most)


def guided(s):
    model, x = read(s)
    target, kept = int(s["target"]), {}
    for p in model.parameters():
        p.requires_grad_(False)
    if s["config"] == "captum":
        from captum.attr import GuidedBackprop
        not_in_place(model)
        method = GuidedBackprop(model)

        def once():
            kept["g"] = method.attribute(x.clone().requires_grad_(True), target=target)
        return once, lambda: kept["g"].numpy()

    def replace(m):
        for k, child in m.named_children():
            if isinstance(child, (nn.ReLU, nn.ReLU6)):
                setattr(m, k, GuidedRelu(6 if isinstance(child, nn.ReLU6) else 0))
            else:
                replace(child)
    replace(model)
    x = x.clone(memory_format=torch.preserve_format).requires_grad_(True)

    def once():
        kept["g"], = torch.autograd.grad(model(x)[0, target], x)
    return once, lambda: kept["g"].numpy()


def gradcam(s):
    """The gradient asked for at the layer only: the least that a user of PyTorch can do."""
    model, x = read(s)
    target, kept = int(s["target"]), {}
    not_in_place(model)
    last_conv(s["net"], model).register_forward_hook(lambda m, i, o: kept.__setitem__("a", o))

    def once():
        y = model(x)
        a = kept["a"]
        g, = torch.autograd.grad(y[0, target], a)
        kept["map"] = F.relu((g.mean((2, 3), keepdim=True) * a).sum(1)).detach()
    return once, lambda: kept["map"][:, None].numpy()


def gradcam_library(s):
    """pytorch-grad-cam as its manual shows it: plain backward through everything, the map scaled to the picture."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    model, x = read(s)
    kept, targets = {}, [ClassifierOutputTarget(int(s["target"]))]
    cam = GradCAM(model=model, target_layers=[last_conv(s["net"], model)])

    def once():
        kept["map"] = cam(input_tensor=x, targets=targets)
    return once, lambda: kept["map"]


def ascent(s):
    """One step on VGG16's block5_conv1, before its ReLU: forward to the layer, gradient to the picture, the step itself."""
    model, x = read(s)
    body, channel, kept = model.features[:25], int(s["channel"]), {}
    not_in_place(body)
    for p in body.parameters():
        p.requires_grad_(False)
    x = x.clone(memory_format=torch.preserve_format).requires_grad_(True)

    def once():
        g, = torch.autograd.grad(body(x)[0, channel].mean(), x)
        kept["g"] = g
        with torch.no_grad():
            x.add_(g / (g.pow(2).mean().sqrt() + 1e-8))
    return once, lambda: x.detach().numpy()


def occlusion(s):
    """Batches of masked pictures. batches=N: only the first N batches (the row scales the time to the whole map)."""
    model, x = read(s)
    patch, stride, size, side = int(s["patch"]), int(s["stride"]), int(s["size"]), x.shape[-1]
    target, kept = int(s["target"]), {}
    if s["config"] == "captum":
        from captum.attr import Occlusion
        method = Occlusion(model)

        def once():
            with torch.no_grad():
                kept["y"] = method.attribute(x, sliding_window_shapes=(3, patch, patch), strides=(3, stride, stride),
                                             target=target, baselines=0, perturbations_per_eval=size)
        return once, lambda: kept["y"].numpy()
    places = [(t, l) for t in range(0, side - patch + 1, stride) for l in range(0, side - patch + 1, stride)]
    places = places[:size * int(s["batches"])] if "batches" in s else places
    layout = torch.channels_last if s["config"] == "channels_last" else torch.contiguous_format
    m = forward_form(s, model, x.expand(size, -1, -1, -1).clone(memory_format=layout))

    def once():
        scores = []
        with torch.no_grad():
            for at in range(0, len(places), size):
                batch = x.expand(size, -1, -1, -1).clone(memory_format=layout)
                for i, (t, l) in enumerate(places[at:at + size]):
                    batch[i, :, t:t + patch, l:l + patch] = 0
                scores.append(m(batch)[:len(places) - at])
        kept["y"] = torch.cat(scores)
    return once, lambda: kept["y"].softmax(1)[:, target].numpy()


def train(s):
    model = weigh(build(s["net"]), s["weights"], int(s["side"])).train()
    x, y = torch.from_numpy(np.load(s["input"])), torch.from_numpy(np.load(s["labels"]))
    if s["config"] == "channels_last":
        model = model.to(memory_format=torch.channels_last)
        x = x.to(memory_format=torch.channels_last)
    try:
        optimizer = torch.optim.Adam(model.parameters(), 1e-3, foreach=True)
    except TypeError:
        optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    size, kept = int(s["batch"]), {"at": 0, "losses": []}

    def once():
        at = kept["at"] % (len(x) - size + 1)
        kept["at"] += size
        optimizer.zero_grad(set_to_none=True)
        loss = F.cross_entropy(model(x[at:at + size]), y[at:at + size])
        loss.backward()
        optimizer.step()
        kept["losses"].append(float(loss.detach()))
    return once, lambda: np.array(kept["losses"])


TASKS = {f.__name__: f for f in (forward, saliency, guided, gradcam, gradcam_library, ascent, occlusion, train)}

if __name__ == "__main__":
    serve(lambda s: TASKS[s["task"]](s))
