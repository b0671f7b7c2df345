#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Writes tests/data/training/PROFILE.txt: three weights after five steps of each optimiser, and losses of one row of logits with their
# gradients, as PyTorch (torch.txt) or Keras 3 (keras.txt; pip install keras jax scipy, KERAS_BACKEND=jax) computes them, so that the
# unit test needs neither. usage: make_training_fixtures.py torch|keras [schedules]
# And parity_PROFILE.txt and .npy: ten steps of small networks with every optimiser and its options, loss, clipping and penalty. A line of the text
# is "NAME<tab>NETWORK<tab>TRAINING" in our language, with ; for a new line; the numbers are the ten batches [10,4,2,6,6] and their
# labels [10,4], then for each line what test_train_parity.c reads: parameters, losses, parameters after. The torch half runs with PyTorch 1.13,
# the keras half with Keras 3 on TensorFlow (pip install tensorflow-cpu), which also writes keras_NET.keras, compiled, keras_NET_after.keras and
# keras_losses.npy.
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

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


# ---- ten steps ------------------------------------------------------------------------------------------

R = np.random.RandomState(4)
X = R.randn(10, 4, 2, 6, 6).astype(np.float32)
Y = R.randint(0, 3, (10, 4))
OPTIMISED = "input 2x6x6;conv 3 k3 nobias;bn;relu;maxpool;conv 4 k3;tanh;fc 3"
CLASS_WEIGHTS = [0.5, 2.0, 1.25]


def write_parity(profile, cases):
    numbers, lines = [X.ravel(), Y.ravel()], []
    for name, net, training, before, losses, after in cases:
        lines.append("%s\t%s\t%s\n" % (name, net, training))
        for group in (before, [np.array(losses)], after):
            numbers += [np.asarray(a, dtype=np.float32).ravel() for a in group]
    with open(os.path.join(folder, "parity_%s.txt" % profile), "w") as out:
        out.writelines(lines)
    np.save(os.path.join(folder, "parity_%s.npy" % profile), np.concatenate(numbers).astype(np.float32))


def torch_cases():
    import torch
    torch.set_num_threads(1)
    F, O, L = torch.nn, torch.optim, torch.nn.functional
    one_hot = lambda y: L.one_hot(y, 3).float()
    cross = lambda x, y: L.cross_entropy(x, y)
    weights = torch.tensor(CLASS_WEIGHTS)

    def base():
        return F.Sequential(F.Conv2d(2, 3, 3, padding=1, bias=False), F.BatchNorm2d(3), F.ReLU(), F.MaxPool2d(2), F.Conv2d(3, 4, 3, padding=1),
                            F.Tanh(), F.Flatten(), F.Linear(36, 3))

    class Sum(F.Module):
        def __init__(self, *parts):
            super().__init__()
            self.parts = F.ModuleList(parts)

        def forward(self, x):
            return sum(p(x) for p in self.parts)

    class Side(Sum):
        def forward(self, x):
            return torch.cat([p(x) for p in self.parts], 1)

    def state(m):
        trained = [p.detach().numpy().copy() for p in m.parameters()]
        return trained + [b.numpy().copy() for n, b in m.named_buffers() if not n.endswith("tracked")]

    def steps(name, net, training, make, optimizer, loss=cross, clip=None, penalty=None, half=False):
        torch.manual_seed(5)
        m = make()
        o = optimizer(m.parameters())
        before, losses = state(m), []
        for t in range(10):
            if half and t == 5:
                o.param_groups[0]["lr"] /= 2
            o.zero_grad()
            value = loss(m(torch.tensor(X[t])), torch.tensor(Y[t]))
            if penalty:
                value = value + sum(penalty(p) for p in m.parameters() if p.dim() > 1)
            value.backward()
            if clip:
                clip(m.parameters())
            o.step()
            losses.append(value.item())
        return name, net, training, before, losses, state(m)

    for name, words, make in [
            ("sgd", "sgd lr=0.05", lambda p: O.SGD(p, lr=0.05)),
            ("sgd-decay", "sgd lr=0.05 decay=0.02", lambda p: O.SGD(p, lr=0.05, weight_decay=0.02)),
            ("momentum", "sgd lr=0.03 momentum=0.8", lambda p: O.SGD(p, lr=0.03, momentum=0.8)),
            ("momentum-half", "momentum lr=0.03", lambda p: O.SGD(p, lr=0.03, momentum=0.9)),
            ("momentum-all", "momentum lr=0.03 momentum=0.9 dampening=0.3 decay=0.02",
             lambda p: O.SGD(p, lr=0.03, momentum=0.9, dampening=0.3, weight_decay=0.02)),
            ("nesterov", "sgd lr=0.03 momentum=0.9 nesterov", lambda p: O.SGD(p, lr=0.03, momentum=0.9, nesterov=True)),
            ("nesterov-decay", "nesterov lr=0.03 decay=0.02", lambda p: O.SGD(p, lr=0.03, momentum=0.9, nesterov=True, weight_decay=0.02)),
            ("adam", "adam lr=0.01", lambda p: O.Adam(p, lr=0.01)),
            ("adam-all", "adam lr=0.01 beta1=0.8 beta2=0.95 eps=0.001 decay=0.02",
             lambda p: O.Adam(p, lr=0.01, betas=(0.8, 0.95), eps=0.001, weight_decay=0.02)),
            ("amsgrad", "adam lr=0.01 amsgrad beta2=0.9", lambda p: O.Adam(p, lr=0.01, betas=(0.9, 0.9), amsgrad=True)),
            ("adamw", "adamw lr=0.01", lambda p: O.AdamW(p, lr=0.01)),
            ("adamw-half", "adamw lr=0.01 decay=0.1 amsgrad", lambda p: O.AdamW(p, lr=0.01, weight_decay=0.1, amsgrad=True)),
            ("rmsprop", "rmsprop lr=0.005", lambda p: O.RMSprop(p, lr=0.005)),
            ("rmsprop-half", "rmsprop lr=0.005 rho=0.9 momentum=0.8 decay=0.02",
             lambda p: O.RMSprop(p, lr=0.005, alpha=0.9, momentum=0.8, weight_decay=0.02)),
            ("rmsprop-centered", "rmsprop lr=0.005 rho=0.9 eps=0.0001 momentum=0.5 centered",
             lambda p: O.RMSprop(p, lr=0.005, alpha=0.9, eps=0.0001, momentum=0.5, centered=True))]:
        yield steps(name, OPTIMISED, "optimizer " + words, base, make, half=name.endswith("half"))
    sgd = lambda p: O.SGD(p, lr=0.05)
    yes = lambda y: 2 * one_hot(y) - 1
    for name, words, loss in [
            ("smoothing", "loss cross_entropy smoothing=0.2", lambda x, y: L.cross_entropy(x, y, label_smoothing=0.2)),
            ("weights", "weights 0.5 2 1.25", lambda x, y: L.cross_entropy(x, y, weight=weights)),
            ("weights-smoothing", "loss cross_entropy smoothing=0.2;weights 0.5 2 1.25",
             lambda x, y: L.cross_entropy(x, y, weight=weights, label_smoothing=0.2)),
            ("binary", "loss binary", lambda x, y: L.binary_cross_entropy_with_logits(x, one_hot(y))),
            ("mse", "loss mse", lambda x, y: L.mse_loss(x, one_hot(y))), ("mae", "loss mae", lambda x, y: L.l1_loss(x, one_hot(y))),
            ("hinge", "loss hinge", lambda x, y: torch.clamp(1 - yes(y) * x, min=0).mean()),
            ("margin", "loss margin", lambda x, y: L.multi_margin_loss(x, y)),
            ("margin-weights", "loss margin;weights 0.5 2 1.25", lambda x, y: L.multi_margin_loss(x, y, weight=weights))]:
        yield steps(name, OPTIMISED, "optimizer sgd lr=0.05;" + words, base, sgd, loss)
    adam = lambda p: O.Adam(p, lr=0.01)
    yield steps("clip-norm", OPTIMISED, "optimizer sgd lr=0.05;clip norm=0.4", base, sgd, clip=lambda p: F.utils.clip_grad_norm_(p, 0.4))
    yield steps("clip-value", OPTIMISED, "optimizer adam lr=0.01;clip value=0.05", base, adam, clip=lambda p: F.utils.clip_grad_value_(p, 0.05))
    yield steps("l1-l2", OPTIMISED, "optimizer sgd lr=0.05;penalty l1=0.003 l2=0.01", base, sgd,
                penalty=lambda p: 0.003 * p.abs().sum() + 0.01 * (p * p).sum())
    nets = [
        ("net-c", "input 2x6x6;conv 4 k3;prelu;dwconv k3;conv 6 k1;relu6;conv 4 k3 d2 p2;residual { conv 4 k3 tanh };upsample x2;avgpool;"
         "parallel { conv 2 k1 } { conv 3 k3 };hsigmoid;gap;fc 3",
         lambda: F.Sequential(F.Conv2d(2, 4, 3, padding=1), F.PReLU(4), F.Conv2d(4, 4, 3, padding=1, groups=4), F.Conv2d(4, 6, 1), F.ReLU6(),
                              F.Conv2d(6, 4, 3, dilation=2, padding=2), Sum(F.Sequential(F.Conv2d(4, 4, 3, padding=1), F.Tanh()), F.Identity()),
                              F.Upsample(scale_factor=2), F.AvgPool2d(2), Side(F.Conv2d(4, 2, 1), F.Conv2d(4, 3, 3, padding=1)), F.Hardsigmoid(),
                              F.AdaptiveAvgPool2d(1), F.Flatten(), F.Linear(5, 3))),
        ("net-d", "input 2x6x6;conv 6 k3 nobias;bn momentum=0.7 eps=0.01;sigmoid;avgpool k3 s2 p1 countpad;deconv 4 k3 s2 p1 x1;elu;"
         "maxpool k3 s2 p1;conv 4 k2 valid;softplus;gmp;fc 6;silu;fc 3",
         lambda: F.Sequential(F.Conv2d(2, 6, 3, padding=1, bias=False), F.BatchNorm2d(6, eps=0.01, momentum=0.3), F.Sigmoid(),
                              F.AvgPool2d(3, 2, 1), F.ConvTranspose2d(6, 4, 3, 2, 1, 1), F.ELU(), F.MaxPool2d(3, 2, 1), F.Conv2d(4, 4, 2),
                              F.Softplus(), F.AdaptiveMaxPool2d(1), F.Flatten(), F.Linear(4, 6), F.SiLU(), F.Linear(6, 3)))]
    for name, net, make in nets:
        yield steps(name, net, "optimizer sgd lr=0.1 momentum=0.9", make, lambda p: O.SGD(p, lr=0.1, momentum=0.9))


def keras_compiled(make, optimizer, loss=None, penalty=None):
    import keras
    keras.utils.set_random_seed(7)
    m = make(penalty)
    m.compile(optimizer=optimizer, loss=loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    return m


def keras_steps(m, half=False, one_hot=False, **more):
    losses = []
    for t in range(10):
        if half and t == 5:
            m.optimizer.learning_rate = float(m.optimizer.learning_rate) / 2
        y = np.eye(3, dtype=np.float32)[Y[t]] if one_hot else Y[t]
        m.reset_metrics()
        losses.append(float(m.train_on_batch(X[t].transpose(0, 2, 3, 1), y, **more)))
    return losses


def keras_cases():
    import keras
    K, O, L = keras.layers, keras.optimizers, keras.losses

    def base(penalty):
        return keras.Sequential([K.Input((6, 6, 2)), K.Conv2D(3, 3, padding="same", use_bias=False, kernel_regularizer=penalty),
                                 K.BatchNormalization(momentum=0.9, epsilon=1e-5), K.ReLU(), K.MaxPooling2D(),
                                 K.Conv2D(4, 3, padding="same", kernel_regularizer=penalty), K.Activation("tanh"), K.Flatten(),
                                 K.Dense(3, kernel_regularizer=penalty)])

    def state(m):
        first, norm, second, dense = [m.layers[i].get_weights() for i in (0, 1, 4, 7)]
        matrix = dense[0].reshape(3, 3, 4, 3).transpose(3, 2, 0, 1)  # [H,W,C,out] -> [out,C,H,W]
        return [first[0].transpose(3, 2, 0, 1), norm[0], norm[1], second[0].transpose(3, 2, 0, 1), second[1], matrix, dense[1], norm[2], norm[3]]

    def steps(name, training, optimizer, loss=None, penalty=None, half=False, **more):
        m = keras_compiled(base, optimizer, loss, penalty)
        before = state(m)
        losses = keras_steps(m, half, **more)
        return name, OPTIMISED, "profile keras;" + training, before, losses, state(m)

    for name, words, o in [
            ("sgd", "sgd lr=0.05", O.SGD(0.05)), ("sgd-decay", "sgd lr=0.05 decay=0.02", O.SGD(0.05, weight_decay=0.02)),
            ("momentum-half", "sgd lr=0.03 momentum=0.8", O.SGD(0.03, momentum=0.8)),
            ("momentum-decay", "momentum lr=0.03 decay=0.02", O.SGD(0.03, momentum=0.9, weight_decay=0.02)),
            ("nesterov", "sgd lr=0.03 momentum=0.9 nesterov", O.SGD(0.03, momentum=0.9, nesterov=True)),
            ("nesterov-half", "nesterov lr=0.03 decay=0.02", O.SGD(0.03, momentum=0.9, nesterov=True, weight_decay=0.02)),
            ("adam", "adam lr=0.01", O.Adam(0.01)),
            ("adam-all", "adam lr=0.01 beta1=0.8 beta2=0.95 eps=0.001 decay=0.02",
             O.Adam(0.01, beta_1=0.8, beta_2=0.95, epsilon=0.001, weight_decay=0.02)),
            ("amsgrad", "adam lr=0.01 amsgrad beta2=0.9", O.Adam(0.01, beta_2=0.9, amsgrad=True)),
            ("adamw", "adamw lr=0.01", O.AdamW(0.01)), ("adamw-half", "adamw lr=0.01 decay=0.1 amsgrad", O.AdamW(0.01, weight_decay=0.1, amsgrad=True)),
            ("rmsprop", "rmsprop", O.RMSprop()),
            ("rmsprop-half", "rmsprop lr=0.005 rho=0.8 momentum=0.8 decay=0.02", O.RMSprop(0.005, rho=0.8, momentum=0.8, weight_decay=0.02)),
            ("rmsprop-centered", "rmsprop lr=0.005 eps=0.0001 momentum=0.5 centered", O.RMSprop(0.005, momentum=0.5, epsilon=1e-4, centered=True)),
            ("clip-each", "sgd lr=0.05;clip each=0.2", O.SGD(0.05, clipnorm=0.2)),
            ("clip-norm", "sgd lr=0.05;clip norm=0.4", O.SGD(0.05, global_clipnorm=0.4)),
            ("clip-value", "adam lr=0.01;clip value=0.05", O.Adam(0.01, clipvalue=0.05))]:
        yield steps(name, "optimizer " + words, o, half=name.endswith("half"))
    for name, words, loss, more in [
            ("smoothing", "loss cross_entropy smoothing=0.2", L.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2), {"one_hot": True}),
            ("weights", "weights 0.5 2 1.25", None, {"class_weight": dict(enumerate(CLASS_WEIGHTS))}),
            ("weights-smoothing", "loss cross_entropy smoothing=0.2;weights 0.5 2 1.25",
             L.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2), {"one_hot": True, "class_weight": dict(enumerate(CLASS_WEIGHTS))}),
            ("binary", "loss binary smoothing=0.1", L.BinaryCrossentropy(from_logits=True, label_smoothing=0.1), {"one_hot": True}),
            ("mse", "loss mse", L.MeanSquaredError(), {"one_hot": True}), ("mae", "loss mae", L.MeanAbsoluteError(), {"one_hot": True}),
            ("hinge", "loss hinge", L.Hinge(), {"one_hot": True})]:
        yield steps(name, "optimizer sgd lr=0.05;" + words, O.SGD(0.05), loss, **more)
    yield steps("l1-l2", "optimizer sgd lr=0.05;penalty l1=0.003 l2=0.01", O.SGD(0.05), penalty=keras.regularizers.L1L2(0.003, 0.01))


def write_keras_nets():
    """Models as Keras saves them, compiled, before and after ten steps; their losses [net][10] as one array."""
    import keras
    K, O = keras.layers, keras.optimizers

    def a(_):
        return keras.Sequential([K.Input((6, 6, 2)), K.Conv2D(4, 3, strides=2, padding="same", use_bias=False), K.BatchNormalization(), K.ReLU(),
                                 K.SeparableConv2D(6, 3, padding="same"), K.LeakyReLU(), K.Conv2DTranspose(4, 3, strides=2, padding="same"),
                                 K.GroupNormalization(2), K.AveragePooling2D(3, 2, padding="same"), K.LayerNormalization(), K.Flatten(),
                                 K.Dense(8, activation="elu"), K.Dense(3, activation="softmax")], name="a")

    def b(_):
        x = i = K.Input((6, 6, 2))
        x = K.Conv2D(4, 3, activation="silu", kernel_regularizer=keras.regularizers.L2(0.01))(x)
        y = K.DepthwiseConv2D(3, padding="same", activation="gelu")(x)
        x = K.Add()([x, y])
        x = K.UpSampling2D(2)(x)
        x = K.MaxPooling2D(3, 2, padding="same")(x)
        x = K.Concatenate()([K.Conv2D(3, 1, activation="tanh")(x), K.Conv2D(2, 3, dilation_rate=2, padding="same", activation="sigmoid")(x)])
        x = K.PReLU(shared_axes=[1, 2])(x)
        x = K.ZeroPadding2D(1)(x)
        x = K.Conv2D(4, 3, strides=2, activation="selu")(x)
        x = K.GlobalAveragePooling2D()(x)
        return keras.Model(i, K.Dense(3)(x), name="b")

    sparse = keras.losses.SparseCategoricalCrossentropy
    nets = [("a", a, O.Adam(0.005, clipnorm=1.0), sparse(), {}),
            ("b", b, O.SGD(0.05, momentum=0.9, nesterov=True, weight_decay=0.01), sparse(from_logits=True), {})]
    losses = []
    for name, make, optimizer, loss, more in nets:
        m = keras_compiled(make, optimizer, loss)
        m.save(os.path.join(folder, "keras_%s.keras" % name))
        losses.append(keras_steps(m, **more))
        m.save(os.path.join(folder, "keras_%s_after.keras" % name))
    np.save(os.path.join(folder, "keras_losses.npy"), np.array(losses, dtype=np.float32))


# ---- schedules of the learning rate: the rate of each of sixty steps from 0.1 on, of one step an epoch ------------------------


def keras_schedules():
    import keras
    S = keras.optimizers.schedules
    for words, make in [
            ("exponential steps=8 factor=0.7", S.ExponentialDecay(0.1, 8, 0.7)),
            ("exponential steps=8 factor=0.7 stairs=1", S.ExponentialDecay(0.1, 8, 0.7, staircase=True)),
            ("inverse steps=8 factor=0.7", S.InverseTimeDecay(0.1, 8, 0.7)),
            ("inverse steps=8 factor=0.7 stairs=1", S.InverseTimeDecay(0.1, 8, 0.7, staircase=True)),
            ("polynomial steps=40 to=0.1", S.PolynomialDecay(0.1, 40, 0.01)),
            ("polynomial steps=40 to=0.1 power=2.5", S.PolynomialDecay(0.1, 40, 0.01, power=2.5)),
            ("polynomial steps=11 to=0.1 again=1", S.PolynomialDecay(0.1, 11, 0.01, cycle=True)),
            ("cosine steps=40 to=0.05", S.CosineDecay(0.1, 40, 0.05)),
            ("cosine steps=40 to=0.05;warmup steps=12 from=0.2", S.CosineDecay(0.02, 40, 0.05, warmup_target=0.1, warmup_steps=12)),
            ("restarts steps=7 times=2 shrink=0.8 to=0.05", S.CosineDecayRestarts(0.1, 7, 2.0, 0.8, 0.05)),
            ("restarts steps=7 times=1 shrink=0.5", S.CosineDecayRestarts(0.1, 7, 1.0, 0.5)),
            ("piecewise 6=0.5 21=0.2 22=0.01", S.PiecewiseConstantDecay([5, 20, 21], [0.1, 0.05, 0.02, 0.001]))]:
        yield words, [float(make(t)) for t in range(60)]


def torch_schedules():
    import torch
    S = torch.optim.lr_scheduler
    for words, make in [
            ("step every=7 factor=0.3", lambda o: S.StepLR(o, 7, 0.3)), ("exponential factor=0.9", lambda o: S.ExponentialLR(o, 0.9)),
            ("piecewise 6e=0.3 21e=0.09 40e=0.027", lambda o: S.MultiStepLR(o, [6, 21, 40], 0.3)),
            ("cosine to=0.1", lambda o: S.CosineAnnealingLR(o, 60, 0.01)),
            ("restarts steps=7 times=2 to=0.1", lambda o: S.CosineAnnealingWarmRestarts(o, 7, 2, 0.01)),
            ("polynomial steps=40 power=2", lambda o: S.PolynomialLR(o, 40, 2)),
            ("warmup steps=12 from=0.25", lambda o: S.LinearLR(o, 0.25, 1.0, 12))]:
        o = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        s, rates = make(o), []
        for _ in range(60):
            rates.append(o.param_groups[0]["lr"])
            o.step()
            s.step()
        yield words, rates


def write_schedules(name, lines):
    with open(os.path.join(folder, "schedules_%s.txt" % name), "w") as out:
        for words, rates in lines:
            out.write("%s\t%s\n" % (words, " ".join("%.7g" % r for r in rates)))


profile = sys.argv[1]
folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "training")
os.makedirs(folder, exist_ok=True)
write_schedules(profile, torch_schedules() if profile == "torch" else keras_schedules())
if sys.argv[2:] == ["schedules"]:
    sys.exit()
with open(os.path.join(folder, profile + ".txt"), "w") as out:
    for kind, name, numbers in torch_lines() if profile == "torch" else keras_lines():
        name, _, setting = name.partition(" ")
        setting = setting.partition("=")[2] or "0"
        out.write(" ".join([kind, name, setting] + ["%.9g" % x for x in numbers]) + "\n")
write_parity(profile, torch_cases() if profile == "torch" else keras_cases())
if profile == "keras":
    write_keras_nets()
