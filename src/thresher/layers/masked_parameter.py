"""A dense parameter whose removed entries stay zero in anyone's training loop."""

from typing import Any

from torch import Tensor, nn

from thresher.core.errors import ArgumentError
from thresher.ops.keep_bits import KeepBits


class MaskedParameter(nn.Parameter):
    """A Parameter that is zero where the bool tensor `keep` is false, and whose gradient is zero there.

    An optimizer that moves an entry by its own gradient, state and value alone, as SGD, Adam and their kin do with
    weight decay or without, then leaves removed entries at zero: nothing in its step is not. It survives
    ``deepcopy``, pickling and ``.to(dtype)``; ``state_dict`` and everything computed from it are plain tensors.
    ``load_state_dict`` refuses a checkpoint that is not zero at removed entries.

    Limits: an optimizer that mixes entries (Muon) or adds noise, whoever writes into the parameter
    (``nn.init``) or replaces it (``load_state_dict(assign=True)``) can revive removed entries; for those there is
    `FixedMask`. Cost: a masked copy of each gradient.

    >>> import torch
    >>> weight = MaskedParameter(torch.tensor([1.0, 2.0]), torch.tensor([True, False]))
    >>> (3 * weight).sum().backward()
    >>> weight.tolist(), weight.grad.tolist()
    ([1.0, 0.0], [3.0, 0.0])
    """

    keep: Tensor

    def __new__(cls, data: Tensor, keep: Tensor, requires_grad: bool = True) -> "MaskedParameter":
        keep = keep.to(data.device)
        # trainable first: torch takes no hook on a tensor that is not, but keeps one that is there
        parameter = super().__new__(cls, data.detach().masked_fill(~keep, 0), True)
        parameter.keep = keep
        parameter.register_hook(_ZeroRemoved(keep))  # type: ignore[no-untyped-call]
        parameter.requires_grad_(requires_grad)
        return parameter

    def copy_(self, source: Tensor, non_blocking: bool = False) -> Tensor:
        """Take over the values of `source`; ArgumentError if they are not zero at removed entries."""
        elsewhere = int(source.detach()[~self.keep.to(source.device)].count_nonzero())
        if elsewhere:
            raise ArgumentError(
                f"{elsewhere} of the values are not zero where the mask removes them: load them into the dense model "
                "and sparsify that, or zero them first"
            )
        return super().copy_(source, non_blocking)

    def __deepcopy__(self, memo: dict[int, Any]) -> "MaskedParameter":
        return MaskedParameter(self.data.clone(), self.keep, self.requires_grad)  # deepcopy itself keeps ties

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return MaskedParameter, (self.data, self.keep, self.requires_grad)


class _ZeroRemoved:
    """The gradient as a copy that is zero where the mask is false, infinities and NaN among what is zeroed."""

    def __init__(self, keep: Tensor) -> None:
        self._keep = keep
        self._bits = KeepBits(keep)

    def __call__(self, gradient: Tensor) -> Tensor:
        if gradient.device != self._keep.device:  # the model was moved
            self._keep = self._keep.to(gradient.device)
            self._bits = KeepBits(self._keep)
        if gradient.requires_grad:  # it will be differentiated again
            return gradient.masked_fill(~self._keep, 0)
        masked = gradient.clone()
        self._bits.zero_removed_(masked)
        return masked
