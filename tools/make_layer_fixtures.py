#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/data/training/layers_NET_OPTIMIZER.npy with PyTorch: the parameters of a small network, ten batches and their labels, the ten losses
# and the parameters after ten steps, one after another as float32. test_train_layers.c has the same networks in our language.
# usage: make_layer_fixtures.py FOLDER
import sys

import numpy as np
import torch

torch.set_num_threads(1)
F = torch.nn


def net_a():
    return F.Sequential(F.Conv2d(2, 4, 3, padding=1), F.GroupNorm(2, 4), F.SiLU(), F.Conv2d(4, 4, 3, padding=1), F.LayerNorm([4, 6, 6]),
                        F.ELU(), F.Conv2d(4, 4, 3, padding=1), F.LeakyReLU(0.1), F.Conv2d(4, 4, 3, padding=1), F.GELU(), F.Flatten(),
                        F.Linear(144, 3))


def net_b():
    return F.Sequential(F.Conv2d(2, 4, 3, padding=1, stride=2), F.SELU(), F.Conv2d(4, 8, 3, padding=1, groups=2), F.Mish(),
                        F.ConvTranspose2d(8, 4, 2, stride=2), F.Hardswish(), F.Conv2d(4, 4, 3, padding=1), F.Softplus(), F.AvgPool2d(2),
                        F.Conv2d(4, 4, 1), F.Tanh(), F.MaxPool2d(3), F.Flatten(), F.Linear(4, 3))


for name, make in (("a", net_a), ("b", net_b)):
    for opt in ("sgd", "adam"):
        torch.manual_seed(9)
        m = make()
        for layer in m:
            if isinstance(layer, (F.GroupNorm, F.LayerNorm)):
                layer.weight.data.uniform_(0.5, 1.5)
        x, y = torch.randn(10, 4, 2, 6, 6), torch.randint(0, 3, (10, 4))
        out = [p.detach().numpy().ravel().copy() for p in m.parameters()]
        o = torch.optim.SGD(m.parameters(), lr=0.05) if opt == "sgd" else torch.optim.Adam(m.parameters(), lr=0.003)
        losses = []
        for t in range(10):
            o.zero_grad()
            loss = F.functional.cross_entropy(m(x[t]), y[t])
            loss.backward()
            o.step()
            losses.append(loss.item())
        out += [x.numpy().ravel(), y.numpy().ravel(), np.array(losses)] + [p.detach().numpy().ravel() for p in m.parameters()]
        np.save("%s/layers_%s_%s.npy" % (sys.argv[1], name, opt), np.concatenate(out).astype(np.float32))
