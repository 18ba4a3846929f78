"""How many examples a classifier got wrong."""

from torch import Tensor

from thresher.core.errors import ArgumentError


def count_wrong(outputs: Tensor, targets: Tensor) -> Tensor:
    """The number of rows of `outputs` [N, classes] whose largest entry is not at `targets` [N], as a 0-d tensor.

    Ties go to the lower class. Nothing waits for the device. Raises ArgumentError for other shapes or targets
    that are no integers.

    >>> import torch
    >>> count_wrong(torch.tensor([[2.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 0])).item()
    1
    """
    if outputs.dim() != 2 or targets.dim() != 1 or len(outputs) != len(targets) or targets.is_floating_point():
        raise ArgumentError(
            f"the error is counted from class scores [N, classes] and integer targets [N]: got outputs "
            f"{tuple(outputs.shape)} and {targets.dtype} targets {tuple(targets.shape)}"
        )
    return outputs.detach().argmax(1).ne(targets).count_nonzero()
