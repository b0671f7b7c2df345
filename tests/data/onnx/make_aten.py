#!/usr/bin/env python3
# Makes the aten_* cases in this folder: what PyTorch 1.13 exports for older opsets with operators of its own where ONNX had none
# (ONNX_ATEN_FALLBACK). Outputs are PyTorch's. Needs PyTorch 1.13, onnx.   usage: make_aten.py  (in this folder)
import os
import shutil
import warnings
import torch
import torch.nn.functional as F
from onnx import numpy_helper as nh

warnings.filterwarnings("ignore")
torch.manual_seed(0)


class Layer(torch.nn.Module):
    def __init__(self, f):
        super().__init__()
        self.f = f
        self.c = torch.nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        return self.f(self.c(x))


theta = torch.tensor([[[.9, .1, 0], [0, .8, .1]]])
CASES = {
    "adaptive_average": (7, lambda y: F.adaptive_avg_pool2d(y, (3, 5))),
    "grid_sampler": (13, lambda y: F.grid_sample(y, F.affine_grid(theta, [1, 4, 6, 6], align_corners=False), align_corners=False)),
    "bilinear_corners": (10, lambda y: F.interpolate(y, size=(15, 17), mode="bilinear", align_corners=True)),
    "bilinear": (7, lambda y: F.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)),
    "bicubic": (10, lambda y: F.interpolate(y, scale_factor=2, mode="bicubic", align_corners=False)),
    "nearest": (7, lambda y: F.interpolate(y, scale_factor=2.0)),
    "fold": (10, lambda y: F.fold(F.unfold(y, 3, padding=1, stride=2), (8, 9), 3, padding=1, stride=2)),
    "celu": (11, lambda y: F.celu(y, 0.7)),
    "normalize": (7, lambda y: F.normalize(y, dim=1)),
    "flip": (9, lambda y: y.flip([1, 3])),
    "cumsum": (10, lambda y: y.cumsum(2)),
    "gather": (7, lambda y: y.gather(1, (y > 0).long()[:, :2])),
    "masked_fill": (7, lambda y: y.masked_fill(y > 0, -1.)),
    "where": (7, lambda y: torch.where(y > 0, y, torch.sign(y))),
    "triangle": (13, lambda y: torch.triu(y) + torch.tril(y, -1) * 2),
}
x = torch.randn(1, 3, 8, 9)
for name, (opset, f) in CASES.items():
    folder = "aten_" + name
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder + "/test_data_set_0")
    layer = Layer(f).eval()
    torch.onnx.export(layer, x, folder + "/model.onnx", opset_version=opset, operator_export_type=torch.onnx.OperatorExportTypes.ONNX_ATEN_FALLBACK)
    for kind, a in (("input", x), ("output", layer(x))):
        open("%s/test_data_set_0/%s_0.pb" % (folder, kind), "wb").write(nh.from_array(a.detach().numpy()).SerializeToString())
