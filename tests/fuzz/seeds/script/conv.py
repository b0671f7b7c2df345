class M(Module):
  __parameters__ = ["w", ]
  w : Tensor
  def forward(self: __torch__.M,
    x: Tensor) -> Tensor:
    w = self.w
    y = torch._convolution(x, w, None, [2, 2], [1, 1], [1, 1], False, [0, 0], 1, False, False, True, True)
    z = torch.relu_(torch.batch_norm(y, None, None, CONSTANTS.c0, CONSTANTS.c0, False, 0.1, 1e-05, True))
    if torch.__isnot__(self.b, None):
      q = 1
    else:
      q, r = 2, 3
    for i in range(3):
      z0 = torch.add_(z, y, alpha=-1.5)
    s = [torch.size(y, 0), 2, int(torch.floor_divide(ops.prim.NumToTensor(torch.size(y, 1)), q)), -1]
    return torch.mean(torch.view(y, s), [2, 3], True)
