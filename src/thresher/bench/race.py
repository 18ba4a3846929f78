"""The times of one heat as rows of the document."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from thresher.analysis import Cost, cost
from thresher.bench.cases import CASES
from thresher.bench.contenders import CONTENDERS, OURS, YARDSTICK
from thresher.bench.entrants import Entrant, Field, Heat
from thresher.bench.interleave import Seconds, interleave
from thresher.bench.spread import ratios, spread

Row: TypeAlias = dict[str, Any]
_BOTH = "forward+backward"


def race(heat: Heat, names: Sequence[str], rounds: int, peak: float) -> list[Row]:
    """One row for each thing timed: forward, backward and both of a layer, the step of a network, or inference.

    A row: `case`, `kind`, `what`, `batch`, `sparsity`; `contenders`, by name; `absent`, the reasons of those that
    do not take the case. A contender: its fastest `variant`; `seconds` a call and `speedup` over dense, as median,
    quartiles and count; `behind`, how many times as long as Thresher it takes, the same way; `multiply_adds` a call
    (those with a convolution's padding among them) and their share of `peak` (`peak_share`);
    `bytes` that a network's training holds, and their ratio to dense; `samples`, seconds by variant and round;
    `rejected`, variants left out and why. Ratios are taken within rounds, between the variants that are fastest by
    their medians.
    """
    field = Field(heat, names)
    works = {_key(entrant): entrant.work for entrant in field.entrants}
    samples = interleave(works, rounds)
    price = cost(field.model, field.mask, field.inputs[:1])
    case = CASES[heat.case]
    phases = list(field.entrants[0].work)
    whats = {phase: phase for phase in phases} | ({"total": _BOTH} if len(phases) > 1 else {})
    return [
        {
            "case": heat.case,
            "kind": case.kind,
            "what": what,
            "batch": heat.batch,
            "sparsity": heat.sparsity,
            "contenders": _contenders(field, samples, phase, what, heat.batch, price, peak),
            "absent": field.absent,
        }
        for phase, what in whats.items()
    ]


def _key(entrant: Entrant) -> str:
    return f"{entrant.contender}/{entrant.variant}"


def _contenders(
    field: Field, samples: Mapping[str, list[Seconds]], phase: str, what: str, batch: int, price: Cost, peak: float
) -> dict[str, Row]:
    seconds = {key: [sample[phase] for sample in taken] for key, taken in samples.items()}
    best: dict[str, Entrant] = {}
    for entrant in field.entrants:
        known = best.get(entrant.contender)
        if known is None or _median(seconds[_key(entrant)]) < _median(seconds[_key(known)]):
            best[entrant.contender] = entrant
    dense = seconds[_key(best[YARDSTICK])]
    ours = seconds[_key(best[OURS])] if OURS in best else None
    dense_held = field.held(best[YARDSTICK])
    rows = {}
    for name, entrant in best.items():
        own, held = seconds[_key(entrant)], field.held(entrant)
        multiply_adds = batch * _multiply_adds(price, what, CONTENDERS[name].sparse)
        rows[name] = {
            "variant": entrant.variant,
            "seconds": spread(own),
            "speedup": ratios(dense, own),
            "behind": None if ours is None else ratios(own, ours),
            "multiply_adds": multiply_adds,
            "peak_share": multiply_adds / (_median(own) * peak),
            "bytes": held and dense_held and {**held, "ratio": held["total"] / dense_held["total"]},
            "samples": {e.variant: seconds[_key(e)] for e in field.entrants if e.contender == name},
            "rejected": field.rejected.get(name, {}),
        }
    return rows


def _median(samples: Sequence[float]) -> float:
    return spread(samples)["median"]


def _multiply_adds(price: Cost, what: str, sparse: bool) -> int:
    """Multiply-adds for one example; a backward pass does twice those of the forward pass."""
    macs = [(layer.kept_macs if sparse else layer.dense_macs) for layer in price.layers if layer.dense_macs]
    forward = sum(macs)
    if what in ("forward", "inference"):
        return forward
    if what == "backward":
        return 2 * forward
    # in a whole step nobody asks for the gradient of the network's inputs
    return 3 * forward - (macs[0] if what == "step" else 0)
