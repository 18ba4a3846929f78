"""Zeroing removed entries of a tensor in place, fast, whatever they hold."""

import torch
from torch import Tensor

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


class KeepBits:
    """Zeroes a tensor where a bool tensor is false, as ``masked_fill_`` does, about eight times as fast on a CPU.

    A product with the mask would leave NaN where an infinity was; a bitwise *and* of the number's bits with all
    ones or all zeros does not, and runs at the speed of memory. Memory: one integer as wide as the number per
    entry, made once for each width met.

    >>> x = torch.tensor([1.5, float("inf"), float("nan"), -2.0])
    >>> KeepBits(torch.tensor([True, False, False, True])).zero_removed_(x)
    >>> x.tolist()
    [1.5, 0.0, 0.0, -2.0]
    """

    def __init__(self, keep: Tensor) -> None:
        self._keep = keep
        self._bits: dict[int, Tensor] = {}

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensors it zeroes."""
        return self._keep.shape

    @torch.no_grad()
    def zero_removed_(self, tensor: Tensor) -> None:
        """Write zeros into `tensor`, of the mask's shape and any real dtype, where the mask is false."""
        integers = tensor.detach().view(_INTEGERS[tensor.element_size()])
        integers.bitwise_and_(self._of_width(tensor.element_size()))

    @torch.no_grad()
    def restore_removed_(self, tensor: Tensor, values: Tensor) -> None:
        """Write `values` into `tensor` where the mask is false; both of the mask's shape and one real dtype."""
        width = tensor.element_size()
        integers = tensor.detach().view(_INTEGERS[width])
        bits = self._of_width(width)
        # a + (b - a) where the mask is false, in bits: a ^ ((a ^ b) & ~mask)
        integers.bitwise_xor_(integers.bitwise_xor(values.view(_INTEGERS[width])).bitwise_and_(~bits))

    def _of_width(self, width: int) -> Tensor:
        if width not in self._bits:
            self._bits[width] = self._keep.to(_INTEGERS[width]).neg_()  # -1 is all ones
        return self._bits[width]
