"""Prune: criterion × allocation × pattern × schedule → mask."""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from thresher.allocations import Allocation
from thresher.core.batch import Data
from thresher.core.errors import ArgumentError, NonFiniteError
from thresher.core.mask import Mask
from thresher.core.prunable import prunable, resolve_protected
from thresher.criteria import Criterion
from thresher.layers import SparseLayer
from thresher.patterns import Pattern, Unstructured
from thresher.procedures.settle_collapse import OnCollapse, check_on_collapse, settle_collapse
from thresher.procedures.target import Target
from thresher.schedules import OneShot, Schedule


def prune(
    model: nn.Module,
    criterion: Criterion,
    *,
    sparsity: float | Mapping[str, float] | None = None,
    data: Data | None = None,
    allocation: Allocation | None = None,
    pattern: Pattern | None = None,
    schedule: Schedule | None = None,
    parameters: Iterable[str] | Mapping[str, nn.Parameter] | None = None,
    protect: Iterable[str] = (),
    start: Mask | None = None,
    on_collapse: OnCollapse = "warn",
    example: Tensor | None = None,
) -> Mask:
    """The mask that `criterion` gives `model` at `sparsity`; the model is not touched.

    sparsity: fraction of all prunable weights to remove, in [0, 1), protected ones counted among them; a dict
        gives it per tensor instead; None is allowed where `pattern` fixes it (n:m).
    data: (inputs, targets) batches for criteria that read examples: a list, a DataLoader, one batch in a list.
    allocation: how the kept weights are divided among tensors. Default `Global()`.
    pattern: which shapes may go. Default `Unstructured()`.
    schedule: in how many rounds, and how fast. Default `OneShot()`. Each round scores the network under the mask
        so far; a removed weight never comes back.
    parameters: names or patterns of what to prune (`["features.*"]`), or a dict as from `prunable`. Default: the
        weights of linear, convolutional, recurrent and attention layers.
    protect: names, patterns, "first" or "last": these tensors stay dense.
    start: a mask to go on from; what it removed stays removed.
    on_collapse: what to do if the mask empties a layer or cuts every path: "warn" (CollapseWarning), "raise"
        (CollapseError), "repair" (each empty layer gets its best weight back, the worst of the rest goes, the
        total stays; unstructured masks only), "ignore".
    example: a tensor shaped as one batch of inputs, where the model does not tell its input's shape.

    The number of kept weights is round((1 - sparsity) · all) exactly for unstructured masks; for blocks and channels
    each tensor comes as near to its share as whole groups allow. Ties go to the earlier tensor, then the lower index.

    Raises ArgumentError for bad arguments, MaskMismatchError if `start` is for another model, NothingToPruneError,
    NonFiniteError for scores that are NaN or infinite, and what the criterion raises.
    Cost: rounds × the criterion's cost, and one selection over all weights a round.

    >>> _ = torch.manual_seed(0)
    >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4))
    >>> from thresher.criteria import Magnitude
    >>> prune(net, Magnitude(), sparsity=0.75)
    Mask(2 tensors, 48 of 192 kept, sparsity 0.7500)
    """
    _require_objects(model=model, criterion=criterion, allocation=allocation, pattern=pattern, schedule=schedule)
    if example is not None and not isinstance(example, Tensor):
        raise ArgumentError(f"example is a tensor shaped as one batch: got {type(example).__name__}")
    pattern = Unstructured() if pattern is None else pattern
    schedule = OneShot() if schedule is None else schedule
    check_on_collapse(on_collapse, pattern)  # before the rounds, not after them
    if isinstance(protect, str):
        raise ArgumentError(f"protect is a list of names: pass [{protect!r}]")
    if schedule.rounds > 1 and isinstance(data, Iterator):
        data = list(data)  # every round reads it
    tensors = _chosen(model, parameters)
    protected = resolve_protected(list(tensors), protect)
    mask = Mask.full(tensors) if start is None else _started(tensors, start)
    target = Target.of(mask, protected, sparsity, allocation, pattern)

    beyond_repair = protected | {n for n, m in mask.items() if not m.any()}
    last_alive: dict[str, Tensor] = {}  # the scores of each tensor in the last round that found something in it
    for number in range(1, schedule.rounds + 1):
        weights = {n: p.detach().masked_fill(~mask[n], 0.0) for n, p in tensors.items()}
        scores = _checked(criterion.scores(model, weights, data, example), weights, type(criterion).__name__)
        # a removed weight must not come back, whatever it scores
        scores = {n: s.masked_fill(~mask[n], -torch.inf) for n, s in scores.items()}
        if on_collapse == "repair":
            last_alive |= {n: s for n, s in scores.items() if n not in last_alive or mask[n].any()}
        pooled = {n: pattern.pooled(s, n) for n, s in scores.items() if n not in protected}
        counts = target.counts(pooled, schedule, number / schedule.rounds)
        mask = Mask({n: pattern.mask(scores[n], counts[n], n) & m if n in counts else m for n, m in mask.items()})
    return settle_collapse(model, mask, last_alive, beyond_repair, on_collapse, example)


def _require_objects(**parts: object) -> None:
    for name, part in parts.items():
        if isinstance(part, str | type):
            came = part.__name__ if isinstance(part, type) else repr(part)
            raise ArgumentError(f"{name} is an object, such as th.SNIP(loss) or th.ERK(): got {came}")
    if not isinstance(parts["model"], nn.Module):
        raise ArgumentError(f"model is a torch.nn.Module: got {type(parts['model']).__name__}")
    stored = [name for name, module in parts["model"].named_modules() if isinstance(module, SparseLayer)]
    if stored:
        raise ArgumentError(
            f"{', '.join(stored)} store kept weights only, and there is nothing to score for the others: prune "
            "th.densify(model), with start= for the mask it has"
        )


def _chosen(model: nn.Module, parameters: Iterable[str] | Mapping[str, nn.Parameter] | None) -> dict[str, nn.Parameter]:
    if parameters is None:
        return prunable(model)
    if isinstance(parameters, str):
        raise ArgumentError(f"parameters is a list of names: pass [{parameters!r}]")
    return prunable(model, only=list(parameters))


def _started(tensors: Mapping[str, Tensor], start: Mask) -> Mask:
    start.require_like(Mask.full(tensors))
    return Mask({name: start[name].to(tensor.device) for name, tensor in tensors.items()})


def _checked(scores: dict[str, Tensor], weights: Mapping[str, Tensor], criterion: str) -> dict[str, Tensor]:
    expected, came = ({n: tuple(t.shape) for n, t in tensors.items()} for tensors in (weights, scores))
    if came != expected:
        wrong = {n: came.get(n) for n in {**expected, **came} if came.get(n) != expected.get(n)}
        raise ArgumentError(f"{criterion} must score every weight it is given and no other: shapes {wrong} differ")
    for name, score in scores.items():
        if not bool(score.isfinite().all()):
            bad = int((~score.isfinite()).sum())
            raise NonFiniteError(
                f"{criterion} scores of {name}: {bad} of {score.numel()} are NaN or infinite; check the weights, "
                "the inputs and the loss"
            )
    return scores
