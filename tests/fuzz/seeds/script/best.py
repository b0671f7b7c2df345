class M(Module):
  w : Tensor
  def forward(self: __torch__.M,
    x: Tensor) -> Tensor:
    y = torch.flatten(torch.conv2d(x, self.w, None, [8, 8]), 2)
    v, k, = torch.topk(torch.amax(y, [-1]), 2)
    i = torch.unsqueeze(torch.arange(torch.size(y, 0), dtype=None, layout=None), 1)
    return torch.index(y, [i, torch.floor_divide(k, 1)])
