#!/usr/bin/env python3
# Makes tests/data/check: two maps and a picture, and what other people's libraries say of them (SciPy's Spearman, scikit-image's
# SSIM, Quantus's sparseness, pytorch-grad-cam's noisy linear imputation without its noise, SciPy's Gaussian for the blur). Run it in an
# environment that has them: make_check_golden.py FOLDER.
import os, sys
import numpy as np

out = sys.argv[1]
os.makedirs(out, exist_ok=True)
r = np.random.RandomState(3)
h, w = 13, 17
a = r.randn(h, w).astype(np.float32)
a[r.rand(h, w) < 0.2] = 0
b = (0.5 * a + r.randn(h, w)).astype(np.float32)
x = r.randn(3, h, w).astype(np.float32)
removed = (r.rand(h, w) < 0.6).astype(np.uint8)
for name, v in (("a", a), ("b", b), ("picture", x), ("removed", removed)):
    np.save(os.path.join(out, name + ".npy"), v)

numbers = []
from scipy.stats import spearmanr
numbers.append(spearmanr(a.ravel(), b.ravel()).correlation)
numbers.append(spearmanr(np.abs(a).ravel(), np.abs(b).ravel()).correlation)
from skimage.metrics import structural_similarity
unit = lambda v: (v.astype(np.float64) - v.min()) / (v.max() - v.min()).astype(np.float64)
numbers.append(structural_similarity(unit(a.astype(np.float64)), unit(b.astype(np.float64)), data_range=1.0))


def quantus_gini(v):  # quantus 0.5, metrics/complexity/sparseness.py, evaluate_instance, whose 1e-7 against zeros is left out
    v = np.sort(np.abs(v.astype(np.float64).ravel()))
    n = v.size
    return np.sum((2 * np.arange(1, n + 1) - n - 1) * v) / (n * np.sum(v))


numbers.append(quantus_gini(a))
np.save(os.path.join(out, "numbers.npy"), np.array(numbers))

import torch
from pytorch_grad_cam.metrics.road import NoisyLinearImputer
filled = NoisyLinearImputer(noise=0.0)(torch.from_numpy(x), torch.from_numpy(1 - removed.astype(np.float32)))
np.save(os.path.join(out, "filled.npy"), filled.numpy().astype(np.float32))

from scipy.ndimage import gaussian_filter  # truncated at 5 pixels: 11 taps; "nearest" repeats the edge
np.save(os.path.join(out, "blurred.npy"),
        np.stack([gaussian_filter(c.astype(np.float64), 5, truncate=1.0, mode="nearest") for c in x]).astype(np.float32))
