"""A published table beside our numbers, as the page of a study shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """One printed number and ours: `ours`, `interval` and `n` are None or 0 where it was not run.

    `kind` is the verdict in a word, such as "within", "outside" or "not run"; `words` say it whole.
    """

    row: str
    column: str
    printed: str
    mean: float | None
    interval: tuple[float, float] | None
    n: int
    kind: str
    words: str


@dataclass(frozen=True, kw_only=True)
class PublishedClaim:
    """A statement of the paper, our number for it, and whether it holds."""

    text: str
    mean: float | None
    interval: tuple[float, float] | None
    n: int
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published table or figure with our numbers at a budget, how its protocol is read, and where we depart.

    `absent`: the data sets that could not be read, and why.
    """

    title: str
    source: str
    measured: str
    budget: str
    num_seeds: int
    readings: tuple[str, ...]
    departures: tuple[str, ...]
    rows: tuple[PublishedRow, ...]
    claims: tuple[PublishedClaim, ...] = ()
    absent: tuple[str, ...] = ()

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Published":
        """The same from the JSON object that `thresher reproduce --json` writes."""
        return cls(
            title=document["title"],
            source=f"{document['source']}, {document['page']}",
            measured=document["measured"],
            budget=document["budget"],
            num_seeds=document["seeds"],
            readings=tuple(document["readings"]),
            departures=tuple(document["departures"]),
            rows=tuple(
                PublishedRow(
                    row=row["row"],
                    column=row["column"],
                    printed="–" if row["printed"] is None else row["printed"]["words"],
                    kind=row["verdict"]["kind"],
                    words=row["verdict"]["words"],
                    **_ours(row["ours"]),
                )
                for row in document["rows"]
            ),
            absent=tuple(f"{data}: {reason}" for data, reason in document["absent_data"].items()),
            claims=tuple(
                PublishedClaim(text=claim["text"], verdict=claim["verdict"], **_ours(claim["ours"]))
                for claim in document["claims"]
            ),
        )


def verdicts(published: Published) -> str:
    """How many rows came to which verdict, in one sentence."""
    return _tally("Of the cells", [row.kind for row in published.rows])


def claims_told(published: Published) -> str:
    """How many claims came to which verdict, in one sentence."""
    return _tally("Of the statements", [claim.verdict for claim in published.claims])


def _tally(start: str, kinds: Sequence[str]) -> str:
    counted = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    return f"{start}, {', '.join(f'{count} {kind}' for kind, count in counted.items())}." if kinds else ""


def _ours(found: Mapping[str, Any] | None) -> dict[str, Any]:
    if found is None:
        return {"mean": None, "interval": None, "n": 0}
    interval = None if found["interval"] is None else tuple(found["interval"])
    return {"mean": found["mean"], "interval": interval, "n": found["n"]}
