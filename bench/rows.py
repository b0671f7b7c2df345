# SPDX-License-Identifier: MIT
"""The table of work: what is compared with whom, in which configurations, what the ratio must be and what is aimed at."""
from dataclasses import dataclass, field

NETS = {"vgg16": "VGG16", "resnet50": "ResNet-50", "squeezenet1_1": "SqueezeNet 1.1", "mobilenet_v2": "MobileNetV2"}
LAYERS = {"vgg16": "conv5_3", "resnet50": "bottleneck_12/relu_48", "squeezenet1_1": "fire9/parallel_8", "mobilenet_v2": "head"}
TARGET = 281
TORCH_FORWARD = ("eager", "channels_last", "mkldnn", "optimize_for_inference")
TORCH_BACKWARD = ("eager", "channels_last")


@dataclass
class Form:
    """One configuration of a peer. `scale` turns its time into the time of the whole work."""
    kind: str
    config: str
    settings: dict
    scale: float = 1.0
    version: str = ""  # key of Env.versions
    name: str = ""     # of the library, for people


@dataclass
class Row:
    work: str
    peer: str
    ours: dict
    forms: list
    must: object = ""
    goal: object = ""
    tolerance: object = 0.01  # of |ours - peer| / |peer|, in the second norm; None: the outputs are of another kind
    note: str = ""
    slow: bool = False
    special: str = ""         # measured by a function of its own
    extra: dict = field(default_factory=dict)


def torch_forms(env, task, net, configs, batch=1, scale=1.0, **more):
    settings = dict(task=task, net=net, weights=env.model(net + ".npz"), input=env.model("%s_%d.npy" % (net, batch)), **more)
    named = {"captum": ("captum", "Captum"), "library": ("grad-cam", "pytorch-grad-cam")}
    return [Form("torch", c, dict(settings, config=c), scale, named.get(c, ("torch", ""))[0], named.get(c, ("", "PyTorch"))[1])
            for c in configs]


def ort_forms(env, net, batch=1, model=None):
    settings = dict(task="forward", model=env.model((model or net) + ".onnx"), input=env.model("%s_%d.npy" % (net, batch)))
    forms = [Form("ort", c, dict(settings, config=c), version="ort", name="ONNX Runtime") for c in ("python, io binding", "python, run")]
    return forms + [Form("node", "node", dict(settings, task="node", config="node"), version="node", name="ONNX Runtime")]


def ours(env, net, batch=1, **more):
    return dict(dict(task="forward", model=env.model(net + ".onnx"), input=env.model("%s_%d.npy" % (net, batch)), threads=2), **more)


def forwards(env):
    kept = {"vgg16": (2.5, 3.2), "resnet50": (2, 2.7), "squeezenet1_1": (2.5, 3.3), "mobilenet_v2": (4, 5.5)}
    for net, (must, goal) in kept.items():
        yield Row("forward b1, all activations kept: " + NETS[net], "ONNX Runtime", ours(env, net, keep="gradients"),
                  ort_forms(env, net, model=net + "_all"), must, goal, tolerance="prob",
                  note="ours keeps the maps behind fused operators, the others are computed when read")
        yield Row("forward b1, every value in memory: " + NETS[net], "ONNX Runtime", ours(env, net, keep="all"),
                  ort_forms(env, net, model=net + "_all")[:1], tolerance="prob")
        yield Row("forward b1, maps behind fused operators only, both sides: " + NETS[net], "ONNX Runtime", ours(env, net, keep="gradients"),
                  ort_forms(env, net, model=net + "_maps")[:1], tolerance="prob")
    answer = {"vgg16": (2, 2.4), "resnet50": (1.15, 1.3), "squeezenet1_1": (1.6, 2), "mobilenet_v2": (1.6, 2)}
    for net, (must, goal) in answer.items():
        mine = ours(env, net, keep="answer")
        yield Row("forward b1, answer only: " + NETS[net], "ONNX Runtime", mine, ort_forms(env, net), must, goal)
        yield Row("forward b1, answer only: " + NETS[net], "PyTorch", mine, torch_forms(env, "forward", net, TORCH_FORWARD), must, goal)
    batch = {"vgg16": (2.1, 2.5), "resnet50": (1.15, 1.3), "squeezenet1_1": (1.3, 1.5), "mobilenet_v2": (1.15, 1.35)}
    for net, (must, goal) in batch.items():
        mine = ours(env, net, 16, keep="answer")
        yield Row("forward b16, answer only: " + NETS[net], "ONNX Runtime", mine, ort_forms(env, net, 16)[:1], must, goal, slow=True)
        yield Row("forward b16, answer only: " + NETS[net], "PyTorch", mine,
                  torch_forms(env, "forward", net, TORCH_FORWARD[1:], 16), must, goal, slow=True)


def gradients(env):
    bounds = {"vgg16": (2.5, 3.2), "resnet50": (1.6, 1.8), "squeezenet1_1": (2.8, 3.3), "mobilenet_v2": (3, 3.6)}
    for net, (must, goal) in bounds.items():
        yield Row("saliency: " + NETS[net], "PyTorch", ours(env, net, task="explain", keep="gradients", method="gradient", target=TARGET),
                  torch_forms(env, "saliency", net, TORCH_BACKWARD + ("captum",), target=TARGET), must, goal, tolerance=0.03)
        yield Row("guided backprop: " + NETS[net], "PyTorch", ours(env, net, task="explain", keep="gradients", method="guided-backprop", target=TARGET),
                  torch_forms(env, "guided", net, TORCH_BACKWARD + (("captum",) if net != "mobilenet_v2" else ()), target=TARGET),
                  must, goal, tolerance=0.03)
    bounds = {"vgg16": (2.6, 3.1), "resnet50": (1.5, 1.75), "squeezenet1_1": (2.8, 3.5), "mobilenet_v2": (3, 4)}
    plain = {"vgg16": (8, 10), "resnet50": (5, 6), "squeezenet1_1": (7, 9), "mobilenet_v2": (8, 10)}
    for net, (must, goal) in bounds.items():
        mine = ours(env, net, task="explain", keep="gradients", method="gradcam", layer=LAYERS[net], target=TARGET)
        yield Row("Grad-CAM: " + NETS[net], "PyTorch asked for the layer only", mine,
                  torch_forms(env, "gradcam", net, TORCH_BACKWARD, target=TARGET), must, goal)
        yield Row("Grad-CAM: " + NETS[net], "pytorch-grad-cam", mine,
                  torch_forms(env, "gradcam_library", net, ("library", ), target=TARGET), *plain[net], tolerance="map")
    yield Row("gradient-ascent step, block5_conv1 of VGG16, 224x224", "PyTorch",
              ours(env, "vgg16", task="ascent", layer="conv5_1/conv", channel=7),
              torch_forms(env, "ascent", "vgg16", TORCH_BACKWARD, channel=7), 2.4, 3, tolerance=0.03, extra={"warm": 1})


def occlusions(env):
    bounds = {"vgg16": (10, 16), "resnet50": (2.2, 3.2), "squeezenet1_1": (3, 4.5)}
    maps = ((224 - 16) // 8 + 1) ** 2
    for net, (must, goal) in bounds.items():
        part = dict(patch=16, stride=8, target=TARGET, size=16)
        batches = {"vgg16": 1, "resnet50": 2, "squeezenet1_1": None}[net]
        some = {} if batches is None else dict(batches=batches)
        scale = 1.0 if batches is None else maps / (16.0 * batches)
        mine = ours(env, net, task="explain", keep="gradients", method="occlusion", output="probability", patch=16, stride=8, fill=0, target=TARGET)
        forms = [Form("ort", "python, batches of 16", dict(task="occlusion", config="python", model=env.model(net + ".onnx"),
                                                           input=env.model(net + "_1.npy"), **part, **some), scale, "ort", "ONNX Runtime")]
        forms += torch_forms(env, "occlusion", net, ("channels_last", "optimize_for_inference"), scale=scale, **part, **some)
        yield Row("occlusion map, patch 16, stride 8, %d places, all classes: %s" % (maps, NETS[net]), "best batched peer", mine, forms,
                  must, goal, tolerance="prob", slow=True,
                  note="" if batches is None else "%d pictures timed, scaled to %d" % (16 * batches, maps))
    net = "squeezenet1_1"
    yield Row("occlusion map, patch 16, stride 8, %d places, all classes: %s" % (maps, NETS[net]), "Captum",
              ours(env, net, task="explain", keep="gradients", method="occlusion", patch=16, stride=8, fill=0, target=TARGET),
              torch_forms(env, "occlusion", net, ("captum",), patch=16, stride=8, target=TARGET, size=16), 3, 4.5, tolerance=None,
              slow=True)
    yield Row("live occluder: one moved 32-px patch, ResNet-50", "our own forward", ours(env, "resnet50", task="live", keep="gradients", patch=32),
              [Form("ours", "forward, answer only", ours(env, "resnet50", keep="answer"), name="Convscope")], 1.6, 2.5, tolerance=None)


def trainings(env):
    mine = dict(task="train", model=env.model("keras_cifar.onnx"), data="folder:" + env.model("pictures"), out=env.at("run"),
                order=env.model("order.txt"), batch=64, threads=2)
    common = dict(task="train", net="keras_cifar", weights=env.model("keras_cifar.npz"), input=env.model("train_x.npy"),
                  labels=env.model("train_y.npy"), side=32, batch=64)
    yield Row("training step, Keras's CIFAR CNN, batch 64, Adam", "PyTorch", mine,
              [Form("torch", c, dict(common, config=c), version="torch", name="PyTorch") for c in TORCH_BACKWARD], 1.6, 2.5,
              tolerance="losses")
    yield Row("training step, Keras's CIFAR CNN, batch 64, Adam", "Keras", mine,
              [Form("keras", c, dict(common, config=c), version="keras", name="Keras, tensorflow-cpu")
               for c in ("train_on_batch", "train_function", "train_function, XLA")], 1.6, 2.5, tolerance="losses")


def tiny(env):
    net = "tiny_vgg"
    mine = ours(env, net, keep="answer")
    web = dict(task="web", model=env.model(net + ".onnx"), input=env.model(net + "_1.npy"))
    yield Row("forward, Tiny VGG", "ONNX Runtime Web", mine,
              [Form("node", "wasm, %d threads" % n, dict(web, config="wasm, %d threads" % n), version="web", name="ONNX Runtime Web")
               for n in (1, 2)], 2, 3)
    yield Row("forward, Tiny VGG", "TensorFlow.js", mine,
              [Form("node", c, dict(task="tfjs", config=c, params=env.model(net), input=env.model(net + "_1.npy")), version="tfjs",
                    name="TensorFlow.js") for c in ("wasm",)], 4, 6)
    yield Row("forward, Tiny VGG", "ONNX Runtime", mine, ort_forms(env, net))


def special(env):
    yield Row("process start to first result, SqueezeNet 1.1", "ONNX Runtime", {}, [], 8, 14, special="cold")
    yield Row("process start to first result, SqueezeNet 1.1", "PyTorch", {}, [], 80, 130, special="cold")
    for net in ("squeezenet1_1", "resnet50"):
        yield Row("forward b1 beside one busy process: " + NETS[net], "2.5 x our quiet median", ours(env, net, keep="answer"), [],
                  1, 1.3, special="busy", extra={"net": net})
    for peer in ("ONNX Runtime", "PyTorch"):
        yield Row("forward b1 beside one busy process, medians: SqueezeNet 1.1", peer, ours(env, "squeezenet1_1", keep="answer"),
                  ort_forms(env, "squeezenet1_1")[:1] if peer == "ONNX Runtime" else
                  torch_forms(env, "forward", "squeezenet1_1", ("optimize_for_inference",)), special="busy_peer")
    yield Row("training digits.net, 10 epochs of 6,000 pictures, with statistics and event files", "the same without", {}, [], 0.97, 1,
              special="watched")
    for name in ("direct 3x3", "1x1", "Winograd 3x3"):
        for net in ("VGG16", "ResNet-50", "SqueezeNet 1.1", "MobileNetV2"):
            if (name, net) in (("1x1", "VGG16"), ("direct 3x3", "MobileNetV2"), ("Winograd 3x3", "MobileNetV2")):
                continue
            yield Row("floor: %s layers of %s" % (name, net), "share of the FMA peak", {}, [], 1,
                      round(2.5 / 1.6, 3) if name.startswith("Wino") else round(0.9 / 0.7, 3), special="floor",
                      extra={"kind": name, "net": net})
    for net in ("VGG16", "ResNet-50", "SqueezeNet 1.1", "MobileNetV2"):
        yield Row("convolution layers one by one, b1: " + net, "oneDNN", {}, [], special="dnnl", extra={"net": net})


def all_rows(env):
    return [r for part in (forwards, gradients, occlusions, trainings, tiny, special) for r in part(env)]
