#!/usr/bin/env python3
# Measures what a linear classifier can get out of the generated pictures ("things"), on pixels and on colour histograms: softmax
# regression in NumPy, Adam with a step that falls to nothing, for several strengths of L2. The best accuracy on unseen pictures
# after any epoch is reported too, so that the number errs in the linear model's favour.
# usage: tools/measure_things.py [build/convscope] [SET]     needs NumPy; prints the table of docs/things.md
import os, subprocess, sys, tempfile
import numpy as np

PROGRAM = sys.argv[1] if len(sys.argv) > 1 else "build/convscope"
SET = sys.argv[2] if len(sys.argv) > 2 else "things"
TRAIN, TEST, SEED = 10000, 2000, 0


def pictures(folder, split, count):
    path = os.path.join(folder, split + ".npy")
    subprocess.run([PROGRAM, "generate", SET, "--split", split, "--count", str(count), "--seed", str(SEED), "--raw", path],
                   check=True, stderr=subprocess.DEVNULL)
    return np.load(path), np.load(path + ".labels.npy").astype(np.int64), np.load(path + ".masks.npy")


def pixels(x):
    return x.reshape(len(x), -1).astype(np.float32)


def histograms(x):
    # 8x8x8 joint colours and 32 steps of each channel, as square roots of shares (the usual stabiliser)
    n = len(x)
    cell = (x >> 5).astype(np.int64)
    joint = np.stack([np.bincount(c, minlength=512) for c in (cell[..., 0] * 64 + cell[..., 1] * 8 + cell[..., 2]).reshape(n, -1)])
    single = [np.stack([np.bincount(c, minlength=32) for c in (x[..., k] >> 3).reshape(n, -1)]) for k in range(3)]
    return np.sqrt(np.concatenate([joint] + single, 1) / float(x.shape[1] * x.shape[2])).astype(np.float32)


def softmax_regression(x, y, vx, vy, l2, epochs, rate):
    rng = np.random.default_rng(0)
    n, d, k = len(x), x.shape[1], int(y.max()) + 1
    w, b = np.zeros((d, k), np.float32), np.zeros(k, np.float32)
    mw, vw, mb, vb = np.zeros_like(w), np.zeros_like(w), np.zeros_like(b), np.zeros_like(b)
    best, step, loss, train = 0.0, 0, 0.0, 0.0
    for epoch in range(epochs):
        order, total, right = rng.permutation(n), 0.0, 0
        lr = rate * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        for i in range(0, n, 250):
            at = order[i:i + 250]
            p = x[at] @ w + b
            p = np.exp(p - p.max(1, keepdims=True))
            p /= p.sum(1, keepdims=True)
            total -= np.log(p[np.arange(len(at)), y[at]] + 1e-12).sum()
            right += (p.argmax(1) == y[at]).sum()
            p[np.arange(len(at)), y[at]] -= 1
            gw, gb = x[at].T @ p / len(at) + l2 * w, p.mean(0)
            step += 1
            for v, g, m, s in ((w, gw, mw, vw), (b, gb, mb, vb)):
                m += 0.1 * (g - m)
                s += 0.001 * (g * g - s)
                v -= lr * (m / (1 - 0.9 ** step)) / (np.sqrt(s / (1 - 0.999 ** step)) + 1e-8)
        loss, train = total / n, right / n
        best = max(best, float(((vx @ w + b).argmax(1) == vy).mean()))
    return best, float(((vx @ w + b).argmax(1) == vy).mean()), loss, train


with tempfile.TemporaryDirectory(prefix="things-") as folder:
    x, y, m = pictures(folder, "train", TRAIN)
    vx, vy, vm = pictures(folder, "test", TEST)
share = (vm > 0).mean((1, 2))
print("%s: %d training, %d unseen pictures, seed %d; mask share %.3f to %.3f, mean %.3f" %
      (SET, TRAIN, TEST, SEED, share.min(), share.max(), share.mean()))
print("| features | numbers | L2 | train loss | train accuracy | unseen, at the end | unseen, best moment |\n|---|---|---|---|---|---|---|")
for name, features, epochs, rate in (("pixels", pixels, 40, 2e-3), ("colour histograms", histograms, 150, 1e-2)):
    a, b = features(x), features(vx)
    mean, scale = a.mean(0), a.std(0) + 1e-3 * a.std()
    a, b = (a - mean) / scale, (b - mean) / scale
    for l2 in (0.0, 1e-2, 1.0):
        best, end, loss, train = softmax_regression(a, y, b, vy, l2, epochs, rate)
        print("| %s | %d | %g | %.3f | %.1f %% | %.1f %% | %.1f %% |" % (name, a.shape[1], l2, loss, 100 * train, 100 * end, 100 * best), flush=True)
