"""SynFlow: the flow of the all-positive network through each weight; needs no data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from thresher.core.batch import Data
from thresher.core.errors import NonFiniteError
from thresher.core.example import example_input
from thresher.core.untouched import call_with, untouched
from thresher.criteria.positive_twin import PositiveTwin


@dataclass(frozen=True)
class SynFlow:
    """|θ| ⊙ ∂R/∂|θ| with R = 1ᵀ f_{|θ|}(1): the share of the ℓ1 path norm that flows through each weight.

    For a chain of linear maps this is Eq. 7 of the research notes, [1ᵀ∏|θ^{k>l}|]_i |θ_ij| [∏|θ^{k<l}| 1]_j, and
    sums to the same R in every layer. Meant to be used over many rounds: `Exponential(100)`.

    dtype: the precision of the twin, float64 by default because R spans hundreds of orders of magnitude in deep
        networks; None keeps the model's own.

    Only the shape of `example` counts; `data` is not read. Raises NonFiniteError, naming the parameter, if the
    flow overflows. Cost: one forward and backward pass with one example, per round.
    Source: Tanaka et al. (2020), equation 1 and algorithm 1. Readings and departures: every parameter of the twin
    is made positive, biases and norm scales too, as in the authors' code; batch norm is evaluated with a running
    mean of zero (the authors take the mean's absolute value, which would subtract; at initialisation both are
    zero) and norms by the example's own statistics, which would cancel an all-ones input, are reduced to their
    scale and shift; saturating activations (tanh, sigmoid, hardsigmoid, hardtanh, relu6), softmax and log_softmax
    act as the identity on this positive input, as the linear product of equation 6 has it: run as they are they
    would flatten the flow to zero or subtract from it. LSTM and GRU are unrolled into sums over their gates, with
    the memory of the unit passed on. Attention weighs by a softmax inside its own kernel, so queries and keys get
    no flow: protect them or give them a sparsity of their own.

    >>> net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU(), nn.Linear(2, 1, bias=False))
    >>> weights = {"0.weight": torch.tensor([[1.0, -2.0], [3.0, 4.0]]), "2.weight": torch.tensor([[-1.0, 2.0]])}
    >>> {n: s.tolist() for n, s in SynFlow().scores(net, weights).items()}
    {'0.weight': [[1.0, 2.0], [6.0, 8.0]], '2.weight': [[3.0, 14.0]]}
    """

    reads_data: ClassVar[bool] = False
    dtype: torch.dtype | None = torch.float64

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """|θ| ⊙ ∂R/∂|θ| for every weight; see Criterion.scores."""
        point = {name: self._cast(weight.detach().abs()).requires_grad_() for name, weight in weights.items()}
        others = {name: self._cast(p.detach().abs()) for name, p in model.named_parameters() if name not in weights}
        buffers = {n: self._cast(b.detach().clone()) for n, b in model.named_buffers() if b.is_floating_point()}
        given = example_input(model, example)  # tokens stay what they are: ones would all be the same word
        ones = torch.ones_like(given, dtype=_dtype(point)) if given.is_floating_point() else given
        with untouched(model, training=False), torch.enable_grad(), PositiveTwin():
            flow = call_with(model, {**others, **point}, ones, buffers).sum()
            gradients = torch.autograd.grad(flow, list(point.values()), allow_unused=True, materialize_grads=True)
        scores = {n: (w.detach() * g).abs() for (n, w), g in zip(point.items(), gradients, strict=True)}
        for name, score in scores.items():
            if not bool(score.isfinite().all()):
                raise NonFiniteError(
                    f"the synaptic flow overflows {score.dtype} at {name}: use SynFlow(dtype=torch.float64), or "
                    "scale the initial weights down"
                )
        return scores

    def _cast(self, tensor: Tensor) -> Tensor:
        return tensor if self.dtype is None else tensor.to(self.dtype)


def _dtype(tensors: Mapping[str, Tensor]) -> torch.dtype:
    return next(iter(tensors.values())).dtype
