"""All cases at all sparsities, one group of contenders after another, as a document for JSON."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from thresher.bench.contenders import present
from thresher.bench.crossover import crossovers
from thresher.bench.entrants import Heat
from thresher.bench.peak import multiply_add_peak
from thresher.bench.race import race
from thresher.core.errors import ArgumentError
from thresher.core.topk import check_sparsity

SCHEMA = 1
_INFERENCE_BATCHES = (1, 32)


@dataclass(frozen=True)
class Plan:
    """What to measure. Names are those of `CASES` and `CONTENDERS`; no contender named means all that are here."""

    cases: tuple[str, ...]
    sparsities: tuple[float, ...] = (0.8, 0.9, 0.95, 0.98)
    batch: int = 128
    rounds: int = 11
    inference: bool = False
    against: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        for sparsity in self.sparsities:
            check_sparsity(sparsity)
        for name, count in (("batch", self.batch), ("rounds", self.rounds)):
            if count < 1:
                raise ArgumentError(f"{name} is a whole number of at least 1: got {count}")

    def heats(self) -> list[Heat]:
        """What is raced, in order: each case at each sparsity in training, and then in inference if asked for."""
        batches = [(self.batch, True), *((batch, False) for batch in _INFERENCE_BATCHES if self.inference)]
        return [
            Heat(case, sparsity, batch, train, self.seed)
            for case in self.cases
            for sparsity in self.sparsities
            for batch, train in batches
        ]


def bench(
    plan: Plan, environment: Mapping[str, Any], on_progress: Callable[[int, int, Heat], None] = lambda *_: None
) -> Iterator[dict[str, Any]]:
    """The document after each group of measurements; `complete` in the last.

    environment: where this is run, for the document's field of that name.
    on_progress: called with (groups done, groups in all, what comes next).
    The document: `schema`, `environment`, `plan`, `multiply_add_peak` (per second), `versions` and `absent` of the
    contenders, `complete`, `crossovers`, and `rows` (see `race`). Every yielded document is the same object, longer
    each time.
    Raises what `present` raises. Threads are torch's present number.
    """
    heats = plan.heats()
    versions, absent = present(plan.against)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "environment": dict(environment),
        "plan": {
            "cases": list(plan.cases),
            "sparsities": list(plan.sparsities),
            "batch": plan.batch,
            "rounds": plan.rounds,
            "inference": plan.inference,
            "seed": plan.seed,
        },
        "multiply_add_peak": multiply_add_peak(),
        "versions": versions,
        "absent": absent,
        "complete": False,
        "crossovers": [],
        "rows": [],
    }
    for done, heat in enumerate(heats):
        on_progress(done, len(heats), heat)
        document["rows"] += race(heat, list(versions), plan.rounds, document["multiply_add_peak"])
        document["crossovers"] = crossovers(document["rows"])
        document["complete"] = done + 1 == len(heats)
        yield document
