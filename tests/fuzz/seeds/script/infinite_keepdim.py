class M(Module):
  __parameters__ = ["w", ]
  w : Tensor
  def forward(self: __torch__.M,
    x: Tensor) -> Tensor:
    w = self.w
    y = torch._convolution(x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, False, False, True, True)
    return torch.mean(y, [2, 3], inf)
