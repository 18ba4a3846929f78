"""Layer by layer: what a pruned network keeps, what of it works, and how signals pass."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from thresher.analysis import Collapse
from thresher.analysis.layerwise_jacobian import layerwise_jacobian
from thresher.analysis.sensitivity import QUANTILES, sensitivity
from thresher.analysis.signal_norms import signal_norms
from thresher.analysis.singular_values import SingularValues
from thresher.core.batch import Batch, Loss
from thresher.core.mask import Mask
from thresher.criteria import SNIP
from thresher.procedures.orthogonality import orthogonality

_EXAMPLES = 16  # layers have many units, and each costs a backward pass


def layer_rows(
    model: nn.Module, mask: Mask, cut: Collapse, batches: list[Batch], loss: Loss | None, repaired: nn.Module | None
) -> list[dict[str, Any]]:
    """One row per tensor under `mask`, ready for JSON; what belongs to a layer stands with each of its tensors.

    cut: what `analysis.collapse` found. loss: None leaves out gradients and sensitivities. repaired: the model with
    repaired weights, for the columns that say so.
    Jacobians of layers are those of the first 16 examples, everything else of all.
    Cost: that of the measures in `thresher.analysis`.
    """
    few = list(_first_examples(batches))
    jacobians = layerwise_jacobian(model, few, mask=mask)
    after = {} if repaired is None else layerwise_jacobian(repaired, few, mask=mask)
    norms = signal_norms(model, batches, loss or _any_loss, mask=mask)
    kept = masked_weights(model, mask)
    felt = {} if loss is None else sensitivity(SNIP(loss).scores(model, kept, batches), mask)
    score = {layer.name: layer for layer in orthogonality(model, mask).layers}
    mended = {} if repaired is None else {layer.name: layer.score for layer in orthogonality(repaired, mask).layers}
    rows = []
    for name, keep in mask.items():
        layer = name.rpartition(".")[0]
        units = len(keep)
        idle = {*cut.units_without_input.get(name, ()), *cut.units_without_output.get(name, ())}
        norm, own = norms.get(layer), felt.get(name)
        quantiles = None if own is None else own.quantiles
        rows.append(
            {
                "name": name,
                "shape": list(keep.shape),
                "total": keep.numel(),
                "kept": int(keep.sum()),
                "sparsity": mask.sparsities[name],
                "effective": int(cut.effective[name].sum()),
                "units": units,
                "live_units": units - len(idle),
                "units_without_input": len(cut.units_without_input.get(name, ())),
                "units_without_output": len(cut.units_without_output.get(name, ())),
                "jacobian": _statistics_or_none(jacobians.get(layer)),
                "jacobian_repaired": _statistics_or_none(after.get(layer)),
                "orthogonality_score": score[name].score if name in score else None,
                "orthogonality_floor": score[name].floor if name in score else None,
                "orthogonality_score_repaired": mended.get(name),
                "activation_norm": None if norm is None else norm.activation,
                "gradient_norm": None if norm is None or loss is None else norm.gradient,
                "sensitivity_quantiles": dict(zip(map(str, QUANTILES), quantiles or (), strict=False)),
                "sensitivity_share": None if own is None else own.share,
            }
        )
    return rows


def _any_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """For activations, whose sizes do not depend on the loss that is measured with them."""
    return outputs.mean()


def _first_examples(batches: list[Batch]) -> Iterator[tuple[Tensor, Tensor]]:
    left = _EXAMPLES
    for inputs, targets in batches:
        if left > 0:
            yield inputs[:left], targets[:left]
        left -= len(inputs)


def _statistics_or_none(found: SingularValues | None) -> dict[str, float] | None:
    return None if found is None else {**statistics(found), "exact": found.exact, "examples": found.examples}


def statistics(found: SingularValues) -> dict[str, float]:
    """Mean, std, max and min by name."""
    return {name: getattr(found, name) for name in ("mean", "std", "max", "min")}


def masked_weights(model: nn.Module, mask: Mask) -> dict[str, Tensor]:
    """Name → the weight under `mask`, removed entries zero; copies."""
    return {
        name: weight.detach().masked_fill(~mask[name].to(weight.device), 0.0)
        for name, weight in mask.parameters_of(model).items()
    }
