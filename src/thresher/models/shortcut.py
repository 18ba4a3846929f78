"""The shortcut without weights."""

from torch import Tensor
from torch.nn import functional as F


def zero_padded(inputs: Tensor, stride: int, num_new_channels: int) -> Tensor:
    """Every `stride`-th pixel of `inputs` [N, C, H, W], and `num_new_channels` further channels of zeros.

    Source: He, Zhang, Ren & Sun 2016a, §3.3, option A.

    >>> import torch
    >>> zero_padded(torch.ones(1, 2, 5, 5), 2, 3).shape
    torch.Size([1, 5, 3, 3])
    """
    return F.pad(inputs[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, num_new_channels))
