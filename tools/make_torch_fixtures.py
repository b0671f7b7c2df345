#!/usr/bin/env python3
"""Writes tests/data/torch with PyTorch itself: state_dicts in every form, checkpoints, whole modules, traced programs, and files that
would run code if they were loaded as pickles are. usage: tools/make_torch_fixtures.py (needs torch; torchvision for the small ResNet)."""
import os
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

OUT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests", "data", "torch")


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.conv2 = nn.Conv2d(4, 6, 3, groups=2)
        self.fc1 = nn.Linear(6 * 5 * 5, 12)
        self.fc2 = nn.Linear(12, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class Evil:
    def __reduce__(self):
        return os.system, ("touch convscope-was-here",)


def save(name, obj, **kw):
    torch.save(obj, os.path.join(OUT, name), **kw)


def main():
    os.makedirs(OUT, exist_ok=True)
    torch.manual_seed(7)
    net = Small().eval()
    x = torch.randn(2, 1, 28, 28)
    np.save(os.path.join(OUT, "small.in.npy"), x.numpy())
    np.save(os.path.join(OUT, "small.out.npy"), net(x).detach().numpy())
    state = net.state_dict()
    save("state.pth", state)
    save("state_old.pth", state, _use_new_zipfile_serialization=False)
    save("state_protocol4.pth", state, pickle_protocol=4)
    save("checkpoint.pth", {"epoch": 3, "model_state_dict": {"module." + k: v for k, v in state.items()},
                            "optimizer": {"state": {0: {"exp_avg": torch.ones(2, 2)}}}, "loss": 0.25, "note": "x"})
    save("double.pth", {k: v.double() for k, v in state.items()})
    view = dict(state)  # not contiguous, and two tensors of one storage
    view["fc2.weight"] = state["fc2.weight"].t().contiguous().t()
    both = torch.cat([state["fc1.bias"], state["fc2.bias"]])
    view["fc1.bias"], view["fc2.bias"] = both[:12], both[12:]
    save("views.pth", view)
    save("views_old.pth", view, _use_new_zipfile_serialization=False)
    sequential = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                               nn.Linear(4 * 16 * 16, 5)).eval()
    save("module.pth", sequential)
    save("evil.pth", {"state_dict": state, "note": Evil()})
    save("evil_old.pth", Evil(), _use_new_zipfile_serialization=False)
    save("nothing.pth", {"note": "no tensors", "list": [1, 2.5, None, True]})
    save("unknown.pth", {"encoder.a.weight": torch.randn(4, 3, 3, 3), "encoder.b.weight": torch.randn(7, 5, 1, 1),
                         "head.weight": torch.randn(3, 9), "head.bias": torch.randn(3), "temperature": torch.tensor(0.5)})
    try:
        import torchvision.models as models
    except ImportError:
        return
    for name in ("alexnet", "vgg11", "vgg16_bn", "resnet18", "resnet50", "wide_resnet50_2", "resnext50_32x4d", "squeezenet1_0",
                 "squeezenet1_1", "mobilenet_v2", "densenet121"):
        with open(os.path.join(OUT, "names_%s.txt" % name), "w", encoding="ascii") as f:
            for key, t in getattr(models, name)().state_dict().items():
                f.write("%s %s\n" % (key, "x".join(map(str, t.shape))))


if __name__ == "__main__":
    sys.exit(main())
