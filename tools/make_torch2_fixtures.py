#!/usr/bin/env python3
"""Writes the files of tests/data/torch that PyTorch 2 writes (made with 2.6): torch.export archives and a TorchScript archive for phones. Run it
from the root of the source tree: python3 tools/make_torch2_fixtures.py. Stack traces and the like, which name folders and
are long, are left out."""
import os

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

OUT = os.path.join("tests", "data", "torch")


class Mixed(nn.Module):
    """What torch.export's files have and TorchScript's of PyTorch 1 have not, or seldom."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8))
        self.down = nn.PixelUnshuffle(2)
        self.mix = nn.Linear(8, 24)
        self.register_buffer("table", torch.randn(7, 4))
        self.register_buffer("place", torch.arange(16) % 7)
        self.register_buffer("mask", torch.triu(torch.full((16, 16), float("-inf")), 1))

    def forward(self, x):
        y = F.hardswish(self.stem(x))
        y = torch.roll(y, (1, -2), (2, 3)) + torch.flip(y, [3]) * (y > 0).float()
        pooled = F.adaptive_avg_pool2d(y, (4, 4)) + F.adaptive_max_pool2d(y, (4, 4))
        uneven = F.adaptive_avg_pool2d(y, (3, 5))
        b, c, h, w = pooled.shape
        q, k, v = self.mix(pooled.flatten(2).transpose(1, 2)).reshape(b, h * w, 3, 2, 4).permute(2, 0, 3, 1, 4)
        z = F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask) + self.table[self.place]
        e = torch.einsum("bnic,bnjc->bnij", q, k).softmax(-1).mean(1)
        s = F.layer_norm(self.down(y), self.down(y).shape[1:]).std((2, 3))
        i = (torch.arange(c) // 3 + 1) / 2
        t = torch.where(pooled.mean((2, 3)) < 0, -1.0, i) * F.softplus(uneven, 2.0).sum((2, 3))
        return torch.cat([z.flatten(1), e.flatten(1), s, t, uneven.flatten(1)], 1)


class Whole(nn.Module):
    """Every parameter's name begins with "model.", as the names of wrappers do."""

    def __init__(self):
        super().__init__()
        self.model = Mixed()

    def forward(self, x):
        return self.model(x)


class Core(nn.Module):
    """What becomes several calls when torch.export takes layers apart (run_decompositions)."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular"), nn.InstanceNorm2d(6, affine=True)
        self.register_buffer("mask", torch.triu(torch.full((6, 6), float("-inf")), 1))

    def forward(self, x):
        y = F.adaptive_avg_pool2d(self.norm(self.conv(x)), (3, 2)).flatten(2)
        y = F.scaled_dot_product_attention(y, y, y, attn_mask=self.mask)
        return F.glu(y.std(2), 1) + (torch.arange(3) + 1) / 2


class Phone(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.Conv2d(8, 8, 3, groups=8)
        self.c, self.d = nn.ConvTranspose2d(8, 4, 3, stride=2), nn.Linear(4, 5)
        self.e = nn.Parameter(torch.randn(4, 21, 21))  # so it takes pictures of 24 pixels only

    def forward(self, x):
        x = F.relu(self.c(F.relu6(self.b(F.relu(self.a(x))))))
        m = torch.zeros(21, 21)  # written to in place, part by part, as Swin's masks are
        m[1:-1, :12] = 2
        m[0] += 1
        m[:, -1].mul_(3).sub_(1)
        x = x + m
        return self.d((x * self.e).amax((2, 3)) + F.adaptive_max_pool2d(x, (5, 1)).mean((2, 3)))


class Tokens(nn.Module):
    """Outside of training PyTorch makes one call of each of these layers; positions tie the picture to 40 x 40."""

    def __init__(self):
        super().__init__()
        self.patch, self.place = nn.Conv2d(3, 12, 8, 8), nn.Parameter(torch.randn(1, 25, 12))
        self.multi = nn.MultiheadAttention(12, 3, batch_first=True)
        self.before = nn.TransformerEncoderLayer(12, 2, 20, batch_first=True, norm_first=True, activation="gelu")
        self.behind = nn.TransformerEncoderLayer(12, 4, 20, batch_first=True)
        self.register_buffer("mask", torch.triu(torch.ones(25, 25), 1) > 0)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.place
        y = self.multi(x, x, x, need_weights=False)[0]
        z, weights = self.multi(x, x, x)
        x = self.behind(self.before(x + y + z), src_mask=self.mask)
        return torch.cat([x.mean(1), weights.amax(1)], 1)


class Sized(nn.Module):
    """Fits many sizes of picture: what it does follows the size, and nothing in the file says it."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3, 2, 1), nn.Linear(24, 5)

    def forward(self, x):
        x = self.conv(x)
        shift = [1, 1]
        if 7 >= x.size(2):
            shift[0] = 0
        if sum(shift) > 1:
            x = torch.roll(x, shift, [2, 3])
        return self.head(F.adaptive_avg_pool2d(x, (2, 2)).flatten(1))


def save(name, x, y):
    np.save(os.path.join(OUT, name + ".in.npy"), x.numpy())
    np.save(os.path.join(OUT, name + ".out.npy"), y.numpy())


def export(program, name):
    for node in program.graph.nodes:
        for key in ("stack_trace", "source_fn_stack", "torch_fn", "from_node") + (("nn_module_stack",) if name == "core.pt2" else ()):
            node.meta.pop(key, None)
    torch.export.save(program, os.path.join(OUT, name))


def main():
    torch.manual_seed(11)
    net, x = Whole().eval(), torch.randn(2, 3, 24, 24)
    net.model.stem[1].running_mean.uniform_(-0.3, 0.3)
    net.model.stem[1].running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        save("mixed", x, net(x))
        save("mixed_one", x[:1], net(x[:1]))
        batch = torch.export.Dim("batch", max=16)
        export(torch.export.export(net, (x,), dynamic_shapes=({0: batch},)), "mixed.pt2")
        core = Core().eval()
        save("core", x[:1], core(x[:1]))
        export(torch.export.export(core, (x[:1],)).run_decompositions(), "core.pt2")
        tokens, x40 = Tokens().eval(), torch.randn(2, 3, 40, 40)
        save("tokens", x40, tokens(x40))
        torch.jit.trace(tokens, x40).save(os.path.join(OUT, "tokens_traced.pt"))
        sized = Sized().eval()
        save("sized", x[:1], sized(x[:1]))
        torch.jit.script(sized).save(os.path.join(OUT, "sized_scripted.pt"))
        from torch.utils.mobile_optimizer import optimize_for_mobile
        phone = Phone().eval()
        save("phone", x[:1], phone(x[:1]))
        torch.jit.trace(phone, x[:1]).save(os.path.join(OUT, "phone_traced.pt"))
        optimize_for_mobile(torch.jit.script(phone))._save_for_lite_interpreter(os.path.join(OUT, "phone.ptl"))


if __name__ == "__main__":
    main()
