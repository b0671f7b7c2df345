#!/usr/bin/env python3
"""Writes tests/data/torch with PyTorch itself: state_dicts in every form, checkpoints, whole modules, traced programs, and files that
would run code if they were loaded as pickles are. usage: tools/make_torch_fixtures.py [names] (needs torch; torchvision and
timm for the names of architectures)."""
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


class Odd(nn.Module):
    """Many operators, and sizes that follow the input."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.PReLU(8))
        self.up = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, output_padding=1)
        self.group = nn.GroupNorm(2, 8)
        self.norm = nn.InstanceNorm2d(8, affine=True)
        self.layer = nn.LayerNorm(8)
        self.shuffle = nn.PixelShuffle(2)
        self.head = nn.Linear(11, 5)
        self.scale = nn.Parameter(torch.rand(8, 1, 1))
        self.register_buffer("shift", torch.rand(1, 8, 1, 1))

    def forward(self, x):
        y = self.stem(x)
        b, c, h, w = y.size()
        z = y.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, -1, h, w)
        p, q = torch.chunk(z, 2, 1)
        z = torch.cat([F.leaky_relu(p, 0.2), F.elu(q)], 1) * self.scale + self.shift
        z = self.norm(F.silu(self.group(z)))
        z = self.layer(z.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        z = F.pad(z, [1, 0, 2, 1]) + 0.5
        z = F.avg_pool2d(z, 3, 2, 1, count_include_pad=False)
        z = F.interpolate(z, size=(h, w), mode="bilinear", align_corners=False)
        z += y
        u = F.hardswish(self.up(z))[:, :, 1:, 1:]
        s = F.interpolate(self.shuffle(z), scale_factor=2.0, mode="nearest")
        n = torch.cat([u.mean([2, 3]), s.amax((2, 3)), torch.sigmoid(z).clamp(0.2, 0.7).mean((2, 3))[:, 1:6], y.flatten(1).sum(1, True)], 1)
        n = 1.0 - n[:, :11] / (2.0 + n[:, :11].abs().sqrt())
        return {"out": torch.softmax(self.head(n), 1), "logits": self.head(n)}


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
    sequential = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, stride=2), nn.BatchNorm2d(4), nn.Sequential(nn.LeakyReLU(0.3), nn.AvgPool2d(2)),
                               nn.Flatten(),
                               nn.Linear(4 * 8 * 8, 5)).eval()
    sequential[1].running_mean.normal_(generator=torch.Generator().manual_seed(3))
    save("module.pth", sequential)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    np.save(os.path.join(OUT, "module.in.npy"), x.numpy())
    np.save(os.path.join(OUT, "module.out.npy"), sequential(x).detach().numpy())
    save("evil.pth", {"state_dict": state, "note": Evil()})
    save("evil_old.pth", Evil(), _use_new_zipfile_serialization=False)
    save("nothing.pth", {"note": "no tensors", "list": [1, 2.5, None, True]})
    save("unknown.pth", {"encoder.a.weight": torch.randn(4, 3, 3, 3), "encoder.b.weight": torch.randn(7, 5, 1, 1),
                         "head.weight": torch.randn(3, 9), "head.bias": torch.randn(3), "temperature": torch.tensor(0.5)})
    torch.jit.trace(net, x).save(os.path.join(OUT, "traced.pt"))
    torch.jit.script(net).save(os.path.join(OUT, "scripted.pt"))
    odd = Odd().eval()
    odd.stem[1].running_mean.normal_()
    odd.stem[1].running_var.uniform_(0.5, 2)
    for name, shape in (("odd", (1, 3, 32, 32)), ("odd_wide", (2, 3, 24, 40))):
        x = torch.randn(shape)
        np.save(os.path.join(OUT, name + ".in.npy"), x.numpy())
        np.save(os.path.join(OUT, name + ".out.npy"), odd(x)["out"].detach().numpy())
        if name == "odd":
            torch.jit.trace(odd, x, strict=False).save(os.path.join(OUT, "odd_traced.pt"))
    torch.jit.script(odd).save(os.path.join(OUT, "odd_scripted.pt"))
    lines()
    axes()
    names()


class Lines(nn.Module):
    """Reads lines of text: convolutions to one row, then recurrent layers of all kinds along it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, (14, 3), padding=(0, 1)))
        self.lstm = nn.LSTM(6, 5, num_layers=2, bidirectional=True)
        self.gru = nn.GRU(10, 4, batch_first=True, bias=False)
        self.rnn = nn.RNN(4, 5, nonlinearity="relu", bidirectional=True, batch_first=True)
        self.head = nn.Linear(10, 7)

    def forward(self, x):
        x = self.stem(x).squeeze(2).permute(2, 0, 1)
        x, (h, c) = self.lstm(x)
        x, _ = self.gru(x.permute(1, 0, 2))
        x, last = self.rnn(x)
        return torch.log_softmax(self.head(x), 2), last + c[0:2]


def lines():
    torch.manual_seed(11)
    net = Lines().eval()
    x = torch.randn(2, 1, 28, 44)
    np.save(os.path.join(OUT, "lines.in.npy"), x.numpy())
    np.save(os.path.join(OUT, "lines.out.npy"), net(x)[0].detach().numpy())
    torch.jit.trace(net, x).save(os.path.join(OUT, "lines_traced.pt"))
    torch.jit.script(net).save(os.path.join(OUT, "lines_scripted.pt"))


class Video(nn.Module):
    """Filters over frames, rows and columns."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(2, 4, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2), bias=False), nn.BatchNorm3d(4), nn.ReLU())
        self.halves = nn.Sequential(nn.Conv3d(4, 6, (1, 3, 3), padding=(0, 1, 1)), nn.ReLU(), nn.Conv3d(6, 4, (3, 1, 1), padding=(1, 0, 0)))
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        self.mean = nn.AdaptiveAvgPool3d((1, 1, 1))
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        x = self.stem(x)
        x = self.pool(torch.relu(x + self.halves(x)))
        return self.head(self.mean(x).flatten(1))


class Row(nn.Module):
    """Filters along a row, as of sound."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 5, stride=2)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(torch.relu(self.conv(x)).mean(2))


class Best(nn.Module):
    """The best places of each picture, as YOLOv10 picks its boxes."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, x):
        y = self.conv(x).flatten(2).permute(0, 2, 1)
        scores, index = torch.topk(y.amax(-1), 6)
        i = torch.arange(y.shape[0])[..., None]
        return torch.cat([y[i, index // 1], scores[..., None]], -1)


def axes():
    """Inputs of more and of fewer axes than a picture; pictures picked from by numbers."""
    for name, net, shape in (("video", Video(), (1, 2, 4, 20, 24)), ("row", Row(), (1, 2, 60)), ("best", Best(), (2, 3, 20, 20))):
        torch.manual_seed(13)
        for p in net.parameters():
            nn.init.normal_(p.data, 0, 0.4)
        net.eval()
        x = torch.randn(*shape)
        np.save(os.path.join(OUT, name + ".in.npy"), x.numpy())
        np.save(os.path.join(OUT, name + ".out.npy"), net(x).detach().numpy())
        torch.jit.trace(net, x).save(os.path.join(OUT, name + "_traced.pt"))
        if name != "best":
            torch.jit.script(net).save(os.path.join(OUT, name + "_scripted.pt"))


def names():
    """The names and shapes of architectures; timm (0.9.16) writes its own."""
    def write(name, net):
        with open(os.path.join(OUT, "names_%s.txt" % name), "w", encoding="ascii") as f:
            for key, t in net.state_dict().items():
                f.write("%s %s\n" % (key, "x".join(map(str, t.shape))))

    try:
        import torchvision.models as models
    except ImportError:
        return
    for name in ("alexnet", "vgg11", "vgg16_bn", "resnet18", "resnet50", "wide_resnet50_2", "resnext50_32x4d", "squeezenet1_0",
                 "squeezenet1_1", "mobilenet_v2", "densenet121", "regnet_x_400mf", "regnet_y_400mf", "convnext_tiny",
                 "shufflenet_v2_x0_5", "mnasnet0_5"):
        write(name, getattr(models, name)())
    try:
        import timm
    except ImportError:
        return
    for name in ("seresnet50", "resnet26d", "vgg11_bn", "mobilenetv3_small_100", "efficientnet_b0", "tf_efficientnetv2_b0",
                 "lcnet_050", "regnety_004", "convnext_tiny", "ghostnet_100", "legacy_xception", "inception_v4", "repvgg_a0",
                 "res2net50_26w_4s", "ecaresnet26t", "convnextv2_atto", "ese_vovnet19b_dw", "convmixer_768_32", "inception_resnet_v2", "hrnet_w18_small",
                 "dla46_c", "dla102", "rexnet_100", "selecsls42b", "dpn68", "dpn48b", "gernet_s", "xception71", "mobilenetv3_rw"):
        write("timm_" + name, timm.create_model(name))
    try:  # facenet-pytorch, spandrel, and a checkout of milesial/Pytorch-UNet on PYTHONPATH
        from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1
        from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact
        from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet
        from unet import UNet
    except ImportError:
        return
    write("facenet", InceptionResnetV1(pretrained=None))
    write("unet", UNet(3, 2))
    write("esrgan", RRDBNet(num_filters=16, num_blocks=2, scale=4))
    write("compact", SRVGGNetCompact(num_in_ch=3, num_out_ch=3, num_feat=16, num_conv=3, upscale=4))


if __name__ == "__main__":
    sys.exit(names() if sys.argv[1:] == ["names"] else main())
