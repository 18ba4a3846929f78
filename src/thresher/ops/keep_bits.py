"""Writing tensors in place under a mask of one bit per entry, whatever they hold."""

from types import ModuleType

import torch
from torch import Tensor

from thresher.ops.native import compiled, is_plain

_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
_WORD = 64


class KeepBits:
    """A bool tensor as bits: True keeps an entry, False removes it.

    A product with the mask would leave NaN where an infinity was; a bitwise *and* of the number's bits does not.
    The compiled kernel stores only where an entry changes, so that a pass over what obeys already costs one read:
    it serves contiguous tensors of 4 or 8 bytes a number on the CPU. All others, and all where no kernels were
    built, take torch's operators, twice as long or more. Memory: one bit per entry, made when first needed;
    for torch's operators, an integer as wide as the number, made once for each width met.

    >>> x = torch.tensor([1.5, float("inf"), float("nan"), -2.0])
    >>> KeepBits(torch.tensor([True, False, False, True])).zero_removed_(x)
    >>> x.tolist()
    [1.5, 0.0, 0.0, -2.0]
    """

    def __init__(self, keep: Tensor) -> None:
        self._keep = keep
        self._words: Tensor | None = None
        self._masks: dict[int, Tensor] = {}

    @property
    def shape(self) -> torch.Size:
        """The shape of the tensors it writes."""
        return self._keep.shape

    def zero_removed_(self, *tensors: Tensor) -> None:
        """Write zeros into `tensors`, each of the mask's shape and any real dtype, where the mask is false."""
        if not tensors:
            return
        native = self._kernels_for(*tensors)
        if native is not None:
            native.zero_removed(*self._described(tensors[0]), *[tensor.data_ptr() for tensor in tensors])
            torch.autograd.graph.increment_version(tensors)
            return
        for tensor in tensors:
            width = tensor.element_size()
            tensor.detach().view(_INTEGERS[width]).bitwise_and_(self._mask(width))

    def restore_removed_(self, tensor: Tensor, values: Tensor) -> None:
        """Write `values` into `tensor` where the mask is false; both of the mask's shape and one real dtype."""
        native = self._kernels_for(tensor, values)
        if native is not None:
            native.restore_removed(*self._described(tensor), tensor.data_ptr(), values.data_ptr())
            torch.autograd.graph.increment_version(tensor)
            return
        width = tensor.element_size()
        integers = tensor.detach().view(_INTEGERS[width])
        # a + (b - a) where the mask is false, in bits: a ^ ((a ^ b) & ~mask)
        integers.bitwise_xor_(
            integers.bitwise_xor(values.detach().view(_INTEGERS[width])).bitwise_and_(~self._mask(width))
        )

    def write_kept_(self, tensor: Tensor, values: Tensor) -> None:
        """Make `tensor` equal `values` where the mask is true, zero elsewhere; both of one shape and real dtype."""
        native = self._kernels_for(tensor, values)
        if native is not None:
            native.write_kept(*self._described(tensor), tensor.data_ptr(), values.data_ptr())
            torch.autograd.graph.increment_version(tensor)
            return
        width = tensor.element_size()
        integers = _INTEGERS[width]
        torch.bitwise_and(values.detach().view(integers), self._mask(width), out=tensor.detach().view(integers))

    def _kernels_for(self, *tensors: Tensor) -> ModuleType | None:
        width = tensors[0].element_size()
        if width < 4:
            return None
        for tensor in tensors:
            if not (is_plain(tensor) and tensor.is_cpu and tensor.is_contiguous() and tensor.element_size() == width):
                return None
        return compiled()

    def _described(self, tensor: Tensor) -> tuple[int, int, int, int]:
        """What every kernel call begins with: bytes in a number, threads, numbers, address of the bits."""
        if self._words is None:
            bits = torch.nn.functional.pad(self._keep.reshape(-1), (0, -self._keep.numel() % _WORD))
            self._words = (bits.view(-1, _WORD).long() << torch.arange(_WORD)).sum(1)
        return tensor.element_size(), torch.get_num_threads(), self._keep.numel(), self._words.data_ptr()

    def _mask(self, width: int) -> Tensor:
        if width not in self._masks:
            self._masks[width] = self._keep.to(_INTEGERS[width]).neg_()  # -1 is all ones
        return self._masks[width]
