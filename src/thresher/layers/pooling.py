"""Pooling that keeps the batch innermost."""

from collections.abc import Callable

from torch import Tensor, nn

from thresher.ops import is_batch_innermost


class InnermostMaxPool2d(nn.MaxPool2d):
    """``nn.MaxPool2d``, without transposing copies where the input lies batch innermost; so does its output then."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H', W'] for [N, C, H, W]."""
        return super().forward(input) if self.return_indices else _pooled(super().forward, input)


class InnermostAvgPool2d(nn.AvgPool2d):
    """``nn.AvgPool2d``, without transposing copies where the input lies batch innermost; so does its output then."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H', W'] for [N, C, H, W]."""
        return _pooled(super().forward, input)


class InnermostAdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """``nn.AdaptiveAvgPool2d``, likewise."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H', W'] for [N, C, H, W]."""
        if self.output_size in (1, (1, 1)) and input.dim() == 4 and is_batch_innermost(input):
            # torch averages whole images by a sum whose gradient is contiguous, wherever the input was
            return input.movedim(0, -1).flatten(1, 2).mean(1).t()[:, :, None, None]
        return _pooled(super().forward, input)


class InnermostAdaptiveMaxPool2d(nn.AdaptiveMaxPool2d):
    """``nn.AdaptiveMaxPool2d``, likewise."""

    def forward(self, input: Tensor) -> Tensor:
        """[N, C, H', W'] for [N, C, H, W]."""
        return super().forward(input) if self.return_indices else _pooled(super().forward, input)


def _pooled(pool: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`pool` of images. With examples and channels in each other's place, batch innermost is channels last to torch."""
    if x.dim() < 4 or not is_batch_innermost(x):
        return pool(x)
    return pool(x.transpose(0, 1)).transpose(0, 1)
