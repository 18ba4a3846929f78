"""What came of reproducing a table: ours beside theirs, cell by cell, and whether its claims hold."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from thresher.experiments.interval import Estimate, estimate
from thresher.papers.published import Budget, Cell, Claim, NotRun, PublishedTable, Trained
from thresher.papers.verdict import Verdict, verdict

ClaimKind: TypeAlias = Literal["holds", "does not hold", "not decided", "no interval", "not run", "not compared"]


@dataclass(frozen=True)
class Row:
    """Our numbers for one cell: `values` by seed, and by seed the reason why there is none in `missing`.

    collapsed: the seeds at which pruning emptied a layer, or left no path from input to output.
    """

    cell: Cell
    values: Mapping[int, float]
    missing: Mapping[int, str]
    collapsed: tuple[int, ...]
    verdict: Verdict

    @property
    def estimate(self) -> Estimate | None:
        """Mean, deviation and interval over the seeds that have a number, None if none has."""
        return estimate(self.values.values()) if self.values else None


@dataclass(frozen=True)
class Judgement:
    """Whether a claim holds: decided only where the 95 % interval lies on one side of its bound."""

    claim: Claim
    kind: ClaimKind
    difference: Estimate | None = None


@dataclass(frozen=True)
class Reproduction:
    """All rows and judgements of a table, at a budget; `absent` says why a data set cannot be read."""

    table: PublishedTable
    budget: Budget
    seeds: int
    rows: tuple[Row, ...]
    judgements: tuple[Judgement, ...]
    absent: Mapping[str, str]

    def document(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        table = self.table
        return {
            "table": table.name,
            "title": table.title,
            "source": table.source,
            "page": table.page,
            "measured": table.measured,
            "budget": self.budget,
            "seeds": self.seeds,
            "readings": list(table.readings),
            "departures": list(table.departures),
            "absent_data": dict(self.absent),
            "rows": [_row_document(row, self.budget) for row in self.rows],
            "claims": [
                {
                    "text": found.claim.text,
                    "cell": list(found.claim.cell),
                    "minus": None if found.claim.minus is None else list(found.claim.minus),
                    "above": found.claim.above,
                    "below": found.claim.below,
                    "verdict": found.kind,
                    "ours": _estimate_document(found.difference),
                }
                for found in self.judgements
            ],
        }


def row_of(
    cell: Cell,
    budget: Budget,
    values: Mapping[int, float],
    missing: Mapping[int, str],
    collapsed: Sequence[int] = (),
) -> Row:
    """The row of `cell` with its verdict, which counts the seeds that came to nothing or collapsed."""
    found = _verdict(cell, budget, values, missing)
    seeds = len(values) + len(missing)
    counts = {"without a number": len(missing) if values else 0, "collapsed": len(collapsed)}
    notes = [f"{count} of {seeds} seeds {what}" for what, count in counts.items() if count]
    words = f"{found.words} ({', '.join(notes)})" if notes else found.words
    return Row(cell, values, missing, tuple(collapsed), dataclasses.replace(found, words=words))


def _verdict(cell: Cell, budget: Budget, values: Mapping[int, float], missing: Mapping[int, str]) -> Verdict:
    work = cell.work[budget]
    if isinstance(work, NotRun):
        return Verdict("not run", f"not run: {work.reason}")
    if not values:
        return Verdict("not run", f"not run: {next(iter(missing.values()), 'no seed was asked for')}")
    if budget == "smoke":
        return Verdict("not compared", "not compared: smoke")
    if cell.printed is None:
        return Verdict("not compared", "no number is printed")
    return verdict(cell.printed, estimate(values.values()))


def judged(claim: Claim, rows: Sequence[Row], budget: Budget) -> Judgement:
    """What the rows say about `claim`; differences are taken seed by seed."""
    values = _values(claim.cell, rows)
    if claim.minus is not None:
        other = _values(claim.minus, rows)
        values = {seed: value - other[seed] for seed, value in values.items() if seed in other}
    if not values:
        return Judgement(claim, "not run")
    difference = estimate(values.values())
    if budget == "smoke":
        return Judgement(claim, "not compared", difference)
    return Judgement(
        claim, "no interval" if difference.interval is None else _side(claim, difference.interval), difference
    )


def _side(claim: Claim, interval: tuple[float, float]) -> ClaimKind:
    low, high = interval
    above = -math.inf if claim.above is None else claim.above
    below = math.inf if claim.below is None else claim.below
    if above < low and high < below:
        return "holds"
    return "does not hold" if high <= above or low >= below else "not decided"


def _values(labels: tuple[str, str], rows: Sequence[Row]) -> Mapping[int, float]:
    return next((row.values for row in rows if (row.cell.row, row.cell.column) == labels), {})


def _row_document(row: Row, budget: Budget) -> dict[str, Any]:
    printed, work = row.cell.printed, row.cell.work[budget]
    return {
        "row": row.cell.row,
        "column": row.cell.column,
        "printed": None if printed is None else {**dataclasses.asdict(printed), "words": str(printed)},
        "values": {str(seed): value for seed, value in row.values.items()},
        "missing": {str(seed): reason for seed, reason in row.missing.items()},
        "collapsed": list(row.collapsed),
        "ours": _estimate_document(row.estimate),
        "verdict": dataclasses.asdict(row.verdict),
        "runs": [dataclasses.replace(work.recipe, seed=seed).name for seed in row.values if isinstance(work, Trained)],
    }


def _estimate_document(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    interval = None if found.interval is None else list(found.interval)
    return {"mean": found.mean, "deviation": found.deviation, "n": found.n, "interval": interval}
