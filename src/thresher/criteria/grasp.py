"""GraSP: keep the weights whose removal would most reduce the gradient flow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from thresher.core.batch import Data, Loss, read_batches
from thresher.core.errors import ArgumentError
from thresher.core.prunable import device_of
from thresher.core.untouched import untouched
from thresher.criteria.loss_gradient import leaves, loss_gradient


@dataclass(frozen=True)
class GraSP:
    """θ ⊙ Hg: the first-order loss of ‖g‖² (gradient flow) when a weight is removed.

    g and H are gradient and Hessian of the mean loss over all of `data`, by the prunable weights alone, with the
    outputs divided by `temperature`.

    loss: (outputs, targets) → the mean loss of the batch, one number.
    temperature: divides the logits, 200 in the authors' experiments, which keeps the softmax near uniform.
    training: training mode, so that batch norm uses the batch's statistics, as the authors do; its running
        statistics come back. Raises ArgumentError for a temperature that is not positive; otherwise as SNIP does.

    Cost: two forward-backward passes over `data` plus one double backward; `data` is read twice (batches must
    come in the same division both times, the order does not matter). Memory of one batch's double graph.
    Source: Wang, Zhang, Grosse (2020), equation 8: S(-θ) = -θ ⊙ Hg, of which the *largest* are removed. Here a
    higher score is kept, so the sign is turned: scores are -S. Scores are signed, and a removed weight scores 0,
    above kept ones: `prune` bars removed weights from coming back. In later rounds the flow is that of the kept
    weights: a weight that is exactly zero counts as removed, and its gradient is left out of g. Departures: the
    authors draw new weights for linear layers in the scoring copy only; we score the network that will be trained.

    >>> _ = torch.manual_seed(0)
    >>> net, x, y = nn.Linear(3, 2), torch.randn(8, 3), torch.randint(2, (8,))
    >>> GraSP(nn.functional.cross_entropy).scores(net, {"weight": net.weight}, [(x, y)])["weight"].shape
    torch.Size([2, 3])
    """

    reads_data: ClassVar[bool] = True
    loss: Loss
    temperature: float = 200.0
    training: bool = True

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ArgumentError(f"temperature divides the logits and is positive: got {self.temperature}")

    def scores(
        self,
        model: nn.Module,
        weights: Mapping[str, Tensor],
        data: Data | None = None,
        example: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """θ ⊙ Hg for every weight; see Criterion.scores."""
        point = leaves(weights)
        device = device_of(weights)
        if isinstance(data, Iterator):  # iter() of a DataLoader would draw from the global generator
            data = list(data)  # two passes over what can be read once
        gradient = [torch.zeros_like(weight, requires_grad=False) for weight in point.values()]
        examples = 0
        # fused attention kernels have no second derivative
        with untouched(model, self.training), sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
            for batch in read_batches(data, "grasp", device):
                examples += len(batch[0])
                parts = loss_gradient(model, point, self.loss, batch, temperature=self.temperature)
                for total, part in zip(gradient, parts, strict=True):
                    total.add_(part, alpha=len(batch[0]))
            for total, weight in zip(gradient, point.values(), strict=True):
                total.masked_fill_(weight == 0, 0.0)
            product = [torch.zeros_like(total) for total in gradient]
            for batch in read_batches(data, "grasp", device):
                parts = loss_gradient(model, point, self.loss, batch, temperature=self.temperature, create_graph=True)
                for total, part in zip(product, self._hessian_product(parts, gradient, point), strict=True):
                    total.add_(part, alpha=len(batch[0]))
        return {
            name: weight.detach() * total / examples**2
            for (name, weight), total in zip(point.items(), product, strict=True)
        }

    @staticmethod
    def _hessian_product(
        parts: tuple[Tensor, ...], vector: list[Tensor], point: Mapping[str, Tensor]
    ) -> tuple[Tensor, ...]:
        dot = sum((part * v).sum() for part, v in zip(parts, vector, strict=True))
        if not isinstance(dot, Tensor) or not dot.requires_grad:  # piecewise linear loss: no curvature
            return tuple(torch.zeros_like(v) for v in vector)
        return torch.autograd.grad(dot, list(point.values()), allow_unused=True, materialize_grads=True)
