#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/data/training/PROFILE.txt: three weights after five steps of each optimiser, and losses of one row of logits with their
# gradients, as PyTorch (torch.txt) or Keras 3 (keras.txt; pip install keras jax scipy, KERAS_BACKEND=jax) computes them, so that the
# unit test needs neither. usage: make_training_fixtures.py torch|keras
import os
import sys

import numpy as np

W = np.array([0.5, -1.0, 2.0], dtype=np.float32)
LOGITS = [0.5, -1.25, 2.0, 0.0]
LABEL = 2


def gradient(t):
    return np.array([0.1 * t, -0.3, 0.05 * (t - 3)], dtype=np.float32)


def torch_lines():
    import torch
    F = torch.nn.functional
    for name, make in [
            ("sgd", lambda p: torch.optim.SGD(p, lr=0.01)),
            ("momentum", lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9)),
            ("nesterov", lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True)),
            ("adam", lambda p: torch.optim.Adam(p)),
            ("adamw", lambda p: torch.optim.AdamW(p)),
            ("rmsprop", lambda p: torch.optim.RMSprop(p))]:
        w = torch.tensor(W, requires_grad=True)
        o = make([w])
        for t in range(1, 6):
            w.grad = torch.tensor(gradient(t))
            o.step()
        yield "optimizer", name, w.detach().numpy()
    one_hot = torch.zeros(1, 4)
    one_hot[0, LABEL] = 1
    label = torch.tensor([LABEL])
    for name, f in [("cross_entropy", lambda x: F.cross_entropy(x, label)),
                    ("cross_entropy smoothing=0.1", lambda x: F.cross_entropy(x, label, label_smoothing=0.1)),
                    ("binary", lambda x: F.binary_cross_entropy_with_logits(x, one_hot)),
                    ("mse", lambda x: F.mse_loss(x, one_hot)), ("mae", lambda x: F.l1_loss(x, one_hot)),
                    ("hinge", lambda x: torch.clamp(1 - (2 * one_hot - 1) * x, min=0).mean()),
                    ("margin", lambda x: F.multi_margin_loss(x, label))]:
        x = torch.tensor([LOGITS], requires_grad=True)
        loss = f(x)
        loss.backward()
        yield "loss", name, np.concatenate([[loss.item()], x.grad[0].numpy()])


def keras_lines():
    import keras
    O = keras.optimizers
    for name, o in [("sgd", O.SGD()), ("momentum", O.SGD(momentum=0.9)), ("nesterov", O.SGD(momentum=0.9, nesterov=True)),
                    ("adam", O.Adam()), ("adamw", O.AdamW()), ("rmsprop", O.RMSprop())]:
        w = keras.Variable(W)
        o.build([w])
        for t in range(1, 6):
            o.apply([gradient(t)], [w])
        yield "optimizer", name, np.asarray(w)


profile = sys.argv[1]
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "training")
os.makedirs(folder, exist_ok=True)
with open(os.path.join(folder, profile + ".txt"), "w") as out:
    for kind, name, numbers in torch_lines() if profile == "torch" else keras_lines():
        name, _, setting = name.partition(" ")
        setting = setting.partition("=")[2] or "0"
        out.write(" ".join([kind, name, setting] + ["%.9g" % x for x in numbers]) + "\n")
