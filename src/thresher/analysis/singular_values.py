"""Singular values of per-example Jacobians, pooled: their statistics, exact from rows or estimated from products."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from thresher.core.errors import NonFiniteError

_ROWS = 512  # Jacobians with more rows than this are not written out
_BYTES = 2**28  # nor those of one example beyond this
_STEPS = 30  # of Golub-Kahan bidiagonalization


@dataclass(frozen=True, eq=False)
class SingularValues:
    """Singular values σ of the Jacobians of several examples, pooled, and their statistics.

    values: float64 [n]. weights: float64 [n], the share of all singular values that each stands for; they sum to 1.
    examples: how many Jacobians. exact: whether `values` are all of them; otherwise they are the nodes of a
        quadrature, `mean` and `std` are estimates, `max` is at most and `min` at least the true one.

    `std` is that of the whole population; `condition_number` is max / min over all examples together, as thesis Table
    4.1 has it, and infinite where a singular value is 0.
    """

    values: Tensor
    weights: Tensor
    examples: int
    exact: bool

    @property
    def mean(self) -> float:
        """Σ w σ."""
        return float(self.weights @ self.values)

    @property
    def std(self) -> float:
        """√(Σ w (σ - mean)²)."""
        return math.sqrt(float(self.weights @ (self.values - self.mean).square()))

    @property
    def max(self) -> float:
        """The largest."""
        return float(self.values.max())

    @property
    def min(self) -> float:
        """The smallest."""
        return float(self.values.min())

    @property
    def condition_number(self) -> float:
        """The largest over the smallest."""
        return self.max / self.min if self.min > 0 else math.inf


def pooled(parts: list[SingularValues]) -> SingularValues:
    """All of `parts` together, each weighing by its examples."""
    examples = sum(part.examples for part in parts)
    return SingularValues(
        torch.cat([part.values for part in parts]),
        torch.cat([part.weights * (part.examples / examples) for part in parts]),
        examples,
        all(part.exact for part in parts),
    )


def rows_fit(num_outputs: int, num_inputs: int) -> bool:
    """Whether the Jacobian of one example is small enough to be written out."""
    return num_outputs <= _ROWS and 8 * num_outputs * num_inputs <= _BYTES


def examples_at_once(num_outputs: int, num_inputs: int) -> int:
    """For how many examples the Jacobians, or the vectors of the bidiagonalization, fit into memory together."""
    each = num_outputs * num_inputs if rows_fit(num_outputs, num_inputs) else _STEPS * (num_outputs + num_inputs)
    return max(1, _BYTES // (8 * each))


def singular_values(outputs: Tensor, inputs: Tensor, generator: torch.Generator) -> SingularValues:
    """Those of ∂outputs[b]/∂inputs[b] for every example b, of what autograd recorded from `inputs` to `outputs`.

    outputs [B, …] and inputs [B, …] belong to B examples that do not meet. Where the Jacobian is small it is written
    out, a backward pass a row, and decomposed in float64. Otherwise Golub-Kahan bidiagonalization from a random
    vector (drawn from `generator`), with full reorthogonalization, gives 30 quadrature nodes an example: their mean
    over random vectors is that of the singular values. What is rounding beside an example's largest is zero, as in
    numerical rank: below ε · longer side · largest.
    Raises NonFiniteError if a derivative is not finite.
    Cost: a backward pass per row, or 60 forward and backward passes.
    Source: Golub and Kahan (1965); the quadrature is that of Golub and Meurant (1994), with random vectors as in
    Ubaru, Chen, Saad (2017).
    """
    if rows_fit(outputs[0].numel(), inputs[0].numel()):
        rows = _rows(outputs, inputs)
        _require_finite(rows)
        values = _above_rounding(torch.linalg.svdvals(rows.double()), outputs, inputs).flatten()
        return SingularValues(values, torch.full_like(values, 1 / len(values)), len(inputs), exact=True)
    nodes, weights = _quadrature(outputs, inputs, generator)
    nodes = _above_rounding(nodes, outputs, inputs)
    seen = weights > 1e-12  # the others belong to directions that the vector has no part in
    return SingularValues(nodes[seen], weights[seen] / weights[seen].sum(), len(inputs), exact=False)


def _above_rounding(values: Tensor, outputs: Tensor, inputs: Tensor) -> Tensor:
    """`values` [B, k], largest first, with zeros for what is rounding beside the largest of its example."""
    longer = max(outputs[0].numel(), inputs[0].numel())
    least = torch.finfo(inputs.dtype).eps * longer * values[:, :1]
    return torch.where(values > least, values, 0.0)


def _rows(outputs: Tensor, inputs: Tensor) -> Tensor:
    """[B, outputs, inputs]."""
    flat = outputs.flatten(1)
    rows = []
    for k in range(flat.shape[1]):
        (row,) = torch.autograd.grad(flat[:, k].sum(), inputs, retain_graph=True, materialize_grads=True)
        rows.append(row.detach().flatten(1))
    return torch.stack(rows, dim=1)


def _quadrature(outputs: Tensor, inputs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Nodes and weights [B, steps] of the distribution of singular values, zeros of the longer side left out."""
    probe = torch.zeros_like(outputs, requires_grad=True)
    (pulled,) = torch.autograd.grad(outputs, inputs, probe, create_graph=True, materialize_grads=True)

    def pull(vector: Tensor) -> Tensor:
        (result,) = torch.autograd.grad(outputs, inputs, vector.view_as(outputs), retain_graph=True)
        return result.flatten(1)

    def push(vector: Tensor) -> Tensor:
        # linear in the probe, so its derivative by the probe is the Jacobian itself
        (result,) = torch.autograd.grad(pulled, probe, vector.view_as(inputs), retain_graph=True)
        return result.flatten(1)

    there, back = (pull, push) if outputs.numel() <= inputs.numel() else (push, pull)
    start = outputs if outputs.numel() <= inputs.numel() else inputs
    drawn = torch.randn(start.flatten(1).shape, generator=generator, dtype=torch.float64).to(start)
    lefts: list[Tensor] = [_unit(drawn)[0]]
    rights: list[Tensor] = []
    steps = min(_STEPS, outputs[0].numel(), inputs[0].numel())
    matrix = torch.zeros(len(inputs), steps, steps, dtype=start.dtype, device=start.device)
    for k in range(steps):
        right, matrix[:, k, k] = _unit(_apart(there(lefts[-1]), rights))
        rights.append(right)
        if k + 1 < steps:
            left, matrix[:, k + 1, k] = _unit(_apart(back(right), lefts))
            lefts.append(left)
    _require_finite(matrix)
    vectors, nodes, _ = torch.linalg.svd(matrix.double())
    return nodes, vectors[:, 0, :].square()


def _require_finite(derivatives: Tensor) -> None:
    if not bool(derivatives.isfinite().all()):
        raise NonFiniteError(
            "a derivative by the inputs is NaN or infinite: look at the inputs, and for functions without a slope there"
        )


def _apart(vectors: Tensor, others: list[Tensor]) -> Tensor:
    """`vectors` without their parts along `others`; twice, since once leaves rounding behind."""
    for _ in range(2):
        for other in others:
            vectors = vectors - (vectors * other).sum(1, keepdim=True) * other
    return vectors


def _unit(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """`vectors` at length 1, and their lengths; zeros where nothing is left."""
    lengths = vectors.norm(dim=1)
    tiny = torch.finfo(vectors.dtype).tiny
    return vectors / lengths.clamp_min(tiny)[:, None], lengths
