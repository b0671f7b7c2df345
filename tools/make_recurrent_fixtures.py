#!/usr/bin/env python3
# usage: make_recurrent_fixtures.py FILE.npz. Needs PyTorch. Bidirectional nn.RNN, nn.GRU and nn.LSTM in float64 with random numbers: their
# outputs and the gradients of a weighted sum of them, kernels in ONNX's order of gates, for test_ops_recurrent.c.
import sys

import numpy as np
import torch

T, B, I, H = 6, 3, 4, 5
ORDER = {"RNN": [0], "GRU": [1, 0, 2], "LSTM": [0, 3, 1, 2]}  # where torch has ONNX's gates


def regrouped(a, order):
    a = a.detach().numpy()
    return np.concatenate([a[k * H : (k + 1) * H] for k in order])


def main(path):
    torch.manual_seed(7)
    out = {}
    for name, order in ORDER.items():
        net = getattr(torch.nn, name)(I, H, bidirectional=True).double()
        x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
        state = [torch.randn(2, B, H, dtype=torch.float64, requires_grad=True) for _ in range(2 if name == "LSTM" else 1)]
        y, last = net(x, tuple(state) if name == "LSTM" else state[0])
        last = list(last) if name == "LSTM" else [last]
        weights = [torch.randn_like(v) for v in [y] + last]
        sum((v * w).sum() for v, w in zip([y] + last, weights)).backward()

        def kernels(of):
            both = [[of(getattr(net, f"{k}_l0{d}")) for k in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")] for d in ("", "_reverse")]
            both = [[regrouped(a, order) for a in one] for one in both]
            return (np.stack([o[0] for o in both]), np.stack([o[1] for o in both]), np.stack([np.concatenate(o[2:]) for o in both]))

        def steps(a):  # [T,B,2H] -> [T,2,B,H]
            return a.detach().numpy().reshape(T, B, 2, H).transpose(0, 2, 1, 3)

        arrays = {"x": x.detach().numpy(), "gx": x.grad.numpy(), "y": steps(y), "wy": steps(weights[0])}
        arrays.update(zip(("W", "R", "B"), kernels(lambda p: p)))
        arrays.update(zip(("gW", "gR", "gB"), kernels(lambda p: p.grad)))
        for k, s in zip("hc", range(len(state))):
            arrays[k + "0"], arrays["g" + k + "0"] = state[s].detach().numpy(), state[s].grad.numpy()
            arrays[k], arrays["w" + k] = last[s].detach().numpy(), weights[1 + s].numpy()
        out.update({f"{name}_{k}": np.ascontiguousarray(v) for k, v in arrays.items()})
    np.savez_compressed(path, **out)


main(sys.argv[1])
