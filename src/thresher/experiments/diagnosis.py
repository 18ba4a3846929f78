"""Diagnosis: where a pruned network loses its signal before training starts, and what repairing its weights changes."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _NormBase

from thresher.analysis import collapse
from thresher.analysis.jacobian import jacobian_singular_values
from thresher.core.batch import Batch, Data, Loss, read_batches
from thresher.core.mask import Mask
from thresher.core.prunable import device_of, prunable
from thresher.core.untouched import untouched
from thresher.criteria.loss_gradient import leaves, loss_gradient
from thresher.experiments.layer_diagnosis import layer_rows, masked_weights, statistics
from thresher.procedures.approximate_isometry import approximate_isometry_
from thresher.procedures.orthogonality import orthogonality


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found: `report` is ready for JSON, `repaired` the model with repaired weights, or None."""

    report: dict[str, Any]
    repaired: nn.Module | None


def diagnose(
    model: nn.Module, mask: Mask, data: Data, *, loss: Loss | None = cross_entropy, repair: bool = False
) -> Diagnosis:
    """Signal propagation in `model` under `mask`, against the same weights without it and, if asked, repaired.

    model: with all the weights that training would start from, removed ones included where they are known; if all that
        was removed is zero there is no dense network to compare with.
    data: (inputs, targets) batches to look at; up to 16 of the examples for what is measured layer by layer.
    loss: None where there are no labels, and the targets are anything: what is derived from a loss is None then.
    repair: also measure a copy whose kept weights `procedures.approximate_isometry_` has moved.

    The report's top holds the pruned network's figures, `dense` and `repaired` the same for the others (or None), and
    `layers` a row per tensor under the mask. An infinite condition number is None. `answers_cut_off` counts the units
    of the model's last layer that no kept path reaches; `unsettled_normalization` says that batch normalization has
    seen no batch, so that evaluation mode, in which all is measured, does not normalize. The model is as it was
    afterwards.
    Raises what measuring raises: ArgumentError, NonFiniteError, MaskMismatchError, DataError.
    Cost: for each of the networks, that of the measures in `thresher.analysis`.
    """
    weights = mask.parameters_of(model)
    batches = list(read_batches(data, "diagnosis", device_of(weights)))
    known = any(bool((weight.detach()[~mask[name].to(weight.device)] != 0).any()) for name, weight in weights.items())
    cut = collapse(model, mask, batches[0][0])
    repaired, after = None, None
    if repair:
        repaired = copy.deepcopy(model)
        mask.apply_(repaired)  # also what the repair does not read, such as biases under a mask
        approximate_isometry_(repaired, mask)
        # which weights work is the mask's doing, and that is the same
        after = {"effective_sparsity": cut.effective_sparsity, **_measures(repaired, mask, batches, loss)}
    report = {
        "sparsity": mask.sparsity,
        "effective_sparsity": cut.effective_sparsity,
        "kept": mask.kept,
        "prunable": mask.total,
        "disconnected": cut.disconnected,
        "collapse": cut.describe(),
        "answers_cut_off": len(cut.units_without_input.get(list(prunable(model))[-1], ())),
        "unsettled_normalization": any(map(_saw_no_batch, model.modules())),
        **_measures(model, mask, batches, loss),
        "dense": _measures(model, None, batches, loss) if known else None,
        "repaired": after,
        "layers": layer_rows(model, mask, cut, batches, loss, repaired),
    }
    return Diagnosis(report, repaired)


def _saw_no_batch(module: nn.Module) -> bool:
    """Whether it normalizes by running statistics that are still those it was made with."""
    if not isinstance(module, _NormBase) or module.running_mean is None:
        return False
    # a checkpoint may bring statistics without the count of batches
    return not module.num_batches_tracked and not module.running_mean.any()


def _measures(model: nn.Module, mask: Mask | None, batches: list[Batch], loss: Loss | None) -> dict[str, Any]:
    """The figures of one network, by the names they have in the report."""
    found = jacobian_singular_values(model, batches, mask=mask)
    score = orthogonality(model, mask)
    return {
        **{f"jacobian_singular_{name}": value for name, value in statistics(found).items()},
        "condition_number": found.condition_number if math.isfinite(found.condition_number) else None,
        "jacobian_examples": found.examples,
        "jacobian_exact": found.exact,
        "orthogonality_score": score.score,
        "orthogonality_floor": score.floor,
        "first_order_decrease": None if loss is None else _first_order_decrease(model, mask, batches, loss),
    }


def _first_order_decrease(model: nn.Module, mask: Mask | None, batches: list[Batch], loss: Loss) -> float:
    """⟨g, g⟩ over what is trained, g the gradient of the mean loss: to first order, the loss lost per learning rate."""
    point = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    removed: Mapping[str, Tensor] = {}
    if mask is not None:
        point.update({name: weight for name, weight in masked_weights(model, mask).items() if name in point})
        removed = {name: ~keep for name, keep in mask.items()}
    point = leaves(point)
    sums = {name: torch.zeros_like(weight, dtype=torch.float64, requires_grad=False) for name, weight in point.items()}
    examples = 0
    with untouched(model, training=False):
        for batch in read_batches(batches, "first-order-decrease", device_of(point)):
            for total, gradient in zip(sums.values(), loss_gradient(model, point, loss, batch), strict=True):
                total.add_(gradient, alpha=len(batch[0]))
            examples += len(batch[0])
    for name, places in removed.items():
        if name in sums:  # else it is frozen
            sums[name].masked_fill_(places.to(sums[name].device), 0.0)
    return sum(float(total.square().sum()) for total in sums.values()) / examples**2
