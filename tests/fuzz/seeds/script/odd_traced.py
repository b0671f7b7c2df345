class Odd(Module):
  __parameters__ = ["scale", ]
  __buffers__ = ["shift", ]
  scale : Tensor
  shift : Tensor
  training : bool
  _is_full_backward_hook : Optional[bool]
  stem : __torch__.torch.nn.modules.container.Sequential
  up : __torch__.torch.nn.modules.conv.ConvTranspose2d
  group : __torch__.torch.nn.modules.normalization.GroupNorm
  norm : __torch__.torch.nn.modules.instancenorm.InstanceNorm2d
  layer : __torch__.torch.nn.modules.normalization.LayerNorm
  shuffle : __torch__.torch.nn.modules.pixelshuffle.PixelShuffle
  head : __torch__.torch.nn.modules.linear.___torch_mangle_13.Linear
  def forward(self: __torch__.Odd,
    x: Tensor) -> Dict[str, Tensor]:
    head = self.head
    shuffle = self.shuffle
    up = self.up
    layer = self.layer
    norm = self.norm
    group = self.group
    shift = self.shift
    scale = self.scale
    stem = self.stem
    _0 = (stem).forward(x, )
    b = ops.prim.NumToTensor(torch.size(_0, 0))
    _1 = int(b)
    _2 = int(b)
    _3 = ops.prim.NumToTensor(torch.size(_0, 1))
    h = ops.prim.NumToTensor(torch.size(_0, 2))
    _4 = int(h)
    _5 = int(h)
    _6 = int(h)
    w = ops.prim.NumToTensor(torch.size(_0, 3))
    _7 = int(w)
    _8 = int(w)
    _9 = int(w)
    _10 = torch.floor_divide(_3, CONSTANTS.c0)
    _11 = torch.view(_0, [_2, 2, int(_10), _6, _9])
    _12 = torch.contiguous(torch.transpose(_11, 1, 2))
    z = torch.view(_12, [_1, -1, _5, _8])
    input, input0, = torch.chunk(z, 2, 1)
    _13 = torch.leaky_relu(input, 0.20000000000000001)
    _14 = torch.cat([_13, torch.elu(input0, 1.)], 1)
    input1 = torch.add(torch.mul(_14, scale), shift)
    input2 = torch.silu((group).forward(input1, ))
    input3 = torch.permute((norm).forward(input2, ), [0, 2, 3, 1])
    z0 = torch.permute((layer).forward(input3, ), [0, 3, 1, 2])
    z1 = torch.add(torch.pad(z0, [1, 0, 2, 1]), CONSTANTS.c1)
    input4 = torch.avg_pool2d(z1, [3, 3], [2, 2], [1, 1], False, False)
    z2 = torch.upsample_bilinear2d(input4, [_4, _7], False, None)
    input5 = torch.add_(z2, _0)
    _15 = torch.hardswish((up).forward(input5, ))
    _16 = torch.slice(_15, 0, 0, 9223372036854775807)
    _17 = torch.slice(_16, 1, 0, 9223372036854775807)
    _18 = torch.slice(_17, 2, 1, 9223372036854775807)
    u = torch.slice(_18, 3, 1, 9223372036854775807)
    s = torch.upsample_nearest2d((shuffle).forward(input5, ), None, [2., 2.])
    _19 = torch.mean(u, [2, 3])
    _20 = torch.amax(s, [2, 3])
    _21 = torch.clamp(torch.sigmoid(input5), 0.20000000000000001, 0.69999999999999996)
    _22 = torch.slice(torch.mean(_21, [2, 3]), 0, 0, 9223372036854775807)
    _23 = torch.slice(_22, 1, 1, 6)
    _24 = torch.sum(torch.flatten(_0, 1), [1], True)
    n = torch.cat([_19, _20, _23, _24], 1)
    _25 = torch.slice(n, 0, 0, 9223372036854775807)
    _26 = torch.slice(_25, 1, 0, 11)
    _27 = torch.slice(n, 0, 0, 9223372036854775807)
    _28 = torch.abs(torch.slice(_27, 1, 0, 11))
    _29 = torch.add(torch.sqrt(_28), CONSTANTS.c2)
    input6 = torch.rsub(torch.div(_26, _29), 1.)
    _30 = torch.softmax((head).forward(input6, ), 1)
    _31 = {"out": _30, "logits": (head).forward1(input6, )}
    return _31
