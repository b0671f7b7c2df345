#!/usr/bin/env python3
"""Writes tests/data/yolo with the libraries themselves: checkpoints of very small networks of the package ultralytics and of YOLOv5, as
their trainers save them, and what the libraries compute. usage: tools/make_yolo_fixtures.py (needs ultralytics and yolov5; the files
were made with ultralytics 8.3.150, yolov5 7.0.14 and PyTorch 1.13)."""
import copy
import os
import sys
import zipfile

import numpy as np
import torch
from torch import nn

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "data", "yolo")
SIDE = 32


def as_trained(net):
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.uniform_(-0.3, 0.3)
            m.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(m.weight, 0.5, 1.2)
            nn.init.uniform_(m.bias, -0.3, 0.3)


def save(name, net, checkpoint, outputs):
    """The weights are kept as half-precision numbers, as the libraries keep them."""
    net = net.half()
    state, path = copy.deepcopy(net), os.path.join(OUT, name + ".pt")
    torch.save({k: state if v is net else v for k, v in checkpoint(net).items()}, path)
    with zipfile.ZipFile(path) as z:  # the same entries, deflated, to keep the repository small
        entries = [(i.filename, z.read(i)) for i in z.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as z:
        for entry, data in entries:
            z.writestr(zipfile.ZipInfo(entry.replace(name + "/", "a/", 1), (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    net = net.float().eval()
    x = torch.rand(1, 3, SIDE, SIDE)
    with torch.no_grad():
        y = outputs(net, x)
    np.save(os.path.join(OUT, name + ".in.npy"), x.numpy())
    for i, t in enumerate(y if isinstance(y, (list, tuple)) else [y]):
        np.save(os.path.join(OUT, "%s.out%d.npy" % (name, i)), t.numpy().astype(np.float32))


def ultralytics():
    from ultralytics.nn import tasks
    from ultralytics.nn.modules import Classify, Conv, Detect
    from ultralytics.nn.modules import block
    from ultralytics.nn.modules.block import DFL

    attention = block.Attention  # heads of 64 channels are too large for a file of tests

    stem = [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]]]
    blocks = {
        "yolo8": [[-1, 2, "C2f", [8, True]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "SPPF", [8, 3]]],
        "yolo9": [[-1, 1, "RepNCSPELAN4", [8, 8, 4, 1]], [-1, 1, "ADown", [8]], [-1, 1, "SPPELAN", [8, 4]]],
        "yolo10": [[-1, 1, "C2fCIB", [8, True, True]], [-1, 1, "SCDown", [16, 3, 2]], [-1, 1, "PSA", [16]]],
        "yolo11": [[-1, 1, "C3k2", [8, True, 0.5]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "C2PSA", [16]]],
        "yolo12": [[-1, 1, "C3k2", [8, False, 0.5]], [-1, 1, "Conv", [16, 3, 2]],
                   [-1, 1, "A2C2f", [16, True, 4, True, 1.2, 2.0]]],
    }
    neck = [[-1, 1, "nn.Upsample", [None, 2, "nearest"]], [[-1, 2], 1, "Concat", [1]], [-1, 1, "Conv", [8, 1, 1]]]
    heads = {"yolo8": ("Detect", []), "yolo9": ("Segment", [4, 8]), "yolo10": ("v10Detect", []), "yolo11": ("Pose", []), "yolo12": ("OBB", [1])}
    models = {"Detect": tasks.DetectionModel, "v10Detect": tasks.DetectionModel, "Segment": tasks.SegmentationModel,
              "Pose": tasks.PoseModel, "OBB": tasks.OBBModel}

    def checkpoint(net):
        return {"epoch": -1, "best_fitness": None, "model": net, "ema": None, "updates": None, "optimizer": None,
                "train_args": {"imgsz": SIDE, "model": "small.yaml"}, "date": "2026-01-01", "version": "8.3.150"}

    def exported(net, x):
        for m in net.modules():
            if isinstance(m, (Detect, Classify)):
                m.export, m.format = True, "onnx"
        return net(x)

    for name, (head, args) in heads.items():
        torch.manual_seed(5)
        cfg = {"nc": 3, "ch": 3, "scales": {"n": [1.0, 1.0, 1024]}, "scale": "n", "backbone": stem + blocks[name],
               "head": neck + [[[7] if name in ("yolo10", "yolo12") else [7, 4], 1, head, ["nc"] + (["kpt_shape"] if head == "Pose" else args)]], "kpt_shape": [2, 3]}
        block.Attention = lambda dim, num_heads=2, attn_ratio=0.5: attention(dim, 2, attn_ratio)
        net = models[head](cfg, verbose=False)
        block.Attention = attention
        last = net.model[-1]
        last.reg_max = 4  # 16 in the published networks: four times the weights
        last.no = last.nc + 16
        last.dfl = DFL(4)
        for towers in ("cv2", "one2one_cv2"):
            if hasattr(last, towers):
                setattr(last, towers, nn.ModuleList(nn.Sequential(Conv(8 if i == 0 else c, 8, 3), nn.Conv2d(8, 16, 1))
                                                    for i, c in enumerate(t[0].conv.in_channels for t in getattr(last, towers))))
        for towers in ("cv3", "one2one_cv3", "cv4"):  # answers that differ, unlike those of an untrained network
            for t in getattr(last, towers, []):
                nn.init.normal_(t[-1].weight, 0, 3 if towers == "one2one_cv3" else 0.5)
        for m in net.model:
            if type(m).__name__ == "A2C2f":
                m.m[0] = m.m[0][:1]
                nn.init.uniform_(m.gamma, 0.2, 0.8)
        last.max_det = 12
        as_trained(net)
        net.names = {0: "cat", 1: "dog", 2: "red panda"}
        save(name, net, checkpoint, exported)
    torch.manual_seed(6)
    net = tasks.ClassificationModel({"nc": 3, "ch": 3, "depth_multiple": 1.0, "width_multiple": 1.0, "backbone": stem + blocks["yolo8"][:2],
                                     "head": [[-1, 1, "Classify", ["nc"]]]}, verbose=False)
    last = net.model[-1]
    last.conv, last.linear = Conv(8, 16, 1), nn.Linear(16, 3)  # 1280 in the published networks
    as_trained(net)
    net.names = {0: "cat", 1: "dog", 2: "red panda"}
    save("classify", net, checkpoint, lambda n, x: n(x)[0] if isinstance(n(x), tuple) else n(x))


def yolov5():
    import yolov5 as package
    sys.path.insert(0, os.path.dirname(package.__file__))
    from yolov5.models.yolo import DetectionModel, SegmentationModel

    anchors = [[10, 13, 16, 30], [30, 61, 62, 45]]
    for name, model, head in (("yolo5", DetectionModel, ["Detect", ["nc", "anchors"]]),
                              ("yolo5seg", SegmentationModel, ["Segment", ["nc", "anchors", 4, 8]])):
        torch.manual_seed(7)
        net = model({"nc": 3, "ch": 3, "depth_multiple": 1.0, "width_multiple": 1.0, "anchors": anchors, "backbone": [
            [-1, 1, "Conv", [8, 6, 2, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 2, "C3", [8]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "SPPF", [8, 3]]],
            "head": [[-1, 1, "nn.Upsample", [None, 2, "nearest"]], [[-1, 2], 1, "Concat", [1]], [-1, 1, "C3", [8, False]],
                     [[7, 4], 1] + head]})
        for conv in net.model[-1].m:
            nn.init.normal_(conv.weight, 0, 0.3)
        as_trained(net)
        net.names = ["cat", "dog", "red panda"]

        def exported(n, x):
            n.model[-1].export = True
            return n(x)

        save(name, net, lambda n: {"epoch": -1, "best_fitness": None, "model": None, "ema": n, "updates": 0, "optimizer": None,
                                   "opt": {"imgsz": SIDE}, "date": "2022-08-01"}, exported)


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    torch.set_num_threads(1)
    ultralytics()
    yolov5()
