#!/usr/bin/env python3
"""Writes tests/data/hub: folders as Hugging Face's transformers (4.40) and timm (0.9.16) save small networks with random weights, what went
in, and what the library answered. usage: tools/make_hub_fixtures.py (needs torch, transformers, timm, safetensors)."""
import json
import os
import shutil

import numpy as np
import timm
import torch
import transformers as T
from safetensors.torch import save_file

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "data", "hub")
NAMES = {i: "kind %d" % i for i in range(4)}
LABELS = {"id2label": NAMES, "label2id": {v: k for k, v in NAMES.items()}}


def as_trained(net):
    """Running statistics and scales as after training, not 0 and 1."""
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm2d):
            m.running_mean.uniform_(-0.3, 0.3)
            m.running_var.uniform_(0.5, 1.5)
            torch.nn.init.uniform_(m.weight, 0.6, 1.4)
            torch.nn.init.uniform_(m.bias, -0.3, 0.3)
    for name, p in net.named_parameters():
        if "layer_scale" in name or "grn" in name:
            torch.nn.init.uniform_(p.data, 0.5, 1.0)
        elif p.ndim > 1:
            torch.nn.init.normal_(p.data, 0, 1.4 / p[0].numel() ** 0.5)


def put(folder, side, net, answer):
    x = torch.randn(1, 3, side, side)
    np.save(os.path.join(folder, "in.npy"), x.numpy())
    with torch.no_grad():
        np.save(os.path.join(folder, "out.npy"), answer(net, x).numpy())


class Logits(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, pixel_values):
        return self.net(pixel_values).logits


def hub(name, config, model, processor, side=32, onnx=False, **how):
    torch.manual_seed(5)
    folder = os.path.join(OUT, name)
    shutil.rmtree(folder, ignore_errors=True)
    net = model(config).eval()
    as_trained(net)
    net.save_pretrained(folder, **how)
    if onnx:  # as optimum lays a folder out
        os.remove(os.path.join(folder, "model.safetensors"))
        os.makedirs(os.path.join(folder, "onnx"))
        torch.onnx.export(Logits(net).eval(), torch.zeros(1, 3, side, side), os.path.join(folder, "onnx", "model.onnx"), input_names=["pixel_values"],
                          output_names=["logits"])
    processor.save_pretrained(folder)
    put(folder, side, net, lambda net, x: net(x).logits)


def main():
    size = {"height": 32, "width": 32}
    crop = {"size": {"shortest_edge": 36}, "crop_size": size}
    next_size = T.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.8)
    hub("resnet", T.ResNetConfig(embedding_size=8, hidden_sizes=[16, 32], depths=[1, 2], downsample_in_bottleneck=True,
                                 downsample_in_first_stage=True, hidden_act="gelu", **LABELS), T.ResNetForImageClassification, next_size)
    small = T.ResNetConfig(embedding_size=4, hidden_sizes=[8, 12], depths=[1, 2], layer_type="basic", **LABELS)
    hub("sharded", small, T.ResNetForImageClassification, next_size, safe_serialization=False, max_shard_size="8KB")
    hub("onnx", small, T.ResNetForImageClassification, next_size, onnx=True)
    hub("regnet", T.RegNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 2], groups_width=4, **LABELS),
        T.RegNetForImageClassification, next_size)
    hub("convnext", T.ConvNextConfig(hidden_sizes=[8, 12], depths=[1, 1], num_stages=2, **LABELS), T.ConvNextForImageClassification, next_size)
    hub("convnextv2", T.ConvNextV2Config(hidden_sizes=[8, 12], depths=[1, 1], num_stages=2, patch_size=2, **LABELS),
        T.ConvNextV2ForImageClassification, next_size)
    hub("mobilenet_v1", T.MobileNetV1Config(depth_multiplier=0.02, min_depth=4, **LABELS), T.MobileNetV1ForImageClassification,
        T.MobileNetV1ImageProcessor(**crop))
    hub("mobilenet_v2", T.MobileNetV2Config(depth_multiplier=0.05, min_depth=4, depth_divisible_by=4, expand_ratio=2, first_layer_is_expansion=False, finegrained_output=False,
                                            **LABELS), T.MobileNetV2ForImageClassification, T.MobileNetV2ImageProcessor(**crop))
    hub("efficientnet", T.EfficientNetConfig(width_coefficient=0.1, depth_coefficient=0.3, depth_divisor=4, hidden_dim=128, image_size=32,
                                             expand_ratios=[1] + 6 * [2], depthwise_padding=[1], **LABELS),
        T.EfficientNetForImageClassification, T.EfficientNetImageProcessor(size=size))
    torch.manual_seed(5)
    folder = os.path.join(OUT, "timm")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    net = timm.models.efficientnet._gen_efficientnet_lite("tf_efficientnet_lite0", 0.05, num_classes=4, pad_type="same", bn_eps=1e-3).eval()
    as_trained(net)
    save_file(net.half().state_dict(), os.path.join(folder, "model.safetensors"))
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump({"architecture": "tf_efficientnet_lite0", "num_classes": 4, "label_names": list("abcd"), "label_descriptions": {"a": "kind 0"},
                   "pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 0.8, "mean": [0.5] * 3, "std": [0.5] * 3}}, f, indent=1)
    put(folder, 32, net.float(), lambda net, x: net(x))


if __name__ == "__main__":
    main()
