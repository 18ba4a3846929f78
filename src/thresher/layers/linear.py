"""Sparse linear layer."""

from collections.abc import Mapping
from typing import Self

from torch import Tensor, nn

from thresher import ops
from thresher.core.errors import ArgumentError
from thresher.layers.sparse_layer import SparseLayer, copied


class SparseLinear(SparseLayer):
    """x·Wᵀ + b like ``nn.Linear``, with only the kept entries of W stored, trained and multiplied.

    weight: [out, in] tensor to take the kept values from, where the bool tensor keep is true. bias: [out] or None.
    The layer's own `weight` is a Parameter [kept]. Inputs are [..., in] of any strides; the output lies batch
    innermost in memory, as `ops.linear` says, which also has what is raised.
    Cost per example: kept multiply-adds forward, twice that backward.

    >>> import torch
    >>> dense = nn.Linear(2, 1)
    >>> layer = SparseLinear.from_dense(dense, torch.tensor([[True, False]]))
    >>> layer
    SparseLinear(in_features=2, out_features=1, bias=True, kept=1, sparsity=0.5)
    >>> x = torch.tensor([[3.0, float("inf")]])  # a removed connection carries nothing
    >>> torch.allclose(layer(x), x[:, :1] * dense.weight[0, 0] + dense.bias)
    True
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, weight: Tensor, keep: Tensor, bias: Tensor | None = None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.add_sparse_weight("weight", weight, keep)
        self.register_parameter("bias", copied(bias))

    @classmethod
    def supports(cls, module: nn.Module) -> bool:
        """True: every ``nn.Linear`` has a sparse form."""
        return True

    @classmethod
    def from_dense(cls, module: nn.Module, keep: Mapping[str, Tensor] | Tensor) -> Self:
        """The sparse form of an ``nn.Linear``; `keep` is its mask, or the bool tensor of its weight alone."""
        if not isinstance(module, nn.Linear):
            raise ArgumentError(f"SparseLinear is made from an nn.Linear: got {type(module).__name__}")
        layer = cls(module.weight, keep if isinstance(keep, Tensor) else keep["weight"], module.bias)
        return layer.train(module.training)

    def to_dense(self) -> nn.Linear:
        """The ``nn.Linear`` that computes the same."""
        layer = nn.Linear(self.in_features, self.out_features, bias=self.bias is not None, device="meta")
        layer.weight = self.dense_parameter("weight")
        layer.register_parameter("bias", copied(self.bias))
        return layer.train(self.training)

    def forward(self, x: Tensor) -> Tensor:
        """[..., out] for `x` [..., in]."""
        return ops.linear(x, self.weight, self.bias, self.topology_of("weight"))

    def example_square_norms(self, x: Tensor, gradient: Tensor) -> Tensor:
        """[N]: ‖∂ℓ_n/∂parameters‖² of each example, over what is trainable; see `ops.example_gradient_norms`."""
        norms = gradient.new_zeros(gradient.shape[0])
        if self.weight.requires_grad:
            norms += ops.linear_example_norms(x, gradient, self.topology_of("weight"))
        if self.bias is not None and self.bias.requires_grad:
            norms += gradient.unsqueeze(1).flatten(1, -2).sum(1).square().sum(1)
        return norms

    def extra_repr(self) -> str:
        """Sizes, kept weights, sparsity."""
        sizes = f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        return f"{sizes}, {self.kept_repr()}"
