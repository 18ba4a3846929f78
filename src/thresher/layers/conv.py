"""Sparse convolutions in one and two dimensions."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from thresher import ops
from thresher.core.errors import ArgumentError
from thresher.layers.sparse_layer import SparseLayer, copied


class _SparseConv(SparseLayer):
    """What the convolutions share. In one dimension the images are one pixel high."""

    dense_class: ClassVar[type[_ConvNd]]
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, dense: _ConvNd, keep: Tensor) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.groups = dense.in_channels, dense.out_channels, dense.groups
        self.kernel_size, self.stride, self.dilation = dense.kernel_size, dense.stride, dense.dilation
        self.padding = dense.padding
        before, more_after = _zeros(dense)
        self._more_after = (0, more_after[1], 0, more_after[0]) if any(more_after) else None
        self._geometry = (_pair(dense.kernel_size, 1), _pair(dense.stride, 1), before, _pair(dense.dilation, 1))
        self.add_sparse_weight("weight", dense.weight, keep)
        self.register_parameter("bias", copied(dense.bias))

    @classmethod
    def supports(cls, module: nn.Module) -> bool:
        """Whether the convolution pads with zeros, if at all."""
        return isinstance(module, cls.dense_class) and module.padding_mode == "zeros"

    @classmethod
    def from_dense(cls, module: nn.Module, keep: Mapping[str, Tensor] | Tensor) -> Self:
        """The sparse form of a convolution; `keep` is its mask, or the bool tensor of its weight alone.

        Raises ArgumentError for another class of layer, and for padding with anything but zeros.
        """
        if not isinstance(module, cls.dense_class):
            raise ArgumentError(
                f"{cls.__name__} is made from an nn.{cls.dense_class.__name__}: got {type(module).__name__}"
            )
        if not cls.supports(module):
            raise ArgumentError(f"{cls.__name__} pads with zeros: leave a layer with {module.padding_mode!r} dense")
        layer = cls(module, keep if isinstance(keep, Tensor) else keep["weight"])
        return layer.train(module.training)

    def to_dense(self) -> nn.Module:
        """The plain convolution that computes the same."""
        build: Any = self.dense_class
        layer: nn.Module = build(
            self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding, self.dilation,
            self.groups, self.bias is not None, device="meta",
        )  # fmt: skip
        layer.register_parameter("weight", self.dense_parameter("weight"))
        layer.register_parameter("bias", copied(self.bias))
        return layer.train(self.training)

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """[N, O, …] for `x` [N, C, …], or both without N."""

    def convolved(self, x: Tensor) -> Tensor:
        """[N, O, H', W'] for images [N, C, H, W]."""
        return ops.conv2d(
            self._padded(x), self.weight, self.bias, self.topology_of("weight"), *self._geometry, self.groups
        )

    def example_square_norms(self, x: Tensor, gradient: Tensor) -> Tensor:
        """[N]: ‖∂ℓ_n/∂parameters‖² of each example, over what is trainable; see `ops.example_gradient_norms`."""
        norms = gradient.new_zeros(gradient.shape[0])
        if self.weight.requires_grad:
            images, maps = (t if t.dim() == 4 else t.unsqueeze(2) for t in (x, gradient))
            topology = self.topology_of("weight")
            norms += ops.conv2d_example_norms(self._padded(images), maps, topology, *self._geometry, self.groups)
        if self.bias is not None and self.bias.requires_grad:
            norms += gradient.flatten(2).sum(2).square().sum(1)
        return norms

    def _padded(self, x: Tensor) -> Tensor:
        return x if self._more_after is None else F.pad(x, self._more_after)

    def extra_repr(self) -> str:
        """Sizes, kept weights, sparsity."""
        said = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * len(self.kernel_size):
            said += f", padding={self.padding!r}"
        if self.dilation != (1,) * len(self.kernel_size):
            said += f", dilation={self.dilation}"
        if self.groups != 1:
            said += f", groups={self.groups}"
        return f"{said}, bias={self.bias is not None}, {self.kept_repr()}"


class SparseConv1d(_SparseConv):
    """``nn.Conv1d`` with only the kept weights stored, trained and multiplied; see `SparseConv2d`.

    >>> import torch
    >>> dense = nn.Conv1d(1, 1, 3, padding=1, bias=False)
    >>> layer = SparseConv1d.from_dense(dense, dense.weight > 9)
    >>> layer(torch.ones(1, 1, 4)).tolist()
    [[[0.0, 0.0, 0.0, 0.0]]]
    """

    dense_class = nn.Conv1d

    def forward(self, x: Tensor) -> Tensor:
        """[N, O, L'] for `x` [N, C, L], or both without N."""
        if x.dim() == 2:
            return self.convolved(x[None, :, None])[0, :, 0]
        return self.convolved(x.unsqueeze(2)).squeeze(2)


class SparseConv2d(_SparseConv):
    """``nn.Conv2d`` with only the kept weights stored, trained and multiplied.

    dense: the layer to take the geometry and the kept weights from, where the bool tensor keep [O, C/groups, kh, kw]
    is true. The layer's own `weight` is a Parameter [kept]. Any stride, zero padding ('same' and 'valid' too),
    dilation and groups. Inputs are [N, C, H, W] of any strides; the output lies batch innermost in memory, as
    `ops.conv2d` says, which also has what is raised.
    Cost per example: kept · H' · W' multiply-adds forward, twice that backward; where 'same' pads one side more
    than the other, a copy of the input.

    >>> import torch
    >>> dense = nn.Conv2d(1, 2, 3, bias=False)
    >>> SparseConv2d.from_dense(dense, torch.ones(2, 1, 3, 3, dtype=torch.bool))
    SparseConv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), bias=False, kept=18, sparsity=0)
    """

    dense_class = nn.Conv2d

    def forward(self, x: Tensor) -> Tensor:
        """[N, O, H', W'] for `x` [N, C, H, W], or both without N."""
        return self.convolved(x[None])[0] if x.dim() == 3 else self.convolved(x)


def _pair(sizes: tuple[int, ...], height: int) -> tuple[int, int]:
    return (sizes[0], sizes[1]) if len(sizes) == 2 else (height, sizes[0])


def _zeros(dense: _ConvNd) -> tuple[tuple[int, int], tuple[int, int]]:
    """Zeros on either side, in height and width, and how many more at the end, where 'same' needs an odd number."""
    if dense.padding == "same":
        sums = _pair(tuple(d * (k - 1) for d, k in zip(dense.dilation, dense.kernel_size, strict=True)), 0)
        return (sums[0] // 2, sums[1] // 2), (sums[0] % 2, sums[1] % 2)
    if dense.padding == "valid":
        return (0, 0), (0, 0)
    return _pair(tuple(int(p) for p in dense.padding), 0), (0, 0)
