"""torch's compressed sparse rows, linear layers only, used as well as they can be."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from thresher.bench.contender import Contender, Unable, Variant, swapped
from thresher.core.mask import Mask


class CSRLinear(nn.Module):
    """A linear layer of torch's own sparse products, its kept values a 1-D parameter.

    torch's autograd gives a parameter in compressed rows a dense gradient that its optimizers refuse, and
    multiplies by a transpose ten times as slowly as by the same matrix in rows of its own. So both orders are kept
    here, and the gradient of the values is torch's sampled product.
    """

    def __init__(self, linear: nn.Linear, keep: Tensor) -> None:
        super().__init__()
        self.out_features, self.in_features = keep.shape
        rows, columns = keep.nonzero(as_tuple=True)
        order = torch.argsort(columns, stable=True)
        self.values = nn.Parameter(linear.weight.detach()[keep])
        self.bias = linear.bias
        # 32-bit indices are what MKL takes as they are
        self.register_buffer("row_pointers", _pointers(rows, self.out_features))
        self.register_buffer("columns", columns.int())
        self.register_buffer("column_pointers", _pointers(columns, self.in_features))
        self.register_buffer("rows", rows[order].int())
        self.register_buffer("order", order)

    def forward(self, inputs: Tensor) -> Tensor:
        """[N, out_features] of `inputs` [N, in_features]."""
        product: Tensor = _Product.apply(inputs, self.values, self)  # type: ignore[no-untyped-call]
        return product if self.bias is None else product + self.bias

    def matrix(self, values: Tensor) -> Tensor:
        """The weights [out_features, in_features] in compressed rows."""
        pointers, columns = self.get_buffer("row_pointers"), self.get_buffer("columns")
        return _compressed(pointers, columns, values, (self.out_features, self.in_features))

    def transpose(self, values: Tensor) -> Tensor:
        """The weights' transpose [in_features, out_features] in compressed rows."""
        pointers, rows = self.get_buffer("column_pointers"), self.get_buffer("rows")
        return _compressed(pointers, rows, values[self.get_buffer("order")], (self.in_features, self.out_features))


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, inputs: Tensor, values: Tensor, layer: CSRLinear) -> Tensor:
        ctx.save_for_backward(inputs, values)
        ctx.layer = layer
        return (layer.matrix(values) @ inputs.t()).t()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, None]:
        inputs, values = ctx.saved_tensors
        gradient = gradients[0].t()
        to_inputs = (ctx.layer.transpose(values) @ gradient).t() if ctx.needs_input_grad[0] else None
        sampled = torch.sparse.sampled_addmm(ctx.layer.matrix(values), gradient, inputs, beta=0.0)
        return to_inputs, sampled.values(), None


def _pointers(indices: Tensor, count: int) -> Tensor:
    counts = torch.bincount(indices, minlength=count)
    return torch.cat([counts.new_zeros(1), counts.cumsum(0)]).int()


def _compressed(pointers: Tensor, indices: Tensor, values: Tensor, shape: tuple[int, int]) -> Tensor:
    return torch.sparse_csr_tensor(pointers, indices, values, shape, check_invariants=False)


def linear_only(layer: nn.Module) -> nn.Linear:
    """`layer`, if it is a linear one; raises Unable if not."""
    if not isinstance(layer, nn.Linear):
        raise Unable("linear layers only")
    return layer


def _build(model: nn.Module, mask: Mask, inputs: Tensor) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls the format beta, once a process
        torch.eye(1).to_sparse_csr()
    return swapped(model, mask, lambda layer, keep: CSRLinear(linear_only(layer), keep))


CSR = Contender({"rows": Variant(_build)})
