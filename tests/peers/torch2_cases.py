# Networks with random weights, written by PyTorch 2 in each of its formats: torch.export archives, ONNX by both exporters, TorchScript, and
# pickles of weights. exporters.py runs them; as a program of its own it only writes: torch2_cases.py FOLDER [WORD...] leaves the files, their
# inputs, the library's outputs, and cases.json. Needs torch 2.5 or newer and torchvision; onnx and onnxscript for the ONNX forms.
import copy, io, json, os, sys, warnings

import numpy as np
import torch, torchvision
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")
version = torch.__version__.split("+")[0] + "/" + torchvision.__version__.split("+")[0]


# ---- networks of our own ------------------------------------------------------------------------------------------
class Small(nn.Module):
    """The first network of every tutorial."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 5, padding=2, groups=2)
        self.fc1, self.fc2 = nn.Linear(12 * 6 * 6, 20), nn.Linear(20, 10)
        self.drop = nn.Dropout(0.3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x), inplace=True), 2)
        return F.log_softmax(self.fc2(self.drop(F.relu(self.fc1(x.view(x.size(0), -1))))), dim=1)


class Acts(nn.Module):
    """Activations, as modules and as functions, one after the other."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding="same")
        self.list = nn.ModuleList([nn.ReLU6(), nn.SiLU(), nn.Hardswish(), nn.Hardsigmoid(), nn.GELU(), nn.GELU("tanh"), nn.ELU(0.7), nn.CELU(1.3),
                                   nn.SELU(), nn.Mish(), nn.Softplus(), nn.Softplus(2.0, 5.0), nn.Softsign(), nn.LeakyReLU(0.2), nn.PReLU(8), nn.PReLU(), nn.Tanh(),
                                   nn.Hardtanh(-0.5, 0.6), nn.Threshold(0.1, -0.2), nn.LogSigmoid(), nn.Tanhshrink(), nn.Hardshrink(0.2),
                                   nn.Softshrink(0.1), nn.GLU(1), nn.ReLU(inplace=True), nn.RReLU(), nn.Softmax2d(), nn.Softmin(1)])

    def forward(self, x):
        x = self.conv(x)
        y = [f(x).mean((2, 3)) for f in self.list]
        y += [F.normalize(x).amax((2, 3)), x.clamp(min=0.1).sum((2, 3)) * 0.01, torch.where(x > 0, x, x * 0.1).mean((2, 3))]
        return torch.cat(y, 1)


class Norms(nn.Module):
    """Normalisations and poolings."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn, self.plain = nn.BatchNorm2d(8), nn.BatchNorm2d(8, affine=False)
        self.gn, self.inn, self.ln = nn.GroupNorm(4, 8), nn.InstanceNorm2d(8, affine=True), nn.LayerNorm(8)
        self.inst, self.wide = nn.InstanceNorm2d(8), nn.LayerNorm([8, 16, 16])
        self.lrn = nn.LocalResponseNorm(3)
        self.pools = nn.ModuleList([nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(3, 2, 1, count_include_pad=False),
                                    nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(2, ceil_mode=True), nn.LPPool2d(2, 2)])

    def forward(self, x):
        x = self.stem(x)
        y = self.bn(x) + self.plain(x) * 0.5 + self.gn(x) - self.inn(x) + self.inst(x)
        y = y + self.ln(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) + self.wide(x) + self.lrn(x)
        y = y + F.layer_norm(x, x.shape[1:]) + x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)
        pools = [p(F.relu(y)).flatten(1)[:, :64] for p in self.pools]
        return torch.cat(pools + [F.adaptive_avg_pool2d(y, 4).flatten(1), F.adaptive_max_pool2d(y, (2, 1)).flatten(1),
                                  F.adaptive_avg_pool2d(y, 1).squeeze(-1).squeeze(-1), F.adaptive_avg_pool2d(y, (5, 3)).flatten(1)], 1)


class Shapes(nn.Module):
    """Pads, slices, joins, resizes, and views as einops writes them."""

    def __init__(self):
        super().__init__()
        self.conv, self.up = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect"), nn.ConvTranspose2d(8, 4, 4, 2, 1)
        self.shuffle, self.down = nn.PixelShuffle(2), nn.PixelUnshuffle(2)
        self.deep = nn.Conv2d(8, 8, (3, 1), padding=(1, 0), dilation=1, padding_mode="replicate")
        self.channels = nn.ChannelShuffle(2)

    def forward(self, x):
        y = self.channels(self.deep(self.conv(x)))
        b, c, h, w = y.shape
        tokens = y.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(b, (h // 4) * (w // 4), -1)
        back = tokens.unflatten(-1, (c, 4, 4)).transpose(1, 2).flatten(2)
        a = F.interpolate(y, scale_factor=2, mode="nearest")[:, :, 1:-1, ::2]
        d = F.interpolate(y, size=(20, 12), mode="bilinear", align_corners=True)
        e = F.interpolate(y, scale_factor=1.5, mode="bicubic", align_corners=False)
        g = torch.roll(y, (1, -2), (2, 3)) + torch.flip(y, [3]) + y.narrow(2, 0, 1) + y[:, 2:3] + y[..., -1:]
        k = F.pad(self.shuffle(y), (1, 2, 0, 1), mode="circular") if y.shape[2] > 2 else y
        p, q, r = torch.split(y, [2, 3, 3], 1)
        s = torch.stack([p.mean(1), q.amin(1)], -1).sum(-1) + torch.cat(r.unbind(1), 1).mean() + torch.einsum("bchw,bc->bhw", y, y.mean((2, 3)))
        t = self.down(self.up(y))[:, ::4].expand(-1, -1, -1, -1) * torch.arange(4, dtype=y.dtype).view(1, 4, 1, 1)
        u = y.repeat(1, 1, 1, 2).tile((1, 1, 2, 1))[:, :, -1] * (torch.arange(2 * w) * 0.1 + torch.linspace(0, 1, 5)[2])
        v = y.masked_fill(y < 0, 0.5).cumsum(-1)[..., -1]
        outs = [back, a.mean((1, 2)), d.mean(1), e.mean(1), g.mean(1), k.mean(1), s, t.mean(1), u, v, y.argmax(1).float() * 0.1,
                y.topk(2, dim=1)[0].mean(1), y.std((2, 3)), y.var(1, unbiased=False), y.norm(dim=1)]
        return torch.cat([o.flatten(1)[:, :100] for o in outs], 1)


class Block(nn.Module):
    """An inverted residual with squeeze and excitation, as it stands in many files."""

    def __init__(self, c):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(c, 4 * c, 1, bias=False), nn.BatchNorm2d(4 * c), nn.Hardswish(inplace=True),
                                  nn.Conv2d(4 * c, 4 * c, 3, padding=1, groups=4 * c, bias=False), nn.BatchNorm2d(4 * c), nn.SiLU(inplace=True))
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(4 * c, c, 1), nn.ReLU(), nn.Conv2d(c, 4 * c, 1), nn.Hardsigmoid())
        self.out = nn.Sequential(nn.Conv2d(4 * c, c, 1, bias=False), nn.BatchNorm2d(c))

    def forward(self, x):
        y = self.body(x)
        return x + self.out(y * self.squeeze(y))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU())
        self.blocks = nn.Sequential(Block(8), Block(8))
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return {"logits": self.head(x.mean([2, 3])), "map": x}


class Attention(nn.Module):
    """Patches, positions, attention in three spellings."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 24, 8, 8)
        self.cls, self.place = nn.Parameter(torch.randn(1, 1, 24)), nn.Parameter(torch.randn(1, 17, 24))
        self.qkv, self.proj = nn.Linear(24, 72), nn.Linear(24, 24)
        self.multi = nn.MultiheadAttention(24, 4, batch_first=True)
        self.layer = nn.TransformerEncoderLayer(24, 3, 48, batch_first=True, norm_first=True, activation="gelu")
        self.norm, self.head = nn.LayerNorm(24, eps=1e-6), nn.Linear(24, 10)
        self.register_buffer("mask", torch.triu(torch.full((17, 17), float("-inf")), 1))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1) + self.place
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, 4, c // 4).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))
        x = x + F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask).transpose(1, 2).reshape(b, n, c)
        x = x + ((q @ k.transpose(-2, -1)) * (c // 4) ** -0.5).softmax(-1).matmul(v).transpose(1, 2).reshape(b, n, c)
        x = x + self.multi(x, x, x, need_weights=False)[0]
        return self.head(self.norm(self.layer(x))[:, 0])


class Other(nn.Module):
    """Sequences and volumes."""

    def __init__(self):
        super().__init__()
        self.line = nn.Sequential(nn.Conv1d(3, 6, 5, 2), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2), nn.ConvTranspose1d(6, 4, 3, 2), nn.AvgPool1d(3),
                                  nn.AdaptiveAvgPool1d(2), nn.Flatten(), nn.Linear(8, 12), nn.BatchNorm1d(12), nn.Unflatten(1, (3, 4)))
        self.cube = nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4), nn.ReLU(), nn.MaxPool3d(2), nn.AdaptiveAvgPool3d(1), nn.Flatten())
        self.pad = nn.ZeroPad2d((1, 0, 2, 0))

    def forward(self, x):
        return self.line(x.flatten(2)), self.cube(x.unsqueeze(2).expand(-1, -1, 4, -1, -1)), self.pad(x).mean(1)


class Weighted(nn.Module):
    """Weights under the names of parametrisations."""

    def __init__(self):
        super().__init__()
        self.a = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
        self.b = nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 8, 3))
        self.c = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8), dim=1)
        self.d = nn.utils.weight_norm(nn.Linear(8, 5))

    def forward(self, x):
        return self.d(self.c(F.relu(self.b(F.relu(self.a(x)))).mean((2, 3))))


ours = {"small": (Small, 28), "acts": (Acts, 12), "norms": (Norms, 32), "shapes": (Shapes, 16), "residual": (Residual, 32), "attention": (Attention, 32),
        "other": (Other, 24), "weighted": (Weighted, 16)}
families = {"alexnet": 64, "vgg11": 32, "vgg11_bn": 32, "resnet18": 64, "resnext50_32x4d": 64, "wide_resnet50_2": 64, "squeezenet1_1": 64, "densenet121": 64,
            "googlenet": 64, "inception_v3": 96, "mobilenet_v2": 64, "mobilenet_v3_small": 64, "mobilenet_v3_large": 64, "mnasnet0_5": 64,
            "shufflenet_v2_x0_5": 64, "efficientnet_b0": 64, "efficientnet_v2_s": 64, "regnet_x_400mf": 64, "regnet_y_400mf": 64, "convnext_tiny": 64,
            "vit_b_32": 224, "swin_t": 64, "swin_v2_t": 64, "maxvit_t": 224,
            "segmentation.deeplabv3_resnet50": 64, "segmentation.deeplabv3_mobilenet_v3_large": 64, "segmentation.fcn_resnet50": 64,
            "segmentation.lraspp_mobilenet_v3_large": 64, "detection.ssd300_vgg16": 300, "detection.ssdlite320_mobilenet_v3_large": 320,
            "detection.retinanet_resnet50_fpn": 64, "detection.fcos_resnet50_fpn": 64, "detection.fasterrcnn_resnet50_fpn": 64,
            "video.r3d_18": 32, "video.mc3_18": 32, "video.r2plus1d_18": 32, "video.s3d": 64, "video.swin3d_t": 32, "video.mvit_v1_b": 224}


class Raw(nn.Module):
    """A detector's network: a batch in, what its head says for each anchor out; no resizing and no suppression, whose shapes follow the numbers."""

    def __init__(self, net):
        super().__init__()
        self.backbone, self.head = net.backbone, getattr(net, "head", None)
        self.rpn = net.rpn.head if hasattr(net, "rpn") else None
        self.whole = [net]  # in a list: its weights are not counted again

    def forward(self, x):
        maps = list(self.backbone(x).values())
        if self.head is not None:
            y = self.head(maps)
            return tuple(y[k] for k in sorted(y))
        scores, boxes = self.rpn(maps)
        return tuple(scores) + tuple(boxes)


def as_trained(net):
    """Running statistics and scales as after training, not 0 and 1."""
    for m in net.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.running_mean.uniform_(-0.3, 0.3)
            m.running_var.uniform_(0.5, 1.5)
            if m.affine:
                nn.init.uniform_(m.weight, 0.6, 1.4)
                nn.init.uniform_(m.bias, -0.3, 0.3)
    for name, p in net.named_parameters():
        if "gamma" in name or "layer_scale" in name:
            nn.init.uniform_(p.data, 0.5, 1.0)
        elif p.dim() > 1 and not p.any():  # the heads of transformers begin at 0
            nn.init.normal_(p.data, 0, 0.1)


def make(name):
    torch.manual_seed(7)
    if name in ours:
        net, size = ours[name][0](), ours[name][1]
    else:
        kind, _, short = name.rpartition(".")
        extra = {"init_weights": False, "aux_logits": False} if name in ("googlenet", "inception_v3") else {}
        extra = {"weights_backbone": None} if kind in ("segmentation", "detection") else extra
        net = getattr(getattr(torchvision.models, kind) if kind else torchvision.models, short)(weights=None, num_classes=2 if "keypoint" in name else 10, **extra)
        net, size = Raw(net) if kind == "detection" else net, families.get(name, 64)
    net.eval()
    as_trained(net)
    more = (16 if "mvit" in name or "s3d" in name else 4,) if name.startswith("video.") else ()
    return net, torch.randn(1, 3, *more, size, size), torch.randn(3, 3, *more, size, size)


def numbers(y):
    """The outputs in the order that a file has them."""
    if isinstance(y, dict):
        y = list(y.values())
    return [t.detach().numpy() for t in (y if isinstance(y, (list, tuple)) else [y])]


# ---- the formats ---------------------------------------------------------------------------------------------------
def exported(net, x, dynamic=False):
    shapes = ({0: torch.export.Dim("batch", max=64)},) if dynamic else None
    return torch.export.export(net, (x,), dynamic_shapes=shapes)


def onnx_new(net, x, path, dynamic=False, **kw):
    shapes = {"dynamic_shapes": ({0: torch.export.Dim("batch", max=64)},)} if dynamic else {}
    torch.onnx.export(net, (x,), path, dynamo=True, verbose=False, **shapes, **kw)


def forms(net, x, several):
    """Name, opset, suffix, which input, and the function that writes."""
    yield ".pt2", "", ".pt2", x, lambda p: torch.export.save(exported(net, x), p)
    yield ".pt2 any batch", "", ".pt2", several, lambda p: torch.export.save(exported(net, several, True), p)
    yield ".pt2 core ATen", "", ".pt2", x, lambda p: torch.export.save(exported(net, x).run_decompositions(), p)
    yield "ONNX dynamo", 18, ".onnx", x, lambda p: onnx_new(net, x, p, external_data=False)
    yield "ONNX dynamo, data beside it", 18, ".onnx", x, lambda p: onnx_new(net, x, p, external_data=True, optimize=False)
    yield "ONNX dynamo, any batch", 20, ".onnx", several, lambda p: onnx_new(net, several, p, True, opset_version=20)
    for opset in (11, 17, 20):
        yield "ONNX", opset, ".onnx", x, lambda p, o=opset: torch.onnx.export(net, (x,), p, opset_version=o, dynamo=False)
    yield "ONNX any batch", 17, ".onnx", several, lambda p: torch.onnx.export(
        net, (x,), p, opset_version=17, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "batch"}})
    yield "TorchScript traced", "", ".pt", x, lambda p: torch.jit.trace(net, x, strict=False).save(p)
    yield "TorchScript frozen", "", ".pt", x, lambda p: torch.jit.freeze(torch.jit.trace(net, x, strict=False)).save(p)
    yield "TorchScript scripted", "", ".pt", x, lambda p: torch.jit.script(net).save(p)

    def mobile(p):
        from torch.utils.mobile_optimizer import optimize_for_mobile
        optimize_for_mobile(torch.jit.script(net), {torch._C._MobileOptimizerType.CONV_BN_FUSION})._save_for_lite_interpreter(p)
    yield "TorchScript mobile", "", ".ptl", x, mobile


# Whose files of weights are recognised by names and run at the side that the recognised architecture names.
alone = {"segmentation.deeplabv3_resnet50": 256, "segmentation.deeplabv3_resnet101": 256, "segmentation.deeplabv3_mobilenet_v3_large": 256,
         "segmentation.fcn_resnet50": 256, "segmentation.lraspp_mobilenet_v3_large": 256, "detection.retinanet_resnet50_fpn": 256,
         "detection.fasterrcnn_resnet50_fpn": 256, "detection.maskrcnn_resnet50_fpn": 256, "detection.keypointrcnn_resnet50_fpn": 256,
         "detection.ssd300_vgg16": 300, "detection.ssdlite320_mobilenet_v3_large": 320, "detection.fcos_resnet50_fpn": 256,
         "detection.retinanet_resnet50_fpn_v2": 256, "detection.fasterrcnn_resnet50_fpn_v2": 256, "detection.maskrcnn_resnet50_fpn_v2": 256}


def weights_alone(folder, wanted):
    form = ".pt state_dict"
    for name in alone:
        if wanted(name, form):
            net, _, _ = make(name)
            x = torch.rand(1, 3, alone[name], alone[name])
            path = os.path.join(folder, name + ".pth")
            torch.save((net.whole[0] if hasattr(net, "whole") else net).state_dict(), path)
            with torch.no_grad():
                y = net(x)
            if isinstance(y, dict):  # without the auxiliary head
                y = y["out"]
            yield name, form, "", path, x.numpy(), numbers(y)


def cases(folder, wanted=lambda network, form: True):
    """(network, format, opset, path, input, outputs, more arguments) of each file, or a text in place of the path: the library's error."""
    for name in list(ours) + list(families):
        if not any(wanted(name, form[0]) for form in forms(None, None, None)):
            continue
        net, x, several = make(name)
        for form, opset, suffix, given, write in forms(net, x, several):
            if not wanted(name, form):
                continue
            path = os.path.join(folder, "%s-%s%s%s" % (name, form.replace(" ", "_").replace(",", "").replace(".", ""), opset, suffix))
            with torch.no_grad():
                try:
                    write(path)
                except Exception as e:
                    yield name, form, opset, None, " ".join(str(e).split())[:160], None
                    continue
                yield name, form, opset, path, given.numpy(), numbers(net(given))
    yield from weights_alone(folder, wanted)


def main():
    folder, words = sys.argv[1], sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    torch.set_num_threads(1)
    index = os.path.join(folder, "cases.json")
    list_ = json.load(open(index)) if os.path.exists(index) else []
    for name, form, opset, path, x, y in cases(folder, lambda n, f: not words or any(w in n + " " + f for w in words)):
        key = "%s %s %s" % (name, form, opset)
        row = {"key": key, "network": name, "format": form, "opset": opset, "version": version, "path": path and os.path.basename(path)}
        if path:
            np.savez(path + ".npz", x=x, **{"y%d" % i: a for i, a in enumerate(y)})
            print(key, os.path.getsize(path), flush=True)
        else:
            row["error"] = x
            print(key, "NOT WRITTEN", x, flush=True)
        list_ = [r for r in list_ if r["key"] != key] + [row]
        json.dump(list_, open(index, "w"))


if __name__ == "__main__":
    main()
