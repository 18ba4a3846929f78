"""From a recipe's words to the parts that `prune` composes."""

from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from thresher.allocations import ALLOCATIONS, Allocation
from thresher.core.batch import Loss
from thresher.core.errors import ArgumentError, unknown_name
from thresher.criteria import SNIP, Criterion, GradientMagnitude, GraSP, Magnitude, Random, SynFlow
from thresher.criteria.unlabelled import UNLABELLED, JacobianNorm
from thresher.patterns import PATTERNS, Block, Channel, NofM, Pattern, Unstructured
from thresher.schedules import SCHEDULES, OneShot, Schedule

# method name → the criterion for a loss and a generator; None prunes nothing
METHODS: dict[str, Callable[[Loss, torch.Generator], Criterion] | None] = {
    "dense": None,
    "random": lambda loss, generator: Random(generator),
    "magnitude": lambda loss, generator: Magnitude(),
    "gradient-magnitude": lambda loss, generator: GradientMagnitude(loss),
    "gradient": lambda loss, generator: GradientMagnitude(loss, times_weight=False),
    "snip": lambda loss, generator: SNIP(loss),
    "snip-mean-of-abs": lambda loss, generator: SNIP(loss, reduction="mean-of-abs"),
    "grasp": lambda loss, generator: GraSP(loss),
    "synflow": lambda loss, generator: SynFlow(),
}

# name → the loss that data-dependent criteria differentiate; all but the first do without labels
SCORE_LOSSES: dict[str, Loss] = {
    "labels": cross_entropy,
    **UNLABELLED,
    "jacobian-1": JacobianNorm(order=1),
    "jacobian-2": JacobianNorm(order=2),
}


def criterion_of(method: str, loss: Loss, generator: torch.Generator) -> Criterion:
    """The criterion called `method`; UnknownNameError, with the near miss, if there is none."""
    make = METHODS.get(method)
    if make is None:
        raise unknown_name("method", method, [name for name in METHODS if name != "dense"])
    return make(loss, generator)


def allocation_of(name: str) -> Allocation:
    """The allocation called `name`; UnknownNameError, with the near miss, if there is none."""
    if name not in ALLOCATIONS or name == "per-tensor":
        raise unknown_name("allocation", name, [known for known in ALLOCATIONS if known != "per-tensor"])
    return ALLOCATIONS[name]()


def schedule_of(method: str, name: str | None, rounds: int | None) -> Schedule:
    """The schedule called `name` in `rounds`; where they are None, as the method's paper has it.

    >>> schedule_of("synflow", None, None), schedule_of("snip", None, None), schedule_of("snip", None, 5)
    (Exponential(rounds=100), OneShot(), Exponential(rounds=5))
    """
    if name is None:
        name = "exponential" if method == "synflow" or (rounds or 1) > 1 else "one-shot"
    if name not in SCHEDULES:
        raise unknown_name("schedule", name, SCHEDULES)
    if name == "one-shot":
        if rounds not in (None, 1):
            raise ArgumentError(f"one-shot pruning has one round: got rounds={rounds}")
        return OneShot()
    kind: Callable[..., Schedule] = SCHEDULES[name]
    return kind() if rounds is None else kind(rounds)


def pattern_of(text: str) -> Pattern:
    """The pattern that `text` writes: 'unstructured', 'channel', 'block:4x4', or n:m as '2:4'.

    >>> pattern_of("2:4"), pattern_of("block:4x1")
    (NofM(n=2, m=4, axis=1), Block(shape=(4, 1), pool='mean'))
    """
    if text == "unstructured":
        return Unstructured()
    if text == "channel":
        return Channel()
    kind, _, rest = text.partition(":")
    try:
        if kind == "block":
            return Block(tuple(int(side) for side in rest.split("x")))
        return NofM(int(kind), int(rest))
    except ValueError as error:
        if isinstance(error, ArgumentError):
            raise
        near = unknown_name("pattern", text, PATTERNS)
        raise ArgumentError(f"{near}; written 'unstructured', 'channel', 'block:4x4' or '2:4'") from None
